"""A model rated on the videos of a dataset: detections, average precision, held-out mAP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from torch import nn

from tad_blockdrop.config import DataConfig, EvaluationConfig, deciding
from tad_blockdrop.detections.classifier import VideoClasses, load_classifier
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detections.task import DetectionTask, instances_of
from tad_blockdrop.detector.decisions import Decisions
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.metrics.cost import macs
from tad_blockdrop.metrics.deciding import decide
from tad_blockdrop.metrics.evidence import gather_evidence
from tad_blockdrop.metrics.operating_point import TIOU
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.storage.resumable_pass import Scratch, scratch_for
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.windows.cutting import VideoRecord, records_hash
from tad_blockdrop.video.windows.features import FeatureWindows
from tad_blockdrop.video.windows.loading import TestWindows, make_loader


@dataclass(frozen=True, eq=False)
class Evaluator:
    """The videos that models are trained and rated on, how, and where the work runs.

    ``features``: a folder with the features of a frozen backbone for all windows that are asked
    for (``video.windows.features``); models then do not run their backbone.
    """

    dataset: ActionDataset
    data: DataConfig
    evaluation: EvaluationConfig
    runtime: Runtime
    features: Path | None = None

    def loader(self, videos: Sequence[VideoRecord]) -> Any:
        """Batches of test windows of ``videos``, in order; of features where there are some."""
        return self._loader(self._windows(videos))

    def own_loader(self, videos: Sequence[VideoRecord], at_most: int | None = None) -> Any:
        """Those of the batches that hold windows of this process of ``runtime.group``.

        ``at_most`` leaves some windows out, evenly.
        """
        windows = self._windows(videos, at_most)
        windows.take_share(self.runtime.group.rank, self.runtime.group.world)
        return self._loader(windows)

    def _windows(self, videos: Sequence[VideoRecord], at_most: int | None = None) -> TestWindows:
        if self.features is not None:
            return FeatureWindows(videos, self.data, self.features)
        return TestWindows(videos, self.data, self.data.window.overlap, at_most)

    def _loader(self, windows: TestWindows) -> Any:
        return make_loader(windows, self.evaluation.batch, self.runtime.workers)

    def task(self, model: Detector, videos: Sequence[VideoRecord]) -> DetectionTask:
        """Detection in ``videos`` as a task of ``model``."""
        classes = self.dataset.classes
        return DetectionTask(model.config.head, model.window, videos, classes, self.evaluation)

    def scratch(
        self,
        folder: Path | None,
        model: Detector,
        videos: Sequence[VideoRecord],
        alike: bool = False,
        **facts: Any,
    ) -> Scratch | None:
        """Where a pass over ``videos`` keeps its state; ``facts``: what else it depends on.

        ``alike``: the state is the same in all processes of ``runtime.group``.
        """
        own = {
            "videos": records_hash(videos),
            "classes": self.dataset.classes,
            "detector": deciding("detector", model.config),
            "data": deciding("data", self.data),
            # It goes on after so many batches: their size may not change.
            "evaluation": deciding("evaluation", self.evaluation),
            "batch": self.evaluation.batch,  # a pass goes on after so many of them
            "precision": self.runtime.precision,
        }
        group = self.runtime.group
        if folder is not None and group.world > 1 and not alike:
            folder = folder / f"{group.rank}_of_{group.world}"
        return scratch_for(folder, model, own | facts)

    def training_facts(self, model: Detector) -> dict[str, Any]:
        """What training ``model`` depends on beside weights, recipe, loss and data, as JSON values.

        That is how the model is built, and how ``held_out_map`` rates it.
        """
        rating = self.evaluation.model_dump(mode="json", include={"tious", "postprocess"})
        held_out = records_hash(self.dataset.held_out())
        return {"detector": deciding("detector", model.config), "rating": [rating, held_out]}

    def evaluate(
        self,
        model: Detector,
        videos: Sequence[VideoRecord],
        what: str,
        scratch: Path | None = None,
        named: VideoClasses | None = None,
        truth: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Detections (video_id, start, end, label, score) and precision (label, tiou, ap).

        ``what`` titles the progress; ``scratch``: a folder that keeps what an interrupted pass
        goes on from. ``named`` gives an external classifier's classes; ``truth`` (video_id, start,
        end, label) is the ground truth, by default what ``videos`` carry.
        """
        detections = self.detect(model, videos, what, scratch, named)
        precision = average_precision(
            detections,
            instances_of(videos, self.dataset.classes) if truth is None else truth,
            [video.video_id for video in videos],
            self.evaluation.tious,
        )
        return detections, precision

    def detect(
        self,
        model: Detector,
        videos: Sequence[VideoRecord],
        what: str,
        scratch: Path | None = None,
        named: VideoClasses | None = None,
    ) -> pd.DataFrame:
        """The detections of ``evaluate``, in all processes of ``runtime.group``."""
        given = named and named.to_json()
        with self.runtime.autocast():
            return detect(
                model,
                self.own_loader(videos),
                videos,
                self.dataset.classes,
                self.evaluation.postprocess,
                named,
                what,
                self.scratch(scratch, model, videos, named=given),
                self.runtime.group,
            )

    def test(
        self, model: Detector, what: str, scratch: Path | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Detections on the test videos, and average precision in percent (label, tiou, ap).

        With ``evaluation.postprocess.classifier`` the classes of a class-agnostic model come from
        there. Raises ClassifierError where its file does not cover the test videos.
        """
        videos = self.dataset.records("test")
        named = None
        if self.evaluation.postprocess.classifier is not None:
            path = Path(self.evaluation.postprocess.classifier)
            named = load_classifier(path, [video.video_id for video in videos])
        detections, precision = self.evaluate(model, videos, what, scratch, named, self.truth())
        return detections, precision.assign(ap=100 * precision["ap"])

    def truth(self) -> pd.DataFrame:
        """The ground truth that detections are held against: video_id, start, end (s), label.

        A class-agnostic detector whose detections an external classifier names is held against the
        annotated ``category``, any other against what it learned to say, ``label``.
        """
        instances = self.dataset.instances
        if self.evaluation.postprocess.classifier is None:
            return instances
        return instances.assign(label=instances["category"])

    def held_out_map(self) -> Callable[[nn.Module], float] | None:
        """A function that rates a model by its average mAP (percent) on held-out training videos.

        None where no action is held out. The rating uses no external classifier.
        """
        videos = self.dataset.held_out()
        if not videos:
            return None

        def rate(model: nn.Module) -> float:
            assert isinstance(model, Detector)
            return 100 * average_map(self.evaluate(model, videos, "rating held-out videos")[1])

        return rate

    def rate_checkpoint(
        self, model: Detector, scratch: Path | None = None
    ) -> tuple[dict[str, Any], Decisions]:
        """What a checkpoint states of itself; test videos have no part in it.

        Metrics: ``gmacs`` of one window; ``holdout_average``: average mAP (percent) where there are
        held-out videos. Decisions are made on these or, where there are none, on training videos.
        """
        classes, held_out = self.dataset.classes, self.dataset.held_out()
        rated = held_out or self.dataset.records("train")
        detections, precision = self.evaluate(model, rated, "choosing operating points", scratch)
        evidence = gather_evidence(
            detections, instances_of(rated, classes), [v.video_id for v in rated], classes, TIOU
        )
        metrics: dict[str, Any] = {
            "gmacs": macs(model.config, len(classes), model.window, model.kept_units).total / 1e9
        }
        if held_out:
            metrics["holdout_average"] = 100 * average_map(precision)
        split: Literal["holdout", "train"] = "holdout" if held_out else "train"
        resamples = self.evaluation.bootstrap
        return metrics, decide(evidence, split, resamples, self.runtime.seed)
