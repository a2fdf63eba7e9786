"""Thin nodes over ``review.merging``."""

from __future__ import annotations

import logging
from typing import Any

from tad_blockdrop.config import DataConfig
from tad_blockdrop.datasets.annotation_file import AnnotatedVideos
from tad_blockdrop.errors import first_lines
from tad_blockdrop.review.corrections import Entry

logger = logging.getLogger(__name__)

SHOWN = 20  # sentences


def merge_corrections(
    known_annotations: AnnotatedVideos | None, corrections: list[Entry], data: DataConfig
) -> dict[str, Any]:
    """The experiment's annotations with all corrections made, in ActivityNet's layout.

    Raises MergeError where they count frames of unknown length.
    """
    from tad_blockdrop.review.merging import merge
    from tad_blockdrop.video.annotations import read_annotation_files, read_annotations

    annotations = None
    if known_annotations is not None:
        files = read_annotation_files(known_annotations.paths)
        annotations = read_annotations(files, data.reading)
    merged = merge(annotations, corrections, data)
    for sentence in first_lines(merged.told, SHOWN):
        logger.warning("%s", sentence)
    videos = merged.content["database"].values()
    logger.info(
        "%d actions in %d videos, with %d corrections",
        sum(len(video["annotations"]) for video in videos), len(videos), len(corrections),
    )  # fmt: skip
    return merged.content
