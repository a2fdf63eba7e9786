"""Probing all videos of a dataset: in parallel, with a time limit each, no file twice."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.runtime.progress import progress
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.guarded_processes import GivenUpError, run_guarded
from tad_blockdrop.video.files.identity import ids_of_one_video
from tad_blockdrop.video.files.listing import (
    AmbiguousVideoError,
    UnsafeVideoError,
    VideoListing,
    list_videos,
)
from tad_blockdrop.video.files.pictures import size_and_time
from tad_blockdrop.video.files.probe import VideoFacts, probe
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

FACTS = [field.name for field in fields(VideoFacts)]
KNOWN = "facts.jsonl"
VERSION = 2  # raised when ``probe`` says something else of a file than it did: see ``_Memory``

_Job = tuple[Path, Timing]


def probe_videos(
    listed: pd.DataFrame,
    folder: str | Path,
    timing: Timing,
    workers: int,
    timeout: float,
    fatal: bool,
    cache: Path | None = None,
) -> tuple[pd.DataFrame, list[Problem]]:
    """What the file of each video holds, and the videos that have none or cannot be read.

    ``listed``: video_id, split, fps (NaN where it is not stated; of folders of pictures it counts
    before the ``timing``'s). The table has video_id, path and the fields of ``VideoFacts``, in the
    same order. ``timeout``: seconds before a video is given up. ``fatal``: whether a missing or
    unreadable video is a fatal problem; one file in two splits, and an id or a file that leads out
    of ``folder``, always are. ``cache``: a folder that keeps the facts of files until they change,
    so that an interrupted run resumes.
    """
    paths, problems = _find(list(listed["video_id"]), list_videos(folder), fatal)
    rates = listed.set_index("video_id")["fps"].dropna()
    files = {
        video: (path, replace(timing, picture_rate=rates.get(video, timing.picture_rate)))
        for video, path in paths.items()
    }
    facts, unreadable = probe_files(files, workers, timeout, fatal, cache)
    readable = {video: paths[video] for video in facts["video_id"]}
    problems += _drop_twins(readable, dict(zip(listed["video_id"], listed["split"], strict=True)))
    facts = facts[facts["video_id"].isin(list(readable))].reset_index(drop=True)
    return facts, problems + unreadable


def probe_files(
    files: Mapping[str, tuple[Path, Timing]],
    workers: int,
    timeout: float,
    fatal: bool,
    cache: Path | None = None,
) -> tuple[pd.DataFrame, list[Problem]]:
    """The same of ``files`` that have been found, by video id."""
    memory = _Memory(cache)
    known = {file: facts for file in files.values() if (facts := memory.recall(file))}
    unknown = [file for file in files.values() if file not in known]
    reasons: dict[_Job, Exception] = {}
    outcomes = run_guarded(_probe, unknown, max(1, workers), timeout)
    for outcome in progress(outcomes, "probing videos", len(unknown)):
        if outcome.result is not None:
            known[outcome.item] = asdict(outcome.result)
            memory.keep(outcome.item, known[outcome.item])
        elif outcome.error is not None:
            reasons[outcome.item] = outcome.error
    rows = [
        {"video_id": video, "path": str(file[0]), **known[file]}
        for video, file in files.items()
        if file in known
    ]
    problems = [
        _unreadable(video, file[0], reasons[file], fatal)
        for video, file in files.items()
        if file in reasons
    ]
    return pd.DataFrame(rows, columns=["video_id", "path", *FACTS]), problems


def _probe(job: _Job) -> VideoFacts:
    return probe(*job)


def _find(
    video_ids: list[str], listing: VideoListing, fatal: bool
) -> tuple[dict[str, Path], list[Problem]]:
    paths: dict[str, Path] = {}
    problems: list[Problem] = []
    for video in video_ids:
        try:
            found = listing.find(video)
        except UnsafeVideoError as error:
            problems.append(
                Problem(
                    video, ANNOTATIONS, "video id", "unsafe video", str(error),
                    "correct the id, or put the file itself into the folder", fatal=True,
                )
            )  # fmt: skip
            continue
        except AmbiguousVideoError as error:
            problems.append(
                Problem(
                    video, str(listing.folder), "video id", "several files", str(error),
                    "write the path of the one that is meant as the id", fatal=True,
                )
            )  # fmt: skip
            continue
        if found is None:
            problems.append(
                Problem(
                    video, str(listing.folder), "video id", "missing file",
                    f"there is no video of this name in {listing.folder}{listing.hint(video)}",
                    "put it there, add it to data.blocked_videos, or set data.on_missing to skip",
                    fatal,
                )
            )  # fmt: skip
            continue
        paths[video] = found.path
        problems += [
            Problem(
                video, str(found.path), "video id", "several files",
                f"{other} has the same name",
                f"{found.path.name} is used; move the other away",
            )
            for other in found.others
        ]  # fmt: skip
    return paths, problems


def _drop_twins(paths: dict[str, Path], splits: Mapping[str, str]) -> list[Problem]:
    """Leave only the first of several ids of one video in ``paths``, and say so."""
    problems = []
    for first, *twins in ids_of_one_video(paths):
        for twin in twins:
            path = paths.pop(twin)
            across = splits[twin] != splits[first]
            message = f"it is the same video as '{first}' ({paths[first]})"
            advice = f"left out; put all its annotations under '{first}'"
            if across:
                message += ", but one is listed for training and the other for evaluation"
                advice = "a model must not be tested on what it learned from: remove one of the two"
            problems.append(
                Problem(
                    twin, str(path), "video id", "one video, two ids", message, advice, across
                )
            )  # fmt: skip
    return problems


def _unreadable(video: str, path: Path, error: Exception, fatal: bool) -> Problem:
    kind = "given up" if isinstance(error, GivenUpError) else "unreadable video"
    message = str(error).removeprefix(f"{path}: ")
    longer = ", raise runtime.decode_timeout" if kind == "given up" else ""
    advice = f"get the file again{longer}, or set data.on_missing to skip"
    return Problem(video, str(path), "", kind, message, advice, fatal)


class _Memory:
    """Facts of files that have not changed (by size and time), a line each with its checksum.

    Those that an earlier ``VERSION`` found are found again.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / KNOWN if folder else None
        self._lines: dict[str, Mapping[str, Any]] = {}
        if self._file and self._file.is_file():
            for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
                digest, _, entry = line.partition(" ")
                if digest == _digest(entry):  # else a run was killed while it wrote this line
                    self._lines[json.loads(entry)["path"]] = json.loads(entry)

    def recall(self, job: _Job) -> dict[str, Any] | None:
        entry = self._lines.get(str(job[0]))
        if entry is None or entry.get("version") != VERSION or set(entry["facts"]) != set(FACTS):
            return None
        try:
            unchanged = entry["stamp"] == size_and_time(job[0])
        except OSError:  # such as a link to what is gone: probing says what is wrong
            return None
        return dict(entry["facts"]) if unchanged and entry["timing"] == asdict(job[1]) else None

    def keep(self, job: _Job, facts: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        path, timing = job
        try:
            stamp = size_and_time(path)
        except OSError:  # it is gone since it was probed
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        known = {"path": str(path), "stamp": stamp, "timing": asdict(timing), "facts": facts}
        entry = json.dumps({"version": VERSION, **known})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{_digest(entry)} {entry}\n")


def _digest(entry: str) -> str:
    return hashlib.sha256(entry.encode()).hexdigest()
