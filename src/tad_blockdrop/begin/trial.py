"""A short training on a part of the training videos: how fast and how good is a candidate here?"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tad_blockdrop.begin.choose import FEW_ACTIONS
from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.begin.split import SEED
from tad_blockdrop.config import BaselineConfig, CompressConfig, Parameters
from tad_blockdrop.datasets.videos import VideoFolderDataset
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.errors import first_lines
from tad_blockdrop.pipelines.baseline.nodes import make_baseline
from tad_blockdrop.pipelines.data.nodes import extract_frames, with_frames
from tad_blockdrop.pipelines.shared import make_evaluator
from tad_blockdrop.training.state import FILE
from tad_blockdrop.video.action_dataset import ActionDataset

FEWEST = 8  # training videos that are tried on, even where that takes longer
FEWEST_HELD = 4  # of the held-out ones, for a rating that is not chance
HELD_SHARE = 0.4  # held-out videos beside training videos, in seconds


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate came to: ``score`` is its average mAP (percent) on held-out videos.

    None where nothing is compared. ``epoch``: seconds of an epoch on all training videos.
    """

    score: float | None
    epoch: float


def extraction(dataset: ActionDataset, video_id: str, settings: Parameters) -> float:
    """Seconds on one core that the frames of a second of this video take."""
    rows = dataset.videos[dataset.videos["video_id"] == video_id]
    tasks = extract_frames(replace(dataset, videos=rows), settings.data, settings.runtime).tasks
    with TemporaryDirectory() as folder:
        for _ in range(2):  # the first time is slower than all others
            begin = time.perf_counter()
            tasks[video_id].write(Path(folder, "proxy.mp4"))
            seconds = time.perf_counter() - begin
    return seconds / float(rows["duration"].sum())


def enough(dataset: ActionDataset) -> float:
    """Seconds of video that ``part`` needs to show a class ``FEW_ACTIONS`` times on average.

    With less a frozen network cannot show what it would learn from all videos: most of its score is
    still to come, when one from scratch that sees the same few has nearly all of its own.
    """
    drawn = _drawn(dataset, "train")
    examples = drawn["video_id"].map(dataset.instances["video_id"].value_counts()).cumsum()
    least = drawn[examples.shift(fill_value=0) < FEW_ACTIONS * len(dataset.classes)]
    return math.ceil((1 + HELD_SHARE) * least["duration"].sum())


def part(dataset: ActionDataset, seconds: float) -> ActionDataset:
    """Training and held-out videos of about ``seconds``, none to test on: drawn, always the same.

    Where that would be fewer than ``FEWEST`` training videos with actions, or ``FEWEST_HELD``
    held-out ones, it is that many of the shortest.
    """
    kept = []
    for split, share, least in (("train", 1.0, FEWEST), ("holdout", HELD_SHARE, FEWEST_HELD)):
        rows = _drawn(dataset, split)
        fitting = rows[rows["duration"].cumsum() <= share / (1 + HELD_SHARE) * seconds]
        shortest = rows.sort_values(["duration", "video_id"]).iloc[:least]
        kept.append(fitting if len(fitting) >= least else shortest)
    return replace(dataset, videos=pd.concat(kept))


def _drawn(dataset: ActionDataset, split: str) -> pd.DataFrame:
    """All its videos with actions, shuffled: short ones show less than others, so none is first."""
    rows = dataset.in_split(split).sort_values("video_id")
    rows = rows[rows["video_id"].isin(set(dataset.instances["video_id"]))]
    return rows.sample(frac=1, random_state=SEED)


def try_out(
    dataset: ActionDataset,
    footage: float,
    settings: Parameters,
    least: int,
    seconds: float,
    folder: Path,
) -> Trial:
    """Train on about ``footage`` seconds of video for about ``seconds``, ``least`` epochs or more.

    ``folder`` is for the files. With 0 seconds, only long enough to know how long an epoch takes.
    """
    begin = time.perf_counter()
    proxied = with_proxies(part(dataset, footage), settings, folder / "proxies")
    evaluator = make_evaluator(proxied, settings.data, settings.evaluation, settings.runtime)

    def train(epochs: int) -> tuple[float, Checkpoint]:
        (folder / FILE).unlink(missing_ok=True)  # of the training before, which it does not resume
        begin = time.perf_counter()
        baseline = with_epochs(settings.baseline, epochs)
        _, model = make_baseline(evaluator, folder, settings.detector, baseline, CompressConfig())
        return time.perf_counter() - begin, model

    train(1)  # computes features, where the backbone is frozen
    two, four = train(2)[0], train(4)[0]
    epoch = max(four - two, four / 8) / 2  # what is rated and written at the end is in both
    score = None
    if seconds > 0:
        left = seconds - (time.perf_counter() - begin)
        epochs = max(least, min(settings.baseline.train.stop, int(left / epoch)))
        spent, model = train(epochs)
        score, epoch = model.metrics.get("holdout_average"), spent / epochs
    return Trial(score, epoch * len(dataset.in_split("train")) / len(proxied.in_split("train")))


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
    return replace(dataset, videos=with_frames(videos, made, settings.data))


def _reasons(failed: Mapping[str, str]) -> str:
    return "; ".join(first_lines(list(failed.values()), 3))
