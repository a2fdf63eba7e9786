"""The videos that a path stands for, and what each one is called in tables."""

import logging
from collections import Counter
from pathlib import Path

from tad_blockdrop.errors import BlockDropError, some
from tad_blockdrop.video.files.listing import (
    VIDEO_FORMATS,
    FolderContents,
    compared,
    folder_contents,
)
from tad_blockdrop.video.files.pictures import numbered_names

logger = logging.getLogger(__name__)

SHOWN = 5  # files passed over that are named for each reason


class VideosError(BlockDropError):
    """There are no videos at the given path."""


def find_videos(path: str | Path) -> dict[str, Path]:
    """The video at ``path``, or those in that folder and below, by the name they get in tables.

    A video is named after its file without the ending, or where two share that name, by its path
    inside the folder. A file given by itself may have any ending; of a folder, its
    ``folder_contents`` are taken, and what is passed over is logged. A folder of numbered pictures
    is one video. Raises VideosError if there is none.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return {compared(root.stem): root}
    if not root.is_dir():
        raise VideosError(f"there is no file or folder {root}; check predict.videos")
    contents = folder_contents(root)
    if not contents.videos and numbered_names(file.name for file in root.iterdir()):
        return {compared(root.resolve().name): root}
    _log_passed_over(contents, root)
    if not contents.videos:
        known = " ".join(VIDEO_FORMATS)
        raise VideosError(
            f"the folder {root} holds no videos (files ending in {known}); set predict.videos to "
            "another folder, or to a single file with any ending"
        )
    return _named(sorted(contents.videos), root)


def _named(videos: list[Path], root: Path) -> dict[str, Path]:
    """Each by the first of its names that no other has."""
    names = []
    for video in videos:
        short = video.name if video.is_dir() else video.stem
        inside = video.relative_to(root).as_posix()
        names.append((compared(short), compared(inside), inside))
    count = Counter(name for own in names for name in dict.fromkeys(own))
    return {
        next((name for name in own if count[name] == 1), own[-1]): video
        for own, video in zip(names, videos, strict=True)
    }


def _log_passed_over(contents: FolderContents, root: Path) -> None:
    """A line for each reason, with the first files that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for file, reason in contents.passed_over.items():
        by_reason.setdefault(reason, []).append(file.relative_to(root).as_posix())
    for reason, files in by_reason.items():
        logger.warning("passed over in %s: %s: %s", root, some(files, SHOWN), reason)
