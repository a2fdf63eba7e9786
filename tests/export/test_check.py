"""The check finds differences, and the nodes publish nothing that fails it."""

import logging
from dataclasses import replace

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from kedro.io import DatasetError, Version

from tad_blockdrop.config import DataConfig, EvaluationConfig, RuntimeConfig
from tad_blockdrop.config.predict import ExportConfig
from tad_blockdrop.datasets.export import ExportDataset
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.export import onnx as onnx_export
from tad_blockdrop.export.bundle import read_export, write_export
from tad_blockdrop.export.check import Parity, compare, refuse_difference, same_share
from tad_blockdrop.export.int8 import Int8Rating, add_int8, find_int8, to_int8
from tad_blockdrop.export.onnx import open_session, to_onnx
from tad_blockdrop.export.sidecar import sidecar
from tad_blockdrop.export.torch_export import from_archive, trace
from tad_blockdrop.pipelines.export.nodes import (
    check_export,
    export_model,
    export_models,
    require_comparable,
    state_provenance,
    time_exports,
)
from tad_blockdrop.pipelines.export.pipeline import create_pipeline
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.cutting import VideoRecord, grid_mask
from tad_blockdrop.video.windows.cutting import test_windows as windows_of

RUNTIME = Runtime(RuntimeConfig(threads=1, device="cpu", workers=0))


def record(n_samples: int) -> VideoRecord:
    return VideoRecord(
        f"video{n_samples}", "", n_samples, 10.0, n_samples / 10,
        np.empty((0, 2)), np.empty(0, np.int64),
    )  # fmt: skip


@pytest.fixture
def batches(checkpoint):
    """Two videos in windows of random pixels."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for video in (record(20), record(90)):
        windows = windows_of(video, checkpoint.window, 0.5)
        shape = (len(windows), 32, 16, 16, 3)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        masks = torch.stack(
            [torch.from_numpy(grid_mask(w.n_valid, checkpoint.window)) for w in windows]
        )
        made.append(Batch(frames, masks, [], [], windows))
    return made


def compared(checkpoint, exported, batches, change=0.0):
    run = open_session(exported.onnx, threads=1)

    def changed(frames, mask):
        logits, offsets = run(frames, mask)
        return logits + np.float32(change), offsets

    archive, records = from_archive(exported.archive), [record(20), record(90)]
    return compare(checkpoint, changed, archive, batches, records)


def test_a_good_export_is_the_same(checkpoint, exported, batches):
    parity = compared(checkpoint, exported, batches)
    assert parity.windows == sum(len(b.windows) for b in batches) > 4
    assert parity.largest < 1e-4
    assert parity.detections > 60
    assert parity.same >= 0.99


def test_differences_are_seen(checkpoint, exported, batches):
    parity = compared(checkpoint, exported, batches, change=0.25)
    assert parity.onnx_logits == pytest.approx(0.25, abs=1e-4)
    assert parity.archive_logits < 1e-4
    assert parity.largest == parity.onnx_logits
    assert parity.same < 0.5


def test_what_is_not_a_number_never_passes():
    good = Parity(1, 1e-6, 1e-6, 1e-6, 1e-6, 10, 1.0)
    refuse_difference(good, 1e-3)
    for name in ("onnx_logits", "onnx_offsets", "archive_logits", "archive_offsets"):
        for value in (2e-3, float("nan")):
            with pytest.raises(BlockDropError, match=r"export\.max_difference"):
                refuse_difference(replace(good, **{name: value}), 1e-3)


def test_the_same_share_counts_equals_once():
    rows = [("a", 1.001, 2.0, "run", 0.5), ("a", 1.0, 2.0, "run", 0.5), ("b", 1.0, 2.0, "x", 0.5)]
    table = pd.DataFrame(rows, columns=["video_id", "start", "end", "label", "score"])
    assert same_share(table, table) == 1
    assert same_share(table, table.iloc[1:]) == pytest.approx(2 / 3)
    assert same_share(table, table.assign(end=2.011)) == 0
    assert same_share(table.iloc[:0], table) == 1


@pytest.fixture
def videos(tmp_path):
    """A table with one test video, a proxy as data preparation makes it."""
    import av
    from av.video.frame import VideoFrame

    path = tmp_path / "proxy.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(50):
            picture = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    row = {"video_id": "v", "split": "test", "path": str(path), "n_samples": 50}
    return pd.DataFrame([row | {"rate": 10.0, "duration": 5.0}])


def evaluator_of(checkpoint, videos, actions):
    columns = ["video_id", "label", "category", "start", "end"]
    instances = pd.DataFrame(actions, columns=columns)
    dataset = ActionDataset(videos, instances, checkpoint.classes)
    data = DataConfig(every=1, window=checkpoint.window)
    return Evaluator(dataset, data, EvaluationConfig(batch=2), RUNTIME)


def checked(exported, checkpoint, videos, actions=(), **settings):
    evaluator = evaluator_of(checkpoint, videos, actions)
    return check_export(exported, checkpoint, evaluator, ExportConfig(**settings))


def test_checked_exports_are_handed_on_with_their_parity(exported, checkpoint, videos, caplog):
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        same, parity = checked(exported, checkpoint, videos)
    assert (same.onnx, same.archive) == (exported.onnx, exported.archive)
    assert "checked against PyTorch on 3 windows" in same.card
    assert parity["videos"] == 1
    assert parity["windows"] == 3
    assert parity["onnx_logits"] <= 1e-3
    assert "logits differ by at most" in caplog.text


def test_another_model_is_refused(exported, checkpoint, videos):
    weights = checkpoint.weights | {
        "head.classify.bias": checkpoint.weights["head.classify.bias"] + 0.01
    }
    with pytest.raises(BlockDropError, match=r"more than export\.max_difference 0\.001"):
        checked(exported, replace(checkpoint, weights=weights), videos)


TRAINING = [("t", "run", "run", 0.5, 2.0), ("t", "swim", "swim", 2.5, 4.0)]


@pytest.fixture
def with_training(videos):
    return pd.concat([videos, videos.assign(video_id="t", split="train")], ignore_index=True)


def test_int8_is_written_and_timed_where_it_detects_as_well(
    exported, checkpoint, with_training, tmp_path
):
    small, facts = checked(
        exported, checkpoint, with_training, TRAINING, int8=True, max_int8_loss=5
    )
    assert small.int8 is not None
    linear = [m for m in from_checkpoint(checkpoint).modules() if isinstance(m, torch.nn.Linear)]
    # of four bytes each weight keeps one; what the file says of the network takes some of it back
    assert len(exported.onnx) - len(small.int8) > sum(m.weight.numel() for m in linear)
    assert facts["int8"]["written"]
    assert facts["int8"]["spared"] == 0
    assert (facts["int8"]["split"], facts["int8"]["videos"]) == ("train", 1)
    assert facts["int8"]["fp32"] > 0
    assert abs(facts["int8"]["fp32"] - facts["int8"]["int8"]) <= 5
    write_export(small, tmp_path / "made")
    again = read_export(tmp_path / "made")
    assert again.int8 == small.int8
    assert again.sidecar["files"]["onnx_int8"] == "model_int8.onnx"
    table = time_exports(again, exported, checkpoint, checkpoint, ExportConfig(latency_repeats=1))
    assert list(table["model"]) == ["uncompressed", "exported", "int8"]
    assert list(table["blocks"]) == [2, 2, 2]


def test_int8_is_close_to_the_model(checkpoint, exported, frames, mask):
    inputs = frames.numpy(), mask.numpy()
    whole = open_session(exported.onnx, threads=1)(*inputs)
    small = open_session(to_int8(exported.onnx), threads=1)(*inputs)
    for fp32, int8 in zip(whole, small, strict=True):
        assert 0 < np.abs(fp32 - int8).max() < 0.1 * np.abs(fp32).max()


def test_the_first_linear_layers_can_be_spared(exported):
    def products(file):
        graph = onnx.load_from_string(file).graph
        return [node.op_type for node in graph.node if node.op_type.startswith("MatMul")]

    all_rounded, two_spared = (products(to_int8(exported.onnx, spared)) for spared in (0, 2))
    # patches; queries, keys and values; the attention's own two; what follows it; the MLP
    assert all_rounded[:6] == ["MatMul", "MatMulInteger", *["MatMul"] * 2, *["MatMulInteger"] * 2]
    assert two_spared[:6] == ["MatMul"] * 5 + ["MatMulInteger"]
    assert all_rounded.count("MatMulInteger") == two_spared.count("MatMulInteger") + 2


def test_layers_are_spared_while_too_much_is_lost(exported, checkpoint, with_training):
    evaluator = evaluator_of(checkpoint, with_training, TRAINING)
    file, rating = find_int8(exported.onnx, checkpoint, evaluator, most=100.0)
    assert (file, rating.spared) == (to_int8(exported.onnx), 0)
    file, rating = find_int8(exported.onnx, checkpoint, evaluator, most=-100.0)
    assert (file, rating.spared) == (to_int8(exported.onnx, 8), 8)


def test_int8_that_detects_worse_is_not_added(exported, caplog):
    good, bad = Int8Rating("holdout", 4, 50.0, 49.6), Int8Rating("holdout", 4, 50.0, 49.4)
    assert add_int8(exported, b"small", good, 0.5).int8 == b"small"
    same = add_int8(exported, b"small", bad, 0.5)
    assert same is exported
    assert "it loses more than export.max_int8_loss 0.5" in caplog.text


def test_int8_is_not_added_where_nothing_is_found_in_fp32(exported, caplog):
    """No loss can be seen there."""
    blind = Int8Rating("holdout", 4, 0.0, 0.0)
    assert add_int8(exported, b"small", blind, 0.5) is exported
    assert "not written, because the model finds nothing in these videos in fp32" in caplog.text


def test_int8_needs_videos_with_actions(exported, checkpoint, with_training):
    with pytest.raises(BlockDropError, match=r"export\.int8 is judged on train videos"):
        checked(exported, checkpoint, with_training, int8=True)


def test_models_are_timed_in_turns(exported, checkpoint, caplog):
    uncompressed = replace(checkpoint, kept_blocks=(0, 1, 2))
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        found = time_exports(
            exported, exported, checkpoint, uncompressed, ExportConfig(latency_repeats=3)
        )
    found = found.set_index("model")
    assert found["blocks"].to_dict() == {"uncompressed": 3, "exported": 2}
    assert 0 < found["low"]["exported"] <= found["median"]["exported"] <= found["high"]["exported"]
    assert found["ratio"]["uncompressed"] == 1
    assert found["ratio"]["exported"] == pytest.approx(
        found["median"]["exported"] / found["median"]["uncompressed"], abs=1e-3
    )
    assert "ONNX Runtime, one window" in caplog.text


def test_a_model_too_large_for_onnx_has_the_rest(
    checkpoint, with_training, tmp_path, monkeypatch, caplog
):
    """Its archive, checked, and a card that promises no more."""
    monkeypatch.setattr(onnx_export, "LARGEST", 1000)
    large = export_model(checkpoint, ExportConfig())
    assert large.onnx is None
    assert large.sidecar["files"] == {"torch_export": "model.pt2"}
    assert "no ONNX file of the model of 2 blocks, only torch.export's: weights of" in caplog.text
    with pytest.raises(BlockDropError, match="do not fit into an ONNX file"):
        to_onnx(trace(from_checkpoint(checkpoint)))
    good, parity = checked(large, checkpoint, with_training, TRAINING, int8=True)
    assert "export.int8: skipped" in caplog.text
    assert (parity["onnx_logits"], "int8" in parity) == (None, False)
    assert parity["archive_logits"] < 1e-4
    assert parity["same"] > 0.9
    write_export(good, tmp_path / "made")
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == [
        "README.md", "model.json", "model.pt2",
    ]  # fmt: skip
    again = read_export(tmp_path / "made")
    assert again.onnx is None
    assert "library_name: pytorch" in again.card
    assert "The torch.export file was checked" in again.card
    assert "run_onnx" not in again.card
    times = time_exports(again, large, checkpoint, checkpoint, ExportConfig())
    assert list(times) == ["model", "blocks", "median", "low", "high", "ratio"]
    assert times.empty
    assert "not timed" in caplog.text


def test_an_export_that_lost_its_onnx_file_is_refused(exported, tmp_path):
    write_export(exported, tmp_path / "made")
    (tmp_path / "made/model.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        read_export(tmp_path / "made")


def test_the_dataset_keeps_the_three_files_of_each_version_and_their_checksums(exported, tmp_path):
    folder = str(tmp_path / "export")
    ExportDataset(filepath=folder, version=Version(None, "one")).save(exported)
    assert sorted(p.name for p in (tmp_path / "export/one/export").iterdir()) == [
        "SHA256SUMS", "model.json", "model.onnx", "model.pt2",
    ]  # fmt: skip
    again = ExportDataset(filepath=folder, version=Version("one", None)).load()
    assert again.onnx == exported.onnx
    with pytest.raises(DatasetError):
        ExportDataset(filepath=folder, version=Version("two", None)).load()


def test_the_provenance_that_is_stated_now_counts(checkpoint):
    made = replace(checkpoint, lineage={"dataset": "people", "provenance": ""})
    later = DataConfig(name="people", every=1, provenance="filmed here, CC BY 4.0")
    stated = state_provenance(made, later)
    assert stated.lineage["provenance"] == "filmed here, CC BY 4.0"
    about = sidecar(stated, from_checkpoint(stated).backbone)
    assert about["model"]["provenance"] == "filmed here, CC BY 4.0"
    own = replace(made, lineage={"dataset": "people", "provenance": "own"})
    assert state_provenance(own, later.model_copy(update={"provenance": ""})) == own
    assert state_provenance(own, later.model_copy(update={"name": "others"})) == own, "of others"


def test_the_pipeline_compares_with_the_uncompressed_model():
    final = create_pipeline(from_folder=False)
    assert {"final_checkpoint", "baseline_checkpoint", "evaluator"} <= final.inputs()
    given = create_pipeline(from_folder=True)
    assert "final_checkpoint" not in given.inputs()
    assert "export_checkpoint" not in given.inputs()
    (checking,) = [node for node in given.nodes if node.func is require_comparable]
    assert set(checking.inputs) == {"export_checkpoint", "baseline_checkpoint", "params:export"}
    after = {node.func for node in given.from_nodes(checking.name).nodes} - {require_comparable}
    assert after == {state_provenance, export_models, check_export, time_exports}, "all the work"
    for pipeline in (final, given):
        takers = {node.func for node in pipeline.nodes if "export_source" in node.inputs}
        assert takers == {export_models, check_export, time_exports}, "all of it is of one model"
