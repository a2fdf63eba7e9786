"""The video files of a folder: which there are, and which one a video id means."""

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tad_blockdrop.errors import BlockDropError

# The endings of video files, each with ffmpeg's name of its format. Where a video is there in
# several, the first ending wins.
VIDEO_FORMATS = {
    ".mp4": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi", ".mov": "mov",
    ".m4v": "mov", ".mpg": "mpeg", ".mpeg": "mpeg", ".ts": "mpegts", ".mts": "mpegts",
    ".m2ts": "mpegts", ".wmv": "asf", ".flv": "flv", ".3gp": "mov", ".ogv": "ogg",
}  # fmt: skip

MAX_ID_LENGTH = 200  # bytes: file names are made of it, with an ending and a temporary part


class UnsafeVideoError(BlockDropError):
    """A video id, or a link, that leads out of the folder of videos."""


@dataclass(frozen=True)
class VideoListing:
    """The video files in a folder and below, by file name with and without the ending.

    ``others``: the second choices, where several files have the same name.
    """

    folder: Path
    by_name: Mapping[str, Path]
    others: Mapping[str, Path] = field(default_factory=dict)

    def find(self, video_id: str) -> Path | None:
        """The file named as the id, with or without the ``v_`` prefix; None where there is none.

        Raises UnsafeVideoError for ids that are not plain file names, and for links that lead out.
        """
        refuse_unsafe_id(video_id)
        for name in (video_id, f"v_{video_id}", video_id.removeprefix("v_")):
            path = self.by_name.get(name)
            if path is not None:
                # Not Path.resolve(), which raises on links that go round in a circle.
                if not Path(os.path.realpath(path)).is_relative_to(self.folder):
                    raise UnsafeVideoError(f"{path} is a link that leads outside {self.folder}")
                return path
        return None


def video_files(folder: str | Path) -> list[Path]:
    """The files with the ending of a video in ``folder`` and below, each folder's own ones first.

    Hidden files and folders do not count. ``folder`` may be a link itself; linked folders inside it
    are not entered.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in found if path.suffix.lower() in VIDEO_FORMATS]


def list_videos(folder: str | Path) -> VideoListing:
    """The ``video_files`` of a folder by their names."""
    root = Path(folder).resolve()
    rank = list(VIDEO_FORMATS).index
    by_name: dict[str, Path] = {}
    others: dict[str, Path] = {}
    for path in sorted(video_files(root), key=lambda p: rank(p.suffix.lower()), reverse=True):
        for name in (path.stem, path.name):
            if name in by_name:
                others[name] = by_name[name]
            by_name[name] = path
    return VideoListing(root, by_name, others)


def refuse_unsafe_id(video_id: str) -> None:
    """Raise UnsafeVideoError unless the id can name a file inside a folder."""
    if (
        not video_id.strip(". ")
        or len(video_id.encode("utf-8", "surrogatepass")) > MAX_ID_LENGTH
        or any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cs") for c in video_id)
    ):
        raise UnsafeVideoError(
            f"the video id {video_id[:60]!r} cannot be a file name on every system; rename it: at "
            f"most {MAX_ID_LENGTH} bytes, without slashes and control characters"
        )
