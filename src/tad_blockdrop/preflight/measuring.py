"""A look ahead before a long job: the real work, at full size, on one window."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tad_blockdrop.baseline.training import new_detector
from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.compression.dropping import ScoringError
from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.compression.losses import AlignLoss
from tad_blockdrop.compression.ranking import score_blocks
from tad_blockdrop.compression.refitting import check_clips
from tad_blockdrop.compression.repair import calibration_clips, repair_model
from tad_blockdrop.config import DataConfig, Parameters, TrainConfig
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detections.task import DetectionTask
from tad_blockdrop.detector.checkpoint import read_checkpoint, to_train
from tad_blockdrop.detector.model import Detector, from_checkpoint
from tad_blockdrop.detector.units import candidate_units, without_unit
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.metrics.measure import resident, synchronise
from tad_blockdrop.preflight.forecast import size
from tad_blockdrop.preflight.work import Measured
from tad_blockdrop.runtime.devices import main_memory
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import Plan, train
from tad_blockdrop.video.windows.batches import Batch, LoadedWindow
from tad_blockdrop.video.windows.cutting import VideoRecord, trained_on
from tad_blockdrop.video.windows.device import training_windows
from tad_blockdrop.video.windows.loading import TestWindows, make_loader

REPAIRED_CLIPS = 32  # at least, for a time that can be multiplied


class PreflightError(BlockDropError):
    """The job cannot run here as it is configured."""


def given_model(settings: Parameters, n_classes: int) -> Detector:
    """The uncompressed model that the job starts from; this is how its weights are checked.

    Raises FormatError or CheckpointError for weights that cannot be used.
    """
    baseline = settings.baseline
    if baseline.source == "checkpoint" and baseline.checkpoint is not None:
        given = read_checkpoint(Path(baseline.checkpoint))
        return from_checkpoint(to_train(given, settings.detector))
    model = new_detector(
        settings.detector, n_classes, settings.data, baseline, settings.runtime.seed
    )
    if weights := settings.detector.backbone.weights or baseline.backbone_weights:
        model.backbone.load_weights(weights)
    return model


def choose_record(records: Sequence[VideoRecord], data: DataConfig) -> VideoRecord:
    """The shortest video that fills a window and has actions; else the longest that has some."""
    able = [r for r in records if len(trained_on(r, data.window).labels)]
    if not able:
        raise PreflightError("no training video has an action to learn: see problems.csv")
    filling = [r for r in able if r.n_samples >= data.window.frames]
    return min(filling or able, key=lambda r: r.n_samples if filling else -r.n_samples)


def measure_reading(record: VideoRecord, data: DataConfig, device: torch.device) -> float:
    """Seconds that one process needs for a training window, as training on ``device`` reads it."""
    dataset = training_windows([record], data, 0, device)
    begin = time.perf_counter()
    dataset[0, 0]
    return time.perf_counter() - begin


def measure_recipes(
    teacher: Detector, record: VideoRecord, settings: Parameters
) -> tuple[Measured, int, Measured | None]:
    """A step as the job trains, its batch, and a step that changes neck and head only, if any.

    Where there is no other, it is both.
    """
    baseline, compress = settings.baseline, settings.compress
    recipes = [compress.first, compress.later] if compress.align else []
    recipes += [baseline.train] if baseline.source == "train" else []
    frozen = next((each for each in recipes if each.tuning == "frozen"), None)
    whole = next((each for each in recipes if each.tuning != "frozen"), frozen or compress.first)
    training = measure_training(teacher, record, whole, settings)
    if frozen is None or frozen is whole:
        return training, whole.batch, training if frozen else None
    return training, whole.batch, measure_training(teacher, record, frozen, settings)


def measure_training(
    teacher: Detector, record: VideoRecord, recipe: TrainConfig, settings: Parameters
) -> Measured:
    """One alignment step of a whole batch, as the loop does it, on a model without one unit.

    On a GPU it is the last of three, since the first ones compile and allocate. What is there
    before it, and what the optimiser adds, is held by each of several devices. With ``tuning:
    frozen`` the features are there already.
    """
    data, runtime = settings.data, Runtime(settings.runtime)
    device = runtime.device
    first = candidate_units(teacher.kept_units, settings.compress.unit)[0]
    kept = without_unit(teacher.kept_units, first) or teacher.kept_units
    student = Detector(teacher.config, teacher.n_classes, data.window, kept)
    if recipe.tuning == "lora":
        add_lora(student, recipe.lora, runtime.seed)
    freeze_for(student, recipe)
    terms = settings.compress.settled_loss
    if settings.compress.align is None:  # it stands for a step of the baseline, of any classes
        terms = terms.model_copy(update={"kd_kind": None})
    task = _task(student, record, settings)
    loss = AlignLoss(terms, task, student, teacher.to(device))
    on_cpu = device.type == "cpu"
    learned = 4.0 * sum(p.numel() for p in student.parameters() if p.requires_grad)
    # Gradients are still to come, before a first step the optimiser's two moments as well.
    to_come = (3 if on_cpu else 1) * learned
    frozen = (student, teacher) if recipe.tuning == "frozen" else None
    timed = _TimedLoss(loss, device, to_come, frozen)
    windows = recipe.batch * (1 if on_cpu else 3)
    window = data.window.model_copy(update={"per_video": windows})
    dataset = training_windows([record], data.model_copy(update={"window": window}), 0, device)
    once = {"epochs": 1.0, "stop": 1, "warmup": 0.0, "accumulate": 1}
    plan = Plan(recipe.model_copy(update=once), runtime, "measuring")
    work = partial(train, student, timed, dataset, plan)
    with _too_much(device, "a training step", "lower batch and raise accumulate"):
        memory, end = _measure(work, device)
    return Measured(end - timed.begins[-1], memory, min(timed.held[-1], memory))


class _TimedLoss(nn.Module):
    """``loss``, which notes of each step when it begins (s) and what memory it then holds (bytes).

    ``to_come``: bytes beside these. ``frozen``: student and teacher whose features are there before
    a step begins.
    """

    def __init__(
        self,
        loss: AlignLoss,
        device: torch.device,
        to_come: float,
        frozen: tuple[Detector, Detector] | None,
    ) -> None:
        super().__init__()
        self.loss, self.device, self.to_come = loss, device, to_come
        self.frozen = frozen  # in a tuple, so that they are not registered here
        self.begins: list[float] = []
        self.held: list[float] = []

    def forward(self, batch: Batch, epoch: float) -> dict[str, Tensor]:
        """That of ``loss``."""
        if self.frozen:
            with torch.no_grad():
                seen = [model(batch.frames, batch.mask).features for model in self.frozen]
            batch = replace(batch, features=seen[0], teacher_features=seen[1])
        synchronise(self.device)
        self.held.append(_memory_now(self.device) + self.to_come)
        self.begins.append(time.perf_counter())
        return dict(self.loss(batch, epoch))


def measure_scoring(model: Detector, record: VideoRecord, settings: Parameters) -> Measured | None:
    """One test window, ranked by ``compress.criterion`` with all candidates.

    Not where these are repaired: :func:`measure_repair` and :func:`measure_detection` tell that.
    """
    if choose_criterion(settings.compress).repairs:
        return None
    loader, task = _one_window(record, settings.data), _task(model, record, settings)

    def work() -> None:
        with suppress(ScoringError):  # an untrained model finds nothing
            score_blocks(model, loader, task, settings.compress)

    return _one_pass(model, settings, work, "ranking blocks", "set compress.look_ahead to 1")


def measure_detection(model: Detector, record: VideoRecord, settings: Parameters) -> Measured:
    """One test window, from pixels to detections."""
    loader, config = _one_window(record, settings.data), settings.evaluation.postprocess
    work = partial(detect, model, loader, [record], _names(model), config)
    return _one_pass(model, settings, work, "detecting", "lower data.window.frames")


def measure_repair(
    model: Detector, record: VideoRecord, clips: int, settings: Parameters
) -> Measured | None:
    """One block refitted on ``clips`` clips, where a repair is configured.

    It is one behind which as many are dropped as may give it heads and hidden channels. The clips
    of one window go through it, a few times, and twice as many: what these take more is taken for
    all the others. Memory is without the states of all clips, which ``forecast.repair_states``
    counts.
    """
    repair = settings.compress.repair
    if repair.layers == "none":
        return None
    check_clips(clips)
    first = int(repair.layers == "all")  # the attention is refitted, too, where a block was before
    dropped = max(1 - first, min(repair.donors, settings.compress.n_drops))
    blocks, shape = model.kept_blocks, (model.config, model.n_classes, model.window)
    teacher = Detector(*shape, blocks[: first + 1 + dropped])
    kept = blocks[first : first + 1] or blocks
    window = calibration_clips(model, _one_window(record, settings.data), repair.clips)
    few = window.repeat(ceil(REPAIRED_CLIPS / len(window)), 1, 1, 1, 1)

    def seconds(given: Tensor) -> Measured:
        # The same share of tokens as of all clips.
        tokens = max(2, round(repair.tokens * len(given) / clips))
        student, part = Detector(*shape, kept), repair.model_copy(update={"tokens": tokens})
        work = partial(repair_model, student, teacher, given, part)
        return _one_pass(student, settings, work, "a repair", "set compress.repair to none")

    seconds(few)  # first calls compile and allocate
    once, twice = seconds(few), seconds(torch.cat([few, few]))
    more = max(0.0, twice.seconds - once.seconds) * (clips / len(few) - 1)
    return Measured(max(0.0, once.seconds + more), twice.memory)


def _one_pass(
    model: Detector, settings: Parameters, work: Callable[[], object], what: str, advice: str
) -> Measured:
    """Time and memory of ``work`` with the model, as the job does it."""
    runtime = Runtime(settings.runtime)
    model.to(runtime.device)
    begin = time.perf_counter()
    with _too_much(runtime.device, what, advice), runtime.autocast():
        memory, end = _measure(work, runtime.device)
    return Measured(end - begin, memory)


def _task(model: Detector, record: VideoRecord, settings: Parameters) -> DetectionTask:
    return DetectionTask(
        model.config.head, model.window, [record], _names(model), settings.evaluation
    )


def _names(model: Detector) -> list[str]:
    return [str(k) for k in range(model.n_classes)]


def _one_window(record: VideoRecord, data: DataConfig) -> DataLoader[LoadedWindow]:
    dataset = TestWindows([record], data, data.window.overlap)
    dataset.items = dataset.items[:1]
    return make_loader(dataset, batch=1, workers=0)


def _measure(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Do it: the peak of memory meanwhile (bytes), and the time at its end."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        # Linux forgets the peak so far; elsewhere it is that of everything until now.
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    work()
    synchronise(device)
    end = time.perf_counter()
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)), end
    return float(resident("VmHWM")), end


def _memory_now(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    return float(resident("VmRSS"))


def memory_of(device: torch.device) -> float:
    """Bytes of memory that a device has."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(main_memory())


@contextmanager
def _too_much(device: torch.device, what: str, advice: str) -> Iterator[None]:
    """Say what did not fit into a GPU's memory. (A full main memory kills the process.)"""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PreflightError(
            f"{what} does not fit into the {size(memory_of(device))} of {device}: set "
            f"detector.backbone.checkpointing to true, or {advice}"
        ) from error
