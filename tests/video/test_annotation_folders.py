"""What lies beside annotations in a folder is passed over, and damaged annotations are not."""

import json
from pathlib import Path

import pytest
from annotation_reading import actions, read_texts

from tad_blockdrop.video.annotations import AnnotationError

LABELS = {"a.txt": "1.5\t3.0\tgroom\n"}
JSON = "it begins like JSON but is none"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("desktop.ini", "[.ShellClassInfo]\r\nIconResource=SHELL32.dll,4\r\n", JSON),
        ("project_config.ini", "[General settings]\nproject_path = C:\\x\n", JSON),
        ("notes.txt", "[2024-05-01] camera moved at 3:00\n", JSON),
        ("README.md", "[![DOI](x)](y)\n\n# data\n", JSON),
        ("log.jsonl", '{"a": 1}\n{"a": 2}\n', JSON),
        ("notes.rtf", "{\\rtf1\\ansi notes}\n", "it is a document of a word processor (.rtf)"),
        ("protocol.pdf", "%PDF-1.4\n<xmp>, <xmp>\n", "it is a PDF"),
    ],
)
def test_files_that_are_no_annotations_are_passed_over_with_the_reason(
    tmp_path: Path, name: str, text: str, reason: str
) -> None:
    found = read_texts(tmp_path, LABELS | {name: text})
    assert actions(found) == [("a", "groom", 1.5, 3)]
    assert found.problems[0].kind == "passed over"
    assert f"for example {name}: {reason}" in found.problems[0].message


@pytest.mark.parametrize("ending", ["json", "boris", "eaf", "xml", "csv", "tsv"])
def test_damaged_files_of_tools_are_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(AnnotationError, match=rf"broken\.{ending}: {JSON}"):
        read_texts(tmp_path, LABELS | {f"broken.{ending}": '{"database": {"a": '})


def test_several_reasons_are_told(tmp_path: Path) -> None:
    files = {"b.pdf": "%PDF-1.4", "c.ini": "[x]\n", "d.md": "# Notes\n"}
    told = read_texts(tmp_path, LABELS | files).problems[0].message
    assert told.startswith("3 file(s) in the folder of annotations are in no known format")
    assert "b.pdf: it is a PDF; c.ini: it begins like JSON" in told


def test_other_labels_of_a_game_are_passed_over(tmp_path: Path) -> None:
    spotted = {"gameTime": "1 - 00:06", "label": "Goal", "position": "6000"}
    game = {"UrlLocal": "l/A/", "annotations": [spotted]}
    cameras = {"UrlLocal": "l/A/", "annotations": [spotted | {"change_type": "logo"}]}
    found = read_texts(tmp_path, {"Labels-v2.json": json.dumps(game),
                                  "Labels-cameras.json": json.dumps(cameras)})  # fmt: skip
    assert actions(found) == [("l/A/1_720p", "Goal", 5.5, 6.5)]
    assert "Labels-cameras.json: they are changes of the camera" in found.problems[0].message
