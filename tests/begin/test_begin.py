"""``kedro begin`` on generated videos, from a folder and a table to an environment that runs."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from dataset_files import write_video
from tests.conftest import ROOT, Kedro

from tad_blockdrop.begin import prepare as module
from tad_blockdrop.begin.pace import Pace
from tad_blockdrop.begin.prepare import Job, prepare, write
from tad_blockdrop.begin.request import BeginError, Request, refuse_bad
from tad_blockdrop.config import Parameters
from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark
from tad_blockdrop.synthetic.benchmark import write_video as generate

BASE = yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text(encoding="utf-8"))
SMALL = SyntheticConfig(
    classes=2, training_videos=11, validation_videos=1, mean_frames=64, frame_size=16,
    min_instance_frames=14, max_instance_frames=20,
)  # fmt: skip


def generated(folder: Path) -> tuple[Path, Path]:
    """A folder of videos and a CSV of their actions that names no subsets, as a person's."""
    plans = plan_benchmark(SMALL)
    videos = folder / "my films"
    videos.mkdir(parents=True)
    for plan in plans:
        generate(plan, videos / f"{plan.id}.mp4")
    rows = ["video,start,end,label"]
    for video, entry in annotations(plans)["database"].items():
        rows += [
            f"{video},{a['segment'][0]},{a['segment'][1]},{a['label']}"
            for a in entry["annotations"]
        ]
    table = folder / "actions.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    return videos, table


def asked(folder: Path, **changes: Any) -> Request:
    (folder / "conf").mkdir(exist_ok=True)
    request = Request(
        folder / "videos", folder / "actions.csv", 1, "mine", None, folder / "conf", folder / "data"
    )
    return replace(request, **changes)


def refused(request: Request) -> str:
    with pytest.raises(BlockDropError) as told:
        prepare(request, BASE | {"experiment": "base"}, lambda _: None)
    assert not (request.conf / "mine").exists()
    return str(told.value)


def test_from_a_folder_and_a_table_to_an_environment(project: Path, kedro: Kedro) -> None:
    videos, table = generated(project / "elsewhere")
    write_video(videos / "not annotated.mp4")
    done = kedro(
        "begin", "--videos", "elsewhere/my films", "--annotations", "elsewhere/actions.csv",
        "--minutes", "1", "--name", "own",
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "10 videos to learn from, 2 to measure on, chosen here" in said
    assert "1 of the folder is left out, not being in the annotations: not annotated.mp4" in said
    assert "starts anew" not in said
    assert "the job will take about" in said
    assert "kedro run --env own" in said
    places = yaml.safe_load((project / "conf/own/globals.yml").read_text(encoding="utf-8"))
    assert places["videos"] == str(videos.resolve())

    checked = kedro("run", "--env", "own", "--pipeline", "validate")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "has no checksum" not in checked.stdout + checked.stderr
    chosen = yaml.safe_load((project / "conf/own/parameters.yml").read_text(encoding="utf-8"))
    assert len(chosen["data"]["evaluation_videos"]) == 2
    assert chosen["data"]["holdout"] > 0

    again = kedro("begin", "--videos", str(videos), "--annotations", str(table), "--name", "own")
    assert again.returncode == 1
    assert "is there already and is not overwritten" in again.stderr


def test_without_annotations_it_says_how_to_make_them(project: Path, kedro: Kedro) -> None:
    write_video(project / "my films/monday/cat, Tom.mp4")
    (project / "my films/tuesday").mkdir()
    (project / "my films/tuesday/none.mp4").touch()
    done = kedro("begin", "--videos", "my films")
    assert done.returncode == 0
    assert done.stdout.startswith("2 video files in my films, not opened yet, and no annotations:")
    assert '"monday/cat, Tom.mp4",1.5,4.0,jump' in done.stdout
    assert "kedro begin --videos 'my films' --annotations FILE" in done.stdout
    assert "BORIS" in done.stdout
    (project / "empty").mkdir()
    done = kedro("begin", "--videos", "empty")
    assert done.returncode == 1
    assert "there is no video in empty" in done.stderr


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = refused(asked(tmp_path, name="../out", weights="gone.pth"))
    assert "'../out' cannot be the name of an environment" in told
    assert "there is no folder" in told
    assert "there is nothing at" in told
    assert "no weights at gone.pth" in told


@pytest.mark.parametrize("name", ["base", "local", "smoke", "synthetic"])
def test_names_of_the_project_are_taken(tmp_path: Path, name: str) -> None:
    """Of its environments, and of their experiments; removing one of them is no advice."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    told = refused(asked(tmp_path, name=name))
    assert "give another --name" in told
    assert "remove" not in told


def test_what_was_begun_may_be_removed(tmp_path: Path) -> None:
    request = asked(tmp_path)
    write(request, (), [])
    with pytest.raises(BeginError, match="give another --name, or remove it"):
        refuse_bad(request)


def test_a_table_that_no_format_knows(tmp_path: Path) -> None:
    request = asked(tmp_path)
    write_video(request.videos / "a.mp4")
    request.annotations.write_text("colour,taste\nred,sweet\n")
    assert "the format is not known" in refused(request)


def test_names_that_no_file_has(tmp_path: Path) -> None:
    request = asked(tmp_path)
    write_video(request.videos / "a.mp4")
    request.annotations.write_text("video,start,end,label\nb,0,1,run\nc,0,1,run\n")
    told = refused(request)
    assert "none of the 2 videos" in told
    assert "more" not in told
    assert "must be those of the files" in told


def test_one_video_is_not_enough(tmp_path: Path) -> None:
    request = asked(tmp_path)
    write_video(request.videos / "a.mp4")
    write_video(request.videos / "b.mp4")
    request.annotations.write_text("video,start,end,label\na,0,1,run\nb,,,\n")
    told = refused(request)
    assert "fewer than two videos with actions" in told
    assert told.endswith("; annotate more")


def test_what_cannot_be_read_is_told_with_the_reasons(tmp_path: Path) -> None:
    """Three of them, and how many more: where all are broken, and where all but one."""
    request = asked(tmp_path)
    names = [f"v{number}" for number in range(5)]
    request.annotations.write_text(
        "\n".join(["video,start,end,label", *(f"{name},0,1,run" for name in names)])
    )
    request.videos.mkdir()
    for name in names:
        (request.videos / f"{name}.mp4").write_bytes(b"not a video")
    told = refused(request)
    assert "none of the 5 videos" in told
    assert "; v2: " in told
    assert "; ... and 2 more)" in told
    write_video(request.videos / "v0.mp4")
    told = refused(request)
    assert "fewer than two videos with actions can be read (4 cannot: v1: " in told
    assert "; ... and 1 more)" in told
    assert told.endswith("mend these, or annotate more")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Trials come to these scores (by kind) at once; nothing is measured or trained."""
    scores = {"videomae": 40.0, "timm": 60.0}

    def try_out(job: Job, footage: float, seconds: float) -> None:
        job.score = scores[job.candidate.kind] if seconds else None

    pace = Pace({}, memory=1e9, preparing=0.1, epoch=0.01)
    monkeypatch.setattr(Job, "try_out", try_out)
    monkeypatch.setattr(module, "measure", lambda *_: None)
    monkeypatch.setattr(module, "pace_of", lambda *_: pace)
    return scores


def ten_videos(folder: Path, rows: list[str]) -> Request:
    request = asked(folder)
    for number in range(10):
        write_video(request.videos / f"v{number}.mp4")
    table = ["video,start,end,label", *(f"v{n},0.2,1.2,run" for n in range(10)), *rows]
    request.annotations.write_text("\n".join(table))
    return request


def run_on(request: Request) -> tuple[dict[str, Any], str]:
    said: list[str] = []
    prepare(request, BASE | {"experiment": "base"}, said.append)
    text = (request.environment / "parameters.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text), "\n".join([*said, text])


def test_a_class_with_one_example_is_learned_and_told(
    tmp_path: Path, quick: dict[str, float]
) -> None:
    found, said = run_on(ten_videos(tmp_path, ["v3,1.3,1.9,jump"]))
    assert "jump (1)" in said
    assert "no video to measure on shows jump" in said
    assert "v3" not in found["data"]["evaluation_videos"]


def test_missing_videos_are_done_without_and_named(tmp_path: Path, quick: dict[str, float]) -> None:
    request = ten_videos(tmp_path, ["gone,0,1,run"])
    found, said = run_on(request)
    assert found["data"]["on_missing"] == "skip"
    assert "missing or unreadable: gone" in said
    assert "of the folder are left out" not in said
    assert pd.read_csv(request.problems)["video_id"].tolist()[0] == "gone"


def test_of_many_missing_videos_the_rest_is_counted(
    tmp_path: Path, quick: dict[str, float]
) -> None:
    _, said = run_on(ten_videos(tmp_path, [f"gone{n},0,1,run" for n in range(5)]))
    assert "5 of the annotated videos are left out (gone0: " in said
    assert "; ... and 2 more)" in said


def test_a_damaged_video_is_not_told_as_one_without_annotations(
    tmp_path: Path, quick: dict[str, float]
) -> None:
    request = ten_videos(tmp_path, [])
    (request.videos / "v0.mp4").write_bytes(b"not a video")
    _, said = run_on(request)
    assert "1 of the annotated videos is left out (v0: " in said
    assert "of the folder are left out" not in said


def test_what_was_decided_of_the_annotations_is_told(
    tmp_path: Path, quick: dict[str, float]
) -> None:
    request = ten_videos(tmp_path, ["v3,5,4,run", "v4,5,4,run"])
    _, said = run_on(request)
    assert "- [5, 4] 'run': it ends at or before its start (and 1 more of this kind)" in said
    assert f"- what to do about it: {request.problems}" in said


@pytest.mark.parametrize(("frames", "kind"), [(60.0, "timm"), (20.0, "videomae")])
def test_the_backbone_is_the_one_that_was_better_on_held_out_videos(
    tmp_path: Path, quick: dict[str, float], frames: float, kind: str
) -> None:
    quick["timm"] = frames
    weights = tmp_path / "weights.pth"
    weights.touch()
    request = replace(ten_videos(tmp_path, []), weights=str(weights))
    found, said = run_on(request)
    assert found["detector"]["backbone"]["kind"] == kind
    assert f"frozen DINOv2-S, frame by frame: {frames}" in said


@pytest.mark.parametrize(
    ("minutes", "kind", "drops"), [(100, "timm", 3), (60, "timm", 2), (20, "videomae", 2)]
)
def test_a_network_is_tried_if_its_job_fits_into_the_minutes_if_need_be_with_fewer_drops(
    tmp_path: Path,
    quick: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
    minutes: float,
    kind: str,
    drops: int,
) -> None:
    def pace(sample: object, whole: object, settings: Parameters) -> Pace:
        each = 20.0 if settings.detector.backbone.kind == "timm" else 2.0
        return Pace({"shortening": each * settings.compress.n_drops}, 1e9, 0.1, 0.01)

    monkeypatch.setattr(module, "pace_of", pace)
    request = replace(ten_videos(tmp_path, []), weights="pretrained", minutes=minutes)
    found, said = run_on(request)
    assert found["detector"]["backbone"]["kind"] == kind
    assert found["compress"]["n_drops"] == drops
    told = "frozen DINOv2-S, frame by frame: not tried: a trial and its job take up to "
    assert said.count(told) == (2 if kind == "videomae" else 0)  # on the console and as the reason


def test_nothing_is_compared_on_too_few_videos(tmp_path: Path, quick: dict[str, float]) -> None:
    request = asked(tmp_path, weights="pretrained")
    for name in "abc":
        write_video(request.videos / f"{name}.mp4")
    rows = [f"{name},0,1,run" for name in "abc"]
    request.annotations.write_text("\n".join(["video,start,end,label", *rows]))
    found, _ = run_on(request)
    assert found["detector"]["backbone"]["kind"] == "videomae"
    assert found["data"]["holdout"] == 0


def test_the_subsets_that_are_named_are_used(tmp_path: Path, quick: dict[str, float]) -> None:
    request = asked(tmp_path)
    for name in "abc":
        write_video(request.videos / f"{name}.mp4")
    rows = ["a,0,1,run,train", "b,0,1,run,train", "c,0,1,run,test"]
    request.annotations.write_text("\n".join(["video,start,end,label,subset", *rows]))
    found, _ = run_on(request)
    assert found["data"]["evaluation_subset"] == "testing"
    assert "evaluation_videos" not in found["data"]


def test_a_folder_of_environments_that_cannot_be_written_to(tmp_path: Path) -> None:
    request = asked(tmp_path)
    with pytest.raises(BeginError, match="cannot be written to"):
        module.refuse_bad(replace(request, conf=tmp_path / "none"))
