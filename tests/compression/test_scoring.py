"""Scores equal those of building, running and rating every shortened model by itself."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import pytest
import torch
from given_batches import GivenBatches
from hypothesis import given
from hypothesis import strategies as st
from shortening import without
from torch.nn import functional

from tad_blockdrop.compression.criteria import (
    CRITERIA,
    CriterionError,
    choose_criterion,
    find_criterion,
)
from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.compression.criteria.gathering import Sums
from tad_blockdrop.compression.criteria.per_gain import PerGain
from tad_blockdrop.compression.dropping import ScoringError, choose_block
from tad_blockdrop.compression.ranking import candidate_skips, rank, score_blocks
from tad_blockdrop.compression.refitting import fitted_clips
from tad_blockdrop.compression.repair import calibration_clips, feature_error, repair_model
from tad_blockdrop.compression.skipping import Skip
from tad_blockdrop.config import CompressConfig, RepairConfig, TargetConfig
from tad_blockdrop.detections.losses import DetectionLoss
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detections.task import DetectionTask, instances_of
from tad_blockdrop.detector.model import Detector, evaluating
from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.video.windows.batches import Batch

MakeDetector = Callable[..., Detector]


@pytest.fixture
def loader(batch: Batch) -> Any:
    """A window at a time, as a loader gives them."""
    parts = ("frames", "mask", "segments", "labels", "windows")
    return GivenBatches(
        [
            replace(batch, **{name: getattr(batch, name)[i : i + 1] for name in parts})
            for i in range(2)
        ]
    )


def values(
    criterion: str, model: Detector, skips: Sequence[Skip], task: DetectionTask, loader: Any
) -> Mapping[Skip, float]:
    with evaluating(model):
        given = Candidates(skips, task, loader, None, model, RepairConfig(layers="all"))
        return find_criterion(criterion).score(model, given)


def test_precisions_are_those_of_the_shortened_models(
    make_detector: MakeDetector, loader: Any, task: DetectionTask
) -> None:
    model = make_detector(kept=(0, 1, 3, 4))
    skips = candidate_skips(model.kept_blocks, look_ahead=2)
    found = values("train_map", model, skips, task, loader)
    for skip in skips:
        detections = detect(
            without(model, skip), loader, task.records, task.classes, task.evaluation.postprocess
        )
        table = average_precision(
            detections,
            instances_of(task.records, task.classes),
            ["a", "b"],
            task.evaluation.score_tious,
        )
        assert found[skip] == pytest.approx(100 * average_map(table), abs=1e-6)
    assert len(set(found.values())) > 3  # the blocks differ, or the test shows nothing


def test_losses_are_those_of_one_batch_with_all_windows(
    make_detector: MakeDetector, loader: Any, batch: Batch, task: DetectionTask
) -> None:
    model = make_detector()
    skips = candidate_skips(model.kept_blocks, look_ahead=1)
    found = values("train_loss", model, skips, task, loader)
    for skip in skips:
        with torch.no_grad():
            output = without(model, skip)(batch.frames, batch.mask)
        terms = DetectionLoss(model.config.head)(output, batch, training=False).terms
        assert found[skip] == pytest.approx((terms["cls"] + terms["reg"]).item(), rel=1e-5)


def test_block_changes_are_mean_squares_of_what_a_block_adds(
    make_detector: MakeDetector, loader: Any, batch: Batch, task: DetectionTask
) -> None:
    model = make_detector(kept=(0, 2, 3))
    found = values("block_mse", model, candidate_skips((0, 2, 3), 1), task, loader)
    with torch.no_grad():
        outputs = model(batch.frames, batch.mask, (0, 2, 3)).blocks
        before = model.backbone.embed(batch.frames)
    assert list(found) == [Skip({index}) for index in (0, 2, 3)]
    for index in (0, 2, 3):
        expected = (outputs[index] - before).square().mean().item()
        assert found[Skip({index})] == pytest.approx(expected)
        before = outputs[index]


@pytest.mark.parametrize(
    ("criterion", "look_ahead"),
    [("train_map", 1), ("train_map", 2), ("train_loss", 1), ("train_loss", 2), ("block_mse", 1)],
)
def test_score_blocks_ranks_every_block_and_leaves_the_model_as_it_was(
    make_detector: MakeDetector,
    loader: Any,
    task: DetectionTask,
    criterion: str,
    look_ahead: int,
) -> None:
    model = make_detector(kept=(0, 1, 3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    compress = CompressConfig(criterion=criterion, look_ahead=look_ahead)
    table = score_blocks(model, loader, task, compress)
    assert list(table.columns) == ["block", "criterion", "value", "alone", "rank"]
    assert sorted(table["block"]) == [0, 1, 3]
    assert list(table["rank"]) == [1, 2, 3]
    assert set(table["criterion"]) == {criterion}
    ascending = table["value"].is_monotonic_increasing
    assert table["value"].is_monotonic_decreasing if criterion == "train_map" else ascending
    assert look_ahead == 2 or (table["alone"] == table["value"]).all()
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("criterion", ["block_mse", "cosine"])
def test_leaving_nothing_out_changes_nothing(
    make_detector: MakeDetector, loader: Any, task: DetectionTask, criterion: str
) -> None:
    """With ``compress.target`` the model as it is is rated, too."""
    model = make_detector()
    skips = candidate_skips(model.kept_blocks, look_ahead=1)
    alone = values(criterion, model, skips, task, loader)
    assert values(criterion, model, [Skip(), *skips], task, loader) == {Skip(): 0.0, **alone}


def test_sums_of_which_one_lacks_a_part_are_not_kept() -> None:
    sums = Sums(["a", "b"])
    sums.add("b", 1.0)
    with pytest.raises(AssertionError):
        sums.state()
    sums.add("a", 2.0)
    assert sums.state()["sums"].tolist() == [[2.0], [1.0]]


def test_cosine_is_blind_to_the_size_of_tokens(
    make_detector: MakeDetector, loader: Any, batch: Batch, task: DetectionTask
) -> None:
    model = make_detector(kept=(0, 2, 3))
    found = values("cosine", model, candidate_skips((0, 2, 3), 1), task, loader)
    with torch.no_grad():
        outputs = model(batch.frames, batch.mask, (0, 2, 3)).blocks
        tokens = [model.backbone.embed(batch.frames), *outputs.values()]
    for index, (before, after) in zip((0, 2, 3), pairwise(tokens), strict=True):
        a, b = (functional.normalize(x, dim=-1) for x in (before, after))
        assert found[Skip({index})] == pytest.approx(float((1 - (a * b).sum(-1)).mean()), rel=1e-5)


def test_the_gap_error_is_what_a_repair_leaves(
    make_detector: MakeDetector, loader: Any, task: DetectionTask
) -> None:
    model = make_detector()
    found = values("gap_error", model, candidate_skips(model.kept_blocks, 1), task, loader)
    clips = calibration_clips(model, loader, RepairConfig().clips)
    assert math.isnan(found[Skip({0})])
    for index in (1, 2, 3, 4):
        table = repair_model(
            without(model, {index}), model, clips, RepairConfig(layers="gap", donors=0)
        )
        assert found[Skip({index})] == pytest.approx(table["after"].iloc[0], rel=1e-5)
    assert len(set(found.values())) == 5


def test_repaired_candidates_are_rated_as_the_models_they_become(
    make_detector: MakeDetector, loader: Any, task: DetectionTask
) -> None:
    model = make_detector()
    skips = candidate_skips(model.kept_blocks, look_ahead=2)
    clips = calibration_clips(model, loader, RepairConfig().clips)
    judging = clips[fitted_clips(len(clips)) :]
    features = values("repaired_features", model, skips, task, loader)
    precisions = values("repaired_map", model, skips, task, loader)
    for skip in skips[::3]:
        shorter = without(model, skip)
        repair_model(shorter, model, clips, RepairConfig(layers="all"))
        with evaluating(shorter):
            assert features[skip] == pytest.approx(feature_error(shorter, model, judging), rel=1e-6)
        found = detect(shorter, loader, task.records, task.classes, task.evaluation.postprocess)
        truth = instances_of(task.records, task.classes)
        table = average_precision(found, truth, ["a", "b"], task.evaluation.score_tious)
        assert precisions[skip] == pytest.approx(100 * average_map(table), abs=1e-6)
    assert len(set(features.values())) == len(skips)


def test_only_candidates_are_ranked(
    make_detector: MakeDetector, loader: Any, task: DetectionTask
) -> None:
    """With the values that they have among all."""
    model = make_detector()
    every = score_blocks(model, loader, task, CompressConfig(criterion="train_loss"))
    some = CompressConfig.model_validate(
        {"criterion": "train_loss", "candidates": "3 1", "n_drops": 2}
    )
    found = score_blocks(model, loader, task, some)
    assert found["block"].tolist() == [b for b in every["block"] if b in (1, 3)]
    wanted = every.set_index("block")["value"]
    assert found["value"].tolist() == pytest.approx([wanted[b] for b in found["block"]], rel=1e-6)
    assert found["rank"].tolist() == [1, 2]


def test_looking_ahead_by_block_mse_is_refused_before_any_work() -> None:
    with pytest.raises(CriterionError, match=r"set compress\.look_ahead to 1"):
        choose_criterion(CompressConfig(criterion="block_mse", look_ahead=2))


@pytest.mark.parametrize("criterion", ["gap_error", "repaired_features", "repaired_map"])
def test_criteria_of_repaired_models_need_a_repair(criterion: str) -> None:
    repaired = CompressConfig.model_validate({"criterion": criterion, "repair": "gap"})
    assert choose_criterion(repaired).name == criterion
    with pytest.raises(CriterionError, match=r"set compress\.repair to gap or all"):
        choose_criterion(CompressConfig(criterion=criterion))


def test_criteria_are_found_by_name_and_others_are_told() -> None:
    assert {c.name for c in CRITERIA} >= {"train_map", "train_loss", "block_mse"}
    assert all(find_criterion(c.name) is c for c in CRITERIA)
    with pytest.raises(CriterionError, match="there is no 'mse'; choose one of train_map, "):
        find_criterion("mse")


@pytest.mark.parametrize("target", [None, {"share": 0.5}])
@pytest.mark.parametrize("criterion", ["train_map", "repaired_map"])
def test_a_model_that_detects_nothing_cannot_be_ranked(
    make_detector: MakeDetector, loader: Any, task: DetectionTask, criterion: str, target: Any
) -> None:
    model = make_detector()
    torch.nn.init.constant_(model.head.classify.bias, -100.0)
    given = {"criterion": criterion, "repair": "gap", "target": target}
    with pytest.raises(ScoringError, match="none of the 5 candidates has a mean average precision"):
        score_blocks(model, loader, task, CompressConfig.model_validate(given))


@pytest.mark.parametrize("criterion", ["train_map", "repaired_map"])
def test_a_model_of_no_numbers_is_not_one_that_detects_nothing(
    make_detector: MakeDetector, loader: Any, task: DetectionTask, criterion: str
) -> None:
    model = make_detector()
    torch.nn.init.constant_(model.head.classify.bias, math.nan)
    compress = CompressConfig.model_validate({"criterion": criterion, "repair": "gap"})
    table = score_blocks(model, loader, task, compress)
    with pytest.raises(ScoringError, match="none of the 5 candidate blocks has a score that is a"):
        choose_block(table)


class Stated(Criterion):
    """A metric with values that a test states."""

    name, title, explanation, larger_is_better, by_metric = "stated", "mAP", "", True, True

    def __init__(self, *values: float) -> None:
        self.values = dict(zip([Skip(), *map(Skip, [[0], [1]])], values, strict=True))

    def score(self, model: Any, candidates: Any) -> Mapping[Skip, float]:
        return self.values


@pytest.mark.parametrize(
    ("values", "ranked"),
    [((9.0, 0.0, 0.0), False), ((9.0, 0.0, math.nan), False), ((0.0, 1.0, 0.0), True),
     ((0.0, math.nan, math.nan), True)],
)  # fmt: skip
def test_a_metric_that_is_0_throughout_ranks_nothing(
    values: tuple[float, ...], ranked: bool
) -> None:
    """The model as it is counts for nothing; where no value is a number, that is told later."""
    criterion, given = Stated(*values), cast(Any, None)
    if ranked:
        assert criterion.checked_score(given, given) == criterion.values
    else:
        with pytest.raises(ScoringError, match="none of the 2 candidates"):
            criterion.checked_score(given, given)


def test_prices_may_all_be_0(make_detector: MakeDetector, loader: Any) -> None:
    """No block is worth anything, of a model that detects."""
    priced = PerGain(Stated(9.0, 9.0, 9.0), TargetConfig(share=0.5))
    skips = [Skip({0}), Skip({1})]
    given = Candidates(skips, cast(Any, None), loader, None, make_detector(), RepairConfig())
    assert set(priced.checked_score(given.teacher, given).values()) == {0.0}


@pytest.mark.parametrize("criterion", ["train_map", "train_loss"])
def test_candidates_that_are_not_finite_are_never_chosen(
    make_detector: MakeDetector, loader: Any, task: DetectionTask, criterion: str
) -> None:
    """Block 3 is broken: only the model without it gives numbers."""
    model = make_detector()
    torch.nn.init.constant_(model.backbone.blocks["3"].mlp.fc1.bias, math.nan)
    compress = CompressConfig(criterion=criterion)
    table = score_blocks(model, loader, task, compress)
    assert choose_block(table).block == 3
    assert table["value"].notna().tolist() == [True, False, False, False, False]


# --- ranking ------------------------------------------------------------------------------------


def singles(*values: float) -> dict[frozenset[int], float]:
    return {frozenset({i}): value for i, value in enumerate(values)}


@pytest.mark.parametrize(
    ("criterion", "order"), [("train_map", [1, 2, 0]), ("train_loss", [0, 2, 1])]
)
def test_precision_is_maximised_and_loss_minimised(criterion: str, order: list[int]) -> None:
    assert (
        rank(singles(0.1, 0.9, 0.5), (0, 1, 2), find_criterion(criterion))["block"].tolist()
        == order
    )


@given(
    st.lists(
        st.sampled_from([0.0, 1.0, 2.0, math.nan, math.inf, -math.inf]), min_size=1, max_size=6
    ),
    st.sampled_from(["train_map", "train_loss", "block_mse"]),
)
def test_ranks_are_a_permutation_with_numbers_first(values: list[float], criterion: str) -> None:
    table = rank(singles(*values), range(len(values)), find_criterion(criterion))
    assert table["rank"].tolist() == list(range(1, len(values) + 1))
    assert sorted(table["block"]) == list(range(len(values)))
    numbers = table["value"].notna().tolist()
    assert numbers == sorted(numbers, reverse=True)
    assert sum(numbers) == sum(map(math.isfinite, values))
    for _, same in table.groupby("value", sort=False):
        assert same["block"].is_monotonic_increasing  # ties: the lowest index first


def test_looking_ahead_prefers_the_best_pair_and_in_it_the_block_that_is_worth_least() -> None:
    """Block 0 alone is the best to drop, but 1 and 2 together cost less than any pair with 0."""
    values = singles(0.9, 0.7, 0.8) | {
        frozenset({0, 1}): 0.3, frozenset({0, 2}): 0.4, frozenset({1, 2}): 0.6,
    }  # fmt: skip
    table = rank(values, (0, 1, 2), find_criterion("train_map"))
    assert table["block"].tolist() == [2, 1, 0]
    assert table["value"].tolist() == [0.6, 0.6, 0.4]
    assert table["alone"].tolist() == [0.8, 0.7, 0.9]


def test_pairs_are_candidates_only_where_a_block_would_remain() -> None:
    assert len(candidate_skips((0, 2, 5), 1)) == 3
    assert len(candidate_skips((0, 2, 5), 2)) == 3 + 3
    assert candidate_skips((0, 2), 2) == [frozenset({0}), frozenset({2})]
    assert candidate_skips((4,), 2) == [frozenset({4})]
