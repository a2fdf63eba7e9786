"""The ranking of blocks, in this process or by several devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.compression import ranking
from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint, read_checkpoint, weights_hash
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.detector.units import Unit, as_stored, candidate_units, parse_unit
from tad_blockdrop.jobs.sharing import processes_for, read_evaluator, share_out
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.storage.parquet import read_parquet

RESULT = "scores.parquet"


def score_blocks(
    student: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    compress: CompressConfig,
    scratch: Path,
    gains: Mapping[Unit, float] | None = None,
) -> pd.DataFrame:
    """The table of ``compression.ranking.score_blocks`` on training videos, at ``runtime``.

    ``scratch`` keeps what a ranking that was cut goes on from.
    """
    units = candidate_units(student.kept_blocks, compress.unit, compress.candidates)
    candidates = len(ranking.candidate_skips(units, compress.look_ahead))
    videos = evaluator.dataset.records("train")[: compress.score_videos]
    parts, what = choose_criterion(compress).parts(len(videos), candidates)
    processes = processes_for(evaluator, parts, what)
    if processes == 1:
        return _score(student, uncompressed, evaluator, compress, scratch, gains)
    settings = {
        "compress": compress.model_dump(mode="json"),
        "scratch": str(scratch.resolve()),
        "gains": [[as_stored(unit), gain] for unit, gain in (gains or {}).items()],
    }
    folder = scratch / "shared"
    share_out(
        work, processes, evaluator, folder, settings, student=student, uncompressed=uncompressed
    )
    # A column of indices and names of sub-layers was written as text.
    table = read_parquet(folder / RESULT)
    return table.assign(block=[as_stored(parse_unit(block)) for block in table["block"]])


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """What a process of :func:`score_blocks` does."""
    table = _score(
        read_checkpoint(folder / "student"),
        read_checkpoint(folder / "uncompressed"),
        read_evaluator(folder, group),
        CompressConfig.model_validate(settings["compress"]),
        Path(settings["scratch"]),
        {parse_unit(unit): gain for unit, gain in settings["gains"]},
    )
    if group.rank == 0:
        table.assign(block=table["block"].astype(str)).to_parquet(folder / RESULT)


def _score(
    student: Checkpoint,
    uncompressed: Checkpoint,
    evaluator: Evaluator,
    compress: CompressConfig,
    scratch: Path,
    gains: Mapping[Unit, float] | None,
) -> pd.DataFrame:
    videos = evaluator.dataset.records("train")[: compress.score_videos]
    device, group = evaluator.runtime.device, evaluator.runtime.group
    model, teacher = from_checkpoint(student, device), from_checkpoint(uncompressed, device)
    kept = evaluator.scratch(
        scratch, model, videos,
        teacher=weights_hash(uncompressed.weights), compress=compress.model_dump(mode="json"),
    )  # fmt: skip
    with evaluator.runtime.autocast():
        return ranking.score_blocks(
            model, evaluator.loader(videos), evaluator.task(model, videos), compress, kept, teacher,
            gains, group, evaluator.own_loader(videos),
        )  # fmt: skip
