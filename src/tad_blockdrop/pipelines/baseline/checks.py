"""What is found before the uncompressed model is made, so that nothing stops the job after it."""

from __future__ import annotations

import json

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.config import BaselineConfig, CompressConfig, DataConfig, DetectorConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.hints import Evaluator

# What a checkpoint sees of a video; the other keys of data.window are for training and testing.
SEEN = ("kind", "frames", "grid", "crop", "short_side")


class BaselineError(BlockDropError):
    """The uncompressed model cannot be made from what was given."""


def check_aids(baseline: BaselineConfig, detector: DetectorConfig) -> None:
    """Raise BaselineError for ``baseline.aids`` that the backbone has no use for."""
    kind = detector.backbone.kind
    if baseline.aids.dct_patch_init and kind != "videomae":
        raise BaselineError(
            "baseline.aids.dct_patch_init is for backbones of kind 'videomae', but "
            f"detector.backbone.kind is '{kind}': set it to false"
        )


def check_sampling(given: Checkpoint, data: DataConfig) -> None:
    """Raise BaselineError if a checkpoint has learned from other windows than ``data`` cuts."""
    both = {"data.every": (given.every, data.every), "data.fps": (given.fps, data.fps)}
    both |= {
        f"data.window.{key}": (getattr(given.window, key), getattr(data.window, key))
        for key in SEEN
    }
    other = [
        f"{key}: {json.dumps(its)} (not {json.dumps(ours)})"
        for key, (its, ours) in both.items()
        if its != ours
    ]
    if other:
        raise BaselineError(
            "baseline.checkpoint was trained with other settings than this experiment has; set "
            f"{', '.join(other)}"
        )


def loss_limit(compress: CompressConfig) -> str | None:
    """The key that says how much accuracy may be lost on held-out videos, if one does."""
    if compress.stop.max_loss is not None:
        return "compress.stop.max_loss"
    goal = compress.target
    return "compress.target.loss" if goal is not None and goal.loss is not None else None


def check_videos(evaluator: Evaluator, detector: DetectorConfig, compress: CompressConfig) -> None:
    """Raise an error if the videos are too few, or show too little, for what is to come.

    BaselineError without an action in the test videos, in held-out videos for :func:`loss_limit`,
    or in those that rank blocks; RepairError without clips to repair models on. Where there are no
    test videos, none are needed.
    """
    dataset = evaluator.dataset
    test = dataset.in_split("test")["video_id"]
    if len(test) and not dataset.instances["video_id"].isin(test).any():
        raise BaselineError(
            f"none of the {len(test)} test videos that could be read has an action, so that no "
            "model could be measured: get the files again that frame_problems.csv names, or test "
            "on other videos (data.evaluation_subset, data.evaluation_videos)"
        )
    limit = loss_limit(compress)
    if limit and not dataset.held_out():
        raise BaselineError(
            f"{limit} is judged on held-out training videos, but no action is held out: at least "
            f"two training videos with actions are needed; annotate more, or do without {limit}"
        )
    ranked = dataset.records("train")[: compress.score_videos]
    if choose_criterion(compress).by_metric and not any(len(v.labels) for v in ranked):
        raise BaselineError(
            f"compress.criterion is '{compress.criterion}', but none of the first {len(ranked)} "
            "training videos (compress.score_videos) has an action: raise compress.score_videos, "
            "or set it to null to rank on all"
        )
    if compress.repair.layers != "none":
        from tad_blockdrop.compression.refitting import check_clips
        from tad_blockdrop.jobs.repair import calibration_loader

        windows = len(calibration_loader(evaluator, compress.repair).dataset)
        check_clips(
            windows * (evaluator.data.window.frames // detector.backbone.geometry.clip_frames)
        )
