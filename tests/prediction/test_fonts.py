"""Labels are drawn with a font that has their letters, whichever the machine has."""

import logging
from collections.abc import Iterator

import pytest
from PIL import ImageFont

from tad_blockdrop.prediction import fonts
from tad_blockdrop.prediction.fonts import OWN, fonts_for, missing, open_font

# The letters of each font on a machine that has two.
LETTERS = {OWN: "run0123456789.…", "greek": "άλμα0123456789.…", "both": "runάλμα0123456789.…"}


@pytest.fixture
def _two_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fonts, "INSTALLED", ("absent", "greek", "both"))
    monkeypatch.setattr(fonts, "_find", lambda name, size: LETTERS.get(name))
    monkeypatch.setattr(fonts, "missing", lambda font, letters: sorted({*letters} - {*font}))
    for cached in (fonts_for, fonts._choose):
        cached.cache_clear()
    yield
    for cached in (fonts_for, fonts._choose):
        cached.cache_clear()


@pytest.mark.usefixtures("_two_fonts")
def test_each_label_gets_the_first_font_with_its_letters(caplog) -> None:
    with caplog.at_level(logging.WARNING, "tad_blockdrop"):
        chosen = fonts_for(("run", "άλμα", "runάλμα"))
    assert list(chosen.values()) == [OWN, "greek", "both"]
    assert not caplog.records


@pytest.mark.usefixtures("_two_fonts")
def test_labels_that_no_font_has_are_told_once(caplog) -> None:
    with caplog.at_level(logging.WARNING, "tad_blockdrop"):
        for _ in range(3):
            chosen = fonts_for(("run", "跳\nμ", "跑"))
    assert chosen["跳\nμ"] == "greek"  # it lacks fewest
    [record] = caplog.records
    assert "letters of the label(s) '跳 μ', '跑': drawn videos show boxes" in record.message
    assert "install DejaVu Sans" in record.message


def test_letters_that_a_font_does_not_have_are_seen() -> None:
    own = open_font(OWN, 20)
    assert missing(own, "run 0.5…\u200d") == []
    assert missing(own, "r跳u한n") == ["跳", "한"]


def test_a_font_that_is_gone_is_replaced() -> None:
    font = open_font("no such font.ttf", 20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.getname() == ImageFont.load_default(20).getname()
