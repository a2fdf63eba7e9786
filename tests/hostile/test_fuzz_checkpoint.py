"""Checkpoints and weights files: read whole and right, or refused in words."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hostile_values import HALF, spoilt, torn
from hypothesis import example, given

from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
from tad_blockdrop.detector.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    weights_hash,
    write_checkpoint,
)
from tad_blockdrop.detector.decisions import DECISIONS_FILE, Decisions
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.reading import read_weights
from tad_blockdrop.pipelines.lineage import model_name
from tad_blockdrop.prediction.predictor import make_predictor

WINDOW = WindowConfig(frames=16, grid=8, crop=16, short_side=16)
DETECTOR = DetectorConfig.model_validate(
    {
        "backbone": {"width": 8, "depth": 3, "heads": 2, "patch": 8, "clip_frames": 8,
                     "pretrain_size": 16},
        "pyramid": {"width": 8, "heads": 2, "stem_blocks": 0, "embed_layers": 1, "levels": 2},
        "head": {"tower_layers": 1, "ranges": [(0, 4), (4, 100)]},
    }
)  # fmt: skip

DECISIONS = Decisions.model_validate(
    {
        "split": "holdout", "videos": 2, "actions": 9, "tiou": 0.5,
        "points": [{"purpose": "f1", "asked": None, "thresholds": {"run": 0.3, "jump": 0.4}}],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint that can be used."""
    folder = tmp_path_factory.mktemp("good") / "checkpoint"
    model = Detector(DETECTOR, 2, WINDOW, (0, 2))
    checkpoint = Checkpoint(
        weights_of(model), DETECTOR, (0, 2), ("run", "jump"), WINDOW, 1, None, PostprocessConfig(),
        lineage={"family": "progressive", "step": 1, "dropped_block": 1, "skipped": None,
                 "dataset": "d"},
        metrics={"gmacs": 1.0, "operating_point": {"run": 0.3}},
        decisions=DECISIONS,
    )  # fmt: skip
    write_checkpoint(checkpoint, folder)
    use(folder)
    return folder


def use(folder: Path) -> None:
    """From the files to a model that could predict."""
    checkpoint = read_checkpoint(folder)
    make_predictor(checkpoint)
    model_name(checkpoint)


def use_spoilt(good: Path, name: str, content: bytes) -> None:
    folder = good.with_name("spoilt")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    (folder / name).write_bytes(content)
    try:
        use(folder)
    except CheckpointError as error:
        str(error).encode()
        return
    if name == WEIGHTS_FILE:  # bytes that mean the same
        expected, found = read_checkpoint(good).weights, read_checkpoint(folder).weights
        assert weights_hash(expected) == weights_hash(found)


def test_metadata(good: Path) -> None:
    metadata = json.loads((good / CONFIG_FILE).read_text(encoding="utf-8"))

    @given(spoilt(metadata))
    @example(metadata | {HALF: 1})
    @example(metadata | {"format_version": HALF})
    @example(metadata | {"classes": [HALF, "jump"]})
    @example(metadata | {"lineage": metadata["lineage"] | {"dataset": HALF}})
    @example(metadata | {"metrics": {"operating_point": {HALF: "high"}}})
    def check(changed: object) -> None:
        use_spoilt(good, CONFIG_FILE, json.dumps(changed).encode())

    check()


def test_decisions(good: Path) -> None:
    stated = json.loads((good / DECISIONS_FILE).read_text(encoding="utf-8"))

    @given(spoilt(stated))
    @example(stated | {HALF: 1})
    @example(stated | {"points": [stated["points"][0] | {"thresholds": {HALF: 0.1}}]})
    def check(changed: object) -> None:
        use_spoilt(good, DECISIONS_FILE, json.dumps(changed).encode())

    check()


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE, DECISIONS_FILE])
def test_bytes(good: Path, name: str) -> None:
    @given(torn((good / name).read_bytes()))
    def check(content: bytes) -> None:
        use_spoilt(good, name, content)

    check()


def test_weights_files_of_others(tmp_path: Path, good: Path) -> None:
    tensors = {"blocks.0.attn.qkv.weight": torch.randn(6, 2), "head.bias": torch.ones(3)}
    pickled = tmp_path / "weights.pth"
    torch.save(tensors, pickled)

    def check(content: bytes) -> None:
        (tmp_path / "changed").write_bytes(content)
        try:
            assert read_weights(tmp_path / "changed")
        except FormatError as error:
            str(error).encode()

    given(torn(pickled.read_bytes()))(check)()
    given(torn((good / WEIGHTS_FILE).read_bytes()))(check)()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("detector", "backbone", "depth"), 10**9),
        (("detector", "backbone", "width"), 16_384),
        (("detector", "pyramid", "width"), 16_384),
        (("window", "grid"), 10**8),
        (("kept_blocks",), list(range(900))),
        (("classes",), ["c"] * 100_000),
    ],
)
def test_sizes_that_are_only_claimed_take_no_memory(
    good: Path, where: tuple[str, ...], value: object
) -> None:
    """Filling the claim would take gigabytes, or minutes."""
    resource = pytest.importorskip("resource")
    metadata = json.loads((good / CONFIG_FILE).read_text(encoding="utf-8"))
    place = metadata
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    use_spoilt(good, CONFIG_FILE, json.dumps(metadata).encode())
    with pytest.raises(CheckpointError):
        use(good.with_name("spoilt"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
