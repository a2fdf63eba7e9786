"""The template environment with a user's own videos, from the command line, sound and unsound.

``MALFORMED`` and ``UNREADABLE`` list everything that is told about a dataset, with its message.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import av
import pandas as pd
import pytest
import yaml
from dataset_files import database, video, write_video
from tool_files import boris, observation

from tad_blockdrop.config import DataConfig
from tad_blockdrop.config.training import RuntimeConfig
from tad_blockdrop.datasets.videos import VideoFolder
from tad_blockdrop.pipelines.data import nodes
from tad_blockdrop.video.annotations import AnnotationError

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


def test_files_of_tools_are_a_dataset(own: Path, kedro: Kedro) -> None:
    raw = own / "data" / "01_raw" / "my_dataset"
    events = [[0.2, "", "groom", "", ""], [1.0, "", "groom", "", ""], [1.5, "", "sniff", "", ""]]
    project = boris(one=observation("/home/u/a.mp4", "/home/u/b.mp4", lengths=(2.0, 2.0), events=[
        *events, *([time + 2, *rest] for time, *rest in events)]))  # fmt: skip
    (raw / "mice.boris").write_text(json.dumps(project))
    (raw / "frames").mkdir()
    rows = [f"{n},{int(n < 5)},{int(n >= 5)},0" for n in range(20)]
    (raw / "frames" / "c_labels.csv").write_text("\n".join([",background,groom,run", *rows]))
    places = own / "conf" / "own" / "globals.yml"
    listed = yaml.safe_load(places.read_text())
    folder = "data/01_raw/my_dataset"
    listed["annotations"] = [f"{folder}/mice.boris", f"{folder}/frames"]
    places.write_text(yaml.safe_dump(listed))
    done = kedro("run", "--env", "own", "--pipeline", "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mice.boris was read as BORIS project: 2 video(s), 4" in done.stdout + done.stderr
    table = pd.read_parquet(own / "data/03_primary/my_dataset/instances.parquet")
    actions = table[["video_id", "label", "start", "end"]].round(3).to_numpy().tolist()
    assert sorted(actions) == [
        ["a", "groom", 0.2, 1.0], ["a", "sniff", 1.0, 2.0],
        ["b", "groom", 0.2, 1.0], ["b", "sniff", 1.0, 2.0], ["c", "groom", 0.5, 2.0],
    ]  # fmt: skip


def outputs(project: Path) -> set[str]:
    files = (path for path in (project / "data").rglob("*") if path.is_file())
    made = (path.relative_to(project / "data") for path in files)
    return {path.as_posix() for path in made if path.parts[0] != "01_raw" and path.suffix != ".log"}


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
    assert "b: it is not complete: " in said
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


FATAL, TOLD = True, False
RUN, JUMP = ("run", 0.2, 1.0), ("jump", 1.2, 1.8)
# Each problem of a dataset: its video (or none), kind, whether it stops the run, and its message.
MALFORMED = [
    ("gone", "missing file", FATAL, "there is no video of this name in "),
    ("../up", "unsafe video", FATAL,
     "the video id '../up' cannot be a file name on every system; rename it"),
    ("empty", "unreadable video", FATAL, "the file is empty (0 bytes)"),
    ("text", "unreadable video", FATAL, "it is not a video"),
    ("cut", "unreadable video", FATAL, "it is truncated: "),
    ("sound", "unreadable video", FATAL, "it holds no video stream"),
    ("two", "several files", TOLD, "two.mkv has the same name"),
    ("v_a", "one video, two ids", TOLD, "it is the same video as 'a'"),
    ("odd", "unknown subset", TOLD, "'trian' is neither data.training_subset nor "
     "data.evaluation_subset; the annotations have: training (12), trian (1), validation (1)"),
    ("label", "unknown label", TOLD, "'jog' (2 times) is not in the class list (run, jump, rest)"),
    ("label", "no ground truth left", TOLD, "none of its actions can be used"),
    ("segments", "empty segment", TOLD, "[1, 0.5] 'run': it ends at or before its start"),
    ("segments", "segment outside the video", TOLD,
     "[7, 8] 'run': it lies outside the picture, from 0.00 to 2.00 s"),
    ("segments", "segment outside the video", TOLD,
     "[1.5, 3] 'run': it extends beyond the video, which is 2.00 s long"),
    ("segments", "duplicate", TOLD, "[0.2, 1] 'run': the same segment and label appear twice"),
    ("stated", "fps mismatch", TOLD, "the annotations say 25 frames per second, the file has 10"),
    ("stated", "length mismatch", TOLD, "the annotations say 4 seconds, the file has 2"),
    ("stated", "length mismatch", TOLD, "the annotations say 100 frames, the file has 20"),
    ("", "class without training actions", TOLD, "no training video shows 'rest'"),
]  # fmt: skip


def write_malformed(raw: Path) -> None:
    """Videos and annotations with every problem of ``MALFORMED`` and a sound rest."""
    videos = raw / "videos"
    for name in ("a", "two", "odd", "label", "segments", "stated", "test"):
        write_video(videos / f"{name}.mp4")
    write_video(videos / "two.mkv", seconds=1)
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("this is no video")
    whole = write_video(videos / "cut.mkv", seconds=20).read_bytes()
    (videos / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with av.open(str(videos / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame(format="s16", layout="mono", samples=8000)
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    unreadable = ("gone", "../up", "empty", "text", "cut", "sound")
    own: dict[str, dict[str, Any]] = {
        "odd": video("trian", RUN),
        "label": video("training", ("jog", 0.2, 1.0), ("jog", 1.0, 1.5)),
        "segments": video(
            "training", RUN, ("run", 1.0, 0.5), ("run", 7, 8), ("run", 1.5, 3), ("run", 0.2, 1.0)
        ),
        "stated": video("training", RUN, fps=25, duration=4, frame=100),
        "test": video("validation", RUN),
    }
    sound = dict.fromkeys(("a", "v_a", "two", *unreadable), video("training", RUN, JUMP))
    (raw / "annotations.json").write_text(json.dumps(database(**sound, **own)))
    (raw / "classes.txt").write_text("run\njump\nrest\n")


def test_everything_that_can_be_wrong_with_a_dataset(own: Path, kedro: Kedro) -> None:
    raw = own / "data/01_raw/my_dataset"
    shutil.rmtree(raw)
    write_malformed(raw)
    settings = yaml.safe_load((own / "conf/own/globals.yml").read_text())
    settings["annotations"] = "data/01_raw/my_dataset/annotations.json"
    (own / "conf/own/globals.yml").write_text(yaml.safe_dump(settings))
    classes = "data.classes_file=data/01_raw/my_dataset/classes.txt"
    done = kedro("run", "--env", "own", "--pipeline", "validate", "--params", classes)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    assert "the dataset cannot be used: 6 fatal problem(s), all listed in data/03_primary" in said
    table = pd.read_csv(own / "data/03_primary/my_dataset/problems.csv", keep_default_na=False)
    found = set(zip(table["video_id"], table["kind"], table["fatal"], strict=True))
    assert found == {(video, kind, fatal) for video, kind, fatal, _ in MALFORMED}
    assert len(table) == len(MALFORMED)
    for name, kind, _, message in MALFORMED:
        rows = table[(table["video_id"] == name) & (table["kind"] == kind)]
        assert rows["message"].str.contains(message, regex=False).sum() == 1, (name, kind)
    assert (table["advice"] != "").all()
    assert (table["file"] != "").all()
    for row in table[table["fatal"]].to_dict("records"):
        assert row["message"] in said
    assert outputs(own) == KEPT_AFTER_REFUSAL


# What a refused run leaves: the problems, the facts of sound files, and the lock.
KEPT_AFTER_REFUSAL = {
    "03_primary/my_dataset/problems.csv",
    "03_primary/my_dataset/problems.csv.sha256",
    "02_intermediate/my_dataset/video_facts.parquet",
    "02_intermediate/my_dataset/video_facts.parquet.sha256",
    "06_models/my_dataset/scratch/data.probe_videos/facts.jsonl",
    "06_models/my_dataset/.lock",
    "06_models/my_dataset/.running",
}
ACTION = {"segment": [0, 1], "label": "run"}
# Annotations that cannot be understood at all: nothing is even probed.
UNREADABLE = [
    ([], "in the annotations, top level: the format is not known (found: an empty list"),
    ({"results": {}}, "this is a file of predictions, not of annotations"),
    ({"database": {}}, "database: it lists no video"),
    ({"database": {"a": []}}, "database.a: it is []"),
    (database(a={}, b={"subset": "x"}), "database.a.subset: it is missing; name it, as 'trai"),
    (database(a={"subset": "x", "annotations": {}}), "database.a.annotations: it is not a list"),
    (database(a={"subset": "x", "annotations": [{"label": "run"}]}),
     "database.a.annotations[0].segment: it is missing; give [start, end] in seconds"),
    (database(a={"subset": "x", "annotations": [ACTION, ACTION | {"segment": [0, "x"]}]}),
     "database.a.annotations[1].segment[1]: 'x' is not a number"),
    (database(a={"subset": "x", "annotations": [ACTION | {"label": ""}]}),
     "database.a.annotations[0].label: it is missing; name the action"),
    (database(a={"subset": "x", "fps": "fast"}), "database.a.fps: 'fast' is not a number"),
    (pd.DataFrame({"video": ["a"], "start": [0], "end": [1]}),
     "header: the column 'label' is missing (found: video, start, end)"),
    (pd.DataFrame({"video": [], "start": [], "end": [], "label": []}), "table: it has no rows"),
    (pd.DataFrame({"video": ["a"], "start": ["x"], "end": [1], "label": ["run"]}),
     "line 2, start: 'x' is not a number"),
    (pd.DataFrame({"video": ["a", "a"], "start": [0, 1], "end": [1, 2], "label": ["run", "run"],
                   "subset": ["training", "validation"]}),
     "line 3, subset: video 'a' has 'validation' here, 'training' above"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "message"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_annotations_that_cannot_be_understood(tmp_path: Path, raw: Any, message: str) -> None:
    data = DataConfig(source="files", fps=10)
    with pytest.raises(AnnotationError) as error:
        nodes.probe_videos(raw, VideoFolder(tmp_path), tmp_path / "cache", data, RuntimeConfig())
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("video,start,end,label\na,zero,1,run\n", "annotations, line 2, start: 'zero' is not a"),
        (ROWS.replace("validation", "training"), "no video is in the subset 'validation'; the "
         "annotations have: training (3)"),
    ],
)  # fmt: skip
def test_annotations_that_cannot_be_used(own: Path, kedro: Kedro, rows: str, message: str) -> None:
    (own / "data/01_raw/my_dataset/annotations.csv").write_text(rows)
    done = kedro("run", "--env", "own", "--pipeline", "validate")
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    assert message in said
    assert outputs(own) <= KEPT_AFTER_REFUSAL


def test_a_label_cannot_paint_the_terminal_or_the_log(own: Path, kedro: Kedro) -> None:
    label = "run\x1b]0;title\x07 [red]x[/blue]"
    row = f'a,0.5,9.0,"{label}\n2026 INFO all is well",training\n'
    (own / "data/01_raw/my_dataset/annotations.csv").write_text(ROWS + row)
    done = kedro("run", "--env", "own", "--pipeline", "validate")
    log = (own / "tad_blockdrop.log").read_text()
    for said in (done.stdout + done.stderr, log):
        assert "[red]x[/blue]" in said
        assert "\\x1b]0;title\\x07" in said
        assert not {"\x1b", "\x07"} & set(said)
        assert "Traceback" not in said
        assert not [line for line in said.splitlines() if line.startswith("2026 INFO")]
