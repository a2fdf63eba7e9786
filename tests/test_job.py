"""The whole job through the command line, on tiny generated videos that are really encoded."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tests.conftest import environment, run_kedro, tiny_project

JOB = ["run", "--pipeline", "compress", "--env", "smoke"]
STEPS = ("compress.step_01.checkpoint", "compress.step_02.checkpoint")


def load(folder: Path, name: str):
    bootstrap_project(folder)
    with KedroSession.create(folder, env="smoke") as session:
        return session.load_context().catalog.load(name)


def results(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables that must repeat."""
    return {name: load(folder, name) for name in ("result_table", "score_table", "class_table")}


def test_models_get_physically_shorter_and_know_their_parents(finished_project: Path) -> None:
    chain: list[Checkpoint] = [
        load(finished_project, name) for name in ("baseline_checkpoint", *STEPS)
    ]
    assert [len(c.kept_blocks) for c in chain] == [8, 7, 6]
    for parent, child in pairwise(chain):
        assert child.lineage["parent"] == weights_hash(parent.weights)
        gone = child.lineage["dropped_block"]
        assert set(parent.kept_blocks) - set(child.kept_blocks) == {gone}
        assert not [name for name in child.weights if f"blocks.{gone}." in name]
        assert "generated" in child.lineage["provenance"]
    assert load(finished_project, "final_checkpoint").kept_blocks == chain[-1].kept_blocks


def test_the_result_table_has_every_model(finished_project: Path) -> None:
    table = load(finished_project, "result_table")
    assert list(table["model"]) == [
        "uncompressed", "step_01", "step_02", "control_01", "control_02",
        "one_shot_01", "one_shot_02",
    ]  # fmt: skip
    assert table["average"].between(0, 100).all()
    steps = table.set_index("model")["gmacs"]
    assert steps["uncompressed"] > steps["step_01"] > steps["step_02"]
    assert steps["control_02"] == steps["uncompressed"]


def test_the_report_is_there_and_self_contained(finished_project: Path) -> None:
    page = load(finished_project, "html_report")
    assert "step 2" in page
    assert "<script src=" not in page
    assert "What the repairs put back" in page


def test_a_finished_run_is_not_done_again(finished_copy: Path) -> None:
    models = finished_copy / "data/06_models/smoke"

    def versions() -> list[Path]:
        return sorted(models.glob("**/????-??-??T*Z"))

    before = versions()
    assert len(before) >= 5
    again = run_kedro(finished_copy, *JOB, "--only-missing-outputs")
    assert again.returncode == 0
    assert "step_02" in again.stdout, "the results are shown again"
    assert versions() == before


def test_the_report_is_made_again_from_an_older_version(finished_copy: Path) -> None:
    """By its pipeline alone, and with what may change in an experiment."""
    entry = finished_copy / "data/06_models/smoke/compress/step_01/checkpoint"
    [version] = (folder.name for folder in entry.iterdir())
    before = load(finished_copy, "result_table")
    done = run_kedro(
        finished_copy, "run", "--pipeline", "report", "--env", "smoke",
        "--params", "report.timelines=2",
        "--load-versions", f"compress.step_01.checkpoint:{version}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    reports = finished_copy / "data/08_reporting/smoke/report.html"
    assert len(list(reports.iterdir())) == 2
    pd.testing.assert_frame_equal(load(finished_copy, "result_table"), before)


def test_the_loop_runs_without_a_gradient(finished_project: Path, tmp_path: Path) -> None:
    """Candidates are repaired and rated, models repaired and never aligned."""
    folder = tiny_project(tmp_path / "repaired")
    given = next(finished_project.glob("data/06_models/smoke/baseline_checkpoint/*/*"))
    done = run_kedro(
        folder, *JOB, "--params",
        "compress.repair=all,compress.align=null,compress.criterion=repaired_features,"
        "evaluation.postprocess.sigma=0.2,"
        f"baseline.source=checkpoint,baseline.checkpoint={given}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made = [load(folder, name) for name in ("baseline_checkpoint", *STEPS, "final_checkpoint")]
    assert {checkpoint.postprocess.sigma for checkpoint in made} == {0.2}
    assert load(finished_project, "baseline_checkpoint").decisions != made[0].decisions
    repairs = load(folder, "repair_table")
    assert set(repairs["step"]) == {1, 2}
    assert (repairs["after"] <= repairs["before"]).all()
    last = load(folder, "compress.step_02.checkpoint")
    assert last.lineage["repaired"] == "all"
    assert len(last.kept_blocks) == 6
    teacher = load(folder, "baseline_checkpoint")
    changed = {name for name, value in last.weights.items()
               if not value.equal(teacher.weights[name])}  # fmt: skip
    blocks = {name for name in changed if name.startswith("backbone")}
    assert blocks
    took = set(repairs.query("taken > 0")["block"])
    assert took  # hidden channels of dropped blocks: nothing else changes first layers and norms
    first = {name for name in blocks if "mlp.fc1" in name or "norm2" in name}
    assert {int(name.split(".")[2]) for name in first} == took & set(last.kept_blocks)
    assert all("attn.proj" in name or "mlp.fc2" in name for name in blocks - first)
    assert {"pyramid.embedding.0.conv.weight", "head.classify.weight"} <= changed
    models = load(folder, "result_table")["model"]
    assert list(models) == ["uncompressed", "step_01", "step_02", "one_shot_01", "one_shot_02"]
    assert "What the repairs put back" in load(folder, "html_report")
    assert "repairs: error behind a layer" in done.stdout


def test_the_loop_drops_sub_layers(finished_project: Path, tmp_path: Path) -> None:
    """Ranked, dropped and repaired without a gradient, evaluated and reported."""
    folder = tiny_project(tmp_path / "sub_layers")
    given = next(finished_project.glob("data/06_models/smoke/baseline_checkpoint/*/*"))
    done = run_kedro(
        folder, *JOB, "--params",
        "compress.unit=sublayer,compress.n_drops=3,compress.repair=all,compress.align=null,"
        f"compress.criterion=gap_error,baseline.source=checkpoint,baseline.checkpoint={given}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    scores = load(folder, "score_table")
    assert set(scores["block"]) <= {
        f"{i}.{name}" for i in range(8) for name in ("attention", "mlp")
    }
    last = load(folder, "compress.step_03.checkpoint")
    left = {name for name in last.weights if name.startswith("backbone.blocks.")}
    whole = {name for name in load(folder, "baseline_checkpoint").weights if ".blocks." in name}
    table = load(folder, "result_table").set_index("model")
    assert last.lineage["dropped_block"] == table.loc["step_03", "dropped_block"]
    steps = table["parameters"][["uncompressed", "step_01", "step_02", "step_03"]]
    assert steps.is_monotonic_decreasing
    assert left < whole
    dropped = table["dropped_block"][["step_01", "step_02", "step_03"]]
    assert len(set(dropped)) == 3
    assert all(f"{unit}</b>" in load(folder, "html_report") for unit in dropped)


def test_the_loop_ends_where_its_target_is_reached(finished_project: Path, tmp_path: Path) -> None:
    """It begins with a step of another loop, and trains the last of its own, as its control."""
    folder = tiny_project(tmp_path / "target")
    given = next(finished_project.glob("data/06_models/smoke/compress/step_01/checkpoint/*/*"))
    target = "compress.target.measure=parameters,compress.target.share"
    job = (
        "compress.unit=sublayer,compress.repair=none,compress.align=last,"
        "compress.criterion=train_loss,"
        f"baseline.source=checkpoint,baseline.checkpoint={given},compress.n_drops=5"
    )
    refused = run_kedro(folder, *JOB, "--params", f"{job},{target}=0.05")
    assert refused.returncode == 1
    assert "compress.target: 5 units (compress.unit: sublayer) bring the parameters" in (
        refused.stderr.replace("\n", " ")
    )
    assert not list(folder.glob("data/01_raw/**/*.mp4")), "before any work"
    done = run_kedro(folder, *JOB, "--params", f"{job},{target}=0.9,experiment=small")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    bootstrap_project(folder)
    with KedroSession.create(
        folder, env="smoke", runtime_params={"experiment": "small"}
    ) as session:
        catalog = session.load_context().catalog
        table, scores = catalog.load("result_table"), catalog.load("score_table")
        history = catalog.load("history_table")
        assert "repairs put back" not in catalog.load("html_report"), "nothing was repaired"
    steps = table[table["family"] == "progressive"]
    share = steps["parameters"] / table["parameters"].iloc[0]
    taken = ~steps["skipped"].astype(bool)
    assert 0 < taken.sum() < 5
    assert list(taken) == sorted(taken, reverse=True)
    assert share[taken].iloc[-1] <= 0.9
    assert (share[taken].iloc[:-1] > 0.9).all()
    assert set(scores["criterion"]) == {"train_loss/parameters"}
    assert (scores["gain"] > 0).all()
    assert table["n_blocks"].iloc[0] == 7
    last = taken.sum()
    assert set(history["stage"]) == {f"step_{last:02d}", f"control_{last:02d}"}
    assert list(table.loc[table["family"] == "control", "step"]) == [last]
    assert list(steps["delta_control"].notna()) == list(steps["step"] == last)


def test_other_parameters_are_not_mixed_in(finished_copy: Path) -> None:
    refused = run_kedro(finished_copy, *JOB, "--params", "compress.criterion=block_mse")
    assert refused.returncode == 1
    assert "compress.criterion: train_map -> block_mse" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_killed_run_goes_on_to_the_same_results(finished_project: Path, tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "killed")
    for sight in ("01_raw/**/*.mp4", "06_models/**/checkpoint", "06_models/**/step_01/checkpoint"):
        process = subprocess.Popen(
            [sys.executable, "-m", "kedro", *JOB, "--only-missing-outputs"], cwd=folder,
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not list((folder / "data").glob(sight)):
            time.sleep(0.02)
        assert process.poll() is None, "it is killed in the middle"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = run_kedro(folder, *JOB, "--only-missing-outputs")
    assert done.returncode == 0, done.stderr[-3000:]
    expected, found = results(finished_project), results(folder)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, check_exact=True, obj=name)
