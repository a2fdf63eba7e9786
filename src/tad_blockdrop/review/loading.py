"""The newest predictions of an experiment, as the predict pipeline has written them."""

import json
from pathlib import Path

from tad_blockdrop.checksums import verify
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.predictions import Predictions, Reviewed
from tad_blockdrop.storage.environments import run_command
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.storage.project_paths import usable_paths

OUTPUT = "07_model_output"
TABLES = ("predictions.parquet", "predicted_videos.parquet")
FACTS = ("predicted_with.json", "predicted_truth.json")


class NoPredictionsError(BlockDropError):
    """There is nothing to review."""


def copies_folder(data: Path, experiment: str) -> Path:
    """Where the small copies of videos are that browsers do not play."""
    return data / OUTPUT / experiment / "playable_videos"


def load_predictions(data: Path, experiment: str) -> tuple[Predictions, str]:
    """The newest predictions of which all parts are there, and their version.

    Raises NoPredictionsError if there are none, DamagedError if a file is not what was written.
    """
    known = sorted(path.parent.name for path in (data / OUTPUT).glob(f"*/{FACTS[0]}"))
    if experiment not in known:
        raise NoPredictionsError(
            f"there is no experiment '{experiment}' with predictions to review (found: "
            f"{', '.join(known) or 'none'}): make some with {_making(data, experiment)}"
        )
    folder = data / OUTPUT / experiment
    versions = sorted(path.parent.name for path in folder.glob(f"{FACTS[-1]}/*/{FACTS[-1]}"))
    whole = [
        v for v in versions if all(_file(folder, name, v).is_file() for name in TABLES + FACTS)
    ]
    if not whole:
        raise NoPredictionsError(
            f"the last predictions of '{experiment}' were cut short: make them again with "
            f"{_making(data, experiment)}"
        )
    files = [_file(folder, name, whole[-1]) for name in TABLES + FACTS]
    for file in files:
        verify(file)
    detections, videos, model, truth = files
    return Predictions(
        read_parquet(detections),
        usable_paths(read_parquet(videos), videos),
        json.loads(model.read_text(encoding="utf-8")),
        json.loads(truth.read_text(encoding="utf-8")),
    ), whole[-1]


def load_reviewed(data: Path, experiment: str) -> Reviewed:
    """The same predictions, with the files of all versions. Raises the same errors."""
    predictions, _ = load_predictions(data, experiment)
    files: dict[str, dict[str, str]] = {}
    for file in sorted((data / OUTPUT / experiment / TABLES[1]).glob(f"*/{TABLES[1]}")):
        verify(file)
        table = usable_paths(read_parquet(file), file)
        files[file.parent.name] = dict(zip(table["video_id"], table["path"], strict=True))
    return Reviewed(predictions, files)


def _making(data: Path, experiment: str) -> str:
    return run_command(data.parent, experiment, "predict", "predict.videos=<folder>")


def _file(folder: Path, name: str, version: str) -> Path:
    return folder / name / version / name
