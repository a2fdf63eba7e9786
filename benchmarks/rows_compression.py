"""Rows of scoring, evaluation and alignment, each beside its yardstick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from measuring import Bench, Row, Spent, in_turns, once, ratio
from torch import nn

# CPU-seconds of the public implementation for the work of conf/benchmark, one thread, fp32, on
# this kind of machine: scoring 8 candidates on 51 windows, of which its transformer took 53;
# evaluating 25 windows; an alignment step of two windows, at its fastest.
PUBLIC_SCORING, PUBLIC_SCORING_MODEL, PUBLIC_EVALUATION, PUBLIC_STEP = 586.0, 53.0, 39.0, 1.25


def scoring(bench: Bench, repeats: int, public: bool) -> list[Row]:
    """All candidates of the first ranking; on all training videos where ``public`` is compared."""
    from tad_blockdrop.compression.skipping import Skip, skipped_outputs

    model = bench.model()
    half = bench.runtime(device="cpu", precision="bf16")
    blocks = model.kept_blocks
    skips = [Skip({i}) for i in blocks]
    batch = next(iter(_loader(bench, "train")))
    shorter = [bench.model(tuple(b for b in blocks if b != i)) for i in blocks]

    def at_half() -> None:
        with half.autocast():
            list(skipped_outputs(model, batch.frames, batch.mask, skips))

    with torch.inference_mode():
        spent = in_turns(
            {
                "full": lambda: model(batch.frames, batch.mask),
                "naive": lambda: [m(batch.frames, batch.mask) for m in shorter],
                "shared": lambda: list(skipped_outputs(model, batch.frames, batch.mask, skips)),
                "half": at_half,
            },
            repeats,
        )
    windows = len(batch.windows)
    full, shared = spent["full"].cpu, spent["shared"].cpu
    rows = [
        Row(
            "1 scoring", f"{len(blocks)} candidates, one window, model part",
            shared / windows, ratio(spent["naive"], spent["shared"]), "a loop over the models",
            note=f"{shared / full:.2f} full forwards; a loop {spent['naive'].cpu / full:.2f}",
        ),
        Row(
            "1 scoring", "the same with runtime.precision bf16",
            spent["half"].cpu / windows, ratio(spent["shared"], spent["half"]), "fp32",
        ),
    ]  # fmt: skip
    return rows + _pieces(
        "1 scoring", bench, "train", skips, repeats, PUBLIC_SCORING if public else None, ">= 10",
        PUBLIC_SCORING_MODEL if public else None,
    )  # fmt: skip


def evaluation(bench: Bench, repeats: int, public: bool) -> list[Row]:
    """The validation pass of one model."""
    from tad_blockdrop.compression.skipping import Skip

    limit = PUBLIC_EVALUATION if public else None
    return _pieces("3 evaluation", bench, "test", [Skip()], repeats, limit, ">= 8", None)


def alignment(bench: Bench, repeats: int, public: bool) -> list[Row]:
    """One step: teacher, student with LoRA, loss, backward, clipping, optimiser, moving average."""
    from tad_blockdrop.runtime.read_ahead import ReadAhead
    from tad_blockdrop.video.windows.loading import TrainingWindows

    p = bench.parameters
    windows = TrainingWindows(bench.records("train"), p.data, 0)
    batch = next(iter(windows.loader(p.compress.first.batch, workers=0, seed=0)))
    step = alignment_step(bench, windows)
    blocks = bench.model().backbone
    with torch.no_grad():
        tokens = blocks.embed(batch.frames)
    bare = nn.Sequential(*bench.model().backbone.blocks.values()).train()
    trained = tokens.clone().requires_grad_()

    def bare_blocks() -> None:
        with torch.no_grad():
            bare(tokens)
        bare(trained).sum().backward()

    spent = in_turns({"step": lambda: step(ReadAhead([batch])), "bare": bare_blocks}, repeats)
    mine, theirs = spent["step"], spent["bare"]
    rows = [
        Row(
            "2 alignment", f"one step of {len(batch.windows)} windows",
            mine.cpu, ratio(theirs, mine), "its bare timm blocks: forward, forward and backward",
            note=f"{mine.cpu / theirs.cpu:.2f} times the bare blocks",
        )
    ]  # fmt: skip
    if public:
        rows.append(
            Row(
                "2 alignment", "the same step, against the public one",
                mine.cpu, PUBLIC_STEP / mine.cpu, "public implementation", ">= 1.4",
            )
        )  # fmt: skip
    return rows


def alignment_step(bench: Bench, windows: Any, **backbone: Any) -> Callable[[Any], object]:
    """A function that does one alignment step on the next batch of a reader, as training does it.

    ``backbone`` changes fields of the configuration. No block is dropped: the dearest step.
    """
    return partial(alignment_run(bench, windows, bench.runtime(), **backbone).step, step=0)


def alignment_run(bench: Bench, windows: Any, runtime: Any, **backbone: Any) -> Any:
    """The training run that does such steps, in a process of the runtime's group."""
    from tad_blockdrop.compression.lora import add_lora
    from tad_blockdrop.compression.losses import AlignLoss
    from tad_blockdrop.training.groups import freeze_for
    from tad_blockdrop.training.loop import TrainingRun

    p = bench.parameters
    recipe = p.compress.first.model_copy(update={"accumulate": 1})
    student = bench.model()
    student.backbone.config = student.backbone.config.model_copy(update=backbone)
    if recipe.tuning == "lora":
        add_lora(student, recipe.lora, 0)
    freeze_for(student, recipe)
    task = bench.task([])
    teacher = bench.model().to(runtime.device)  # the student is moved by its training run
    loss = AlignLoss(p.compress.settled_loss, task, student, teacher, runtime.group)
    run = TrainingRun({"model": student, "loss": loss}, loss, windows, recipe, runtime)
    student.train()
    return run


def _loader(bench: Bench, split: str) -> Any:
    from tad_blockdrop.video.windows.loading import TestWindows, make_loader

    p = bench.parameters
    windows = TestWindows(bench.records(split), p.data, p.data.window.overlap)
    return make_loader(windows, p.evaluation.batch, 0)


def _pieces(
    part: str,
    bench: Bench,
    split: str,
    skips: Sequence[Any],
    repeats: int,
    public: float | None,
    target: str,
    public_model: float | None,
) -> list[Row]:
    """A whole pass over a split, piece by piece: decode, model, post-processing, matching."""
    from tad_blockdrop.compression.skipping import skipped_outputs
    from tad_blockdrop.detections.pooling import VideoPool
    from tad_blockdrop.detections.task import instances_of
    from tad_blockdrop.metrics.average_precision import average_precision

    model, evaluation = bench.model(), bench.parameters.evaluation
    records, classes = bench.records(split), bench.classes
    truth, names = instances_of(records, classes), [r.video_id for r in records]
    batches: list[Any] = []
    outputs: list[Any] = []
    tables: list[Any] = []

    def run_model() -> None:
        with torch.inference_mode():
            for batch in batches:
                outputs.append(list(skipped_outputs(model, batch.frames, batch.mask, skips)))

    def process() -> None:
        for number in range(len(skips)):
            pool = VideoPool(records, classes, model.window, evaluation.postprocess)
            for batch, found in zip(batches, outputs, strict=True):
                pool.add(batch.windows, found[number])
            tables.append(pool.detections())

    def match() -> None:
        for table in tables:
            average_precision(table, truth, names, evaluation.score_tious)

    spent: dict[str, Spent] = {
        "decode": once(lambda: batches.extend(_loader(bench, split))),
        "model": once(run_model),
        "post-processing": once(process),
        "matching and mAP": once(match),
    }
    total = sum(piece.cpu for piece in spent.values())
    windows = sum(len(batch.windows) for batch in batches)
    told = "public implementation"
    rows = [
        Row(
            part, f"all of it: {windows} windows, {len(skips)} models", total,
            public / total if public else None, told if public else "", target if public else "",
            note=f"{sum(map(len, tables)):,} detections",
        )
    ]  # fmt: skip
    for name, piece in spent.items():
        compared = public_model if name == "model" else None
        rows.append(
            Row(
                part, f"- {name}", piece.cpu, compared / piece.cpu if compared else None,
                f"{told} (transformer only)" if compared else "", ">= 2" if compared else "",
            )
        )  # fmt: skip
    return rows
