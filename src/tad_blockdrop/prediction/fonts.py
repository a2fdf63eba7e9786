"""Fonts for labels in any script: Pillow's own, or one of those that machines usually have."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from tad_blockdrop.errors import some
from tad_blockdrop.video.annotations.formats.writing import one_line

logger = logging.getLogger(__name__)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

OWN = ""  # Pillow's own font: the same on every machine, but with hardly more than ASCII
# Files that Pillow looks for in the folders of the system, those for most scripts first.
INSTALLED = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "FreeSans.ttf",
    "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf",
    "Arial.ttf", "Arial Unicode.ttf", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",  # macOS
    "arial.ttf", "segoeui.ttf", "msyh.ttc", "YuGothM.ttc", "malgun.ttf", "Nirmala.ttc",  # Windows
    "Nirmala.ttf", "LeelawUI.ttf", "unifont.otf", "unifont.ttf",
)  # fmt: skip
_BESIDE = "0123456789.…"  # what is drawn beside a label
_NO_LETTER = "\U0010ffff"  # of no font: drawn as what stands for a missing letter
_SIZE = 20  # pixels, at which letters are compared
_SHOWN = 5  # labels in one sentence


@cache
def fonts_for(labels: tuple[str, ...]) -> Mapping[str, str]:
    """By label the name of a font that has its letters, for ``open_font``.

    Where none here has all, the one that lacks fewest; a warning says of which labels.
    """
    names: dict[str, str] = {}
    lacking = []
    for label in labels:
        names[label], complete = _choose("".join(sorted({*label, *_BESIDE})))
        if not complete:
            lacking.append(f"'{one_line(label)}'")
    if lacking:
        logger.warning(
            "no font on this machine has all letters of the label(s) %s: drawn videos show boxes "
            "in their places; install DejaVu Sans, Noto Sans, Noto Sans CJK or GNU Unifont, "
            "whichever has them, and run predict again",
            some(lacking, _SHOWN),
        )
    return names


@cache
def open_font(name: str, size: int) -> Font:
    """The font of this name, ``size`` pixels high; Pillow's own where there is none any more."""
    return _find(name, size) or ImageFont.load_default(size)


def _find(name: str, size: int) -> Font | None:
    """The font, if this machine has it."""
    if name == OWN:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _choose(letters: str) -> tuple[str, bool]:
    """The first font with all the letters, or the one with most, and whether it has all."""
    lacking: dict[str, int] = {}
    for name in (OWN, *INSTALLED):
        font = _find(name, _SIZE)
        if font is not None:
            lacking[name] = len(missing(font, letters))
            if not lacking[name]:
                return name, True
    return min(lacking, key=lacking.__getitem__), False


def missing(font: Font, letters: Sequence[str]) -> list[str]:
    """Those of the letters that the font draws as it draws what it does not have."""
    box = _drawn(font, _NO_LETTER)
    seen = [letter for letter in letters if unicodedata.category(letter)[0] not in "CZ"]
    return [letter for letter in seen if _drawn(font, letter) == box]


def _drawn(font: Font, letter: str) -> bytes:
    picture = Image.new("L", (3 * _SIZE, 2 * _SIZE))
    ImageDraw.Draw(picture).text((_SIZE // 2, 0), letter, fill=255, font=font)
    return picture.tobytes()
