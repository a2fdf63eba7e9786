"""The template environment with a user's own videos, from the command line, sound and unsound."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from tests.video.dataset_files import write_video

Kedro = Callable[..., CompletedProcess[str]]

ROWS = """video,start,end,label,subset
a,0.2,1.0,run,training
b,0.5,1.5,run,training
c,1.0,1.8,run,validation
"""


@pytest.fixture
def own(project: Path) -> Path:
    """A project with an environment ``own``, made as the template says, and three videos."""
    environment = project / "conf" / "own"
    shutil.copytree(project / "conf" / "my_dataset_template", environment)
    parameters = environment / "parameters.yml"
    parameters.write_text(parameters.read_text().partition("# --- model ---")[0])
    raw = project / "data" / "01_raw" / "my_dataset"
    for name in ("a", "b", "c"):
        write_video(raw / "videos" / f"{name}.mp4")
    (raw / "annotations.csv").write_text(ROWS)
    return project


def outputs(project: Path) -> set[str]:
    files = (path for path in (project / "data").rglob("*") if path.is_file())
    made = (path.relative_to(project / "data") for path in files)
    return {path.as_posix() for path in made if path.parts[0] != "01_raw"}


def test_a_refused_dataset_and_the_same_put_right(own: Path, kedro: Kedro) -> None:
    videos = own / "data" / "01_raw" / "my_dataset" / "videos"
    (videos / "a.mp4").rename(own / "a.mp4")
    whole = (videos / "b.mp4").read_bytes()
    (videos / "b.mp4").write_bytes(whole[:100])
    done = kedro("run", "--env", "own", "--pipeline", "data")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "the dataset cannot be used: 3 fatal problem(s)" in said
    assert "a video id: there is no video of this name in" in said
    assert "b: it is damaged or not a video" in said
    assert "none of the 0 training videos that can be read has a usable action" in said
    problems = pd.read_csv(own / "data/03_primary/my_dataset/problems.csv")
    assert problems["kind"].tolist()[:3] == [
        "missing file", "unreadable video", "no ground truth left"
    ]  # fmt: skip
    assert not {name for name in outputs(own) if "videos.parquet" in name or "proxies" in name}

    (own / "a.mp4").rename(videos / "a.mp4")
    (videos / "b.mp4").write_bytes(whole)
    done = kedro("run", "--env", "own", "--pipeline", "data", "--only-missing-outputs")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_parquet(own / "data/03_primary/my_dataset/videos.parquet")
    assert table["video_id"].tolist() == ["a", "b", "c"]
    assert pd.read_csv(own / "data/03_primary/my_dataset/problems.csv").empty


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("video,start,end,label\na,zero,1,run\n", "annotations, line 2, start: 'zero' is not a"),
        (ROWS.replace("validation", "training"), "no video is in the subset 'validation'"),
    ],
)
def test_annotations_that_cannot_be_used(own: Path, kedro: Kedro, rows: str, message: str) -> None:
    (own / "data/01_raw/my_dataset/annotations.csv").write_text(rows)
    done = kedro("run", "--env", "own", "--pipeline", "validate")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    assert message in said
    assert not {name for name in outputs(own) if "videos.parquet" in name or "summary" in name}
