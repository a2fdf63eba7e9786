"""Thin nodes over ``reporting``. Heavy imports stand inside the functions."""

import logging
import platform
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.config import CompressConfig, Parameters, ReportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import SubLayer, parse_units
from tad_blockdrop.pipelines.hints import Evaluator, Figure, Figures, Findings, RunFacts
from tad_blockdrop.pipelines.lineage import model_name, versions
from tad_blockdrop.pipelines.shared import Tables, join_tables
from tad_blockdrop.reporting import result_table as tables

logger = logging.getLogger(__name__)


def join_results(*results: Tables) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Histories (a row per epoch), detections and average precision of all models."""
    histories = join_tables(*(each.history for each in results))
    return (
        histories.rename(columns={"metric": "validation"}),
        join_tables(*(each.detections for each in results)),
        join_tables(*(each.metrics for each in results)),
    )


def choose_reported(
    uncompressed: Checkpoint, steps: list[Checkpoint], compress: CompressConfig
) -> Checkpoint:
    """The model that the report is about: the one that the loop has chosen.

    ``final_checkpoint`` may have learned again since, and what it detects in the test videos is not
    known.
    """
    from tad_blockdrop.compression.stopping import choose_final

    return choose_final(uncompressed, steps, compress)


def build_results(
    class_table: pd.DataFrame,
    all_detections: pd.DataFrame,
    evaluator: Evaluator,
    baseline: Checkpoint,
) -> pd.DataFrame:
    """One row per model: accuracy with intervals, parameters and computed costs."""
    from tad_blockdrop.metrics.bootstrap import bootstrap_difference
    from tad_blockdrop.metrics.cost import count_parameters, macs, paper_macs

    test = sorted(evaluator.dataset.in_split("test")["video_id"])
    truth, evaluation = evaluator.truth(), evaluator.evaluation
    by_model = dict(list(all_detections.groupby("model")))

    def interval(model: str, reference: str) -> tuple[float, float]:
        if evaluation.bootstrap == 0 or model == reference or {model, reference} - by_model.keys():
            return float("nan"), float("nan")
        low, high = bootstrap_difference(
            by_model[model], by_model[reference], truth, test,
            evaluation.tious, evaluation.bootstrap, evaluator.runtime.seed,
        )  # fmt: skip
        return 100 * low, 100 * high

    window, geometry = baseline.window, baseline.detector.backbone.geometry
    size = baseline.detector, len(baseline.classes), window
    tokens = window.frames // geometry.clip_frames * geometry.tokens(window.crop)

    def costs(kept_blocks: str) -> dict[str, float]:
        kept = parse_units(kept_blocks)
        cost = macs(*size, kept)
        paper = paper_macs(len(kept), tokens, geometry.width, cost.pyramid + cost.head)
        if any(isinstance(unit, SubLayer) for unit in kept):
            paper = float("nan")  # its formula knows whole blocks only
        n = count_parameters(*size, kept)
        return {"parameters": n, "gmacs": cost.total / 1e9, "paper_gmacs": paper / 1e9}

    models = class_table.drop_duplicates("model").drop(columns=["label", "tiou", "ap"])
    precision = class_table.groupby(["model", "tiou"])["ap"].mean().unstack()
    models = models.join(precision.rename(columns=tables.tiou_column), on="model")
    computed = pd.DataFrame(map(costs, models["kept_blocks"]), index=models.index)
    return tables.build_result_table(models.join(computed), interval)


def find_errors(
    all_detections: pd.DataFrame, evaluator: Evaluator, final: Checkpoint
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What the final model gets right and wrong on the test videos.

    Precision and recall by class at the thresholds that it is used with; what kind of error each
    detection shown and each missed action is; how many there are of each kind, and what mending
    them would give; which actions are missed.
    """
    from tad_blockdrop.metrics.error_analysis import analyse, mending
    from tad_blockdrop.metrics.operating_point import TIOU
    from tad_blockdrop.metrics.rates import rates
    from tad_blockdrop.reporting.findings import case_table, kind_table, missed_table

    videos, truth = evaluator.dataset.in_split("test"), evaluator.truth()
    test, evaluation = sorted(videos["video_id"]), evaluator.evaluation
    every = all_detections[all_detections["model"] == model_name(final)]
    kept = _shown(every, final)
    analysis = analyse(kept, truth, test, TIOU)
    cases = case_table(kept, analysis)
    return (
        rates(kept, truth, test, TIOU, evaluation.bootstrap, evaluator.runtime.seed),
        cases,
        kind_table(cases, mending(every, truth, test, evaluation.tious)),
        missed_table(analysis, videos),
    )


def rate_points(
    all_detections: pd.DataFrame, evaluator: Evaluator, final: Checkpoint
) -> pd.DataFrame:
    """What the operating points of the final model promise, and what they give on test videos."""
    from tad_blockdrop.reporting.points import point_table

    test = sorted(evaluator.dataset.in_split("test")["video_id"])
    every = all_detections[all_detections["model"] == model_name(final)]
    resamples, seed = evaluator.evaluation.bootstrap, evaluator.runtime.seed
    model = _for_test_scores(final, evaluator)
    return point_table(model, every, evaluator.truth(), test, resamples, seed)


def rate_scores(
    all_detections: pd.DataFrame, evaluator: Evaluator, final: Checkpoint
) -> pd.DataFrame:
    """How true the final model's scores are on the test videos, and how true calibrated ones."""
    from tad_blockdrop.metrics.calibration import reliability_table
    from tad_blockdrop.metrics.evidence import gather_evidence
    from tad_blockdrop.metrics.operating_point import TIOU

    test, truth = sorted(evaluator.dataset.in_split("test")["video_id"]), evaluator.truth()
    every = all_detections[all_detections["model"] == model_name(final)]
    labels = sorted({*every["label"], *truth["label"]})
    decisions = _for_test_scores(final, evaluator).decisions
    calibration = decisions.calibration if decisions else None
    return reliability_table(gather_evidence(every, truth, test, labels, TIOU), calibration)


def _for_test_scores(final: Checkpoint, evaluator: Evaluator) -> Checkpoint:
    """The final model; without its decisions where an external classifier has changed the scores,
    so that no threshold or calibration applies."""
    if evaluator.evaluation.postprocess.classifier is None:
        return final
    return replace(final, decisions=None)


def count_bouts(
    all_detections: pd.DataFrame, evaluator: Evaluator, final: Checkpoint
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bouts and seconds that the final model shows in the test videos, beside those annotated.

    By class and video, and by class with the frame F1; ``edit`` in its first row is the edit score.
    """
    from tad_blockdrop.metrics.bouts import bout_table, edit_score, time_table

    test = sorted(evaluator.dataset.in_split("test")["video_id"])
    kept = _shown(all_detections[all_detections["model"] == model_name(final)], final)
    table = bout_table(kept, evaluator.truth(), test)
    times = time_table(table).assign(edit=float("nan"))
    times.loc[0, "edit"] = edit_score(kept, evaluator.truth(), test)
    return table, times


def _shown(detections: pd.DataFrame, final: Checkpoint) -> pd.DataFrame:
    """What the final model shows with the thresholds that it is used with."""
    from tad_blockdrop.metrics.operating_point import shown, thresholds

    return shown(detections, thresholds(final))


def find_worst(error_cases: pd.DataFrame, evaluator: Evaluator) -> list[dict[str, Any]]:
    """The worst errors and misses of the final model, with links that play them."""
    from tad_blockdrop.reporting.findings import describe_cases, worst_cases

    return describe_cases(worst_cases(error_cases), evaluator.dataset.in_split("test"))


def collect_findings(
    rate_table: pd.DataFrame,
    error_table: pd.DataFrame,
    missed_table: pd.DataFrame,
    worst_cases: list[dict[str, Any]],
    time_table: pd.DataFrame,
    point_table: pd.DataFrame,
) -> Findings:
    """What the page shows of what the final model gets right and wrong."""
    from tad_blockdrop.reporting.findings import Findings

    tables = rate_table, error_table, missed_table
    return Findings(*tables, worst_cases, time_table, point_table)


def plot_accuracy(result_table: pd.DataFrame, cost_table: pd.DataFrame) -> tuple[Figure, Figure]:
    """Average mAP against GMACs, and against measured latency."""
    from tad_blockdrop.reporting.plots.accuracy import accuracy_against_cost

    return (
        accuracy_against_cost(result_table, cost_table, "gmacs"),
        accuracy_against_cost(result_table, cost_table, "latency_ms"),
    )


def plot_importance(score_table: pd.DataFrame, compress: CompressConfig) -> Figure:
    """The score of every block at every step."""
    from tad_blockdrop.reporting.plots.importance import block_importance

    return block_importance(score_table, choose_criterion(compress))


def plot_training(history_table: pd.DataFrame) -> Figure:
    """Losses and held-out mAP of the baseline and every alignment."""
    from tad_blockdrop.reporting.plots.training import training_curves

    return training_curves(history_table)


def plot_classes(class_table: pd.DataFrame, final: Checkpoint) -> Figure:
    """Which classes the final model gained and lost."""
    from tad_blockdrop.reporting.plots.classes import class_change

    classes = class_table.dropna(subset=["ap"])
    return class_change(tables.class_changes(classes, "uncompressed", model_name(final)))


def plot_reliability(reliability_table: pd.DataFrame) -> Figure:
    """How true scores are, as they come and calibrated."""
    from tad_blockdrop.reporting.plots.reliability import reliability_curve

    return reliability_curve(reliability_table)


def plot_timelines(
    all_detections: pd.DataFrame, evaluator: Evaluator, final: Checkpoint, report: ReportConfig
) -> Figure:
    """Ground truth and detections of the test videos that changed most."""
    from tad_blockdrop.reporting.plots.timelines import timelines

    test, truth = evaluator.dataset.in_split("test"), evaluator.truth()
    truth = truth[truth["video_id"].isin(test["video_id"])]
    before, after = (
        tables.strongest_detections(all_detections[all_detections["model"] == name], truth)
        for name in ("uncompressed", model_name(final))
    )
    shown = tables.changed_videos(before, after, test, report.timelines)
    rows = {"true actions": truth, "uncompressed": before, model_name(final): after}
    return timelines(rows, test, shown, evaluator.dataset.classes)


def plot_repairs(repair_table: pd.DataFrame) -> Figure:
    """The error behind every layer before and after its refit."""
    from tad_blockdrop.reporting.plots.repairs import repair_errors

    return repair_errors(repair_table)


def collect_figures(against_macs: Figure, against_latency: Figure, *others: Figure) -> Figures:
    """The figures that the page shows; ``others`` in the order of the fields of ``Figures``."""
    from tad_blockdrop.reporting.pages.report import Figures

    return Figures({"GMACs": against_macs, "latency": against_latency}, *others)


def collect_facts(final: Checkpoint, in_use: Checkpoint, parameters: dict[str, Any]) -> RunFacts:
    """What the page says of the run, and of the model ``in_use`` if it is another one by now."""
    from tad_blockdrop.reporting.pages.report import RunFacts
    from tad_blockdrop.review.verdict import learned_since
    from tad_blockdrop.runtime.devices import pick_device

    typed = Parameters.model_validate(parameters)
    machine = f"{platform.system()} {platform.machine()}, {pick_device(typed.runtime)}"
    learned, today = learned_since(in_use, final), date.today().isoformat()
    if learned:
        logger.warning("%s", learned)
    return RunFacts(typed, model_name(final), today, machine, versions(), learned)


def write_report(
    result_table: pd.DataFrame,
    cost_table: pd.DataFrame,
    score_table: pd.DataFrame,
    figures: Figures,
    findings: Findings,
    facts: RunFacts,
) -> str:
    """One self-contained HTML page."""
    from tad_blockdrop.reporting.pages.report import render_report

    return render_report(result_table, cost_table, score_table, facts, figures, findings)


def show_results(
    result_table: pd.DataFrame,
    cost_table: pd.DataFrame,
    html_report: str,
    experiment: str,
    repair_table: pd.DataFrame | None = None,
) -> None:
    """Print the result table; runs last and always, so that a resumed run ends with it too."""

    assert html_report, "the report is written before the run ends"
    print(tables.format_table(result_table, cost_table))
    if repair_table is not None and len(repair_table):
        print(tables.format_repairs(repair_table))
    print(f"report, tables and plots: data/08_reporting/{experiment}")
