"""Detections come back from a file as they were written; anything else is refused."""

import json
from typing import Any

import pandas as pd
import pytest

from tad_blockdrop.prediction.tables import activitynet_results
from tad_blockdrop.video.annotations import AnnotationError
from tad_blockdrop.video.predictions import read_predictions


def test_written_results_come_back() -> None:
    table = pd.DataFrame(
        [["b", 1.25, 3.5, "run", 0.75], ["a", 0.0, 2.0, "jump", 0.5], ["b", 4.0, 9.0, "run", 0.25]],
        columns=["video_id", "start", "end", "label", "score"],
    )
    file = json.dumps(activitynet_results(table, ["a", "b", "empty"]))
    back = read_predictions(json.loads(file))
    order = ["video_id", "start"]
    pd.testing.assert_frame_equal(
        back.sort_values(order, ignore_index=True), table.sort_values(order, ignore_index=True)
    )


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"database": {}}, "top level"),
        ([], "top level"),
        ({"results": []}, "top level"),
        ({"results": {"a": {"segment": [0, 1]}}}, "results.a: "),
        ({"results": {"a": [{"segment": [0], "label": "x", "score": 1}]}}, "results.a[0]: "),
        ({"results": {"a": [{"segment": [0, 1], "label": "x"}]}}, "results.a[0]: "),
        ({"results": {"a": [{"segment": [0, "z"], "label": "x", "score": 1}]}}, "results.a[0]: "),
    ],
)
def test_other_layouts_are_refused_with_their_place(raw: Any, place: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_predictions(raw)
    assert str(caught.value).startswith(place)
