"""Thin nodes over ``prediction``. Heavy imports stand inside the functions."""

from __future__ import annotations

import hashlib
import logging
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tad_blockdrop.config import DataConfig, RuntimeConfig
from tad_blockdrop.config.predict import PredictConfig
from tad_blockdrop.datasets.annotation_file import AnnotatedVideos
from tad_blockdrop.datasets.videos import VideoFolder, VideoTask, VideoTasks
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import describe_blocks
from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.pipelines.lineage import model_name
from tad_blockdrop.review.predictions import KnownTruth, Model, Predictions
from tad_blockdrop.runtime.logs import escape_line

if TYPE_CHECKING:
    from tad_blockdrop.prediction.predictor import Predictor
    from tad_blockdrop.prediction.stream import Reader

logger = logging.getLogger(__name__)

COLUMNS = (
    "video_id", "path", "duration", "start", "fps", "seconds", "speed", "detections", "strongest",
    "plays", "content", "problem",
)  # fmt: skip


class PredictError(BlockDropError):
    """There is no model, or there are no videos to use it on."""


def detect_actions(
    checkpoint: Checkpoint, predict: PredictConfig, data: DataConfig, runtime: RuntimeConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections, as ``Predictor.detect`` gives them, and what became of every video.

    Each video is decoded in a process beside this one, at most ``runtime.decode_timeout`` seconds
    without progress. Videos that cannot be read are reported and skipped. The second table has
    the columns of ``COLUMNS``; ``problem`` is None for a video that was read, ``speed`` is × real
    time; ``start`` (s) and ``fps`` are those of its frames, ``plays`` is whether browsers play the
    file, ``content`` a mark of what is in it. Of ``data`` only the clock and the rate of pictures
    count.
    """
    from tad_blockdrop.prediction.folder import find_videos
    from tad_blockdrop.prediction.predictor import make_predictor
    from tad_blockdrop.prediction.stream import read_apart
    from tad_blockdrop.runtime.runtime import Runtime
    from tad_blockdrop.video.files.clock import Timing
    from tad_blockdrop.video.files.guarded_processes import GuardedStream

    if predict.videos is None:
        raise PredictError(
            "set predict.videos to a video or a folder of videos: add "
            "--params predict.videos=<path> to the command"
        )
    files = find_videos(predict.videos)
    work = Runtime(runtime)
    tables: list[pd.DataFrame] = []
    rows: list[dict[str, Any]] = []
    with closing(GuardedStream(read_apart, runtime.decode_timeout)) as reader, work.autocast():
        predictor = make_predictor(checkpoint, work.device, Timing.of(data), predict.wish)
        for video_id, path in files.items():
            reader.start()  # so that a video's time is its own
            row, found = _detect_in(predictor, reader, video_id, path, predict)
            rows.append(row)
            if found is not None:
                tables.append(found)
    if not tables:
        raise PredictError(
            f"none of {len(rows)} files in {predict.videos} could be used; "
            f"{Path(rows[0]['path']).name}: {rows[0]['problem']}"
        )
    videos = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"problem": object})
    _sum_up(videos)
    return pd.concat(tables, ignore_index=True), videos


def _detect_in(
    predictor: Predictor, reader: Reader, video_id: str, path: Path, predict: PredictConfig
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """What became of one video (a row of ``COLUMNS``), and its detections if it can be read."""
    from tad_blockdrop.tasks.contract import OutputError
    from tad_blockdrop.video.files.container import DecodeError
    from tad_blockdrop.video.files.listing import UnsafeVideoError, refuse_unsafe_id
    from tad_blockdrop.video.files.proxies import source_fingerprint

    where = printable(str(path.resolve()))
    row: dict[str, Any] = {"video_id": video_id, "path": where, "problem": None}
    try:
        refuse_unsafe_id(video_id)
        found = predictor.predict(path, video_id, predict.min_score, predict.batch, reader)
    except (DecodeError, OutputError, UnsafeVideoError) as error:
        row["problem"] = error.reason if isinstance(error, DecodeError) else str(error)
        logger.warning("skipped %s: %s", escape_line(str(path)), row["problem"])
        if isinstance(error, UnsafeVideoError):
            row |= {"video_id": escape_line(video_id), "path": escape_line(row["path"])}
        return row, None
    logger.info(
        "%s: %d detections in %.1f s of video, %.1f × real time",
        video_id, len(found.detections), found.duration, found.speed,
    )  # fmt: skip
    row |= {
        "duration": found.duration,
        "start": found.start,
        "fps": found.fps,
        "seconds": found.seconds,
        "speed": found.speed,
        "detections": len(found.detections),
        "strongest": found.strongest,
        "plays": found.plays,
        "content": source_fingerprint(path),
    }
    return row, found.detections


def _sum_up(videos: pd.DataFrame) -> None:
    read = videos[videos["problem"].isna()]
    logger.info(
        "%d detections in %d videos of %.0f s, %.1f × real time; %d skipped",
        read["detections"].sum(), len(read), read["duration"].sum(),
        read["duration"].sum() / read["seconds"].sum(), len(videos) - len(read),
    )  # fmt: skip
    if read["detections"].sum() == 0 and read["strongest"].max() > 0:
        logger.info(
            "nothing is above the threshold; the strongest detection has score %.3f: set "
            "predict.min_score below that to see it",
            read["strongest"].max(),
        )


def write_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """The detections as a table to be saved as CSV."""
    return predictions.round(4)


def write_activitynet(predictions: pd.DataFrame, predicted_videos: pd.DataFrame) -> dict[str, Any]:
    """The detections as ActivityNet's JSON."""
    from tad_blockdrop.video.annotations.formats.activitynet import ActivityNet

    read = predicted_videos[predicted_videos["problem"].isna()]
    return ActivityNet().write(predictions, read["video_id"])


def write_tool_files(
    predictions: pd.DataFrame,
    predicted_videos: pd.DataFrame,
    predict: PredictConfig,
    data: DataConfig,
) -> dict[str, str]:
    """The detections in the other ``predict.formats``: texts by format and file name."""
    from tad_blockdrop.prediction.tool_files import tool_files
    from tad_blockdrop.video.files.clock import Timing

    timing = Timing.of(data)
    return tool_files(predictions, predicted_videos, predict.formats, timing)


def describe_model(checkpoint: Checkpoint, predict: PredictConfig) -> Model:
    """What the pages say of the model and of what to expect, and by what corrections name it."""
    from tad_blockdrop.detector.checkpoint import in_nfc, weights_hash
    from tad_blockdrop.metrics.operating_point import thresholds
    from tad_blockdrop.prediction.expectation import expectations

    checkpoint = in_nfc(checkpoint)
    name = checkpoint.lineage.get("dataset", "model")
    expected = expectations(checkpoint, predict)
    logger.info("%s", " ".join(expected))
    return {
        "title": f"{name} · {model_name(checkpoint)} · {describe_blocks(checkpoint.kept_blocks)}",
        "weights": weights_hash(checkpoint.weights),
        "classes": list(checkpoint.classes),
        "thresholds": thresholds(checkpoint, predict.wish),
        "expected": expected,
    }


def find_truth(
    predicted_videos: pd.DataFrame, known_annotations: AnnotatedVideos | None, data: DataConfig
) -> dict[str, KnownTruth]:
    """What the experiment's annotations say of those of its own videos that were predicted."""
    from tad_blockdrop.review.truth import known_truth
    from tad_blockdrop.video.annotations import (
        AnnotationError,
        read_annotation_files,
        read_annotations,
    )

    if known_annotations is None:
        return {}
    try:
        files = read_annotation_files(known_annotations.paths)
        annotations = read_annotations(files, data.reading)
    except AnnotationError as error:  # predictions do without
        logger.warning("the page shows no annotations: %s", error)
        return {}
    return known_truth(predicted_videos, annotations, known_annotations.folder)


def copy_for_browsers(
    predicted_videos: pd.DataFrame, data: DataConfig, runtime: RuntimeConfig
) -> VideoTasks:
    """Plan a small copy of every video that browsers do not play."""
    from tad_blockdrop.prediction.copies import write_small_copy
    from tad_blockdrop.video.files.clock import Timing
    from tad_blockdrop.video.files.proxies import source_fingerprint

    read = predicted_videos[predicted_videos["problem"].isna()]
    timing = Timing.of(data)
    tasks = {
        row["video_id"]: VideoTask(
            f"{source_fingerprint(row['path'])} small {timing}",
            partial(write_small_copy, Path(row["path"]), timing=timing),
        )
        for row in read[~read["plays"].astype(bool)].to_dict("records")
    }
    return VideoTasks(tasks, max(1, runtime.workers), runtime.decode_timeout, skip_failed=True)


def write_pages(
    predictions: pd.DataFrame,
    predicted_videos: pd.DataFrame,
    predicted_with: Model,
    predicted_truth: dict[str, KnownTruth],
    playable_videos: VideoFolder,
) -> dict[str, str]:
    """HTML pages on which every video plays above its timeline, by file name."""
    from tad_blockdrop.review.page import file_pages

    shown = Predictions(predictions, predicted_videos, predicted_with, predicted_truth)
    return file_pages(shown, playable_videos.path)


def draw_videos(
    predictions: pd.DataFrame,
    predicted_videos: pd.DataFrame,
    checkpoint: Checkpoint,
    predict: PredictConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
) -> VideoTasks:
    """Plan a copy of every video with its detections drawn; none unless ``predict.draw``."""
    from tad_blockdrop.detector.checkpoint import in_nfc
    from tad_blockdrop.prediction.draw import draw_video, marks_of
    from tad_blockdrop.video.files.clock import Timing
    from tad_blockdrop.video.files.proxies import source_fingerprint

    if not predict.draw:
        return VideoTasks({})
    read = predicted_videos[predicted_videos["problem"].isna()]
    timing = Timing.of(data)
    tasks = {}
    for video_id, path in zip(read["video_id"], read["path"], strict=True):
        own = predictions[predictions["video_id"] == video_id]
        marks = marks_of(own, in_nfc(checkpoint).classes)
        drawn = hashlib.sha256(repr(marks).encode()).hexdigest()
        tasks[video_id] = VideoTask(
            f"{source_fingerprint(path)} with {drawn} {timing}",
            partial(draw_video, Path(path), marks, timing=timing),
        )
    return VideoTasks(tasks, max(1, runtime.workers), runtime.decode_timeout, skip_failed=True)
