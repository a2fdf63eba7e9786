"""What models cost in the measure of ``compress.target``: computed, or measured on this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from math import ceil
from typing import TYPE_CHECKING, Any

from tad_blockdrop.config import CompressConfig, DetectorConfig, TargetConfig, WindowConfig
from tad_blockdrop.config.compress import UnitName
from tad_blockdrop.detector.units import (
    SUB_LAYERS,
    Unit,
    candidate_units,
    parts_of_blocks,
    without_unit,
)
from tad_blockdrop.errors import BlockDropError

if TYPE_CHECKING:
    from tad_blockdrop.runtime.runtime import Runtime
else:
    Runtime = Any

logger = logging.getLogger(__name__)

Kept = Sequence[Unit]


class TargetError(BlockDropError):
    """``compress.target`` cannot be reached."""


@dataclass(frozen=True)
class Meter:
    """Costs of one window, in the units of ``compress.target.amount``.

    What a model costs follows from its shape, so that no weights are needed; the latency of
    several models is measured in turns, over ``repeats`` passes.
    """

    target: TargetConfig
    detector: DetectorConfig
    n_classes: int
    window: WindowConfig
    runtime: Runtime
    repeats: int

    def costs(self, models: Sequence[Kept]) -> list[float]:
        """Of models that have these units. Those of which as much is left cost the same."""
        examples = {parts_of_blocks(kept): tuple(kept) for kept in models}
        found = dict(zip(examples, self._measure(list(examples.values())), strict=True))
        return [found[parts_of_blocks(kept)] for kept in models]

    def _measure(self, models: list[tuple[Unit, ...]]) -> list[float]:
        from tad_blockdrop.metrics.cost import count_parameters, macs
        from tad_blockdrop.metrics.measure import peak_memory

        size = self.detector, self.n_classes, self.window
        if self.target.measure == "latency":
            return self._latencies(models)
        if self.target.measure == "memory":
            return [peak_memory(*size, kept, self.runtime) / 2**20 for kept in models]
        if self.target.measure == "parameters":
            return [count_parameters(*size, kept) / 1e6 for kept in models]
        return [macs(*size, kept).total / 1e9 for kept in models]

    def _latencies(self, models: list[tuple[Unit, ...]]) -> list[float]:
        from tad_blockdrop.detector.model import Detector
        from tad_blockdrop.export.check import time_exports
        from tad_blockdrop.export.onnx import to_onnx
        from tad_blockdrop.export.torch_export import trace
        from tad_blockdrop.metrics.measure import latency

        size = self.detector, self.n_classes, self.window
        made = {str(number): Detector(*size, kept).eval() for number, kept in enumerate(models)}
        if self.target.runtime == "onnx":
            files = {name: to_onnx(trace(model)) for name, model in made.items()}
            table = time_exports(files, made["0"], self.repeats)
        else:
            placed = {name: model.to(self.runtime.device) for name, model in made.items()}
            with self.runtime.autocast():
                table = latency(placed, self.repeats)
        return [1000 * float(seconds) for seconds in table["median"]]


@dataclass(frozen=True)
class Savings:
    """What a model costs, the goal (none where the accuracy decides), and what units save of it.

    ``reached``: that the goal is, in a sentence, if it is; ``gains``: percent of the uncompressed
    model's cost (``whole``), by unit.
    """

    cost: float
    goal: float | None
    reached: str | None
    gains: dict[Unit, float]
    whole: float

    def missed_without(self, unit: Unit) -> bool:
        """Whether the goal is missed even without this unit."""
        left = self.cost - self.gains[unit] / 100 * self.whole
        return self.goal is not None and left > self.goal


def find_savings(meter: Meter, student: Kept, uncompressed: Kept, unit: UnitName) -> Savings:
    """What ``student`` costs and what each unit that it can lose saves.

    That is negative where a measurement is noise; a job does not end for it (``PerGain``).
    """
    units = candidate_units(student, unit)
    shorter = [without_unit(student, each) or student for each in units]
    whole, own, *rest = meter.costs([uncompressed, student, *shorter])
    gains = {each: 100 * (own - less) / whole for each, less in zip(units, rest, strict=True)}
    if not any(gain > 0 for gain in gains.values()):
        logger.warning(
            "compress.target: no unit was measured to save %s, so all are taken to save as much; "
            "use a machine that does nothing else, or raise evaluation.latency_repeats",
            meter.target.measure,
        )
    target = meter.target
    return Savings(own, target.goal(whole), target.reached(own, whole), gains, whole)


def goal_reached(meter: Meter, student: Kept, uncompressed: Kept) -> str | None:
    """That ``student`` has reached the goal, in a sentence; None while it has not."""
    whole, own = meter.costs([uncompressed, student])
    return meter.target.reached(own, whole)


def check_target(meter: Meter, kept: Kept, compress: CompressConfig) -> None:
    """Raise TargetError unless dropping ``compress.n_drops`` units of ``kept`` can reach the goal.

    ``kept``: of the uncompressed model. Also if it has reached the goal already, or if they save
    nothing that can be measured here.
    """
    measure, unit = meter.target.measure, meter.target.unit
    orders = [*permutations(SUB_LAYERS)] if compress.unit == "sublayer" else [(compress.unit,)]
    among = compress.candidates
    there = [[u for name in order for u in candidate_units(kept, name, among)] for order in orders]
    least = [reduce(without_unit, units[: compress.n_drops], tuple(kept)) for units in there]
    whole, *costs = meter.costs([kept, *least])
    goal, lowest = meter.target.goal(whole), min(costs)
    if not lowest < whole:  # nor if a machine has no such count
        raise TargetError(
            f"compress.target: dropping {compress.n_drops} units (compress.unit: {compress.unit}) "
            f"saves no {measure} here ({whole:.4g} {unit} before, {lowest:.4g} after), so there is "
            "nothing to choose by; set compress.target.measure to another measure, or measure on a "
            "machine that does nothing else"
        )
    if goal is None:
        return
    if goal >= whole:
        raise TargetError(
            f"compress.target: the uncompressed model's {measure} ({whole:.4g} {unit}) is within "
            f"the goal of {goal:.4g} {unit} already: lower compress.target.amount"
        )
    if lowest > goal:
        saved = (whole - lowest) / compress.n_drops
        needed = ceil((whole - goal) / saved)
        advice = f"raise compress.n_drops to {needed} or more, or ask for less"
        if needed >= len(there[0]) + (among is not None):  # all candidates can go, all units not
            advice = "that is out of reach by dropping such units: ask for less"
        raise TargetError(
            f"compress.target: {compress.n_drops} units (compress.unit: {compress.unit}) bring "
            f"the {measure} from {whole:.4g} to {lowest:.4g} {unit} at best, not to {goal:.4g}; "
            f"{advice}"
        )
