"""Thin nodes over ``synthetic`` and ``video``. Heavy imports stand inside the functions."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.config import (
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    RuntimeConfig,
)
from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.datasets.videos import VideoFolder, VideoTask, VideoTasks
from tad_blockdrop.pipelines.hints import Dataset
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.problems import Problem, problems_table, refuse_fatal

logger = logging.getLogger(__name__)


def generate_benchmark(synthetic: SyntheticConfig) -> tuple[VideoTasks, dict[str, Any]]:
    """Plan the generated benchmark: videos to write, and their annotations."""
    from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark, write_video

    plans = plan_benchmark(synthetic)
    made_from = synthetic.model_dump_json()
    tasks = {
        plan.id: VideoTask(f"{plan.id} of {made_from}", partial(write_video, plan))
        for plan in plans
    }
    return VideoTasks(tasks), annotations(plans)


def probe_videos(
    raw_annotations: Any,
    raw_videos: VideoFolder,
    probe_cache: Path,
    data: DataConfig,
    runtime: RuntimeConfig,
) -> tuple[pd.DataFrame, list[Problem]]:
    """Find and probe the file of every video of the configured subsets.

    Returns the facts of those that can be read and the problems of the others.
    """
    from tad_blockdrop.video.annotations import read_annotations
    from tad_blockdrop.video.dataset import listed_videos
    from tad_blockdrop.video.files.clock import Timing
    from tad_blockdrop.video.files.probing import probe_videos as probe_all

    listed, _ = listed_videos(read_annotations(raw_annotations, data.reading), data)
    return probe_all(
        listed,
        raw_videos.path,
        Timing.of(data),
        runtime.workers,
        runtime.decode_timeout,
        data.on_missing == "error",
        probe_cache,
    )


def check_dataset(
    raw_annotations: Any,
    video_facts: pd.DataFrame,
    unreadable: list[Problem],
    data: DataConfig,
    evaluation: EvaluationConfig,
    compress: CompressConfig,
) -> tuple[Dataset, pd.DataFrame]:
    """Hold the annotations against the files, and an external classifier against both.

    And settings against the number of classes, which is known here first.

    Returns what can be used of the dataset, and the table of all problems.
    """
    from tad_blockdrop.detections.class_count import class_count_problems
    from tad_blockdrop.detections.classifier import classifier_problems
    from tad_blockdrop.video.annotations import read_annotations, read_classes_file
    from tad_blockdrop.video.dataset import build_dataset

    classes = None
    if data.classes_file is not None:
        classes = read_classes_file(data.classes_file)
    annotations = read_annotations(raw_annotations, data.reading)
    found = build_dataset(annotations, video_facts, data, classes)
    test = found.videos.loc[found.videos["split"] == "test", "video_id"]
    named: list[Problem] = []
    if evaluation.postprocess.classifier is not None:
        shown = found.instances.loc[found.instances["video_id"].isin(test), "category"]
        named = classifier_problems(
            Path(evaluation.postprocess.classifier), list(test), list(shown.unique())
        )
    settings = class_count_problems(len(found.classes), compress, evaluation.postprocess)
    problems = problems_table([*unreadable, *found.problems, *named, *settings])
    for kind, rows in problems.groupby("kind", sort=False):
        logger.warning("%s: %d (first: %s)", kind, len(rows), rows["message"].iloc[0])
    return found, problems


def refuse_fatal_problems(
    problems: pd.DataFrame, checked: Dataset, experiment: str
) -> ActionDataset:
    """Hand the dataset on, unless a problem is fatal: then only the problems are written."""
    refuse_fatal(problems, f"data/03_primary/{experiment}/problems.csv")
    return ActionDataset(checked.videos, checked.instances, tuple(checked.classes))


def extract_frames(accepted: ActionDataset, data: DataConfig, runtime: RuntimeConfig) -> VideoTasks:
    """Plan a proxy for each video (sampled frames, small, short GOP); none if they are off."""
    from tad_blockdrop.parallel.engines import has_cluster
    from tad_blockdrop.video.files.clock import Timing
    from tad_blockdrop.video.files.proxies import source_fingerprint, write_proxy
    from tad_blockdrop.video.files.sampling import Sampling

    if data.proxy is None:
        return VideoTasks({})
    sampling = Sampling.of(data)
    made_by = f"every={data.every} fps={data.fps} {data.proxy.recipe}"
    if data.clock != "frames":  # proxies from before there were two clocks do not name theirs
        made_by += f" clock={data.clock}"
    if data.window.kept is not None:
        made_by += f" kept={data.window.kept}"
    tasks = {
        row["video_id"]: VideoTask(
            f"{source_fingerprint(row['path'])} {made_by}",
            partial(
                write_proxy, row["path"], sampling=sampling, config=data.proxy,
                timing=Timing(data.clock, row["fps"]), kept=data.window.kept,
            ),
            # Frames that an older version took at other times of the same file are taken again.
            {name: row[name] for name in ("n_frames", "fps", "duration")},
        )
        for row in accepted.videos.to_dict("records")
    }  # fmt: skip
    return VideoTasks(
        tasks,
        timeout=runtime.decode_timeout,
        skip_failed=data.on_missing == "skip",
        cluster=runtime if has_cluster(runtime) else None,
    )


def index_frames(
    accepted: ActionDataset, proxies: VideoFolder, data: DataConfig
) -> tuple[ActionDataset, pd.DataFrame]:
    """Say where the samples of each video are: in its proxy, or as ``source_frames`` of itself.

    Returns the dataset, without the videos whose frames could not be extracted, and the problems
    table of these.
    """
    from tad_blockdrop.video.dataset import without_failed

    videos, problems = without_failed(accepted.videos, proxies.failed)
    for problem in problems:
        logger.warning("%s: %s; %s", problem.video_id, problem.message, problem.advice)
    return replace(accepted, videos=with_frames(videos, proxies, data)), problems_table(problems)


def with_frames(videos: pd.DataFrame, proxies: VideoFolder, data: DataConfig) -> pd.DataFrame:
    """The rows of probed ``videos`` as a dataset has them, once all of their frames are there."""
    from tad_blockdrop.video.dataset import source_frames
    from tad_blockdrop.video.files.listing import file_name
    from tad_blockdrop.video.files.proxies import source_fingerprint

    if data.proxy is None:
        content = [source_fingerprint(path) for path in videos["path"]]
        frames = source_frames(videos, data.clock)
        videos = videos.assign(source_frames=frames, content=content)
    else:
        ids = videos["video_id"]
        paths = [str(proxies.path / file_name(v, ".mp4")) for v in ids]
        videos = videos.assign(path=paths, content=[proxies.made_from[v] for v in ids])
        if data.window.kept is not None:
            videos = videos.assign(kept=data.window.kept)
    return videos.drop(columns=["start", "variable_rate"])


def summarise_dataset(
    accepted: ActionDataset, checked: Dataset, data: DataConfig, detector: DetectorConfig
) -> dict[str, Any]:
    """Counts, lengths, and the windows and levels that they suggest: logged, with warnings."""
    from tad_blockdrop.video.summary import describe, summarise

    summary = summarise(accepted.videos, accepted.instances, checked.listed, data, detector)
    summary["learned_classes"] = list(accepted.classes)
    logger.info(describe(summary))
    for warning in summary["warnings"]:
        logger.warning("%s", warning)
    return summary
