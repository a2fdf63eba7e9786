"""Reading annotation files in tests: from texts to rows and to what people are told."""

from pathlib import Path
from typing import Any

from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.video.annotations import (
    Annotations,
    read_annotation_files,
    read_annotations,
)


def read_texts(folder: Path, texts: dict[str, str], **config: Any) -> Annotations:
    """The annotations of a folder with these files, by name."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_annotations(read_annotation_files([folder]), ReadingConfig(**config))


def actions(found: Annotations) -> list[tuple[Any, ...]]:
    """Video, label, start and end of all actions."""
    return list(found.instances.itertuples(index=False, name=None))


def messages(found: Annotations) -> list[str]:
    """What is told, without how files were read."""
    told = [problem.message for problem in found.problems]
    return [message for message in told if " was read as " not in message]
