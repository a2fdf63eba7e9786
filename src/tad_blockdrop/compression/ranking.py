"""Which block, or sub-layer, can be spared: every remaining one rated on the training videos.

Each input is read once for all candidates, and candidates share what they have in common
(``skipping``). What a candidate is worth is for the criterion to say.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.compression.skipping import Skip
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detector.model import BlockModel, evaluating
from tad_blockdrop.detector.units import Unit, as_stored, candidate_units
from tad_blockdrop.parallel.group import ALONE, Group
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
    gains: Mapping[Unit, float] | None = None,
    group: Group = ALONE,
    own: Any = None,
) -> pd.DataFrame:
    """Rank the blocks of ``model``, or its sub-layers, on the task's inputs; rank 1 is dropped.

    ``loader`` gives the inputs in order. Runs where the model is, in evaluation mode, under the
    caller's autocast if there is one. With ``scratch`` a ranking that was cut goes on. ``teacher``
    is the uncompressed model, if ``model`` is not; ``gains``: what each unit saves of the measure
    of ``compress.target``, if there is one. In a ``group`` each process takes the batches of
    ``own``, by default all, and the table is that of all.

    Returns a row per unit, in order of rank: ``block`` (its original index, or the name of a
    sub-layer), ``criterion``, ``value``, ``alone``, ``rank``. With ``compress.look_ahead`` 2 the
    value of a unit is that of the best pair it is part of, and ``alone`` what it is worth by
    itself; with 1 they are equal. Units of equal value are ranked by ``alone``, then by index. A
    value that is not a finite number becomes NaN and ranks last.
    """
    criterion = choose_criterion(compress)
    units = candidate_units(model.kept_units, compress.unit, compress.candidates)
    skips = candidate_skips(units, compress.look_ahead)
    with evaluating(model):
        given = Candidates(
            skips, task, loader, scratch, teacher or model, compress.repair, gains or {}, group, own
        )
        values = criterion.checked_score(model, given)
    return rank(values, units, criterion)


def candidate_skips(units: Sequence[Unit], look_ahead: int) -> list[Skip]:
    """Every single unit and, looking 2 ahead, every pair (where one more would remain)."""
    sizes = range(1, min(look_ahead, max(len(units) - 1, 1)) + 1)
    return [Skip(chosen) for size in sizes for chosen in combinations(units, size)]


def rank(values: Mapping[Skip, float], units: Sequence[Unit], criterion: Criterion) -> pd.DataFrame:
    """The table of :func:`score_blocks` from the values of single units and maybe pairs.

    ``units``: all of one kind, in their order.
    """
    sign = -1.0 if criterion.larger_is_better else 1.0
    largest = max(map(len, values))

    def cost(skip: Skip) -> float:
        return sign * values[skip] if math.isfinite(values[skip]) else math.inf

    best = {u: min((s for s in values if u in s and len(s) == largest), key=cost) for u in units}
    order = sorted(units, key=lambda u: (cost(best[u]), cost(Skip({u}))))  # equals stay in order
    rows = [
        (as_stored(u), criterion.name, _finite(values[best[u]]), _finite(values[Skip({u})]), place)
        for place, u in enumerate(order, start=1)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
