"""Files of annotation tools are read as they are, and what is decided or left out is told."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from boris_exports import OLD_QUEUE, QUEUE_7
from cvat_files import CVAT, CVAT_PROJECT
from dataset_files import database, video
from tool_files import (
    EAF,
    LABEL_STUDIO,
    SLOTS,
    TIERS,
    TOOLS,
    VIA,
    boris,
    eaf,
    observation,
    sound,
    timeline,
)

from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.video.annotations import (
    AnnotationError,
    Annotations,
    read_annotation_files,
    read_annotations,
)
from tad_blockdrop.video.annotations.media import video_names


def read(folder: Path, name: str, text: str, **config: Any) -> Annotations:
    (folder / name).write_text(text, encoding="utf-8")
    return read_annotations(read_annotation_files([folder / name]), ReadingConfig(**config))


def rows(found: Annotations) -> list[tuple[Any, ...]]:
    return list(found.instances.itertuples(index=False, name=None))


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_s_file_is_read(tmp_path: Path, name: str) -> None:
    text, format_name, meant, told = TOOLS[name]
    found = read(tmp_path, name, text)
    assert [row[:2] for row in rows(found)] == [row[:2] for row in meant]
    assert [row[2:] for row in rows(found)] == [pytest.approx(row[2:]) for row in meant]
    first, *others = found.problems
    assert f"{name} was read as {format_name}: " in first.message
    assert len(others) == len(told), [problem.message for problem in others]
    for words in told:
        assert any(words in problem.message for problem in others), words
    assert not any(problem.fatal for problem in found.problems)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.boris", json.dumps(boris(live={"type": "LIVE", "file": {}, "events": []})),
         "observations: none of 1 has media in player 1; observe video files"),
        ("a.boris", json.dumps(boris(one=observation("a.mp4", "b.mp4", events=[]))),
         "times run on through its 2 media, but the length of 'a.mp4' is not stated"),
        ("a.csv", QUEUE_7, "its 2 media, but the length of 'v/b.mp4' is not stated"),
        ("a.tsv", OLD_QUEUE, "its 2 media, but the length of 'b.mp4' is not stated"),
        ("a.boris", json.dumps(boris(one=observation("a.mp4", events=[[1]]))),
         "observations.one.events[0]: it has 1 values"),
        ("a.boris", json.dumps(boris(one=observation("a.mp4", events=[]))),
         "no video has an action"),
        ("a.eaf", eaf(TIERS, '<TIME_SLOT TIME_SLOT_ID="ts1"/>'),
         "TIME_ORDER: no annotation has a time (0 time slots state one)"),
        ("a.eaf", eaf("", SLOTS), "TIER: there is none"),
        ("a.eaf", eaf(TIERS, SLOTS + '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="9"/>'),
         "TIME_SLOT ts1: it is at 1.5 s as well as 0.009 s"),
        ("a.eaf", EAF.replace("<ANNOTATION_DOCUMENT", "<!DOCTYPE x [<!ENTITY a 'b'>]>\n"
                              "<ANNOTATION_DOCUMENT"), "it declares a document type"),
        ("a.eaf", EAF[:900], "it begins like XML but is none"),
        ("a.xml", CVAT.replace("<track", '<image id="0" name="f"/><track', 1), "CVAT for video 1"),
        ("a.xml", CVAT_PROJECT.replace('task_id="8"', 'task_id="9"'), "none of the 2 tasks is its"),
        ("a.json", json.dumps([LABEL_STUDIO[0], LABEL_STUDIO[0]]), "video 'a' is in two tasks"),
        ("a.json", json.dumps([{"video": "a.mp4", "t": [sound(["run"], 1, 2),
                                                        timeline("run", 1, 2)["value"]]}]),
         "video 'a': its times are frames as well as seconds"),
        ("a.json", json.dumps(VIA | {"attribute": {}}), "attribute: none is of temporal segments"),
        ("a.txt", "1.0\t2.0\trun\nno label\n", "line 2: 'no label' is no label"),
        ("a.txt", "120\t340\trun\n5000\t9000\trun\n", "up to 9000: they look like milliseconds"),
        ("Labels-cameras.json", json.dumps({"UrlLocal": "a", "annotations": [
            {"change_type": "logo", "gameTime": "1 - 00:06", "label": "x", "position": "6000"}]}),
         "they are changes of the camera (Labels-cameras.json), not actions; take Labels-v2.json"),
        ("a_labels.csv", ",background,run\n0,0.4,0.6\n", "frame 0, run: it is '0.6', neither 0"),
        ("a_labels.csv", ",background,run\n0,1,0\n1,1,0\n5,0,1\n", "frame 1: the next row is of"),
        ("a.csv", ",n_x,n_y,n_p,run\n1,1,2,1,0\n0,1,2,1,1\n", "the next row is of frame 0, but"),
        ("a.csv", ",n_x,n_y,n_p\n0,1.5,2.5,0.5\n", "no column after the poses and features"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_a_sentence(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(AnnotationError) as error:
        read(tmp_path, name, text)
    assert message in str(error.value)
    str(error.value).encode()


@pytest.mark.parametrize(
    ("name", "labels", "meant"),
    [
        ("talk.eaf", "hands", [("a b", "both")]),
        ("via.json", "who", [("a", "Ann")]),
        ("annotations.xml", "act", [("a", "run"), ("a", "rest")]),
        ("EPIC_100_validation.csv", "verb noun", [("P01_01", "open door")]),
        ("clip.csv", "run", [("clip", "run")]),
        ("clip.csv", "run, groom", [("clip", "run"), ("clip", "groom")]),
    ],
)
def test_what_names_the_actions_can_be_chosen(
    tmp_path: Path, name: str, labels: str, meant: list[tuple[str, str]]
) -> None:
    found = read(tmp_path, name, TOOLS[name][0], labels=labels)
    assert [row[:2] for row in rows(found)] == meant
    with pytest.raises(AnnotationError, match=r"correct data\.reading\.labels|no video has an"):
        read(tmp_path, name, TOOLS[name][0], labels="nowhere")


def test_a_stated_rate_counts_before_the_one_set(tmp_path: Path) -> None:
    found = read(tmp_path, "tasks.json", json.dumps(LABEL_STUDIO), frame_rate=5.0)
    assert rows(found)[:2] == [("a", "groom", 5.0, 10.0), ("b", "run", 0.0, 2.0)]


def test_a_file_without_actions_says_what_was_left_out(tmp_path: Path) -> None:
    text = json.dumps([{"data": {"video": "a.mp4"}, "annotations": [
        {"result": [{"type": "videorectangle", "value": {}}]}]}])  # fmt: skip
    with pytest.raises(AnnotationError, match=r"no video has an .*left out: 1 regions that are"):
        read(tmp_path, "tasks.json", text)


@pytest.mark.parametrize("ids", ["", 'ANNOTATION_ID="a1"'])
def test_actions_of_elan_have_their_own_times_whatever_their_ids(tmp_path: Path, ids: str) -> None:
    """Programs that write such documents leave the ids out, or repeat them."""
    text = re.sub('ANNOTATION_ID="a[123]"', ids, EAF)
    assert rows(read(tmp_path, "a.eaf", text)) == rows(read(tmp_path, "b.eaf", EAF))


@pytest.mark.parametrize(
    ("tier", "meant"),
    [
        ("timed", [("a b", "part 1", 1, 2), ("a b", "part 2", 2, 3), ("a b", "part 3", 3, 4)]),
        ("ordered", [("a b", "one", 1, 2.5), ("a b", "two", 2.5, 4)]),
    ],
)
def test_annotations_that_divide_another_one_do_so_evenly(
    tmp_path: Path, tier: str, meant: list[Any]
) -> None:
    """ELAN states no times of them, and shows them like that."""
    found = read(tmp_path, "a.eaf", TOOLS["subdivided.eaf"][0], labels=tier)
    assert rows(found) == meant
    assert f"{len(meant)} annotation(s) have no times of their own" in found.problems[1].message


def test_only_tasks_that_were_done_are_videos(tmp_path: Path) -> None:
    found = read(tmp_path, "skipped.json", TOOLS["skipped.json"][0])
    assert found.stated["video_id"].tolist() == ["c"]


def test_a_checkbox_is_a_class_of_its_name(tmp_path: Path) -> None:
    text = CVAT.replace(">run<", ">true<").replace(">rest<", ">false<")
    assert rows(read(tmp_path, "a.xml", text, labels="act")) == [("a", "act", 10, 14)]
    text = CVAT.replace(">run<", ">__undefined__<")
    assert rows(read(tmp_path, "a.xml", text, labels="act")) == [("a", "rest", 14, 20)]


def test_tracks_without_the_chosen_attribute_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, "annotations.xml", CVAT, labels="act")
    assert "2 tracks that show no class" in found.problems[-1].message


def test_events_get_the_length_that_is_set(tmp_path: Path) -> None:
    found = read(tmp_path, "clip.txt", "0.1\t0.1\tsniff\n9\t9\tsniff\n", point_seconds=3.0)
    assert rows(found) == [("clip", "sniff", 0.0, 1.6), ("clip", "sniff", 7.5, 10.5)]
    assert "2 event(s) have no length" in found.problems[-1].message


def test_frames_are_counted_at_the_rate_of_the_video_or_the_one_set(tmp_path: Path) -> None:
    text = TOOLS["clip_labels.csv"][0]
    found = read(tmp_path, "clip_labels.csv", text)
    facts = pd.DataFrame([("clip", 10.0, 0.5)], columns=["video_id", "fps", "start"])
    assert found.in_seconds(facts)["start"].tolist() == pytest.approx([0.6, 0.8])
    fixed = read(tmp_path, "clip_labels.csv", text, frame_rate=2.0)
    assert fixed.in_seconds(facts)["start"].tolist() == [0.5, 1.5]


def test_instants_without_a_rate_are_left_out_and_told(tmp_path: Path) -> None:
    text = json.dumps(LABEL_STUDIO).replace('"fps": 10', '"width": 10')
    found = read(tmp_path, "tasks.json", text)
    assert [row[1] for row in rows(found)] == ["groom", "run"]
    [told] = [p for p in found.problems if "as the frame rate is not known" in p.message]
    assert told.advice == "state it as data.reading.frame_rate"


def test_published_splits_come_from_the_files(tmp_path: Path) -> None:
    for name, subset in (("Charades_v1_train.csv", "train"), ("EPIC_100_validation.csv",
                         "validation"), ("moments_train.json", "train")):  # fmt: skip
        assert set(read(tmp_path, name, TOOLS[name][0]).stated["subset"]) == {subset}


def test_files_and_folders_of_several_formats_are_one_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "more").mkdir(parents=True)
    (folder / "talk.eaf").write_text(EAF)
    (folder / "more" / "clip.txt").write_text(TOOLS["clip.txt"][0])
    (folder / "more" / "still_labels.csv").write_text(",background,run\n0,1,0\n")
    (folder / "README.md").write_text("# Who coded what, and when\n")
    (folder / "clip.mp4").write_bytes(b"\0" * 64)
    (folder / "weights.bin").write_bytes(b"\1\0\0\2" * 64)
    (folder / ".DS_Store").write_bytes(b"\1\0")
    (tmp_path / "own.json").write_text(json.dumps(database(own=video("train", ("fly", 0, 1)))))
    found = read_annotations(read_annotation_files([folder, tmp_path / "own.json"]))
    assert found.stated["video_id"].tolist() == ["clip", "still", "a b", "own"]
    assert found.classes == ("early", "fly", "groom", "rest", "sniff, twice")
    assert found.problems[0].message.startswith("2 file(s) in the folder of annotations are in no")


def test_a_video_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(database(v=video("t", ("run", 0, 1)))))
    with pytest.raises(AnnotationError, match=r"a\.json and .*b\.json: video 'v' is annotated"):
        read_annotations(read_annotation_files([tmp_path]))


def test_notes_among_annotations_are_passed_over_and_damaged_tables_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "talk.eaf").write_text(EAF)
    (tmp_path / "notes.txt").write_text('Coded by Ann, Bob\nOn Monday, Tuesday, "Friday\n')
    found = read_annotations(read_annotation_files([tmp_path]))
    assert found.problems[0].message.startswith("1 file(s) in the folder of annotations are in no")
    (tmp_path / "mine.csv").write_text("video,start,end,label\na,1,2,run,fast\n")
    with pytest.raises(AnnotationError, match=r"mine\.csv, line 2: it has 5 cells, the header 4"):
        read_annotations(read_annotation_files([tmp_path]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "an empty list: nothing was exported"),
        ('[{"id": 1, "video": "a.mp4"}]', "a list of 1, the first of which is {'id': 1, 'vid"),
        ("To be done", "a text that begins with 'To be done'"),
    ],
)
def test_what_was_found_instead_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match="the format is not known") as error:
        read_annotations(read_annotation_files([tmp_path / "a.json"]))
    assert f"(found: {said}" in str(error.value)


def test_videos_of_one_name_in_two_files_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    events = [[1.0, "", "groom", "", ""], [2.0, "", "groom", "", ""]]
    for camera in ("cam1", "cam2"):
        text = json.dumps(boris(one=observation(f"/home/u/{camera}/rec.mp4", events=events)))
        (tmp_path / f"{camera}.boris").write_text(text)
    (tmp_path / "more.eaf").write_text(EAF)
    found = read_annotations(read_annotation_files([tmp_path]))
    assert found.stated["video_id"].tolist() == ["cam1/rec", "cam2/rec", "a b"]
    assert "'rec' in cam1.boris and cam2.boris" in found.problems[0].message
    (tmp_path / "again.boris").write_text((tmp_path / "cam1.boris").read_text())
    with pytest.raises(AnnotationError, match="video 'rec' is annotated in both"):
        read_annotations(read_annotation_files([tmp_path]))


def test_a_folder_without_annotations_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="the folder is empty"):
        read_annotation_files([tmp_path])
    (tmp_path / "one.txt").write_text("hello")
    (tmp_path / "two.txt").write_text("hello")
    with pytest.raises(AnnotationError, match=r"not known .*ELAN document: the \.eaf file"):
        read_annotations(read_annotation_files([tmp_path]))


def test_a_video_coded_twice_in_boris_is_told(tmp_path: Path) -> None:
    events = [[1.0, "", "groom", "", ""], [2.0, "", "groom", "", ""]]
    twice = {name: observation("a.mp4", events=events) for name in ("ann", "bob")}
    found = read(tmp_path, "a.boris", json.dumps(boris(**twice)))
    assert len(found.instances) == 2
    assert "observations 'ann' and 'bob' are both of this video" in found.problems[1].message


def test_names_of_videos_are_as_short_as_tells_them_apart() -> None:
    assert video_names(["/home/u/a.mp4", r"D:\films\b.avi"]) == {
        "/home/u/a.mp4": "a", r"D:\films\b.avi": "b",
    }  # fmt: skip
    paths = ["/x/cam1/rec.mp4", "/x/cam2/rec.mp4", "/x/cam2/rec.avi"]
    assert list(video_names(paths).values()) == ["cam1/rec", "cam2/rec.mp4", "rec.avi"]
    addresses = ["https://h/p/a%20b.mp4?x=1", "/data/local-files/?d=y/c.mp4", "file:///C:/z/d.mp4"]
    assert list(video_names(addresses).values()) == ["a b", "c", "d"]
    host = "http://host:8080/data/local-files/?d="
    local = [f"{host}mice/rec1.mp4", f"{host}mice/rec%202.mp4", "/data/local-files/?d=rats/a.mp4"]
    assert list(video_names(local).values()) == ["rec1", "rec 2", "a"]
    files = [
        "file:///D:/v/mouse #3.mp4",
        "file:/D:/v/a%20b.mp4",
        "file:///v/who?.mp4",
        "s3://b/c#1",
    ]
    assert list(video_names(files).values()) == ["mouse #3", "a b", "who?", "c#1"]
    assert list(video_names(["no ending", "v1.2"]).values()) == ["no ending", "v1.2"]


def test_subjects_of_all_observations_are_counted_once_and_named(tmp_path: Path) -> None:
    """Nobody is no subject."""
    events = [
        [1.0, "m1", "sniff", "", ""],
        [2.0, "m2", "sniff", "", ""],
        [3.0, "", "sniff", "", ""],
    ]
    text = json.dumps(boris(one=observation("a.mp4", events=events),
                            two=observation("b.mp4", events=events)))  # fmt: skip
    told = [problem.message for problem in read(tmp_path, "p.boris", text).problems]
    assert "the actions of 2 subjects are taken alike: m1, m2" in told
    assert not any("left out" in message for message in told)


def test_an_observation_without_events_is_told(tmp_path: Path) -> None:
    text = json.dumps(boris(coded=observation("a.mp4", events=[[1.0, "", "sniff", "", ""]]),
                            begun=observation("b.mp4", events=[])))  # fmt: skip
    found = read(tmp_path, "p.boris", text)
    assert list(found.stated["video_id"]) == ["a", "b"]
    told = [problem.message for problem in found.problems]
    assert "observation 'begun' has no events: its videos count as without actions" in told


def test_a_boris_table_without_its_ends_is_refused(tmp_path: Path) -> None:
    """With a variable called Time, which alone would make it a table of single events."""
    header = "Observation id,Source,Time,Behavior,Behavior type,Start (s)"
    text = f"{header}\no,player #1:a.mp4,9,g,STATE,1\n"
    with pytest.raises(AnnotationError, match=r"a column 'Start \(s\)', but no 'Stop \(s\)'"):
        read(tmp_path, "table.csv", text)
