"""What became of every tensor of an imported file and of every tensor of the model."""

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum

import pandas as pd

from tad_blockdrop.detector.weights.errors import FormatError

SHOWN = 6  # names in a message


class Status(StrEnum):
    """What happened to a tensor."""

    MATCHED = "matched"
    RESHAPED = "reshaped"  # also joined from several, or merged with LoRA
    UNUSED = "unused"  # in the file and known, but of no use here
    UNEXPECTED = "unexpected"
    MISSING = "missing"
    UNFIT = "unfit"  # of a shape that does not fit


@dataclass(frozen=True)
class Entry:
    """One tensor: ours (empty if it stays out), theirs (joined by `` + ``), what happened."""

    status: Status
    ours: str = ""
    theirs: str = ""
    shape: tuple[int, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Report:
    """All tensors of an import, in the model's order, then the file's left-overs.

    ``remark``: which of several networks in the file this is, what was assumed of it, or nothing.
    """

    layout: str
    entries: tuple[Entry, ...]
    remark: str = ""

    def of(self, *statuses: Status) -> tuple[Entry, ...]:
        """The tensors that this happened to."""
        return tuple(entry for entry in self.entries if entry.status in statuses)

    def table(self) -> pd.DataFrame:
        """Columns status, tensor, source, shape, detail; one row per tensor."""
        rows = [
            (e.status.value, e.ours, e.theirs, " x ".join(map(str, e.shape)), e.detail)
            for e in self.entries
        ]
        return pd.DataFrame(rows, columns=["status", "tensor", "source", "shape", "detail"])

    def summary(self) -> str:
        """One line: the layout and how many tensors had which fate."""
        counts = Counter(entry.status for entry in self.entries)
        numbers = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
        return f"{self.layout}: {numbers}" + (f"; {self.remark}" if self.remark else "")

    def noting(self, remark: str) -> "Report":
        """The same with one more remark, if it says anything."""
        return replace(self, remark="; ".join(filter(None, (self.remark, remark))))

    def require_complete(self, source: str, advice: str) -> None:
        """Refuse an import that lacks a tensor which training would not create.

        Raises:
            FormatError: tensors are missing, or have shapes that do not fit.
        """
        unfit, missing = self.of(Status.UNFIT), self.of(Status.MISSING)
        if not unfit and not missing:
            return
        problems = [f"{e.theirs}: {e.detail}" for e in unfit]
        problems += [f"{e.theirs} is missing (for {e.ours})" for e in missing]
        shown = "; ".join(problems[:SHOWN])
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise FormatError(
            f"{source} ({self.layout}) is incomplete or of another architecture: {shown}{more}. "
            f"{advice}"
        )
