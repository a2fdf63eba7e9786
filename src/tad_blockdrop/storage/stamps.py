"""Stamps of videos that were made here: ``<video>.made.json`` says from what, and how it came out.

A stamp has the fingerprint ``made_from``, the facts that the maker returned, and under ``file`` the
checksum, size and time of the video. A file whose size and time are still those is taken for
unchanged; its bytes are read only where they differ, as in a copy.
"""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tad_blockdrop.checksums import DamagedError, file_hash
from tad_blockdrop.errors import first_lines
from tad_blockdrop.storage.atomic import atomic_write

SHOWN = 10  # videos that an error message lists
ENDING = ".made.json"


def stamp_of(video: Path) -> Path:
    """Where the stamp of a video is."""
    return video.parent / f"{video.stem}{ENDING}"


def write_stamp(video: Path, made_from: str, facts: Mapping[str, Any]) -> None:
    """Stamp the video that is there now."""
    status = video.stat()
    file = {"sha256": file_hash(video), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    with atomic_write(stamp_of(video)) as temporary:
        text = json.dumps({"made_from": made_from, **facts, "file": file})
        temporary.write_text(text, encoding="utf-8")


def read_stamp(video: Path) -> dict[str, Any] | None:
    """The stamp of a video; None if there is none that can be used."""
    try:
        stamp = json.loads(stamp_of(video).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("made_from"), str) else None


def fault_of(video: Path, thorough: bool = False) -> str | None:
    """What is wrong with a stamped video; None if nothing is, or if it has no stamp.

    ``thorough``: read it even if size and time are those of the stamp.
    """
    stamp = read_stamp(video)
    if stamp is None:
        return "its stamp cannot be read" if stamp_of(video).exists() else None
    if not video.is_file():
        return "it is gone"
    known = stamp.get("file")
    if not isinstance(known, dict):  # of an experiment from before there were checksums
        return None
    status, time = video.stat(), known.get("mtime_ns")
    if not thorough and [status.st_size, status.st_mtime_ns] == [known.get("size"), time]:
        return None
    if file_hash(video) != known.get("sha256"):
        return "its checksum differs"
    if isinstance(time, int):  # so that the next look is a quick one
        with suppress(OSError):
            os.utime(video, ns=(time, time))
    return None


def check_videos(paths: Iterable[str | Path]) -> None:
    """Raise DamagedError if any of the stamped videos is not what was made."""
    videos = sorted({Path(path) for path in paths})
    with ThreadPoolExecutor() as pool:
        found = zip(videos, pool.map(fault_of, videos), strict=True)
    faults = [f"{video}: {fault}" for video, fault in found if fault]
    if faults:
        raise DamagedError(
            f"{len(faults)} video(s) are not what was made:\n  "
            + "\n  ".join(first_lines(faults, SHOWN))
            + "\nrestore them, or run the data pipeline again, which makes them anew"
        )
