"""A pass over inputs that goes on where a killed one was cut, and ends with the same bits.

What the pass has gathered so far is saved between two batches, every now and then. The batches
themselves stay the same, so that it does not matter where, or whether, a pass was cut.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.runtime.read_ahead import ReadAhead
from tad_blockdrop.storage.resumable import fingerprint, read_state, write_state

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_SAVES = 30.0


class PassError(BlockDropError):
    """What a pass has gathered cannot be saved."""


class Gathering(Protocol):
    """What a pass fills: its tensors are all that it remembers of the batches so far."""

    def state(self) -> dict[str, Tensor]:
        """Everything gathered, by name."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Become what ``state`` was taken from; called before the first batch."""

    def share(self, group: Group) -> None:
        """Hold what all processes of a group gathered; called after the last batch."""


@dataclass(frozen=True)
class Scratch:
    """The file that keeps the state of one pass; ``mark`` says what the pass was made from."""

    file: Path
    mark: str


def scratch_for(folder: Path | None, model: nn.Module, facts: Mapping[str, Any]) -> Scratch | None:
    """Where a pass of ``model`` keeps its state; None without a folder.

    ``facts``: whatever else the result depends on, inputs and settings, as JSON values.
    """
    if folder is None:
        return None
    return Scratch(folder / "pass.safetensors", fingerprint({"model": model}, facts))


def resume_batches(
    loader: Any, what: str, gathering: Gathering, scratch: Scratch | None, group: Group = ALONE
) -> Iterator[Any]:
    """The batches that ``gathering`` still lacks, with progress titled ``what``.

    ``loader``: a DataLoader that gives the same batches each time. Without ``scratch`` these are
    all batches, and nothing is saved. The caller must have taken a batch into ``gathering`` before
    it asks for the next one. In a ``group`` the loader gives each process its own batches, and at
    the end every ``gathering`` holds all. Raises PassError if the state cannot be written.
    """
    done, total = 0, len(loader)
    if scratch is not None and (state := read_state(scratch.file, scratch.mark, what)):
        tensors, facts = state
        done = facts["batches"]
        gathering.restore(tensors)
        logger.info("%s goes on after %d of %d batches", what, done, total)
    if done:
        from accelerate import skip_first_batches

        loader = skip_first_batches(loader, done)  # which does not read them
    reader = ReadAhead(loader)
    begin = saved = time.monotonic()
    for batch in progress(reader, what, total - done):
        reader.start()
        yield batch
        done += 1
        if scratch is not None and time.monotonic() - saved >= SECONDS_BETWEEN_SAVES:
            save_state(scratch, gathering.state(), {"batches": done})
            saved = time.monotonic()
    if scratch is not None and saved > begin:  # a long pass: what follows may be cut as well
        save_state(scratch, gathering.state(), {"batches": done})
    if group.world > 1:
        gathering.share(group)


def save_state(scratch: Scratch, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Keep what long work goes on from. Raises PassError if it cannot be written."""
    try:
        write_state(scratch.file, scratch.mark, tensors, facts)
    except OSError as error:
        raise PassError(
            f"the state of this work cannot be written to {scratch.file.parent} "
            f"({error.strerror or error}): free some space or check its permissions, then run "
            "again; it goes on from the last state saved"
        ) from error
