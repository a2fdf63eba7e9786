"""What correcting is worth: ``python benchmarks/learning_curve.py --env ENVIRONMENT``.

Begins with a third of an environment's training videos, as if no others were annotated yet. Then,
a few rounds over, some of the others are annotated and learned from as ``kedro run --pipeline
learn`` does it: those of which the model is least sure, or, to compare, as many drawn ones. Prints
the average mAP on the test videos beside the minutes of video that had been looked through, and
writes ``data/08_reporting/learning_curve.csv``. Which videos come first, and what is drawn, depends
on the seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import ROOT, quiet

RESULT = "data/08_reporting/learning_curve.csv"

Choose = Callable[["Round"], list[str]]
"""The ids of the videos to annotate next."""


@dataclass(frozen=True, eq=False)
class Course:
    """An environment: its videos and parameters, and how many videos a round annotates."""

    evaluator: Any
    parameters: Any
    scratch: Path
    videos: int


@dataclass(frozen=True, eq=False)
class Round:
    """A model, and the training videos that were and were not annotated when it was made."""

    course: Course
    model: Any
    known: list[str]
    unknown: list[str]
    random: np.random.Generator

    @property
    def evaluator(self) -> Any:
        """As if the annotated videos were all there is to learn from."""
        return _restricted(self.course.evaluator, self.known)


def open_course(project: Path, environment: str, seed: int, videos: int) -> Course:
    """Make the environment's tables and proxies if they are not there yet."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from tad_blockdrop.context import validate_parameters
    from tad_blockdrop.pipelines.shared import make_evaluator

    bootstrap_project(project)
    with KedroSession.create(project, env=environment) as session:
        session.run(pipeline_names=["data"], only_missing_outputs=True)
    with KedroSession.create(project, env=environment) as session:
        context = session.load_context()
        dataset = context.catalog.load("dataset")
        p = validate_parameters(context.config_loader["parameters"])
    runtime = p.runtime.model_copy(update={"seed": seed})
    evaluator = make_evaluator(dataset, p.data, p.evaluation, runtime)
    scratch = project / f"data/06_models/{p.experiment}/scratch/learning_curve"
    return Course(evaluator, p, scratch, videos)


def first_round(course: Course, share: float) -> Round:
    """The uncompressed model of a drawn share of the training videos."""
    from tad_blockdrop.baseline.training import new_detector, train_baseline, with_frozen_features
    from tad_blockdrop.pipelines.baseline.nodes import starting_weights

    p, evaluator = course.parameters, course.evaluator
    seed = evaluator.runtime.seed
    model = new_detector(p.detector, len(evaluator.dataset.classes), p.data, p.baseline, seed)
    weights = starting_weights(p.detector, p.baseline)
    if weights is not None:
        model.backbone.load_weights(weights)
    if p.baseline.train.tuning == "frozen":
        dataset = evaluator.dataset
        every = replace(dataset, videos=dataset.videos.assign(split="train"))
        found = with_frozen_features(model, replace(evaluator, dataset=every), course.scratch)
        course = replace(course, evaluator=replace(evaluator, features=found.features))
    random = np.random.default_rng(seed)
    names = sorted(evaluator.dataset.in_split("train")["video_id"])
    drawn = random.permutation(names).tolist()
    count = round(share * len(names))
    begun = Round(course, model, drawn[:count], drawn[count:], random)
    train_baseline(model, p.baseline, begun.evaluator)
    return begun


def next_round(before: Round, choose: Choose) -> Round:
    """The model after more videos were annotated and learned from."""
    from copy import deepcopy

    from tad_blockdrop.baseline.training import train_baseline
    from tad_blockdrop.runtime.devices import seed_all

    chosen = choose(before)
    p = before.course.parameters
    after = replace(
        before,
        model=deepcopy(before.model),
        known=before.known + chosen,
        unknown=[name for name in before.unknown if name not in chosen],
    )
    seed_all(after.evaluator.runtime.seed)
    recipe = p.learn.recipe(p.baseline.train)
    train_baseline(after.model, p.baseline.model_copy(update={"train": recipe}), after.evaluator)
    return after


def drawn(now: Round) -> list[str]:
    """Any of the others."""
    chosen: list[str] = now.random.permutation(sorted(now.unknown))[: now.course.videos].tolist()
    return chosen


def least_sure(now: Round) -> list[str]:
    """Those that ``learn`` would name first."""
    from tad_blockdrop.config.predict import BEST_F1
    from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE, shown
    from tad_blockdrop.review.annotate_next import annotate_next
    from tad_blockdrop.review.predictions import Predictions

    evaluator = now.evaluator
    classes = evaluator.dataset.classes
    _, decisions = evaluator.rate_checkpoint(now.model)
    stated = decisions.point(BEST_F1).thresholds
    limits = {label: stated.get(label) or DEFAULT_SCORE for label in classes}
    whole = now.course.evaluator
    videos = [video for video in whole.dataset.records("train") if video.video_id in now.unknown]
    detections, _ = whole.evaluate(now.model, videos, "predicting the others")
    strongest = detections.groupby("video_id")["score"].max()
    names = [video.video_id for video in videos]
    table = pd.DataFrame(
        {
            "video_id": names, "path": "", "duration": [video.duration for video in videos],
            "strongest": strongest.reindex(names).to_numpy(), "problem": None,
        }
    )  # fmt: skip
    predictions = Predictions(
        shown(detections, limits), table,
        {"title": "", "weights": "", "classes": list(classes), "thresholds": limits}, {},
    )  # fmt: skip
    instances = evaluator.dataset.instances
    inside = instances[instances["video_id"].isin(now.known)]
    actions = {label: int((inside["label"] == label).sum()) for label in classes}
    ranked = annotate_next(predictions, [], actions)["video_id"]
    return list(ranked[: now.course.videos])


WAYS: dict[str, Choose] = {"least sure": least_sure, "drawn": drawn}


def _restricted(evaluator: Any, known: Sequence[str]) -> Any:
    """The evaluator without the training videos that are not ``known``."""
    videos = evaluator.dataset.videos
    kept = videos[(videos["split"] != "train") | videos["video_id"].isin(known)]
    instances = evaluator.dataset.instances
    own = instances[instances["video_id"].isin(kept["video_id"])]
    dataset = replace(
        evaluator.dataset, videos=kept.reset_index(drop=True), instances=own.reset_index(drop=True)
    )
    return replace(evaluator, dataset=dataset)


def row(now: Round, way: str, number: int) -> dict[str, Any]:
    """The model's accuracy on the test videos, and what it took."""
    evaluator = now.evaluator
    _, precision = evaluator.test(now.model, f"{way}, round {number}")
    videos = evaluator.dataset.in_split("train")
    found = {
        "seed": evaluator.runtime.seed, "way": way, "round": number, "videos": len(now.known),
        "minutes": float(videos["duration"].sum()) / 60, "average": float(precision["ap"].mean()),
    }  # fmt: skip
    print(found, flush=True)
    return found


def main() -> None:
    """Parse the command line, do the rounds of all seeds, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="base")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=float, default=1 / 3, help="of the videos known at first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=5, help="annotated a round")
    parser.add_argument("--project", type=Path, default=ROOT)
    arguments = parser.parse_args()
    quiet()
    rows = []
    for seed in arguments.seeds:
        course = open_course(arguments.project, arguments.env, seed, arguments.videos)
        begun = first_round(course, arguments.share)
        for way, choose in WAYS.items():
            now = begun
            rows.append(row(now, way, 0))
            for number in range(1, arguments.rounds + 1):
                now = next_round(now, choose)
                rows.append(row(now, way, number))
    table = pd.DataFrame(rows)
    path = arguments.project / RESULT
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    print(table.groupby(["round", "videos", "way"])[["minutes", "average"]].agg(["mean", "std"]))


if __name__ == "__main__":
    main()
