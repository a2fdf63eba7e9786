"""What is written in a format is read back from it, whatever the actions are."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.video.annotations import (
    WRITERS,
    Action,
    Annotations,
    LabelledVideo,
    read_annotation_files,
    read_annotations,
)

RATE = 25.0  # frames per second; all times are whole frames, which milliseconds can hold as well
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8
).filter(lambda word: word != "background")
LABELS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join).map(partial(normalize, "NFC"))
NAMES = ["clip", "cam 1", "été", "a.b", "a+b & c #1 50%?"]


@st.composite
def videos(draw: st.DrawFn, overlaps: bool) -> list[LabelledVideo]:
    """One to three videos with actions; of one class they may overlap."""
    labels = draw(st.lists(LABELS, min_size=1, max_size=3, unique=True))
    made = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        actions, ends = [], Counter[str]()
        for label in draw(st.lists(st.sampled_from(labels), max_size=5)):
            start = draw(st.integers(0, 200)) + (0 if overlaps else ends[label])
            end = start + draw(st.integers(2, 100))
            ends[label] = end + 1
            score = draw(st.none() | st.floats(0, 1))
            actions.append(Action(start / RATE, end / RATE, label, score))
        made.append(LabelledVideo(name, f"/films/{name}.mp4", 60.0, RATE, actions))
    if not any(video.actions for video in made):
        made.append(LabelledVideo("last", "/films/last.mp4", 60.0, RATE, [Action(1, 2, "run")]))
    return made


def meant(made: list[LabelledVideo]) -> Counter[tuple[str, str, float, float]]:
    return Counter(
        (video.video_id, action.label, action.start, action.end)
        for video in made
        for action in video.actions
    )


def there_and_back(folder: Path, name: str, made: list[LabelledVideo]) -> Annotations:
    """Write, save, and read what is there; a label configuration is no annotation."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for file, text in WRITERS[name].write(made).items():
        if name == "label_studio" and file == "tasks.json":
            tasks = json.loads(text)
            for task in tasks:  # as Label Studio does where a person accepts them
                task["annotations"] = task.pop("predictions")
            (folder / file).write_text(json.dumps(tasks), encoding="utf-8")
        elif text:
            (folder / file).write_text(text, encoding="utf-8")
    return read_annotations(read_annotation_files([folder]))


def found(annotations: Annotations) -> Counter[tuple[str, str, float, float]]:
    rate = dict.fromkeys(annotations.in_frames, RATE)
    return Counter(
        (video, label, round(start / rate.get(video, 1) * RATE) / RATE,
         round(end / rate.get(video, 1) * RATE) / RATE)
        for video, label, start, end in annotations.instances.itertuples(index=False)
    )  # fmt: skip


@pytest.mark.parametrize("name", ["boris", "elan", "label_studio", "audacity"])
@given(made=videos(overlaps=True))
def test_actions_come_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, made: list[LabelledVideo]
) -> None:
    folder = tmp_path_factory.getbasetemp() / name
    assert found(there_and_back(folder, name, made)) == meant(made)


@given(made=videos(overlaps=False))
def test_actions_of_frame_tables_come_back(
    tmp_path_factory: pytest.TempPathFactory, made: list[LabelledVideo]
) -> None:
    """A cell is 0 or 1, so actions of one class must not touch each other."""
    folder = tmp_path_factory.getbasetemp() / "frames"
    assert found(there_and_back(folder, "frames", made)) == meant(made)


def test_a_class_called_background_is_not_the_column_of_frames_without_one() -> None:
    action = Action(0.0, 1.0, "background")
    [table] = WRITERS["frames"].write([LabelledVideo("a", "a.mp4", 2.0, 1.0, [action])]).values()
    assert table == ",background,background (action)\n0,0,1\n1,1,0\n"


@given(made=videos(overlaps=True))
def test_subtitles_show_every_action(made: list[LabelledVideo]) -> None:
    for name, point in (("srt", ","), ("vtt", ".")):
        texts = WRITERS[name].write(made)
        assert len(texts) == len(made)
        for video, text in zip(made, texts.values(), strict=True):
            spans = [line for line in text.splitlines() if " --> " in line and line[2] == ":"]
            assert len(spans) == len(video.actions)
            assert all(line[8] == point for line in spans)


def test_subtitles_are_what_players_read() -> None:
    video = LabelledVideo("a", "/a.mp4", 9000.0, RATE, [
        Action(3661.5, 3662.25, "Größe <b>", 0.876), Action(1.0, 2.0, "run\nfast"),
    ])  # fmt: skip
    assert WRITERS["srt"].write([video]) == {"a.srt": (
        "1\n00:00:01,000 --> 00:00:02,000\nrun fast\n\n"
        "2\n01:01:01,500 --> 01:01:02,250\nGröße <b> 0.88\n"
    )}  # fmt: skip
    assert WRITERS["vtt"].write([video]) == {"a.vtt": (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nrun fast\n\n"
        "01:01:01.500 --> 01:01:02.250\nGröße &lt;b&gt; 0.88\n"
    )}  # fmt: skip


def test_fiftyone_gets_time_stamps_by_the_names_of_files() -> None:
    video = LabelledVideo("cam/a", "/films/a.mp4", 9.0, RATE, [Action(1.0004, 2.5, "run", 0.75)])
    [(name, text)] = WRITERS["fiftyone"].write([video]).items()
    assert name == "labels.json"
    assert json.loads(text) == {"labels": {
        "a": [{"label": "run", "timestamps": [1.0, 2.5], "confidence": 0.75}],
    }}  # fmt: skip


@pytest.mark.parametrize("name", ["boris", "label_studio", "fiftyone"])
def test_videos_of_one_name_stay_apart(tmp_path: Path, name: str) -> None:
    made = [
        LabelledVideo(f"{cam}/rec", f"/films/{cam}/rec.mp4", 9.0, RATE, [Action(1, 2, cam)])
        for cam in ("cam1", "cam2")
    ]
    if name == "fiftyone":
        labels = json.loads(WRITERS[name].write(made)["labels.json"])["labels"]
        assert {key: action["label"] for key, [action] in labels.items()} == {
            "cam1/rec": "cam1", "cam2/rec": "cam2",
        }  # fmt: skip
    else:
        assert found(there_and_back(tmp_path / name, name, made)) == meant(made)


@pytest.mark.parametrize("name", ["audacity", "frames"])
def test_ids_that_are_paths_come_back_from_names_of_files(tmp_path: Path, name: str) -> None:
    video = LabelledVideo("cam1/50%", "/x/cam1/50%.mp4", 2.0, RATE, [Action(0.0, 1.0, "run")])
    assert there_and_back(tmp_path / name, name, [video]).stated["video_id"].tolist() == [
        "cam1/50%"
    ]


def test_ids_that_are_paths_and_labels_that_are_formulas_are_harmless() -> None:
    action = Action(0.0, 1.0, "=1+1\x07", 0.5)
    video = LabelledVideo("cam1/a", "/films/cam1/a.mp4", 2.0, RATE, [action])
    for name, each in WRITERS.items():
        for file, text in each.write([video]).items():
            assert "/" not in file, name
            assert not text.startswith("=")
    [table] = WRITERS["frames"].write([video]).values()
    assert table.splitlines()[0] == ",background,'=1+1\x07"
    assert "\x07" not in WRITERS["elan"].write([video])["cam1%2Fa.eaf"]
