"""Names of videos as annotation tools write them: paths of another machine, addresses, uploads."""

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

from tad_blockdrop.video.files.listing import without_ending

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")  # a drive letter is shorter
_ROOTED = re.compile(r"[~.]?[\\/]|[A-Za-z]:[\\/]")


def is_address(name: str) -> bool:
    """Whether it begins like an address: ``https://``, ``file:/``."""
    return _ADDRESS.match(name) is not None


def is_rooted(name: str) -> bool:
    """Whether it is a path that begins at a root, a drive, a home or the program's folder."""
    return _ROOTED.match(name) is not None


def is_video(name: str) -> bool:
    """Whether a path or address has the ending of a video file."""
    path = _path(name)
    return without_ending(path) != path


def video_names(media: Iterable[str]) -> dict[str, str]:
    """A video id for each path or address: the name of its file, without the ending.

    Where two share that name, as much is kept as tells them apart: their endings, or the folders
    above them.
    """
    paths = {name: _path(name) for name in dict.fromkeys(media)}
    different = set(paths.values())
    names: dict[str, str] = {}
    for depth in range(1, 2 + max((path.count("/") for path in different), default=0)):
        tails = {path: "/".join(path.split("/")[-depth:]) for path in different}
        short = {path: without_ending(tail) for path, tail in tails.items()}
        once = {name for name, count in Counter(short.values()).items() if count == 1}
        whole = {name for name, count in Counter(tails.values()).items() if count == 1}
        for path in different:
            name = short[path] if short[path] in once else tails[path]
            if path not in names and name in once | whole:
                names[path] = name
        if len(names) == len(different):
            break
    return {name: names.get(path, path) for name, path in paths.items()}


def _path(name: str) -> str:
    """The path in a path, URL or Label Studio address, with forward slashes."""
    name = name.strip()
    address = _ADDRESS.match(name)
    if "local-files/?d=" in name:  # of Label Studio, with or without its host
        name = parse_qs(name.partition("?")[2]).get("d", [name])[0]
    elif address is not None and not address[1].lower().startswith("http"):
        name = unquote(name[address.end() :])  # names of files may hold what ends a path of the web
    elif address is not None:
        with suppress(ValueError):  # brackets where a host should be
            name = unquote(urlsplit(name).path) or name
    path = re.sub(r"/+", "/", name.replace("\\", "/")).rstrip("/")
    return re.sub(r"^(\./)+", "", path)
