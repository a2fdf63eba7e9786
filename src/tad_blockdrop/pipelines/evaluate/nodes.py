"""Thin nodes: the one-shot reference and the measured costs. Heavy imports stand inside."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tad_blockdrop.config import CompressConfig, ReportConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import as_stored, parse_unit
from tad_blockdrop.pipelines.hints import Evaluator
from tad_blockdrop.pipelines.lineage import child_lineage, model_name
from tad_blockdrop.pipelines.shared import Tables, evaluate_model, join_tables

# What a step spends its time on, and the node that does it.
STAGES = {"score": "score_blocks", "align": "align", "evaluate": "evaluate_step"}


def evaluate_one_shot(
    uncompressed: Checkpoint,
    score_table: pd.DataFrame,
    evaluator: Evaluator,
    scratch: Path,
    compress: CompressConfig,
    report: ReportConfig,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Drop the first 1, 2, ... N units of the first ranking at once and align nothing.

    Returns detections and metrics as ``evaluate_model`` does; no rows with ``report.one_shot`` off.
    """
    from tad_blockdrop.compression.dropping import drop_block

    nothing = pd.DataFrame({"model": pd.Series(dtype="str")})
    if not report.one_shot:
        return nothing, nothing.copy()
    ranking = score_table[score_table["step"] == 1].sort_values("rank")["block"]
    shorter = uncompressed
    tables = []
    for step, unit in enumerate(map(parse_unit, ranking[: compress.n_drops]), start=1):
        shorter = drop_block(shorter, unit)
        lineage = child_lineage(
            uncompressed, family="one_shot", step=step, dropped_block=as_stored(unit)
        )
        shorter = replace(shorter, lineage=lineage)
        tables.append(evaluate_model(shorter, evaluator, scratch / f"step_{step:02d}"))
    return join_tables(*(t[0] for t in tables)), join_tables(*(t[1] for t in tables))


def measure_costs(
    uncompressed: Checkpoint,
    steps: list[Checkpoint],
    seconds: dict[str, float],
    evaluator: Evaluator,
) -> pd.DataFrame:
    """Latency of one window, interleaved in one process, and peak memory of every model.

    At ``runtime.precision``. Returns model, n_blocks, latency_ms, latency_ratio, peak_memory_mb
    and the seconds of its step, from ``seconds`` by the names of nodes.
    """
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.metrics.measure import latency, peak_memory

    runtime = evaluator.runtime
    checkpoints = {model_name(c): c for c in [uncompressed, *steps]}
    models = {name: from_checkpoint(c, runtime.device) for name, c in checkpoints.items()}
    with runtime.autocast():
        table = latency(models, evaluator.evaluation.latency_repeats)
    measured = table.set_index("model")["median"]

    def peak(checkpoint: Checkpoint) -> float:
        size = checkpoint.detector, len(checkpoint.classes), checkpoint.window
        return peak_memory(*size, checkpoint.kept_blocks, runtime)

    # Beside each other where each has a process of its own; not more, for the sake of memory.
    with ThreadPoolExecutor(max_workers=2 if runtime.device.type == "cpu" else 1) as pool:
        peaks = dict(zip(checkpoints, pool.map(peak, checkpoints.values()), strict=True))
    rows = [
        {
            "model": name,
            "n_blocks": len(checkpoint.kept_blocks),
            "latency_ms": 1000 * measured[name],
            "latency_ratio": measured[name] / measured["uncompressed"],
            "peak_memory_mb": peaks[name] / 2**20,
            **{
                f"seconds_{stage}": seconds.get(f"compress.{name}.{node}", float("nan"))
                for stage, node in STAGES.items()
            },
        }
        for name, checkpoint in checkpoints.items()
    ]
    return pd.DataFrame(rows)


def collect_references(baseline_history: pd.DataFrame, *tables: pd.DataFrame) -> Tables:
    """What the steps are compared with: the uncompressed and the one-shot models.

    ``tables`` come model by model: detections, metrics.
    """
    return Tables(baseline_history, join_tables(*tables[::2]), join_tables(*tables[1::2]))
