"""Folders of numbered pictures (``img_00001.jpg``, ...) as videos."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)")


class PicturesError(BlockDropError):
    """A folder of pictures that are no video: why, in a sentence."""


@dataclass(frozen=True)
class PictureSeries:
    """``count`` pictures from number ``first`` on; ``pattern`` is ffmpeg's, as ``img_%05d.jpg``."""

    pattern: str
    first: int
    count: int


def numbered_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Those names that belong to a series of two or more numbered pictures, by pattern."""
    series: dict[tuple[str, str], list[str]] = {}
    for name in names:
        found = _NUMBERED.fullmatch(name)
        if found and found[3].lower() in PICTURE_ENDINGS:
            series.setdefault((found[1], found[3]), []).append(name)
    return {
        _pattern(start, end, members): sorted(members)
        for (start, end), members in series.items()
        if len(members) > 1
    }


def _pattern(start: str, end: str, members: list[str]) -> str:
    digits = [len(name) - len(start) - len(end) for name in members]
    padded = any(name[len(start)] == "0" for name in members) or min(digits) == max(digits)
    number = f"%0{min(digits)}d" if padded else "%d"
    return f"{start.replace('%', '%%')}{number}{end.replace('%', '%%')}"


def files_of(video: Path) -> list[Path]:
    """The pictures of a folder in the order of their names, or the one file."""
    if not video.is_dir():
        return [video]
    names = (path.name for path in video.iterdir() if not path.name.startswith("."))
    return sorted(video / name for own in numbered_names(names).values() for name in own)


def size_and_time(video: Path) -> list[int]:
    """Bytes and the latest time of change (ns) of a file, or of a folder and its pictures."""
    files = files_of(video)
    changed = [path.stat().st_mtime_ns for path in {video, *files}]
    return [sum(file.stat().st_size for file in files), max(changed)]


def picture_series(folder: Path) -> PictureSeries:
    """The one series in a folder.

    Raises PicturesError: none, two, a number is missing, or a picture ffmpeg would end the video at
    without a word: an empty file, or a number of another length.
    """
    names = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    series = numbered_names(names)
    if not series:
        raise PicturesError("it is a folder without numbered pictures (img_00001.jpg, ...)")
    if len(series) > 1:
        both = " and ".join(sorted(series)[:2])
        raise PicturesError(f"it holds pictures named {both}: keep those of one video in a folder")
    ((pattern, names_there),) = series.items()
    numbers = sorted(int(_NUMBERED.fullmatch(name)[2]) for name in names_there)  # type: ignore[index]
    gaps = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    if gaps or len(set(numbers)) < len(numbers):
        missing = f"{pattern} number {gaps[0]} is missing" if gaps else "a number is there twice"
        raise PicturesError(f"its pictures are not numbered without a gap: {missing}")
    if set(names_there) != {pattern % number for number in numbers}:
        short, long = min(names_there, key=len), max(names_there, key=len)
        raise PicturesError(
            f"its pictures are numbered with other digits, as {short} and {long}: rename them alike"
        )
    if empty := [name for name in names_there if (folder / name).stat().st_size == 0]:
        raise PicturesError(f"its picture {empty[0]} is an empty file (0 bytes): copy it again")
    return PictureSeries(pattern, numbers[0], len(numbers))
