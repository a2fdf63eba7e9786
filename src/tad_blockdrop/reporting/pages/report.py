"""The report of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.config import Parameters
from tad_blockdrop.reporting import result_table as tables
from tad_blockdrop.reporting.numbers import as_yaml
from tad_blockdrop.reporting.pages.rendering import records, render
from tad_blockdrop.storage.experiment_record import flatten

MEASURED = ["latency_ms", "peak_memory_mb", "seconds_score", "seconds_align", "seconds_evaluate"]


@dataclass(frozen=True)
class RunFacts:
    """Where a report comes from; ``machine`` such as "Linux x86_64, cpu"."""

    parameters: Parameters
    final_model: str
    date: str
    machine: str
    versions: Mapping[str, str]


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
    repairs: go.Figure | None = None


def render_report(
    results: pd.DataFrame,
    costs: pd.DataFrame,
    scores: pd.DataFrame,
    facts: RunFacts,
    figures: Figures,
) -> str:
    """The whole report as the text of one HTML file.

    The tables are the result table, the table of measured costs and the score table; see
    ``build_result_table`` and ``race_table`` in ``result_table`` for their columns.

    Raises:
        ValueError: ``facts.final_model`` is not in the result table.
    """
    table = tables.with_costs(results, costs)
    models = {row["model"]: _model_row(row) for row in records(table)}
    if facts.final_model not in models:
        raise ValueError(
            f"no model {facts.final_model!r} in the result table; it has {list(models)}"
        )
    families: dict[str, list[dict[str, Any]]] = {}
    for row in models.values():
        families.setdefault(row["family"], []).append(row)
    on_the_way = table["family"].isin(["uncompressed", "progressive"])
    measured = table[on_the_way | table[MEASURED].notna().any(axis=1)]
    settings = flatten(facts.parameters.model_dump(mode="json"))
    values = {
        "facts": facts,
        "uncompressed": models["uncompressed"],
        "final": models[facts.final_model],
        "original": sorted(models["uncompressed"]["kept"]),
        "tious": tables.tiou_columns(results),
        "families": list(families.values()),
        "measured": [models[name] for name in measured["model"]],
        "any_skipped": bool(results["skipped"].any()),
        "has_control": bool(results["delta_control"].notna().any()),
        "criterion": find_criterion(facts.parameters.compress.criterion),
        "races": records(tables.race_table(scores)),
        "figures": figures,
        "settings": [(key, as_yaml(value)) for key, value in settings.items()],
    }
    return render("report.html.j2", values)


def _model_row(row: dict[str, Any]) -> dict[str, Any]:
    """What the report shows of one model of the result table."""
    return row | {
        "title": tables.model_title(row["family"], row["step"]),
        "kept": {int(block) for block in str(row["kept_blocks"]).split()},
        "difference": tables.difference(row["delta"], row["delta_low"], row["delta_high"]),
        "difference_control": tables.difference(
            row["delta_control"], row["delta_control_low"], row["delta_control_high"]
        ),
    }
