"""Thin nodes over ``review`` and ``baseline``. Heavy imports stand inside the functions."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.config import (
    BaselineConfig,
    DataConfig,
    DetectorConfig,
    LearnConfig,
    RuntimeConfig,
)
from tad_blockdrop.datasets.videos import VideoFolder
from tad_blockdrop.detector.checkpoint import Checkpoint, respelled, to_train
from tad_blockdrop.pipelines.data.nodes import with_frames
from tad_blockdrop.pipelines.hints import Evaluator
from tad_blockdrop.pipelines.lineage import child_lineage
from tad_blockdrop.pipelines.shared import join_tables
from tad_blockdrop.review.corrections import Entry
from tad_blockdrop.review.predictions import Reviewed
from tad_blockdrop.video.action_dataset import ActionDataset

logger = logging.getLogger(__name__)

SHOWN = 10  # videos to annotate next


def refuse_unlearnable(
    before: Checkpoint,
    dataset: ActionDataset,
    corrections: list[Entry],
    learn: LearnConfig,
    data: DataConfig,
) -> list[Entry]:
    """The corrections, once a model is known to be able to learn from them. Raises LearnError."""
    from tad_blockdrop.review import material

    material.refuse_unlearnable(before, dataset, corrections, data, learn)
    return corrections


def join_statements(
    dataset: ActionDataset,
    video_facts: pd.DataFrame,
    corrected_annotations: dict[str, Any],
    corrections: list[Entry],
    reviewed: Reviewed,
    data: DataConfig,
) -> Any:
    """What is said of the known videos and of new ones (``review.material.Stated``)."""
    from tad_blockdrop.review import material
    from tad_blockdrop.video.annotations import read_annotations

    facts = video_facts[video_facts["video_id"].isin(dataset.videos["video_id"])]
    known = dict(zip(facts["video_id"], map(Path, facts["path"]), strict=True))
    strict, stated = data.on_missing == "error", corrected_annotations["database"]
    new = material.new_videos(corrections, stated, known, reviewed.files, strict)
    return material.Stated(dataset, facts, read_annotations(corrected_annotations), *new)


def gather(
    before: Checkpoint, stated: Any, probe_cache: Path, data: DataConfig, runtime: RuntimeConfig
) -> tuple[Any, pd.DataFrame]:
    """What is learned from (``review.material.Material``), and the table of all problems.

    Raises LearnError for facts of an older version.
    """
    from tad_blockdrop.review import material
    from tad_blockdrop.video.problems import problems_table

    found = material.gather(before, stated, data, runtime, probe_cache)
    return found, problems_table(found.problems)


def refuse_fatal_problems(
    gathered: Any,
    problems: pd.DataFrame,
    corrections: list[Entry],
    learn: LearnConfig,
    experiment: str,
) -> tuple[ActionDataset, ActionDataset]:
    """The known videos as corrected, and the new ones, unless a problem is fatal.

    What is wrong with a corrected video is told. Raises LearnError where no action is left to judge
    the new model by.
    """
    from tad_blockdrop.review import material
    from tad_blockdrop.video.problems import refuse_fatal

    refuse_fatal(problems, f"data/03_primary/{experiment}/learned_problems.csv")
    material.refuse(material.unjudged(gathered.known, learn))
    corrected = {name for entry in corrections for name in entry.names}
    for row in problems[problems["video_id"].isin(corrected)].to_dict("records"):
        logger.warning("%s: %s; %s", row["video_id"], row["message"], row["advice"])
    return gathered.known, gathered.new


def join_videos(
    known: ActionDataset, new: ActionDataset, new_frames: VideoFolder, data: DataConfig
) -> ActionDataset:
    """All videos as one dataset; the new ones are trained on."""
    there = new.videos[~new.videos["video_id"].isin(list(new_frames.failed))]
    videos = [known.videos, with_frames(there.reset_index(drop=True), new_frames, data)]
    columns = list(known.videos.columns)
    logger.info("%d new video(s) beside the %d of the dataset", len(there), len(known.videos))
    return ActionDataset(
        join_tables(*(table[columns] for table in videos)),
        join_tables(
            known.instances, new.instances[new.instances["video_id"].isin(there["video_id"])]
        ),
        known.classes,
    )


def learn_again(
    before: Checkpoint,
    evaluator: Evaluator,
    scratch: Path,
    learn: LearnConfig,
    baseline: BaselineConfig,
    detector: DetectorConfig,
) -> tuple[pd.DataFrame, Checkpoint]:
    """Go on training from ``before`` (config/learn.py); returns history and checkpoint."""
    from tad_blockdrop.detector.model import from_checkpoint, weights_of
    from tad_blockdrop.jobs.training import train_baseline, with_frozen_features
    from tad_blockdrop.runtime.devices import seed_all

    before = to_train(respelled(before, evaluator.dataset.classes), detector)
    model = from_checkpoint(before)
    settings = baseline.model_copy(update={"train": learn.recipe(baseline.train)})
    rounds = before.lineage.get("rounds", 0) + 1
    runtime = evaluator.runtime.with_seed(evaluator.runtime.seed + rounds)
    seed_all(runtime.seed)  # LoRA and the aids begin with random weights
    working = replace(evaluator, runtime=runtime)
    if settings.train.tuning == "frozen":
        working = with_frozen_features(model, working, scratch)
    history = train_baseline(model, settings, working, scratch, "learning again")
    metrics, decisions = working.rate_checkpoint(model, scratch)
    checkpoint = replace(
        before,
        weights=weights_of(model),
        postprocess=evaluator.evaluation.postprocess,
        lineage=child_lineage(before, rounds=rounds),
        metrics=metrics,
        decisions=decisions,
    )
    return history.assign(stage="learned"), checkpoint


def judge(
    before: Checkpoint,
    learned: Checkpoint,
    evaluator: Evaluator,
    scratch: Path,
    learn: LearnConfig,
    corrections: list[Entry],
) -> tuple[pd.DataFrame, dict[str, Any], Checkpoint, Checkpoint]:
    """Both models on held-out and test videos; held-out ones alone decide which is to be used.

    Returns the comparison (``review.verdict``), its outcome, the learned model, which states both
    averages, and the final one.
    """
    from tad_blockdrop.review import material, verdict

    settings = evaluator.evaluation
    rated = _rate(before, learned, evaluator, scratch)
    tables = {name: verdict.comparison(each, settings.tious) for name, each in rated.items()}
    interval = None
    if "holdout" in rated:
        seed = evaluator.runtime.seed
        interval = rated["holdout"].interval(settings.tious, settings.bootstrap, seed)
    untaught = material.untaught(corrections, evaluator.dataset, evaluator.data.window)
    outcome = verdict.judge(tables.get("holdout"), interval, learn.adopt, untaught)
    logger.info("%s", outcome["sentence"])
    averages = {split: list(verdict.averages(table)) for split, table in tables.items()}
    learned = replace(learned, lineage=learned.lineage | {"judged": averages})
    final = learned if outcome["adopted"] else before
    table = join_tables(*tables.values()) if tables else pd.DataFrame(columns=verdict.COLUMNS)
    return table, dict(outcome), learned, final


def _rate(
    before: Checkpoint, learned: Checkpoint, evaluator: Evaluator, scratch: Path
) -> dict[str, Any]:
    """``review.verdict.Rated`` by split, of those that show any action."""
    from tad_blockdrop.detections.task import instances_of
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.review.verdict import Rated

    rated = {}
    models = [from_checkpoint(each, evaluator.runtime.device) for each in (before, learned)]
    for split in ("holdout", "test"):
        videos = evaluator.dataset.records(split)
        truth = instances_of(videos, evaluator.dataset.classes)
        if truth.empty:
            continue
        found = [
            evaluator.evaluate(model, videos, f"{name}: {split} videos", scratch / split / name)[0]
            for name, model in zip(("before", "learned"), models, strict=True)
        ]
        rated[split] = Rated(split, [video.video_id for video in videos], truth, *found)
    return rated


def annotate_next(
    reviewed: Reviewed, corrections: list[Entry], evaluator: Evaluator
) -> pd.DataFrame:
    """The predicted videos that would teach the model most; the first ones are told."""
    from tad_blockdrop.review.annotate_next import annotate_next as rank
    from tad_blockdrop.review.material import counted

    dataset = evaluator.dataset
    inside = dataset.instances["video_id"].isin(dataset.in_split("train")["video_id"])
    actions = counted(dataset.instances[inside], dataset.classes)
    table = rank(reviewed.predictions, corrections, actions)
    if table.empty:
        logger.info("all predicted videos are annotated or finished: predict others")
    else:
        logger.info("annotate next: %s", ", ".join(table["video_id"][:SHOWN]))
    return table
