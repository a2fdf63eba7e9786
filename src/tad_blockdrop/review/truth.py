"""Which predicted videos are annotated, and what the annotations say of them."""

import os
from pathlib import Path

import pandas as pd

from tad_blockdrop.review.merging import rows_by_video, segment_of
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

    ``videos``: video_id, path, fps and start (s) of what was predicted; ``folder``: that of the
    annotated videos. A video is known by its file: one of the same name elsewhere is another video.
    Rows that are no segments, as they end before they start, are left out.
    """
    if not folder.is_dir():
        return {}
    listing = list_videos(folder)
    found = ((_file_of(video, listing), video) for video in annotations.stated["video_id"])
    ids = {path: str(video) for path, video in found if path}
    own = videos.assign(annotated=videos["path"].map(os.path.realpath).map(ids))
    own = own.dropna(subset="annotated")
    facts = own[["annotated", "fps", "start"]].rename(columns={"annotated": "video_id"})
    facts = facts.drop_duplicates("video_id")  # a video and a link to it are one file
    rows = rows_by_video(annotations.stated, annotations.in_seconds(facts))
    truth: dict[str, KnownTruth] = {}
    for video_id, annotated in zip(own["video_id"], own["annotated"], strict=True):
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
