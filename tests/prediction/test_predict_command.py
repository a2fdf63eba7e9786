"""The predict pipeline as a person runs it, with paths that ``--params`` cannot take."""

import json
from codecs import BOM_UTF8
from pathlib import Path

import pandas as pd
import yaml
from tests.conftest import Kedro

from tad_blockdrop.detector.checkpoint import write_checkpoint


def only(folder: Path, pattern: str) -> Path:
    [path] = folder.glob(pattern)
    return path


def test_any_path_works_through_a_configuration_file(
    kedro: Kedro, project, checkpoint, write_video
):
    """Commas, spaces, '=' and ': ' in the path; and videos whose names are numbers."""
    folder = write_video("my clips, take=1: final/0001.mp4").parent
    (folder / "0002.avi").write_text("no video")
    write_checkpoint(checkpoint, project / "model")
    settings = {
        "videos": str(folder), "checkpoint": str(project / "model"), "min_score": 0.1, "draw": True,
    }  # fmt: skip
    job = {"run": {"pipelines": "predict", "params": {"experiment": "mine", "predict": settings}}}
    (project / "predict.yml").write_text(yaml.safe_dump(job))
    done = kedro("run", "--config", "predict.yml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "1 skipped" in done.stdout

    output = project / "data/07_model_output/mine"
    file = only(output, "predictions.csv/*/*.csv")
    assert file.read_bytes().startswith(BOM_UTF8), "which Excel knows UTF-8 by"
    table = pd.read_csv(file, dtype={"video_id": str})
    assert list(table)[:4] == ["video_id", "start", "end", "label"]
    results = json.loads(only(output, "predictions.json/*/*.json").read_text())["results"]
    assert set(table["video_id"]) == set(results) == {"0001"}
    assert len(results["0001"]) == len(table) > 0
    assert (output / "drawn_videos" / "0001.mp4").stat().st_size > 1000
    page_file = only(project / "data/08_reporting/mine", "predictions.html/*/*.html")
    assert str(page_file) in done.stdout.splitlines(), "in one piece, to be copied"
    assert "kedro review --experiment mine" in done.stdout
    page = page_file.read_text()
    assert '"id":"0001"' in page
    assert "0002" in page


def test_what_cannot_be_done_is_one_sentence(kedro: Kedro, project, checkpoint, tmp_path):
    write_checkpoint(checkpoint, project / "model")
    (tmp_path / "nothing").mkdir()
    done = kedro(
        "run", "--pipelines", "predict", "--params",
        f"predict.checkpoint={project / 'model'},predict.videos={tmp_path / 'nothing'}",
    )  # fmt: skip
    assert done.returncode != 0
    assert "holds no videos" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_before_there_is_a_model_the_way_to_one_is_told(kedro: Kedro, write_video):
    done = kedro("run", "--pipelines", "predict", "--params", f"predict.videos={write_video()}")
    assert done.returncode != 0
    assert "no final_checkpoint yet: run the job that makes it first" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
