"""Paths of videos in tables: those inside a project are relative to it, so that it can be moved.

The project of a file is the folder above the ``data/<layer>/`` that it lies in.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from tad_blockdrop.checksums import DamagedError

_LAYER = re.compile(r"\d\d_\w+")


def project_of(file: Path) -> Path | None:
    """The project that a file belongs to; None for files elsewhere."""
    for folder in file.parents:
        if _LAYER.fullmatch(folder.name) and folder.parent.name == "data":
            return folder.parent.parent.resolve()
    return None


def stored_paths(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """A table as ``file`` keeps it: the values of ``path`` inside its project are relative."""
    project = project_of(file)
    if project is None or "path" not in table:
        return table
    return table.assign(path=[_stored(path, project) for path in table["path"]])


def usable_paths(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    """The table that ``stored_paths`` was given, were the project where it is now."""
    project = project_of(file)
    if project is None or "path" not in table:
        return table
    return table.assign(path=[str(project / path) for path in table["path"]])


def own_paths(paths: Iterable[str], file: Path) -> list[str]:
    """Absolute paths of a table of an older version, which may be those of before a move or copy.

    A file of another project becomes that of the project of ``file`` in the same place. Raises
    DamagedError for frames that are only there.
    """
    project = project_of(file)
    return [str(_own(Path(path), project)) if project else path for path in paths]


def _own(path: Path, project: Path) -> Path:
    other = project_of(path)
    if other in (None, project):
        return path
    mine = project / path.relative_to(other)
    if mine.is_file():
        return mine
    if mine.is_relative_to(project / "data/01_raw"):  # videos may be those of another project
        return path
    raise DamagedError(
        f"{path} belongs to another project, and this one has no {mine}: copy it as well, or "
        "run the data pipeline again"
    )


def _stored(path: str, project: Path) -> str:
    inside = Path(path).is_relative_to(project)
    return Path(path).relative_to(project).as_posix() if inside else path
