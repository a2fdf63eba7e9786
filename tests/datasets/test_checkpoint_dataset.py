"""Checkpoints on disk: whole, versioned, readable, verified."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from kedro.io import DatasetError, Version

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.datasets.checkpoint import CheckpointDataset
from tad_blockdrop.detector.checkpoint import (
    Checkpoint,
    CheckpointError,
    in_nfc,
    read_checkpoint,
    require_classes,
    respelled,
    write_checkpoint,
)
from tad_blockdrop.detector.decisions import Decisions, Point


@pytest.fixture
def checkpoint() -> Checkpoint:
    return Checkpoint(
        weights={"a": torch.randn(3, 2), "b": torch.arange(4)},
        detector=DetectorConfig(),
        kept_blocks=(0, 2, 3),
        classes=("run", "jump"),
        window=WindowConfig(),
        every=4,
        fps=None,
        postprocess=PostprocessConfig(),
        lineage={"step": 1, "parent": "abc"},
        metrics={"gmacs": 1.5},
    )


def dataset(folder: Path, version: str | None) -> CheckpointDataset:
    return CheckpointDataset(filepath=str(folder / "ckpt"), version=Version(None, version))


def test_round_trip(tmp_path: Path, checkpoint: Checkpoint) -> None:
    dataset(tmp_path, "v1").save(checkpoint)
    found = dataset(tmp_path, None).load()
    assert all(torch.equal(found.weights[k], v) for k, v in checkpoint.weights.items())
    assert replace(found, weights={}) == replace(checkpoint, weights={})


def test_each_version_is_kept_and_the_latest_loads(tmp_path: Path, checkpoint: Checkpoint) -> None:
    dataset(tmp_path, "v1").save(checkpoint)
    dataset(tmp_path, "v2").save(replace(checkpoint, kept_blocks=(0,)))
    assert dataset(tmp_path, None).load().kept_blocks == (0,)
    assert dataset(tmp_path, None).list_versions(full_path=False) == ["v2", "v1"]


def test_metadata_reads_as_plain_json(tmp_path: Path, checkpoint: Checkpoint) -> None:
    entry = dataset(tmp_path, "v1")
    entry.save(checkpoint)
    shown = json.loads(entry.preview())
    assert shown["kept_blocks"] == [0, 2, 3]
    assert shown["lineage"]["parent"] == "abc"


def test_a_save_that_cannot_finish_stays_invisible(tmp_path: Path, checkpoint: Checkpoint) -> None:
    entry = dataset(tmp_path, "v1")
    with pytest.raises(DatasetError):
        entry.save(replace(checkpoint, metrics={"loss": float("nan")}))
    assert not entry.exists()


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("weights.safetensors", lambda b: b[:-3] + bytes(3), "do not match the hash"),
        ("weights.safetensors", lambda b: b[: len(b) // 2], "no readable checkpoint"),
        ("config.json", lambda b: b[:40], "no readable checkpoint"),
        ("config.json", lambda b: b.replace(b'"format_version": 1', b'"format_version": 9'),
         "format 9"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, checkpoint, name, damage, says) -> None:
    """Also in a checkpoint from before there were checksums."""
    folder = tmp_path / "old"
    write_checkpoint(checkpoint, folder)
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match=says):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_sealed_checkpoint_is_read_as_written_or_not_at_all(
    tmp_path: Path, checkpoint: Checkpoint, name: str
) -> None:
    dataset(tmp_path, "v1").save(checkpoint)
    folder = tmp_path / "ckpt" / "v1" / "ckpt"
    other = dataset(tmp_path / "other", "v1")
    other.save(replace(checkpoint, weights={"a": torch.randn(3, 2)}, kept_blocks=(1,)))
    shutil.copy(tmp_path / "other" / "ckpt" / "v1" / "ckpt" / name, folder / name)
    with pytest.raises(CheckpointError, match=f"{name} is not what was written"):
        read_checkpoint(folder)


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read_checkpoint(tmp_path)


OLD, NEW = "cafe\u0301", "caf\u00e9"  # as macOS writes it, and as annotations are read


def test_classes_are_compared_in_one_unicode_form(checkpoint: Checkpoint) -> None:
    old = replace(checkpoint, classes=(OLD, "run"))
    require_classes(old, [NEW, "run"], "old")
    require_classes(in_nfc(old), [OLD, "run"], "new")
    with pytest.raises(CheckpointError, match="the same classes in another order"):
        require_classes(old, ["run", NEW], "old")
    two = replace(checkpoint, classes=(OLD, NEW))
    assert in_nfc(two) is two, "these were two classes"


def test_all_that_is_stated_of_a_class_gets_its_new_name(checkpoint: Checkpoint) -> None:
    point = Point(purpose="f1", asked=None, thresholds={OLD: 0.2}, common=[OLD], unmet={OLD: 0.1})
    decisions = Decisions(split="train", videos=1, actions=2, tiou=0.5, points=[point])
    old = replace(
        checkpoint, classes=(OLD, "run"), decisions=decisions, metrics={"operating_point": {OLD: 1}}
    )
    new = respelled(old, [NEW, "run"])
    assert new.classes == (NEW, "run")
    assert new.metrics == {"operating_point": {NEW: 1}}
    assert new.decisions is not None
    assert new.decisions.points[0].thresholds == {NEW: 0.2}
    assert (new.decisions.points[0].common, new.decisions.points[0].unmet) == ([NEW], {NEW: 0.1})
    assert respelled(new, [NEW, "run"]) is new
