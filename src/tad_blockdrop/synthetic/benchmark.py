"""The generated benchmark: a set of planned videos, their annotations and their files.

Every video follows from (seed, subset, index) alone: any one can be made again by itself, and a
bigger set extends a smaller one. Classes are balanced: each run of as many videos as there are
classes shows every class equally often.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.synthetic import look
from tad_blockdrop.synthetic.motions import CLASSES
from tad_blockdrop.synthetic.planning import VideoPlan, plan_video
from tad_blockdrop.synthetic.rendering import render

Subset = Literal["training", "validation"]
PREFIX: dict[Subset, str] = {"training": "train", "validation": "val"}
# A short GOP keeps random access cheap. Without "cpu-independent" x264's bytes were seen to change
# from run to run on the same frames, even with one thread; with it they never did.
ENCODER = {
    "preset": "fast",
    "crf": "17",
    "g": "48",
    "threads": "1",
    "x264-params": "cpu-independent=1",
}


def plan_benchmark(config: SyntheticConfig) -> list[VideoPlan]:
    """Plan all videos: training first, then validation, each by index."""
    sizes: dict[Subset, int] = {
        "training": config.training_videos,
        "validation": config.validation_videos,
    }
    return [
        plan_one(config, subset, index) for subset, size in sizes.items() for index in range(size)
    ]


def plan_one(config: SyntheticConfig, subset: Subset, index: int) -> VideoPlan:
    """Plan the ``index``-th video of a subset, by itself."""
    subset_number = list(PREFIX).index(subset)
    labels, seed = _labels(config, subset_number, index), (config.seed, subset_number, 0, index)
    return plan_video(f"{PREFIX[subset]}_{index:04d}", subset, labels, seed, config)


def _labels(config: SyntheticConfig, subset_number: int, index: int) -> list[str]:
    """Labels of one video. In a block of n videos (n classes) each action slot is a permutation."""
    block, place = divmod(index, config.classes)
    rng = np.random.default_rng((config.seed, subset_number, 1, block))
    action = (config.min_instance_frames + config.max_instance_frames) / 2
    typical = round(config.mean_frames / (action + look.MEAN_GAP))
    count = max(1, typical + int(rng.integers(-1, 1, endpoint=True)))
    return [CLASSES[rng.permutation(config.classes)[place]] for _ in range(count)]


def annotations(plans: Sequence[VideoPlan]) -> dict[str, Any]:
    """Ground truth in the ActivityNet layout; times are exactly frame / fps, in seconds.

    Classes are numbered as they first appear, which is the order of the published results.
    """
    labels = [i.label for plan in plans for i in plan.instances]
    number = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    database = {
        plan.id: {
            "subset": plan.subset,
            "duration": plan.n_frames / plan.fps,
            "frame": plan.n_frames,
            "fps": float(plan.fps),
            "annotations": [
                {
                    "segment": [i.start / plan.fps, i.end / plan.fps],
                    "label": i.label,
                    "label_id": number[i.label],
                }
                for i in plan.instances
            ],
        }
        for plan in plans
    }
    return {"version": "synthetic-1", "database": database}


def write_video(plan: VideoPlan, path: Path) -> None:
    """Render and encode a video (H.264 in MP4); the same plan always gives the same bytes."""
    import av

    # The movie's own clock counts frames: by default it rounds the duration to milliseconds.
    muxer = {"fflags": "+bitexact", "movie_timescale": str(plan.fps)}
    with av.open(str(path), "w", format="mp4", options=muxer) as container:
        stream = container.add_stream("libx264", rate=Fraction(plan.fps), options=ENCODER)
        stream.width = stream.height = plan.side
        stream.pix_fmt = "yuv420p"
        for image in render(plan):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
