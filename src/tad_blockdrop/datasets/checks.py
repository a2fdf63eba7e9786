"""A whole experiment, file by file: is it what was written, and of one generation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tad_blockdrop.checksums import DamagedError, Seal, seal_of, verify
from tad_blockdrop.detector.checkpoint import CONFIG_FILE, stated_identity
from tad_blockdrop.storage.environments import run_command
from tad_blockdrop.storage.experiment_files import artefacts, maker_of, stamped_videos
from tad_blockdrop.storage.stamps import fault_of


@dataclass(frozen=True)
class Findings:
    """How many files and folders were checked, what is wrong, and what could not be told.

    ``outdated``: what was made from an older version of a model than the newest one.
    """

    checked: int
    faults: list[str]
    outdated: list[str]
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
    outdated: list[str] = []
    if not faults:
        faults, outdated = _mixed(data, experiment, paths)
    return Findings(len(paths) + len(videos), faults, outdated, notes)


def _fault(path: Path) -> str | None:
    try:
        verify(path)
    except DamagedError as error:
        return str(error)
    except FileNotFoundError as error:
        return f"{error.filename} is gone"
    return None


def _mixed(data: Path, experiment: str, paths: list[Path]) -> tuple[list[str], list[str]]:
    """The entries that were made from what is not there, and those made from older versions."""
    newest: dict[Path, Path] = {}  # by the folder or file of the entry; versions are in order
    identities: dict[str, list[str]] = {}  # of each model, version by version
    for path in paths:
        entry = path.parents[1] if path.parents[1].name == path.name else path
        newest[entry] = path
        if (path / CONFIG_FILE).is_file():
            name = ".".join(entry.relative_to(data / "06_models" / experiment).parts)
            identities.setdefault(name, []).append(stated_identity(path))
    seals = {path: Seal.read(seal_of(path)) for path in newest.values() if seal_of(path).is_file()}
    classes = data / "03_primary" / experiment / "classes.json"
    if classes in seals:
        identities |= {name: [identity] for name, identity in seals[classes].origins.items()}
    faults, outdated = [], []
    for path, seal in seals.items():
        for origin in sorted(seal.origins.keys() & identities.keys()):
            known, identity = identities[origin], seal.origins[origin]
            if path == classes or identity == known[-1]:
                continue
            if identity in known:
                maker = maker_of(path, data, experiment)
                outdated.append(
                    f"{path} is out of date, made from an older {origin}: "
                    f"{run_command(data.parent, experiment, maker)} makes it anew"
                )
            else:
                faults.append(
                    f"{path} was made from another {origin} than the one that is there now"
                )
    return faults, outdated
