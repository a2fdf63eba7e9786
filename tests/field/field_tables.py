"""Rows about annotation files, weights, saved tables and pages."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from annotation_files import MEANT, REFUSED
from field_rows import Row
from safetensors.torch import save_file
from tool_files import TOOLS
from torch import Tensor

from tad_blockdrop.config import VideoMAEConfig
from tad_blockdrop.datasets.tables import CSVTable
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.review.page import file_pages
from tad_blockdrop.review.predictions import Model, Predictions
from tad_blockdrop.video.annotations import read_annotation_file, read_annotations

CONFIG = VideoMAEConfig(
    width=24, depth=2, heads=2, patch=8, mlp_ratio=2, clip_frames=4, pretrain_size=16
)
FOREIGN = (
    "blocks.0.ls1.gamma", "blocks.0.gamma_1", "blocks.0.attn.q_norm.weight", "cls_token",
    "blocks.1.temporal_attn.qkv.weight", "blocks.1.adapter.down.weight",
)  # fmt: skip
PREFIXES = ("model.", "module.", "_orig_mod.", "base_model.model.", "student.module.backbone.")
HOSTILE = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "plain")


def _read(file: Path) -> list[tuple[str, str, float, float]]:
    found = read_annotations(read_annotation_file(file)).instances
    return [(v, name, round(s, 6), round(e, 6)) for v, name, s, e in found.to_numpy()]


def _meant(kind: str, folder: Path) -> Row:
    content, meant, _ = MEANT[kind]
    (folder / "annotations").write_bytes(content)
    said = _read(folder / "annotations")
    return Row(kind, str(meant), str(said), said == meant)


def _tool(name: str, folder: Path) -> Row:
    """A file in the shape of a tool; of videos whose rate it does not state, times are frames."""
    text, tool, meant, _ = TOOLS[name]
    (folder / name).write_text(text, encoding="utf-8")
    said = _read(folder / name)
    exact = [(video, label, float(start), float(end)) for video, label, start, end in meant]
    return Row(f"{tool}: `{name}`", str(exact), str(said), said == exact)


def _refused(kind: str, folder: Path) -> Row:
    content, message = REFUSED[kind]
    (folder / "annotations").write_bytes(content)
    try:
        said = str(_read(folder / "annotations"))
    except BlockDropError as error:
        said = str(error).replace(f"{folder}/", "")
    return Row(kind, f"refused: {message}", said, message in said)


def _under_prefix(prefix: str, folder: Path) -> Row:
    """The network's own tensors, all under one prefix."""
    plain = _network().state_dict()
    said, right = _load({prefix + n: t for n, t in plain.items()}, plain, folder)
    return Row(f"names under `{prefix}`", "the same weights", said, right)


def student_and_teacher(folder: Path) -> Row:
    """Raw weights beside their average."""
    plain = _network().state_dict()
    both = {f"student.{n}": t + 1 for n, t in plain.items()}
    both |= {f"teacher.{n}": t for n, t in plain.items()}
    said, right = _load(both, plain, folder)
    return Row("student and teacher", "the teacher's", said, right and "'teacher.'" in said)


def _foreign(extra: str, folder: Path) -> Row:
    """A tensor without which the network computes something else."""
    plain = _network().state_dict()
    said, loaded = _load({**plain, extra: torch.ones(24)}, plain, folder)
    return Row(f"with `{extra}`", "refused by name", said, extra in said and not loaded)


def whole_numbers(folder: Path) -> Row:
    """A tensor of 8 bits whose scale is lost."""
    plain, name = _network().state_dict(), "blocks.0.mlp.fc1.weight"
    said, loaded = _load({**plain, name: (100 * plain[name]).to(torch.int8)}, plain, folder)
    right = f"{name}: is stored as int8" in said and not loaded
    return Row("int8 without a scale", "refused by name", said, right)


def two_versions(folder: Path) -> Row:
    """In the folder of a model."""
    plain = _network().state_dict()
    save_file({n: t + 1 for n, t in plain.items()}, folder / "model_old.safetensors")
    said, right = _load(plain, plain, folder, "model.safetensors")
    return Row("`model` and `model_old` in a folder", "those of `model`", said, right)


def other_heads(folder: Path) -> Row:
    """Which no tensor shows, but the model's own `config.json`."""
    plain = _network().state_dict()
    (folder / "config.json").write_text('{"model_type": "videomae", "num_attention_heads": 4}')
    said, loaded = _load(plain, plain, folder, "model.safetensors")
    return Row(
        "`config.json` says 4 heads, not 2", "refused", said, "heads: 4" in said and not loaded
    )


def _network() -> VideoMAE:
    torch.manual_seed(0)
    return VideoMAE(CONFIG, 16, (0, 1))


def _load(
    content: dict[str, Tensor], truth: dict[str, Tensor], folder: Path, name: str = "weights"
) -> tuple[str, bool]:
    """What was said, and whether the network has the true weights now.

    ``name``: of the file; if it is not ``weights``, its folder is loaded.
    """
    path = folder / name
    save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
    backbone = VideoMAE(CONFIG, 16, (0, 1))
    try:
        said = backbone.load_weights(path if name == "weights" else folder)
    except BlockDropError as error:
        return str(error).replace(f"{folder}/", "").replace(str(folder), "it"), False
    right = all(torch.equal(t, truth[n]) for n, t in backbone.state_dict().items())
    return said.replace(f"{folder}/", ""), right


def names_like_formulas(folder: Path) -> Row:
    """Names that a spreadsheet would calculate."""
    table = pd.DataFrame({"video_id": HOSTILE, "start": 0.5})
    entry = CSVTable(filepath=str(folder / "table.csv"), save_args={"index": False})
    entry.save(table)
    cells = pd.read_csv(folder / "table.csv")["video_id"].tolist()
    right = not any(cell.startswith(tuple("=+-@\t")) for cell in cells)
    right &= entry.load()["video_id"].tolist() == list(HOSTILE)
    return Row("names that begin with = + - @ or a tab", "no formula, and read back as they were",
               str(cells), right)  # fmt: skip


def many_videos(folder: Path) -> Row:
    """A page that a browser can open."""
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
    largest = max(map(len, pages)) / 1e6
    said = f"{len(pages)} pages, the largest of {largest:.1f} MB"
    return Row("predictions in 1,000 videos", "pages below 1 MB", said, largest < 1)


Kinds = list[Callable[[Path], Row]]
ANNOTATIONS: Kinds = [
    *(partial(_meant, kind) for kind in MEANT), *(partial(_refused, kind) for kind in REFUSED)
]  # fmt: skip
TOOL_FILES: Kinds = [partial(_tool, name) for name in TOOLS]
WEIGHTS: Kinds = [
    *(partial(_under_prefix, prefix) for prefix in PREFIXES),
    student_and_teacher,
    *(partial(_foreign, extra) for extra in FOREIGN),
    whole_numbers,
    two_versions,
    other_heads,
]
RESULTS: Kinds = [names_like_formulas, many_videos]
