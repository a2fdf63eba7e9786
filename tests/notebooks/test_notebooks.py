"""The notebooks: tidy as they are stored, and they run in a finished project."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs the extra 'dev'")
nbclient = pytest.importorskip("nbclient", reason="needs the extra 'dev'")
pytest.importorskip("ipykernel", reason="needs the extra 'notebook'")

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_notebooks_are_valid_and_without_outputs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5), "cells have ids since 4.5"
    names = [cell.id for cell in notebook.cells]
    assert len(set(names)) == len(names)
    # Words, not the hexadecimal ids that editors make up: they stay when a notebook is rewritten.
    assert all(len(name) != 8 or not set(name) <= set("0123456789abcdef") for name in names)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert "data/0" not in text, "entries, not paths"


def outputs_of(
    name: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    allow_errors: bool = False,
    **cells: str,
) -> dict[str, str]:
    """Run a notebook where a user has it; its outputs as JSON, by the id of their cell.

    ``cells``: what a user has put into the place of others.
    """
    shutil.copytree(ROOT / "notebooks", project / "notebooks")
    monkeypatch.setenv("KEDRO_ENV", "smoke")
    monkeypatch.setenv("IPYTHONDIR", str(project / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(project / "notebooks" / name, as_version=4)
    for cell in notebook.cells:
        cell.source = cells.get(cell.id, cell.source)
    nbclient.NotebookClient(
        notebook,
        allow_errors=allow_errors,
        timeout=None,  # a busy machine takes its time
        startup_timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(project / "notebooks")}},
    ).execute()
    # Numbers and words of tables stand in their HTML; rich colours the plain text.
    return {
        cell.id: json.dumps(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"
    }


def test_inspect_catalog(finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = finished_copy / "data/06_models"
    text = (records / "smoke/experiment.json").read_text(encoding="utf-8")
    (records / "two").mkdir()
    other = text.replace('"compress.criterion": "train_map"', '"compress.criterion": "train_loss"')
    (records / "two/experiment.json").write_text(other, encoding="utf-8")

    outputs = outputs_of("01_inspect_catalog.ipynb", finished_copy, monkeypatch)
    assert "compress.step_02.checkpoint" in outputs["there"]
    assert "params:" not in outputs["there"]
    version = next((records / "smoke/final_checkpoint").iterdir()).name
    assert version in outputs["there"]
    assert "kept blocks" in outputs["step"]
    assert "6 blocks" in outputs["model"]
    differences = outputs["parameters"]
    assert "compress.criterion" in differences
    assert "train_loss" in differences
    assert "runtime.seed" not in differences


def test_compare_steps(finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = outputs_of("02_compare_steps.ipynb", finished_copy, monkeypatch)
    assert "one_shot_02" in outputs["table"]
    for figure in ("accuracy", "training", "video", "frames"):
        assert "application/vnd.plotly.v1+json" in outputs[figure], figure
    assert "change" in outputs["classes"]
    assert outputs["frames"].count("data:image/png;base64") == 8
    assert "step_02" in outputs["detections"]


def test_your_own_data(finished_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = outputs_of("03_your_own_data.ipynb", finished_copy, monkeypatch)
    environment = finished_copy / "conf/my_videos"
    files = ["globals.yml", "parameters.yml"]
    assert sorted(path.name for path in environment.iterdir()) == files
    assert "rise" in outputs["read"]
    assert "Traceback" not in outputs["check"]
    assert "instance_seconds" in outputs["summary"]
    assert "ranges" in outputs["advice"]
    summary = finished_copy / "data/03_primary/my_videos/dataset_summary.json"
    known = json.loads(summary.read_text(encoding="utf-8"))
    assert known["listed"] == {"train": 10, "test": 4}
    assert known["warnings"] == [] or known["warnings"][0][:20] in outputs["advice"]


def test_your_own_data_without_a_job(
    project: Path, finished_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what a user has put in, nothing else is needed."""
    raw = finished_project / "data/01_raw/smoke"
    own = (
        f"from pathlib import Path\n\nvideos = Path({str(raw / 'videos')!r})\n"
        f"annotations = Path({str(raw / 'annotations.json')!r})\nname = 'own'\nminutes = 1"
    )
    outputs = outputs_of("03_your_own_data.ipynb", project, monkeypatch, yours=own)
    assert "rise" in outputs["read"]
    assert (project / "conf/own/parameters.yml").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("01_inspect_catalog.ipynb", "no finished job of 'smoke' is here: set environment"),
        ("02_compare_steps.ipynb", "no finished job of 'smoke' is here: set environment"),
        ("03_your_own_data.ipynb", "there are no videos: set videos and annotations"),
    ],
)
def test_where_there_is_nothing_a_sentence_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    outputs = outputs_of(name, project, monkeypatch, allow_errors=True)
    shown = re.sub(r"\\u001b\[[0-9;]*m", "", outputs["load"])  # without colours
    assert f"FileNotFoundError: {said}" in shown
