"""The example with numpy and onnxruntime alone finds what the package finds."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opinions import opinionated

from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detections.pooling import VideoPool
from tad_blockdrop.detector.model import from_checkpoint, weights_of
from tad_blockdrop.export.bundle import write_export
from tad_blockdrop.export.sidecar import ONNX_FILE, SIDECAR_FILE, sidecar
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE
from tad_blockdrop.pipelines.export.nodes import export_model
from tad_blockdrop.video.windows.cutting import VideoRecord, grid_mask
from tad_blockdrop.video.windows.cutting import test_windows as windows_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_onnx.py"


def expected_rows(checkpoint, frames, rate):
    n = len(frames)
    video = VideoRecord("v", "", n, rate, n / rate, np.empty((0, 2)), np.empty(0, np.int64))
    pool = VideoPool([video], checkpoint.classes, checkpoint.window, checkpoint.postprocess)
    model = from_checkpoint(checkpoint)
    for window in windows_of(video, checkpoint.window, checkpoint.window.overlap):
        pixels = torch.from_numpy(frames[window.samples])[None]
        mask = torch.from_numpy(grid_mask(window.n_valid, checkpoint.window))[None]
        with torch.inference_mode():
            pool.add([window], model(pixels, mask))
    return pool.detections()


def run_example(folder, checkpoint, exported, frames, rate):
    """The finished process of the example for ``frames``."""
    about = sidecar(checkpoint, from_checkpoint(checkpoint).backbone)
    write_export(replace(exported, sidecar=about), folder / "export")
    frames.tofile(folder / "frames.rgb")
    return subprocess.run(
        [sys.executable, EXAMPLE, "export", "frames.rgb", str(rate)],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def printed_rows(folder, checkpoint, exported, frames, rate):
    """What the example prints for ``frames``: (start, end, score, class name)."""
    done = run_example(folder, checkpoint, exported, frames, rate)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(*map(float, numbers), label) for *numbers, label in lines]


@pytest.mark.parametrize("kind", ["sliding", "resize"])
@pytest.mark.parametrize("length", [1, 20, 75])
def test_it_finds_what_the_package_finds(kind, length, checkpoint, exported, tmp_path):
    checkpoint = replace(
        checkpoint,
        window=checkpoint.window.model_copy(update={"kind": kind}),
        metrics={"operating_point": dict.fromkeys(checkpoint.classes, 1e-9)},
    )
    frames = np.random.default_rng(length).integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)
    found = printed_rows(tmp_path, checkpoint, exported, frames, 12.5)
    expected = expected_rows(checkpoint, frames, 12.5)
    assert len(expected) > 0
    assert [row[3] for row in found] == expected["label"].tolist()
    numbers = np.array([row[:3] for row in found])
    assert numbers == pytest.approx(expected[["start", "end", "score"]].to_numpy(), abs=6e-3)


@pytest.mark.parametrize("kind", ["sliding", "resize"])
def test_it_votes_as_the_package_does(kind, checkpoint, tmp_path):
    """Of a model of one class, which voting is for."""
    model = opinionated(checkpoint.detector, 1, checkpoint.window, (0, 2), spread=0.2)
    one = replace(
        checkpoint,
        weights=weights_of(model),
        classes=("action",),
        window=checkpoint.window.model_copy(update={"kind": kind}),
        postprocess=checkpoint.postprocess.model_copy(update={"voting_tiou": 0.5}),
        metrics={"operating_point": {"action": 1e-9}},
    )
    frames = np.random.default_rng(75).integers(0, 256, (75, 16, 16, 3), dtype=np.uint8)
    found = printed_rows(tmp_path, one, export_model(one, ExportConfig()), frames, 12.5)
    expected = expected_rows(one, frames, 12.5)[["start", "end", "score"]].to_numpy()
    numbers = np.array([row[:3] for row in found])
    assert numbers == pytest.approx(expected, abs=6e-3)
    without = replace(one, postprocess=checkpoint.postprocess)
    plain = expected_rows(without, frames, 12.5)[["start", "end", "score"]].to_numpy()
    assert np.abs(plain - expected).max() > 0.1, "voting matters here"


def test_it_shows_what_the_operating_points_keep(checkpoint, exported, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    every = expected_rows(checkpoint, frames, 10.0)
    middle = float(every["score"][every["label"] == "run"].median()) + 1e-6
    points = {"run": middle, "jump": None, "swim": 1.0}
    checkpoint = replace(checkpoint, metrics={"operating_point": points})
    found = printed_rows(tmp_path, checkpoint, exported, frames, 10.0)
    limits = every["label"].map({"run": middle, "jump": DEFAULT_SCORE, "swim": 1.0})
    kept = every[every["score"] >= limits]
    assert 0 < len(kept) < len(every)
    assert [row[3] for row in found] == kept["label"].tolist()


def test_frames_at_another_rate_than_the_model_takes_are_refused(checkpoint, exported, tmp_path):
    frames = np.zeros((20, 16, 16, 3), np.uint8)
    model = replace(checkpoint, every=None, fps=10.0)
    for folder in ("wrong", "right"):
        (tmp_path / folder).mkdir()
    done = run_example(tmp_path / "wrong", model, exported, frames, 25)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model takes 10 frames a second of any video, not 25" in done.stderr
    assert run_example(tmp_path / "right", model, exported, frames, 10).returncode == 0


def test_it_is_short_and_needs_numpy_and_onnxruntime_alone():
    _docstring, *statements = ast.parse(EXAMPLE.read_text(encoding="utf-8")).body
    assert statements[-1].end_lineno - statements[0].lineno < 50
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in statements
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def test_the_image_holds_what_the_example_needs():
    """There is no Docker here: its files are looked at, and its command is run with their paths."""
    folder = EXAMPLE.parent
    lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    assert [word for word, _ in steps] == ["FROM", "RUN", "COPY", "COPY", "USER", "ENTRYPOINT"]
    (_, *from_model, model), (example, placed) = (steps[row][1].split() for row in (2, 3))
    assert set(from_model) == {ONNX_FILE, SIDECAR_FILE}
    assert (folder / example) == EXAMPLE
    command = json.loads(steps[-1][1])
    assert command == ["python", placed, model.rstrip("/")]
    needed = set(re.findall(r"^import (\w+)", EXAMPLE.read_text(), re.MULTILINE))
    installed = set(re.findall(r'"(\w+)[>=]', steps[1][1]))
    assert needed - set(sys.stdlib_module_names) == installed
