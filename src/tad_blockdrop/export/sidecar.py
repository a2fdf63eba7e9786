"""The sidecar of an export: a readable JSON with all that the model file itself does not say.

With it a program needs neither this package nor PyTorch; examples/run_onnx.py is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.detector.units import as_stored
from tad_blockdrop.metrics.operating_point import thresholds

if TYPE_CHECKING:
    from tad_blockdrop.detector.backbones.contract import Backbone

ONNX_FILE = "model.onnx"
INT8_FILE = "model_int8.onnx"
ARCHIVE_FILE = "model.pt2"
SIDECAR_FILE = "model.json"
INPUTS = ("frames", "mask")
OUTPUTS = ("logits", "offsets")
WINDOW = ("kind", "frames", "grid", "frames_per_step", "short_side", "crop", "overlap")


def sidecar(checkpoint: Checkpoint, backbone: Backbone, onnx: bool = True) -> dict[str, Any]:
    """All that is needed to go from a video's frames to detections in seconds.

    ``onnx``: whether there is an ONNX file.
    """
    from tad_blockdrop.detector.heads.contract import make_points

    window = checkpoint.window
    points = make_points(window.grid, checkpoint.detector.head.ranges)
    n_points = len(points.location)
    return {
        "format_version": 1,
        "files": ({"onnx": ONNX_FILE} if onnx else {}) | {"torch_export": ARCHIVE_FILE},
        "classes": list(checkpoint.classes),
        "inputs": {
            "frames": {
                "type": "uint8",
                "shape": ["batch", window.frames, window.crop, window.crop, 3],
                "meaning": "RGB frames of a window, short side resized, centre-cropped",
            },
            "mask": {
                "type": "bool",
                "shape": ["batch", window.grid],
                "meaning": "true for grid steps that hold a real frame: "
                "step * frames_per_step < real frames",
            },
        },
        "outputs": {
            "logits": {
                "type": "float32",
                "shape": ["batch", n_points, len(checkpoint.classes)],
                "meaning": "score = 1 / (1 + exp(-logit)); ignore points with mask[location] false",
            },
            "offsets": {
                "type": "float32",
                "shape": ["batch", n_points, 2],
                "meaning": "segment in grid steps = "
                "[location - stride * offset[0], location + stride * offset[1]]",
            },
        },
        "normalisation": {
            "inside_the_model": True,
            "mean": list(backbone.pixel_mean),
            "std": list(backbone.pixel_std),
        },
        "sampling": {
            "every": checkpoint.every,
            "fps": checkpoint.fps,
            "meaning": "each every-th frame of the file, or fps frames a second; one is null",
        },
        "window": {
            **{key: getattr(window, key) for key in WINDOW},
            "meaning": "sliding: second = (first sample + grid step * frames_per_step) / samples a "
            "second; resize: second = grid step / grid * duration",
        },
        "points": {
            "location": [int(value) for value in points.location],
            "stride": [int(value) for value in points.stride],
        },
        "postprocess": checkpoint.postprocess.model_dump(
            mode="json", include={"min_score", "pre_nms", "sigma", "max_detections", "voting_tiou"}
        ),
        "operating_point": thresholds(checkpoint),
        "model": {
            "kept_blocks": [as_stored(unit) for unit in checkpoint.kept_blocks],
            "depth": checkpoint.detector.backbone.geometry.depth,
            "weights_hash": weights_hash(checkpoint.weights),
            "provenance": checkpoint.lineage.get("provenance"),
        },
    }
