"""A small dataset on disk, and what several processes do with it."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from dataset_files import write_video
from training_small import DETECTOR, RUNTIME, WINDOW

from tad_blockdrop.config import DataConfig, EvaluationConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset

LENGTHS = {"a": 40, "b": 16, "c": 25, "d": 90, "e": 33, "held": 40, "seen": 20}  # samples
SPLITS = {"held": "holdout", "seen": "test"}
CLASSES = ("run", "jump")


@pytest.fixture(scope="session")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Five short videos to learn from, one to rate on, one to test on; batches cross videos."""
    folder = tmp_path_factory.mktemp("videos")
    rows = [
        {
            "video_id": name, "split": SPLITS.get(name, "train"), "n_samples": length,
            "path": str(write_video(folder / f"{name}.mp4", length / 10)),
            "rate": 10.0, "duration": length / 10, "listed": 5, "start": 0.0,
        }
        for name, length in LENGTHS.items()
    ]  # fmt: skip
    instances = [(name, "run", "run", 0.3, 0.9) for name in LENGTHS]
    instances += [(name, "jump", "jump", 1.0, 1.5) for name in LENGTHS]
    columns = ["video_id", "label", "category", "start", "end"]
    dataset = ActionDataset(pd.DataFrame(rows), pd.DataFrame(instances, columns=columns), CLASSES)
    data = DataConfig(every=1, window=WINDOW.model_copy(update={"overlap": 0.5}), proxy=None)
    # The segments of a model that has not learned overlap little.
    evaluation = EvaluationConfig(batch=3, tious=(0.05,), score_tious=(0.05, 0.1))
    return Evaluator(dataset, data, evaluation, Runtime(RUNTIME))


@pytest.fixture
def model(evaluator: Evaluator) -> Detector:
    """The same each time; its detections do not depend on the prior alone."""
    torch.manual_seed(0)
    detector = Detector(DETECTOR, len(CLASSES), evaluator.data.window)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return detector.eval()


def with_devices(evaluator: Evaluator, devices: int) -> Evaluator:
    """The evaluator with so many devices, more than this machine may have."""
    runtime = Runtime(RUNTIME)
    runtime.devices = devices
    return replace(evaluator, runtime=runtime)
