"""Resuming: the same bits as without the interruption, and never from a wrong or broken file."""

import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.conftest import limited_files
from torch import Tensor, nn
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
from tad_blockdrop.training.loop import Plan, train
from tad_blockdrop.training.state import FILE, TrainingError
from tad_blockdrop.video.windows.batches import Batch

STEPS = 3  # batches an epoch


class InterruptionError(Exception):
    """What stops a run in these tests."""


class FailingLoss(SmallLoss):
    """Raises in its n-th call (from 0), or ``waits`` there for ever."""

    def __init__(self, model: nn.Module, call: int | None = None, waits: bool = False) -> None:
        super().__init__(model)  # type: ignore[arg-type]
        self.left, self.calls, self.waits = call, 0, waits

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """The detection loss."""
        while self.calls == self.left:
            if not self.waits:
                raise InterruptionError
            time.sleep(3600)
        self.calls += 1
        return super().forward(batch, epoch)


def liking(model: nn.Module) -> float:
    """A metric that prefers some epoch in the middle."""
    return -abs(float(model.get_parameter("head.scales").sum()) - 2)


def run(
    scratch: Path | None,
    call: int | None = None,
    waits: bool = False,
    config: TrainConfig | None = None,
    runtime: RuntimeConfig = RUNTIME,
    seed: int = 0,
) -> tuple[pd.DataFrame, dict[str, Tensor], int]:
    """Train; returns history, weights, and how many batches were trained in this call."""
    model = detector(seed)
    loss = FailingLoss(model, call, waits)
    plan = Plan(config or train_config(), Runtime(runtime), "test", scratch, liking)
    history = train(model, loss, NoiseWindows(), plan)
    return history, weights(model), loss.calls


def assert_same(
    a: tuple[pd.DataFrame, dict[str, Tensor], int], b: tuple[pd.DataFrame, dict[str, Tensor], int]
) -> None:
    pd.testing.assert_frame_equal(a[0], b[0], check_exact=True)
    assert same_bits(a[1], b[1])


@pytest.fixture(scope="module")
def whole_run() -> tuple[pd.DataFrame, dict[str, Tensor], int]:
    """The run that nothing interrupts."""
    torch.set_num_threads(1)
    return run(None)


@pytest.mark.parametrize("call", [0, 1, STEPS, 2 * STEPS + 1, 4 * STEPS - 1])
def test_interrupted_run_ends_with_the_same_bits(
    tmp_path: Path, whole_run: tuple[pd.DataFrame, dict[str, Tensor], int], call: int
) -> None:
    with pytest.raises(InterruptionError):
        run(tmp_path, call)
    torch.rand(call + 1)  # another state of the random numbers
    resumed = run(tmp_path)
    assert_same(resumed, whole_run)
    assert resumed[2] == 4 * STEPS - call // STEPS * STEPS


def test_interrupted_with_workers_and_accumulation(tmp_path: Path) -> None:
    config = train_config(accumulate=2)
    expected = run(None, config=config)
    with pytest.raises(InterruptionError):
        run(tmp_path, 4, config=config, runtime=RUNTIME.model_copy(update={"workers": 1}))
    assert_same(run(tmp_path, config=config), expected)


def test_buffers_of_the_loss_are_resumed(tmp_path: Path) -> None:
    def attempt(scratch: Path | None, call: int | None = None) -> dict[str, Tensor]:
        model = detector()
        loss = FailingLoss(model, call)
        plan = Plan(train_config(), Runtime(RUNTIME), "test", scratch)
        train(model, loss, NoiseWindows(), plan)
        return weights(loss)

    with pytest.raises(InterruptionError):
        attempt(tmp_path, 2 * STEPS)
    whole = attempt(None)
    assert whole
    assert same_bits(attempt(tmp_path), whole)


def test_finished_run_is_not_repeated(
    tmp_path: Path, whole_run: tuple[pd.DataFrame, dict[str, Tensor], int]
) -> None:
    run(tmp_path)
    again = run(tmp_path)
    assert again[2] == 0
    assert_same(again, whole_run)


@pytest.mark.parametrize("change", ["config", "seed", "weights"])
def test_state_of_another_run_is_refused(
    tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InterruptionError):
        run(tmp_path, 2 * STEPS)
    changes = {
        "config": {"config": train_config(lr_detector=0.02)},
        "seed": {"runtime": RUNTIME.model_copy(update={"seed": 9})},
        "weights": {"seed": 9},
    }[change]
    with caplog.at_level(logging.INFO):
        _, found, calls = run(tmp_path, **changes)  # type: ignore[arg-type]
    assert calls == 4 * STEPS
    assert "training starts anew" in caplog.text
    assert same_bits(found, run(None, **changes)[1])  # type: ignore[arg-type]


def test_speed_settings_may_change(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        run(tmp_path, 2 * STEPS)
    other = RUNTIME.model_copy(update={"threads": 2, "decode_timeout": 5.0})
    assert run(tmp_path, runtime=other)[2] == 2 * STEPS


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text"])
def test_damaged_state_is_recognised(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InterruptionError):
        run(tmp_path, STEPS)
    content = bytearray((tmp_path / FILE).read_bytes())
    if damage == "flipped":
        content[-100] ^= 1
    kept = {"empty": b"", "truncated": content[:-7], "flipped": content, "text": b"{}"}[damage]
    (tmp_path / FILE).write_bytes(kept)
    assert run(tmp_path)[2] == 4 * STEPS
    assert "is damaged" in caplog.text


def test_disk_full_keeps_the_last_state_and_says_what_to_do(
    tmp_path: Path, whole_run: tuple[pd.DataFrame, dict[str, Tensor], int]
) -> None:
    with pytest.raises(InterruptionError):
        run(tmp_path, 2 * STEPS)
    with (
        limited_files(20_000),
        pytest.raises(TrainingError, match=r"epoch 3 cannot be written.*free some space"),
    ):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    resumed = run(tmp_path)
    assert resumed[2] == 2 * STEPS
    assert_same(resumed, whole_run)


def _child(scratch: Path) -> None:
    # It stands for a whole run, which hears Ctrl-C; the processes that serve one do not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    torch.set_num_threads(1)
    run(scratch, 2 * STEPS - 1, waits=True)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_process_is_resumed(
    tmp_path: Path, whole_run: tuple[pd.DataFrame, dict[str, Tensor], int], number: signal.Signals
) -> None:
    child = multiprocessing.get_context("forkserver").Process(target=_child, args=(tmp_path,))
    child.start()
    while not (tmp_path / FILE).exists() and child.is_alive():
        time.sleep(0.01)
    os.kill(child.pid, number)  # type: ignore[arg-type]
    child.join()
    assert child.exitcode not in (0, None)
    resumed = run(tmp_path)
    assert 0 < resumed[2] < 4 * STEPS
    assert_same(resumed, whole_run)
