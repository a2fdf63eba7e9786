"""Which block can be spared: every remaining block rated on the training videos.

Each input is read once for all candidates, and candidates share what they have in common
(``skipping``). What a candidate is worth is for the criterion to say.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import pandas as pd
import torch

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.compression.skipping import Skip
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.storage.resumable_pass import Scratch
from tad_blockdrop.tasks.contract import Task

COLUMNS = ["block", "criterion", "value", "alone", "rank"]


def score_blocks(
    model: BlockModel,
    loader: Any,
    task: Task,
    compress: CompressConfig,
    scratch: Scratch | None = None,
    teacher: BlockModel | None = None,
) -> pd.DataFrame:
    """Rank the blocks of ``model`` on the task's inputs; rank 1 is the one to drop.

    ``loader`` gives the inputs in order. Runs where the model is, in evaluation mode, under the
    caller's autocast if there is one. With ``scratch`` a ranking that was cut goes on. ``teacher``
    is the uncompressed model, if ``model`` is not.

    Returns a row per block, in order of rank: ``block`` (original index), ``criterion``,
    ``value``, ``alone``, ``rank``. With ``compress.look_ahead`` 2 the value of a block is that of
    the best pair it is part of, and ``alone`` what it is worth by itself; with 1 they are equal.
    Blocks of equal value are ranked by ``alone``, then by index. A value that is not a finite
    number becomes NaN and ranks last.
    """
    criterion = choose_criterion(compress)
    skips = candidate_skips(model.kept_blocks, compress.look_ahead)
    with evaluating(model):
        values = criterion.score(
            model, Candidates(skips, task, loader, scratch, teacher or model, compress.repair)
        )
    return rank(values, model.kept_blocks, criterion)


def candidate_skips(blocks: Sequence[int], look_ahead: int) -> list[Skip]:
    """Every single block and, looking 2 ahead, every pair (where one more block would remain)."""
    sizes = range(1, min(look_ahead, max(len(blocks) - 1, 1)) + 1)
    return [Skip(chosen) for size in sizes for chosen in combinations(blocks, size)]


def rank(values: Mapping[Skip, float], blocks: Sequence[int], criterion: Criterion) -> pd.DataFrame:
    """The table of :func:`score_blocks` from the values of single blocks and maybe pairs."""
    sign = -1.0 if criterion.larger_is_better else 1.0
    largest = max(map(len, values))

    def cost(skip: Skip) -> float:
        return sign * values[skip] if math.isfinite(values[skip]) else math.inf

    best = {i: min((s for s in values if i in s and len(s) == largest), key=cost) for i in blocks}
    order = sorted(blocks, key=lambda i: (cost(best[i]), cost(Skip({i})), i))
    rows = [
        (i, criterion.name, _finite(values[best[i]]), _finite(values[Skip({i})]), place)
        for place, i in enumerate(order, start=1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


@contextmanager
def evaluating(model: BlockModel) -> Iterator[None]:
    """Evaluation mode without gradients; the mode it had comes back after."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)
