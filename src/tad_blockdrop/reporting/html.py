"""The report: one HTML file that holds all it needs and asks nothing of any network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from tad_blockdrop.reporting.result_table import (
    Family,
    difference,
    race_table,
    tiou_columns,
    with_costs,
)
from tad_blockdrop.reporting.style import BLANK, number, short, signed

TITLES: dict[Family, str] = {
    "uncompressed": "uncompressed",
    "progressive": "step {}",
    "control": "control {}",
    "one_shot": "one shot {}",
}

# A percent sign never starts a line.
PERCENT = "\N{NO-BREAK SPACE}%"
CRITERIA = {
    "train_map": "the mAP on training videos without the block; the highest is dropped",
    "train_loss": "the loss on training videos without the block; the lowest is dropped",
    "block_mse": "how much the block changes its input (mean squared); the lowest is dropped",
}
MEASURED = (
    "latency_ms",
    "peak_memory_mb",
    "seconds_score",
    "seconds_align",
    "seconds_evaluate",
)


@dataclass(frozen=True)
class RunFacts:
    """Where a report comes from.

    ``holdout`` is the share of training videos held out, ``coverage`` such as "100 of 100
    videos", ``machine`` such as "Linux x86_64" and ``parameters`` the nested configuration.
    """

    experiment: str
    date: str
    dataset: str
    provenance: str
    final_model: str
    seed: int
    machine: str
    device: str
    threads: int | None
    holdout: float
    coverage: str
    versions: Mapping[str, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Figures:
    """The figures of a report; a section without its figure is left out.

    ``accuracy`` maps the name of a cost ("GMACs", "latency", ...) to the figure against it.
    """

    accuracy: Mapping[str, go.Figure] = field(default_factory=dict)
    importance: go.Figure | None = None
    training: go.Figure | None = None
    classes: go.Figure | None = None
    timelines: go.Figure | None = None


def render_report(
    results: pd.DataFrame,
    costs: pd.DataFrame,
    scores: pd.DataFrame,
    facts: RunFacts,
    figures: Figures,
) -> str:
    """The whole report as the text of one HTML file.

    The tables are the result table, the table of measured costs and the score table; see
    ``tables.build_result_table`` and ``tables.race_table`` for their columns. Raises
    ``ValueError`` if ``facts.final_model`` is no model of the result table.
    """
    table = with_costs(results, costs)
    environment = Environment(
        loader=PackageLoader("tad_blockdrop", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, short=short)
    template = environment.get_template("report.html.j2")
    return template.render(
        facts=facts,
        headline=headline(table, facts.final_model),
        explanation=explanation(table, facts.final_model),
        tiles=_tiles(table, facts.final_model),
        tious=tiou_columns(results),
        families=_families(table),
        any_skipped=bool(results["skipped"].any()),
        has_control=bool(results["delta_control"].notna().any()),
        criteria=CRITERIA,
        original=_blocks(_row(table, "uncompressed")),
        measured=_measured(table),
        races=[_blank_missing(race) for race in race_table(scores).to_dict("records")],
        figures=figures,
        embedded=_embedded,
        settings=list(flat(facts.parameters)),
        blank=BLANK,
        plotly=Markup(get_plotlyjs()),
    )


def headline(table: pd.DataFrame, final_model: str) -> str:
    """``8 → 6 blocks, latency −23 %, mAP −0.2 against the equally trained control``.

    ``table`` is the result table with its costs. What was not measured is left out; without a
    control the comparison is with the uncompressed model.
    """
    before, after = _row(table, "uncompressed"), _row(table, final_model)
    if after["n_blocks"] == before["n_blocks"]:
        return f"All {before['n_blocks']} blocks kept: no shorter model was selected"
    parts = [f"{before['n_blocks']} → {after['n_blocks']} blocks"]
    if pd.notna(after["latency_ratio"]):
        parts.append(f"latency {signed(100 * (after['latency_ratio'] - 1), 0)}{PERCENT}")
    else:
        parts.append(f"GMACs {signed(100 * (after['gmacs'] / before['gmacs'] - 1), 0)}{PERCENT}")
    if pd.notna(after["delta_control"]):
        change, against = after["delta_control"], "the equally trained control"
    else:
        change, against = after["delta"], "the uncompressed model"
    return f"{', '.join(parts)}, mAP {signed(change)} against {against}"


def explanation(table: pd.DataFrame, final_model: str) -> str:
    """The sentences under the headline: accuracies, intervals and what they were measured on."""
    before, after = _row(table, "uncompressed"), _row(table, final_model)
    text = (
        f"Average mAP {number(after['average'])}{PERCENT} with {after['n_blocks']} blocks and "
        f"{number(before['average'])}{PERCENT} uncompressed, over {after['videos']}."
    )
    for name, against in (("delta", "uncompressed model"), ("delta_control", "control")):
        low, high = after[f"{name}_low"], after[f"{name}_high"]
        if pd.notna(low) and pd.notna(high) and after["model"] != "uncompressed":
            text += (
                f" Difference to the {against}: {signed(after[name])} points "
                f"(95{PERCENT} interval {signed(low)} to {signed(high)})."
            )
    return text


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested parameters as (dotted key, value as YAML would have it)."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{name}.")
        else:
            yield name, _setting(value)


def _setting(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return str(value)


def _row(table: pd.DataFrame, model: str) -> Mapping[str, Any]:
    rows = table[table["model"] == model]
    if rows.empty:
        raise ValueError(f"no model {model!r} in the result table; it has {list(table['model'])}")
    return {str(name): value for name, value in rows.iloc[0].items()}


def _blocks(row: Mapping[str, Any]) -> list[int]:
    return [int(block) for block in str(row["kept_blocks"]).split()]


def _blank_missing(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): None if pd.isna(value) else value for key, value in row.items()}


def _families(table: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """The rows of the step table, ready to be shown, one list per family."""
    groups = table.groupby("family", sort=False)
    return [[_model_row(row) for row in group.to_dict("records")] for _, group in groups]


def _measured(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the cost table: the way to the final model, and what else was measured."""
    on_the_way = table["family"].isin(["uncompressed", "progressive"])
    rows = table[on_the_way | table[list(MEASURED)].notna().any(axis=1)]
    return [_model_row(row) for row in rows.to_dict("records")]


def _model_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    return _blank_missing(row) | {
        "title": TITLES[row["family"]].format(row["step"]),
        "kept": set(_blocks(row)),
        "difference": difference(row["delta"], row["delta_low"], row["delta_high"]),
        "difference_control": difference(
            row["delta_control"], row["delta_control_low"], row["delta_control_high"]
        ),
    }


def _tiles(table: pd.DataFrame, final_model: str) -> list[tuple[str, str, str]]:
    """Name, final value and uncompressed value of the figures a reader looks for first."""
    before, after = _row(table, "uncompressed"), _row(table, final_model)

    def tile(name: str, key: str, digits: int, scale: float = 1.0) -> tuple[str, str, str]:
        return name, number(after[key] * scale, digits), number(before[key] * scale, digits)

    tiles = [
        tile("blocks", "n_blocks", 0),
        tile("average mAP, %", "average", 1),
        tile("latency, ms", "latency_ms", 1),
        tile("GMACs per window", "gmacs", 2),
        tile("parameters, M", "parameters", 2, 1e-6),
        tile("peak memory, MB", "peak_memory_mb", 0),
    ]
    return [t for t in tiles if t[1] != BLANK]


def _embedded(figure: go.Figure) -> Markup:
    """A figure as JSON that no text inside it can break out of."""
    safe = str(figure.to_json()).replace("&", "\\u0026").replace("<", "\\u003c")
    return Markup(safe.replace(">", "\\u003e"))
