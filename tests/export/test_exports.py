"""Exports give the numbers of PyTorch for any batch, and hold nothing of what was dropped."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.detector.units import SubLayer
from tad_blockdrop.export.bundle import read_export, write_export
from tad_blockdrop.export.onnx import ExportError, _require_opset, open_session, to_onnx
from tad_blockdrop.export.torch_export import from_archive, trace
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE
from tad_blockdrop.pipelines.export.nodes import export_model

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_both_exports_give_the_numbers_of_pytorch(checkpoint, exported, frames, mask, batch):
    frames, mask = frames[:batch], mask[:batch]
    with torch.inference_mode():
        expected = from_checkpoint(checkpoint)(frames, mask)
    assert expected.logits.std() > 0.1
    run = open_session(exported.onnx, threads=1)
    logits, offsets = run(frames.numpy(), mask.numpy())
    assert logits == pytest.approx(expected.logits.numpy(), abs=1e-4)
    assert offsets == pytest.approx(expected.offsets.numpy(), abs=1e-4)
    logits, offsets = from_archive(exported.archive)(frames, mask)
    torch.testing.assert_close(logits, expected.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(offsets, expected.offsets, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("opset", "file_format"), [(18, 8), (22, 10)])
def test_every_opset_gives_the_numbers_of_pytorch(checkpoint, frames, mask, opset, file_format):
    model = from_checkpoint(checkpoint)
    written = to_onnx(trace(model), opset)
    proto = onnx.load_from_string(written)
    onnx.checker.check_model(proto)
    stated = {each.domain: each.version for each in proto.opset_import}
    assert (stated[""], proto.ir_version) == (opset, file_format)
    with torch.inference_mode():
        expected = model(frames, mask)
    logits, offsets = open_session(written, threads=1)(frames.numpy(), mask.numpy())
    assert logits == pytest.approx(expected.logits.numpy(), abs=1e-4)
    assert offsets == pytest.approx(expected.offsets.numpy(), abs=1e-4)


def test_an_opset_that_is_not_written_is_refused(exported):
    proto = onnx.load_from_string(exported.onnx)
    with pytest.raises(ExportError, match=r"not with export\.opset 17: choose that one"):
        _require_opset(proto, 17)


def test_a_file_that_onnx_runtime_does_not_know_is_said(exported):
    proto = onnx.load_from_string(exported.onnx)
    proto.ir_version = 99
    with pytest.raises(ExportError, match=r"or lower export\.opset"):
        open_session(proto.SerializeToString())


def test_the_mask_matters(exported, frames, mask):
    run = open_session(exported.onnx, threads=1)
    masked, _ = run(frames.numpy(), mask.numpy())
    whole, _ = run(frames.numpy(), np.ones_like(mask.numpy()))
    assert masked[0] == pytest.approx(whole[0], abs=1e-5)
    assert np.abs(masked[1, :7] - whole[1, :7]).max() > 1e-3


def test_positions_are_constants(exported):
    """Interpolated once when the model is built, not in every call."""
    graph = onnx.load_from_string(exported.onnx).graph
    operators = {node.op_type for node in graph.node}
    assert not operators & {"Resize", "Sin", "Cos", "Pow", "Range"}


def test_dropped_blocks_are_physically_gone(checkpoint, exported):
    """As many attentions and numbers as the checkpoint has, not one block more."""
    graph = onnx.load_from_string(exported.onnx).graph
    attentions = sum(node.op_type == "Softmax" for node in graph.node)
    assert attentions == 2 + 3  # blocks kept, and of the pyramid
    held = 4 * sum(value.numel() for value in checkpoint.weights.values())
    block = sum(
        4 * value.numel()
        for name, value in checkpoint.weights.items()
        if name.startswith("backbone.blocks.2.")
    )
    initialisers = sum(len(tensor.raw_data) for tensor in graph.initializer)
    assert held - block / 2 < initialisers < held + block / 2


def test_inputs_are_bytes_of_any_number_of_windows(exported):
    model = onnx.load_from_string(exported.onnx)
    onnx.checker.check_model(model)
    found = {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower(),
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in [*model.graph.input, *model.graph.output]
    }
    about = exported.sidecar["inputs"] | exported.sidecar["outputs"]
    types = {"float32": "float"}
    assert found == {
        name: (types.get(value["type"], value["type"]), value["shape"])
        for name, value in about.items()
    }
    assert found["frames"] == ("uint8", ["batch", 32, 16, 16, 3])


def test_files_say_nothing_of_the_machine_they_were_made_on(exported):
    for content in (exported.onnx, exported.archive):
        assert b"site-packages" not in content
        assert b"tad_blockdrop/" not in content


def test_the_archive_needs_pytorch_alone(exported, tmp_path, frames, mask):
    write_export(exported, tmp_path / "export")
    program = (
        "import sys, torch\n"
        "run = torch.export.load(sys.argv[1]).module()\n"
        "logits, _ = run(torch.zeros(1, 32, 16, 16, 3, dtype=torch.uint8), "
        "torch.ones(1, 8, dtype=torch.bool))\n"
        "assert 'tad_blockdrop' not in sys.modules and 'timm' not in sys.modules\n"
        "print(tuple(logits.shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "export" / "model.pt2"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.strip() == "(1, 14, 3)", done.stderr


def test_files_come_back_as_written(exported, tmp_path):
    write_export(exported, tmp_path / "export")
    again = read_export(tmp_path / "export")
    assert (again.onnx, again.archive) == (exported.onnx, exported.archive)
    assert again.sidecar == json.loads(json.dumps(exported.sidecar))


def test_the_sidecar_holds_what_the_checkpoint_does(checkpoint, exported):
    about = exported.sidecar
    assert about["classes"] == list(checkpoint.classes)
    assert about["operating_point"] == {"run": 0.3, "jump": DEFAULT_SCORE, "swim": 0.4}
    points = from_checkpoint(checkpoint).head.points
    assert about["points"]["location"] == points.location.tolist()
    assert about["points"]["stride"] == points.stride.tolist()
    assert about["model"]["kept_blocks"] == [0, 2]


def test_what_is_left_of_blocks_is_exported(checkpoint, frames, mask):
    """An attention and an MLP, each of a block of its own."""
    short = drop_block(drop_block(checkpoint, SubLayer(0, "mlp")), SubLayer(2, "attention"))
    exported = export_model(short, ExportConfig())
    with torch.inference_mode():
        expected = from_checkpoint(short)(frames, mask)
    logits, _ = open_session(exported.onnx, threads=1)(frames.numpy(), mask.numpy())
    assert logits == pytest.approx(expected.logits.numpy(), abs=1e-4)
    logits, _ = from_archive(exported.archive)(frames, mask)
    torch.testing.assert_close(logits, expected.logits, atol=1e-5, rtol=0)
    assert exported.sidecar["model"]["kept_blocks"] == ["0.attention", "2.mlp"]
    graph = onnx.load_from_string(exported.onnx).graph
    assert sum(node.op_type == "Softmax" for node in graph.node) == 1 + 3  # of the pyramid
