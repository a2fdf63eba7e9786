"""One window of every kind of work, really done, on a tiny model and a generated video."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import write_video
from test_forecast import WORK, record, settings
from training_small import DETECTOR

from tad_blockdrop.compression.refitting import RepairError
from tad_blockdrop.config import Parameters
from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
from tad_blockdrop.detector.model import weights_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.parallel.starting import clean_processes
from tad_blockdrop.preflight import measuring as preflight
from tad_blockdrop.preflight.measuring import (
    PreflightError,
    choose_record,
    given_model,
    measure_training,
)
from tad_blockdrop.preflight.report import describe, run_preflight
from tad_blockdrop.preflight.work import Measured
from tad_blockdrop.runtime.devices import cores_here
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.windows.cutting import VideoRecord


def small(**compress: object) -> Parameters:
    return settings(
        runtime={"workers": 0, "device": "cpu", "precision": "fp32", "threads": 1},
        data={
            "window": {"frames": 16, "grid": 8, "crop": 16, "short_side": 16, "overlap": 0.5},
            "proxy": {"short_side": 20},
            "cache": False,
        },
        detector=DETECTOR.model_dump(),
        baseline={"aids": {"dct_patch_init": False, "xavier_init": False}},
        compress=compress,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> VideoRecord:
    path = write_video(tmp_path_factory.mktemp("videos") / "a.mp4", seconds=3)
    action = np.array([[0.2, 1.5]])
    return VideoRecord("a", str(path), 30, 10.0, 3.0, action, np.zeros(1, int), np.arange(30))


def test_the_whole_job_is_predicted(source: VideoRecord) -> None:
    parameters = small()
    model = given_model(parameters, 3)
    report = run_preflight(model, source, WORK, 10**12, parameters)
    assert report["obstacles"] == []
    assert report["window"] == [16, 16, 16]
    measured = report["measured"]
    for work in ("training", "scoring", "detection"):
        assert measured[work]["seconds"] > 0
        assert 1e7 < measured[work]["memory"] < report["memory_there"]
    assert measured["reading"] > 0
    assert measured["proxies"] > 0
    assert report["disk_needed"] > 4 * sum(p.numel() for p in model.parameters())
    assert report["predicted_hours"]["total"] > 0
    assert 0 < report["proxies"]["bytes"] < report["disk_needed"]
    text = describe(report)
    assert "of it proxies (h264)" in text
    assert "training (batch of 2)" in text
    assert "alignment" in text


@pytest.mark.skipif(cores_here() < 2, reason="needs two cores")
def test_devices_are_predicted_as_each_will_be(source: VideoRecord) -> None:
    parameters, threads = small(repair="all"), torch.get_num_threads()
    runtime = parameters.runtime.model_copy(update={"devices": 2, "threads": None})
    parameters = parameters.model_copy(update={"runtime": runtime})
    try:
        report = run_preflight(given_model(parameters, 3), source, WORK, 10**12, parameters)
    finally:
        torch.set_num_threads(threads)
    assert report["device"] == f"cpu, fp32, {cores_here() // 2} threads"
    rows = {row["stage"]: row for row in report["stages"]}
    assert rows["repair"]["devices"] == rows["ranking"]["devices"] == 2
    assert rows["proxies"]["devices"] == 1
    assert 0 < 2 * report["device_memory"] <= report["memory_needed"]
    text = describe(report)
    assert "a device) of" in text
    assert report["narrowest"] in text


def training_alone(source: VideoRecord) -> Measured:
    parameters = small()
    return measure_training(
        given_model(parameters, 3), source, parameters.compress.later, parameters
    )


def test_a_step_takes_more_than_each_device_holds(source: VideoRecord) -> None:
    """In a fresh process: one that was larger before need not grow at all."""
    with ProcessPoolExecutor(1, mp_context=clean_processes()) as fresh:
        measured = fresh.submit(training_alone, source).result()
    assert 1e7 < measured.held < measured.memory


@pytest.mark.parametrize("criterion", ["block_mse", "train_loss"])
def test_every_criterion_can_be_measured(source: VideoRecord, criterion: str) -> None:
    parameters = small(criterion=criterion)
    model = given_model(parameters, 3)
    measured = preflight.measure_scoring(model, source, parameters)
    assert measured
    assert measured.seconds > 0


@pytest.mark.parametrize("layers", ["gap", "all"])
@pytest.mark.parametrize("clip_frames", [8, 16])
def test_a_repair_is_measured(source: VideoRecord, layers: str, clip_frames: int) -> None:
    """Even where a window is a single clip, which no real repair would be done on."""
    parameters = small(repair=layers, criterion="repaired_features")
    backbone = parameters.detector.backbone.model_copy(update={"clip_frames": clip_frames})
    detector = parameters.detector.model_copy(update={"backbone": backbone})
    parameters = parameters.model_copy(update={"detector": detector})
    report = run_preflight(given_model(parameters, 3), source, WORK, 10**12, parameters)
    assert report["obstacles"] == []
    assert report["measured"]["scoring"] is None
    assert report["measured"]["repair"]["seconds"] > 0
    assert report["predicted_hours"]["repair"] > 0
    assert report["repair_memory"] > report["measured"]["repair"]["memory"]
    assert "repair (one block)" in describe(report)


def test_a_given_checkpoint_is_counted_as_it_is(source: VideoRecord, tmp_path: Path) -> None:
    """Of half the width that the configuration would make, which a repair's states follow."""
    parameters = small(repair="all")
    write_checkpoint(
        Checkpoint(
            weights=weights_of(model := given_model(parameters, 3)), detector=model.config,
            kept_blocks=model.kept_units, classes=("a", "b", "c"), window=model.window,
            every=1, fps=None, postprocess=parameters.evaluation.postprocess,
            lineage={"family": "uncompressed", "step": 0},
        ),
        tmp_path / "given",
    )  # fmt: skip
    wider = {"width": 32, "checkpointing": True}
    backbone = parameters.detector.backbone.model_copy(update=wider)
    detector = parameters.detector.model_copy(update={"backbone": backbone})
    given = {"source": "checkpoint", "checkpoint": str(tmp_path / "given")}
    baseline = parameters.baseline.model_copy(update=given)
    other = parameters.model_copy(update={"baseline": baseline, "detector": detector})
    model = given_model(other, 3)
    assert model.config.backbone.checkpointing  # that is of the run, not of the model
    found, wanted = (
        run_preflight(model, source, WORK, 10**12, each)
        for each in (other, parameters.model_copy(update={"baseline": baseline}))
    )
    for report in (found, wanted):
        report["states"] = report["repair_memory"] - report["measured"]["repair"]["memory"]
    assert found["states"] == wanted["states"] > 0


def test_calibration_on_too_little_is_refused(source: VideoRecord) -> None:
    parameters = small(repair="all")
    with pytest.raises(RepairError, match=r"at least two clips .* raise compress\.repair\.videos"):
        preflight.measure_repair(given_model(parameters, 3), source, 1, parameters)


def test_the_step_is_that_of_the_loop(source: VideoRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of a whole batch, on a model without one block, against all blocks."""
    seen = []
    original = preflight.AlignLoss.forward

    def spy(self, batch, epoch):
        seen.append((len(batch.windows), self))
        return original(self, batch, epoch)

    monkeypatch.setattr(preflight.AlignLoss, "forward", spy)
    parameters = small()
    model = given_model(parameters, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_training(model, source, parameters.compress.later, parameters)
    assert [count for count, _ in seen] == [parameters.compress.later.batch]
    assert all((value == before[name]).all() for name, value in model.state_dict().items())
    assert model.kept_blocks == (0, 1, 2)


def test_proxies_may_be_off(source: VideoRecord) -> None:
    parameters = small()
    data = parameters.data.model_copy(update={"proxy": None})
    parameters = parameters.model_copy(update={"data": data})
    report = run_preflight(given_model(parameters, 3), source, WORK, 10**12, parameters)
    assert report["measured"]["proxies"] == 0
    assert "of it proxies" not in describe(report)


@pytest.mark.parametrize("proxies", [True, False])
def test_decoded_videos_take_memory(
    source: VideoRecord, monkeypatch: pytest.MonkeyPatch, proxies: bool
) -> None:
    """Those of all samples: of proxies of 20 pixels, or of the pictures as they are."""
    parameters = small()
    changes = {"cache": True} | ({} if proxies else {"proxy": None})
    data = parameters.data.model_copy(update=changes)
    parameters = parameters.model_copy(update={"data": data})
    model = given_model(parameters, 3)
    report = run_preflight(model, source, WORK, 10**12, parameters)
    height, width = read_frames(source.path, [0]).shape[1:3]
    pixels = 20 * round(20 * width / height) if proxies else height * width
    assert report["cached_videos"] == pytest.approx(WORK.kept * pixels * 3, rel=0.1)
    assert report["memory_needed"] > report["cached_videos"]
    assert "decoded videos (data.cache)" in describe(report)
    monkeypatch.setattr(preflight, "main_memory", lambda: report["cached_videos"])
    (told,) = [
        each for each in run_preflight(model, source, WORK, 10**12, parameters)["obstacles"]
        if "data.cache" in each
    ]  # fmt: skip
    assert "set data.cache to false" in told


def test_pictures_take_their_own_room(source: VideoRecord) -> None:
    needed = {}
    for store in ("h264", "jpeg"):
        parameters = small()
        proxy = ProxyConfig(store=store, short_side=20)
        data = parameters.data.model_copy(update={"proxy": proxy})
        parameters = parameters.model_copy(update={"data": data})
        report = run_preflight(given_model(parameters, 3), source, WORK, 10**12, parameters)
        needed[store] = report["proxies"]["bytes"]
    assert needed["jpeg"] > needed["h264"]


def test_a_full_disk_is_an_obstacle(source: VideoRecord) -> None:
    parameters = small()
    report = run_preflight(given_model(parameters, 3), source, WORK, 1000, parameters)
    assert len(report["obstacles"]) == 1
    assert "disk" in report["obstacles"][0]


def test_weights_are_checked(tmp_path: Path) -> None:
    parameters = small()
    missing = parameters.baseline.model_copy(update={"backbone_weights": str(tmp_path / "no.pth")})
    with pytest.raises(FormatError, match="does not exist"):
        given_model(parameters.model_copy(update={"baseline": missing}), 3)


def test_the_shortest_video_that_fills_a_window_is_taken() -> None:
    data = small().data
    videos = [record("long", 99), record("enough", 17), record("idle", 16, 0), record("short", 9)]
    assert choose_record(videos, data).video_id == "enough"
    assert choose_record([videos[3], record("shorter", 4)], data).video_id == "short"
    with pytest.raises(PreflightError, match="no training video has an action"):
        choose_record([videos[2]], data)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a peak that can be forgotten")
def test_memory_is_that_of_the_work() -> None:
    device = torch.device("cpu")
    small_peak, _ = preflight._measure(lambda: bytearray(10**6), device)
    big_peak, _ = preflight._measure(lambda: bytearray(3 * 10**8), device)
    again, _ = preflight._measure(lambda: bytearray(10**6), device)
    assert big_peak - small_peak > 2.5e8
    assert again < big_peak - 2e8
