"""Tables, weights and pages as people have them, each with its right value.

``rows(folder)`` makes every input in ``folder`` and gives a row for each: what was tried, what is
true, what this program said, and whether that is right.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

from tad_blockdrop.config import VideoMAEConfig
from tad_blockdrop.datasets.tables import CSVTable
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.page import file_pages
from tad_blockdrop.review.predictions import Model, Predictions
from tad_blockdrop.video.annotations import read_annotation_file, read_annotations

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from annotation_files import MEANT, REFUSED

CONFIG = VideoMAEConfig(
    width=24, depth=2, heads=2, patch=8, mlp_ratio=2, clip_frames=4, pretrain_size=16
)
FOREIGN = (
    "blocks.0.ls1.gamma", "blocks.0.gamma_1", "blocks.0.attn.q_norm.weight", "cls_token",
    "blocks.1.temporal_attn.qkv.weight", "blocks.1.adapter.down.weight",
)  # fmt: skip
PREFIXES = ("model.", "module.", "_orig_mod.", "base_model.model.", "student.module.backbone.")
HOSTILE = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "plain")

Row = tuple[str, str, str, bool]  # what was tried, what is true, what was said, whether right


def rows(folder: Path) -> Iterator[Row]:
    """All rows of this file."""
    yield from _annotations(folder)
    yield from _weights(folder)
    yield _saved_table(folder)
    yield _many_videos()


def _annotations(folder: Path) -> Iterator[Row]:
    file = folder / "annotations"
    for kind, (content, meant, _) in MEANT.items():
        file.write_bytes(content)
        found = read_annotations(read_annotation_file(file)).instances
        said = [(v, name, round(s, 6), round(e, 6)) for v, name, s, e in found.to_numpy()]
        yield f"annotations: {kind}", str(meant), str(said), said == meant
    for kind, (content, message) in REFUSED.items():
        file.write_bytes(content)
        try:
            said = str(read_annotations(read_annotation_file(file)).instances.to_numpy().tolist())
        except BlockDropError as error:
            said = str(error)
        yield f"annotations: {kind}", f"refused: {message}", said, message in said


def _weights(folder: Path) -> Iterator[Row]:
    torch.manual_seed(0)
    ours = VideoMAE(CONFIG, 16, (0, 1))
    plain = dict(ours.state_dict())
    for prefix in PREFIXES:
        said, right = _load({prefix + n: t for n, t in plain.items()}, plain, folder)
        yield f"weights under {prefix}", "the same weights", said, right
    both = {f"student.{n}": t + 1 for n, t in plain.items()}
    both |= {f"teacher.{n}": t for n, t in plain.items()}
    said, right = _load(both, plain, folder)
    yield "student and teacher", "the teacher's, and told", said, right and "'teacher.'" in said
    for extra in FOREIGN:
        said, loaded = _load({**plain, extra: torch.ones(24)}, plain, folder)
        yield f"weights with {extra}", "refused by name", said, extra in said and not loaded


def _load(content: dict[str, Tensor], truth: dict[str, Tensor], folder: Path) -> tuple[str, bool]:
    """What was said, and whether the network has the true weights now."""
    save_file({name: tensor.contiguous() for name, tensor in content.items()}, folder / "weights")
    backbone = VideoMAE(CONFIG, 16, (0, 1))
    try:
        said = backbone.load_weights(folder / "weights")
    except BlockDropError as error:
        return str(error), False
    return said, all(torch.equal(t, truth[n]) for n, t in backbone.state_dict().items())


def _saved_table(folder: Path) -> Row:
    table = pd.DataFrame({"video_id": HOSTILE, "start": 0.5})
    entry = CSVTable(filepath=str(folder / "table.csv"), save_args={"index": False})
    entry.save(table)
    cells = pd.read_csv(folder / "table.csv")["video_id"].tolist()
    right = not any(cell.startswith(tuple("=+-@\t")) for cell in cells)
    return (
        "saved names that begin with = + - @ or a tab", "no formula, and read back as they were",
        str(cells), right and entry.load()["video_id"].tolist() == list(HOSTILE),
    )  # fmt: skip


def _many_videos() -> Row:
    ids = [f"v{number}" for number in range(1000)]
    videos = pd.DataFrame(
        {
            "video_id": ids, "path": "/videos", "duration": 60.0, "start": 0.0, "fps": 25.0,
            "speed": 1.0, "strongest": 0.9, "plays": True, "problem": None,
        }
    )  # fmt: skip
    found = [(video, second, second + 3.0, "run", 0.5) for video in ids for second in range(12)]
    detections = pd.DataFrame(found, columns=["video_id", "start", "end", "label", "score"])
    model: Model = {"title": "", "weights": "", "classes": ["run"], "thresholds": {"run": 0.2}}
    shown = Predictions(detections, videos, model, {})
    pages = file_pages(shown, Path("none")).values()
    largest = max(map(len, pages)) / 1000
    said = f"{len(pages)} pages, the largest of {largest:.0f} kB"
    return "predictions in 1,000 videos", "pages below 1 MB", said, largest < 1000
