"""Training by several processes, each with some clips of every batch."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from shared_gradient import work, write_gradient
from tests.jobs.conftest import CLASSES, with_devices
from training_small import DETECTOR, train_config

from tad_blockdrop.config import BaselineConfig, CompressConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector, from_checkpoint, weights_of
from tad_blockdrop.jobs import training
from tad_blockdrop.jobs.sharing import as_checkpoint, share_out
from tad_blockdrop.parallel.failures import WorkerFailedError
from tad_blockdrop.parallel.group import ALONE
from tad_blockdrop.runtime.progress import TrainingProgress
from tad_blockdrop.training.state import FILE
from tad_blockdrop.video.windows.loading import TestWindows

EPOCHS = 12


class StoppedError(Exception):
    """What ends a run in the middle."""


def checkpoint(evaluator: Evaluator, seed: int, kept: list[int] | None = None) -> Checkpoint:
    """Four clips a window, so that nine or twelve of them are shared unevenly."""
    backbone = DETECTOR.backbone.model_copy(update={"clip_frames": 4, "drop_path": 0.4})
    pyramid = DETECTOR.pyramid.model_copy(update={"drop_path": 0.2})
    config = DETECTOR.model_copy(update={"backbone": backbone, "pyramid": pyramid})
    torch.manual_seed(seed)
    return as_checkpoint(Detector(config, len(CLASSES), evaluator.data.window, kept), evaluator)


def test_the_gradient_of_a_step_is_that_of_one_process(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    """Twelve clips, three windows: shares are uneven, and of four processes one has no window."""
    given = {"student": checkpoint(evaluator, 1, [0, 2]), "teacher": checkpoint(evaluator, 2)}
    share_out(work, 2, evaluator, tmp_path, {}, **given)
    two = load_file(tmp_path / "found")
    write_gradient(tmp_path, evaluator, ALONE)
    one = load_file(tmp_path / "found")
    share_out(work, 4, evaluator, tmp_path, {}, **given)
    four = load_file(tmp_path / "found")
    assert {"loss/kd_reg", "loss/out_rel", "loss/total"} < set(one)
    for other in (two, four):
        assert set(other) == set(one)
        for name, value in one.items():
            if ".key." in name and name.endswith("bias"):  # moves all logits alike: only rounding
                assert max(value.norm(), other[name].norm()) < 1e-10, name
            else:
                assert (other[name] - value).norm() <= 1e-5 * value.norm(), name
    assert sum(float(value.norm()) > 0 for value in one.values()) > 20


def test_neck_and_head_on_a_frozen_backbone_are_shared(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    baseline = BaselineConfig(train=train_config(epochs=4, stop=4, tuning="frozen", batch=3))
    found = {}
    for devices in (1, 2):
        folder, shared = tmp_path / str(devices), with_devices(evaluator, devices)
        model = from_checkpoint(checkpoint(evaluator, 1))
        frozen = training.with_frozen_features(model, shared, folder)
        history = training.train_baseline(model, baseline, frozen, folder, "baseline")
        found[devices] = history, weights_of(model)
    assert (tmp_path / "2/shared/worker-1.log").exists()
    (history, one), (shared_history, two) = found.values()
    pd.testing.assert_frame_equal(shared_history, history, rtol=1e-4)
    moved = [name for name, value in checkpoint(evaluator, 1).weights.items()
             if not torch.equal(one[name], value)]  # fmt: skip
    assert moved
    assert not any(name.startswith("backbone.") for name in moved)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_an_alignment_of_frozen_backbones_looks_once_and_changes_neither(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by two processes, but for rounding."""
    recipe = train_config(epochs=4, stop=4, tuning="frozen", batch=3)
    compress = CompressConfig(n_drops=1, first=recipe, later=recipe)
    student, teacher = checkpoint(evaluator, 1, [0, 2]), checkpoint(evaluator, 2)
    seen, forward = [0], Detector.forward

    def watched(self, frames, *arguments, **named):
        seen[0] += len(frames)
        return forward(self, frames, *arguments, **named)

    monkeypatch.setattr(Detector, "forward", watched)
    found = {}
    for devices in (1, 2):
        model, history = training.align(
            student, teacher, with_devices(evaluator, devices), compress, 1, "step_01",
            tmp_path / str(devices),
        )  # fmt: skip
        found[devices] = history, weights_of(model)
    videos = [v for split in ("train", "holdout") for v in evaluator.dataset.records(split)]
    assert seen[0] == 2 * len(TestWindows(videos, evaluator.data, 0.5))  # here, by one process
    assert (tmp_path / "2/shared/worker-1.log").exists()
    (history, one), (shared_history, two) = found.values()
    assert {"kd_cls", "kd_reg"} < set(history.columns)
    assert "out" not in history.columns  # no block changes
    pd.testing.assert_frame_equal(shared_history, history, rtol=1e-4)
    moved = [name for name, value in student.weights.items() if not torch.equal(one[name], value)]
    assert moved
    assert not any(name.startswith("backbone.") for name in moved)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)

    def stop(self: TrainingProgress, number: int, row: dict[str, float]) -> None:
        if number == 2:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(TrainingProgress, "epoch", stop)
        with pytest.raises(StoppedError):
            training.align(student, teacher, evaluator, compress, 1, "step_01", tmp_path / "cut")
    seen[0] = 0
    model, again = training.align(
        student, teacher, evaluator, compress, 1, "step_01", tmp_path / "cut"
    )
    assert seen[0] == 0
    pd.testing.assert_frame_equal(again, history)
    assert all(torch.equal(weights_of(model)[name], value) for name, value in one.items())


def align(evaluator: Evaluator, devices: int, scratch: Path) -> tuple[Detector, pd.DataFrame]:
    """An alignment that is rated every four epochs."""
    recipe = train_config(epochs=EPOCHS, stop=EPOCHS, rate_every=4, lr_backbone=1e-4)
    compress = CompressConfig(n_drops=1, first=recipe, later=recipe)
    given = checkpoint(evaluator, 1, [0, 2]), checkpoint(evaluator, 2)
    return training.align(*given, with_devices(evaluator, devices), compress, 1, "step_01", scratch)


def test_any_number_of_processes_goes_on_from_any_other(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two, of which one is killed; then one, which is stopped; then three."""
    expected, history = align(evaluator, 1, tmp_path / "whole")
    scratch = tmp_path / "cut"

    def kill_one() -> None:
        while not (scratch / FILE).exists():
            time.sleep(0.01)
        text = (scratch / "shared" / "worker-1.log").read_text()
        found = re.search(r"rank 1 of 2 is process (\d+)", text)
        os.kill(int(found[1]), signal.SIGKILL)  # type: ignore[index]

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threading.Thread(target=kill_one).start()
    with pytest.raises(WorkerFailedError, match=r"process 1 of 2 failed .*SIGKILL.*worker-1\.log"):
        align(evaluator, 2, scratch)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers

    seen: list[int] = []

    def stop(self: TrainingProgress, number: int, row: dict[str, float]) -> None:
        seen.append(number)
        if len(seen) == 2:
            raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(TrainingProgress, "epoch", stop)
        with pytest.raises(StoppedError):
            align(evaluator, 1, scratch)
    assert 1 < seen[0] < EPOCHS

    model, resumed = align(evaluator, 3, scratch)
    assert list(resumed["epoch"]) == list(range(1, EPOCHS + 1))
    pd.testing.assert_frame_equal(resumed, history, rtol=0.02)
    assert weights_of(model).keys() == weights_of(expected).keys()
