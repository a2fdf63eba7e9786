"""The corrections of an experiment on disk: one file that only ever grows.

A line is the SHA-256 of an entry and the entry as JSON. It is flushed to the disk before anybody is
told that it is saved. A line that a killed process left half written was not confirmed to anyone:
it is taken off when the file is opened for writing. Any other damage is told, and nothing is
overwritten.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.corrections import Correction, Entry, Segment, active, replay
from tad_blockdrop.storage.atomic import sync
from tad_blockdrop.storage.experiment_files import RAW

DIGEST = 64  # hexadecimal digits of a SHA-256


class JournalError(BlockDropError):
    """The corrections cannot be read, or not be written to."""


class ConflictError(BlockDropError):
    """A correction that does not fit what is true by now."""


def journal_file(data: Path, experiment: str) -> Path:
    """Where the corrections of an experiment are: with what people made, which nothing deletes."""
    return data / RAW / experiment / "corrections.jsonl"


def read_journal(file: Path) -> list[Entry]:
    """The entries of a journal, in order; none where there is no file. Raises JournalError."""
    return _parse(file)[0]


def _parse(file: Path) -> tuple[list[Entry], int]:
    """The entries, and the length in bytes of the lines that hold them."""
    try:
        content = file.read_bytes() if file.exists() else b""
    except OSError as error:
        raise JournalError(f"{file} cannot be read ({error.strerror or error})") from error
    lines = content.split(b"\n")
    entries: list[Entry] = []
    end = 0
    for number, line in enumerate(lines[:-1], 1):  # behind the last line end nothing was confirmed
        entries.append(_entry(line, f"{file}, line {number}"))
        end += len(line) + 1
    return entries, end


def _entry(line: bytes, where: str) -> Entry:
    digest, text = line[:DIGEST], line[DIGEST + 1 :]
    try:
        if hashlib.sha256(text).hexdigest().encode() != digest:
            raise ValueError("its checksum differs")
        return Entry.model_validate_json(text)
    except ValueError as error:
        reason = "it is of another version" if isinstance(error, ValidationError) else error
        raise JournalError(
            f"{where} is damaged ({reason}): restore the file from a copy, or take out that line "
            "if you can do without this correction"
        ) from error


class Journal:
    """The corrections of an experiment, open for more; see ``open_journal``.

    ``model``, ``predictions``: what the corrections are made on, as in ``Entry``.
    """

    def __init__(self, file: Path, who: str, model: str, predictions: str) -> None:
        self._file, self._who, self._model, self._predictions = file, who, model, predictions
        self._entries, end = _parse(file)
        self._by_video: dict[str, list[Entry]] = {}
        for entry in self._entries:
            self._by_video.setdefault(entry.video, []).append(entry)
        if file.exists() and file.stat().st_size > end:
            os.truncate(file, end)

    def of(self, video: str, content: str | None = None) -> list[Entry]:
        """The entries about a video (``Entry.is_about``) that are not undone."""
        return active(self._about(video, content))

    def _about(self, video: str, content: str | None) -> list[Entry]:
        return [e for e in self._by_video.get(video, []) if e.is_about(video, content)]

    def add(
        self,
        correction: Correction,
        annotated: Sequence[Segment] | None,
        content: str | None = None,
    ) -> Entry:
        """Save a correction; it is on the disk when this returns.

        ``annotated``: what the annotations say of the video, None where they do not list it;
        ``content``: as in ``Entry``. Raises ConflictError where it does not fit what is true by
        now, JournalError where it cannot be written; then nothing was saved.
        """
        entry = Entry(
            **correction.model_dump(),
            number=self._entries[-1].number + 1 if self._entries else 1,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            who=self._who,
            model=self._model,
            predictions=self._predictions,
            content=content,
            listed=annotated is not None,
        )
        annotated = annotated or ()
        before = self._about(entry.video, content)
        if entry.undoes is not None and entry.undoes not in {e.number for e in active(before)}:
            raise ConflictError(f"there is no correction {entry.undoes} of this video to be undone")
        old = replay(annotated, before).conflicts
        new = [told for told in replay(annotated, [*before, entry]).conflicts if told not in old]
        if new:
            raise ConflictError(f"{new[0]}; look at the video as it is now")
        self._append(entry)
        self._entries.append(entry)
        self._by_video.setdefault(entry.video, []).append(entry)
        return entry

    def _append(self, entry: Entry) -> None:
        text = entry.model_dump_json().encode()
        line = hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"
        try:
            new = not self._file.exists()
            with self._file.open("ab", buffering=0) as file:
                size = file.tell()
                try:
                    if file.write(line) != len(line):
                        raise OSError("the disk is full")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(size)
                    raise
            if new:
                sync(self._file.parent)
        except OSError as error:
            raise JournalError(
                f"the correction is not saved: {self._file} cannot be written "
                f"({error.strerror or error}); free some space or check its permissions"
            ) from error


@contextmanager
def open_journal(file: Path, who: str, model: str, predictions: str) -> Iterator[Journal]:
    """The journal at ``file``, for one process at a time. Raises JournalError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file.with_name(f".{file.name}.lock"), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise JournalError(
            f"{file.parent.name} is being reviewed by another process: end that one first"
        ) from None
    try:
        yield Journal(file, who, model, predictions)
    finally:
        lock.release()
