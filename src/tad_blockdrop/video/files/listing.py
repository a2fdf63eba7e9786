"""The videos of a folder: which there are, which one an id means, what is passed over and why.

An id is a file's name or its path inside the folder, with or without the ending. The path may begin
with folders above, the last of which is this one (``videos/a.mp4``). Names are compared in one
Unicode form (NFC), and with either slash.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from tad_blockdrop.errors import BlockDropError, printable
from tad_blockdrop.video.files.pictures import PICTURE_ENDINGS, numbered_names

# The endings of video files, each with ffmpeg's name of its format. Where a video is there in
# several, the first ending wins.
VIDEO_FORMATS = {
    ".mp4": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi", ".mov": "mov",
    ".m4v": "mov", ".mpg": "mpeg", ".mpeg": "mpeg", ".ts": "mpegts", ".mts": "mpegts",
    ".m2ts": "mpegts", ".wmv": "asf", ".flv": "flv", ".3gp": "mov", ".ogv": "ogg",
    ".mxf": "mxf", ".vob": "mpeg", ".dv": "dv", ".asf": "asf", ".divx": "avi", ".xvid": "avi",
    ".3g2": "mov", ".qt": "mov", ".f4v": "mov", ".mj2": "mov", ".mk3d": "matroska",
    ".mpe": "mpeg", ".m2p": "mpeg", ".mod": "mpeg", ".vro": "mpeg", ".m2t": "mpegts",
    ".tod": "mpegts", ".trp": "mpegts", ".ogm": "ogg", ".ogg": "ogg", ".dif": "dv",
    ".rm": "rm", ".rmvb": "rm", ".gxf": "gxf", ".wtv": "wtv", ".nut": "nut", ".ivf": "ivf",
    ".y4m": "yuv4mpegpipe", ".gif": "gif",
    # bare streams, which hold no time stamps
    ".h264": "h264", ".264": "h264", ".avc": "h264", ".h265": "hevc", ".265": "hevc",
    ".hevc": "hevc", ".m1v": "mpegvideo", ".m2v": "mpegvideo", ".mpv": "mpegvideo",
    ".mjpeg": "mjpeg", ".mjpg": "mjpeg", ".obu": "obu",
}  # fmt: skip

MAX_ID_LENGTH = 200  # bytes: file names are made of it, with an ending and a temporary part
SHOWN = 5  # names in one sentence
_ESCAPED = str.maketrans({"%": "%25", "/": "%2F", "\\": "%5C"})


class UnsafeVideoError(BlockDropError):
    """A video id, or a link, that leads out of the folder of videos."""


class AmbiguousVideoError(BlockDropError):
    """An id that several videos in different folders could be meant by."""


@dataclass(frozen=True)
class Found:
    """The video that an id means. ``others``: of the same name, but passed over for this one."""

    path: Path
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class FolderContents:
    """The videos in a folder and below, and what is passed over: the reason, by path."""

    videos: list[Path]
    passed_over: dict[Path, str]


@dataclass(frozen=True)
class VideoListing:
    """The videos in a folder and below by ``compared`` name and path, with and without ending.

    ``named``: how the folder was called, if that was a link to it.
    """

    folder: Path
    by_name: Mapping[str, Sequence[Path]]
    by_path: Mapping[str, Sequence[Path]]
    passed_over: Mapping[Path, str]
    named: Path = Path()

    def find(self, video_id: str) -> Found | None:
        """The video named as the id, with or without the ``v_`` prefix; None where there is none.

        A path inside the folder means that one video, a name means the only one of that name.
        Raises UnsafeVideoError for ids and links that lead out of the folder, AmbiguousVideoError
        where videos in two folders share the name.
        """
        refuse_unsafe_id(video_id)
        key = compared(video_id)
        for name in (key, f"v_{key}", key.removeprefix("v_"), *self._inside(key)):
            exact, named = self.by_path.get(name, ()), self.by_name.get(name, ())
            first, *rest = exact or named or (None,)
            if first is None:
                continue
            if len({path.parent for path in (first, *rest)}) > 1:
                raise AmbiguousVideoError(
                    f"'{video_id}' may be any of {self._names([first, *rest])}"
                )
            # Not Path.resolve(), which raises on links that go round in a circle.
            if not Path(os.path.realpath(first)).is_relative_to(self.folder):
                raise UnsafeVideoError(f"{first} is a link that leads outside {self.folder}")
            meant = name == compared(first.relative_to(self.folder).as_posix()) and "/" in key
            return Found(first, () if meant else tuple(p for p in named or rest if p != first))
        return None

    def _inside(self, key: str) -> list[str]:
        """The rest of a path that begins with this folder, if a video is there."""
        rests = []
        folders = key.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            ends = ("/".join(folder.parts[-depth:]) for folder in (self.folder, self.named))
            begins = "/".join(folders[:depth])
            if begins in map(compared, ends):
                rests.append(key.removeprefix(f"{begins}/"))
        return [rest for rest in rests if rest in self.by_path]

    def hint(self, video_id: str) -> str:
        """What there is instead of a video that is missing, as the end of a sentence, or empty."""
        folded = compared(video_id).casefold()
        if near := self._by_folded.get(folded):
            return f" ({self._names(near)} differs in upper and lower case only)"
        if named := self.by_name.get(compared(video_id).rpartition("/")[2]):
            return f" ({self._names(named)} has this name, but lies in another folder)"
        if (path := self._left_by_folded.get(folded)) is not None:
            return f" ({self._names([path])} is passed over: {self.passed_over[path]})"
        return ""

    @cached_property
    def _by_folded(self) -> Mapping[str, Sequence[Path]]:
        """The videos by path and name in one case: many may be missing, each with a hint."""
        folded: dict[str, list[Path]] = {}
        for name, paths in (*self.by_path.items(), *self.by_name.items()):
            folded.setdefault(name.casefold(), []).extend(paths)
        return folded

    @cached_property
    def _left_by_folded(self) -> Mapping[str, Path]:
        folded: dict[str, Path] = {}
        for path in self.passed_over:
            for name in (path.stem, path.name):
                folded.setdefault(compared(name).casefold(), path)
        return folded

    def _names(self, paths: Sequence[Path]) -> str:
        names = dict.fromkeys(path.relative_to(self.folder).as_posix() for path in paths)
        return ", ".join(list(names)[:SHOWN])


def compared(name: str) -> str:
    """A name or path in the form in which names are compared: NFC, with forward slashes."""
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def without_ending(name: str) -> str:
    """A name or path without the ending of a video file, if it has one."""
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending) if ending.lower() in VIDEO_FORMATS else name


def file_name(video_id: str, ending: str) -> str:
    """The name of a file about a video: its id, in which slashes are written as ``%2F``."""
    return video_id.translate(_ESCAPED) + ending


def folder_contents(folder: str | Path) -> FolderContents:
    """The videos in ``folder`` and below, each folder's own ones first.

    Files with the ending of a video, and folders that hold numbered pictures and no video. Hidden
    files and folders do not count. ``folder`` may be a link itself; linked folders inside it are
    not entered.
    """
    videos: list[Path] = []
    passed_over: dict[Path, str] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
        own = [path for path in files if path.suffix.lower() in VIDEO_FORMATS]
        left = [path for path in files if path.suffix.lower() not in VIDEO_FORMATS]
        if not own and Path(parent) != Path(folder) and numbered_names(p.name for p in left):
            own, left = [Path(parent)], [p for p in left if p.suffix.lower() not in PICTURE_ENDINGS]
        videos += own
        passed_over |= {path: _reason(path) for path in left}
    return FolderContents(videos, passed_over)


def _reason(path: Path) -> str:
    if path.suffix.lower() in PICTURE_ENDINGS:
        return "it is a picture; numbered ones (img_00001.jpg, ...) in a folder are a video"
    return f"'{printable(path.suffix)}' is not the ending of a video"


def list_videos(folder: str | Path) -> VideoListing:
    """The videos of a folder by their names and by their paths inside it."""
    root = Path(folder).resolve()
    contents = folder_contents(root)
    rank = {ending: place for place, ending in enumerate(VIDEO_FORMATS)}
    by_name: dict[str, list[Path]] = defaultdict(list)
    by_path: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(contents.videos, key=lambda p: rank.get(p.suffix.lower(), len(rank))):
        inside = path.relative_to(root)
        for names, whole in ((by_name, path.name), (by_path, inside.as_posix())):
            for name in dict.fromkeys((whole, without_ending(whole))):
                names[compared(name)].append(path)
    return VideoListing(root, by_name, by_path, contents.passed_over, Path(folder).absolute())


def refuse_unsafe_id(video_id: str) -> None:
    """Raise UnsafeVideoError unless the id can name a file, or a path, inside a folder."""
    if (
        any(not part.strip(". ") for part in compared(video_id).split("/"))
        or len(file_name(video_id, "").encode("utf-8", "surrogatepass")) > MAX_ID_LENGTH
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in video_id)
    ):
        raise UnsafeVideoError(
            f"the video id {video_id[:60]!r} cannot be a file name on every system; rename it: at "
            f"most {MAX_ID_LENGTH} bytes, without control characters and without '..'"
        )
