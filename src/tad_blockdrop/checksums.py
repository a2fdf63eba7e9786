"""What was written is what is read: SHA-256 checksums, in the format of ``sha256sum``.

A file has its checksum beside it, ``<file>.sha256``; a folder that is saved as a whole holds those
of its files, ``SHA256SUMS``. ``sha256sum --check`` understands both. Comment lines say what the
content was made from; the last one guards the lines before it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

SUMS = "SHA256SUMS"
SUFFIX = ".sha256"

Origins = Mapping[str, str]  # the identity of each dataset and model that something was made from

_FILE = re.compile(r"([0-9a-f]{64})  (.+)")
_ORIGIN = re.compile(r"# made from (\S+) (\S+)")
_GUARD = "# sha256 of the lines above: "


class DamagedError(BlockDropError):
    """A file is not what was written."""


@dataclass(frozen=True)
class Seal:
    """The checksums of ``files`` by their names, and what they were made from."""

    files: Mapping[str, str]
    origins: Origins = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, name: str, origins: Origins) -> "Seal":
        """Of all files of the folder ``path``, or of the one file, which is to be called so."""
        if not path.is_dir():
            return cls({name: file_hash(path)}, origins)
        files = sorted(part for part in path.rglob("*") if part.is_file())
        return cls({part.relative_to(path).as_posix(): file_hash(part) for part in files}, origins)

    @classmethod
    def read(cls, file: Path) -> "Seal":
        """What ``text`` gave. Raises DamagedError."""
        try:
            *lines, guard = file.read_text(encoding="utf-8").splitlines(keepends=True)
            found = [_FILE.fullmatch(line[:-1]) or _ORIGIN.fullmatch(line[:-1]) for line in lines]
        except ValueError:
            found, lines, guard = [], [], ""
        if None in found or guard != _guard("".join(lines)):
            raise DamagedError(
                f"{file} is no list of checksums that this program wrote: restore it, or remove "
                "it together with what it belongs to and make that again"
            )
        parts = [match for match in found if match]
        return cls(
            {match[2]: match[1] for match in parts if match.re is _FILE},
            {match[1]: match[2] for match in parts if match.re is _ORIGIN},
        )

    def text(self) -> str:
        """As ``sha256sum`` writes it."""
        lines = [f"{digest}  {name}\n" for name, digest in self.files.items()]
        lines += [f"# made from {entry} {what}\n" for entry, what in sorted(self.origins.items())]
        return "".join(lines) + _guard("".join(lines))


def seal_of(path: Path) -> Path:
    """Where the checksum of a file or folder is."""
    return path / SUMS if path.is_dir() else path.with_name(path.name + SUFFIX)


def is_sealed(folder: Path) -> bool:
    """Whether this program saved the folder as a whole; others have lists of checksums, too."""
    sums = folder / SUMS
    return sums.is_file() and _GUARD in sums.read_text(encoding="utf-8", errors="replace")


def verify(path: Path) -> Seal | None:
    """The seal of the file or folder at ``path``, which is as it was written.

    None where there is no checksum: it is from before there were any, or others made it. Raises
    DamagedError for what does not match, FileNotFoundError for what is not there.
    """
    place = seal_of(path)
    if not place.is_file():
        return None
    seal = Seal.read(place)
    for name, digest in seal.files.items():
        file = place.parent / name
        if not file.is_file():
            raise FileNotFoundError(2, "No such file", str(file))
        if file_hash(file) != digest:
            whole = "its folder" if path.is_dir() else "it"
            raise DamagedError(
                f"{file} is not what was written, its checksum differs: restore it, or remove "
                f"{whole} and run again with --only-missing-outputs, which makes it anew"
            )
    return seal


def file_hash(file: Path) -> str:
    """SHA-256 (hex) of the bytes of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _guard(text: str) -> str:
    return f"{_GUARD}{hashlib.sha256(text.encode()).hexdigest()}\n"
