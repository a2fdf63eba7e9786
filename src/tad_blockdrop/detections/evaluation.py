"""A model rated on videos: detections, average precision, and the held-out average mAP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tad_blockdrop.config import DataConfig, EvaluationConfig, RuntimeConfig
from tad_blockdrop.detections.classifier import VideoClasses, load_classifier
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.metrics.cost import macs
from tad_blockdrop.metrics.operating_point import operating_points
from tad_blockdrop.runtime.devices import autocast
from tad_blockdrop.storage.resumable_pass import scratch_for
from tad_blockdrop.video.windows.cutting import VideoRecord, records
from tad_blockdrop.video.windows.loading import TestWindows, make_loader


def evaluate(
    model: Detector,
    videos: Sequence[VideoRecord],
    classes: Sequence[str],
    data: DataConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
    named: VideoClasses | None = None,
    what: str = "evaluating",
    truth: pd.DataFrame | None = None,
    scratch: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections (video_id, start, end, label, score) and precision (label, tiou, ap).

    ``named`` gives an external classifier's classes; ``truth`` (video_id, start, end, label) is
    the ground truth, by default what ``videos`` carry. ``scratch``: a folder that keeps what an
    interrupted pass goes on from. The model runs where it is, at ``runtime.precision``.
    """
    kept = scratch_for(
        scratch,
        model,
        videos,
        data=data.model_dump(mode="json"),
        evaluation=evaluation.model_dump(mode="json"),
        precision=runtime.precision,
        named=None if named is None else [named.classes, named.scores.tolist()],
    )
    loader = make_loader(
        TestWindows(videos, data, data.window.overlap), evaluation.batch, runtime.workers
    )
    with autocast(runtime, model.head.location.device):
        detections = detect(
            model, loader, videos, classes, evaluation.postprocess, named, what, kept
        )
    precision = average_precision(
        detections,
        instances_of(videos, classes) if truth is None else truth,
        [video.video_id for video in videos],
        evaluation.tious,
    )
    return detections, precision


def evaluate_test(
    model: Detector,
    videos: pd.DataFrame,
    instances: pd.DataFrame,
    classes: Sequence[str],
    data: DataConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
    what: str,
    scratch: Path | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections on the test videos, and average precision in percent (label, tiou, ap).

    With ``evaluation.postprocess.classifier`` the classes of a class-agnostic model come from
    there. ``scratch`` as for ``evaluate``. Raises ClassifierError where its file does not cover
    the test videos.
    """
    test = records(videos, instances, classes, "test")
    named = None
    if evaluation.postprocess.classifier is not None:
        path = Path(evaluation.postprocess.classifier)
        named = load_classifier(path, [video.video_id for video in test])
    truth = truth_of(instances, evaluation)
    detections, precision = evaluate(
        model, test, classes, data, evaluation, runtime, named, what, truth, scratch
    )
    return detections, precision.assign(ap=100 * precision["ap"])


def truth_of(instances: pd.DataFrame, evaluation: EvaluationConfig) -> pd.DataFrame:
    """The ground truth that detections are held against: video_id, start, end (s), label.

    A class-agnostic detector whose detections an external classifier names is held against the
    annotated ``category``, any other against what it learned to say, ``label``.
    """
    if evaluation.postprocess.classifier is None:
        return instances
    return instances.assign(label=instances["category"])


def instances_of(videos: Sequence[VideoRecord], classes: Sequence[str]) -> pd.DataFrame:
    """The ground truth of ``videos`` as a table: video_id, start, end (s), label."""
    rows = [
        (video.video_id, float(start), float(end), classes[label])
        for video in videos
        for (start, end), label in zip(video.segments_seconds, video.labels, strict=True)
    ]
    return pd.DataFrame(rows, columns=["video_id", "start", "end", "label"])


def held_out_map(
    videos: Sequence[VideoRecord],
    classes: Sequence[str],
    data: DataConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
) -> Callable[[nn.Module], float] | None:
    """A function that rates a model by its average mAP (percent) on held-out training videos.

    None where nothing is held out. The rating uses no external classifier.
    """
    if not videos:
        return None

    def rate(model: nn.Module) -> float:
        assert isinstance(model, Detector)
        _, precision = evaluate(
            model, videos, classes, data, evaluation, runtime, what="rating held-out videos"
        )
        return 100 * average_map(precision)

    return rate


def checkpoint_metrics(
    model: Detector,
    held_out: Sequence[VideoRecord],
    training: Sequence[VideoRecord],
    classes: Sequence[str],
    data: DataConfig,
    evaluation: EvaluationConfig,
    runtime: RuntimeConfig,
    scratch: Path | None = None,
) -> dict[str, Any]:
    """What a checkpoint states of itself; test videos have no part in it.

    ``gmacs`` of one window; ``operating_point``: per class the score threshold with the best F1,
    on held-out videos or, where there are none, on training videos; ``holdout_average``: average
    mAP (percent) where there are held-out videos. ``scratch`` as for ``evaluate``.
    """
    rated = held_out or training
    detections, precision = evaluate(
        model, rated, classes, data, evaluation, runtime, what="choosing operating points",
        scratch=scratch,
    )  # fmt: skip
    points = operating_points(
        detections, instances_of(rated, classes), [video.video_id for video in rated]
    )
    metrics: dict[str, Any] = {
        "gmacs": macs(model.config, model.window, len(classes), model.kept_blocks).total / 1e9,
        "operating_point": _thresholds(points),
    }
    if held_out:
        metrics["holdout_average"] = 100 * average_map(precision)
    return metrics


def _thresholds(points: pd.DataFrame) -> dict[str, float]:
    """Without the classes of which nothing was found."""
    known = points.dropna(subset=["threshold"])
    return dict(zip(known["label"], known["threshold"], strict=True))
