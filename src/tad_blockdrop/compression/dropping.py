"""From a table of scores to a shorter model: choosing the block, taking it out."""

from dataclasses import dataclass, replace

import pandas as pd

from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.errors import BlockDropError


class ScoringError(BlockDropError):
    """The scores do not say which block to drop."""


@dataclass(frozen=True)
class Drop:
    """The block to drop and why.

    ``value`` is its score under ``criterion``; ``margin``, never negative, is how far the
    runner-up is behind (none without one); ``tied`` lists other blocks with the same value.
    """

    block: int
    criterion: str
    value: float
    margin: float | None
    tied: tuple[int, ...]


def choose_block(scores: pd.DataFrame) -> Drop:
    """The first of a ranking as ``score_blocks`` makes it (columns block, criterion, value, rank).

    Values that are not numbers have no rank, so they are never chosen. Raises ScoringError if
    there is nothing else.
    """
    ranked = scores.dropna(subset=["value", "rank"]).sort_values("rank")
    if ranked.empty:
        raise ScoringError(
            f"none of the {len(scores)} candidate blocks has a score that is a number: the model "
            "gives non-finite outputs; look at the training history of the step before"
        )
    blocks, values = ranked["block"].tolist(), ranked["value"].tolist()
    return Drop(
        block=blocks[0],
        criterion=ranked["criterion"].iloc[0],
        value=values[0],
        margin=abs(values[0] - values[1]) if len(values) > 1 else None,
        tied=tuple(
            sorted(b for b, v in zip(blocks[1:], values[1:], strict=True) if v == values[0])
        ),
    )


def drop_block(checkpoint: Checkpoint, block: int) -> Checkpoint:
    """The checkpoint without that block: its weights are gone, the others keep their indices.

    The metrics, which belonged to the longer model, are gone too; the lineage is the caller's to
    continue. Raises ValueError if the block is not there or is the last one.
    """
    kept = tuple(i for i in checkpoint.kept_blocks if i != block)
    if len(kept) == len(checkpoint.kept_blocks) or not kept:
        raise ValueError(
            f"block {block} cannot be dropped from blocks {checkpoint.kept_blocks}: it must be "
            "one of them and one must remain; reduce compress.n_drops if this was the last one"
        )
    gone = f"backbone.blocks.{block}."
    weights = {k: v for k, v in checkpoint.weights.items() if not k.startswith(gone)}
    return replace(checkpoint, weights=weights, kept_blocks=kept, metrics={})
