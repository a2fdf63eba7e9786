"""What each criterion costs and what it leads to, on a finished experiment's uncompressed model.

``python benchmarks/criteria.py --experiment synthetic`` (after ``make compress``) ranks the blocks
by every criterion on the training videos, and repairs and drops greedily by it, without alignment.
Prints a row per criterion: the passes of the whole model over the clips it sees that its first
ranking takes, its CPU seconds, the rank correlation with ``train_map`` (what a model without the
block is worth) and with ``repaired_map`` (what it is worth once it is repaired), and the average
mAP on the test videos after 2 and 4 drops.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
EXACT = ("train_map", "repaired_map")
RATED = (2, 4)  # blocks dropped


def load(experiment: str, project: Path = ROOT, env: str | None = None) -> tuple[Any, Any, Any]:
    """Evaluator, uncompressed model and parameters of an experiment; ``env`` None: the base."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from tad_blockdrop.context import validate_parameters
    from tad_blockdrop.pipelines.shared import make_evaluator

    bootstrap_project(project)
    parameters = {"experiment": experiment, "compress": {"repair": {"layers": "all"}}}
    with KedroSession.create(project, env=env, runtime_params=parameters) as session:
        context = session.load_context()
        typed = validate_parameters(context.config_loader["parameters"])
        dataset = context.catalog.load("dataset")
        baseline = context.catalog.load("baseline_checkpoint")
    return make_evaluator(dataset, typed.data, typed.evaluation, typed.runtime), baseline, typed


@contextmanager
def counted() -> Iterator[list[int]]:
    """A list to which every run of a block adds the clips that went through it."""
    from tad_blockdrop.detector.backbones.contract import Backbone

    clips: list[int] = []
    original = Backbone.run_block

    def run_block(self: Any, index: int, tokens: Any, without: Any = ()) -> Any:
        clips.append(len(tokens))
        return original(self, index, tokens, without)

    Backbone.run_block = run_block  # type: ignore[method-assign]
    try:
        yield clips
    finally:
        Backbone.run_block = original  # type: ignore[method-assign]


def try_criterion(
    name: str, evaluator: Any, baseline: Any, typed: Any, drops: tuple[int, ...]
) -> dict[str, Any]:
    """The row of a criterion, with the values of its first ranking."""
    from tad_blockdrop.pipelines.compress.nodes import drop_block, repair, score_blocks
    from tad_blockdrop.pipelines.shared import evaluate_model

    compress = typed.compress.model_copy(
        update={"criterion": name, "n_drops": max(drops, default=1)}
    )
    row: dict[str, Any] = {"criterion": name}
    scratch: Any = None  # nothing to go on from
    student = baseline
    for step in range(1, compress.n_drops + 1):
        begin = time.process_time()
        with counted() as clips:
            scores = score_blocks(student, baseline, evaluator, scratch, compress)
        if step == 1:
            row["seconds"] = time.process_time() - begin
            row["blocks"] = sum(clips) / len(baseline.kept_blocks)
            row["values"] = scores.set_index("block")["value"]
        if not drops:
            break
        dropped = drop_block(student, scores)
        student, _ = repair(dropped, baseline, evaluator, scratch, compress)
        if step in drops:
            _, precision = evaluate_model(student, evaluator, scratch)
            row[f"{step} dropped"] = float(precision["ap"].mean())
    print(row["criterion"], {k: v for k, v in row.items() if k != "values"}, flush=True)
    return row


def tabled(rows: list[dict[str, Any]], clips: int) -> pd.DataFrame:
    """The rows with passes over ``clips`` clips, and rank correlations with the exact criteria."""
    from tad_blockdrop.compression.criteria import find_criterion

    values = {row["criterion"]: row.pop("values") for row in rows}
    good = pd.DataFrame(
        {n: v if find_criterion(n).larger_is_better else -v for n, v in values.items()}
    )
    ranks = good.corr(method="spearman")
    table = pd.DataFrame(rows).set_index("criterion")
    table["passes"] = table.pop("blocks") / clips
    for exact in EXACT:
        if exact in ranks:
            table[f"correlation with {exact}"] = ranks[exact]
    return table


def main() -> None:
    """Parse the command line, try the criteria one after the other, print the table."""
    from tad_blockdrop.compression.criteria import CRITERIA

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="synthetic")
    parser.add_argument("--drops", type=int, nargs="*", default=RATED, help="numbers to rate at")
    names = [criterion.name for criterion in CRITERIA]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()
    evaluator, baseline, typed = load(arguments.experiment)
    shared = evaluator, baseline, typed, tuple(arguments.drops)
    rows = [try_criterion(name, *shared) for name in arguments.only]
    videos = evaluator.dataset.records("train")[: typed.compress.score_videos]
    per_window = typed.data.window.frames // baseline.detector.backbone.geometry.clip_frames
    clips = len(evaluator.loader(videos).dataset) * per_window
    print(tabled(rows, clips).round(2).to_string())


if __name__ == "__main__":
    main()
