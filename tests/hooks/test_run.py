"""What a run shows and how it fails, on the command line and in a notebook."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
from tests.conftest import Kedro, environment, run_kedro

from tad_blockdrop.context import ParameterError
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.import_weights.nodes import ImportWeightsError
from tad_blockdrop.storage.experiment_record import RECORD, ExperimentError, Record


def run_in_notebook(folder: Path, pipeline: str, **parameters: object) -> None:
    """As ``session.run`` after ``%load_ext kedro.ipython``: no command is running."""
    bootstrap_project(folder)
    with KedroSession.create(folder, env="smoke", runtime_params=parameters) as session:
        session.run(pipeline_names=[pipeline])


def test_a_notebook_gets_the_sentence_as_an_exception(project: Path) -> None:
    with pytest.raises(ParameterError, match=r"data\.holdot: no such parameter"):
        run_in_notebook(project, "data", data={"holdot": 1})
    with pytest.raises(ImportWeightsError, match="no weights file is given"):
        run_in_notebook(project, "import_weights")
    with pytest.raises(BlockDropError, match="experiment 'smoke' has no final_checkpoint yet"):
        run_in_notebook(project, "export_weights")


def test_what_is_missing_is_told_with_the_experiments_that_have_it(project: Path) -> None:
    for name, begun_in in (("mine", "own"), ("older", None), ("smoke_two", "smoke")):
        models = project / "data/06_models" / name
        (models / "final_checkpoint/2030-01-01T00.00.00.000Z").mkdir(parents=True)
        Record("now", {}, environment=begun_in).write(models / RECORD)
    (project / "data/06_models/cut/final_checkpoint").mkdir(parents=True)
    (project / "conf/own").mkdir()
    (project / "conf/own/globals.yml").write_text("experiment: mine")
    with pytest.raises(BlockDropError) as told:
        run_in_notebook(project, "export_weights", experiment="new")
    assert str(told.value) == (
        "experiment 'new' has no final_checkpoint yet: run the job that makes it first, with the "
        "same --params: kedro run --env smoke --pipeline compress --params experiment=new. "
        "Experiments that have one: mine (kedro run --env own --pipeline export_weights), older "
        "(kedro run --env <its environment> --pipeline export_weights --params experiment=older), "
        "smoke_two (kedro run --env smoke --pipeline export_weights --params experiment=smoke_two)"
    )


def test_what_is_only_made_in_memory_is_missing_in_a_sentence_too(
    project: Path, kedro: Kedro
) -> None:
    found = kedro("run", "--pipeline", "compress", "--nodes", "baseline.make_baseline")
    assert found.returncode == 1
    assert "Error: experiment 'synthetic' has no baseline_settings yet" in found.stderr


def test_of_a_comparison_the_unfinished_experiment_is_named(project: Path, kedro: Kedro) -> None:
    for name in ("mine", "two"):
        models = project / "data/06_models" / name
        models.mkdir(parents=True)
        Record("now", {}, environment="quick").write(models / RECORD)
    found = kedro(
        "run", "--pipeline", "compare", "--params", "compare.first=mine,compare.second=two"
    )
    assert "Error: experiment 'mine' has no cost_table yet (and 5 more" in found.stderr
    assert "kedro run --env quick --pipeline compress --params experiment=mine" in found.stderr


def test_a_mistake_is_told_once_and_without_false_advice(project: Path, kedro: Kedro) -> None:
    """By a node, and by an entry that is not there; the log file keeps what Kedro says."""
    for pipeline in ("import_weights", "predict"):
        found = kedro("run", "--env", "smoke", "--pipeline", pipeline)
        assert found.returncode == 1
        assert "Error: " in found.stderr
        assert "WARNING" not in found.stdout
        assert "ERROR" not in found.stdout
        assert "--from-nodes" not in found.stdout + found.stderr
    assert "import_weights([" in (project / "tad_blockdrop.log").read_text()


@pytest.mark.parametrize("option", ["--pipeline", "--pipelines"])
def test_a_pipeline_that_is_not_there_is_told_with_those_that_are(
    kedro: Kedro, option: str
) -> None:
    found = kedro("run", option, "predikt")
    assert found.returncode == 1
    assert "Error: there is no pipeline 'predikt'; there are, the closest first: predict, " in (
        found.stderr
    )
    assert "import_weights" in found.stderr
    assert "Traceback" not in found.stdout + found.stderr


def test_the_lock_is_free_after_a_refusal(project: Path) -> None:
    """The one of a later hook, and the one of the lock itself."""
    record = project / "data/06_models/smoke/experiment.json"
    lock = FileLock(record.with_name(".lock"), timeout=0)
    record.parent.mkdir(parents=True)
    record.write_text("no JSON")
    with pytest.raises(ExperimentError, match="is damaged"):
        run_in_notebook(project, "data")
    with lock, pytest.raises(ExperimentError, match="is being run by process"):
        run_in_notebook(project, "data")
    lock.acquire()


def test_a_notebook_can_run_again_after_an_interrupt(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SequentialRunner, "run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_in_notebook(project, "import_weights")
    with pytest.raises(ImportWeightsError, match="no weights file is given"):
        run_in_notebook(project, "import_weights")
    FileLock(project / "data/06_models/smoke/.lock", timeout=0).acquire()


@pytest.mark.parametrize("command", [["run"], ["catalog", "describe-datasets"]])
def test_every_command_tells_bad_parameters_plainly(
    project: Path, kedro: Kedro, command: list[str]
) -> None:
    (project / "conf/local/parameters.yml").write_text("compress: {n_drops: 99}")
    found = kedro(*command)
    assert found.returncode == 1
    assert found.stderr.startswith("Error: the parameters cannot be used:")
    assert "Traceback" not in found.stderr


def test_the_terminal_shows_stages_and_the_log_file_everything(project: Path, kedro: Kedro) -> None:
    found = kedro("run", "--env", "smoke", "--pipeline", "import_weights")
    assert "stage 1 of 1: import_weights" in found.stdout
    assert "Loading data" not in found.stdout
    assert "Error: no weights file is given" in found.stderr
    log = (project / "tad_blockdrop.log").read_text()
    assert "Loading data from params:import_weights" in log
    assert "stage 1 of 1: import_weights" in log


def test_a_run_that_goes_on_counts_what_is_left(finished_copy: Path) -> None:
    [page] = finished_copy.glob("data/08_reporting/smoke/report.html/*/report.html")
    page.unlink()
    found = run_kedro(
        finished_copy, "run", "--pipeline", "report", "--env", "smoke", "--only-missing-outputs"
    )
    assert found.returncode == 0, found.stderr
    assert "stages are done already" in found.stdout
    assert re.search(r"stage (\d+) of \1: report\.show_results", found.stdout)


def test_a_run_outlives_the_reader_of_its_output(finished_copy: Path) -> None:
    """As behind ``| head -1``, which closes the pipe after a line."""
    command = [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--pipeline", "report"]
    page = "data/08_reporting/smoke/report.html/*/report.html"
    options = {"cwd": finished_copy, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    before = len(list(finished_copy.glob(page)))
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.wait() == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""
    assert len(list(finished_copy.glob(page))) == before + 1


@pytest.mark.parametrize("runner", ["ParallelRunner", "ThreadRunner"])
def test_runners_of_several_nodes_at_a_time_are_refused(kedro: Kedro, runner: str) -> None:
    found = kedro("run", "--env", "smoke", "--pipeline", "data", "--runner", runner)
    assert found.returncode == 1
    assert f"Error: {runner} cannot run these pipelines" in found.stderr
    assert "Traceback" not in found.stdout + found.stderr
