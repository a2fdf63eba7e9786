"""Which videos a path means, and what each one is called."""

from collections import Counter
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
)  # fmt: skip


class VideosError(BlockDropError):
    """There are no videos to work on."""


def find_videos(path: str | Path) -> dict[str, Path]:
    """The video at ``path``, or those in that folder and below, by the name they get in tables.

    A video is called by its file name without suffix, or where two share that by its whole path
    inside the folder. A file given by itself may have any suffix; in folders only the usual ones
    of videos count, and hidden files and folders do not. Raises VideosError if there is none.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return {root.stem: root}
    if not root.is_dir():
        raise VideosError(f"there is no file or folder {root}; check predict.videos")
    files = [file for file in sorted(root.rglob("*")) if _is_video(file, root)]
    if not files:
        known = " ".join(SUFFIXES)
        raise VideosError(
            f"the folder {root} holds no videos (files ending in {known}); set predict.videos to "
            "another folder, or to one file of any name"
        )
    count = Counter(file.stem for file in files)
    return {
        file.stem if count[file.stem] == 1 else "_".join(file.relative_to(root).parts): file
        for file in files
    }


def _is_video(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return not hidden and file.suffix.lower() in SUFFIXES and file.is_file()
