"""The report of an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.config import Parameters
from tad_blockdrop.detector.units import (
    SubLayer,
    Unit,
    block_of,
    describe_blocks,
    parse_unit,
    parse_units,
    sub_layers,
)
from tad_blockdrop.reporting import findings as found
from tad_blockdrop.reporting import result_table as tables
from tad_blockdrop.reporting.findings import Findings
from tad_blockdrop.reporting.goal import goal_sentence
from tad_blockdrop.reporting.numbers import as_yaml
from tad_blockdrop.reporting.pages.rendering import records, render
from tad_blockdrop.reporting.points import point_rows
from tad_blockdrop.storage.experiment_record import flatten

MEASURED = ["latency_ms", "peak_memory_mb", "seconds_score", "seconds_align", "seconds_evaluate"]


@dataclass(frozen=True)
class RunFacts:
    """Where a report comes from; ``machine`` such as "Linux x86_64, cpu".

    ``final_model``: a key of the result table; ``learned``: that the model in use is another by
    now, in a sentence.
    """

    parameters: Parameters
    final_model: str
    date: str
    machine: str
    versions: Mapping[str, str]
    learned: str = ""


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
    reliability: go.Figure | None = None
    repairs: go.Figure | None = None


def render_report(
    results: pd.DataFrame,
    costs: pd.DataFrame,
    scores: pd.DataFrame,
    facts: RunFacts,
    figures: Figures,
    findings: Findings | None = None,
) -> str:
    """The whole report as the text of one HTML file.

    The tables are the result table, the table of measured costs and the score table; see
    ``build_result_table`` and ``race_table`` in ``result_table`` for their columns. ``findings``
    are those of the final model; sections about them are left out without.

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
    cost = "latency_ms" if table["latency_ms"].notna().any() else "gmacs"
    front = list(tables.on_front(table, cost)["model"])
    known = table[on_the_way & ~table["skipped"].astype(bool) & table[cost].notna()]["model"]
    compared = ("uncompressed", facts.final_model)
    ends = [models[name] for name in compared]
    values = {
        "facts": facts,
        "uncompressed": models["uncompressed"],
        "final": models[facts.final_model],
        "goal": goal_sentence(facts.parameters.compress, *ends),
        "halves": any("half" in model["strip"].values() for model in ends),
        "original": sorted(models["uncompressed"]["strip"]),
        "tious": tables.tiou_columns(results),
        "families": list(families.values()),
        "measured": [models[name] for name in measured["model"]],
        "front": [models[name]["title"] for name in front],
        "front_cost": "latency" if cost == "latency_ms" else "GMACs",
        "beaten": [models[name]["title"] for name in known if name not in front],
        "any_skipped": bool(results["skipped"].any()),
        "has_control": bool(results["delta_control"].notna().any()),
        "criterion": choose_criterion(facts.parameters.compress),
        "races": records(tables.race_table(scores)),
        "figures": figures,
        "findings": None if findings is None else _findings(findings),
        "settings": [(key, as_yaml(value)) for key, value in settings.items()],
    }
    return render("report.html.j2", values)


def _findings(findings: Findings) -> dict[str, Any]:
    """What the report shows of what the final model gets right and wrong."""
    return found.summary(findings.rates) | {
        "warnings": found.warnings(findings.rates),
        "classes": found.class_rows(findings.rates),
        "kinds": records(findings.kinds),
        "missed": records(findings.missed),
        "cases": findings.cases,
        "times": records(findings.times)[1:],
        "frame_f1": 100 * findings.times["frame_f1"].iloc[0],
        "points": point_rows(findings.points),
        "edit": 100 * findings.times["edit"].iloc[0],
    }


def _strip(row: dict[str, Any], kept: Sequence[Unit]) -> dict[int, str]:
    """How the blocks of a model are drawn: those it has, and the one that it has just lost."""
    new = (
        {} if row["dropped_block"] is None else {block_of(parse_unit(row["dropped_block"])): "new"}
    )
    return new | {block_of(u): "half" if isinstance(u, SubLayer) else "kept" for u in kept}


def _model_row(row: dict[str, Any]) -> dict[str, Any]:
    """What the report shows of one model of the result table."""
    kept = parse_units(str(row["kept_blocks"]))
    return row | {
        "title": tables.model_title(row["family"], row["step"]),
        "blocks": describe_blocks(kept),
        "n_sub_layers": len(sub_layers(kept)),
        "strip": _strip(row, kept),
        "difference": tables.difference(row["delta"], row["delta_low"], row["delta_high"]),
        "difference_control": tables.difference(
            row["delta_control"], row["delta_control_low"], row["delta_control_high"]
        ),
    }
