"""Rows of post-processing and matching, per 100,000 predictions; soft-NMS beside plain C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import Bench, Row, in_turns

SOURCE = Path(__file__).with_name("soft_nms.c")
GROUPS, EACH = 125, 800  # 25 videos of 5 classes; together 100,000 predictions


def detections(bench: Bench, repeats: int) -> list[Row]:
    """Soft-NMS and average precision of 100,000 predictions."""
    from tad_blockdrop.detections.postprocess import soft_nms

    config = bench.parameters.evaluation.postprocess
    proposals = some_proposals()
    calls: dict[str, Callable[[], object]] = {
        "numpy": lambda: soft_nms(proposals, config.sigma, config.min_score, config.max_detections),
        "matching": matching(proposals),
    }
    compiled = compiled_soft_nms()
    if compiled is not None:
        calls["c"] = lambda: by_group(compiled, proposals, config.sigma, config.min_score)
    spent = in_turns(calls, repeats)
    ratio = spent["c"].cpu / spent["numpy"].cpu if compiled else None
    n = f"{len(proposals):,} predictions"
    return [
        Row(
            "3 evaluation", f"soft-NMS of {n}", spent["numpy"].cpu, ratio,
            "a loop in C, compiled with cc -O3" if compiled else "", ">= 1" if compiled else "",
            note="" if compiled else "no C compiler here: not compared",
        ),
        Row("3 evaluation", f"matching and mAP of {n}", spent["matching"].cpu),
    ]  # fmt: skip


def some_proposals() -> Any:
    """Random proposals of every video and class; many overlap."""
    from tad_blockdrop.detections.postprocess import Proposals

    rng = np.random.default_rng(0)
    n = GROUPS * EACH
    start = rng.uniform(0, 100, n)
    segments = np.stack((start, start + rng.exponential(8, n) + 0.5), axis=1)
    scores = np.exp(rng.uniform(np.log(0.001), np.log(0.9), n))
    group = np.repeat(np.arange(GROUPS), EACH)
    return Proposals(segments.astype(np.float32), scores.astype(np.float32), group % 5, group // 5)


def matching(proposals: Any) -> Callable[[], object]:
    """Average precision of the proposals against 20 actions a class and video."""
    from tad_blockdrop.metrics.average_precision import average_precision

    table = pd.DataFrame(
        {
            "video_id": proposals.videos.astype(str), "label": proposals.labels.astype(str),
            "start": proposals.segments[:, 0], "end": proposals.segments[:, 1],
            "score": proposals.scores,
        }
    )  # fmt: skip
    truth = table.groupby(["video_id", "label"]).head(20)[["video_id", "label", "start", "end"]]
    videos, tious = sorted(table["video_id"].unique()), [0.3, 0.4, 0.5, 0.6, 0.7]
    return lambda: average_precision(table, truth, videos, tious)


def compiled_soft_nms() -> Any:
    """The function of ``soft_nms.c``, or None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "soft_nms.so")
        command = [compiler, "-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([*command, str(SOURCE), "-o", str(library), "-lm"], check=True)
        return ctypes.CDLL(str(library)).soft_nms


def by_group(compiled: Any, proposals: Any, sigma: float, min_score: float) -> np.ndarray:
    """The compiled loop over each class of each video."""
    scores = proposals.scores.copy()
    segments = np.ascontiguousarray(proposals.segments)
    group = proposals.videos * 5 + proposals.labels
    first = np.flatnonzero(np.diff(group, prepend=-1))
    pointer = ctypes.POINTER(ctypes.c_float)
    for begin, end in zip(first, [*first[1:], len(group)], strict=True):
        compiled(
            segments[begin:end].ctypes.data_as(pointer), scores[begin:end].ctypes.data_as(pointer),
            int(end - begin), ctypes.c_float(sigma), ctypes.c_float(min_score),
        )  # fmt: skip
    return scores
