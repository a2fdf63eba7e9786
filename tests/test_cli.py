"""The command line as a user meets it."""

import os
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from filelock import FileLock

from tad_blockdrop.arguments import ArgumentError, refuse_bad_arguments
from tad_blockdrop.cli import cli
from tad_blockdrop.storage.experiment_lock import LOCK
from tad_blockdrop.storage.experiment_record import RECORD, Record, read_record
from tests.conftest import Kedro


def test_registry_list_does_not_pay_for_torch(kedro: Kedro, project: Path) -> None:
    """Start-up must not import what only nodes need."""
    script = (
        "import sys\n"
        "from kedro.framework.startup import bootstrap_project\n"
        f"bootstrap_project({str(project)!r})\n"
        "from kedro.framework.project import pipelines\n"
        "names = sorted(pipelines)\n"
        "heavy = {'torch', 'timm', 'peft', 'decord', 'av', 'plotly', 'torchvision'}\n"
        "print(names, sorted(heavy & set(sys.modules)))\n"
    )
    import subprocess

    found = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True
    )
    assert "compress" in found.stdout
    assert found.stdout.strip().endswith("[]")


def test_all_parameter_problems_are_told_at_once(kedro: Kedro) -> None:
    found = kedro("run", "--params", "compress.n_drops=9,data.holdot=0.1,baseline.train.batch=0")
    assert found.returncode == 1
    assert "data.holdot: no such parameter" in found.stderr
    assert "baseline.train.batch" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"data: [1, 2\n", "unable to read line"), (b"data: ${globals:gone}\n", "'gone' not found")],
)
def test_parameter_files_that_cannot_be_read_are_named(
    kedro: Kedro, project: Path, content: bytes, reason: str
) -> None:
    (project / "conf/local/parameters.yml").write_bytes(content)
    found = kedro("run")
    assert found.returncode == 1
    assert "the parameter files cannot be read" in found.stderr
    assert reason in found.stderr
    assert "Traceback" not in found.stderr


def test_a_list_is_asked_for_in_words(kedro: Kedro) -> None:
    found = kedro("run", "--params", "predict.formats=boris,data.evaluation_videos=3")
    assert "predict.formats: must be a list: [boris] or [boris, <another>]" in found.stderr
    assert "data.evaluation_videos: must be a list: [3] or" in found.stderr
    assert "tuple" not in found.stderr


def test_rules_across_keys_are_told_with_advice(kedro: Kedro) -> None:
    found = kedro("run", "--params", "compress.n_drops=8")
    assert found.returncode == 1
    assert "must leave at least one" in found.stderr
    found = kedro("run", "--params", "compress.n_drops=2,compress.candidates=3 8")
    assert found.returncode == 1
    assert "compress.candidates names 8, but the blocks of detector.backbone are 0 to" in (
        " ".join(found.stderr.split())
    )


@pytest.mark.parametrize("bad", ["../outside", "a/b", ".hidden"])
def test_an_experiment_cannot_leave_the_data_folder(kedro: Kedro, bad: str) -> None:
    found = kedro("run", "--params", f"experiment={bad}")
    assert found.returncode == 1
    assert "experiment" in found.stderr


def test_the_number_of_steps_follows_the_parameters(kedro: Kedro) -> None:
    found = kedro("run", "--params", "compress.n_drops=3,experiment=x", "--nodes", "nothing")
    assert found.returncode == 1  # no such node, which is told after the pipelines are built
    listed = kedro("registry", "describe", "compress")
    assert "compress.step_04.align" in listed.stdout
    assert "compress.step_05.align" not in listed.stdout


def test_versions_lists_and_refuses_unknown_experiments(kedro: Kedro) -> None:
    assert "in 0 versions" in kedro("versions").stdout
    found = kedro("versions", "--experiment", "none")
    assert found.returncode == 1
    assert "there is no experiment 'none'" in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are always Unicode there")
def test_an_argument_that_is_not_utf8_is_refused(kedro: Kedro) -> None:
    found = kedro("run", "--params", os.fsdecode(b"predict.videos=caf\xe9"))
    assert found.returncode == 1
    assert "caf\\udce9 is not UTF-8: rename the file or folder" in found.stderr
    assert "Traceback" not in found.stdout + found.stderr


@pytest.mark.parametrize(
    ("arguments", "videos"),
    [
        (["--params", "experiment=x,predict.videos=new clips, May"], "new clips, May"),
        (["--params=predict.videos=a,b,c,experiment=x"], "a,b,c"),
        (["--params", "predict.videos=[a, b]"], ["a", "b"]),
        (["--params", "predict.videos=[a, b"], "[a, b"),
    ],
)
def test_a_value_with_a_comma_is_put_into_a_file(arguments: list[str], videos: object) -> None:
    with pytest.raises(ArgumentError) as told:
        refuse_bad_arguments(["kedro", "run", *arguments])
    text = str(told.value).split("\n\n")[1]
    assert yaml.safe_load(text) == {"run": {"params": {"predict": {"videos": videos}}}}
    assert "--config my_run.yml" in str(told.value)


@pytest.mark.parametrize("fine", ["a=1,b=2", "a=1,", "a=1,,b=2, ", "a=x=y", "", "a,b"])
def test_what_kedro_understands_or_answers_itself_passes(fine: str) -> None:
    refuse_bad_arguments(["kedro", "run", "--params", fine])


def test_a_comma_is_told_in_a_sentence(kedro: Kedro) -> None:
    found = kedro("run", "--params", "predict.videos=new clips, May")
    assert found.returncode == 1
    assert "Error: --params is cut at its commas, and predict.videos has one" in found.stderr
    assert "must contain" not in found.stdout + found.stderr


def test_what_is_being_run_is_not_deleted_and_another_name_is_no_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Path("data/06_models/mine")
    experiment.mkdir(parents=True)
    Record("now", {}).write(experiment / RECORD)
    with FileLock(experiment / LOCK):
        told = CliRunner().invoke(cli, ["versions", "--experiment", "mine", "--delete", "--yes"])
    assert told.exit_code == 1
    assert told.output.endswith("is being run by another process: wait for it\n")
    assert (experiment / RECORD).exists()


def test_stages_are_forgotten_with_what_their_interrupted_work_would_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = Path("data/06_models/mine")
    experiment.mkdir(parents=True)
    Record("now", {"data.every": 1, "detector.head.focal_gamma": 2.0}).write(experiment / RECORD)
    for node in ("data.probe_videos", "baseline.make_baseline", "control.step_01.align"):
        (experiment / "scratch" / node).mkdir(parents=True)
        (experiment / "scratch" / node / "training.safetensors").touch()
    command = ["versions", "--experiment", "mine", "--delete", "--from", "baseline", "--yes"]
    told = CliRunner().invoke(cli, command)
    assert told.exit_code == 0, told.output
    assert f"{experiment / 'scratch' / 'baseline.make_baseline'}\n" in told.output
    assert [path.name for path in (experiment / "scratch").iterdir()] == ["data.probe_videos"]
    record = read_record(experiment / RECORD)
    assert record is not None
    assert record.parameters == {"data.every": 1}
