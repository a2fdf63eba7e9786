"""FiftyOne's ``FiftyOneTemporalDetectionDataset``: the file of labels beside a folder of videos."""

import json
from collections.abc import Sequence

from tad_blockdrop.video.annotations.formats.writing import LabelledVideo
from tad_blockdrop.video.annotations.media import video_names


class FiftyOne:
    """``labels.json``, by the names of videos without their endings; written only.

    Where two share a name, folders that tell them apart stand before it.
    """

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """The actions of all videos as time stamps with confidences."""
        names = video_names(video.path for video in videos)
        labels = {
            names[video.path]: [
                {
                    "label": action.label,
                    "timestamps": [round(action.start, 3), round(action.end, 3)],
                }
                | ({} if action.score is None else {"confidence": round(action.score, 5)})
                for action in video.actions
            ]
            for video in videos
        }
        return {"labels.json": json.dumps({"labels": labels}, indent=1)}
