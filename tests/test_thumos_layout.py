"""A miniature with THUMOS14's names, layout and frame rates, through the real environment.

Only sizes are reduced, and only by parameters.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from tests.video.dataset_files import database, video, write_video

Kedro = Callable[..., CompletedProcess[str]]

SMALL = {
    "detector.backbone.width": 16, "detector.backbone.depth": 4, "detector.backbone.heads": 2,
    "detector.pyramid.width": 16, "baseline.backbone_weights": "null",
    "data.window.frames": 32, "data.window.grid": 32, "data.window.crop": 32,
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
def miniature(project: Path) -> Path:
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


def test_preflight(miniature: Path, kedro: Kedro) -> None:
    params = ",".join(f"{key}={value}" for key, value in SMALL.items())
    done = kedro("run", "--env", "thumos14_s", "--pipeline", "preflight", "--params", params)
    assert done.returncode == 0, done.stdout + done.stderr
    primary = miniature / "data" / "03_primary" / "thumos14_s"
    classes = json.loads((primary / "classes.json").read_text())
    assert len(classes) == 20
    assert "Ambiguous" not in classes
    problems = pd.read_csv(primary / "problems.csv")
    assert problems["kind"].value_counts().to_dict() == {
        "unknown label": 4,
        "class without training actions": 18,
    }
    facts = pd.read_parquet(
        miniature / "data" / "02_intermediate" / "thumos14_s" / "video_facts.parquet"
    )
    assert dict(zip(facts["video_id"], facts["fps"], strict=True)) == pytest.approx(
        {name: float(fps) for name, fps in RATES.items()}
    )
    report = json.loads(
        (miniature / "data" / "08_reporting" / "thumos14_s" / "preflight_report.json").read_text()
    )
    # every 4th of 6 s and 7 s, of 8 s and 9 s: 45 and 53, 60 and 68 samples; windows every 16
    assert report["work"] == {
        "training": 2, "scored": 2 + 3, "held_out": 0, "rated": 5, "tested": 3 + 4,
        "samples": 45 + 53 + 60 + 68,
    }  # fmt: skip
    assert report["obstacles"] == []
