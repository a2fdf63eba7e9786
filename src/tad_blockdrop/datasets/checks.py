"""A whole experiment, file by file: is it what was written, and of one generation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tad_blockdrop.checksums import DamagedError, Seal, seal_of, verify
from tad_blockdrop.detector.checkpoint import CONFIG_FILE, stated_identity
from tad_blockdrop.storage.experiment_files import artefacts, stamped_videos
from tad_blockdrop.storage.stamps import fault_of


@dataclass(frozen=True)
class Findings:
    """How many files and folders were checked, what is wrong, and what could not be told."""

    checked: int
    faults: list[str]
    notes: list[str]


def check_experiment(data: Path, experiment: str) -> Findings:
    """Read all that an experiment has made, and compare it with its checksums.

    Of what is used, which is the newest version of each entry, the origins must agree.
    """
    paths, videos = artefacts(data, experiment), stamped_videos(data, experiment)
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_fault, paths))
        frames = list(pool.map(partial(fault_of, thorough=True), videos))
    faults = [fault for fault in found if fault]
    faults += [f"{video}: {fault}" for video, fault in zip(videos, frames, strict=True) if fault]
    notes = [f"{path} has no checksum" for path in paths if not seal_of(path).is_file()]
    if not faults:
        faults = _mixed(data, experiment, paths)
    return Findings(len(paths) + len(videos), faults, notes)


def _fault(path: Path) -> str | None:
    try:
        verify(path)
    except DamagedError as error:
        return str(error)
    except FileNotFoundError as error:
        return f"{error.filename} is gone"
    return None


def _mixed(data: Path, experiment: str, paths: list[Path]) -> list[str]:
    """The entries that were made from others than those that are there now."""
    newest: dict[Path, Path] = {}  # by the folder or file of the entry; versions are in order
    for path in paths:
        newest[path.parents[1] if path.parents[1].name == path.name else path] = path
    seals = {path: Seal.read(seal_of(path)) for path in newest.values() if seal_of(path).is_file()}
    now = {
        ".".join(entry.relative_to(data / "06_models" / experiment).parts): stated_identity(path)
        for entry, path in newest.items()
        if (path / CONFIG_FILE).is_file()
    }
    classes = data / "03_primary" / experiment / "classes.json"
    if classes in seals:
        now |= seals[classes].origins
    return [
        f"{path} was made from another {origin} than the one that is there now"
        for path, seal in seals.items()
        for origin, identity in seal.origins.items()
        if origin in now and now[origin] != identity and path != classes
    ]
