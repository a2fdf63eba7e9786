"""A short training on a part of the training videos: how fast and how good is a candidate here?"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tad_blockdrop.baseline.training import new_detector
from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.config import BaselineConfig, CompressConfig, Parameters
from tad_blockdrop.datasets.videos import VideoFolderDataset
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.pipelines.baseline.nodes import make_baseline
from tad_blockdrop.pipelines.data.nodes import extract_frames
from tad_blockdrop.pipelines.shared import make_evaluator
from tad_blockdrop.preflight import measuring
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.files.listing import file_name

FEWEST = 8  # training videos that are tried on, even where that takes longer
HELD_SHARE = 0.4  # held-out videos beside training videos, in seconds


@dataclass(frozen=True)
class Preparing:
    """What comes before the first epoch, in seconds for each second of video.

    ``proxies``: to extract the frames; ``features``: to run the network over them once.
    """

    proxies: float
    features: float


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate came to: ``score`` is its average mAP (percent) on held-out videos.

    None where nothing is compared. ``epoch``: seconds of an epoch on ``dataset``, the videos tried
    on, whose ``path`` is that of their proxies.
    """

    score: float | None
    epoch: float
    dataset: ActionDataset
    model: Checkpoint


def measure_preparing(dataset: ActionDataset, settings: Parameters, folder: Path) -> Preparing:
    """Extract the frames of the shortest videos into ``folder``, and run the network on some."""
    begin = time.perf_counter()
    few = with_proxies(part(dataset, 0.0), settings, folder)
    length = float(few.videos["duration"].sum())
    proxies = (time.perf_counter() - begin) / length
    Runtime(settings.runtime)  # its threads
    model = new_detector(
        settings.detector, len(dataset.classes), settings.data, settings.baseline, 0
    )
    record = measuring.choose_record(few.records("train"), settings.data)
    for _ in range(2):  # the first time is slower than all others
        seconds = measuring.measure_detection(model, record, settings).seconds
    window = settings.data.window
    return Preparing(proxies, seconds / (1 - window.overlap) * record.rate / window.frames)


def part(dataset: ActionDataset, seconds: float) -> ActionDataset:
    """Training and held-out videos of about ``seconds``, none to test on: the shortest first.

    At least ``FEWEST`` training videos with actions and two held-out ones.
    """
    shown = set(dataset.instances["video_id"])
    kept = []
    for split, share, least in (("train", 1.0, FEWEST), ("holdout", HELD_SHARE, 2)):
        rows = dataset.in_split(split).sort_values(["duration", "video_id"])
        rows = rows[rows["video_id"].isin(shown)]
        before = rows["duration"].cumsum().shift(fill_value=0.0)
        enough = before < share / (1 + HELD_SHARE) * seconds
        enough.iloc[:least] = True
        kept.append(rows[enough])
    return replace(dataset, videos=pd.concat(kept))


def try_out(
    chosen: ActionDataset, settings: Parameters, least: int, seconds: float, folder: Path
) -> Trial:
    """Train on ``chosen`` for about ``seconds``, for ``least`` epochs or more.

    ``folder`` is for its files. With 0 seconds, only long enough to know how long an epoch takes.
    """
    begin = time.perf_counter()
    proxied = with_proxies(chosen, settings, folder / "proxies")
    evaluator = make_evaluator(proxied, settings.data, settings.evaluation, settings.runtime)

    def train(epochs: int) -> tuple[float, Checkpoint]:
        begin = time.perf_counter()
        baseline = with_epochs(settings.baseline, epochs)
        _, model = make_baseline(evaluator, folder, settings.detector, baseline, CompressConfig())
        return time.perf_counter() - begin, model

    train(1)  # computes features, where the backbone is frozen
    two, model = train(2)  # another length: a second run of the same would be taken as finished
    epoch = two / 2
    score = None
    if seconds > 0:
        left = seconds - (time.perf_counter() - begin)
        epochs = max(least, min(settings.baseline.train.stop, int(left / epoch)))
        spent, model = train(epochs)
        score, epoch = model.metrics.get("holdout_average"), spent / epochs
    return Trial(score, epoch, proxied, model)


def with_epochs(baseline: BaselineConfig, epochs: int) -> BaselineConfig:
    """The same, trained for so long and rated at the end only."""
    few = {
        "epochs": float(epochs),
        "stop": epochs,
        "warmup": epochs / 20,
        "keep": "last",
    }
    return baseline.model_copy(update={"train": baseline.train.model_copy(update=few)})


def with_proxies(dataset: ActionDataset, settings: Parameters, folder: Path) -> ActionDataset:
    """Write the sampled frames of the videos; what cannot be read is left out.

    Raises BeginError if nothing is left.
    """
    data = settings.data.model_copy(update={"on_missing": "skip"})
    proxies = VideoFolderDataset(filepath=str(folder))
    proxies.save(extract_frames(dataset, data, settings.runtime))
    made = proxies.load()
    videos = dataset.videos[~dataset.videos["video_id"].isin(list(made.failed))]
    if not (videos["split"] == "train").any():
        raise BeginError("no training video can be decoded to its end: " + _reasons(made.failed))
    ids = videos["video_id"]
    videos = videos.assign(
        path=[str(folder / file_name(video, ".mp4")) for video in ids],
        content=[made.made_from[video] for video in ids],
    )
    return replace(dataset, videos=videos.drop(columns=["start", "variable_rate"]))


def _reasons(failed: Mapping[str, str]) -> str:
    return "; ".join(list(failed.values())[:3])
