"""Detections as the files of other tools."""

from collections.abc import Sequence

import pandas as pd

from tad_blockdrop.video.annotations import WRITERS, Action, LabelledVideo
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.probe import timeline


def tool_files(
    predictions: pd.DataFrame,
    predicted_videos: pd.DataFrame,
    formats: Sequence[str],
    timing: Timing,
) -> dict[str, str]:
    """The texts of the files, by ``<format>/<name>``, of those ``formats`` that are of tools.

    Videos that could not be read are left out. Raises DecodeError if one has gone since.
    """
    read = predicted_videos[predicted_videos["problem"].isna()]
    own = dict(list(predictions.groupby("video_id")))
    videos = [
        LabelledVideo(
            row["video_id"],
            row["path"],
            row["duration"],
            timeline(row["path"], timing).fps,
            _actions(own.get(row["video_id"], predictions.iloc[:0])),
        )
        for row in read.to_dict("records")
    ]
    return {
        f"{name}/{file}": text
        for name in formats
        if name in WRITERS
        for file, text in WRITERS[name].write(videos).items()
    }


def _actions(detections: pd.DataFrame) -> list[Action]:
    columns = (detections[name] for name in ("start", "end", "label", "score"))
    return [Action(*values) for values in zip(*columns, strict=True)]
