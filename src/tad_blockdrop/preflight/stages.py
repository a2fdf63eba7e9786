"""How long each stage of a job takes on some devices, what is narrowest, and what widens it.

Times are upper bounds: what is measured with all blocks is taken for every step of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil, comb, inf

from tad_blockdrop.compression.criteria import choose_criterion
from tad_blockdrop.compression.read_out import windows_for
from tad_blockdrop.compression.refitting import shares
from tad_blockdrop.config import Parameters, TrainConfig
from tad_blockdrop.detector.units import candidate_units
from tad_blockdrop.parallel.group import share_of
from tad_blockdrop.preflight.work import OneWindow, Work
from tad_blockdrop.video.windows.loading import quicker_store

PROXIES = "proxies"


@dataclass(frozen=True)
class Machine:
    """The ``devices`` of a job, of a ``kind`` of PyTorch's, the ``spare`` ones, and CPU ``cores``.

    ``by_window``: the share of a step, in neck and head, that is divided by windows, not by clips.
    """

    devices: int = 1
    kind: str = "cpu"
    spare: int = 0
    cores: float = inf
    by_window: float = 0.0

    def share_of_step(self, windows: int, clips: int) -> float:
        """The share of a step, of so many windows with so many clips each, that one device does."""
        devices = min(self.devices, clips)
        whole_windows = ceil(windows / devices) / windows
        return self.by_window * whole_windows + (1 - self.by_window) / devices


@dataclass(frozen=True)
class Phase:
    """Seconds that each of ``devices`` works, beside CPU seconds in which ``readers`` read."""

    devices: int
    working: float
    reading: float
    readers: float

    @property
    def seconds(self) -> float:
        """The slower of the two counts."""
        return max(self.working, self.reading / self.readers)

    @property
    def waits(self) -> bool:
        """Whether devices wait for what is read."""
        return self.reading / self.readers > self.working


@dataclass(frozen=True)
class Stage:
    """A stage of the job, of one phase after the other."""

    name: str
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def devices(self) -> int:
        """How many share it, at most."""
        return max((phase.devices for phase in self.phases), default=0)

    @property
    def cores(self) -> float:
        """CPU cores that read as fast as the devices work; all readers where these do nothing."""
        working = sum(phase.working for phase in self.phases)
        if not working:
            return max((phase.readers for phase in self.phases), default=0.0)
        return sum(phase.reading for phase in self.phases) / working


def predict(
    work: Work, one: OneWindow, settings: Parameters, machine: Machine | None = None
) -> list[Stage]:
    """The stages of the job; ``one`` was measured on one device as the job will use it."""
    plan = _Plan(work, one, settings, machine or Machine())
    compress, report = settings.compress, settings.report
    # An alignment step less the teacher's pass, which is about what detecting is.
    aligned = one.training.seconds / one.batch
    plain = max(aligned - one.detection.seconds, 0.0)
    trained = [settings.baseline.train] if settings.baseline.source == "train" else []
    controls = compress.recipes if report.control else []
    recipes = compress.recipes + controls
    # A frozen backbone is rated on features that are kept, which takes no time beside the rest.
    ratings = sum(recipe.ratings for recipe in trained + recipes if recipe.tuning != "frozen")
    models = 1 + compress.n_drops + len(controls)
    one_shot = compress.n_drops if report.one_shot else 0
    learning = [plan.training(recipe, plain, backbones=1) for recipe in trained]
    aligning = [plan.training(recipe, aligned, backbones=2) for recipe in recipes]
    stages = [
        Stage(PROXIES, (plan.phase(1, 0.0, one.proxies),)),
        Stage("baseline", tuple(chain.from_iterable(learning))),
        Stage("ranking", plan.ranking()),
        Stage("alignment", tuple(chain.from_iterable(aligning))),
        Stage(
            "evaluation",
            (
                plan.detection("held_out", work.held_out * ratings),
                plan.detection("rated", work.rated * models),
                plan.detection("tested", work.tested * (models + one_shot)),
            ),
        ),
    ]
    if one.repair is not None:
        stages.append(Stage("repair", plan.repair(one.repair.seconds)))
    return stages


def hours_of(stages: Sequence[Stage]) -> dict[str, float]:
    """Hours of each stage, and of all: ``total``."""
    hours = {stage.name: stage.seconds / 3600 for stage in stages}
    return hours | {"total": sum(hours.values())}


@dataclass(frozen=True)
class _Plan:
    """Phases of stages, from what one window takes."""

    work: Work
    one: OneWindow
    settings: Parameters
    machine: Machine

    def phase(self, parts: int, working: float, reading: float) -> Phase:
        """``working`` seconds of one device are shared by as many as there are ``parts``."""
        devices = min(self.machine.devices, max(parts, 1))
        readers = min(devices * max(1, self.settings.runtime.workers), self.machine.cores)
        return Phase(devices, working / devices, reading, readers)

    def training(self, recipe: TrainConfig, window: float, backbones: int) -> tuple[Phase, ...]:
        """``window``: seconds of a step for one of its windows, whose clips are shared.

        If ``backbones`` are frozen, each looks once at what its features are then kept of.
        """
        if recipe.tuning == "frozen":
            return self._read_out(recipe, backbones)
        machine, batch = self.machine, self.one.batch
        geometry = self.settings.detector.backbone.geometry
        clips = self.settings.data.window.frames // geometry.clip_frames
        devices, windows = min(machine.devices, clips), recipe.stop * self.work.training
        working = windows * window * machine.share_of_step(batch, clips) * devices
        reads = windows * _reads(batch, clips, devices) / batch
        return (self.phase(devices, working, reads * self.one.reading),)

    def _read_out(self, recipe: TrainConfig, backbones: int) -> tuple[Phase, ...]:
        """Features of videos, then epochs in which whole windows of them are shared."""
        one = self.one
        assert one.read_out is not None  # it is measured where a recipe is of this kind
        machine = replace(self.machine, by_window=1.0)
        devices = min(machine.devices, recipe.batch)
        step = one.read_out.seconds / recipe.batch * machine.share_of_step(recipe.batch, devices)
        learning = recipe.stop * self.work.featured * step * devices
        return (
            self.detection("featured", backbones * self.work.featured),
            self.phase(devices, learning, 0.0),
        )

    def detection(self, what: str, windows: int) -> Phase:
        """Of so many windows, those of all videos of ``what`` some times."""
        videos = self.work.videos[what]
        return self.phase(videos, windows * self.one.detection.seconds, windows * self.one.reading)

    def repair(self, block: float) -> tuple[Phase, ...]:
        """Clips are read and all blocks but one refitted; then both models look at windows.

        What it takes to refit neck and head is little beside that.
        """
        config, videos = self.settings.compress.repair, self.work.videos["calibrating"]
        parts, _ = shares(videos)
        blocks = self.settings.detector.backbone.geometry.depth - 1
        drops, one = self.settings.compress.n_drops, self.one
        grid = self.settings.data.window.grid
        seen = drops * min(windows_for(config, grid), self.work.calibrating) * config.read_out
        return (
            self.phase(parts, 0.0, drops * self.work.calibrating * one.reading),
            self.phase(parts, drops * blocks * block, 0.0),
            self.phase(videos, seen * 2 * one.detection.seconds, seen * one.reading),
        )

    def ranking(self) -> tuple[Phase, ...]:
        """All rankings as the first, which has the most candidates."""
        compress, work, one = self.settings.compress, self.work, self.one
        criterion, blocks = (
            choose_criterion(compress),
            self.settings.detector.backbone.geometry.depth,
        )
        units = candidate_units(range(blocks), compress.unit, compress.candidates)
        candidates = sum(comb(len(units), size) for size in range(1, compress.look_ahead + 1))
        parts, _ = criterion.parts(work.videos["scored"], candidates)
        windows = compress.n_drops * work.scored
        reading = windows * one.reading
        if one.scoring is not None:
            return (self.phase(parts, windows * one.scoring.seconds, reading),)
        assert one.repair is not None  # guaranteed by choose_criterion
        # Who repairs a candidate needs all clips.
        readers = min(self.machine.devices, parts) if criterion.reads_all else 1
        passes = criterion.passes(candidates)
        refits = compress.n_drops * criterion.refits(blocks, candidates)
        return (
            self.phase(parts, 0.0, readers * reading),
            self.phase(parts, passes * windows * one.detection.seconds, passes * reading),
            self.phase(parts, refits * one.repair.seconds, 0.0),
        )


def _reads(batch: int, clips: int, devices: int) -> int:
    """How often a window of a batch is read by one of its devices, each of which takes clips."""
    own = [share_of(batch * clips, rank, devices) for rank in range(devices)]
    return sum(ceil(part.stop / clips) - part.start // clips for part in own)


def narrowest(stages: Sequence[Stage], settings: Parameters, machine: Machine) -> str:
    """A sentence on what most of the time is spent waiting for, with what widens it."""
    workers = max(1, settings.runtime.workers)
    phases = [(stage.name, phase) for stage in stages for phase in stage.phases]
    proxies = [phase for name, phase in phases if name == PROXIES]
    rest = [phase for name, phase in phases if name != PROXIES]
    kinds = {
        "making proxies": proxies,
        "the loader": [phase for phase in rest if phase.waits],
        "the device" if machine.devices == 1 else "the devices": [
            phase for phase in rest if not phase.waits
        ],
    }
    seconds = {what: sum(phase.seconds for phase in held) for what, held in kinds.items()}
    what = max(seconds, key=lambda what: seconds[what])
    share = seconds[what] / max(sum(seconds.values()), 1e-9)
    options: list[str] = []
    if what.startswith("the device"):
        if machine.spare:
            options.append(f"runtime.devices: {machine.devices + machine.spare}")
        if machine.kind == "cuda" and settings.runtime.precision == "fp32":
            options.append("runtime.precision: bf16")
        options = options or ["a GPU" if machine.kind == "cpu" else "more or faster devices"]
    else:
        worst = max(kinds[what], key=lambda phase: phase.seconds)
        each = machine.cores // worst.devices
        pace = ceil(worst.reading / worst.working / worst.devices) if worst.working else inf
        if what == "the loader" and (quicker := quicker_store(settings.data)):
            options.append(quicker)
        if (more := min(pace, each) - workers) >= 1:
            options.append(f"{more:.0f} more runtime.workers")
        options = options or ["more CPU cores"]
    return f"narrowest: {what}, {share:.0%} of the time: {' or '.join(options)}"
