"""What can be watched: a camera, a stream on the network, a file that may be growing."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.video.files.container import (
    FORMATS,
    DecodeError,
    picture_stream,
    why_unreadable,
)

# What an address may begin with. None of these, nor what a playlist leads to, reads a local file.
PROTOCOLS = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "tcp", "udp", "rtp", "srt")
_INSIDE = "tls,crypto,httpproxy"  # protocols that others are made of
_ON_THE_NET = f"rtsp,rtp,sdp,hls,mpjpeg,{FORMATS}"
# Over TCP: lost packets are grey pictures.
_OPTIONS = {"rtsp": {"rtsp_flags": "prefer_tcp"}}
_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_USER = re.compile(r"(?<=://)[^/\s]*@")  # up to the last @: a password may hold others


class SourceError(BlockDropError):
    """A source that cannot be watched, or not any longer."""


@dataclass(frozen=True)
class Source:
    """What is watched: ``address`` is the number of a camera, a URL or the path of a file."""

    address: str
    kind: Literal["camera", "stream", "file"]

    @property
    def live(self) -> bool:
        """Whether pictures come at their time, and are lost if nobody takes them."""
        return self.kind != "file"

    @property
    def name(self) -> str:
        """The address for logs and tables: without user and password."""
        return hide_user(self.address) if self.kind != "camera" else f"camera {self.address}"


def hide_user(text: str) -> str:
    """The text without what stands before the host of the addresses in it."""
    return _USER.sub("***@", text)


def find_source(given: str | None) -> Source:
    """What ``watch.source`` means. Raises SourceError."""
    if given is None:
        raise SourceError(
            "set watch.source to the number of a camera, the address of a stream or a file: add "
            "--params watch.source=0 to the command"
        )
    if given.isdecimal():
        return Source(given, "camera")
    protocol, is_address, _ = given.partition("://")
    if is_address:
        if protocol.lower() not in PROTOCOLS:
            raise SourceError(
                f"watch.source begins with {protocol}://, which is not read; addresses may begin "
                f"with {', '.join(PROTOCOLS)}"
            )
        return Source(given, "stream")
    file = Path(given).expanduser()
    if file.is_dir():
        raise SourceError(f"watch.source is a folder ({file}): --pipeline predict takes folders")
    if not file.exists():
        raise SourceError(
            f"there is no file {given}; check watch.source (a camera is a number, a stream begins "
            "with its protocol, as in rtsp://)"
        )
    return Source(str(file.absolute()), "file")


@contextmanager
def open_source(source: Source, timeout: float) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The opened source and its best video stream; each wait for data ends after ``timeout`` s.

    Raises SourceError, also for errors inside the block.
    """
    try:
        with av.open(
            **_arguments(source, timeout), timeout=timeout, metadata_errors="replace"
        ) as container:
            yield container, picture_stream(container, Path(source.name))
    except DecodeError as error:
        raise SourceError(f"{source.name}: {error.reason}") from error
    except av.FFmpegError as error:
        said = reason(source, error, timeout, opened=False)
        raise SourceError(f"{source.name}: {said}") from error


def is_growing(file: Path, seconds: float) -> bool:
    """Whether something was written to the file in the last ``seconds``."""
    return time.time() - file.stat().st_mtime < seconds


def _arguments(source: Source, timeout: float) -> dict[str, Any]:
    """What to open, and how: arguments of ``av.open``."""
    if source.kind == "camera":
        return _camera(source)
    if source.kind == "file":
        options = {"format_whitelist": FORMATS}
        if is_growing(Path(source.address), timeout):
            options["follow"] = "1"  # its end is where nothing comes any more
        return {"file": f"file:{source.address}", "options": options}
    protocol = source.address.partition("://")[0].lower()
    options = {
        "format_whitelist": _ON_THE_NET,
        "protocol_whitelist": f"{','.join(PROTOCOLS)},{_INSIDE}",
    }
    return {"file": source.address, "options": options | _OPTIONS.get(protocol, {})}


def _camera(source: Source) -> dict[str, Any]:
    kind = _CAMERAS.get(sys.platform, "v4l2")
    try:
        av.ContainerFormat(kind, "r")
    except ValueError as error:
        raise SourceError(
            f"{source.name}: cameras cannot be read on this machine: its PyAV was built without "
            f"FFmpeg's input '{kind}'; give the address of a stream or a file"
        ) from error
    if kind == "v4l2":
        device = Path(f"/dev/video{source.address}")
        if not device.exists():
            known = sorted(path.name[5:] for path in Path("/dev").glob("video*"))
            there = f"its cameras are {', '.join(known)}" if known else "it has no camera at all"
            raise SourceError(f"{source.name}: this machine has no {device}; {there}")
        return {"file": str(device), "format": kind}
    if kind == "avfoundation":
        return {"file": source.address, "format": kind, "options": {"framerate": "30"}}
    cameras = [each.name for each in av.device.enumerate_input_devices(kind)]
    if int(source.address) >= len(cameras):
        raise SourceError(f"{source.name}: this machine has {len(cameras)} cameras, from 0 on")
    return {"file": f"video={cameras[int(source.address)]}", "format": kind}


def reason(source: Source, error: av.FFmpegError, timeout: float, opened: bool = True) -> str:
    """Why a source cannot be read, or not any longer once it was ``opened``; no address."""
    if source.kind == "file" and not (opened and isinstance(error, av.error.ExitError)):
        return why_unreadable(Path(source.address), error, opened)
    said = hide_user(str(error.strerror)).lower()
    if isinstance(error, av.error.ExitError):
        return f"nothing came for {timeout:g} s"
    if isinstance(error, PermissionError):
        return f"it may not be read ({said})"
    return f"it cannot be read ({said})"
