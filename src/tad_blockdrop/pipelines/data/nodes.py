"""Thin nodes over ``synthetic`` and ``video``. Heavy imports stand inside the functions."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pandas as pd

from tad_blockdrop.config import DataConfig, DetectorConfig, RuntimeConfig, SyntheticConfig
from tad_blockdrop.datasets.videos import VideoFolder, VideoTask, VideoTasks
from tad_blockdrop.errors import BlockDropError

logger = logging.getLogger(__name__)


class DatasetError(BlockDropError):
    """The dataset cannot be used as it is."""


def generate_benchmark(
    synthetic: SyntheticConfig, runtime: RuntimeConfig
) -> tuple[VideoTasks, dict[str, Any]]:
    """Plan the embedded benchmark: videos to write, and their annotations."""
    from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark, write_video

    plans = plan_benchmark(synthetic)
    made_from = synthetic.model_dump_json()
    tasks = {
        plan.id: VideoTask(f"{plan.id} of {made_from}", partial(write_video, plan))
        for plan in plans
    }
    return VideoTasks(tasks, max(1, runtime.workers)), annotations(plans)


def probe_videos(
    raw_annotations: Any, raw_videos: VideoFolder, data: DataConfig, runtime: RuntimeConfig
) -> pd.DataFrame:
    from dataclasses import asdict

    from tad_blockdrop.video.probe import probe

    rows = []
    for video_id in raw_annotations["database"]:
        path = raw_videos.path / f"{video_id}.mp4"
        rows.append({"video_id": video_id, "path": str(path), **asdict(probe(path))})
    return pd.DataFrame(rows)


def check_dataset(raw_annotations, facts, data: DataConfig, runtime: RuntimeConfig):
    import random

    rng = random.Random(0)
    facts = facts.copy()
    db = raw_annotations["database"]
    facts["split"] = [
        "test"
        if db[v]["subset"] == data.evaluation_subset
        else ("holdout" if rng.random() < data.holdout else "train")
        for v in facts["video_id"]
    ]
    inst = [
        (v, a["label"], a["segment"][0], a["segment"][1])
        for v in facts["video_id"]
        for a in db[v]["annotations"]
    ]
    inst = pd.DataFrame(inst, columns=["video_id", "label", "start", "end"])
    return facts, inst, sorted(inst["label"].unique()), pd.DataFrame({"fatal": []})


def refuse_fatal_problems(problems: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    return videos


def extract_frames(videos: pd.DataFrame, data: DataConfig, runtime: RuntimeConfig) -> VideoTasks:
    """Plan a proxy for each video (sampled frames, small, short GOP); none if they are off."""
    from tad_blockdrop.video.proxies import source_fingerprint, write_proxy

    if data.proxy is None:
        return VideoTasks({})
    made_by = f"every={data.every} fps={data.fps} {data.proxy.model_dump_json()}"
    tasks = {
        video_id: VideoTask(
            f"{source_fingerprint(path)} {made_by}",
            partial(write_proxy, path, every=data.every, fps=data.fps, config=data.proxy),
        )
        for video_id, path in zip(videos["video_id"], videos["path"], strict=True)
    }
    return VideoTasks(tasks, max(1, runtime.workers))


def index_frames(videos: pd.DataFrame, proxies: VideoFolder, data: DataConfig) -> pd.DataFrame:
    rate = videos["fps"] / data.every
    n = (videos["n_frames"] + data.every - 1) // data.every
    videos = videos.assign(rate=rate, n_samples=n)
    videos["path"] = [str(proxies.path / f"{v}.mp4") for v in videos["video_id"]]
    return videos


def summarise_dataset(
    videos: pd.DataFrame, instances: pd.DataFrame, data: DataConfig, detector: DetectorConfig
) -> dict[str, Any]:
    return {"videos": len(videos)}
