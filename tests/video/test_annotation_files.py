"""Annotation files as spreadsheets and other programs save them give the values that are meant."""

import json
from pathlib import Path

import pytest
from annotation_files import MEANT, REFUSED

from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.datasets.annotation_file import AnnotationFileDataset
from tad_blockdrop.video.annotations import (
    AnnotationError,
    read_annotation_file,
    read_annotations,
    read_classes_file,
)


@pytest.mark.parametrize("kind", MEANT)
def test_what_was_meant_is_read(tmp_path: Path, kind: str) -> None:
    content, meant, told = MEANT[kind]
    file = tmp_path / "annotations.txt"
    file.write_bytes(content)
    found = read_annotations(AnnotationFileDataset(filepath=str(file)).load())
    rows = list(found.instances.itertuples(index=False, name=None))
    assert [row[:2] for row in rows] == [row[:2] for row in meant]
    assert [row[2:] for row in rows] == [pytest.approx(row[2:]) for row in meant]
    assert len(found.problems) == len(told)
    for problem, words in zip(found.problems, told, strict=True):
        assert words in problem.message
        assert not problem.fatal


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, kind: str) -> None:
    content, message = REFUSED[kind]
    file = tmp_path / "annotations.txt"
    file.write_bytes(content)
    with pytest.raises(AnnotationError) as error:
        read_annotations(read_annotation_file(file))
    assert message in str(error.value)


def entry(actions: list[dict[str, object]], key: str = "annotations", **more: object) -> object:
    return {"subset": "training", key: actions, **more}


def test_json_with_other_keys_and_units(tmp_path: Path) -> None:
    database = {
        "coin": entry([{"id": "1", "segment": [14.0, "00:17"], "label": "put"}], "annotation"),
        "frames": entry([{"segment(frames)": [30, 60], "label": "cut"}], fps=30),
        "silent": {"subset": "training"},
    }
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps({"database": database}), encoding="utf-16")
    found = read_annotations(read_annotation_file(file))
    assert found.instances.to_numpy().tolist() == [
        ["coin", "put", 14.0, 17.0],
        ["frames", "cut", 1.0, 2.0],
    ]
    [problem] = found.problems
    assert (problem.video_id, problem.kind) == ("silent", "no list of actions")


def test_frame_numbers_are_counted_at_the_rate_that_is_set(tmp_path: Path) -> None:
    file = tmp_path / "annotations.csv"
    file.write_text("video,start_frame,end_frame,label,fps\na,25,50,x,\nb,25,50,x,10\n")
    found = read_annotations(read_annotation_file(file), ReadingConfig(frame_rate=25.0))
    assert found.instances[["start", "end"]].to_numpy().tolist() == [[1.0, 2.0], [2.5, 5.0]]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"none\.csv: it cannot be read \(No such file"):
        read_annotation_file(tmp_path / "none.csv")


def pose_table(rows: int) -> str:
    """As SimBA writes it: poses, features, of which some look like behaviours, and behaviours."""
    features = [f"speed_{number}" for number in range(300)]
    names = ["", "nose_x", "nose_y", "nose_p", *features, "seen", "Probability_groom", "groom"]
    lines = [",".join([*names, "run"])]
    for row in range(rows):
        measured = [f"{row + number / 7:.6f}" for number in range(303)]
        ends = [int(row > 60), 0.5, int(row % 20 < 5), int(row % 30 < 3)]
        lines.append(",".join(map(str, [row, *measured, *ends])))
    return "\n".join(lines)


def test_of_a_table_of_poses_only_behaviours_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "clip.csv"
    file.write_text(pose_table(200))
    read = read_annotation_file(file)
    assert len(read.content.columns) < 10
    found = read_annotations(read)
    assert found.classes == ("seen", "groom", "run")
    assert len(found.instances) == 10 + 7 + 1
    file.write_text(pose_table(200) + "\n200" + ",0" * 307 + ",1")
    with pytest.raises(AnnotationError, match="line 202: it has 309 cells, the header 308"):
        read_annotation_file(file)
    file.write_text(pose_table(200) + "\n200" + ",0" * 307 + ", ")
    assert len(read_annotation_file(file).content) == 201


def test_class_lists_have_the_same_letters(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        (tmp_path / "classes.txt").write_text("Größe\nNone\n", encoding=encoding)
        assert read_classes_file(tmp_path / "classes.txt") == ("Größe", "None")
