"""Which thresholds a checkpoint is used with, and what is said of them."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tad_blockdrop.checksums import verify
from tad_blockdrop.config import DataConfig, RuntimeConfig
from tad_blockdrop.config.predict import BEST_F1, PredictConfig, Wish
from tad_blockdrop.datasets.checkpoint import CheckpointDataset
from tad_blockdrop.detector.checkpoint import (
    CheckpointError,
    read_checkpoint,
    write_checkpoint,
)
from tad_blockdrop.detector.decisions import DECISIONS_FILE, Calibration, Decisions
from tad_blockdrop.metrics.operating_point import DEFAULT_SCORE, NoPointError, shown, thresholds
from tad_blockdrop.pipelines.predict.nodes import (
    describe_model,
    detect_actions,
    write_activitynet,
    write_table,
)
from tad_blockdrop.prediction.expectation import expectations
from tad_blockdrop.prediction.predictor import load_predictor, make_predictor

COUNTS = Wish("counts")


def stated(*points):
    return Decisions.model_validate_json(
        '{"split": "holdout", "videos": 3, "actions": 9, "tiou": 0.5, "points": ['
        + ", ".join(points)
        + "]}"
    )


def test_a_checkpoint_is_used_with_the_next_point_that_is_as_good_as_asked(checkpoint):
    decisions = stated(
        '{"purpose": "f1", "asked": null, "thresholds": {"run": 0.3}}',
        '{"purpose": "precision", "asked": 0.9, "thresholds": {"run": 0.6, "jump": 0.5}}',
        '{"purpose": "precision", "asked": 0.8, "thresholds": {"run": 0.4, "jump": 0.4}}',
    )
    made = replace(checkpoint, decisions=decisions, metrics={"operating_point": {"run": 0.9}})
    rest = dict.fromkeys(set(checkpoint.classes) - {"run"}, DEFAULT_SCORE)
    assert thresholds(made) == {"run": 0.3} | rest
    assert thresholds(made, Wish("precision", 0.75))["run"] == 0.4
    assert thresholds(made, Wish("precision", 0.8))["run"] == 0.4
    assert thresholds(made, Wish("precision", 0.81))["jump"] == 0.5
    with pytest.raises(NoPointError, match="ask for less"):
        thresholds(made, Wish("precision", 0.95))


def test_a_checkpoint_from_before_there_were_purposes_has_its_best_f1_only(checkpoint):
    old = replace(checkpoint, metrics={"operating_point": {"run": 0.5, "jump": None}})
    limits = thresholds(old)
    assert limits.pop("run") == 0.5
    assert set(limits.values()) == {DEFAULT_SCORE}
    assert set(thresholds(checkpoint).values()) == {DEFAULT_SCORE}
    with pytest.raises(NoPointError, match=r"predict\.min_score"):
        thresholds(old, COUNTS)


FULL = {
    "split": "holdout", "videos": 12, "actions": 143, "tiou": 0.5,
    "points": [
        {
            "purpose": "f1", "asked": None, "thresholds": {"run": 0.2, "jump": 0.3, "swim": 0.3},
            "common": ["jump", "swim"],
            "expected": {
                "precision": [0.83, 0.71, 0.9], "recall": [0.6, None, None],
                "ratio": [0.72, None, None],
            },
        },
        {
            "purpose": "precision", "asked": 0.9, "common": ["jump", "swim"],
            "thresholds": {"run": 0.5, "jump": 0.4, "swim": 0.4}, "unmet": {"run": 0.71},
        },
    ],
}  # fmt: skip


@pytest.fixture
def decided(checkpoint):
    return replace(checkpoint, decisions=Decisions.model_validate_json(json.dumps(FULL)))


def test_decisions_travel_with_the_checkpoint(decided, tmp_path):
    entry = CheckpointDataset(filepath=str(tmp_path / "model"))
    entry.save(decided)
    assert entry.load().decisions == decided.decisions
    assert DECISIONS_FILE in verify(tmp_path / "model").files
    file = tmp_path / "model" / DECISIONS_FILE
    file.write_text(file.read_text().replace("0.71", "0.99"))
    with pytest.raises(CheckpointError, match="checksum differs"):
        read_checkpoint(tmp_path / "model")
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        read_checkpoint(tmp_path / "model")


def test_decisions_put_beside_a_sealed_checkpoint_are_refused(checkpoint, tmp_path):
    entry = CheckpointDataset(filepath=str(tmp_path / "model"))
    entry.save(checkpoint)
    assert entry.load().decisions is None
    (tmp_path / "model" / DECISIONS_FILE).write_text(json.dumps(FULL))
    with pytest.raises(CheckpointError, match="remove the file"):
        read_checkpoint(tmp_path / "model")


@pytest.mark.parametrize("text", ["{", '{"split": "test"}', json.dumps(FULL | {"points": []})])
def test_unreadable_decisions_are_refused(decided, tmp_path, text):
    write_checkpoint(decided, tmp_path / "model")
    (tmp_path / "model" / DECISIONS_FILE).write_text(text)
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        read_checkpoint(tmp_path / "model")


def test_what_is_asked_for_is_what_is_kept(decided, write_video, tmp_path):
    write_checkpoint(decided, tmp_path / "model")
    path = write_video()
    everything = make_predictor(decided).detect(path, 0)
    for wish in (BEST_F1, Wish("precision", 0.9)):
        found = load_predictor(tmp_path / "model", wish=wish).detect(path)
        expected = shown(everything, thresholds(decided, wish)).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)
    settings = PredictConfig(videos=str(path), precision=0.85)
    runtime = RuntimeConfig(threads=1, device="cpu", workers=1)
    found, _ = detect_actions(decided, settings, DataConfig(every=1, clock="player"), runtime)
    assert found["score"].tolist() == expected["score"].tolist()


def test_probabilities_stand_beside_scores_and_change_no_order(decided, write_video):
    line = Calibration(method="logistic", scores=[0.2, 1.0], probabilities=[0.1, 0.7])
    calibrated = replace(
        decided, decisions=decided.decisions.model_copy(update={"calibration": line})
    )
    path = write_video()
    plain, found = (make_predictor(each).detect(path) for each in (decided, calibrated))
    pd.testing.assert_frame_equal(found.drop(columns="probability"), plain)
    expected = np.interp(found["score"], [0, 0.2, 1], [0, 0.1, 0.7])
    assert found["probability"].tolist() == pytest.approx(expected)
    nothing = make_predictor(calibrated).detect(path, 1.0)
    assert nothing.empty
    assert "probability" in nothing
    settings = PredictConfig(videos=str(path))
    runtime = RuntimeConfig(threads=1, device="cpu", workers=1)
    data = DataConfig(every=1, clock="player")
    table, videos = detect_actions(calibrated, settings, data, runtime)
    assert list(write_table(table))[-2:] == ["score", "probability"]
    assert write_activitynet(table, videos)["results"]["video"]


def test_pages_and_log_say_what_to_expect(decided, caplog):
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        model = describe_model(decided, PredictConfig())
    assert model["thresholds"] == {"run": 0.2, "jump": 0.3, "swim": 0.3}
    point, expected, few = model["expected"]
    assert point == "The thresholds are for the best F1."
    assert "precision of 83 % [71, 90], a recall of 60 % and 0.72 detections for each" in expected
    assert "12 held-out ones (143 actions)" in expected
    assert few.endswith("of their own: jump, swim.")
    assert expected in caplog.text


def test_a_wish_out_of_reach_is_told_with_the_best_there_is(decided):
    said = expectations(decided, PredictConfig(precision=0.9))
    assert said[0] == "The thresholds are for a precision of at least 90 %."
    assert said[1].endswith("the best that can be had is used: run (71 %).")


def test_expecting_less_than_is_asked_for_is_said(decided):
    first, second = decided.decisions.points
    points = [first, second.model_copy(update={"expected": first.expected})]
    few = replace(decided, decisions=decided.decisions.model_copy(update={"points": points}))
    short = "That is less precision than was asked for."
    assert short in expectations(few, PredictConfig(precision=0.85))
    assert short not in expectations(few, PredictConfig(precision=0.8))
    assert not any("less" in said for said in expectations(few, PredictConfig()))


def test_training_videos_are_said_to_flatter(decided):
    flattered = decided.decisions.model_copy(update={"split": "train"})
    said = expectations(replace(decided, decisions=flattered), PredictConfig())
    assert "others will come out worse" in said[1]


def test_without_decisions_nothing_is_promised(checkpoint):
    (said,) = expectations(checkpoint, PredictConfig())
    assert "not known" in said
    (said,) = expectations(checkpoint, PredictConfig(min_score=0.3))
    assert "at least 0.3" in said


@pytest.mark.parametrize(
    ("settings", "wish"),
    [
        ({}, BEST_F1),
        ({"purpose": "f1"}, BEST_F1),
        ({"purpose": "counts"}, COUNTS),
        ({"precision": 0.9}, Wish("precision", 0.9)),
        ({"purpose": "recall", "recall": 0.8}, Wish("recall", 0.8)),
    ],
)
def test_wishes(settings, wish):
    assert PredictConfig(**settings).wish == wish


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"precision": 0.9, "recall": 0.8}, "cannot both be asked for"),
        ({"purpose": "precision"}, r"needs predict\.precision"),
        ({"purpose": "precision", "recall": 0.8}, r"and not predict\.recall"),
        ({"purpose": "f1", "recall": 0.8}, "asks for no recall"),
        ({"purpose": "counts", "precision": 0.8}, "asks for no precision"),
        ({"min_score": 0.2, "purpose": "counts"}, "give one of them"),
        ({"min_score": 0.2, "recall": 0.5}, r"and predict\.recall would"),
        ({"precision": 1}, "less than 1"),
        ({"purpose": "best"}, "counts"),
    ],
)
def test_wishes_that_contradict_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        PredictConfig(**settings)
