"""Which blocks to drop together: those without which a repaired model loses least.

``python benchmarks/choose_blocks.py --env <name> --experiment <name> --drop 3 6`` takes the
uncompressed model of an experiment (``kedro run --env <name> --pipeline compress --to-nodes
evaluate.evaluate_baseline``). Blocks join the dropped ones greedily; at each count of ``--drop``,
one that is dropped changes places with one that is kept for as long as less is lost. A set of
blocks is dropped from the uncompressed backbone, which is repaired on ``--clips`` clips of training
videos. What is lost is, ``--by features``, the error of the features of ``--judged`` other clips;
or, ``--by map``, points of average mAP on the held-out videos (``data.holdout``), neck and head
repaired too. Test videos choose nothing. Prints each set it tries and, for each count, the set to
give to the job. An interrupted search goes on, in ``--work``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from criteria import ROOT, load

from tad_blockdrop.compression.read_out import read_features, refit_read_out, windows_for
from tad_blockdrop.compression.repair import calibration_clips, feature_error, repair_model
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.detector.model import Detector, evaluating, from_checkpoint
from tad_blockdrop.jobs.repair import calibration_loader
from tad_blockdrop.metrics.average_precision import average_map

Blocks = tuple[int, ...]
Judge = Callable[[Detector], float]
"""What a shorter model has lost, once its blocks are repaired; it may change the model."""


@dataclass(frozen=True, eq=False)
class Search:
    """What all sets share, and what those that were tried had lost."""

    teacher: Detector
    fitted: torch.Tensor
    repair: RepairConfig
    judge: Judge
    tried: dict[Blocks, float]
    file: Path

    def lost(self, blocks: Blocks) -> float:
        """What is lost without ``blocks``, after repair; kept in ``file``."""
        if blocks not in self.tried:
            shorter = deepcopy(self.teacher)
            for block in blocks:
                shorter.backbone.drop(block)
            repair_model(shorter, self.teacher, self.fitted, self.repair)
            self.tried[blocks] = self.judge(shorter)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([blocks, self.tried[blocks]]) + "\n")
            print(f"without {named(blocks)}: {self.tried[blocks]:.4f}", flush=True)
        return self.tried[blocks]

    def best(self, sets: Iterable[Iterable[int]]) -> Blocks:
        """The set with which least is lost."""
        return min((tuple(sorted(each)) for each in sets), key=self.lost)

    def grown(self, blocks: Blocks) -> Blocks:
        """The best set with one block more."""
        return self.best({*blocks, other} for other in self._kept(blocks))

    def exchanged(self, blocks: Blocks) -> Blocks:
        """The set after changes of places with which less is lost, until there is none."""
        pairs = [(old, new) for old in blocks for new in self._kept(blocks)]
        better = self.best([blocks, *({*blocks, new} - {old} for old, new in pairs)])
        return blocks if better == blocks else self.exchanged(better)

    def _kept(self, blocks: Blocks) -> list[int]:
        return [block for block in self.teacher.kept_blocks if block not in blocks]


def named(blocks: Blocks) -> str:
    """Blocks as tables and ``compress.candidates`` have them."""
    return " ".join(map(str, blocks))


def by_features(teacher: Detector, judged: torch.Tensor) -> Judge:
    """The error of the features of clips."""

    def judge(shorter: Detector) -> float:
        with evaluating(shorter):
            return float(feature_error(shorter, teacher, judged))

    return judge


def by_map(teacher: Detector, evaluator: Evaluator, repair: RepairConfig) -> Judge:
    """Points of average mAP on held-out videos, once neck and head are repaired."""
    held_out = evaluator.dataset.records("holdout")
    if not held_out:
        raise SystemExit("--by map: no videos are held out; set data.holdout and train anew")
    videos = evaluator.dataset.records("train")[: repair.videos]
    loader = evaluator.own_loader(videos, windows_for(repair, evaluator.data.window.grid))

    def rated(model: Detector) -> float:
        return 100 * average_map(evaluator.evaluate(model, held_out, "held-out videos")[1])

    whole = rated(teacher)

    def judge(shorter: Detector) -> float:
        features = read_features(shorter, teacher, loader)
        refit_read_out(shorter, teacher, features, repair.ridge)
        return whole - rated(shorter)

    return judge


def start(arguments: argparse.Namespace) -> Search:
    """The search, with what an earlier one has tried on the same model and clips."""
    evaluator, baseline, _ = load(arguments.experiment, arguments.project, arguments.env)
    teacher = from_checkpoint(baseline, evaluator.runtime.device).eval()
    others = arguments.judged if arguments.by == "features" else 0
    config = RepairConfig(layers="all", donors=0, clips=arguments.clips + others)
    clips = calibration_clips(teacher, calibration_loader(evaluator, config), config.clips)
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0))
    judging = len(clips) * others // config.clips
    fitted, judged = clips[order[judging:]], clips[order[:judging]]
    if arguments.by == "features":
        judge = by_features(teacher, judged)
    else:
        judge = by_map(teacher, evaluator, config)
    arguments.work.mkdir(parents=True, exist_ok=True)
    model = weights_hash(baseline.weights)[:12]
    file = arguments.work / f"{model}_{arguments.clips}_{others or 'map'}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    tried = {tuple(blocks): lost for blocks, lost in map(json.loads, lines)}
    return Search(teacher, fitted, config, judge, tried, file)


def main() -> None:
    """Parse the command line, search, print what to give to the job."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--env")
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--drop", nargs="+", type=int, required=True, help="how many blocks")
    parser.add_argument("--by", choices=["features", "map"], default="features")
    parser.add_argument("--clips", type=int, default=128, help="that a repair is fitted on")
    parser.add_argument("--judged", type=int, default=256, help="other clips, --by features")
    parser.add_argument("--work", type=Path, default=Path("data/choose_blocks"))
    arguments = parser.parse_args()
    if arguments.judged < 1:
        parser.error("--judged: at least one clip")
    search, blocks = start(arguments), Blocks()
    depth = len(search.teacher.kept_blocks)
    if not 0 < min(arguments.drop) <= max(arguments.drop) < depth:
        parser.error(f"--drop: from 1 to {depth - 1} of the {depth} blocks can be dropped")
    for count in range(1, max(arguments.drop) + 1):
        blocks = greedy = search.grown(blocks)
        if count in arguments.drop:
            blocks = search.exchanged(greedy)
            given = f"compress.n_drops={count},compress.candidates={named(blocks)}"
            print(f"{count} greedily {named(greedy)}: {search.lost(greedy):.4f}")
            print(f'{count} blocks: {search.lost(blocks):.4f}, --params "{given}"', flush=True)


if __name__ == "__main__":
    main()
