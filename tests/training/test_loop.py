"""The training loop: what it optimises, what it leaves in the model, what it reports."""

import math
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from training_small import (
    RUNTIME,
    NoiseWindows,
    SmallLoss,
    detector,
    same_bits,
    train_config,
    weights,
)

from tad_blockdrop.config import RuntimeConfig, TrainConfig
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.training import loop
from tad_blockdrop.training.ema import Ema
from tad_blockdrop.training.loop import Loss, Plan, Validate, train
from tad_blockdrop.training.state import TrainingError
from tad_blockdrop.video.windows.batches import Batch

# Gradients near 64 times this pass fp32's largest number, 2^128, until it was halved repeatedly.
SCALE = 2.0**127


def run(
    model: nn.Module,
    loss: Loss | None = None,
    config: TrainConfig | None = None,
    runtime: RuntimeConfig = RUNTIME,
    validate: Validate | None = None,
    windows: int = 5,
) -> pd.DataFrame:
    """Train with small settings."""
    loss = loss or SmallLoss(model)
    config = config or train_config()
    plan = Plan(config, Runtime(runtime), "test", validate=validate)
    return train(model, loss, NoiseWindows(windows), plan)


class Quadratic(nn.Module):
    """Weights pulled to the mean pixel of a batch: gradients that are easy to compute by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.zeros(4))

    def pull(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        goal = batch.frames.float().mean(dim=(1, 2, 3, 4)) / 255
        return {"total": (self.point - goal[:, None]).square().sum(1).mean()}


def test_training_reduces_the_loss() -> None:
    history = run(detector(), config=train_config(epochs=25, stop=20, ema=0.5))
    assert history["total"].iloc[-1] < 0.6 * history["total"].iloc[0]


def test_waiting_for_data_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def advice(waited: float, whole: float, workers: int, quicker: str) -> str | None:
        asked.append((0 <= waited <= whole, workers, quicker))
        return "too slow" if len(asked) > 1 else None

    monkeypatch.setattr(loop, "waiting_advice", advice)
    monkeypatch.setattr(NoiseWindows, "quicker", "louder")
    run(detector(), config=train_config(epochs=4, stop=4))
    assert asked == [(True, RUNTIME.workers, "louder")] * 4
    told = [r.getMessage() for r in caplog.records if "too slow" in r.getMessage()]
    assert told == ["test: too slow"]


def test_history() -> None:
    config = train_config(epochs=8, stop=3, warmup=2)
    history = run(detector(), config=config)
    assert list(history["epoch"]) == [1, 2, 3]
    assert list(history["steps"]) == [3, 6, 9]
    # Warm-up over 6 steps, so step 5 (the last of epoch 2) has the full rate; then the cosine.
    rate = 0.01 * (1 + math.cos(math.pi * (8 - 6) / (24 - 6))) / 2
    assert list(history["lr_detector"]) == pytest.approx([0.01 * 2 / 5, 0.01, rate], rel=1e-4)
    assert list(history["lr_backbone"] * 10) == pytest.approx(list(history["lr_detector"]), 1e-4)
    assert list(history["total"]) == pytest.approx(list(history["cls"] + history["reg"]))
    assert (history["grad_norm"] > 0).all()


def test_loss_sees_fractional_epochs() -> None:
    seen: list[float] = []
    model = Quadratic()

    def loss(batch: Batch, epoch: float) -> dict[str, Tensor]:
        seen.append(epoch)
        return model.pull(batch, epoch)

    run(model, loss, train_config(stop=2), windows=4)
    assert seen == [0, 0.5, 1, 1.5]


def test_accumulated_batches_equal_one_large_batch() -> None:
    results = []
    for batch, accumulate in ((4, 1), (1, 4), (2, 2)):
        model = Quadratic()
        config = train_config(batch=batch, accumulate=accumulate)
        results.append((run(model, model.pull, config, windows=8), model.point.detach()))
    for history, point in results[1:]:
        torch.testing.assert_close(point, results[0][1])
        assert list(history["steps"]) == [2, 4, 6, 8]
        assert list(history["grad_norm"]) == pytest.approx(list(results[0][0]["grad_norm"]))


def test_incomplete_last_step_weighs_its_batches_fully() -> None:
    gradients = []
    for accumulate in (3, 2):  # the 2 batches are short of a step, or make a whole one
        model = Quadratic()
        history = run(model, model.pull, train_config(accumulate=accumulate, stop=1), windows=4)
        gradients.append(history["grad_norm"].item())
    assert gradients[0] == pytest.approx(gradients[1])


def test_gradients_are_clipped() -> None:
    model = Quadratic()
    with torch.no_grad():
        model.point += 1000
    seen: list[float] = []
    handle = register_optimizer_step_pre_hook(
        lambda *_: seen.append(model.point.grad.norm().item())  # type: ignore[union-attr]
    )
    history = run(model, model.pull, train_config(clip_norm=0.5))
    handle.remove()
    assert history["grad_norm"].iloc[0] > 1000
    assert seen == pytest.approx([0.5] * len(seen), rel=1e-4)


def test_model_ends_with_the_averaged_weights() -> None:
    model = Quadratic()
    average = model.point.detach().clone()
    updates = 0

    def follow(*_: Any) -> None:
        nonlocal average, updates
        average = 0.6 * average + 0.4 * model.point.detach()
        updates += 1

    handle = register_optimizer_step_post_hook(follow)
    run(model, model.pull, train_config(lr_detector=0.1, ema=0.6, warmup=0), windows=8)
    handle.remove()
    assert updates == 16
    torch.testing.assert_close(model.point.detach(), average)
    assert not model.training


def test_frozen_weights_do_not_move() -> None:
    model = detector()
    model.backbone.requires_grad_(False)
    before = weights(model)
    run(model)
    moved = {name for name, value in weights(model).items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("backbone.") for name in moved)


def test_best_epoch_by_validation_wins_and_nan_never_does() -> None:
    metrics = [0.2, 0.7, math.nan, 0.7]
    shown: list[dict[str, Tensor]] = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        shown.append(weights(model))
        return metrics[len(shown) - 1]

    model = detector()
    history = run(model, validate=validate)
    assert history["metric"].tolist() == pytest.approx(metrics, nan_ok=True)
    assert same_bits(weights(model), shown[1])
    assert not same_bits(shown[1], shown[3])


def test_ratings_every_few_epochs_end_with_the_last() -> None:
    shown: list[dict[str, Tensor]] = []

    def validate(model: nn.Module) -> float:
        shown.append(weights(model))
        return -float(len(shown))

    model = detector()
    history = run(model, validate=validate, config=train_config(stop=4, rate_every=3))
    assert history["metric"].tolist() == pytest.approx([-1, math.nan, math.nan, -2], nan_ok=True)
    assert same_bits(weights(model), shown[0])


def test_the_last_epoch_is_kept_unrated_where_that_is_asked_for() -> None:
    def validate(model: nn.Module) -> float:
        raise AssertionError("nothing to choose, so nothing to rate")

    plain, model = detector(), detector()
    run(plain)
    history = run(model, validate=validate, config=train_config(keep="last"))
    assert "metric" not in history
    assert same_bits(weights(model), weights(plain))


def test_without_a_finite_metric_the_last_average_stays() -> None:
    plain, judged = detector(), detector()
    run(plain)
    run(judged, validate=lambda _: math.nan)
    assert same_bits(weights(plain), weights(judged))


def test_workers_do_not_change_the_result() -> None:
    alone, helped = detector(), detector()
    history = run(alone)
    with_help = run(helped, runtime=RUNTIME.model_copy(update={"workers": 2}))
    pd.testing.assert_frame_equal(history, with_help, check_exact=True)
    assert same_bits(weights(alone), weights(helped))


def test_seed_changes_the_result() -> None:
    one, other = detector(), detector()
    run(one)
    run(other, runtime=RUNTIME.model_copy(update={"seed": 4}))
    assert not same_bits(weights(one), weights(other))


def test_bf16_trains() -> None:
    history = run(detector(), runtime=RUNTIME.model_copy(update={"precision": "bf16"}))
    full = run(detector())
    assert history["total"].iloc[0] == pytest.approx(full["total"].iloc[0], rel=0.05)
    assert history["total"].iloc[0] != full["total"].iloc[0]


@pytest.mark.parametrize("spoiled", ["loss", "gradient"])
def test_non_finite_numbers_stop_the_run_and_name_the_videos(spoiled: str) -> None:
    model = Quadratic()
    named: list[str] = []

    def loss(batch: Batch, epoch: float) -> dict[str, Tensor]:
        total = model.pull(batch, epoch)["total"]
        if epoch >= 1.5:
            named.extend(batch.names)
            if spoiled == "loss":
                total = total * math.inf
            else:  # finite value, infinite slope
                total = total + (model.point - model.point.detach()).abs().sqrt().sum()
        return {"total": total}

    with pytest.raises(TrainingError) as caught:
        run(model, loss, windows=4)
    message = str(caught.value)
    assert f"the {spoiled} is not finite" in message
    assert "epoch 2, step 2 of 2" in message
    assert len(named) == 2
    assert all(video in message for video in named)
    assert torch.isfinite(model.point).all()


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """fp16 on this CPU with a loss scale that overflows for some steps (GPUs do it like that)."""

    original = Runtime.accelerator

    def make(runtime: Runtime) -> Accelerator:
        accelerator = original(runtime)
        accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
        return accelerator

    monkeypatch.setattr(Runtime, "accelerator", make)


@pytest.mark.usefixtures("overflowing")
def test_overflowing_fp16_steps_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Quadratic()
    seen: list[Tensor] = []
    averaged: list[Tensor] = []
    update = Ema.update

    def watch(ema: Ema) -> None:
        averaged.append(model.point.detach().clone())
        update(ema)

    monkeypatch.setattr(Ema, "update", watch)

    def loss(batch: Batch, epoch: float) -> dict[str, Tensor]:
        seen.append(model.point.detach().clone())
        return {"total": 64 * model.pull(batch, epoch)["total"]}

    history = run(model, loss, train_config(warmup=0, lr_detector=0.1), windows=8)
    moved = [not torch.equal(a, b) for a, b in pairwise(seen)]
    assert moved == sorted(moved)  # skipped at first, then never again
    assert 2 < sum(moved) < len(moved) - 2
    assert len(averaged) == sum(moved) + 1, "the average stays at skipped steps; the last is none"
    assert math.isfinite(history["grad_norm"].sum())
    assert 0 < model.point.mean() < 0.6


@pytest.mark.usefixtures("overflowing")
def test_endless_overflow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MAX_OVERFLOWS", 2)
    model = Quadratic()

    def loss(batch: Batch, epoch: float) -> dict[str, Tensor]:
        return {"total": 64 * model.pull(batch, epoch)["total"]}

    with pytest.raises(TrainingError, match=r"gradient is not finite.*epoch 1, step 2 of 4"):
        run(model, loss, windows=8)
