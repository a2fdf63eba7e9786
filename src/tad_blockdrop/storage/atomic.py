"""Whole files or nothing: write to a temporary sibling, flush to disk, rename."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tad_blockdrop.checksums import SUMS, Origins, Seal, seal_of

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp(\.\w+)?")


def temporary_sibling(path: Path) -> Path:
    """A fresh hidden name in the folder of ``path``, with its suffix."""
    return path.with_name(f".{path.stem}.{uuid4().hex[:8]}.tmp{path.suffix}")


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing anywhere below ``folder``; nobody may write now."""
    for path in list(folder.rglob(".*.tmp*")):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush one file or folder to disk (folders: only where the system allows it)."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Make a finished temporary file or folder visible under its final name.

    A file of that name is replaced; a folder of that name is removed first.
    """
    if temporary.is_dir():
        for part in temporary.rglob("*"):
            if part.is_file():
                sync(part)
        if final.exists():
            shutil.rmtree(final)
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary sibling to write to; it takes the place of ``path`` on success only."""
    with _temporary(path) as temporary:
        yield temporary
        publish(temporary, path)


@contextmanager
def sealed_write(path: Path, origins: Origins | None = None) -> Iterator[Path]:
    """``atomic_write`` with a checksum (``checksums``); ``origins``: what it was made from.

    A file appears after its checksum, and what it replaces is gone before: whenever a process dies,
    a file that is there is whole and has its own checksum.
    """
    with _temporary(path) as temporary:
        yield temporary
        text = Seal.of(temporary, path.name, origins or {}).text()
        if temporary.is_dir():
            (temporary / SUMS).write_text(text, encoding="utf-8")
        else:
            with atomic_write(seal_of(path)) as seal:
                seal.write_text(text, encoding="utf-8")
                sync(seal)  # the last that a full disk could refuse
                path.unlink(missing_ok=True)
        publish(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(path)
    try:
        yield temporary
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)
