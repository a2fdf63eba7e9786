"""The watch pipeline as a person runs it, to the end of a file and until it is stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import Kedro, environment

from tad_blockdrop.datasets.lines import CSVLines, JSONLines
from tad_blockdrop.detector.checkpoint import write_checkpoint
from tad_blockdrop.prediction.live.lines import COLUMNS
from tad_blockdrop.prediction.predictor import load_predictor
from tad_blockdrop.storage.experiment_files import artefacts


def command(project: Path, source: object, more: str = "") -> list[str]:
    settings = f"experiment=mine,watch.source={source},watch.checkpoint={project / 'model'}"
    return ["run", "--pipeline", "watch", "--params", settings + more]


def only(folder: Path, pattern: str) -> Path:
    [path] = folder.glob(pattern)
    return path


def test_a_file_to_its_end(kedro: Kedro, project, checkpoint, write_video):
    write_checkpoint(checkpoint, project / "model")
    path = write_video("0001.mp4", length=200)
    os.utime(path, (1e9, 1e9))
    done = kedro(*command(project, path, ",watch.min_score=0.27,watch.max_delay=100"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    file = only(project, "data/07_model_output/mine/watched.csv/*/watched.csv")
    shown = done.stdout.replace("\n", "").replace(" ", "")
    assert str(file) in shown
    assert file not in artefacts(project / "data", "mine"), "nothing seals it"
    lines = pd.read_csv(file)
    assert lines.columns.tolist() == list(COLUMNS)
    assert lines["event"].iloc[[0, -1]].tolist() == ["began", "ended"]
    found = lines[lines["event"] == "detection"].sort_values(["start", "end"])
    expected = load_predictor(project / "model").detect(path, 0.27).sort_values(["start", "end"])
    columns = ["start", "end", "label", "score"]
    pd.testing.assert_frame_equal(
        found[columns].reset_index(drop=True),
        expected[columns].reset_index(drop=True),
        atol=1e-4, check_dtype=False,
    )  # fmt: skip
    assert f"{len(found)} detections in 20.0 s" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_stop_signal_ends_it_with_whole_lines(project, checkpoint, write_video):
    write_checkpoint(checkpoint, project / "model")
    path = write_video("long.mp4", length=3000)
    more = ",watch.format=jsonl,watch.min_score=0.27"
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *command(project, path, more)], cwd=project,
        env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if ", score " in line:
            break
    process.send_signal(signal.SIGINT)
    shown, told = process.communicate()
    assert process.returncode == 0, told
    assert "SIGINT: what is under way is written" in told
    assert "Traceback" not in told + shown
    file = only(project, "data/07_model_output/mine/watched.jsonl/*/watched.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert rows[-1] == {"event": "ended", "start": rows[-1]["start"], "note": "stopped"}
    assert 0 < rows[-1]["start"] < 300
    assert any(row["event"] == "detection" for row in rows)


def test_what_cannot_be_watched_is_one_sentence(kedro: Kedro, project, checkpoint):
    write_checkpoint(checkpoint, project / "model")
    done = kedro(*command(project, "97"))
    assert done.returncode == 1
    assert "camera 97: " in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(project.glob("data/07_model_output/mine/watched*"))


def test_before_there_is_a_model_the_way_to_one_is_told(kedro: Kedro):
    done = kedro("run", "--pipeline", "watch", "--params", "watch.source=0")
    assert done.returncode == 1
    assert "no final_checkpoint yet: run the job that makes it first" in done.stderr


@pytest.mark.parametrize("kind", [CSVLines, JSONLines])
def test_lines_are_in_the_file_at_once_and_come_back(kind, tmp_path):
    entry = kind(filepath=str(tmp_path / "lines"))
    rows = [
        {"event": "began", "time": "2026-01-01T00:00:00.000+00:00", "start": 0.0, "note": "a, b"},
        {"event": "detection", "start": 1.5, "end": 2.5, "label": "=1+1", "score": 0.5},
    ]  # fmt: skip
    for count, row in enumerate(rows, start=1):
        entry.save(row)
        assert len(kind(filepath=str(tmp_path / "lines")).load()) == count
    expected = pd.DataFrame(rows, columns=list(COLUMNS))
    pd.testing.assert_frame_equal(entry.load(), expected, check_dtype=False)
    assert (kind is CSVLines) == ("'=1+1" in (tmp_path / "lines").read_text())
