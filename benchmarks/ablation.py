"""The ablation: what each part of the method is worth on the embedded benchmark.

``make ablation`` (or ``python benchmarks/ablation.py --seeds 0 1 2``) trains one baseline per seed,
on videos generated from that seed, and takes it down to 25, 50 and 75 % of dropped blocks in
several ways. It tests on 300 videos a seed: the 100 of the default run tell two models apart to
about two points, which is more than the parts of the method are worth. Everything runs through the
nodes of the pipelines. Each finished arm is kept in ``data/08_reporting/ablation/``, so an
interrupted ablation goes on where it was; the last step writes ``ablation.csv`` and
``ablation.md`` there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "data/08_reporting/ablation"
TEST_VIDEOS = 300


@dataclass(frozen=True)
class Bench:
    """One seed: its dataset and how models are rated on it, its baseline, the typed parameters."""

    evaluator: Any
    baseline: Any
    parameters: Any
    scratch: Path

    def average(self, checkpoint: Any) -> float:
        """Average mAP (percent) on the test videos."""
        from tad_blockdrop.pipelines.shared import evaluate_model

        _, precision = evaluate_model(checkpoint, self.evaluator, self.scratch)
        return float(precision["ap"].mean())

    def scores(self, student: Any) -> pd.DataFrame:
        """The ranking of a student's blocks on the training videos."""
        from tad_blockdrop.pipelines.compress.nodes import score_blocks

        compress = self.parameters.compress
        return score_blocks(student, self.baseline, self.evaluator, self.scratch, compress)

    def repair(self, dropped: Any) -> Any:
        """What is left of a model refitted towards the baseline, without training."""
        from tad_blockdrop.pipelines.compress.nodes import repair

        compress = self.parameters.compress
        layers = compress.repair.model_copy(update={"layers": "all"})
        compress = compress.model_copy(update={"repair": layers})
        return repair(dropped, self.baseline, self.evaluator, self.scratch, compress)[0]

    def longer(self, n: int, **changes: Any) -> Any:
        """The loop's settings with one alignment as long as n."""
        recipe = self.parameters.compress.later
        epochs = {"epochs": n * recipe.epochs, "stop": n * recipe.stop}
        recipe = recipe.model_copy(update=epochs)
        changes |= {"first": recipe, "later": recipe}
        return self.parameters.compress.model_copy(update=changes)

    def align(self, dropped: Any, student: Any, compress: Any) -> Any:
        """Aligned and merged, as a checkpoint."""
        from tad_blockdrop.pipelines.compress.nodes import align, merge_lora

        models, detector = (dropped, student, self.baseline), self.parameters.detector
        aligned, _ = align(*models, self.evaluator, self.scratch, compress, detector)
        return merge_lora(aligned, self.evaluator, self.scratch, compress)


Arm = Callable[[Bench], Iterator[tuple[int, float]]]
"""Yields (blocks dropped, average mAP) at the points of interest."""


def points(bench: Bench) -> list[int]:
    """Numbers of dropped blocks that are a quarter, half and three quarters."""
    depth = bench.baseline.detector.backbone.depth
    return [depth // 4, depth // 2, 3 * depth // 4]


def uncompressed(bench: Bench) -> Iterator[tuple[int, float]]:
    """The baseline itself."""
    yield 0, bench.average(bench.baseline)


def dropped_one_shot(bench: Bench) -> Iterator[tuple[int, float]]:
    """The first n of the first ranking, nothing aligned."""
    for n in points(bench):
        yield n, bench.average(_without_first(bench, n))


def dropped_greedily(bench: Bench) -> Iterator[tuple[int, float]]:
    """Ranked anew after each drop, nothing aligned."""
    from tad_blockdrop.pipelines.compress.nodes import drop_block

    student = bench.baseline
    for n in range(1, max(points(bench)) + 1):
        student = drop_block(student, bench.scores(student))
        if n in points(bench):
            yield n, bench.average(student)


def progressive(
    bench: Bench, repaired: bool = False, **changes: Any
) -> Iterator[tuple[int, float]]:
    """The method: score, drop, align, merge, once per block; ``repaired``: after each drop."""
    from tad_blockdrop.pipelines.compress.nodes import drop_block

    compress = bench.parameters.compress.model_copy(
        update={"n_drops": max(points(bench)), **changes}
    )
    student = bench.baseline
    for n in range(1, compress.n_drops + 1):
        dropped = drop_block(student, bench.scores(student))
        if repaired:
            dropped = bench.repair(dropped)
        student = bench.align(dropped, student, compress)
        if n in points(bench):
            yield n, bench.average(student)


def towards(bench: Bench, aim: str) -> Any:
    """The weights of the alignment loss with another aim of its blocks."""
    return bench.parameters.compress.loss.model_copy(update={"aim": aim})


def without_features(bench: Bench) -> Iterator[tuple[int, float]]:
    """The method without the alignment of block outputs."""
    loss = bench.parameters.compress.loss.model_copy(update={"out": 0.0})
    yield from progressive(bench, loss=loss)


def with_full_tuning(bench: Bench) -> Iterator[tuple[int, float]]:
    """The method with all weights trained instead of LoRA, at the rate they were trained with."""
    compress = bench.parameters.compress
    full = {"tuning": "full", "lr_backbone": bench.parameters.baseline.train.lr_backbone}
    yield from progressive(
        bench,
        first=compress.first.model_copy(update=full),
        later=compress.later.model_copy(update=full),
    )


def looking_ahead(bench: Bench) -> Iterator[tuple[int, float]]:
    """The method with each block ranked by the best pair it is part of."""
    yield from progressive(bench, look_ahead=2)


def one_shot_aligned(
    bench: Bench, repaired: bool = False, **changes: Any
) -> Iterator[tuple[int, float]]:
    """n blocks dropped at once, then one alignment as the n alignments together."""
    for n in points(bench):
        compress = bench.longer(n, **changes)
        dropped = _without_first(bench, n)
        if repaired:
            dropped = bench.repair(dropped)
        yield n, bench.average(bench.align(dropped, bench.baseline, compress))


def progressive_towards_next(bench: Bench) -> Iterator[tuple[int, float]]:
    """The method, blocks held against what the next kept one expects."""
    yield from progressive(bench, loss=towards(bench, "next"))


def progressive_repaired(bench: Bench) -> Iterator[tuple[int, float]]:
    """The same, after a repair of each drop."""
    yield from progressive(bench, repaired=True, loss=towards(bench, "next"))


def one_shot_towards_next(bench: Bench) -> Iterator[tuple[int, float]]:
    """One long alignment, blocks held against what the next kept one expects."""
    yield from one_shot_aligned(bench, loss=towards(bench, "next"))


def one_shot_repaired(bench: Bench) -> Iterator[tuple[int, float]]:
    """The same, after a repair."""
    yield from one_shot_aligned(bench, repaired=True, loss=towards(bench, "next"))


def aligned_last(bench: Bench) -> Iterator[tuple[int, float]]:
    """Ranked, dropped and repaired one by one, then one alignment as long as one after each."""
    from tad_blockdrop.pipelines.compress.nodes import drop_block

    student = bench.baseline
    for n in range(1, max(points(bench)) + 1):
        student = bench.repair(drop_block(student, bench.scores(student)))
        if n in points(bench):
            compress = bench.longer(n, loss=towards(bench, "next"))
            yield n, bench.average(bench.align(student, bench.baseline, compress))


def control(bench: Bench) -> Iterator[tuple[int, float]]:
    """Nothing dropped, aligned as often."""
    from tad_blockdrop.pipelines.compress.nodes import keep_all

    compress = bench.parameters.compress.model_copy(update={"n_drops": max(points(bench))})
    student = bench.baseline
    for n in range(1, compress.n_drops + 1):
        student = bench.align(keep_all(student), student, compress)
        if n in points(bench):
            yield n, bench.average(student)


def control_last(bench: Bench) -> Iterator[tuple[int, float]]:
    """Nothing dropped, one alignment as long as n."""
    from tad_blockdrop.pipelines.compress.nodes import keep_all

    kept = bench.baseline
    for n in range(1, max(points(bench)) + 1):
        kept = keep_all(kept)
        if n in points(bench):
            yield n, bench.average(bench.align(kept, bench.baseline, bench.longer(n)))


def from_scratch(bench: Bench) -> Iterator[tuple[int, float]]:
    """A model of the remaining depth, trained like the baseline."""
    from tad_blockdrop.pipelines.baseline.nodes import make_baseline

    p = bench.parameters
    for n in points(bench):
        backbone = p.detector.backbone.model_copy(update={"depth": p.detector.backbone.depth - n})
        detector = p.detector.model_copy(update={"backbone": backbone})
        _, shorter = make_baseline(bench.evaluator, bench.scratch, detector, p.baseline, p.compress)
        yield n, bench.average(shorter)


ARMS: dict[str, Arm] = {
    "uncompressed": uncompressed,
    "no alignment, one-shot ranking": dropped_one_shot,
    "no alignment, greedy ranking": dropped_greedily,
    "progressive + alignment, as published": progressive,
    "… without feature alignment": without_features,
    "… with full fine-tuning": with_full_tuning,
    "one-shot drop + the same total alignment": one_shot_aligned,
    "control: nothing dropped, aligned as often": control,
    "same depth trained from scratch": from_scratch,
    "… with a ranking that looks one drop ahead": looking_ahead,
    "progressive + alignment towards the next block": progressive_towards_next,
    "… after a repair": progressive_repaired,
    "one-shot drop + alignment towards the next block": one_shot_towards_next,
    "… after a repair (one-shot)": one_shot_repaired,
    "dropped and repaired one by one, aligned last (the default)": aligned_last,
    "its control: nothing dropped, aligned as long": control_last,
}


def _without_first(bench: Bench, n: int) -> Any:
    """The baseline without the first n blocks of its ranking."""
    from tad_blockdrop.compression.dropping import drop_block
    from tad_blockdrop.pipelines.lineage import child_lineage

    ranking = bench.scores(bench.baseline).sort_values("rank")["block"]
    shorter = bench.baseline
    for block in ranking[:n]:
        shorter = drop_block(shorter, int(block))
    return replace(shorter, lineage=child_lineage(bench.baseline, family="progressive", step=n))


def run_seed(seed: int, environment: str, overrides: dict[str, Any], arms: list[str]) -> None:
    """All arms of one seed, on one thread; finished ones are skipped."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    from tad_blockdrop.pipelines.shared import make_evaluator

    bootstrap_project(ROOT)
    experiment = f"ablation_{environment}_{seed}"
    runtime = {"threads": 1, **overrides.get("runtime", {}), "seed": seed}
    synthetic = {"validation_videos": TEST_VIDEOS, **overrides.get("synthetic", {}), "seed": seed}
    parameters = {
        **overrides, "experiment": experiment, "runtime": runtime, "synthetic": synthetic
    }  # fmt: skip

    def session() -> KedroSession:
        return KedroSession.create(ROOT, env=environment, runtime_params=parameters)

    with session() as run:
        run.run(pipeline_names=["data", "baseline"], only_missing_outputs=True)
    with session() as run:
        context = run.load_context()
        catalog, typed = context.catalog, _typed(context)
    bench = Bench(
        evaluator=make_evaluator(
            catalog.load("dataset"), typed.data, typed.evaluation, typed.runtime
        ),
        baseline=catalog.load("baseline_checkpoint"),
        parameters=typed,
        scratch=ROOT / f"data/06_models/{experiment}/scratch/ablation",
    )
    for name, arm in ARMS.items():
        if not any(name.startswith(wanted) for wanted in arms):
            continue
        path = RESULTS / f"{environment}_{seed}" / f"{list(ARMS).index(name):02d}.json"
        if path.is_file():
            continue
        found = [{"seed": seed, "arm": name, "dropped": n, "average": a} for n, a in arm(bench)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
        print(f"seed {seed}: {name}: {[round(row['average'], 2) for row in found]}", flush=True)


def _typed(context: Any) -> Any:
    from tad_blockdrop.context import validate_parameters

    return validate_parameters(context.config_loader["parameters"])


def write_table(environment: str) -> str:
    """Mean ± standard deviation over seeds; also written as CSV and Markdown."""
    rows = [
        row
        for path in sorted(RESULTS.glob(f"{environment}_*/*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]
    table = pd.DataFrame(rows)
    table.to_csv(RESULTS / "ablation.csv", index=False)
    grouped = table.groupby(["arm", "dropped"], sort=False)["average"]
    text = grouped.mean().map("{:.1f}".format) + " ± " + grouped.std().map("{:.1f}".format)
    wide = text.unstack("dropped").reindex([name for name in ARMS if name in set(table["arm"])])
    lines = ["| arm | " + " | ".join(f"{n} dropped" for n in wide.columns) + " |"]
    lines.append("| --- |" + " --- |" * len(wide.columns))
    lines += [
        f"| {arm} | " + " | ".join("" if pd.isna(v) else v for v in row) + " |"
        for arm, row in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    markdown = "\n".join(lines) + "\n"
    (RESULTS / "ablation.md").write_text(markdown, encoding="utf-8")
    return markdown


def main() -> None:
    """Parse the command line and run the seeds, ``--jobs`` at a time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--env", default="published")
    parser.add_argument("--jobs", type=int, default=2, help="seeds run at the same time")
    parser.add_argument("--only-seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--params", type=json.loads, default={}, help="overrides, as JSON")
    parser.add_argument("--arms", nargs="+", default=[""], help="only arms that begin like this")
    arguments = parser.parse_args()
    if arguments.only_seed is not None:
        run_seed(arguments.only_seed, arguments.env, arguments.params, arguments.arms)
        return
    waiting, running = list(arguments.seeds), []
    failed = False
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            command = [sys.executable, __file__, "--only-seed", str(waiting.pop(0))]
            command += ["--env", arguments.env, "--params", json.dumps(arguments.params)]
            command += ["--arms", *arguments.arms]
            running.append(subprocess.Popen(command, cwd=ROOT))
        failed |= running.pop(0).wait() != 0
    if failed:
        sys.exit("a seed failed; run the command again to go on with what is missing")
    print(write_table(arguments.env))


if __name__ == "__main__":
    main()
