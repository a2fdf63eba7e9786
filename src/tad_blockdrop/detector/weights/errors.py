"""The error of everything that reads weights made elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tad_blockdrop.errors import BlockDropError


class FormatError(BlockDropError):
    """A weights file cannot be read, is of no known layout, or does not fit."""


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Begin the message of a FormatError with the file that it is about."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{source}: {error}") from error
