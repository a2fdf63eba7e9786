"""One experiment, one truth: data that change, versions of the future, damage, a run under way."""

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tests.conftest import run_kedro

JOB = ["run", "--pipeline", "compress", "--env", "smoke"]
VERSIONS = ["versions", "--experiment", "smoke"]
ANNOTATIONS = "data/01_raw/smoke/annotations.json"
RECORD = "data/06_models/smoke/experiment.json"


def load(folder: Path, name: str) -> Any:
    bootstrap_project(folder)
    with KedroSession.create(folder, env="smoke") as session:
        return session.load_context().catalog.load(name)


def go_on(folder: Path) -> CompletedProcess[str]:
    return run_kedro(folder, *JOB, "--only-missing-outputs")


def said(done: CompletedProcess[str], code: int) -> str:
    text = done.stdout + done.stderr
    assert done.returncode == code, text[-3000:]
    assert "Traceback" not in text
    return text


def edit(folder: Path, change: Any) -> None:
    file = folder / ANNOTATIONS
    raw = json.loads(file.read_text())
    change(raw["database"])
    file.write_text(json.dumps(raw))


def reverse(database: dict[str, Any]) -> None:
    for key in reversed(list(database)):
        database[key] = dict(database.pop(key))


def rename(database: dict[str, Any]) -> None:
    """Other labels in one video of the test set."""
    for action in database["val_0000"]["annotations"]:
        action["label"] = "a class of its own"
        del action["label_id"]


def test_edited_annotations_stop_a_run_until_a_choice_is_made(finished_copy: Path) -> None:
    before = load(finished_copy, "dataset")
    edit(finished_copy, reverse)
    said(go_on(finished_copy), 0)  # the order of the rows does not matter
    edit(finished_copy, rename)
    for command in (JOB, [*JOB, "--only-missing-outputs"], ["run", "--env", "smoke", "--pipeline",
                    "report"]):  # fmt: skip
        text = said(run_kedro(finished_copy, *command), 1)
        assert "annotations: changed: val_0000" in text
        assert "--params experiment=<name>" in text
        assert "kedro versions --experiment smoke --delete --from data" in text
    said(run_kedro(finished_copy, "run", "--env", "smoke", "--pipeline", "export_weights"), 0)
    assert load(finished_copy, "dataset").identity == before.identity

    said(run_kedro(finished_copy, *VERSIONS, "--delete", "--from", "data", "--yes"), 0)
    record = json.loads((finished_copy / RECORD).read_text())
    assert record["parameters"] == {}
    assert "data" not in record
    assert not list(finished_copy.glob("data/0[678]_*/smoke/**/config.json"))
    data = ["run", "--pipeline", "data", "--env", "smoke", "--only-missing-outputs"]
    said(run_kedro(finished_copy, *data), 0)
    assert "a class of its own" in load(finished_copy, "dataset").classes


def test_a_video_that_was_exchanged_stops_a_run(finished_copy: Path) -> None:
    videos = finished_copy / "data/01_raw/smoke/videos"
    (videos / "train_0001.mp4").touch()  # the same content
    said(go_on(finished_copy), 0)
    shutil.copy(videos / "train_0002.mp4", videos / "train_0001.mp4")
    assert "videos: changed or gone: data/01_raw/smoke/videos/train_0001.mp4" in said(
        go_on(finished_copy), 1
    )


def test_frames_that_were_damaged_are_not_learned_from(finished_copy: Path) -> None:
    frames = finished_copy / "data/02_intermediate/smoke/proxies/train_0003.mp4"
    content = bytearray(frames.read_bytes())
    content[len(content) // 2] ^= 4
    frames.write_bytes(content)
    shutil.rmtree(finished_copy / "data/06_models/smoke/baseline_checkpoint")
    text = said(run_kedro(finished_copy, "run", "--pipeline", "baseline", "--env", "smoke"), 1)
    assert "train_0003.mp4: its checksum differs" in text


def as_before_checksums(folder: Path, home: Path) -> None:
    """An experiment that an older version of this program finished in ``home``."""
    for seal in [*folder.glob("data/**/*.sha256"), *folder.glob("data/**/SHA256SUMS")]:
        seal.unlink()
    for stamp in folder.glob("data/**/*.made.json"):
        facts = json.loads(stamp.read_text())
        del facts["file"]
        stamp.write_text(json.dumps(facts))
    for table in folder.glob("data/0[23]_*/smoke/video*.parquet"):
        stored = pd.read_parquet(table).drop(columns="content", errors="ignore")
        stored.assign(path=[str(home / path) for path in stored["path"]]).to_parquet(table)
    record = json.loads((folder / RECORD).read_text())
    del record["data"], record["sealed"]
    (folder / RECORD).write_text(json.dumps(record))


def test_an_experiment_from_before_checksums_gets_them(
    finished_project: Path, finished_copy: Path
) -> None:
    as_before_checksums(finished_copy, finished_project)
    text = said(go_on(finished_copy), 0)
    assert "is from before there were checksums" in text
    assert "is from before its data were recorded" in text
    assert load(finished_copy, "dataset").identity == load(finished_project, "dataset").identity
    assert "from before" not in said(go_on(finished_copy), 0)
    assert "0 faults" in said(run_kedro(finished_copy, "versions", "--check"), 0)
    edit(finished_copy, rename)
    assert "annotations: changed: val_0000" in said(go_on(finished_copy), 1)

    as_before_checksums(finished_copy, finished_project)
    (finished_copy / ANNOTATIONS).unlink()
    report = run_kedro(finished_copy, "run", "--pipeline", "report", "--env", "smoke")
    assert "what this experiment was made from cannot be recorded" in said(report, 0)


def test_versions_check_names_what_is_damaged_or_of_another_generation(
    finished_copy: Path,
) -> None:
    [metrics] = finished_copy.glob(
        "data/07_model_output/smoke/baseline_metrics.parquet/*/*.parquet"
    )
    whole = metrics.read_bytes()
    metrics.write_bytes(bytes([*whole[:50], whole[50] ^ 1, *whole[51:]]))
    text = said(run_kedro(finished_copy, "versions", "--check"), 1)
    assert f"{metrics.relative_to(finished_copy)} is not what was written" in text
    assert "checked, 1 faults" in text
    metrics.write_bytes(whole)

    models = finished_copy / "data/06_models/smoke"
    [baseline] = models.glob("baseline_checkpoint/*")
    [step] = models.glob("compress/step_01/checkpoint/*")
    shutil.copytree(step / "checkpoint", baseline / "other")
    shutil.rmtree(baseline / "baseline_checkpoint")
    (baseline / "other").rename(baseline / "baseline_checkpoint")
    text = said(run_kedro(finished_copy, "versions", "--check"), 1)
    assert "was made from another baseline_checkpoint than the one that is there now" in text
    report = run_kedro(finished_copy, "run", "--pipeline", "report", "--env", "smoke")
    assert "two different versions of baseline_checkpoint" in said(report, 1)


@pytest.mark.parametrize("how", [["--delete"], ["--delete", "--from", "report"], ["--keep", "1"]])
def test_nothing_is_deleted_in_the_middle_of_a_run(finished_copy: Path, how: list[str]) -> None:
    models = finished_copy / "data/06_models/smoke"
    old = models / "final_checkpoint/2020-01-01T00.00.00.000Z/final_checkpoint"
    shutil.copytree(next(models.glob("final_checkpoint/*/final_checkpoint")), old)
    (models / ".running").write_text("process 4711, started then")
    before = sorted(finished_copy.glob("data/**/*"))
    with FileLock(models / ".lock"):
        text = said(run_kedro(finished_copy, *VERSIONS, *how, "--yes"), 1)
    assert "experiment 'smoke' is being run by process 4711" in text
    assert sorted(finished_copy.glob("data/**/*")) == before
    said(run_kedro(finished_copy, *VERSIONS, *how, "--yes"), 0)
    assert old.exists() == ("report" in how)
    assert models.exists() == (how != ["--delete"])


def test_a_version_of_the_future_is_told(finished_copy: Path) -> None:
    entry = finished_copy / "data/08_reporting/smoke/result_table.csv"
    shutil.copytree(next(entry.iterdir()), entry / "2999-01-01T00.00.00.000Z")
    told = "".join(said(go_on(finished_copy), 0).split())
    assert "2999-01-01T00.00.00.000Zisdatedinthefuture" in told
    report = run_kedro(finished_copy, "run", "--pipeline", "report", "--env", "smoke")
    text = said(report, 1)
    assert "would never be used: set the clock right, or remove these folders" in text
    assert "result_table.csv/2999-01-01T00.00.00.000Z" in text
