"""Whether an export does what the model does, and how fast it is."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tad_blockdrop.detections.pooling import VideoPool
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.export.onnx import ExportError, open_session
from tad_blockdrop.export.onnx import Run as RunOnnx
from tad_blockdrop.export.torch_export import Run as RunTorch
from tad_blockdrop.metrics.measure import interleaved
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.video.windows.batches import LoadedWindow
from tad_blockdrop.video.windows.cutting import VideoRecord

DECIMALS = 2  # to which detections must be the same


@dataclass(frozen=True)
class Parity:
    """How far exports are from the model on ``windows`` real windows.

    Largest absolute differences of logits and offsets, None where there is no ONNX file; ``same``
    is the share of the model's ``detections`` that ONNX gives too, or torch.export without it, with
    start, end and score rounded to 2 decimals.
    """

    windows: int
    onnx_logits: float | None
    onnx_offsets: float | None
    archive_logits: float
    archive_offsets: float
    detections: int
    same: float

    @property
    def largest(self) -> float:
        """The largest of all differences."""
        found = (self.onnx_logits, self.onnx_offsets, self.archive_logits, self.archive_offsets)
        return float(np.max([each for each in found if each is not None]))  # which keeps a NaN

    def words(self) -> str:
        """For people: how far logits are off, and how many detections are the same."""
        logits = {"ONNX": self.onnx_logits, "torch.export": self.archive_logits}
        off = " and ".join(f"{n:.1e} ({file})" for file, n in logits.items() if n is not None)
        return (
            f"on {self.windows} windows logits differ by at most {off}, and {100 * self.same:.2f} "
            f"% of {self.detections} detections are the same to {DECIMALS} decimals"
        )


def compare(
    checkpoint: Checkpoint,
    onnx: RunOnnx | None,
    archive: RunTorch,
    loader: DataLoader[LoadedWindow],
    records: Sequence[VideoRecord],
) -> Parity:
    """Run the model (on the CPU) and its exports over the test windows of ``records``."""
    model = from_checkpoint(checkpoint)
    classes, config = checkpoint.classes, checkpoint.postprocess
    pools = [VideoPool(records, classes, model.window, config) for _ in range(2)]
    runs: list[RunTorch] = [archive] if onnx is None else [partial(_on_tensors, onnx), archive]
    largest = np.zeros((len(runs), 2))  # of logits and offsets
    windows = 0
    with torch.inference_mode():
        for batch in progress(loader, "checking the export", total=len(loader)):
            expected = model(batch.frames, batch.mask)
            found = [run(batch.frames, batch.mask) for run in runs]
            wanted = expected.logits, expected.offsets
            differences = [list(map(_largest, each, wanted)) for each in found]
            largest = np.maximum(largest, differences)
            windows += len(batch.windows)
            pools[0].add(batch.windows, expected)
            logits, offsets = found[0]
            pools[1].add(batch.windows, replace(expected, logits=logits, offsets=offsets))
    reference, exported = (pool.detections() for pool in pools)
    most: list[list[float]] = largest.tolist()
    of_onnx = [None, None] if onnx is None else most[0]
    return Parity(
        windows=windows,
        onnx_logits=of_onnx[0],
        onnx_offsets=of_onnx[1],
        archive_logits=most[-1][0],
        archive_offsets=most[-1][1],
        detections=len(reference),
        same=same_share(reference, exported),
    )


def same_share(reference: pd.DataFrame, other: pd.DataFrame) -> float:
    """The share of the detections of ``reference`` that ``other`` has too, rounded; 1 if none."""
    if reference.empty:
        return 1.0
    both = Counter(_rounded(reference)) & Counter(_rounded(other))
    return both.total() / len(reference)


def refuse_difference(parity: Parity, limit: float) -> None:
    """Raise ExportError if the exports are further than ``limit`` from the model."""
    if not parity.largest <= limit:
        raise ExportError(
            f"the export differs from PyTorch by {parity.largest:.2g} on {parity.windows} "
            f"windows, more than export.max_difference {limit:g}: nothing was written. Try another "
            "version of torch, onnxscript or onnxruntime"
        )


def time_exports(files: Mapping[str, bytes], model: Detector, repeats: int) -> pd.DataFrame:
    """Seconds of one window in ONNX Runtime, in turns; all must take the windows of ``model``.

    On one thread, in seconds that this thread computed: while another process has the core, time
    does not count, so that the ratio of two models is the same on a busy machine. Columns model,
    median, low, high, as ``measure.interleaved`` has them.
    """
    window = model.window
    shape = (1, window.frames, window.crop, window.crop, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    mask = np.ones((1, window.grid), dtype=bool)

    calls = {
        name: partial(open_session(onnx, threads=1), frames, mask) for name, onnx in files.items()
    }
    return interleaved(calls, repeats, clock=time.thread_time)


def _on_tensors(onnx: RunOnnx, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    logits, offsets = onnx(frames.numpy(), mask.numpy())
    return torch.from_numpy(logits), torch.from_numpy(offsets)


def _largest(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; NaN if either has one."""
    return float((a - b).abs().max())


def _rounded(table: pd.DataFrame) -> list[tuple[object, ...]]:
    numbers = table[["start", "end", "score"]].round(DECIMALS)
    return list(zip(table["video_id"], table["label"], *numbers.T.to_numpy(), strict=True))
