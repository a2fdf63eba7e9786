"""A predictor finds what evaluation finds, and keeps what the operating point says."""

import itertools
import logging
import os
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from prediction_videos import KINDS, evaluation_record

from tad_blockdrop.config import DataConfig
from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.detections.pooling import detect
from tad_blockdrop.detections.postprocess import overlaps
from tad_blockdrop.detector.checkpoint import CheckpointError, newest_checkpoint, write_checkpoint
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE
from tad_blockdrop.prediction.predictor import load_predictor, make_predictor
from tad_blockdrop.prediction.stream import read_apart, read_video
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.guarded_processes import GuardedStream
from tad_blockdrop.video.files.proxies import write_proxy
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.loading import TestWindows, make_loader

EACH = Sampling(every=1)


def evaluated(checkpoint, record):
    data = DataConfig(every=1, window=checkpoint.window)
    loader = make_loader(TestWindows([record], data, checkpoint.window.overlap), 1, 0)
    model = from_checkpoint(checkpoint)
    return detect(model, loader, [record], checkpoint.classes, checkpoint.postprocess)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", ["sliding", "resize"])
def test_detections_are_exactly_those_of_evaluation(kind, window, checkpoint, write_video):
    path = write_video(**KINDS[kind])
    checkpoint = replace(checkpoint, window=checkpoint.window.model_copy(update={"kind": window}))
    expected = evaluated(checkpoint, evaluation_record(path, EACH))
    assert len(expected) > 0
    pd.testing.assert_frame_equal(make_predictor(checkpoint).detect(path, 0), expected)


def test_proxies_change_little(checkpoint, write_video, tmp_path):
    """Every proposal is found again; nothing decays, as small changes reorder near-equal scores."""
    undecayed = checkpoint.postprocess.model_copy(update={"sigma": 1e6, "max_detections": 2000})
    checkpoint = replace(checkpoint, postprocess=undecayed)
    path = write_video(size=(36, 36))
    proxy = tmp_path / "proxy.mp4"
    config = ProxyConfig(short_side=36, crf=1)
    facts = write_proxy(path, proxy, EACH, config)
    record = replace(evaluation_record(path, EACH), path=str(proxy), source_indices=None)
    assert facts["n_samples"] == record.n_samples
    through_proxy = evaluated(checkpoint, record)
    direct = make_predictor(checkpoint).detect(path, 0)
    for row in through_proxy.itertuples():
        same = direct[direct["label"] == row.label]
        near = overlaps(same[["start", "end"]].to_numpy(), np.array([[row.start, row.end]]))[:, 0]
        alike = same[(near > 0.8) & ((same["score"] - row.score).abs() < 0.05)]
        assert len(alike), row


def test_windows_at_a_time_change_nothing(checkpoint, write_video):
    predictor, path = make_predictor(checkpoint), write_video()
    one = predictor.predict(path, "a", 0, batch=1).detections
    many = predictor.predict(path, "a", 0, batch=5).detections
    pd.testing.assert_frame_equal(one, many, rtol=1e-4, atol=1e-5)


def dies(job):
    yield from itertools.islice(read_video(job), 2)
    os._exit(9)


def test_a_process_of_its_own_changes_nothing_and_its_death_is_a_broken_video(
    checkpoint, write_video
):
    predictor, path = make_predictor(checkpoint), write_video()
    here = predictor.predict(path, "a", 0).detections
    with closing(GuardedStream(read_apart, 30.0)) as reader:
        pd.testing.assert_frame_equal(predictor.predict(path, "a", 0, 1, reader).detections, here)
        with pytest.raises(DecodeError, match="no such file"):
            predictor.predict(path.parent / "none.mp4", "b", 0, 1, reader)
        pd.testing.assert_frame_equal(predictor.predict(path, "a", 0, 1, reader).detections, here)
    with (
        closing(GuardedStream(dies, 30.0)) as reader,
        pytest.raises(DecodeError, match=r"video\.mp4: given up: its process died .*9"),
    ):
        predictor.predict(path, "a", 0, 1, reader)


def test_scores_are_cut_at_the_operating_point_of_each_class(checkpoint, write_video):
    path = write_video()
    everything = make_predictor(checkpoint).detect(path, 0)
    top = everything.groupby("label")["score"].max()
    point = {"run": top["run"] - 0.005, "jump": 1.0, "swim": None}
    predictor = make_predictor(replace(checkpoint, metrics={"operating_point": point}))
    limits = everything["label"].map({"run": point["run"], "jump": 1.0, "swim": DEFAULT_SCORE})
    expected = everything[everything["score"] >= limits].reset_index(drop=True)
    found = predictor.detect(path)
    pd.testing.assert_frame_equal(found, expected)
    assert 0 < (found["label"] == "run").sum() < (everything["label"] == "run").sum()
    assert not (found["label"] == "jump").any()
    pd.testing.assert_frame_equal(predictor.detect(path, min_score=0), everything)


def test_long_videos_are_not_cut_short(checkpoint, write_video):
    """What evaluation keeps of a video is no limit where a score is one."""
    path = write_video(length=300)
    few = checkpoint.postprocess.model_copy(update={"max_detections": 20})
    many = checkpoint.postprocess.model_copy(update={"max_detections": 5000})
    found = make_predictor(replace(checkpoint, postprocess=few)).detect(path, 0.1)
    everything = make_predictor(replace(checkpoint, postprocess=many)).detect(path, 0)
    expected = everything[everything["score"] >= 0.1]
    assert len(expected) > 20
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


def test_without_operating_point_the_default_is_used_and_told(checkpoint, write_video, caplog):
    with caplog.at_level(logging.WARNING):
        predictor = make_predictor(checkpoint)
    assert "operating point" in caplog.text
    assert predictor.detect(write_video())["score"].min() >= DEFAULT_SCORE


def test_what_was_found_is_known_where_nothing_is_kept(checkpoint, write_video):
    path = write_video()
    predictor = make_predictor(checkpoint)
    found = predictor.predict(path, "a", min_score=1.0)
    assert found.detections.empty
    assert found.detections.columns.tolist() == ["video_id", "start", "end", "label", "score"]
    assert found.strongest == pytest.approx(predictor.detect(path, 0)["score"].max(), rel=1e-5)
    assert found.duration == pytest.approx(6.0)
    assert found.speed == pytest.approx(found.duration / found.seconds)


def test_three_lines_from_a_folder_to_a_table(checkpoint, write_video, tmp_path):
    entry = tmp_path / "final_checkpoint"
    for version in ("2026-01-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"):
        (entry / version).mkdir(parents=True)
        write_checkpoint(checkpoint, entry / version / "final_checkpoint")
    assert newest_checkpoint(entry).parent.name.startswith("2026-02")
    predictor = load_predictor(entry)
    table = predictor.detect(str(write_video("walk.mp4")), min_score=0.05)
    assert set(table["video_id"]) == {"walk"}
    assert set(table["label"]) <= set(checkpoint.classes)
    assert (table["end"] > table["start"]).all()
    assert table["end"].max() <= 6.0


def test_a_folder_without_checkpoint_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_predictor(tmp_path)


def test_what_is_not_a_video_is_said(checkpoint, tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(DecodeError, match=r"notes\.mp4: it is not a video"):
        make_predictor(checkpoint).detect(text)


def test_gradients_are_not_recorded(checkpoint, write_video, monkeypatch):
    predictor = make_predictor(checkpoint)
    modes = []
    predictor.model.register_forward_hook(
        lambda *_: modes.append(torch.is_inference_mode_enabled())
    )
    predictor.detect(write_video())
    assert modes
    assert all(modes)
