"""Detections in the formats of other tools: which files there are, and that they are read back."""

from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from dataset_files import write_video
from pydantic import ValidationError

from tad_blockdrop.config.predict import Format, PredictConfig
from tad_blockdrop.datasets.tables import TextFolder
from tad_blockdrop.pipelines.predict.pipeline import create_pipeline
from tad_blockdrop.prediction.tool_files import tool_files
from tad_blockdrop.video.annotations import WRITERS, read_annotation_files, read_annotations
from tad_blockdrop.video.files.clock import PLAYER

OURS = {"csv", "activitynet"}


@pytest.fixture
def results(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Detections in one of two videos that were read, and one that was not."""
    paths = [str(write_video(tmp_path / f"{name}.mp4", seconds=4)) for name in ("seen", "dull")]
    found = pd.DataFrame(
        [("seen", 0.5, 2.0, "run", 0.9), ("seen", 1.0, 3.0, "run", 0.5)],
        columns=["video_id", "start", "end", "label", "score"],
    )
    videos = pd.DataFrame(
        [("seen", paths[0], 4.0, None), ("dull", paths[1], 4.0, None), ("bad", "x", 0.0, "torn")],
        columns=["video_id", "path", "duration", "problem"],
    )
    return found, videos


def test_every_format_of_the_configuration_has_a_writer() -> None:
    assert set(get_args(Format)) == {*OURS, *WRITERS}
    with pytest.raises(ValidationError):
        PredictConfig(formats=("words",))  # type: ignore[arg-type]


def test_the_files_of_every_tool_lie_in_a_folder_of_its_own(
    results: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    texts = tool_files(*results, [*OURS, *WRITERS], PLAYER)
    assert set(texts) == {
        "boris/predictions.boris", "elan/seen.eaf", "elan/dull.eaf", "srt/seen.srt",
        "srt/dull.srt", "vtt/seen.vtt", "vtt/dull.vtt", "label_studio/tasks.json",
        "label_studio/labelling.xml", "audacity/seen.txt", "audacity/dull.txt",
        "frames/seen_labels.csv", "frames/dull_labels.csv", "fiftyone/labels.json",
    }  # fmt: skip
    TextFolder(filepath=str(tmp_path / "files")).save(texts)
    assert TextFolder(filepath=str(tmp_path / "files")).load() == texts
    found = read_annotations(read_annotation_files([tmp_path / "files" / "boris"]))
    assert found.stated["fps"].tolist() == [10.0, 10.0]
    assert found.instances.to_numpy().tolist() == [
        ["seen", "run", 0.5, 2.0],
        ["seen", "run", 1.0, 3.0],
    ]


def test_only_what_is_asked_for_is_written() -> None:
    usual = create_pipeline(from_folder=False).all_outputs()
    assert {"predictions_csv", "predictions_json"} <= usual
    assert "prediction_files" not in usual
    other = create_pipeline(False, ["csv", "elan"]).all_outputs()
    assert {"predictions_csv", "prediction_files"} <= other
    assert "predictions_json" not in other
