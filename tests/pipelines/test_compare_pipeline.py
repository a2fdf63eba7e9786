"""``kedro run --pipeline compare`` on a finished experiment and another one, made from it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError
from tests.conftest import run_kedro

from tad_blockdrop.checksums import seal_of
from tad_blockdrop.config.compare import CompareConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.compare.nodes import choose_experiments, compare_parameters

RECORDS = {"a": {"parameters": {}}, "b": {"parameters": {}}}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, r"compare\.first=<one>,compare\.second=<another>; there are: a, b"),
        ({"first": "a"}, "two experiments must be named"),
        ({"first": "a", "second": "c"}, "no experiment 'c' to compare; there are: a, b"),
    ],
)
def test_experiments_must_be_named_and_there(names: dict[str, str], message: str) -> None:
    with pytest.raises(BlockDropError, match=message):
        choose_experiments(RECORDS, CompareConfig(**names))
    with pytest.raises(BlockDropError, match="there are: none"):
        choose_experiments({}, CompareConfig(first="a", second="b"))


@pytest.mark.parametrize("bad", [("a", "a"), ("../a", "b"), ("a", "b/c"), ("a", "b+c")])
def test_names_are_two_names_of_experiments(bad: tuple[str, str]) -> None:
    with pytest.raises(ValidationError):
        CompareConfig(first=bad[0], second=bad[1])


def test_two_experiments_side_by_side(finished_copy: Path) -> None:
    data, other = finished_copy / "data", "smoke_2.b"
    for layer in ("06_models", "08_reporting"):
        shutil.copytree(data / layer / "smoke", data / layer / other)
    record = data / "06_models" / other / "experiment.json"
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"train_map"', '"train_loss"'), encoding="utf-8")
    seal_of(record).unlink()
    (file,) = (data / "08_reporting" / other / "result_table.csv").glob("*/*.csv")
    table = pd.read_csv(file, dtype={"kept_blocks": str})
    table["average"] += 3.0
    table.to_csv(file, index=False)
    seal_of(file).unlink()

    done = run_kedro(
        finished_copy, "run", "--pipeline", "compare", "--env", "smoke",
        "--params", f"compare.first=smoke,compare.second={other}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folder = data / "08_reporting" / f"smoke+{other}"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{name}{ending}"
        for name in ("compare.html", "comparison_plot.json", "comparison_table.csv",
                     "parameter_differences.csv")
        for ending in ("", ".sha256")
    ]  # fmt: skip
    found = pd.read_csv(folder / "comparison_table.csv").set_index("model")
    assert list(found.index) == list(table["model"])
    assert found["average_change"].tolist() == pytest.approx([3.0] * len(table))
    differences = pd.read_csv(folder / "parameter_differences.csv")
    assert differences.to_numpy().tolist() == [["compress.criterion", "train_map", "train_loss"]]
    page = (folder / "compare.html").read_text(encoding="utf-8")
    assert f"<title>smoke and {other}</title>" in page
    assert re.search(r"step_02\s.*\+3\.0", done.stdout)
    # Nothing is mixed into either experiment.
    assert record.read_text(encoding="utf-8").count("train_loss") == 1
    assert not (data / "06_models/smoke/experiment.json").read_text().count("compare")


def test_another_rating_is_told(caplog: pytest.LogCaptureFixture) -> None:
    experiments = {
        "one": {"parameters": {"evaluation.tious": [0.3], "evaluation.postprocess.sigma": 0.7}},
        "wide": {"parameters": {"evaluation.tious": [0.5], "evaluation.postprocess.sigma": 0.7}},
        "soft": {"parameters": {"evaluation.tious": [0.3], "evaluation.postprocess.sigma": 0.2}},
    }
    experiments = {name: record | {"data": None} for name, record in experiments.items()}
    compare_parameters(experiments, ("one", "one"))
    assert not caplog.text
    compare_parameters(experiments, ("one", "wide"))
    assert "different overlaps (evaluation.tious): no change of mAP is given" in caplog.text
    caplog.clear()
    compare_parameters(experiments, ("one", "soft"))
    assert "differ in evaluation.postprocess.sigma: this is part of each change" in caplog.text


def test_other_data_are_told(caplog: pytest.LogCaptureFixture) -> None:
    def record(**data: Any) -> dict[str, Any]:
        known = {"annotations": {"a": "1"}, "videos": {"a.mp4": [9, 9, "f"]}, "classes": ["run"]}
        return {"parameters": {"data.fps": 10}, "data": known | data}

    experiments = {
        "one": record(),
        "moved": record(videos={"other/a.mp4": [9, 8, "f"]}),
        "relabelled": record(annotations={"a": "2"}),
        "renamed": record(classes=["jump"]),
        "old": record() | {"data": None},
    }
    for same in ("one", "moved", "old"):
        assert compare_parameters(experiments, ("one", same)).empty
    assert not caplog.text
    for other, row in (("relabelled", "annotations (digest)"), ("renamed", "classes (in order)")):
        caplog.clear()
        assert compare_parameters(experiments, ("one", other))["parameter"].tolist() == [row]
        assert "do not compare their results" in caplog.text
