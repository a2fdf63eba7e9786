"""What a dataset was made from: annotations, class lists and video files, and what has changed.

Only what is used counts: the order and the layout of the annotations, and videos that are in no
configured subset, may change. A file's content counts, not its time.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pandas as pd

from tad_blockdrop.checksums import file_hash
from tad_blockdrop.config import DataConfig, EvaluationConfig
from tad_blockdrop.errors import some
from tad_blockdrop.storage.project_paths import stored_paths, usable_paths
from tad_blockdrop.video.annotations import AnnotationError, Annotations, read_annotations
from tad_blockdrop.video.dataset import listed_videos
from tad_blockdrop.video.files.pictures import size_and_time
from tad_blockdrop.video.files.proxies import source_fingerprint

SHOWN = 5  # names that a message lists
Stated = Mapping[str, str]


@dataclass(frozen=True)
class Sources:
    """``annotations``: a digest per listed video; ``lists``: one per text file that is named by
    the parameters; ``videos``: size, time (ns) and fingerprint of each file, by path."""

    annotations: dict[str, str]
    lists: dict[str, str]
    videos: dict[str, list[Any]]

    @classmethod
    def of_record(cls, stored: Mapping[str, Any]) -> Self:
        """What ``to_record`` gave."""
        return cls(**{field.name: stored[field.name] for field in fields(cls)})

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def annotation_digests(
    raw: object, data: DataConfig, known: Stated | None = None
) -> dict[str, str]:
    """A digest of what the annotations say of each listed video. Raises AnnotationError.

    ``known``: earlier digests. One that an older version gave to what the annotations say now is
    kept: such versions read files without ``data.reading``, and names of classes as they stood.
    """
    annotations = read_annotations(raw, data.reading)
    digests = _digests(annotations, data)
    if known is None or known == digests:
        return digests
    ways = [annotations]
    with suppress(AnnotationError):
        ways.append(read_annotations(raw))
    for form in ("NFC", "NFD"):
        for way in ways:
            labels = way.instances["label"].map(partial(unicodedata.normalize, form))
            older = _digests(replace(way, instances=way.instances.assign(label=labels)), data)
            digests |= {video: old for video, old in older.items() if known.get(video) == old}
    return digests


def _digests(annotations: Annotations, data: DataConfig) -> dict[str, str]:
    listed, _ = listed_videos(annotations, data)
    said: dict[str, list[Any]] = {}
    rows = annotations.instances[["video_id", "start", "end", "label"]].itertuples(index=False)
    for video, *action in sorted(map(tuple, rows)):
        said.setdefault(video, []).append(action)
    return {
        str(row["video_id"]): _digest(repr((sorted(row.items()), said.get(row["video_id"]))))
        for row in listed.drop(columns="subset").to_dict("records")
    }


def list_digests(data: DataConfig, evaluation: EvaluationConfig) -> dict[str, str]:
    """Digests of the class list and of an external classifier's file, by the keys that name them.

    The work itself says what is wrong with a file that is not there.
    """
    named = {
        "data.classes_file": data.classes_file,
        "evaluation.postprocess.classifier": evaluation.postprocess.classifier,
    }
    there = {key: Path(path) for key, path in named.items() if path is not None}
    return {key: file_hash(path) for key, path in there.items() if path.is_file()}


def file_facts(paths: Iterable[str], file: Path) -> dict[str, list[Any]]:
    """Size, time and fingerprint of videos; paths inside the project of ``file`` are relative."""
    table = pd.DataFrame({"path": list(paths)})
    names = stored_paths(table, file)["path"]
    return {
        name: [*size_and_time(Path(path)), source_fingerprint(path)]
        for name, path in zip(names, table["path"], strict=True)
    }


def changed_files(known: Mapping[str, list[Any]], file: Path) -> list[str]:
    """Those of the files that hold something else now, or are gone."""
    table = pd.DataFrame({"path": list(known)}, dtype=object)
    paths = usable_paths(table, file)["path"]
    return [
        name for name, path in zip(known, paths, strict=True) if _other(Path(path), known[name])
    ]


def differences(known: Sources, annotations: Stated, lists: Stated, files: list[str]) -> list[str]:
    """A line for each kind of change since; none if nothing that counts has changed."""
    lines = _compared("annotations", known.annotations, annotations)
    lines += _compared("files", known.lists, lists)
    return lines + ([f"videos: changed or gone: {some(files, SHOWN)}"] if files else [])


def _compared(what: str, known: Stated, now: Stated) -> list[str]:
    kinds = {
        "changed": [name for name in known if name in now and known[name] != now[name]],
        "added": [name for name in now if name not in known],
        "gone": [name for name in known if name not in now],
    }
    return [f"{what}: {kind}: {some(names, SHOWN)}" for kind, names in kinds.items() if names]


def _other(path: Path, known: list[Any]) -> bool:
    if not path.exists():
        return True
    *quick, fingerprint = known
    return size_and_time(path) != quick and source_fingerprint(path) != fingerprint


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
