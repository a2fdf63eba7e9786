"""Which file of a folder a video id means, and which ids are no business of that folder."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

# The first one wins where a video is there in several formats.
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv",
    ".flv", ".3gp", ".ogv",
)  # fmt: skip

MAX_ID_LENGTH = 200  # bytes: an id names files, with a suffix and a temporary name around it


class UnsafeVideoError(BlockDropError):
    """A video id, or the file it means, that would lead out of the folder of videos."""


@dataclass(frozen=True)
class VideoListing:
    """The video files of a folder and of those in it, by file name with and without suffix.

    ``others`` has the files that come second, where several have the same name.
    """

    folder: Path
    by_name: Mapping[str, Path]
    others: Mapping[str, Path] = field(default_factory=dict)

    def find(self, video_id: str) -> Path | None:
        """The file called as the id, or with a ``v_`` more or less; None where there is none.

        Raises UnsafeVideoError for ids that are no plain file name, and for links that lead out.
        """
        refuse_unsafe_id(video_id)
        for name in (video_id, f"v_{video_id}", video_id.removeprefix("v_")):
            path = self.by_name.get(name)
            if path is not None:
                # Not Path.resolve(), which raises on links that lead round in a circle.
                if not Path(os.path.realpath(path)).is_relative_to(self.folder):
                    raise UnsafeVideoError(f"{path} is a link to a place outside {self.folder}")
                return path
        return None


def list_videos(folder: str | Path) -> VideoListing:
    """All video files below ``folder``, which may be a link itself; hidden ones do not count.

    Linked folders inside it are not entered.
    """
    root = Path(folder).resolve()
    found: list[Path] = []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    videos = [path for path in found if path.suffix.lower() in VIDEO_SUFFIXES]
    videos.sort(key=lambda path: VIDEO_SUFFIXES.index(path.suffix.lower()), reverse=True)
    by_name: dict[str, Path] = {}
    others: dict[str, Path] = {}
    for path in videos:
        for name in (path.stem, path.name):
            if name in by_name:
                others[name] = by_name[name]
            by_name[name] = path
    return VideoListing(root, by_name, others)


def find_video(folder: str | Path, video_id: str) -> Path | None:
    """The file of one video in ``folder``, as ``VideoListing.find``; for many, list once."""
    return list_videos(folder).find(video_id)


def refuse_unsafe_id(video_id: str) -> None:
    """Raise UnsafeVideoError unless the id can name a file inside a folder."""
    if (
        not video_id.strip(". ")
        or len(video_id.encode("utf-8", "surrogatepass")) > MAX_ID_LENGTH
        or any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cs") for c in video_id)
    ):
        raise UnsafeVideoError(
            f"the video id {video_id[:60]!r} cannot be a file name everywhere; rename it: at most "
            f"{MAX_ID_LENGTH} bytes, without slashes and control characters"
        )
