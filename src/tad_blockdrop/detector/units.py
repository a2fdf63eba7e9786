"""What can be dropped: a block, for which its original index stands, or a sub-layer of one.

Of an uncompressed backbone every block is whole. What is left of any other is a list of units in
which a block stands as its index, or as the one sub-layer that is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tad_blockdrop.config.compress import UnitName

SubLayerName = Literal["attention", "mlp"]
SUB_LAYERS: tuple[SubLayerName, SubLayerName] = ("attention", "mlp")  # as they run


@dataclass(frozen=True, order=True, repr=False)
class SubLayer:
    """One of the two residual branches of the block of original index ``block``."""

    block: int
    name: SubLayerName

    def __str__(self) -> str:
        """What tables and files call it: ``5.attention``."""
        return f"{self.block}.{self.name}"

    __repr__ = __str__  # so that a printed list of units reads as in tables: (0, 5.attention)

    @property
    def other(self) -> SubLayer:
        """The other branch of the same block."""
        attention, mlp = SUB_LAYERS
        return SubLayer(self.block, mlp if self.name == attention else attention)


Unit = int | SubLayer


def parse_unit(text: object) -> Unit:
    """The unit that tables and files call so: ``5`` or ``5.attention``. Raises ValueError."""
    block, dot, name = str(text).partition(".")
    if dot and name not in SUB_LAYERS:
        raise ValueError(f"'{text}' is neither a block (5) nor a sub-layer (5.attention, 5.mlp)")
    return SubLayer(int(block), name) if dot else int(block)  # type: ignore[arg-type]


def parse_units(text: str) -> tuple[Unit, ...]:
    """The units of a table's ``kept_blocks``, such as ``0 1 3.mlp``."""
    return tuple(map(parse_unit, text.split()))


def as_stored(unit: Unit) -> int | str:
    """A unit in tables and JSON: blocks are numbers there, sub-layers text."""
    return unit if isinstance(unit, int) else str(unit)


def block_of(unit: Unit) -> int:
    """The original index of the block that a unit is, or is part of."""
    return unit if isinstance(unit, int) else unit.block


def part_of_block(unit: Unit) -> str:
    """How much of a block is there: ``block``, ``attention`` or ``mlp``."""
    return "block" if isinstance(unit, int) else unit.name


def parts_of_blocks(kept: Sequence[Unit]) -> tuple[str, ...]:
    """How much of how many blocks is there, which is what costs depend on."""
    return tuple(sorted(map(part_of_block, kept)))


def describe_blocks(kept: Sequence[Unit]) -> str:
    """How many blocks there are, and of how many a half: ``8 blocks (2 without attention)``."""
    halves = [
        f"{count} without {'MLP' if left == 'attention' else 'attention'}"
        for left in SUB_LAYERS
        if (count := sum(part_of_block(unit) == left for unit in kept))
    ]
    blocks = "1 block" if len(kept) == 1 else f"{len(kept)} blocks"
    return f"{blocks} ({', '.join(halves)})" if halves else blocks


def sub_layers(kept: Sequence[Unit]) -> list[SubLayer]:
    """All sub-layers of what is kept, as they run."""
    return [
        part
        for unit in kept
        for part in ([SubLayer(unit, n) for n in SUB_LAYERS] if isinstance(unit, int) else [unit])
    ]


@dataclass(frozen=True)
class State:
    """Tokens on their way through a backbone: in the ``middle`` of a block, or after all of it."""

    block: int
    middle: bool = False


def own_states(kept: Sequence[Unit]) -> dict[int, tuple[State, State]]:
    """Of each kept block the states that it has in any model: in its middle, and after it."""
    return {block: (State(block, middle=True), State(block)) for block in map(block_of, kept)}


def expected_states(kept: Sequence[Unit], full: Sequence[Unit]) -> dict[int, tuple[State, State]]:
    """Where each kept block should lead in its middle and at its end, in a model of units ``full``.

    What follows in the shorter model expects the state just before it in the full one, behind all
    that was dropped between; after the last, there is the state after everything.
    """
    there, everything = set(sub_layers(kept)), sub_layers(full)
    states = own_states(kept)
    expected = State(everything[-1].block)
    for before, branch in reversed(list(pairwise([None, *everything]))):
        if branch not in there:
            continue
        middle, _ = states[branch.block]
        if branch.name == "mlp":
            states[branch.block] = middle, expected
        elif branch.other not in there:
            states[branch.block] = expected, expected
        if before is not None:
            halfway = before.name == "attention" and before.other in everything
            expected = State(before.block, halfway)
    return states


def candidate_units(
    kept: Sequence[Unit], unit: UnitName, among: Sequence[int | str] | None = None
) -> list[Unit]:
    """What of ``kept`` can be dropped next, if units of this kind are: all, or some ``among``."""
    units: list[Unit] = (
        [block_of(each) for each in kept]
        if unit == "block"
        else [part for part in sub_layers(kept) if unit in ("sublayer", part.name)]
    )
    return units if among is None else [each for each in units if as_stored(each) in among]


def without_unit(kept: Sequence[Unit], unit: Unit) -> tuple[Unit, ...]:
    """What is left of ``kept`` without ``unit``; a block that loses its second branch is gone."""
    if isinstance(unit, SubLayer) and unit.block in kept:
        return tuple(unit.other if each == unit.block else each for each in kept)
    return tuple(each for each in kept if unit not in (each, block_of(each)))
