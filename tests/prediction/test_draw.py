"""The copy of a video has its frames and times, and shows what goes on when it does."""

import av
import numpy as np
import pandas as pd
import pytest
from copied import copy_video, with_sound
from numbered import write_numbered
from PIL import Image

from tad_blockdrop.prediction import draw
from tad_blockdrop.prediction.draw import Mark, draw_video, marks_of, readable_size
from tad_blockdrop.prediction.fonts import OWN, open_font
from tad_blockdrop.reporting.style import PALETTE
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.probe import probe, timeline

BLUE = np.array([0x00, 0x72, 0xB2])
MARKS = [Mark(2.0, 4.0, "jump 0.93", "#0072B2"), Mark(3.0, 5.0, "run 0.41", "#E69F00")]


def frames_of(path):
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def share_of(colour, pixels):
    """The share of pixels that are of about that colour."""
    return (np.abs(pixels.astype(int) - colour).max(axis=-1) < 40).mean()


@pytest.fixture
def drawn(write_video, tmp_path):
    path = write_video(size=(240, 320))
    draw_video(path, MARKS, tmp_path / "drawn.mp4")
    return path, tmp_path / "drawn.mp4"


def test_frames_and_times_are_those_of_the_source(drawn):
    source, copy = (frames_of(path) for path in drawn)
    assert [time for time, _ in copy] == pytest.approx([time for time, _ in source])
    assert {picture.shape for _, picture in copy} == {(240, 320, 3)}
    facts = probe(drawn[1])
    assert (facts.n_frames, facts.duration) == (60, pytest.approx(6.0))


def test_the_same_drawing_has_the_same_bytes(drawn, tmp_path):
    for again in range(3):
        draw_video(drawn[0], MARKS, tmp_path / "again.mp4")
        assert (tmp_path / "again.mp4").read_bytes() == drawn[1].read_bytes(), again


def test_variable_rates_stay_variable(write_video, tmp_path):
    stamps = [0, 10, 20, 90, 100, 110, 200, 210]
    path = write_video("variable.mp4", length=8, stamps=stamps)
    draw_video(path, [], tmp_path / "drawn.mp4")
    times = [time for time, _ in frames_of(tmp_path / "drawn.mp4")]
    assert times == pytest.approx(np.array(stamps) / 100, abs=1e-3)


def test_the_last_frame_is_shown_as_long_as_in_the_source(tmp_path):
    source = write_numbered(tmp_path / "v.mp4", 30, options={"bf": "0"}, lost=range(5, 29))
    copy = copy_video(source, tmp_path / "long.mp4", last_length=3.0)
    draw_video(copy, MARKS, tmp_path / "drawn.mp4")
    source, drawn = timeline(copy), timeline(tmp_path / "drawn.mp4")
    assert source.duration == pytest.approx(29 / 25 + 3)
    assert drawn.duration == pytest.approx(source.duration)
    assert drawn.times == pytest.approx(source.times)


def test_a_copy_counts_from_the_zero_of_its_source(tmp_path):
    picture = write_numbered(tmp_path / "picture.mp4", 20, 10, size=(240, 480))
    source = with_sound(picture, tmp_path / "late.mov", 1.5, 3.5)
    draw_video(source, [Mark(2.0, 4.0, "jump 0.93", "#0072B2")], tmp_path / "drawn.mp4")
    assert timeline(tmp_path / "drawn.mp4").times == pytest.approx([0, *np.arange(1.6, 3.5, 0.1)])
    shown = [t for t, pixels in frames_of(tmp_path / "drawn.mp4") if marked(pixels)]
    assert min(shown) == pytest.approx(2.0)


def marked(picture):
    """Whether a name is drawn in the corner."""
    return share_of(BLUE, picture[8:30, 8:80]) > 0.4


def test_names_are_shown_while_it_goes_on(drawn):
    corner = {round(time, 1): picture[8:30, 8:80] for time, picture in frames_of(drawn[1])}
    shown = [time for time, pixels in corner.items() if share_of(BLUE, pixels) > 0.4]
    assert (min(shown), max(shown)) == (2.0, 3.9)


def test_the_bar_shows_all_detections_and_moves(drawn):
    pictures = [picture for _, picture in frames_of(drawn[1])]
    bar = [picture[-8:-5] for picture in pictures]
    for row in bar:  # the first detection takes the second third, its end under the second one
        blue = np.flatnonzero(np.abs(row.mean(axis=0) - BLUE).max(axis=-1) < 50)
        assert 95 < np.median(blue) < 225
    line = [int(np.argmax(row.min(axis=-1).mean(axis=0))) for row in bar]
    assert line == pytest.approx([320 * i / 60 for i in range(60)], abs=2)


def test_small_videos_are_enlarged_until_text_is_readable(write_video, tmp_path):
    assert readable_size((40, 40)) == (240, 240)
    assert readable_size((1080, 1921)) == (1080, 1920)
    draw_video(write_video(length=1), MARKS, tmp_path / "drawn.mp4")
    [(_, picture)] = frames_of(tmp_path / "drawn.mp4")
    assert picture.shape == (240, 320, 3)


def test_long_labels_lose_letters_but_keep_their_score(write_video, tmp_path):
    mark = Mark(0, 6, "a" * 200 + " 0.93", "#0072B2")
    draw_video(write_video(length=2), [mark], tmp_path / "drawn.mp4")
    _, picture = frames_of(tmp_path / "drawn.mp4")[0]
    inside = picture[10:28, 290:]
    assert share_of(BLUE, inside) < 0.9, "the name runs out of the frame"


def test_marks_come_strongest_first_in_the_colour_of_their_class():
    table = pd.DataFrame(
        {"start": [0.0, 1], "end": [1.0, 2], "label": ["run", "swim"], "score": [0.2, 0.912]}
    )
    assert marks_of(table, ["run", "jump", "swim"]) == [
        Mark(1.0, 2.0, "swim 0.91", PALETTE[2]),
        Mark(0.0, 1.0, "run 0.20", PALETTE[0]),
    ]


def test_a_label_is_one_line_in_a_font_that_has_its_letters(monkeypatch):
    asked = []

    def opened(name, size):
        asked.append(name)
        return open_font(OWN, size)

    monkeypatch.setattr(draw, "fonts_for", lambda labels: dict.fromkeys(labels, "some.ttf"))
    monkeypatch.setattr(draw, "open_font", opened)
    table = pd.DataFrame({"start": [0.0], "end": [1.0], "label": ["long\njump"], "score": [0.5]})
    [mark] = marks_of(table, ["long\njump"])
    assert mark.text == "long jump 0.50"
    draw.Overlay((240, 320), [mark], 1.0).draw(Image.new("RGB", (320, 240)), 0.5)
    assert asked == ["some.ttf"]


def test_what_cannot_be_read_is_said(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DecodeError, match="not a video"):
        draw_video(tmp_path / "bad.mp4", [], tmp_path / "drawn.mp4")
