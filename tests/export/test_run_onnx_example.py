"""The example with numpy and onnxruntime alone finds what the package finds."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.evaluation.predict import VideoPool
from tad_blockdrop.export.files import write_export
from tad_blockdrop.export.sidecar import sidecar
from tad_blockdrop.video.windows import VideoRecord, grid_mask
from tad_blockdrop.video.windows import test_windows as windows_of

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "run_onnx.py"


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


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("run_onnx", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["sliding", "resize"])
@pytest.mark.parametrize("length", [1, 20, 32, 75])
def test_it_finds_what_the_package_finds(kind, length, example, checkpoint, exported, tmp_path):
    checkpoint = replace(checkpoint, window=checkpoint.window.model_copy(update={"kind": kind}))
    write_export(replace(exported, sidecar=sidecar(checkpoint)), tmp_path / "export")
    frames = np.random.default_rng(length).integers(0, 256, (length, 16, 16, 3), dtype=np.uint8)
    found = example.detect(tmp_path / "export", frames, 12.5)
    expected = expected_rows(checkpoint, frames, 12.5)
    assert len(expected) > 0
    assert [row[3] for row in found] == expected["label"].tolist()
    numbers = np.array([row[:3] for row in found])
    assert numbers == pytest.approx(expected[["start", "end", "score"]].to_numpy(), abs=1e-3)


def test_it_runs_as_its_text_says(checkpoint, exported, tmp_path):
    write_export(exported, tmp_path / "export")
    frames = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), dtype=np.uint8)
    frames.tofile(tmp_path / "frames.rgb")
    done = subprocess.run(
        [sys.executable, EXAMPLE, "export", "frames.rgb", "10"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    best = expected_rows(checkpoint, frames, 10.0).iloc[0]
    first = done.stdout.splitlines()[0].split()
    assert first == [f"{best.start:.2f}", f"{best.end:.2f}", f"{best.score:.3f}", best.label]


def test_it_needs_numpy_and_onnxruntime_alone():
    imported = {
        line.split()[1].split(".")[0]
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
