"""A round through the command line: predict new videos, correct them, learn, predict with that."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from tests.conftest import environment, run_kedro

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.review.corrections import Correction, Edit, Finish, Segment
from tad_blockdrop.review.journal import journal_file, open_journal
from tad_blockdrop.review.loading import load_predictions
from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark, write_video

NEW = SyntheticConfig(seed=7, classes=3, training_videos=3, validation_videos=1, mean_frames=160)
JOB = ["run", "--pipeline", "learn", "--env", "smoke", "--params"]
SETTINGS = "learn.epochs=2,learn.adopt"


def load(folder: Path, name: str):
    bootstrap_project(folder)
    with KedroSession.create(folder, env="smoke") as session:
        return session.load_context().catalog.load(name)


def correct(folder: Path, video: str, *changes) -> None:
    """Correct a predicted video, as ``kedro review`` does."""
    data = folder / "data"
    predictions, version = load_predictions(data, "smoke")
    weights = predictions.model["weights"]
    with open_journal(journal_file(data, "smoke"), "ann", weights, version) as journal:
        journal.add(Correction(video=video, changes=changes), [])


def finish(folder: Path, video: str) -> None:
    """State all actions of a new video, and that there are no others."""
    stated = annotations(plan_benchmark(NEW))["database"][video.removeprefix("new_")]
    edits = [
        Edit(before=None, after=Segment(label=one["label"], start=start, end=end))
        for one in stated["annotations"]
        for start, end in [one["segment"]]
    ]
    correct(folder, video, *edits, Finish(finished=True))


@pytest.fixture(scope="module")
def corrected(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of four new videos and a copy of a test video; two and the copy are finished."""
    folder = tmp_path_factory.mktemp("corrected")
    shutil.copytree(finished_project, folder, dirs_exist_ok=True)
    videos = folder / "new"
    videos.mkdir()
    for plan in plan_benchmark(NEW):
        write_video(plan, videos / f"new_{plan.id}.mp4")
    shutil.copy(folder / "data/01_raw/smoke/videos/val_0000.mp4", videos / "copy.mp4")
    predict = ["run", "--pipeline", "predict", "--env", "smoke", "--params"]
    done = run_kedro(folder, *predict, f"predict.videos={videos}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    finish(folder, "new_train_0000")
    finish(folder, "new_train_0001")
    correct(folder, "copy", Finish(finished=True))
    return folder


@dataclass(frozen=True)
class Round:
    """A project after a round, what the run said, and the model from before."""

    folder: Path
    told: str
    before: Checkpoint


@pytest.fixture(scope="module")
def learned(corrected: Path, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """A round whose model is adopted."""
    folder = tmp_path_factory.mktemp("learned")
    shutil.copytree(corrected, folder, dirs_exist_ok=True)
    before = load(folder, "final_checkpoint")
    done = run_kedro(folder, *JOB, f"{SETTINGS}=always")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Round(folder, " ".join(done.stdout.split()), before)


def test_the_model_that_has_learned_is_the_one_to_use(learned: Round) -> None:
    final = load(learned.folder, "final_checkpoint")
    assert weights_hash(final.weights) == weights_hash(
        load(learned.folder, "learned_checkpoint").weights
    )
    assert final.lineage["parent"] == weights_hash(learned.before.weights)
    assert final.lineage["rounds"] == 1
    assert final.kept_blocks == learned.before.kept_blocks, "it stays as short as it was"
    assert len(load(learned.folder, "learned_history")) == 2


def test_new_videos_are_learned_from_but_no_copy_of_a_test_video(learned: Round) -> None:
    assert "2 new video(s) beside the 14 of the dataset" in learned.told
    assert "copy: it is the same video as 'val_0000'; left out" in learned.told
    problems = load(learned.folder, "learned_problems")
    assert "copy" in set(problems["video_id"])


def test_it_is_told_whether_it_got_better(learned: Round) -> None:
    outcome = load(learned.folder, "learned_outcome")
    assert outcome["adopted"]
    assert outcome["sentence"] in learned.told
    table = load(learned.folder, "learned_comparison")
    assert set(table["split"]) == {"holdout", "test"}
    held_out = table[table["split"] == "holdout"]
    videos = load(learned.folder, "videos")
    own = videos.loc[videos["split"] == "holdout", "video_id"]
    assert set(held_out.loc[held_out["of"] == "video", "name"]) == set(own)
    assert held_out["after"].iloc[0] == pytest.approx(outcome["after"])


def test_the_report_stays_about_the_model_that_the_loop_chose(
    learned: Round, tmp_path: Path
) -> None:
    """No number comes from the thresholds of one model and the detections of another."""
    shutil.copytree(learned.folder, tmp_path, dirs_exist_ok=True)
    tables = ("rate_table", "error_table", "bout_table", "point_table", "reliability_table")
    before = {name: load(tmp_path, name) for name in tables}
    assert "has learned again since" not in load(tmp_path, "html_report")
    done = run_kedro(tmp_path, "run", "--pipeline", "report", "--env", "smoke")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for name, table in before.items():
        pd.testing.assert_frame_equal(load(tmp_path, name), table)
    held_out, *_ = load(tmp_path, "learned_comparison").to_dict("records")
    numbers = f"from {held_out['before']:.1f} to {held_out['after']:.1f} % on held-out videos"
    for said in (load(tmp_path, "html_report"), " ".join(done.stdout.split())):
        assert "it has learned again since. Its last round changed" in said
        assert numbers in said


def test_what_to_annotate_next(learned: Round) -> None:
    table = load(learned.folder, "annotate_next")
    assert set(table["video_id"]) == {"new_train_0002", "new_val_0000"}
    assert list(table["worth"]) == sorted(table["worth"], reverse=True)


def test_a_killed_round_goes_on_to_the_same_model(corrected: Path, learned: Round) -> None:
    before = weights_hash(load(corrected, "final_checkpoint").weights)
    state = corrected / "data/06_models/smoke/scratch/learn.learn_again"
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *JOB, f"{SETTINGS}=never"], cwd=corrected,
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while process.poll() is None and not state.exists():
        time.sleep(0.02)
    assert process.poll() is None, "it is killed in the middle"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = run_kedro(corrected, *JOB, f"{SETTINGS}=never")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not state.exists()
    found = load(corrected, "learned_checkpoint").weights
    wanted = load(learned.folder, "learned_checkpoint").weights
    assert weights_hash(found) == weights_hash(wanted)
    assert weights_hash(load(corrected, "final_checkpoint").weights) == before
    assert "It is not adopted (learn.adopt is never)" in " ".join(done.stdout.split())


def test_without_corrections_nothing_begins(finished_copy: Path) -> None:
    refused = run_kedro(finished_copy, *JOB, f"{SETTINGS}=never")
    assert refused.returncode == 1
    assert "there are no corrections at" in refused.stderr
    assert "Traceback" not in refused.stderr
