"""Annotations and corrections as one annotations file that data.annotations reads."""

import json
import logging
from dataclasses import replace

import pytest
from dataset_files import database, video, write_video
from tests.review.conftest import table_of_videos
from tests.review.test_corrections import JUMP, LATER, RUN

from tad_blockdrop.config import DataConfig
from tad_blockdrop.datasets.annotation_file import AnnotatedVideosDataset
from tad_blockdrop.pipelines.corrections.nodes import merge_corrections
from tad_blockdrop.pipelines.predict.nodes import find_truth
from tad_blockdrop.review.corrections import Edit, Entry, Finish, Judge, Segment
from tad_blockdrop.review.merging import MergeError, merge
from tad_blockdrop.review.truth import known_truth
from tad_blockdrop.video.annotations import read_annotations

DATA = DataConfig(every=1, training_subset="train", evaluation_subset="val")
ANNOTATED = database(
    a=video("train", ("run", 1, 2), ("jump", 3.00049, 4.0001), duration=9.5, fps=25),
    b=video("val", ("run", 5, 4)),
    c=video("other", ("swim", 0, 1)),
)


def entry(video_id, *changes, number=1):
    return Entry(
        video=video_id, changes=changes, number=number, time="", who="ann", model="", predictions=""
    )


def merged(entries, annotations=ANNOTATED):
    known = read_annotations(annotations) if annotations else None
    found = merge(known, entries, DATA)
    return found, read_annotations(json.loads(json.dumps(found.content)))


def rows(annotations, video_id):
    own = annotations.instances[annotations.instances["video_id"] == video_id]
    return [tuple(row) for row in own[["label", "start", "end"]].itertuples(index=False)]


def test_corrected_annotations_are_those_that_were_there_and_what_was_said():
    found, back = merged([entry("a", Edit(before=RUN, after=LATER))])
    assert rows(back, "a") == [("run", 1.0, 2.5), ("jump", 3.00049, 4.0001)]
    assert rows(back, "b") == [("run", 5.0, 4.0)]  # for problems.csv to tell
    stated = back.stated.set_index("video_id")
    assert stated["subset"].to_dict() == {"a": "train", "b": "val", "c": "other"}
    assert stated.loc["a", ["duration", "fps"]].tolist() == [9.5, 25]
    assert found.told == []


def test_videos_that_share_an_id_stay_apart():
    """With an annotated one, and with one that was corrected before; without a mark as ever."""
    made = {"changes": (Edit(before=None, after=LATER), Finish(finished=True)), "listed": False}
    blank = entry("a", Finish(finished=True))
    other = blank.model_copy(update=made | {"content": "b" * 64})
    own = entry("a", Edit(before=RUN, after=None)).model_copy(update={"content": "a" * 64})
    entries = [
        other,
        own.model_copy(update={"listed": True}),
        *(blank.model_copy(update=made | {"video": "x", "content": c * 64}) for c in "cd"),
        entry("x", Edit(before=None, after=JUMP)),  # of a journal from before
    ]
    found, back = merged(
        [each.model_copy(update={"number": n}) for n, each in enumerate(entries, 1)]
    )
    assert rows(back, "a") == [("jump", 3.00049, 4.0001)]
    assert rows(back, "a (bbbbbbbb)") == rows(back, "x (dddddddd)") == [("run", 1.0, 2.5)]
    assert rows(back, "x") == [("jump", 1.0, 2.0), ("run", 1.0, 2.5)]
    contents = {name: row.get("content") for name, row in found.content["database"].items()}
    assert contents["x"] == "c" * 64
    assert contents["x (dddddddd)"] == "d" * 64
    assert contents["a"] is None
    assert "a (bbbbbbbb): another video than 'a'" in " ".join(found.told)


def test_new_videos_count_once_they_are_finished():
    entries = [
        entry("new", Judge(detection=RUN, truth=RUN), Finish(finished=True)),
        entry("empty", Finish(finished=True)),
        entry("open", Judge(detection=RUN, truth=RUN)),
    ]
    found, back = merged(entries)
    assert rows(back, "new") == [("run", 1.0, 2.0)]
    assert set(back.stated["video_id"]) == {"a", "b", "c", "new", "empty"}
    assert found.told == ["open: left out, because it is neither annotated nor finished"]
    _, alone = merged(entries[:1], None)
    assert alone.classes == ("run",)


def test_classes_keep_their_order_and_new_ones_come_last():
    new = Segment(label="Arm wave", start=0, end=1)
    _, back = merged([entry("a", Edit(before=None, after=new))])
    assert back.classes == ("jump", "run", "swim", "Arm wave")


def test_videos_without_subsets_stay_where_they_are_split():
    plain = read_annotations(ANNOTATED)
    plain.stated["subset"] = ""
    content = merge(plain, [], DATA).content["database"]
    assert {one["subset"] for one in content.values()} == {"train", "val"}


def test_what_does_not_fit_any_more_is_told():
    gone = entry("a", Edit(before=JUMP, after=None))
    twice = entry("a", Edit(before=None, after=LATER), number=2)
    found, back = merged([gone, twice])
    assert len(rows(back, "a")) == 3
    assert "a: correction 1 by ann: there is no 'jump' from 1 to 2 s any more" in found.told
    assert "a: 'run' from 1 to 2 s and 'run' from 1 to 2.5 s overlap; both are kept" in found.told


def test_frames_of_unknown_length_are_refused():
    with pytest.raises(MergeError, match=r"of 1 video\(s\) count frames: set data\.reading"):
        merge(replace(read_annotations(ANNOTATED), in_frames=frozenset({"a"})), [], DATA)


@pytest.fixture
def known(tmp_path):
    file, folder = tmp_path / "annotations.json", tmp_path / "videos"
    file.write_text(json.dumps(database(v_a=video("train", ("run", 1, 2), ("run", 3, 3)))))
    write_video(folder / "a.mp4")
    return AnnotatedVideosDataset(filepath=str(file), videos=str(folder)).load()


def test_the_truth_is_that_of_the_very_file(known, tmp_path):
    other = write_video(tmp_path / "elsewhere" / "a.mp4")
    videos = table_of_videos(video_id=["a", "b"], path=[str(known.folder / "a.mp4"), str(other)])
    assert find_truth(videos, known, DATA) == {
        "a": {"video": "v_a", "actions": [["run", 1.0, 2.0]]}
    }
    assert find_truth(videos, None, DATA) == {}


def test_a_link_to_an_annotated_video_is_that_video(known):
    """Annotations that count frames need the rate of each video once."""
    link = known.folder / "latest.mp4"
    link.symlink_to(known.folder / "a.mp4")
    annotations = read_annotations(database(v_a=video("train", ("run", 10, 20))))
    videos = table_of_videos(
        video_id=["a", "latest"], path=[str(known.folder / "a.mp4"), str(link)]
    )
    truth = known_truth(videos, replace(annotations, in_frames=frozenset({"v_a"})), known.folder)
    assert {name: found["video"] for name, found in truth.items()} == {"a": "v_a", "latest": "v_a"}
    assert truth["a"]["actions"] == truth["latest"]["actions"] == [["run", 1.0, 2.0]]


def test_predictions_do_without_annotations_that_cannot_be_read(known, caplog):
    known.paths[0].write_text("{")
    videos = table_of_videos(video_id=["a"])
    with caplog.at_level(logging.WARNING, "tad_blockdrop"):
        assert find_truth(videos, known, DATA) == {}
    assert "the page shows no annotations" in caplog.text


def test_the_node_tells_what_it_leaves_out(known, caplog):
    entries = [entry(f"new{i}", Judge(detection=RUN, truth=RUN)) for i in range(30)]
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        content = merge_corrections(known, entries, DATA)
    assert list(content["database"]) == ["v_a"]
    assert caplog.text.count("left out") == 20
    assert "... and 10 more" in caplog.text
