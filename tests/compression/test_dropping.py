"""Choosing from a table and taking a block out of a checkpoint."""

import math
from collections.abc import Callable

import pandas as pd
import pytest
import torch
from shortening import without

from tad_blockdrop.compression.criteria import find_criterion
from tad_blockdrop.compression.dropping import ScoringError, choose_block, drop_block
from tad_blockdrop.compression.ranking import rank
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]


def scores(*values: float, criterion: str = "train_map") -> pd.DataFrame:
    by_block = {frozenset({i}): v for i, v in enumerate(values)}
    return rank(by_block, range(len(values)), find_criterion(criterion))


def test_the_first_is_chosen_whatever_the_order_of_the_rows() -> None:
    drop = choose_block(scores(10.0, 70.0, 65.0).sample(frac=1, random_state=3))
    assert (drop.block, drop.criterion, drop.value, drop.tied) == (1, "train_map", 70.0, ())
    assert drop.margin == pytest.approx(5.0)


def test_ties_are_reported_and_the_lowest_index_is_chosen() -> None:
    drop = choose_block(scores(3.0, 1.0, 2.0, 1.0, 1.0, criterion="block_mse"))
    assert (drop.block, drop.margin, drop.tied) == (1, 0.0, (3, 4))


def test_the_other_of_the_best_pair_is_no_tie() -> None:
    """Blocks 1 and 2 share the value of their pair: what they are worth alone decides."""
    values = {
        frozenset({0}): 0.9, frozenset({1}): 0.7, frozenset({2}): 0.8,
        frozenset({0, 1}): 0.3, frozenset({0, 2}): 0.4, frozenset({1, 2}): 0.6,
    }  # fmt: skip
    drop = choose_block(rank(values, range(3), find_criterion("train_map")))
    assert (drop.block, drop.value, drop.tied) == (2, 0.6, ())
    assert drop.margin == pytest.approx(0.1)
    values[frozenset({1})] = 0.8
    drop = choose_block(rank(values, range(3), find_criterion("train_map")))
    assert (drop.block, drop.margin, drop.tied) == (1, 0.0, (2,))
    values[frozenset({2})] = math.nan  # alone, though not with block 1
    assert choose_block(rank(values, range(3), find_criterion("train_map"))).margin is None


def test_what_is_not_a_number_is_never_chosen() -> None:
    drop = choose_block(scores(math.nan, 5.0, math.inf))
    assert (drop.block, drop.margin, drop.tied) == (1, None, ())
    with pytest.raises(ScoringError, match="none of the 2 candidate blocks"):
        choose_block(scores(math.nan, math.nan))


def test_the_block_is_gone_and_the_rest_is_untouched(checkpoint: Checkpoint, batch: Batch) -> None:
    shorter = drop_block(checkpoint, 2)
    assert shorter.kept_blocks == (0, 3)
    gone = set(checkpoint.weights) - set(shorter.weights)
    assert gone
    assert all(name.startswith("backbone.blocks.2.") for name in gone)
    assert all(shorter.weights[name] is checkpoint.weights[name] for name in shorter.weights)
    assert (shorter.metrics, shorter.lineage) == ({}, {"step": 2})
    assert checkpoint.kept_blocks == (0, 2, 3)
    expected = without(from_checkpoint(checkpoint), {2})
    with torch.no_grad():
        found = from_checkpoint(shorter)(batch.frames, batch.mask)
        wanted = expected(batch.frames, batch.mask)
    assert torch.equal(found.logits, wanted.logits)


def test_an_absent_or_last_block_cannot_be_dropped(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="block 1 cannot be dropped"):
        drop_block(checkpoint, 1)
    last = drop_block(drop_block(checkpoint, 0), 3)
    with pytest.raises(ValueError, match=r"reduce compress\.n_drops"):
        drop_block(last, 2)
