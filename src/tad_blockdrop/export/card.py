"""The model card of an export: a README.md as Hugging Face's hub shows it."""

import html
import re
from collections.abc import Mapping
from typing import Any

import yaml

from tad_blockdrop.config.predict import BEST_F1
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import describe_blocks
from tad_blockdrop.export.recipe import how_to_run
from tad_blockdrop.export.sidecar import ARCHIVE_FILE, ONNX_FILE, SIDECAR_FILE
from tad_blockdrop.metrics.operating_point import thresholds
from tad_blockdrop.reporting.numbers import rate_words

CARD_FILE = "README.md"
UNSTATED = "not stated"

RUN_ONNX = (
    f"With numpy and onnxruntime alone, from `{ONNX_FILE}` and `{SIDECAR_FILE}`, by "
    "examples/run_onnx.py of tad_blockdrop, in this folder:"
)
RUN_ARCHIVE = (
    f"With PyTorch alone, from `{ARCHIVE_FILE}` (`torch.export.load`) and `{SIDECAR_FILE}`: the "
    "model is too large for an ONNX file."
)
RUN = """```python
from tad_blockdrop.prediction.predictor import load_predictor

print(load_predictor("final_checkpoint").detect("video.mp4"))
```"""


def model_card(checkpoint: Checkpoint, parity: Mapping[str, Any]) -> str:
    """The text of the card; ``parity``: how the export was checked (``check.Parity`` as a dict).

    All numbers are measured; those of detections are from the videos that the checkpoint's
    decisions name, never from test videos.
    """
    lineage = checkpoint.lineage
    name = _plain(lineage.get("dataset") or "videos")
    provenance = _plain(lineage.get("provenance") or UNSTATED)
    onnx = parity["onnx_logits"] is not None
    file, logits = ("ONNX", "onnx_logits") if onnx else ("torch.export", "archive_logits")
    metadata = _metadata(checkpoint) | {"library_name": "onnx" if onnx else "pytorch"}
    parts = [
        f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---",
        f"# Actions in {name}",
        f"Finds when {len(checkpoint.classes)} kinds of action happen in a video: start, end, "
        f"class and score. Made with tad_blockdrop; {describe_blocks(checkpoint.kept_blocks)}.",
        "## How to run it",
        *((RUN_ONNX, how_to_run(checkpoint)) if onnx else (RUN_ARCHIVE,)),
        "With the checkpoint that this was exported from:",
        RUN,
        "## Numbers",
        _numbers(checkpoint),
        f"The {file} file was checked against PyTorch on {parity['windows']} windows: logits "
        f"differ by at most {parity[logits]:.1e}, and {100 * parity['same']:.2f} % of "
        f"{parity['detections']} detections are the same to two decimals.",
        "## Classes",
        _classes(checkpoint),
        "## Training data and licence",
        f"Origin and licence of the training videos, as stated with them (`data.provenance`): "
        f"{provenance}.",
        "Whoever publishes the model states its licence, `license` above, as far as the training "
        "videos and the weights that training began with allow.",
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "license": "unknown",
        "pipeline_tag": "video-classification",
        "tags": ["temporal-action-detection", "tad-blockdrop"],
        "model_name": _one_line(checkpoint.lineage.get("dataset") or "videos"),
        "training_data": _one_line(checkpoint.lineage.get("provenance") or UNSTATED),
    }


def _numbers(checkpoint: Checkpoint) -> str:
    decisions = checkpoint.decisions
    expected = decisions.point(BEST_F1).expected if decisions else None
    if decisions is None or expected is None:
        return "What to expect of its detections was not measured."
    which = {
        "holdout": "held-out videos, with thresholds chosen on others of them",
        "train": "training videos, as none were held out: others will come out worse",
    }[decisions.split]
    detections, intervals = "detections", "95 % intervals"
    if expected.shown is not None:
        detections = f"{expected.shown} detections"
        intervals += ", those of draws of videos, or Wilson's where all draws give the same"
    said = (
        f"On {decisions.videos} {which} ({decisions.actions} actions), "
        f"{rate_words(*expected.precision)} of the {detections} shown were right, with a tIoU "
        f"of at least {decisions.tiou:g}, and "
        f"{rate_words(*expected.recall)} of the actions were found. In brackets: {intervals}."
    )
    average = checkpoint.metrics.get("holdout_average")
    return said if average is None else f"{said} The average mAP there was {average:.1f} %."


def _classes(checkpoint: Checkpoint) -> str:
    """A table: what is found of each class, of how many, and from which score on it is shown."""
    limits = thresholds(checkpoint)
    rated = checkpoint.decisions.point(BEST_F1).by_class if checkpoint.decisions else {}
    heads = ["class", "precision", "detections", "recall", "actions", "shown from score"]
    rows = [heads, ["---"] * len(heads)]
    for label in checkpoint.classes:
        own = rated.get(label)
        rates = [UNSTATED] * 4
        if own is not None:
            shown, actions = (UNSTATED if n is None else str(n) for n in (own.shown, own.actions))
            rates = [rate_words(*own.precision), shown, rate_words(*own.recall), actions]
        rows.append([_plain(label), *rates, f"{limits[label]:.3f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: object) -> str:
    """Foreign text as text: neither HTML nor Markdown nor a new cell or line."""
    return html.escape(re.sub(r"([\\`*_\[\]|!~])", r"\\\1", _one_line(text)))


def _one_line(text: object) -> str:
    """Foreign text without lines that would end the metadata."""
    return " ".join(str(text).split())
