"""Which ids stand for one video: one file, a link to it, or a copy with the same content."""

import filecmp
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tad_blockdrop.video.files.pictures import files_of


def ids_of_one_video(paths: Mapping[str, Path]) -> list[list[str]]:
    """The ids that share a video, in groups of two or more; ids in the order of ``paths``.

    Only files of one size are read, and only until they differ.
    """
    files = {video: files_of(path) for video, path in paths.items()}
    sizes: dict[tuple[int, ...], list[list[str]]] = defaultdict(list)
    for video in paths:
        same_size = sizes[tuple(file.stat().st_size for file in files[video])]
        for group in same_size:
            if _equal(files[group[0]], files[video]):
                group.append(video)
                break
        else:
            same_size.append([video])
    return [group for groups in sizes.values() for group in groups if len(group) > 1]


def _equal(first: list[Path], second: list[Path]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a.samefile(b) or filecmp.cmp(a, b, shallow=False) for a, b in pairs)
