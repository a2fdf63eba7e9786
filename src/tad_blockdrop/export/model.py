"""From a checkpoint to an export."""

from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.export.bundle import ExportedModel
from tad_blockdrop.export.onnx import to_onnx
from tad_blockdrop.export.sidecar import sidecar
from tad_blockdrop.export.torch_export import to_archive, trace


def export_checkpoint(checkpoint: Checkpoint) -> ExportedModel:
    """The checkpoint's model as ONNX and as a torch.export archive, with its sidecar.

    Blocks that were dropped are not in the files. Raises ExportError.
    """
    model = from_checkpoint(checkpoint)
    program = trace(model)
    archive = to_archive(program)
    return ExportedModel(to_onnx(program), archive, sidecar(checkpoint, model.backbone))
