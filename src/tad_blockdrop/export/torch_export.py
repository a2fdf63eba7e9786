"""The detector as a plain ``torch.export`` program: frames and mask in, logits and offsets out.

What comes out of here runs with PyTorch alone, without this package.
"""

import io
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from tad_blockdrop.detector.model import Detector

Run = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Exportable(nn.Module):
    """A detector whose inputs and outputs are tensors, as exports need it."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Frames uint8 (B, T, H, W, 3), mask (B, grid) -> logits (B, P, K), offsets (B, P, 2)."""
        output = self.detector(frames, mask)
        return output.logits, output.offsets


def trace(detector: Detector) -> ExportedProgram:
    """The detector's operations for any number of windows; window and crop are fixed."""
    window = detector.window
    device = next(detector.parameters()).device
    # two windows: a batch of one would be taken for a constant
    frames = torch.zeros(
        2, window.frames, window.crop, window.crop, 3, dtype=torch.uint8, device=device
    )
    mask = torch.ones(2, window.grid, dtype=torch.bool, device=device)
    batch = Dim("batch", min=1)
    program = torch.export.export(
        Exportable(detector).eval(),
        (frames, mask),
        dynamic_shapes={"frames": {0: batch}, "mask": {0: batch}},
        strict=True,  # follows len(tensor), which non-strict tracing fixes to a number
    )
    program.example_inputs = None  # they would be saved with it, larger than a small model
    for node in program.graph.nodes:  # paths of this machine have no place in a shipped file
        node.meta.pop("stack_trace", None)
    return program


def to_archive(program: ExportedProgram) -> bytes:
    """The file (.pt2) that ``torch.export.load`` reads."""
    file = io.BytesIO()
    torch.export.save(program, file)
    return file.getvalue()


def from_archive(archive: bytes) -> Run:
    """A function (frames, mask) -> (logits, offsets) that runs an archive."""
    module: Run = torch.export.load(io.BytesIO(archive)).module()
    return module
