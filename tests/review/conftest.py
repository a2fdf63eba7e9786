"""Predictions made by hand, of videos made on the spot, and a server that shows them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from dataset_files import write_video

from tad_blockdrop.review.journal import open_journal
from tad_blockdrop.review.loading import copies_folder, load_predictions
from tad_blockdrop.review.predictions import KnownTruth, Model
from tad_blockdrop.review.server import Review, Serving, open_server

CLASSES = ["swim", "jump", "run"]
MODEL: Model = {
    "title": "toys · step_01 · 2 blocks",
    "weights": "f" * 64,
    "classes": CLASSES,
    "thresholds": {"swim": 0.2, "jump": 0.3, "run": 0.2},
}
VERSION = "2026-01-01T00.00.00.000Z"


def table_of_videos(**columns) -> pd.DataFrame:
    """A table of videos with what most of them share."""
    shared = {
        "path": "/none.mp4", "duration": 6.0, "start": 0.0, "fps": 10.0, "speed": 2.0,
        "strongest": 0.9, "plays": True, "problem": None,
    }  # fmt: skip
    return pd.DataFrame(shared | columns).astype({"problem": object})


def detections(*rows) -> pd.DataFrame:
    """Rows of video_id, start, end, label, score."""
    table = pd.DataFrame(rows, columns=["video_id", "start", "end", "label", "score"])
    return table.astype({"start": float, "end": float, "score": float})


@dataclass(frozen=True)
class Reviewed:
    """A project whose experiment ``mine`` has predictions of two videos."""

    folder: Path
    videos: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def journal(self) -> Path:
        return self.data / "01_raw" / "mine" / "corrections.jsonl"

    def write(self, name: str, write: Callable[[Path], object], version: str = VERSION) -> None:
        """Write a file of the predictions, as the catalog would."""
        file = self.data / "07_model_output" / "mine" / name / version / name
        file.parent.mkdir(parents=True)
        write(file)


FOUND = detections(
    ("good", 1.0, 2.5, "run", 0.9),
    ("good", 3.0, 4.0, "jump", 0.35),
    ("other", 2.0, 3.0, "swim", 0.8),
)
TRUTH: dict[str, KnownTruth] = {"good": {"video": "v_good", "actions": [["swim", 4.5, 5.5]]}}


@pytest.fixture
def reviewed(tmp_path: Path) -> Reviewed:
    """Predictions of ``good``, which is annotated as ``v_good``, and of ``other``."""
    made = Reviewed(tmp_path / "project", tmp_path / "videos")
    videos = {name: write_video(made.videos / f"{name}.mp4", 6.0) for name in ("good", "other")}
    table = table_of_videos(video_id=list(videos), path=[str(path) for path in videos.values()])
    made.write("predictions.parquet", FOUND.to_parquet)
    made.write("predicted_videos.parquet", table.to_parquet)
    made.write("predicted_with.json", lambda file: file.write_text(json.dumps(MODEL)))
    made.write("predicted_truth.json", lambda file: file.write_text(json.dumps(TRUTH)))
    return made


@contextmanager
def running(serving: Serving) -> Iterator[str]:
    """Its address, at which it answers."""
    thread = threading.Thread(target=serving.run)
    thread.start()
    yield serving.address
    serving.stop()
    thread.join()


@pytest.fixture
def server(reviewed: Reviewed) -> Iterator[Serving]:
    """The review of ``reviewed`` by ann, served."""
    predictions, version = load_predictions(reviewed.data, "mine")
    with open_journal(reviewed.journal, "ann", MODEL["weights"], version) as journal:
        copies = copies_folder(reviewed.data, "mine")
        serving = open_server(Review(predictions, version, copies, journal))
        with running(serving):
            yield serving
