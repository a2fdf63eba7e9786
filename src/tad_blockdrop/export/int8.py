"""The exported model in 8-bit integers, and how well it still detects.

Weights are rounded once, to 7 bits for each output channel: sums of two products then fit the
16 bits in which CPUs without VNNI add them. What is multiplied by them is rounded while the model
runs. Convolutions, norms and the attention's own products stay as they are, and so do the first
linear layers where that is needed: what is rounded there passes through all the blocks.
"""

import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detections.task import instances_of
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.heads.contract import make_points
from tad_blockdrop.detector.model import Detector, DetectorOutput, Inputs
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.export.onnx import ExportError, Run, open_session
from tad_blockdrop.export.sidecar import INT8_FILE
from tad_blockdrop.metrics.average_precision import average_map

logger = logging.getLogger(__name__)

SPARED = (0, 4, 8)  # linear layers at the start that are tried in fp32; a whole block has four


@dataclass(frozen=True)
class Int8Rating:
    """Average mAP (percent) on ``videos`` of a ``split``, of the ONNX file and of its int8 form.

    ``spared``: linear layers at the start that are still in fp32.
    """

    split: str
    videos: int
    fp32: float
    int8: float
    spared: int = 0

    @property
    def loss(self) -> float:
        """Points that are lost."""
        return self.fp32 - self.int8

    def refusal(self, most: float) -> str:
        """Why the int8 file is not good enough, if at most ``most`` points may be lost; or nothing.

        Where nothing is found in fp32, nothing can be lost.
        """
        if not self.fp32:
            return "because the model finds nothing in these videos in fp32 either"
        if self.loss > most:
            return f"because it loses more than export.max_int8_loss {most:g}"
        return ""


def to_int8(onnx: bytes, spared: int = 0) -> bytes:
    """The same ONNX model with the weights of its linear layers, but ``spared``, in 8-bit integers.

    Those spared are the first.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder, "whole.onnx"), Path(folder, "small.onnx")
        whole.write_bytes(onnx)
        level = logging.root.level
        logging.root.setLevel(logging.ERROR)  # it advises a step that changes nothing here
        try:
            quantize_dynamic(
                whole,
                small,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_linear_layers(onnx)[:spared],
            )
        finally:
            logging.root.setLevel(level)
        return small.read_bytes()


def _linear_layers(onnx: bytes) -> list[str]:
    """The names of the products with weights, in the order in which they are computed."""
    import onnx as library

    graph = library.load_from_string(onnx).graph
    weights = {tensor.name for tensor in graph.initializer}
    products = (node for node in graph.node if node.op_type == "MatMul")
    return [node.name for node in products if weights.intersection(node.input)]


class OnnxDetector(Detector):
    """A detector whose outputs come from an ONNX file. It runs on the CPU and learns nothing."""

    def __init__(self, checkpoint: Checkpoint, run: Run) -> None:
        classes = len(checkpoint.classes)
        super().__init__(checkpoint.detector, classes, checkpoint.window, checkpoint.kept_blocks)
        self._run = run
        self._points = make_points(checkpoint.window.grid, checkpoint.detector.head.ranges)

    def output_of(self, batch: Inputs) -> DetectorOutput:
        """The output for the frames of a batch."""
        logits, offsets = map(torch.from_numpy, self._run(batch.frames.numpy(), batch.mask.numpy()))
        return DetectorOutput(
            features=torch.empty(0),
            logits=logits,
            offsets=offsets,
            mask=batch.mask[:, self._points.location.long()],
            points=self._points,
        )


def find_int8(
    onnx: bytes, checkpoint: Checkpoint, evaluator: Evaluator, most: float
) -> tuple[bytes, Int8Rating]:
    """The int8 file with the fewest layers spared that loses at most ``most`` points; or the last.

    Judged on the held-out videos or, where no action is held out, on the training videos. Test
    videos have no part in it. Raises ExportError where none of them shows an action.
    """
    dataset = evaluator.dataset
    split = "holdout" if dataset.held_out() else "train"
    videos = dataset.records(split)
    if instances_of(videos, dataset.classes).empty:
        raise ExportError(
            f"export.int8 is judged on {split} videos, and none of them shows an action: set it to "
            "false, or hold other videos out (data.holdout)"
        )

    def average(file: bytes, what: str) -> float:
        model = OnnxDetector(checkpoint, open_session(file, evaluator.runtime.config.threads))
        return 100 * average_map(evaluator.evaluate(model, videos, f"rating {what}")[1])

    whole = average(onnx, "fp32")
    for spared in SPARED:
        int8 = to_int8(onnx, spared)
        rating = Int8Rating(split, len(videos), whole, average(int8, "int8"), spared)
        if rating.loss <= most:
            break
    return int8, rating


def add_int8(
    exported: ExportedModel, int8: bytes, rating: Int8Rating, most: float
) -> ExportedModel:
    """The export with its int8 file, unless that is refused, for one that loses too much."""
    refusal = rating.refusal(most)
    logger.log(
        logging.WARNING if refusal else logging.INFO,
        "int8 (the first %d linear layers in fp32) on %d %s videos: average mAP %.1f, in fp32 "
        "%.1f%s", rating.spared, rating.videos, rating.split, rating.int8, rating.fp32,
        f"; not written, {refusal}" if refusal else "",
    )  # fmt: skip
    if refusal:
        return exported
    files = exported.sidecar["files"] | {"onnx_int8": INT8_FILE}
    return replace(exported, int8=int8, sidecar=exported.sidecar | {"files": files})
