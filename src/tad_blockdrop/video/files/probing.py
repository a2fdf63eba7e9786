"""Probing all videos of a dataset: in parallel, with a time limit each, no file twice."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.video.files.guarded_processes import GivenUpError, run_guarded
from tad_blockdrop.video.files.listing import UnsafeVideoError, VideoListing, list_videos
from tad_blockdrop.video.files.probe import VideoFacts, probe
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

FACTS = [field.name for field in fields(VideoFacts)]
KNOWN = "facts.jsonl"


def probe_videos(
    video_ids: Sequence[str],
    folder: str | Path,
    workers: int,
    timeout: float,
    fatal: bool,
    cache: Path | None = None,
) -> tuple[pd.DataFrame, list[Problem]]:
    """What the file of each video holds, and the videos that have none or cannot be read.

    The table has video_id, path and the fields of ``VideoFacts``, in the order of ``video_ids``.
    ``timeout``: seconds before a video is given up. ``fatal``: whether a missing or unreadable
    video is a fatal problem; one whose id or file leads out of ``folder`` always is. ``cache``: a
    folder that keeps the facts of files until they change, so that an interrupted run resumes.
    """
    paths, problems = _find(video_ids, list_videos(folder), fatal)
    memory = _Memory(cache)
    known = {path: facts for path in paths.values() if (facts := memory.recall(path))}
    unknown = [path for path in paths.values() if path not in known]
    reasons: dict[Path, Exception] = {}
    outcomes = run_guarded(probe, unknown, max(1, workers), timeout)
    for outcome in progress(outcomes, "probing videos", len(unknown)):
        if outcome.result is not None:
            known[outcome.item] = asdict(outcome.result)
            memory.keep(outcome.item, known[outcome.item])
        elif outcome.error is not None:
            reasons[outcome.item] = outcome.error
    rows = [
        {"video_id": video, "path": str(path), **known[path]}
        for video, path in paths.items()
        if path in known
    ]
    problems += [
        _unreadable(video, path, reasons[path], fatal)
        for video, path in paths.items()
        if path in reasons
    ]
    return pd.DataFrame(rows, columns=["video_id", "path", *FACTS]), problems


def _find(
    video_ids: Sequence[str], listing: VideoListing, fatal: bool
) -> tuple[dict[str, Path], list[Problem]]:
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for video in video_ids:
        try:
            path = listing.find(video)
        except UnsafeVideoError as error:
            problems.append(
                Problem(
                    video, ANNOTATIONS, "video id", "unsafe video", str(error),
                    "correct the id, or put the file itself into the folder", fatal=True,
                )
            )  # fmt: skip
            continue
        if path is None:
            problems.append(
                Problem(
                    video, str(listing.folder), "video id", "missing file",
                    f"there is no video of this name in {listing.folder}",
                    "put it there, add it to data.blocked_videos, or set data.on_missing to skip",
                    fatal,
                )
            )  # fmt: skip
            continue
        paths[video] = path
        if (other := listing.others.get(path.stem)) is not None:
            problems.append(
                Problem(
                    video, str(path), "video id", "several files",
                    f"{other} has the same name",
                    f"{path.name} is used; move the other away",
                )
            )  # fmt: skip
    return paths, problems


def _unreadable(video: str, path: Path, error: Exception, fatal: bool) -> Problem:
    kind = "given up" if isinstance(error, GivenUpError) else "unreadable video"
    message = str(error).removeprefix(f"{path}: ")
    longer = ", raise runtime.decode_timeout" if kind == "given up" else ""
    advice = f"get the file again{longer}, or set data.on_missing to skip"
    return Problem(video, str(path), "", kind, message, advice, fatal)


class _Memory:
    """Facts of files that have not changed (by size and time), a line each with its checksum."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / KNOWN if folder else None
        self._lines: dict[str, Mapping[str, Any]] = {}
        if self._file and self._file.is_file():
            for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
                digest, _, entry = line.partition(" ")
                if digest == _digest(entry):  # else a run was killed while it wrote this line
                    self._lines[json.loads(entry)["path"]] = json.loads(entry)

    def recall(self, path: Path) -> dict[str, Any] | None:
        entry = self._lines.get(str(path))
        if entry is None or entry["stamp"] != _stamp(path) or set(entry["facts"]) != set(FACTS):
            return None
        return dict(entry["facts"])

    def keep(self, path: Path, facts: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        entry = json.dumps({"path": str(path), "stamp": _stamp(path), "facts": facts})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{_digest(entry)} {entry}\n")


def _digest(entry: str) -> str:
    return hashlib.sha256(entry.encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
