"""Which predicted videos are annotated, and what the annotations say of them."""

import os
from pathlib import Path

import pandas as pd

from tad_blockdrop.review.merging import annotated_rows, segment_of
from tad_blockdrop.review.predictions import KnownTruth
from tad_blockdrop.video.annotations import Annotations
from tad_blockdrop.video.files.listing import (
    AmbiguousVideoError,
    UnsafeVideoError,
    VideoListing,
    list_videos,
)


def known_truth(
    videos: pd.DataFrame, annotations: Annotations, folder: Path
) -> dict[str, KnownTruth]:
    """The annotated actions by the predicted ids of their videos.

    ``videos``: video_id and path of what was predicted; ``folder``: that of the annotated videos.
    A video is known by its file: one of the same name elsewhere is another video. Rows that are no
    segments, as they end before they start, are left out.
    """
    if not folder.is_dir():
        return {}
    listing = list_videos(folder)
    rows = annotated_rows(annotations)
    ids = {path: video for video in rows if (path := _file_of(video, listing))}
    truth: dict[str, KnownTruth] = {}
    for video_id, path in zip(videos["video_id"], videos["path"], strict=True):
        annotated = ids.get(os.path.realpath(path))
        if annotated is None:
            continue
        segments = filter(None, (segment_of(*row) for row in rows[annotated]))
        actions = [[segment.label, segment.start, segment.end] for segment in segments]
        truth[video_id] = KnownTruth(video=annotated, actions=actions)
    return truth


def _file_of(video: str, listing: VideoListing) -> str | None:
    """The file that an annotated id means, as a real path; None where none can be found."""
    try:
        found = listing.find(video)
    except (AmbiguousVideoError, UnsafeVideoError):
        return None
    return os.path.realpath(found.path) if found else None
