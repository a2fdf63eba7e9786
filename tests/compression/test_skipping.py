"""Skipping with shared prefixes equals building every shortened model and running it alone."""

import runpy
from collections.abc import Callable
from itertools import combinations
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from torch import Tensor

from tad_blockdrop.compression import skipping
from tad_blockdrop.compression.skipping import Skip, skipped_features
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]


def naive(model: Detector, frames: Tensor, skip: Skip) -> Tensor:
    """One shortened model, block by block."""
    tokens = model.backbone.embed(frames)
    for index in model.kept_blocks:
        if index not in skip:
            tokens = model.backbone.run_block(index, tokens)[1]
    return model.backbone.pool(tokens, len(frames), model.window.grid)


def assert_equal_to_naive(model: Detector, frames: Tensor, skips: list[Skip]) -> None:
    with torch.inference_mode():
        found = skipped_features(model, frames, skips)
        for one, skip in zip(found, skips, strict=True):
            torch.testing.assert_close(one, naive(model, frames, skip), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept", [(0, 1, 2, 3, 4), (1, 2, 4), (3,)])
def test_every_candidate_equals_its_own_forward_pass(
    make_detector: MakeDetector, batch: Batch, kept: tuple[int, ...]
) -> None:
    model = make_detector(kept=kept)
    assert_equal_to_naive(model, batch.frames, [frozenset({i}) for i in kept])


def test_candidate_equals_the_detector_that_lost_the_block(
    make_detector: MakeDetector, batch: Batch
) -> None:
    shorter = make_detector(kept=(0, 1, 3, 4))
    with torch.inference_mode():
        (found,) = skipped_features(make_detector(), batch.frames, [frozenset({2})])
        expected = shorter(batch.frames, batch.mask).features
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.frozensets(st.integers(0, 4)), min_size=1, max_size=6), st.integers(1, 5000))
def test_any_sets_in_any_order_and_chunk_size(
    make_detector: MakeDetector, batch: Batch, skips: list[Skip], at_once: int
) -> None:
    """Also nothing skipped, everything skipped, the same set twice, chunks below one clip."""
    with patch.object(skipping, "_CPU", (at_once, 16 * at_once)):
        assert_equal_to_naive(make_detector(), batch.frames, skips)


def count_block_evaluations(model: Detector, frames: Tensor, skips: list[Skip]) -> float:
    """In units of one block over all clips of the window."""
    seen = 0

    def count(_: object, inputs: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += len(inputs[0])

    handles = [
        block.norm1.register_forward_pre_hook(count) for block in model.backbone.blocks.values()
    ]
    with torch.inference_mode():
        skipped_features(model, frames, skips)
    for handle in handles:
        handle.remove()
    clips = frames.shape[0] * frames.shape[1] // model.config.backbone.clip_frames
    return seen / clips


def test_prefixes_are_computed_once(make_detector: MakeDetector, batch: Batch) -> None:
    model, depth = make_detector(), 5
    singles = [frozenset({i}) for i in range(depth)]
    pairs = [frozenset(p) for p in combinations(range(depth), 2)]
    growing = [frozenset(range(n)) for n in range(1, depth)]
    count = {
        name: count_block_evaluations(model, batch.frames, skips)
        for name, skips in {"singles": singles, "pairs": pairs, "growing": growing}.items()
    }
    # a share of 1/2 + 1/L of the naive L (L - 1)
    assert count["singles"] == (depth - 1) * (depth + 2) / 2
    # by block: the whole pairs before it, single blocks and none that can still become a pair
    assert count["pairs"] == (0 + 0 + 1) + (0 + 1 + 1) + (1 + 2 + 1) + (3 + 3 + 0) + (6 + 0 + 0)
    assert count["growing"] == 4 + 3 + 2 + 1


def test_unknown_blocks_and_no_sets_are_refused(make_detector: MakeDetector, batch: Batch) -> None:
    model = make_detector(kept=(0, 2, 4))
    with pytest.raises(ValueError, match=r"blocks \[1\] cannot be skipped"):
        skipped_features(model, batch.frames, [frozenset({0}), frozenset({1})])
    with pytest.raises(ValueError, match="at least one set"):
        skipped_features(model, batch.frames, [])


def test_the_clips_that_a_criterion_costs_are_counted(
    make_detector: MakeDetector, batch: Batch
) -> None:
    """Of two blocks each is left out once: either runs for one of the candidates."""
    counted = runpy.run_path(str(ROOT / "benchmarks/criteria.py"))["counted"]
    model = make_detector(kept=(0, 1))
    with counted() as clips, torch.inference_mode():
        skipped_features(model, batch.frames, [Skip({0}), Skip({1})])
    windows, frames = batch.frames.shape[:2]
    assert sum(clips) == 2 * windows * frames // model.backbone.geometry.clip_frames
