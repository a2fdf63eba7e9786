"""Which block can be spared: every remaining block rated on the training videos.

Three criteria (docs/method.md §4.1). ``train_map``: the mean average precision (percent) of the
model without the block; the highest wins. ``train_loss``: its detection loss; the lowest wins.
``block_mse``: the mean squared difference of the block's output and input; the lowest wins. Each
window is decoded once for all candidates, and candidates share what they have in common
(``skipping``).
"""

import logging
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Generic, TypeVar

import pandas as pd
import torch
from torch import Tensor

from tad_blockdrop.compression.dropping import ScoringError
from tad_blockdrop.compression.skipping import Skip, skipped_outputs
from tad_blockdrop.config import CompressConfig, EvaluationConfig
from tad_blockdrop.detections.evaluation import instances_of
from tad_blockdrop.detections.losses import DetectionLoss
from tad_blockdrop.detections.pooling import OutputError, VideoPool
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.storage.resumable_pass import Gathering, Scratch, resume_batches
from tad_blockdrop.video.windows.cutting import VideoRecord

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from tad_blockdrop.video.windows.loading import Batch, LoadedWindow

logger = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

COLUMNS = ["block", "criterion", "value", "alone", "rank"]


def score_blocks(
    model: Detector,
    loader: "DataLoader[LoadedWindow]",
    records: Sequence[VideoRecord],
    classes: Sequence[str],
    compress: CompressConfig,
    evaluation: EvaluationConfig,
    scratch: Scratch | None = None,
) -> pd.DataFrame:
    """Rank the blocks of ``model`` on the videos of ``records``; rank 1 is the one to drop.

    ``loader`` gives the test windows of ``records``, video by video; ``classes`` are the model's.
    Runs where the model is, in evaluation mode, under the caller's autocast if there is one. With
    ``scratch`` a ranking that was cut goes on.

    Returns a row per block, in order of rank: ``block`` (original index), ``criterion``,
    ``value``, ``alone``, ``rank``. With ``compress.look_ahead`` 2 the value of a block is that of
    the best pair it is part of, and ``alone`` what it is worth by itself; with 1 they are equal.
    Blocks of equal value are ranked by ``alone``, then by index. A value that is not a finite
    number becomes NaN and ranks last.

    Raises ScoringError if every candidate has an average precision of 0, which ranks nothing.
    """
    blocks, criterion = model.kept_blocks, compress.criterion
    if criterion == "block_mse":
        values = {Skip({i}): change for i, change in block_changes(model, loader, scratch).items()}
        return rank(values, blocks, criterion)
    skips = candidate_skips(blocks, compress.look_ahead)
    if criterion == "train_loss":
        values = detection_losses(model, loader, skips, scratch)
    else:
        values = precisions(model, loader, records, classes, evaluation, skips, scratch)
        if not any(value > 0 for value in values.values()):
            raise ScoringError(
                f"all {len(blocks)} candidates have a mean average precision of 0 on the "
                f"{len(records)} training videos, so there is nothing to rank: the model itself "
                "does not detect. Train the baseline longer, score on more videos "
                "(compress.score_videos), or set compress.criterion to 'train_loss'"
            )
    return rank(values, blocks, criterion)


def candidate_skips(blocks: Sequence[int], look_ahead: int) -> list[Skip]:
    """Every single block and, looking 2 ahead, every pair (where one more block would remain)."""
    sizes = range(1, min(look_ahead, max(len(blocks) - 1, 1)) + 1)
    return [Skip(chosen) for size in sizes for chosen in combinations(blocks, size)]


def rank(values: Mapping[Skip, float], blocks: Sequence[int], criterion: str) -> pd.DataFrame:
    """The table of :func:`score_blocks` from the values of single blocks and maybe pairs."""
    sign = -1.0 if criterion == "train_map" else 1.0
    largest = max(map(len, values))

    def cost(skip: Skip) -> float:
        return sign * values[skip] if math.isfinite(values[skip]) else math.inf

    best = {i: min((s for s in values if i in s and len(s) == largest), key=cost) for i in blocks}
    order = sorted(blocks, key=lambda i: (cost(best[i]), cost(Skip({i})), i))
    rows = [
        (i, criterion, _finite(values[best[i]]), _finite(values[Skip({i})]), place)
        for place, i in enumerate(order, start=1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


def precisions(
    model: Detector,
    loader: "DataLoader[LoadedWindow]",
    records: Sequence[VideoRecord],
    classes: Sequence[str],
    evaluation: EvaluationConfig,
    skips: Sequence[Skip],
    scratch: Scratch | None = None,
) -> dict[Skip, float]:
    """Average mAP (percent) at ``evaluation.score_tious`` with each set of blocks skipped.

    NaN, and a warning, where the output is not finite.
    """
    pools = {
        skip: VideoPool(records, classes, model.window, evaluation.postprocess) for skip in skips
    }
    with _evaluating(model):
        for batch in _batches(model, loader, _Pools(pools), scratch):
            rest = list(pools)
            outputs = skipped_outputs(model, batch.frames, batch.mask, rest) if rest else ()
            for skip, output in zip(rest, outputs, strict=True):
                try:
                    pools[skip].add(batch.windows, output)
                except OutputError as error:
                    logger.warning("without block %s: %s", sorted(skip), error)
                    del pools[skip]
    instances, videos = instances_of(records, classes), [record.video_id for record in records]
    values = dict.fromkeys(skips, math.nan)
    for skip, pool in pools.items():
        found = pool.detections()
        table = average_precision(found, instances, videos, evaluation.score_tious)
        values[skip] = 100 * average_map(table)
    return values


def detection_losses(
    model: Detector,
    loader: "DataLoader[LoadedWindow]",
    skips: Sequence[Skip],
    scratch: Scratch | None = None,
) -> dict[Skip, float]:
    """Detection loss with each set of blocks skipped.

    The sum over all windows divided by the number of positive points in all of them: what the
    loss would be of one batch that holds every window.
    """
    sums = _Sums(skips)
    with _evaluating(model):
        loss = DetectionLoss(model.config.head).to(model.head.location.device)
        for batch in _batches(model, loader, sums, scratch):
            outputs = skipped_outputs(model, batch.frames, batch.mask, skips)
            for skip, output in zip(skips, outputs, strict=True):
                terms = loss(output, batch.segments, batch.labels, training=False)
                count = int(terms["positive"].sum())
                sums.of[skip] += float(terms["cls"] + terms["reg"]) * max(count, 1)
            sums.count += count
    return sums.means()


def block_changes(
    model: Detector, loader: "DataLoader[LoadedWindow]", scratch: Scratch | None = None
) -> dict[int, float]:
    """Mean squared difference of output and input of every block, over all tokens."""
    backbone = model.backbone
    sums = _Sums(model.kept_blocks)
    with _evaluating(model):
        for batch in _batches(model, loader, sums, scratch):
            for window in torch.split(batch.frames, 1):
                tokens = backbone.embed(window)
                sums.count += tokens.numel()
                for index in model.kept_blocks:
                    out = model.run_block(index, tokens)[1]
                    sums.of[index] += float((out - tokens).square().sum(dtype=torch.float64))
                    tokens = out
    return sums.means()


class _Sums(Generic[Key]):
    """A sum per key and one common count, gathered batch by batch."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.of, self.count = dict.fromkeys(keys, 0.0), 0

    def means(self) -> dict[Key, float]:
        return {key: value / max(self.count, 1) for key, value in self.of.items()}

    def state(self) -> dict[str, Tensor]:
        sums = torch.tensor(list(self.of.values()), dtype=torch.float64)
        return {"sums": sums, "count": torch.tensor(self.count)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.of = dict(zip(self.of, state["sums"].tolist(), strict=True))
        self.count = int(state["count"])


class _Pools:
    """The detections with each set of blocks skipped; those that were given up are missing."""

    def __init__(self, pools: dict[Skip, VideoPool]) -> None:
        self._pools = pools
        self._skips = {" ".join(map(str, sorted(skip))): skip for skip in pools}

    def state(self) -> dict[str, Tensor]:
        return {
            f"{name}/{key}": value
            for name, skip in self._skips.items()
            if skip in self._pools
            for key, value in self._pools[skip].state().items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, skip in self._skips.items():
            start = f"{name}/"
            own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            if own:
                self._pools[skip].restore(own)
            else:
                del self._pools[skip]


@contextmanager
def _evaluating(model: Detector) -> Iterator[None]:
    """Evaluation mode without gradients; the mode it had comes back after."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _batches(
    model: Detector,
    loader: "DataLoader[LoadedWindow]",
    gathering: Gathering,
    scratch: Scratch | None,
) -> "Iterator[Batch]":
    device = model.head.location.device
    for batch in resume_batches(loader, "scoring blocks", gathering, scratch):
        yield batch.to(device, non_blocking=True)
