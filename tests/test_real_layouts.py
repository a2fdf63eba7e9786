"""Miniatures with the names, layouts and frame rates of THUMOS14 and ActivityNet.

They go through the real environments; only sizes are reduced, and only by parameters.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest
from dataset_files import damage, database, video, write_video

Kedro = Callable[..., CompletedProcess[str]]

SMALL = {
    "detector.backbone.width": 16, "detector.backbone.depth": 4, "detector.backbone.heads": 2,
    "detector.pyramid.width": 16, "baseline.backbone_weights": "null",
    "data.window.frames": 32, "data.window.crop": 32,
    "data.window.short_side": 32, "data.proxy.short_side": 40, "compress.n_drops": 1,
    "runtime.threads": 1, "runtime.workers": 0, "runtime.device": "cpu",
}  # fmt: skip
RATES = {
    "video_validation_0000051": Fraction(30),
    "video_validation_0000053": Fraction(30000, 1001),
    "video_test_0000004": Fraction(30000, 1001),
    "video_test_0000006": Fraction(30),
}


@pytest.fixture
def thumos14(project: Path) -> Path:
    """Two training and two test videos, with the label that the field leaves out."""
    raw = project / "data" / "01_raw" / "thumos14"
    entries = {}
    for number, (name, fps) in enumerate(RATES.items()):
        seconds = 6 + number
        write_video(raw / "videos" / f"{name}.mp4", seconds, fps, size=(64, 48))
        subset = "training" if "validation" in name else "validation"
        entries[name] = video(
            subset,
            ("Billiards", 1.0, 3.0),
            ("Diving", 3.5, 4.5),
            ("Ambiguous", 4.5, 5.0),
            duration=float(seconds),
            frame=round(seconds * fps),
            fps=float(fps),
        )
    (raw / "annotations.json").write_text(json.dumps(database(**entries)))
    return project


@pytest.fixture
def activitynet(project: Path) -> Path:
    """As the official file lists videos: ids without the ``v_`` of the files, some files gone."""
    raw = project / "data" / "01_raw" / "activitynet"
    entries = {}
    for number, (name, subset) in enumerate(
        {"aaa": "training", "bbb": "training", "ccc": "validation", "ddd": "validation"}.items()
    ):
        seconds = 5 + number
        if name != "ddd":
            write_video(raw / "videos" / f"v_{name}.mp4", seconds, 25, size=(48, 64))
        actions = [("Archery", 1.0, 4.0), ("Ballet", 2.0, 2.02)]
        entries[name] = video(subset, *actions, duration=float(seconds), url="https://x.y/z")
    entries["eee"] = video("testing", duration=9.0)
    whole = database(**entries) | {"taxonomy": [{"nodeName": "Root"}], "version": "1.3"}
    (raw / "annotations.json").write_text(json.dumps(whole))
    scores = {"class": ["Archery", "Ballet"], "results": {"ccc": [0.9, 0.1]}}
    (raw / "classifier.json").write_text(json.dumps(scores))
    return project


def run(kedro: Kedro, environment: str, pipeline: str, **changes: Any) -> str:
    params = ",".join(f"{key}={value}" for key, value in (SMALL | changes).items())
    done = kedro("run", "--env", environment, "--pipeline", pipeline, "--params", params)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_thumos14_preflight(thumos14: Path, kedro: Kedro) -> None:
    run(kedro, "thumos14_s", "preflight", **{"data.window.grid": 32})
    primary = thumos14 / "data" / "03_primary" / "thumos14_s"
    summary = json.loads((primary / "dataset_summary.json").read_text())
    classes = summary["learned_classes"]
    assert len(classes) == 20
    assert "Ambiguous" not in classes
    problems = pd.read_csv(primary / "problems.csv")
    assert problems["kind"].value_counts().to_dict() == {
        "unknown label": 4,
        "class without training actions": 18,
    }
    facts = pd.read_parquet(
        thumos14 / "data" / "02_intermediate" / "thumos14_s" / "video_facts.parquet"
    )
    assert dict(zip(facts["video_id"], facts["fps"], strict=True)) == pytest.approx(
        {name: float(fps) for name, fps in RATES.items()}
    )
    report = json.loads(
        (thumos14 / "data" / "08_reporting" / "thumos14_s" / "preflight_report.json").read_text()
    )
    # every 4th of 6 s and 7 s, of 8 s and 9 s: 45 and 53, 60 and 68 samples; windows every 16
    assert report["work"] == {
        "training": 2, "scored": 2 + 3, "held_out": 0, "rated": 5, "tested": 3 + 4,
        "calibrating": 2 + 3, "featured": 2 + 3,
        "samples": 45 + 53 + 60 + 68, "kept": 45 + 53 + 60 + 68,
        "videos": {
            "scored": 2, "held_out": 0, "rated": 2, "tested": 2, "calibrating": 2, "featured": 2,
        },
    }  # fmt: skip
    assert report["obstacles"] == []


def test_thumos14_whole_job(thumos14: Path, kedro: Kedro) -> None:
    """Data, baseline, compress, report; of four test videos one is gone and one is damaged."""
    raw = thumos14 / "data" / "01_raw" / "thumos14"
    listed = json.loads((raw / "annotations.json").read_text())
    for name in ("video_test_0000007", "video_test_0000011"):
        listed["database"][name] = video("validation", ("Diving", 1.0, 3.0))
    (raw / "annotations.json").write_text(json.dumps(listed))
    damage(write_video(raw / "videos" / "video_test_0000007.mp4", 12, 30, size=(64, 48)), 200)

    learning = {
        f"{recipe}.{key}": value
        for recipe in ("baseline.train", "compress.first", "compress.later")
        for key, value in (
            ("epochs", 4), ("stop", 4), ("warmup", 1), ("ema", 0.5),
            ("lr_backbone", 0.01), ("lr_detector", 0.01),
        )
    }  # fmt: skip
    said = run(
        kedro, "thumos14_s", "compress",
        **{"data.window.grid": 32, "data.on_missing": "skip", "evaluation.latency_repeats": 1},
        **learning,
    )  # fmt: skip
    assert "mAP in percent over 2 of 4 videos" in said
    primary = thumos14 / "data" / "03_primary" / "thumos14_s"
    problems = pd.read_csv(primary / "problems.csv")
    assert problems.loc[problems["kind"] == "missing file", "video_id"].tolist() == [
        "video_test_0000011"
    ]
    frames = pd.read_csv(primary / "frame_problems.csv")
    assert frames["video_id"].tolist() == ["video_test_0000007"]
    reporting = thumos14 / "data" / "08_reporting" / "thumos14_s"
    (results,) = reporting.glob("result_table.csv/*/result_table.csv")
    table = pd.read_csv(results).set_index("model")
    assert table.index.tolist() == ["uncompressed", "step_01", "one_shot_01"]
    assert table["n_blocks"].tolist() == [4, 3, 3]
    assert set(table["videos"]) == {"2 of 4 videos"}
    (classes,) = reporting.glob("class_table.parquet/*/class_table.parquet")
    assert set(pd.read_parquet(classes)["videos"]) == {"2 of 4 videos"}
    (scores,) = reporting.glob("score_table.parquet/*/score_table.parquet")
    assert set(pd.read_parquet(scores)["videos"]) == {"2 of 2 videos"}
    (page,) = reporting.glob("report.html/*/report.html")
    assert "2 of 4 videos" in page.read_text()


def test_activitynet_preflight(activitynet: Path, kedro: Kedro) -> None:
    """A quarter of the steps, resized windows, one class, and the classifier's names."""
    sizes = {"data.window.frames": 128, "data.window.grid": 32, "compress.first.batch": 2}
    run(kedro, "activitynet_s", "preflight", **sizes)
    primary = activitynet / "data" / "03_primary" / "activitynet_s"
    problems = pd.read_csv(primary / "problems.csv")
    assert problems[["video_id", "kind"]].to_numpy().tolist() == [["ddd", "missing file"]]
    summary = json.loads((primary / "dataset_summary.json").read_text())
    assert summary["learned_classes"] == ["action"]
    assert set(summary["classes"]) == {"Archery", "Ballet"}
    assert (summary["used"]["test"], summary["listed"]["test"]) == (1, 2)
    assert summary["warnings"][-1] == (
        "2 training instances cover at most 0.01 of their video and are left out of training "
        "(data.window.min_instance_share)"
    )


def test_missing_weights_stop_the_job_before_any_work(thumos14: Path, kedro: Kedro) -> None:
    done = kedro("run", "--env", "thumos14_s", "--pipeline", "compress")
    assert done.returncode == 1
    assert "baseline.backbone_weights: there is nothing at data/01_raw/weights" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((thumos14 / "data" / "02_intermediate").glob("*/*"))
