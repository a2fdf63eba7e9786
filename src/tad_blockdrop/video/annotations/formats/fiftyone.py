"""FiftyOne's ``FiftyOneTemporalDetectionDataset``: the file of labels beside a folder of videos."""

import json
from collections.abc import Sequence
from pathlib import PurePath

from tad_blockdrop.video.annotations.formats.writing import LabelledVideo


class FiftyOne:
    """``labels.json``, by the names of videos without their endings; written only."""

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """The actions of all videos as time stamps with confidences."""
        labels = {
            PurePath(video.path).stem: [
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
