"""What dropping, repair and alignment are worth on a real pre-trained backbone that stays frozen.

Needs an environment with ``baseline.train.tuning: frozen`` and its uncompressed model::

    kedro run --env <name> --pipeline compress --to-nodes evaluate.evaluate_baseline
    python benchmarks/real_transformer.py --env <name> --experiment <its experiment>

Every seed trains a neck and head of its own on the same features. Blocks are dropped all at once,
as ``--drop`` lists them; sub-layers one after the other by ``cosine``, as many as there are in the
blocks of a list. Each shorter backbone is repaired in one of three ways without labels (none, gap,
all) and looks at all videos once. With ``--lora-epochs``, those without blocks also learn by LoRA
after the last way, from the uncompressed one's features alone, which serves any neck and head. Neck
and head stay as they were, or are refitted without labels as well, and either way may learn for
``--epochs`` beside the uncompressed model (as an alignment with ``compress.first.tuning: frozen``
does); the control learns as long with nothing dropped.
Nothing is chosen by the test videos. Prints the average mAP on them, seed by seed, with the CPU
seconds of a row's repair, features and learning. An interrupted run goes on, in ``--work``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from criteria import ROOT, load

from tad_blockdrop.config import CompressConfig, TrainConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.video.windows.batches import Batch, collate

RATE = 0.3  # of the baseline's learning rate, as `learn` has it
SCORED = 8  # training videos that rank sub-layers
REPAIRS = ("all", "none", "gap")
LORA = {"warmup": 0.2, "batch": 1, "lr_backbone": 1e-4, "ema": 0.99, "keep": "last"}
LORA_RANK = 32
WAYS = "as they were", "learned", "refitted", "refitted, learned"  # neck and head


@dataclass(frozen=True, eq=False)
class Bench:
    """What all rows share: the uncompressed models by seed, and where their work is kept."""

    evaluator: Evaluator
    heads: list[Checkpoint]
    compress: CompressConfig
    lora: CompressConfig
    work: Path

    @property
    def uncompressed(self) -> Evaluator:
        """With the features of the backbone that all begin with."""
        return on_features(self.heads[0], self.evaluator, self.work)


@contextmanager
def counted(row: dict[str, Any], what: str) -> Iterator[None]:
    """Note the CPU seconds of what is done inside."""
    begin = time.process_time()
    yield
    row[what] = round(time.process_time() - begin, 1)


def once(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A row that was made before, or a new one, which is kept."""
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made), encoding="utf-8")
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    print(row, flush=True)
    return row


def on_features(model: Checkpoint, evaluator: Evaluator, folder: Path) -> Evaluator:
    """The evaluator with the features of a backbone for the windows of all videos."""
    from tad_blockdrop.detector.model import from_checkpoint
    from tad_blockdrop.jobs.training import with_frozen_features

    videos = evaluator.dataset.videos
    seen = videos.assign(split=videos["split"].replace("test", "holdout"))
    every = replace(evaluator, dataset=replace(evaluator.dataset, videos=seen))
    found = with_frozen_features(from_checkpoint(model), every, folder).features
    return replace(evaluator, features=found)


def rated(model: Checkpoint, seen: Evaluator) -> float:
    """Average mAP on the test videos."""
    from tad_blockdrop.detector.model import from_checkpoint

    detector = from_checkpoint(model)
    _, precision = seen.evaluate(detector, seen.dataset.records("test"), "rating")
    return float(precision["ap"].mean())


def all_seeds(
    baseline: Checkpoint, seen: Evaluator, typed: Any, seeds: int, work: Path
) -> list[Checkpoint]:
    """The uncompressed model, and others whose neck and head began and learned differently."""
    from tad_blockdrop.baseline.training import new_detector, train_baseline
    from tad_blockdrop.detector.model import weights_of

    models = [baseline]
    for seed in range(typed.runtime.seed + 1, typed.runtime.seed + seeds):
        size = typed.detector, len(baseline.classes), typed.data, typed.baseline
        model = new_detector(*size, seed)
        backbone = {n: v for n, v in baseline.weights.items() if n.startswith("backbone.")}
        model.load_state_dict(backbone, strict=False)
        own = replace(seen, runtime=seen.runtime.with_seed(seed))
        train_baseline(model, typed.baseline, own, work / f"seed_{seed}")
        models.append(replace(baseline, weights=weights_of(model)))
    return models


def with_backbone(head: Checkpoint, short: Checkpoint) -> Checkpoint:
    """A seed's neck and head behind another's shorter backbone."""
    weights = {n: v for n, v in head.weights.items() if not n.startswith("backbone.")}
    weights |= {n: v for n, v in short.weights.items() if n.startswith("backbone.")}
    return replace(short, weights=weights)


def learned(
    model: Checkpoint, seen: Evaluator, bench: Bench, seed: int, folder: Path
) -> Checkpoint:
    """Neck and head after learning beside the uncompressed model of their seed."""
    from tad_blockdrop.compression.alignment import align_model
    from tad_blockdrop.detector.model import from_checkpoint, weights_of
    from tad_blockdrop.training.loop import Plan
    from tad_blockdrop.video.windows.features import FeatureTraining

    student, teacher = from_checkpoint(model), from_checkpoint(bench.heads[seed])
    videos, taught = seen.dataset.records("train"), bench.uncompressed.features
    windows = FeatureTraining(videos, seen.data, seen.features, taught)
    runtime = seen.runtime.with_seed(seen.runtime.seed + seed)
    task = seen.task(student, videos)
    label, scratch = f"{folder.name}, seed {seed}", folder / f"seed_{seed}"
    plan = Plan(bench.compress.first, runtime, label, scratch)
    align_model(student, teacher, task, windows, bench.compress.loss, plan)
    return replace(model, weights=weights_of(student))


def _training_features(seen: Evaluator) -> Batch:
    """All windows of the training videos as one batch."""
    from tad_blockdrop.video.windows.features import FeatureWindows

    windows = FeatureWindows(seen.dataset.records("train"), seen.data, seen.features)
    return collate([windows[number] for number in range(len(windows))])


def refitted(model: Checkpoint, seen: Evaluator, bench: Bench, seed: int) -> Checkpoint:
    """Neck and head refitted to the features of the shorter backbone, without labels."""
    from tad_blockdrop.compression.read_out import Features, refit_read_out
    from tad_blockdrop.detector.model import from_checkpoint, weights_of

    student, teacher = from_checkpoint(model), from_checkpoint(bench.heads[seed])
    mine, theirs = _training_features(seen), _training_features(bench.uncompressed)
    features = Features(mine.features, theirs.features, mine.mask)
    refit_read_out(student, teacher, features, bench.compress.repair.ridge)
    return replace(model, weights=weights_of(student))


def try_backbone(
    name: str, short: Checkpoint, repair: str, lora: int, bench: Bench
) -> dict[str, Any]:
    """The row of a shorter backbone, with neck and head in each of ``WAYS``.

    Not refitted where nothing is repaired: refitting is a part of repair. ``lora``: epochs of it.
    """
    from tad_blockdrop.jobs.repair import repair as refit

    folder = bench.work / _label(name, repair, lora)
    row: dict[str, Any] = {"dropped": name, "repair": repair, "LoRA epochs": lora}
    with counted(row, "repair s"):
        if repair != "none":
            config = bench.compress.repair.model_copy(update={"layers": repair, "read_out": False})
            weights, _ = refit(short, bench.heads[0], bench.evaluator, config, folder)
            short = replace(short, weights=weights)
    with counted(row, "LoRA s"):
        if lora:
            short = learned_by_blocks(short, bench, folder / "lora")
    with counted(row, "features s"):
        seen = on_features(short, bench.evaluator, bench.work)
    models = [with_backbone(head, short) for head in bench.heads]
    row["as they were"] = [rated(model, seen) for model in models]
    with counted(row, "learning s"):
        taught = [learned(m, seen, bench, seed, folder) for seed, m in enumerate(models)]
    row["learned"] = [rated(model, seen) for model in taught]
    if repair == "none":
        return row
    with counted(row, "refit s"):
        models = [refitted(m, seen, bench, seed) for seed, m in enumerate(models)]
    row["refitted"] = [rated(model, seen) for model in models]
    folder = folder / "refitted"
    taught = [learned(m, seen, bench, seed, folder) for seed, m in enumerate(models)]
    row["refitted, learned"] = [rated(model, seen) for model in taught]
    return row


def _label(name: str, repair: str, lora: int) -> str:
    return f"{name}_{repair}" + (f"_lora_{lora}" if lora else "")


def shorter(baseline: Checkpoint, lists: Sequence[Sequence[int]], bench: Bench) -> dict[str, Any]:
    """Shorter models by name: without the listed blocks, and without as many sub-layers."""
    from tad_blockdrop.compression.dropping import drop_block
    from tad_blockdrop.pipelines.compress import nodes

    found = {"none": baseline}
    for blocks in lists:
        model = baseline
        for block in blocks:
            model = drop_block(model, block)
        found["blocks " + " ".join(map(str, blocks))] = model
    compress = bench.compress.model_copy(
        update={"criterion": "cosine", "unit": "sublayer", "score_videos": SCORED, "n_drops": 99}
    )
    model = baseline
    for step in range(1, 2 * max(map(len, lists), default=0) + 1):
        folder = bench.work / "ranking"
        scores = nodes.score_blocks(model, baseline, bench.evaluator, folder, compress)
        model = nodes.drop_block(model, scores)
        if step in {2 * len(blocks) for blocks in lists}:
            found[f"{step} sub-layers"] = model
    return found


def with_lora(train: TrainConfig, compress: CompressConfig, epochs: int) -> CompressConfig:
    """Settings of an alignment of the blocks alone, by what the next kept one expects."""
    lora = train.lora.model_copy(update={"rank": LORA_RANK, "embedding": False})
    changes = {"epochs": epochs, "stop": epochs, "tuning": "lora", "lora": lora}
    recipe = train.model_copy(update=LORA | changes)
    labels = dict.fromkeys(("cls", "reg", "kd_cls", "kd_reg"), 0.0)
    loss = compress.loss.model_copy(update={"aim": "next", **labels})
    return compress.model_copy(update={"first": recipe, "later": recipe, "loss": loss})


def learned_by_blocks(short: Checkpoint, bench: Bench, folder: Path) -> Checkpoint:
    """The shorter backbone after an alignment by ``bench.lora``, merged."""
    from tad_blockdrop.compression.lora import merge_lora
    from tad_blockdrop.detector.model import weights_of
    from tad_blockdrop.jobs.training import align

    model, _ = align(short, bench.heads[0], bench.evaluator, bench.lora, 1, folder.name, folder)
    merge_lora(model)
    return replace(short, weights=weights_of(model))


def table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A line for each way, in percent, with the mean over seeds first."""
    lines = []
    for row in rows:
        for way in filter(row.get, WAYS):
            values = [100 * value for value in row[way]]
            lines.append(
                {
                    **{key: value for key, value in row.items() if key not in WAYS},
                    "neck and head": way,
                    "mean": sum(values) / len(values),
                    "by seed": " ".join(f"{value:.1f}" for value in values),
                }
            )
    return pd.DataFrame(lines).round(1)


def main() -> None:
    """Parse the command line, make the rows one after the other, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--env", required=True)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of alignment")
    parser.add_argument("--lora-epochs", type=int, default=0, help="of blocks after a repair")
    parser.add_argument("--drop", nargs="+", default=["1,3,4", "1,2,3,4,6,7"])
    parser.add_argument("--work", type=Path, default=Path("data/real_transformer"))
    arguments = parser.parse_args()
    evaluator, baseline, typed = load(arguments.experiment, arguments.project, arguments.env)
    train = typed.baseline.train
    recipe = train.model_copy(
        update={
            "epochs": arguments.epochs, "stop": arguments.epochs,
            "warmup": min(1.0, arguments.epochs / 2),
            "lr_detector": RATE * train.lr_detector, "tuning": "frozen",
        }
    )  # fmt: skip
    compress = typed.compress.model_copy(update={"first": recipe, "later": recipe})
    lora = with_lora(typed.compress.first, typed.compress, arguments.lora_epochs)
    bench = Bench(evaluator, [baseline], compress, lora, arguments.work)
    bench.heads[:] = all_seeds(baseline, bench.uncompressed, typed, arguments.seeds, arguments.work)
    lists = [tuple(map(int, blocks.split(","))) for blocks in arguments.drop]
    models = shorter(baseline, lists, bench)
    ways = [("none", "none"), *product(REPAIRS, [name for name in models if name != "none"])]
    todo = [(name, repair, 0) for repair, name in ways]
    if arguments.lora_epochs:
        blocks = [name for name in models if name.startswith("blocks")]
        todo += [(name, "all", arguments.lora_epochs) for name in blocks]
    rows = []
    for name, repair, epochs in todo:
        kept = bench.work / "rows" / f"{_label(name, repair, epochs)}.json"
        rows.append(once(kept, partial(try_backbone, name, models[name], repair, epochs, bench)))
    print(table(rows).to_string(index=False))


if __name__ == "__main__":
    main()
