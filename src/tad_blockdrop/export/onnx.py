"""The detector as one ONNX file, and ONNX Runtime to run it."""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.export.sidecar import INPUTS, OUTPUTS

Floats = NDArray[np.float32]
Run = Callable[[NDArray[np.uint8], NDArray[np.bool_]], tuple[Floats, Floats]]


LARGEST = 2**31 - 2**25  # bytes of weights: protobuf's limit of a file, less what a graph takes


class ExportError(BlockDropError):
    """A model cannot be exported, or its export does not do what the model does."""


def too_large(weights: Iterable[Tensor]) -> str | None:
    """Why there can be no ONNX file with these weights inside; None if there can."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    if size <= LARGEST:
        return None
    return f"weights of {size / 2**30:.2f} GiB do not fit into an ONNX file, which holds 2 at most"


def to_onnx(program: ExportedProgram, opset: int | None = None) -> bytes:
    """An ONNX file with its weights inside, for any number of windows.

    ``opset``: the version of the operators, with the oldest file format that has them; none leaves
    both to PyTorch. Raises ExportError where the packages for it are not installed, or do not
    write that version, and for a model that is too large.
    """
    if reason := too_large(program.state_dict.values()):
        raise ExportError(reason)
    try:
        import onnxscript  # noqa: F401 - what torch.onnx translates with
    except ImportError as error:
        raise ExportError(_missing(error)) from error
    with _quiet():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            external_data=False,
            verbose=False,
            opset_version=opset,
        )
    assert converted is not None
    proto = converted.model_proto
    if opset is not None:
        _require_opset(proto, opset)
    _tidy(proto)
    return bytes(proto.SerializeToString())


def open_session(onnx: bytes, threads: int | None = None) -> Run:
    """A function (frames, mask) -> (logits, offsets) that runs an ONNX file on the CPU.

    ``threads``: of ONNX Runtime; none leaves its choice. Raises ExportError for a file that the
    installed ONNX Runtime does not run.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(_missing(error)) from error
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that wait for work would otherwise keep their cores busy, to the cost of all others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class of their own
        raise ExportError(
            f"ONNX Runtime {onnxruntime.__version__} does not run the file: {error}. Install a "
            "newer onnxruntime, or lower export.opset"
        ) from error

    def run(frames: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        logits, offsets = session.run(list(OUTPUTS), {"frames": frames, "mask": mask})
        return logits, offsets

    return run


def _tidy(proto: Any) -> None:
    """Leave out how the file came about (paths of this machine), and name the free dimension."""
    parts = [proto, proto.graph]
    for kind in ("node", "input", "output", "value_info", "initializer"):
        parts += getattr(proto.graph, kind)
    parts += proto.functions
    parts += [node for function in proto.functions for node in function.node]
    for part in parts:
        del part.metadata_props[:]
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del proto.graph.value_info[:]


def _require_opset(proto: Any, opset: int) -> None:
    from onnx.helper import find_min_ir_version_for

    (found,) = [each.version for each in proto.opset_import if each.domain == ""]
    if found != opset:
        raise ExportError(
            f"the installed torch and onnxscript write this model with opset {found}, not with "
            f"export.opset {opset}: choose that one, or install newer versions of them"
        )
    proto.ir_version = find_min_ir_version_for(proto.opset_import)


def _missing(error: ImportError) -> str:
    return (
        f"the package '{error.name}' is not installed: exports need the extra packages of "
        "`pip install -e '.[export]'` in the project's folder"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own insides."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
