"""What a weight layout is: rules from our tensor names to those of a file, and back."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

# What our names look like: everything of a block of the backbone, and the rest of it.
_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.(.+)\.(weight|bias)")
_PATCH = "backbone.patch_embed.projection."

# What stands behind a backbone, as the programs of others call it.
HEADS = ("head.", "fc.", "classifier.", "cls_head.", "decoder.")


@dataclass(frozen=True)
class Rule:
    """How one tensor of ours is made of tensors in a file, and split into them again."""

    theirs: tuple[str, ...]
    join: Callable[[list[Tensor]], Tensor]
    split: Callable[[Tensor], Sequence[Tensor]]


def plain(name: str) -> Rule:
    """The same tensor under another name."""
    return Rule((name,), lambda parts: parts[0], lambda ours: (ours,))


def stacked_rows(names: Sequence[str]) -> Rule:
    """Ours is theirs, one below the other, in equal parts."""
    n = len(names)
    return Rule(tuple(names), torch.cat, lambda ours: ours.chunk(n))


def without_key_bias(query: str, value: str) -> Rule:
    """Our bias of q, k and v, from a layout with none for k.

    A constant added to every key shifts all logits of a query alike, which softmax ignores: the
    k part is zero on the way in, and leaving it out on the way out changes no output.
    """

    def join(parts: list[Tensor]) -> Tensor:
        q, v = parts
        return torch.cat((q, torch.zeros_like(q), v))

    return Rule((query, value), join, lambda ours: ours.chunk(3)[::2])


class Layout:
    """A VideoMAE encoder as one program names it; subclasses say how.

    ``keys`` are the names in a file (none when writing), ``prefix`` what stands before them all.
    """

    title: ClassVar[str]
    prefixes: ClassVar[tuple[str, ...]]
    patch: ClassVar[str]
    block: ClassVar[str]
    modules: ClassVar[Mapping[str, str]]  # of a block, ours -> theirs, each with weight and bias
    qkv: ClassVar[tuple[str, ...]] = ("attn.qkv.weight",)
    qv_bias: ClassVar[tuple[tuple[str, str], ...]] = (("attn.q_bias", "attn.v_bias"),)
    positions_name: ClassVar[str] = "pos_embed"
    # Beside HEADS, names (or beginnings, with a dot) that this program has no use for: without
    # them the blocks compute the same. And those beyond the backbone.
    unused: ClassVar[tuple[str, ...]] = ()
    detector_parts: ClassVar[tuple[str, ...]] = ()
    droppable: ClassVar[bool] = False  # a missing block was dropped, not forgotten
    what_lacks: ClassVar[str] = "Is it the whole file, and is it made for this model?"

    def __init__(self, keys: Collection[str] = (), prefix: str | None = None) -> None:
        self.keys = frozenset(keys)
        self.prefix = self.prefixes[0] if prefix is None else prefix

    @classmethod
    def recognise(cls, keys: Collection[str]) -> Self | None:
        """This layout for a file with these names, or None if they are another's."""
        for prefix in cls.prefixes:
            layout = cls(keys, prefix)
            if layout.name_of(f"{_PATCH}weight") in layout.keys and layout.block_indices():
                return layout if layout.first_linear is not None else None
        return None

    @property
    def first_linear(self) -> str | None:
        """Name of the first layer of an MLP in the file; a block may have dropped its own."""
        names = (self.name_of(f"backbone.blocks.{i}.mlp.fc1.weight") for i in self.block_indices())
        return next((name for name in names if name in self.keys), None)

    @property
    def positions(self) -> str:
        """Name of the table of positions, which some files carry along."""
        return self.prefix + self.positions_name

    @property
    def has_detector(self) -> bool:
        """Whether the file holds a projection, a neck and a head too."""
        return False

    def block_of(self, key: str) -> int | None:
        """Original index of the block that a tensor of the file belongs to, if any."""
        before, after = f"{self.prefix}{self.block}".split("{}")
        found = re.match(f"{re.escape(before)}(\\d+){re.escape(after)}", key)
        return int(found[1]) if found else None

    def block_indices(self) -> tuple[int, ...]:
        """Original indices of the blocks in the file."""
        return tuple(sorted({i for key in self.keys if (i := self.block_of(key)) is not None}))

    def name_of(self, ours: str) -> str:
        """The (first) name in the file of a tensor of ours."""
        return self.rule(ours).theirs[0]

    def rule(self, ours: str) -> Rule:
        """How to make the tensor that ``Detector.state_dict()`` calls ``ours``."""
        if ours.startswith(_PATCH):
            return plain(f"{self.prefix}{self.patch}.{ours.removeprefix(_PATCH)}")
        found = _BLOCK.fullmatch(ours)
        if found is None:
            raise KeyError(f"{ours} is no tensor of a backbone")
        block = self.prefix + self.block.format(found[1])
        module, kind = found[2], found[3]
        if module != "attn.qkv":
            return plain(f"{block}{self.modules[module]}.{kind}")
        if kind == "weight":
            return stacked_rows([block + name for name in self.qkv])
        return without_key_bias(*self._bias_names(block))

    def _bias_names(self, block: str) -> tuple[str, str]:
        """Those of the file, among the names that versions of its program use."""
        known = [(block + query, block + value) for query, value in self.qv_bias]
        return next((names for names in known if self.keys.issuperset(names)), known[0])

    def is_unused(self, key: str) -> bool:
        """Whether a name is known, and known to be of no use here."""
        known = (*self.unused, *HEADS, self.positions_name)
        return any(
            key == name or (name.endswith(".") and key.startswith(name))
            for part in known
            for name in (part, self.prefix + part)
        )
