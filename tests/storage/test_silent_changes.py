"""Whatever is read again is as it was written, or refused: bits flipped and bytes edited at random.

Reading may give the same as before (a flip in white space, or in a name that nobody reads), or say
that nothing usable is there, after which the work is done anew. It never gives anything else.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.io import Version
from plotly import graph_objects

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.datasets.checkpoint import CheckpointDataset
from tad_blockdrop.datasets.dataset_tables import DatasetTables
from tad_blockdrop.datasets.export import ExportDataset
from tad_blockdrop.datasets.tables import (
    CSVTable,
    JSONFile,
    ParquetTable,
    PlotlyFigure,
    TextFile,
    VideoTable,
)
from tad_blockdrop.datasets.videos import VideoFolderDataset, VideoTask, VideoTasks
from tad_blockdrop.datasets.weights import WeightsDataset
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.detector.weights.public import PublicWeights
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.storage.experiment_lock import HOLDER, LOCK
from tad_blockdrop.storage.experiment_record import refuse_mixing
from tad_blockdrop.storage.resumable import read_state, write_state
from tad_blockdrop.storage.stamps import check_videos, write_stamp
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.files.clock import PLAYER
from tad_blockdrop.video.files.probing import FACTS, _Memory
from tad_blockdrop.video.windows.features import _intact, _write

TRIES = 200
VERSION = Version(None, "2026-01-01T00.00.00.000Z")
DETECTIONS = pd.DataFrame(
    {
        "video_id": ["a", "a", "b"],
        "start": [0.5, 3.25, 1.0],
        "end": [1.5, 4.0, 2.125],
        "label": ["run", "jump", "run"],
        "score": [0.9, 0.5, 0.125],
    }
)
VIDEOS = pd.DataFrame(
    {
        "video_id": ["a", "b"],
        "split": ["train", "test"],
        "path": ["/videos/a.mp4", "/videos/b.mp4"],
        "n_samples": [40, 50],
        "rate": [5.0, 5.0],
        "duration": [8.0, 10.0],
    }
)
DATASET = ActionDataset(
    VIDEOS, DETECTIONS.drop(columns="score").assign(category="move"), ("run", "jump")
)
CHECKPOINT = Checkpoint(
    weights={"a": torch.arange(6.0).view(3, 2), "b": torch.arange(4)},
    detector=DetectorConfig(),
    kept_blocks=(0, 2, 3),
    classes=("run", "jump"),
    window=WindowConfig(),
    every=4,
    fps=None,
    postprocess=PostprocessConfig(),
    lineage={"family": "progressive", "step": 1},
    metrics={"gmacs": 1.5},
)


def entry(kind: type, name: str, data: Any, **options: Any) -> "Artefact":
    """A catalog entry that loads what it has saved."""
    versioned = {} if kind is DatasetTables else {"version": VERSION}

    def make(folder: Path) -> None:
        kind(filepath=str(folder / name), **versioned, **options).save(data)

    def read(folder: Path) -> object:
        return plain(kind(filepath=str(folder / name), **versioned, **options).load())

    return Artefact(make, read)


def plain(data: Any) -> object:  # noqa: PLR0911
    """What was loaded, as values that can be compared."""
    if isinstance(data, pd.DataFrame):
        return data.to_dict("list"), list(map(str, data.dtypes))
    if isinstance(data, Checkpoint):
        return weights_hash(data.weights), replace(data, weights={})
    if isinstance(data, ActionDataset):
        return plain(data.videos), plain(data.instances), data.classes
    if isinstance(data, ExportedModel):
        return data.onnx, data.archive, data.sidecar
    if isinstance(data, PublicWeights):
        return plain(data.transformers), data.config, plain(data.opentad)
    if isinstance(data, graph_objects.Figure):
        return data.to_json()
    if isinstance(data, dict) and any(isinstance(value, torch.Tensor) for value in data.values()):
        return weights_hash(data)
    return data


@dataclass(frozen=True)
class Artefact:
    """How something is written into a folder, and read from it again."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]


def write_text(path: Path) -> dict[str, int]:
    path.write_text("frames of a video")
    return {"n_samples": 3}


def stamped_video(folder: Path) -> None:
    video = folder / "a.mp4"
    video.write_bytes(bytes(range(200)))
    os.utime(video, ns=(10**18, 10**18))
    write_stamp(video, "its source", {"n_samples": 3})


def read_videos(folder: Path) -> bytes:
    check_videos([folder / "a.mp4"])
    return (folder / "a.mp4").read_bytes()


def write_scratch(folder: Path) -> None:
    facts = {"epochs": 3, "history": [{"loss": 0.5}], "best_metric": None}
    write_state(folder / "state", "mark", {"w": torch.arange(5.0)}, facts)


def read_scratch(folder: Path) -> object:
    state = read_state(folder / "state", "mark", "training")
    return state and ({k: v.tolist() for k, v in state[0].items()}, state[1])


def write_features(folder: Path) -> None:
    _write(folder, {"a": [torch.arange(6.0)]})


def read_features(folder: Path) -> bytes | None:
    file = folder / "a.safetensors"
    return file.read_bytes() if _intact(file) else None


def write_probed(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"a video")
    os.utime(folder / "film.mp4", ns=(10**18, 10**18))
    for value in (1, 2):  # the later line counts
        _Memory(folder).keep((folder / "film.mp4", PLAYER), dict.fromkeys(FACTS, value))


def read_probed(folder: Path) -> object:
    found = _Memory(folder).recall((folder / "film.mp4", PLAYER))
    return found if found != dict.fromkeys(FACTS, 1) else None


def write_manifest(folder: Path) -> None:
    tasks = {"a": VideoTask("x", write_text), "b": VideoTask("y", write_text)}
    VideoFolderDataset(filepath=str(folder)).save(VideoTasks(tasks, workers=1))
    for file in folder.glob("?.*"):
        file.unlink()


def read_manifest(folder: Path) -> object:
    found = VideoFolderDataset(filepath=str(folder)).load()
    return found.failed, found.made_from


PARAMETERS = {"data": {"holdout": 0.1}, "baseline": {"epochs": 3}, "compress": {"n_drops": 2}}


def begin(folder: Path) -> None:
    refuse_mixing(folder / "experiment.json", "mine", PARAMETERS, STAGES, STAGES)


def continue_(folder: Path) -> object:
    begin(folder)
    return json.loads((folder / "experiment.json").read_text())["parameters"]


STAGES = {"data", "baseline", "compress"}
TENSORS = {"a": torch.arange(6.0), "b": torch.arange(3)}
EXPORT = ExportedModel(
    bytes(range(50)), bytes(range(99, 199)), {"classes": ["run"], "files": {"onnx": "model.onnx"}}
)
ARTEFACTS = {
    "detections": entry(ParquetTable, "detections.parquet", DETECTIONS),
    "videos": entry(VideoTable, "videos.parquet", VIDEOS),
    "result_table": entry(CSVTable, "result_table.csv", DETECTIONS, save_args={"index": False}),
    "node_seconds": entry(JSONFile, "node_seconds.json", {"a": 1.25, "b": 3.0}),
    "training_plot": entry(PlotlyFigure, "plot.json", graph_objects.Figure({"data": [{"y": [1]}]})),
    "html_report": entry(TextFile, "report.html", "<p>A report.</p>"),
    "dataset": entry(DatasetTables, "dataset", DATASET),
    "checkpoint": entry(CheckpointDataset, "checkpoint", CHECKPOINT),
    "export": entry(ExportDataset, "export", EXPORT),
    "public_weights": entry(WeightsDataset, "weights", PublicWeights(TENSORS, {"a": 1}, TENSORS)),
    "frames": Artefact(stamped_video, read_videos),
    "manifest": Artefact(write_manifest, read_manifest),
    "scratch state": Artefact(write_scratch, read_scratch),
    "features": Artefact(write_features, read_features),
    "probed facts": Artefact(write_probed, read_probed),
    "experiment.json": Artefact(begin, continue_),
}
STARTS_ANEW = {"scratch state", "features", "probed facts"}  # a log line, and the work is repeated
# A source, of which what it holds is read, and what nothing is read from.
OURS = {"film.mp4", LOCK, HOLDER}


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in OURS)


def flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def edited(content: bytes, chance: random.Random) -> bytes:
    """Bytes removed, put in twice, replaced by others; or a digit by another."""
    start = chance.randrange(len(content))
    end = start + chance.randrange(1, 9)
    digits = [i for i, byte in enumerate(content) if 48 <= byte <= 57]
    kind = chance.randrange(4 if digits else 3)
    if kind == 3:
        place = chance.choice(digits)
        other = str((content[place] - 48 + chance.randrange(1, 10)) % 10).encode()
        return content[:place] + other + content[place + 1 :]
    middle = (b"", content[start:end] * 2, chance.randbytes(end - start))[kind]
    return content[:start] + middle + content[end:]


def changes(folder: Path) -> Iterator[str]:
    """Change a random file of ``folder`` in ``TRIES`` ways, one after the other."""
    chance = random.Random(24)
    whole = {file: (file.read_bytes(), file.stat()) for file in files(folder)}
    for number in range(TRIES):
        file = chance.choice(list(whole))
        content, _ = whole[file]
        changed = (flipped, edited)[number % 2](content, chance)
        if changed == content:
            continue
        file.write_bytes(changed)
        yield f"{number}: {file.name}"
        for each, (before, _) in whole.items():  # reading may write, too
            each.write_bytes(before)
            os.utime(each, ns=(whole[each][1].st_atime_ns, whole[each][1].st_mtime_ns))
        for stray in set(files(folder)) - set(whole):
            stray.unlink()


@pytest.mark.parametrize("name", ARTEFACTS)
def test_no_change_is_silent(tmp_path: Path, name: str) -> None:
    artefact = ARTEFACTS[name]
    artefact.make(tmp_path)
    expected = artefact.read(tmp_path)
    assert expected is not None
    refused = 0
    for what in changes(tmp_path):
        try:
            found = artefact.read(tmp_path)
        except Exception as error:
            if not isinstance(error, BlockDropError) and not isinstance(
                error.__cause__, BlockDropError
            ):
                raise
            refused += 1
            continue
        if found is None and name in STARTS_ANEW:
            refused += 1
            continue
        assert found == expected, what
    assert refused > TRIES / 4
