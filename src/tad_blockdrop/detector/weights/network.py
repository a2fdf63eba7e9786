"""Which network in a file is meant: what its names begin with, and its average if there is one."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from tad_blockdrop.detector.weights.errors import FormatError

# A part of a name that says: averaged over training. A teacher and a target are such averages.
_AVERAGE = re.compile(r"(?:^|[._])(?:ema|avg|averaged?|swa|teacher|target|momentum)(?:[._]|$)")


@dataclass(frozen=True)
class Network:
    """One network of a file.

    ``prefix``: what its names begin with; ``names``: what follows; ``others``: whole names of the
    same network's other weights; ``remark``: what people should know of it, or nothing.
    """

    prefix: str
    names: frozenset[str]
    others: frozenset[str] = frozenset()
    remark: str = ""

    def of(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Its tensors, out of those of the file."""
        return {name: weights[self.prefix + name] for name in sorted(self.names)}


def find_network(
    names: Collection[str], anchor: str, own: Collection[str] = ("",)
) -> Network | None:
    """The network that has a tensor called ``anchor``, under any prefix; None if there is none.

    ``own``: what a layout's names begin with by themselves, of which the longest stays. Of several
    networks, the averaged one is taken.

    Raises:
        FormatError: there are several, and their names do not say which one to take.
    """
    prefixes = sorted(
        name.removesuffix(anchor) for name in names if f".{name}".endswith(f".{anchor}")
    )
    averaged = [prefix for prefix in prefixes if _AVERAGE.search(prefix)]
    if len(prefixes) > 1 and len(averaged) != 1:
        raise FormatError(
            f"the file holds several networks, under {_listed(prefixes)}: save the one to use in a "
            "file of its own"
        )
    chosen = next(iter(averaged or prefixes), "")
    inner = [each for each in own if f".{chosen}".endswith(f".{each}")]
    if not prefixes or not inner:
        return None
    before = chosen.removesuffix(max(inner, key=len))
    rest = tuple(prefix for prefix in prefixes if prefix != chosen)
    within = tuple(prefix for prefix in rest if prefix.startswith(before))
    mine = {n for n in names if n.startswith(before) and not n.startswith(within)}
    if rest:
        remark = f"the averaged weights {_listed([chosen])} are taken, not {_listed(rest)}"
    else:
        remark = f"names under {_listed([before])}" if before else ""
    return Network(
        before,
        frozenset(name.removeprefix(before) for name in mine),
        frozenset(name for name in names if name not in mine and name.startswith(rest)),
        remark,
    )


def _listed(prefixes: Collection[str]) -> str:
    return " and ".join(f"'{prefix}'" for prefix in prefixes)
