"""ELAN's tab-delimited texts, Bento's and MARS' files, and workbooks."""

import random
from pathlib import Path

import pytest
from annotation_reading import actions, messages, read_texts

from tad_blockdrop.video.annotations import (
    AnnotationError,
    read_annotation_file,
    read_annotation_files,
    read_annotations,
)

TIMES = [f"{time} Time - {unit}" for time in ("Begin", "End")
         for unit in ("hh:mm:ss.ms", "ss.msec", "msec")]  # fmt: skip
MEDIUM = '"#file:///C:/films/a%20b.mp4 -- offset: 0, duration: 00:01:00.000 / 60.0 / 60000"\n'


def clock(time: float) -> str:
    return f"{int(time // 3600):02d}:{int(time // 60 % 60):02d}:{time % 60:06.3f}"


def elan(names: str, *rows: tuple[float, float, str]) -> str:
    """A column for each tier; ``names`` and the cells of a row have tabs between them."""
    lines = ["\t".join([*TIMES, names])]
    for start, end, cells in rows:
        times = [[clock(t), str(t), str(round(t * 1000))] for t in (start, end)]
        lines.append("\t".join([*times[0], *times[1], cells]))
    return "\n".join(lines) + "\n"


TALK = elan("acts\thands", (1.5, 3.0, "groom\t"), (3.5, 4.0, "run\tboth"), (5.0, 6.0, "\t"))


def bento(rows: str, movies: str = " /data/Mouse 1/top.seq /data/Mouse 1/front.seq") -> str:
    """A file of Bento with two channels, of which the second is empty."""
    return (
        f"Bento annotation file\nMovie file(s): {movies}\n\nStimulus name: \n"
        "Annotation start frame: 1\nAnnotation stop frame: 900\n"
        "Annotation framerate: 30.000000\n\nList of channels:\nCh1\nCh2\n\n"
        f"List of annotations:\nattack\nsniff face\n\nCh1----------\n{rows}\n\nCh2----------\n\n"
    )


SECONDS = bento(">attack\nStart\t Stop\t Duration \n1.5\t3\t1.5\n4\t4\t0\n\n"
                ">sniff face\nStart\t Stop\t Duration \n10\t12\t2\n")  # fmt: skip
FRAMES = bento(">attack\nStart\tStop\tDuration\n31\t60\t30\t\n", "\n/data/Mouse 1/top.seq")


def test_tiers_of_elan_s_text_are_columns(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"talk.txt": TALK})
    assert actions(found) == [
        ("talk", "groom", 1.5, 3.0), ("talk", "run", 3.5, 4.0), ("talk", "both", 3.5, 4.0),
    ]  # fmt: skip
    assert messages(found) == [
        "read with tabs between the columns",
        "the actions of 2 tiers count: acts, hands",
        "left out: 1 annotations without a value, of which the export does not say the tier, for "
        "example in line 4",
    ]


def test_a_tier_of_elan_s_text_can_be_chosen(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"talk.txt": TALK}, labels="hands")
    assert actions(found) == [("talk", "both", 3.5, 4.0)]
    assert "left out: 2 annotations of other tiers, for example in tier 'acts'" in messages(found)
    with pytest.raises(
        AnnotationError, match=r"no tier 'eyes' \(found: 'acts', 'hands'\); correct"
    ):
        read_texts(tmp_path, {"talk.txt": TALK}, labels="eyes")


@pytest.mark.parametrize("unit", ["ss.msec", "msec", "hh:mm:ss.ms"])
def test_any_unit_of_elan_s_times_will_do(tmp_path: Path, unit: str) -> None:
    """In any language; CSV has quotation marks, German spreadsheets decimal commas."""
    texts = {"ss.msec": "3661,5", "msec": "3661500", "hh:mm:ss.ms": "01:01:01.500"}
    text = (
        f'"Temps de départ - {unit}";"Temps de fin - {unit}";"actes"\n{texts[unit]};{texts[unit]}'
    )
    found = read_texts(tmp_path, {"a.csv": text + ";\n"})
    assert actions(found) == [("a", "actes", 3661.5, 3661.5)]


def test_annotations_that_elan_cut_at_those_of_other_tiers_are_whole(tmp_path: Path) -> None:
    text = elan("acts\tsteps", (1.0, 2.0, "walk\tleft"), (2.0, 3.0, "walk\tright"),
                (4.0, 9.0, "walk\t"), (5.0, 6.0, "walk\tleft"), (9.5, 10.0, "walk\t"))  # fmt: skip
    found = read_texts(tmp_path, {"a.txt": text}, labels="acts")
    assert actions(found) == [("a", "walk", 1, 3), ("a", "walk", 4, 9), ("a", "walk", 9.5, 10)]
    assert any(told.startswith("2 annotation(s) touch another one") for told in messages(found))


def test_rows_with_their_tier_are_annotations_of_their_own(tmp_path: Path) -> None:
    text = "Tier\tParticipant\tBegin Time - msec\tEnd Time - msec\tAnnotation\n"
    rows = "acts\tAnn\t0\t1000\trun\nacts\tAnn\t1000\t2000\trun\nrest\tAnn\t5000\t6000\t\n"
    found = read_texts(tmp_path, {"a.txt": text + rows})
    assert actions(found) == [("a", "run", 0, 1), ("a", "run", 1, 2), ("a", "rest", 5, 6)]
    assert actions(read_texts(tmp_path, {"a.txt": text + rows}, labels="rest")) == [
        ("a", "rest", 5, 6)
    ]


def test_elan_s_text_names_its_media_or_documents(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"x.txt": MEDIUM + elan("acts", (1.0, 2.0, "run"))})
    assert actions(found) == [("a b", "run", 1, 2)]
    paths = elan("acts\tFile Name\tFile Path", (1.0, 2.0, "run\tt.eaf\tC:\\d\\one\\t.eaf"),
                 (1.0, 2.0, "sit\tt.eaf\tC:\\d\\two\\t.eaf"))  # fmt: skip
    found = read_texts(tmp_path, {"x.txt": paths})
    assert actions(found) == [("one/t", "run", 1, 2), ("two/t", "sit", 1, 2)]
    header, *rows = elan("acts", (1.0, 2.0, "run"), (3.0, 4.0, "sit")).splitlines()
    lines = [header, '"#/d/t.eaf"', MEDIUM.strip(), rows[0], "", '"#/d/u.eaf"', rows[1]]
    found = read_texts(tmp_path, {"x.txt": "\n".join(lines)})
    assert actions(found) == [("a b", "run", 1, 2), ("u", "sit", 3, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Begin Time - msec\tacts\n1\trun\n",
            "header: of times it has Begin Time only; export beg",
        ),
        ("Begin Time - msec\tDuration - msec\tacts\n1\t1\trun\n", "Begin Time and Duration only"),
        ("Begin Time - msec\tEnd Time - ss.msec\tacts\n1\t1\trun\n", "no unit in common"),
        ("Begin Time - msec\tEnd Time - msec\n1\t1\n", "no column follows the times"),
        (
            "Begin Time - msec\tEnd Time - msec\tacts\nx\t1\ty\n",
            "line 2, Begin Time - msec: 'x' is",
        ),
    ],
)
def test_bad_texts_of_elan_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_texts(tmp_path, {"a.txt": text})


def test_one_decimal_point_makes_seconds_of_bento_s_times(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"x.annot": SECONDS})
    assert actions(found) == [
        ("top", "attack", 1.5, 3.0), ("top", "attack", 3.5, 4.5), ("top", "sniff face", 10, 12),
    ]  # fmt: skip
    assert found.stated["fps"].tolist() == [30.0]
    assert len(messages(found)) == 2
    assert "1 event(s) have no length" in messages(found)[0]
    assert "1 further videos" in messages(found)[1]


def test_whole_times_of_bento_are_frames_from_one_on(tmp_path: Path) -> None:
    """The layout of MARS, which names its movie in a line of its own."""
    assert actions(read_texts(tmp_path, {"x.annot": FRAMES})) == [("top", "attack", 1.0, 2.0)]
    without = FRAMES.replace("Annotation framerate: 30.000000\n", "").replace("/data/Mouse 1/", "")
    found = read_texts(tmp_path, {"x.annot": without})
    assert actions(found) == [("top", "attack", 30, 60)]
    assert found.in_frames == {"top"}


@pytest.mark.parametrize(
    ("times", "meant"),
    [
        ("300.1\t300.1\t0.0333333333333", (300.1, 300.1 + 1 / 30)),
        ("3.03333333333\t5.23333333333\t2.23333333333", (3.0333333, 5.2666667)),
        ("3.5\t5\t1.5", (3.5, 5.0)),
        ("3.5\t5", (3.5, 5 + 1 / 30)),
        ("31\t60", (1.0, 2.0)),
        ("31\t31\t1", (1.0, 31 / 30)),
    ],
)
def test_the_last_frame_of_a_bout_is_part_of_it(
    tmp_path: Path, times: str, meant: tuple[float, float]
) -> None:
    """Durations of some versions show that it is, of others that it is not."""
    text = bento(f">sniff\nStart\tStop\tDuration\n{times}\n")
    [(_, _, *found)] = actions(read_texts(tmp_path, {"x.annot": text}))
    assert found == pytest.approx(meant)


def test_channels_of_bento_count_unless_one_is_chosen(tmp_path: Path) -> None:
    text = SECONDS + ">run\nStart\tStop\tDuration\n20.5\t21\t0.5\n"
    text = text.replace("/data/Mouse 1/top.seq /data/Mouse 1/front.seq", "")
    found = read_texts(tmp_path, {"x, y.annot": text})
    assert {row[:2] for row in actions(found)} == {
        ("x, y", "attack"), ("x, y", "sniff face"), ("x, y", "run"),
    }  # fmt: skip
    assert "the actions of 2 channels count: Ch1, Ch2" in messages(found)
    found = read_texts(tmp_path, {"x, y.annot": text}, labels="Ch2")
    assert actions(found) == [("x, y", "run", 20.5, 21.0)]


def test_a_movie_with_commas_in_its_name_makes_no_table_of_bento_s_file(tmp_path: Path) -> None:
    found = read_texts(tmp_path, {"x.annot": bento(SECONDS[SECONDS.index(">") :], " /d/a, b.mp4")})
    assert found.stated["video_id"].tolist() == ["a, b"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1.5 2 0.5\n", "line 18: '1.5 2 0.5' is no start and stop of a behaviour"),
        (">run\nStart Stop Duration\n1.5\n", "line 20: '1.5' is no start and stop of a behaviour"),
        (">run\nStart Stop Duration\n1.5 x\n", "line 20: 'x' is not a number"),
        (">\nStart Stop Duration\n1.5 2\n", "line 18: it is missing; name the behaviour"),
        (
            ">run\nStart Stop Duration\n1.5 2 1\n",
            "its duration is 1, but from start to stop it is 0.5",
        ),
        ("\n", "no video has an action"),
    ],
)
def test_bad_files_of_bento_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_texts(tmp_path, {"x.annot": bento(rows)})


@pytest.mark.parametrize("name", ["talk.xlsx", "talk.ods"])
def test_a_workbook_is_to_be_saved_as_csv(tmp_path: Path, name: str) -> None:
    """Alone, in a folder, and beside files that are read."""
    (tmp_path / name).write_bytes(b"PK\x03\x04" + b"\0" * 64)
    said = r"it is an Excel or OpenDocument workbook, or another archive; save it as CSV"
    with pytest.raises(AnnotationError, match=said):
        read_annotation_file(tmp_path / name)
    (tmp_path / "notes.txt").write_text("To be done")
    with pytest.raises(AnnotationError, match=rf"{name}: {said}"):
        read_annotations(read_annotation_files([tmp_path]))
    problem = read_texts(tmp_path, {"talk.txt": TALK}).problems[0]
    assert problem.message.endswith(f"{name}: it is an Excel or OpenDocument workbook, or another "
                                    "archive")  # fmt: skip
    assert problem.message.startswith("2 file(s) in the folder")
    assert problem.advice == "if it holds annotations, save it as CSV (UTF-8)"


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", TALK), ("a.annot", SECONDS), ("b.annot", FRAMES)]
)
def test_torn_files_are_read_or_refused_in_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    draw = random.Random(0)
    for _ in range(200):
        start, end = sorted(draw.randrange(len(text)) for _ in range(2))
        other = draw.choice(["", "\t", "\n", "x", text[start:end] * 2])
        try:
            read_texts(tmp_path, {name: text[:start] + other + text[end:]})
        except AnnotationError as error:
            str(error).encode()
