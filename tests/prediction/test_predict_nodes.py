"""The nodes of the predict pipeline: what is skipped, what is refused, and the whole of it."""

import logging
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from guard_clock import GuardClock, hang
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from tad_blockdrop.config import DataConfig, RuntimeConfig
from tad_blockdrop.config.predict import PredictConfig
from tad_blockdrop.datasets.videos import VideoFolderDataset
from tad_blockdrop.detector.checkpoint import write_checkpoint
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.predict.nodes import detect_actions, draw_videos
from tad_blockdrop.pipelines.predict.pipeline import create_pipeline
from tad_blockdrop.pipelines.shared import model_used
from tad_blockdrop.prediction import stream

RUNTIME = RuntimeConfig(threads=1, device="cpu", workers=1)
DATA = DataConfig(every=1, clock="player")


def predict(path, **settings):
    return PredictConfig(videos=str(path), min_score=0.1, **settings)


def test_bad_files_are_reported_and_skipped(checkpoint, write_video, tmp_path, caplog):
    folder = write_video("in/good.mp4").parent
    write_video("in/one.webm", length=1, codec="libvpx")
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.avi").touch()
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        table, videos = detect_actions(checkpoint, predict(folder), DATA, RUNTIME)
    assert videos["video_id"].tolist() == ["empty", "good", "one", "text"]
    assert videos["problem"].isna().tolist() == [False, True, True, False]
    assert "0 bytes" in videos["problem"][0]
    assert "not a video" in videos["problem"][3]
    counts = table["video_id"].value_counts()
    assert counts["good"] == videos.set_index("video_id")["detections"]["good"] > 0
    assert "skipped" in caplog.text
    assert "× real time" in caplog.text


def test_names_that_are_unsafe_are_reported_and_written_nowhere(
    checkpoint, write_video, tmp_path, caplog
):
    folder = write_video("in/good.mp4").parent
    for name in (b"a\x1b[31m.mp4", b"caf\xe9.mp4", b"x" * 240 + b".mp4", b"two\nlines.mp4"):
        shutil.copy(folder / "good.mp4", os.fsdecode(os.fsencode(folder) + b"/" + name))
    table, videos = detect_actions(checkpoint, predict(folder, draw=True), DATA, RUNTIME)
    assert videos["problem"].notna().sum() == 4
    assert caplog.text.count("cannot be a file name") == 4
    videos.to_parquet(tmp_path / "videos.parquet")  # as the catalog does
    tasks = draw_videos(table, videos, checkpoint, predict(folder, draw=True), DATA, RUNTIME)
    assert list(tasks.tasks) == ["good"]
    assert not set("\x1b\n") & set("".join(videos["video_id"]))


@pytest.mark.skipif(os.name == "nt", reason="names are always Unicode there")
def test_a_folder_whose_name_is_not_utf8_is_told_of(checkpoint, write_video, tmp_path):
    folder = write_video("in/good.mp4").parent
    other = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    other.mkdir()
    shutil.copy(folder / "good.mp4", other / "well_named.mp4")
    _, videos = detect_actions(checkpoint, predict(folder), DATA, RUNTIME)
    assert "is not UTF-8: rename it" in videos.set_index("video_id")["problem"]["well_named"]
    videos.to_parquet(tmp_path / "videos.parquet")  # as the catalog does


def read_and_hang(sign, job):
    """Stands in for a decoder that hangs."""
    hang(sign)


def test_a_video_that_takes_too_long_is_given_up(checkpoint, write_video, tmp_path, monkeypatch):
    sign = tmp_path / "hangs"
    GuardClock(monkeypatch, 0.1, sign)
    monkeypatch.setattr(stream, "read_apart", partial(read_and_hang, sign))
    hasty = RUNTIME.model_copy(update={"decode_timeout": 0.1})
    with pytest.raises(BlockDropError, match=r"long\.mp4: given up: nothing happened for 0\.1 s"):
        detect_actions(checkpoint, predict(write_video("long.mp4")), DATA, hasty)


def test_output_that_is_not_finite_is_told_of_its_video(checkpoint, write_video):
    weights = {
        name: torch.full_like(value, torch.nan) for name, value in checkpoint.weights.items()
    }
    broken = replace(checkpoint, weights=weights)
    with pytest.raises(BlockDropError, match=r"video\.mp4: the model's output .* is not finite"):
        detect_actions(broken, predict(write_video()), DATA, RUNTIME)


def test_precision_is_that_of_the_runtime(checkpoint, write_video):
    config = PredictConfig(videos=str(write_video()), min_score=0)
    full, _ = detect_actions(checkpoint, config, DATA, RUNTIME)
    half, _ = detect_actions(
        checkpoint, config, DATA, RUNTIME.model_copy(update={"precision": "bf16"})
    )
    assert full["score"].max() != half["score"].max()
    assert full["score"].max() == pytest.approx(half["score"].max(), rel=0.02)


def test_nothing_to_do_is_an_error_that_helps(checkpoint, tmp_path):
    with pytest.raises(BlockDropError, match=r"set predict\.videos"):
        detect_actions(checkpoint, PredictConfig(), DATA, RUNTIME)
    with pytest.raises(BlockDropError, match="holds no videos"):
        detect_actions(checkpoint, predict(tmp_path), DATA, RUNTIME)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(BlockDropError, match=r"none of 1 files .*text\.mp4: it is not a video"):
        detect_actions(checkpoint, predict(tmp_path / "text.mp4"), DATA, RUNTIME)


def test_too_high_a_threshold_is_explained(checkpoint, write_video, caplog):
    config = PredictConfig(videos=str(write_video()), min_score=1.0)
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        table, _ = detect_actions(checkpoint, config, DATA, RUNTIME)
    assert table.empty
    assert "the strongest detection has score" in caplog.text


def test_a_wrong_checkpoint_folder_names_its_parameter(tmp_path):
    _, (reader,) = model_used("predict", from_folder=True)
    with pytest.raises(BlockDropError, match=r"predict\.checkpoint: .*not a checkpoint"):
        reader.func(PredictConfig(checkpoint=str(tmp_path)))


def test_the_pipeline_needs_a_checkpoint_folder_and_videos_only(checkpoint, write_video, tmp_path):
    video = write_video("clip, take=1: end.mp4")
    write_checkpoint(checkpoint, tmp_path / "model")
    formats = ("csv", "activitynet", "srt")
    settings = predict(video, checkpoint=str(tmp_path / "model"), draw=True, formats=formats)
    catalog = DataCatalog(
        {
            "params:predict": MemoryDataset(settings),
            "params:data": MemoryDataset(DATA),
            "params:runtime": MemoryDataset(RUNTIME),
            "known_annotations": MemoryDataset(None),
            "playable_videos": VideoFolderDataset(filepath=str(tmp_path / "playable")),
        }
    )
    pipeline = create_pipeline(True, formats)
    assert pipeline.inputs() == {
        "params:predict", "params:data", "params:runtime", "known_annotations",
    }  # fmt: skip
    found = {name: data.load() for name, data in SequentialRunner().run(pipeline, catalog).items()}
    assert set(found["predictions_json"]["results"]) == {"clip, take=1: end"}
    assert set(found["predictions_csv"]["video_id"]) == {"clip, take=1: end"}
    assert " --> " in found["prediction_files"]["srt/clip, take=1: end.srt"]
    assert "toys · step_01 · 2 blocks" in found["predictions_page"]["predictions.html"]
    [task] = found["drawn_videos"].tasks.values()
    task.write(tmp_path / "drawn.mp4")
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000


def test_drawing_is_planned_anew_only_for_other_detections(checkpoint, write_video):
    settings = predict(write_video(), draw=True)
    table, videos = detect_actions(checkpoint, settings, DATA, RUNTIME)

    def plan(table, settings):
        return draw_videos(table, videos, checkpoint, settings, DATA, RUNTIME).tasks

    once, again = plan(table, settings), plan(table, settings)
    assert once["video"].fingerprint == again["video"].fingerprint
    assert plan(table.iloc[1:], settings)["video"].fingerprint != once["video"].fingerprint
    assert plan(table, predict("x")) == {}


def test_without_a_folder_the_model_is_the_final_one():
    assert "final_checkpoint" in create_pipeline(from_folder=False).inputs()
