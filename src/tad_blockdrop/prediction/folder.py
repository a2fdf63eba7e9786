"""The videos that a path stands for, and what each one is called in tables."""

from collections import Counter
from pathlib import Path

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.video.files.listing import VIDEO_FORMATS, video_files


class VideosError(BlockDropError):
    """There are no videos at the given path."""


def find_videos(path: str | Path) -> dict[str, Path]:
    """The video at ``path``, or those in that folder and below, by the name they get in tables.

    A video is named after its file without the ending, or where two share that name, after its
    path inside the folder. A file given by itself may have any ending; of a folder, the
    ``video_files`` are taken. Raises VideosError if there is none.
    """
    root = Path(path).expanduser()
    if root.is_file():
        return {root.stem: root}
    if not root.is_dir():
        raise VideosError(f"there is no file or folder {root}; check predict.videos")
    files = sorted(video_files(root))
    if not files:
        known = " ".join(VIDEO_FORMATS)
        raise VideosError(
            f"the folder {root} holds no videos (files ending in {known}); set predict.videos to "
            "another folder, or to a single file with any ending"
        )
    count = Counter(file.stem for file in files)
    return {
        file.stem if count[file.stem] == 1 else "_".join(file.relative_to(root).parts): file
        for file in files
    }
