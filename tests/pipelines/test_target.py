"""A goal in the place of a count: what is reached, what it costs, what is out of reach."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.compression.criteria.per_gain import PerGain
from tad_blockdrop.compression.skipping import Skip
from tad_blockdrop.compression.stopping import choose_final, stop_reason
from tad_blockdrop.config import (
    BaselineConfig,
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    PostprocessConfig,
    RepairConfig,
    RuntimeConfig,
    TargetConfig,
    TrainConfig,
    WindowConfig,
)
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.units import SubLayer
from tad_blockdrop.jobs import scoring
from tad_blockdrop.metrics.cost import count_parameters, macs
from tad_blockdrop.pipelines.baseline.nodes import find_given
from tad_blockdrop.pipelines.compress.nodes import score_blocks
from tad_blockdrop.pipelines.costs import (
    Meter,
    TargetError,
    check_target,
    find_savings,
    goal_reached,
)
from tad_blockdrop.runtime.runtime import Runtime

RUNTIME = RuntimeConfig(threads=1)
DETECTOR = DetectorConfig.model_validate(
    {
        "backbone": {"width": 16, "depth": 4, "heads": 2, "patch": 8, "mlp_ratio": 8.0},
        "pyramid": {"width": 8, "heads": 2, "levels": 1},
        "head": {"ranges": [[0, 10000]]},
    }
)
WINDOW = WindowConfig(frames=16, grid=8, crop=16, short_side=16)


def meter(measure: Any = "gmacs", **target: Any) -> Meter:
    goal = TargetConfig(measure=measure, **(target or {"share": 0.5}))
    return Meter(goal, DETECTOR, 3, WINDOW, Runtime(RUNTIME), 2)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "give one of share, amount and loss"),
        ({"share": 0.5, "loss": 1.0}, "give one of share"),
        ({"share": 1.0}, "less than 1"),
        ({"amount": 0}, "greater than 0"),
        ({"share": 0.5, "runtime": "onnx"}, "set measure to latency"),
        ({"measure": "joules", "share": 0.5}, "Input should be"),
    ],
)
def test_a_goal_that_means_nothing_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TargetConfig.model_validate(given)


@pytest.mark.parametrize("ends", [{"target": {"loss": 1.0}}, {"stop": {"max_gmacs": 1.0}}])
def test_a_last_alignment_is_not_judged_before(ends: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="rates each step as it would be used"):
        CompressConfig.model_validate({"align": "last", **ends})
    assert CompressConfig.model_validate({"align": "last", "target": {"share": 0.5}})
    assert CompressConfig.model_validate({"align": None, **ends})


def test_which_recipes_a_loop_uses() -> None:
    first, later = TrainConfig(stop=8), TrainConfig(stop=9)
    loop = CompressConfig(n_drops=3, first=first, later=later)
    assert loop.recipes == [first, later, later]
    assert loop.model_copy(update={"align": "last"}).recipes == [later]
    assert loop.model_copy(update={"align": "last"}).recipe(1) == later
    assert loop.model_copy(update={"align": None}).recipes == []


def test_when_the_goal_is_reached() -> None:
    goal = meter("parameters", share=0.7)
    assert goal_reached(goal, (0, 1, 3), range(4)) is None
    assert "compress.target is reached" in str(goal_reached(goal, (0, 1), range(4)))
    assert goal_reached(meter("parameters", loss=1.0), (0,), range(4)) is None


def test_costs_are_those_of_the_models() -> None:
    kept = (0, SubLayer(1, "mlp"), SubLayer(3, "attention"))
    twin = (SubLayer(0, "attention"), 1, SubLayer(2, "mlp"))
    whole = range(4)
    models = [whole, kept, twin]
    expected = [macs(DETECTOR, 3, WINDOW, k).total / 1e9 for k in models]
    assert meter().costs(models) == expected
    numbers = [count_parameters(DETECTOR, 3, WINDOW, k) / 1e6 for k in models]
    assert meter("parameters").costs(models) == numbers
    first, second, third = meter("latency").costs(models)
    assert first > 0
    assert second == third > 0, "measured once, as they compute the same"


def test_latency_in_onnx_runtime() -> None:
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    assert all(ms > 0 for ms in meter("latency", share=0.5, runtime="onnx").costs([(0, 1), (0,)]))


def test_what_units_save() -> None:
    """With an MLP eight times as wide it is most of a block."""
    found = find_savings(meter("parameters", share=0.6), (0, 1, 3), range(4), "sublayer")
    attention, mlp = found.gains[SubLayer(1, "attention")], found.gains[SubLayer(1, "mlp")]
    assert mlp > 3 * attention > 0
    assert found.whole - found.cost == pytest.approx((attention + mlp) / 100 * found.whole)
    assert found.goal == 0.6 * found.whole
    assert not found.reached
    assert found.missed_without(SubLayer(1, "mlp"))
    least = find_savings(meter("parameters", share=0.7), (0, 1), range(4), "sublayer")
    assert least.reached
    by_loss = find_savings(meter("parameters", loss=1.0), (0,), range(4), "sublayer")
    assert not by_loss.reached


def test_a_goal_out_of_reach_is_a_sentence() -> None:
    check_target(meter(share=0.99), range(4), CompressConfig(n_drops=1))
    three = CompressConfig(n_drops=1, unit="sublayer")
    with pytest.raises(TargetError, match=r"1 units .* at best, .*; raise compress.n_drops to \d"):
        check_target(meter(share=0.7), range(4), three)
    with pytest.raises(TargetError, match="out of reach"):
        check_target(meter(amount=1e-9), range(4), three)
    with pytest.raises(TargetError, match="already"):
        check_target(meter(amount=1e9), range(4), three)
    check_target(meter(loss=1.0), range(4), three)


def test_a_goal_is_looked_for_among_the_candidates() -> None:
    both = CompressConfig(n_drops=2, candidates=(1, 2))
    check_target(meter("parameters", share=0.7), range(4), both)
    one = CompressConfig(n_drops=1, candidates=(1, 2))
    with pytest.raises(TargetError, match=r"raise compress\.n_drops to 2"):
        check_target(meter("parameters", share=0.7), range(4), one)
    with pytest.raises(TargetError, match="out of reach"):
        check_target(meter("parameters", share=0.3), range(4), one)


def test_the_advice_is_enough() -> None:
    """As many units as it says reach the goal, and one less does not."""
    goal = meter("parameters", share=0.62)
    compress = CompressConfig(n_drops=1, unit="mlp")
    with pytest.raises(TargetError) as refused:
        check_target(goal, range(4), compress)
    needed = int(str(refused.value).partition("n_drops to ")[2].split()[0])
    check_target(goal, range(4), compress.model_copy(update={"n_drops": needed}))
    with pytest.raises(TargetError):
        check_target(goal, range(4), compress.model_copy(update={"n_drops": needed - 1}))


def test_it_is_found_before_any_work() -> None:
    data = DataConfig(every=1, window=WINDOW)
    compress = CompressConfig(n_drops=1, target=TargetConfig(share=0.3))
    with pytest.raises(TargetError, match="1 units"):
        find_given(BaselineConfig(), DETECTOR, data, compress, RUNTIME, EvaluationConfig())


@pytest.mark.parametrize("after", [5.0, 5.1, float("nan")])
@pytest.mark.parametrize("goal", [{"share": 0.5}, {"loss": 1.0}])
def test_what_saves_nothing_is_refused_at_once_and_ends_no_job(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    goal: dict[str, float],
    after: float,
) -> None:
    """A measurement may be noise, and a machine may have no such count."""

    def measure(self: Meter, models: list[Any]) -> list[float]:
        return [5.0, *(after for _ in models[1:])]

    monkeypatch.setattr(Meter, "_measure", measure)
    with pytest.raises(TargetError, match=r"saves no memory here \(5 MiB before"):
        check_target(meter("memory", **goal), range(4), CompressConfig(n_drops=2))
    found = find_savings(meter("memory", **goal), range(4), range(4), "block")
    assert not any(gain > 0 for gain in found.gains.values())
    assert "no unit was measured to save memory" in caplog.text


class Given(Criterion):
    """Values that a test states."""

    name, title, explanation = "given", "mAP", ""

    def __init__(self, larger_is_better: bool, values: Mapping[Skip, float]) -> None:
        self.larger_is_better, self.values = larger_is_better, values

    def score(self, model: Any, candidates: Candidates) -> Mapping[Skip, float]:
        return {skip: self.values[skip] for skip in candidates.skips}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_units_are_rated_by_what_is_lost_for_what_is_gained(sign: float) -> None:
    values = {Skip(): 70.0, Skip({0}): 66.0, Skip({1}): 68.0, Skip({2}): 71.0, Skip({0, 1}): 60.0}
    gains = {0: 4.0, 1: 1.0, 2: 3.0}
    criterion = Given(sign > 0, {skip: sign * value for skip, value in values.items()})
    skips = [skip for skip in values if skip]
    given = Candidates(skips, None, None, None, None, RepairConfig(), gains)  # type: ignore[arg-type]
    found = PerGain(criterion, TargetConfig(share=0.5)).score(None, given)  # type: ignore[arg-type]
    assert found == {Skip({0}): 1.0, Skip({1}): 2.0, Skip({2}): -3.0, Skip({0, 1}): 2.0}
    noise = replace(given, gains=dict.fromkeys(gains, -0.1))
    found = PerGain(criterion, TargetConfig(share=0.5)).score(None, noise)  # type: ignore[arg-type]
    assert found == {Skip({0}): 4.0, Skip({1}): 2.0, Skip({2}): -1.0, Skip({0, 1}): 5.0}


def test_the_criterion_follows_the_target() -> None:
    target = TargetConfig(measure="latency", share=0.5)
    criterion = choose_criterion(CompressConfig(target=target))
    assert (criterion.name, criterion.larger_is_better) == ("train_map/latency", False)
    assert choose_criterion(CompressConfig()).name == "train_map"


def checkpoint(step: int, average: float) -> Checkpoint:
    return Checkpoint(
        {}, DETECTOR, (0,), ("run",), WINDOW, 1, None, PostprocessConfig(),
        {"step": step, "skipped": None}, {"holdout_average": average, "gmacs": 1.0},
    )  # fmt: skip


@pytest.mark.parametrize(("limit", "scored"), [(1e9, False), (1e-6, True)])
def test_an_uncompressed_model_that_is_fast_enough_loses_nothing(
    limit: float, scored: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By what is measured here, not by what a checkpoint states of another machine."""
    torch.manual_seed(0)
    model = Detector(DETECTOR, 1, WINDOW)
    stated = {"gmacs": 1.0, "latency_ms": 1e-7 if scored else 1e10}
    whole = replace(
        checkpoint(0, 70.0), weights=weights_of(model), kept_blocks=model.kept_units, metrics=stated
    )
    table = pd.DataFrame({"block": [1]})
    monkeypatch.setattr(scoring, "score_blocks", lambda *given: table)
    videos = SimpleNamespace(classes=("run",), records=lambda _: [], coverage=lambda _: "none")
    here: Any = SimpleNamespace(
        dataset=videos, runtime=Runtime(RUNTIME), evaluation=EvaluationConfig(latency_repeats=1)
    )
    compress = CompressConfig.model_validate({"n_drops": 1, "stop": {"max_latency_ms": limit}})
    assert len(score_blocks(whole, whole, here, tmp_path, compress)) == scored
    assert whole.metrics == stated


def test_a_loss_ends_the_loop_and_chooses_the_model() -> None:
    whole, good, bad = checkpoint(0, 70.0), checkpoint(1, 69.5), checkpoint(2, 68.0)
    compress = CompressConfig(target=TargetConfig(loss=1.0))
    assert stop_reason(good, whole, compress) is None
    assert "compress.target.loss 1.0" in str(stop_reason(bad, whole, compress))
    assert choose_final(whole, [good, bad], compress) is good
