"""Annotations, classifier scores and parameters: understood, or refused in words.

The words must be such as a UTF-8 terminal can show: each is encoded here.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hostile_values import HALF, json_values, spoilt, texts, torn
from hypothesis import example, given
from hypothesis import strategies as st
from tests.conftest import ROOT
from tool_files import EGO4D, LABEL_STUDIO, OSL, SOCCERNET, TOOLS, VIA, boris, observation

from tad_blockdrop.config import DataConfig
from tad_blockdrop.context import ParameterError, validate_parameters
from tad_blockdrop.detections.classifier import read_classifier
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.video.annotations import (
    AnnotationFile,
    read_annotation_file,
    read_annotations,
    read_classes,
)
from tad_blockdrop.video.dataset import build_dataset, listed_videos
from tad_blockdrop.video.files.probing import FACTS
from tad_blockdrop.video.problems import problems_table, refuse_fatal

DATA = DataConfig(every=1)
ACTION = {"label": "run", "segment": [0.5, 1.5], "label_id": 0}
ANNOTATIONS = {
    "version": "1",
    "database": {
        "a": {"subset": "training", "duration": 2.0, "fps": 25, "annotations": [ACTION]},
        "b": {"subset": "train", "frame": 50, "annotations": [ACTION, {**ACTION, "label": "b"}]},
        "c": {"subset": "validation", "annotations": [ACTION]},
        "d": {"subset": "testing", "annotations": []},
    },
}
CLASSIFIER = {"class": ["run", "jump"], "results": {"a": [0.2, 0.8], "b": [0.5, 0.5]}}
CSV = "video,start,end,label,subset,duration,fps\na,0.5,1.5,run,training,2,25\nb,,,,validation,,\n"
HEADER = ["video", "start", "end", "label"]
PARAMETERS = yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text(encoding="utf-8")) | {
    "experiment": "fuzz"
}


def facts(videos: list[str]) -> pd.DataFrame:
    """As if every listed video were there."""
    values = {"n_frames": 50, "fps": 25.0, "duration": 2.0, "width": 32, "height": 24,
              "rotation": 0, "variable_rate": False, "codec": "h264", "start": 0.0,
              "note": ""}  # fmt: skip
    rows = [{"video_id": video, "path": f"/{n}.mp4", **values} for n, video in enumerate(videos)]
    return pd.DataFrame(rows, columns=["video_id", "path", *FACTS])


def use(raw: Any) -> None:
    """All that the data pipeline does with annotations."""
    try:
        annotations = read_annotations(raw)
        listed, _ = listed_videos(annotations, DATA)
        dataset = build_dataset(annotations, facts(list(listed["video_id"])), DATA)
        problems = problems_table(dataset.problems)
        problems.to_csv()
        refuse_fatal(problems, "problems.csv")
    except BlockDropError as error:
        str(error).encode()
        return
    assert (dataset.instances["end"] > dataset.instances["start"]).all()
    assert np.isfinite(dataset.instances[["start", "end"]].to_numpy()).all()
    json.dumps(dataset.classes)
    dataset.videos.to_parquet()
    dataset.instances.to_parquet()


def use_file(file: Path) -> None:
    """The same from the file."""
    try:
        raw = read_annotation_file(file)
    except BlockDropError as error:
        str(error).encode()
        return
    use(raw)


@given(spoilt(ANNOTATIONS) | json_values)
@example({HALF: 1})
@example({"database": {HALF: {}}})
@example({"database": {"a": {"subset": HALF}}})
@example({"database": {"a": {"subset": "training", "annotations": [{**ACTION, "label": HALF}]}}})
def test_annotations(raw: Any) -> None:
    use(raw)


EVENTS = [[1.0, "", "groom", "", ""], [3.5, "", "groom", "", ""], [2.0, "", "sniff", "x", ""]]
BORIS = boris(one=observation("/x/a.mp4", "/x/b.mp4", lengths=(2.0, 3.0), events=EVENTS))


@pytest.mark.parametrize(
    "tree", [BORIS, {"": LABEL_STUDIO}, VIA, EGO4D, SOCCERNET, OSL],
    ids=["boris", "label studio", "via", "ego4d", "soccernet", "osl"],
)  # fmt: skip
@given(data=st.data())
def test_json_of_tools(tree: dict[str, Any], data: st.DataObject) -> None:
    raw = data.draw(spoilt(tree))
    use(raw[""] if list(raw) == [""] else raw)


@pytest.mark.parametrize("name", TOOLS)
@given(data=st.data())
def test_files_of_tools(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(data.draw(torn(TOOLS[name][0].encode())))
    use_file(file)


def test_deep_and_expanding_xml_is_refused_or_read_quickly() -> None:
    bomb = "<!DOCTYPE a [<!ENTITY a 'x'>]><ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>"
    deep = "<ANNOTATION_DOCUMENT>" + "<TIER>" * 100_000
    circle = TOOLS["talk.eaf"][0].replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a4"')
    for text in (bomb, deep, deep + "</TIER>" * 100_000 + "</ANNOTATION_DOCUMENT>", circle, HALF):
        use(AnnotationFile(text, name="a.eaf"))


@given(torn(json.dumps(ANNOTATIONS).encode()))
def test_annotation_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "annotations.json"
    file.write_bytes(content)
    use_file(file)


file_texts = texts.filter(lambda text: text.isprintable() or text.isascii())


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """A CSV file's table with some cells, or a column, gone wrong."""
    names = CSV.splitlines()[0].split(",")
    rows: list[list[Any]] = [line.split(",") for line in CSV.splitlines()[1:]]
    for _ in range(draw(st.integers(0, 3))):
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(names) - 1))
        rows[row][column] = draw(file_texts | st.floats() | st.integers() | st.none())
    if draw(st.booleans()):
        names[draw(st.integers(0, len(names) - 1))] = draw(file_texts)
    return pd.DataFrame(rows, columns=names, dtype=object)


@given(tables())
def test_annotation_tables(table: pd.DataFrame) -> None:
    use(table)


@pytest.mark.parametrize("cells", [(HALF, 0, 1, "run"), ("a", 0, 1, HALF)], ids=["video", "label"])
def test_tables_with_half_a_character(cells: tuple[Any, ...]) -> None:
    """No examples of the above: hypothesis prints them, which not every pandas can."""
    use(pd.DataFrame([cells], columns=HEADER, dtype=object))


@given(torn(CSV.encode()))
def test_annotation_csv_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "annotations.csv"
    file.write_bytes(content)
    use_file(file)


@given(st.text(max_size=60) | st.lists(texts, max_size=3).map("\n".join))
@example(HALF)
@example(f"run\n{HALF}")
def test_class_lists(text: str) -> None:
    try:
        names = read_classes(text)
    except BlockDropError as error:
        str(error).encode()
        return
    assert "".join(names).encode()


@given(spoilt(CLASSIFIER) | json_values)
@example({HALF: 1})
@example({**CLASSIFIER, "class": [HALF, "jump"]})
@example({**CLASSIFIER, "results": {HALF: [0.2, 0.8]}})
def test_classifier_scores(raw: Any) -> None:
    try:
        found = read_classifier(raw, ["a", "b"])
    except BlockDropError as error:
        str(error).encode()
        return
    assert np.isfinite(found.scores).all()
    "".join(found.classes).encode()


@given(spoilt(PARAMETERS) | json_values)
@example(PARAMETERS | {HALF: 1})
@example(PARAMETERS | {"experiment": HALF})
@example(PARAMETERS | {"predict": {"videos": HALF}})
def test_parameters(raw: Any) -> None:
    try:
        validate_parameters(raw)
    except ParameterError as error:
        str(error).encode()


def test_the_parameters_that_are_spoilt_are_good_ones() -> None:
    """Else all of the above might be refused for one reason."""
    validate_parameters(PARAMETERS)
    use(ANNOTATIONS)
    listed, _ = listed_videos(read_annotations(ANNOTATIONS), DATA)
    dataset = build_dataset(read_annotations(ANNOTATIONS), facts(list(listed["video_id"])), DATA)
    assert len(dataset.instances) == 4
    assert not problems_table(dataset.problems)["fatal"].any()
