"""A copy of a video with its detections drawn: names and scores, and a bar of the whole video.

Frame by frame, at the times of the source, without sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from tad_blockdrop.prediction.copies import Paint, copy_video
from tad_blockdrop.prediction.fonts import OWN, Font, fonts_for, open_font
from tad_blockdrop.reporting.style import DARK_ENOUGH_FOR_WHITE, colour_of
from tad_blockdrop.video.annotations.formats.writing import one_line
from tad_blockdrop.video.files.clock import PLAYER, Timing
from tad_blockdrop.video.files.container import Pixels

MIN_SIDE = 240  # pixels; smaller videos are enlarged until text can be read on them
MOST_NAMES = 4  # detections named at a time, the strongest
_OPTIONS = {"crf": "20", "preset": "veryfast"}


@dataclass(frozen=True)
class Mark:
    """A detection as drawn: seconds, label and score, its colour as #rrggbb, the font's name."""

    start: float
    end: float
    text: str
    colour: str
    font: str = OWN


def marks_of(detections: pd.DataFrame, classes: Sequence[str]) -> list[Mark]:
    """One mark per row (start, end, label, score), strongest first; each class has its colour.

    A warning says which classes no font of this machine can name.
    """
    colours = {label: colour_of(kind) for kind, label in enumerate(classes)}
    fonts = fonts_for(tuple(classes))
    return [
        Mark(
            start=row["start"],
            end=row["end"],
            text=f"{one_line(row['label'])} {row['score']:.2f}",
            colour=colours[row["label"]],
            font=fonts[row["label"]],
        )
        for row in detections.sort_values("score", ascending=False).to_dict("records")
    ]


def draw_video(
    source: Path, marks: Sequence[Mark], destination: Path, timing: Timing = PLAYER
) -> None:
    """Write ``source`` with its ``marks`` as an MP4 (H.264). Raises DecodeError.

    The destination may then hold a torn file, which the caller discards.
    """

    def painter(size: tuple[int, int], duration: float) -> Paint:
        overlay = Overlay(size, marks, duration)

        def paint(pixels: Pixels, second: float) -> Pixels:
            picture = Image.fromarray(pixels)
            overlay.draw(picture, second)
            return np.asarray(picture)

        return paint

    copy_video(source, destination, timing, readable_size, _OPTIONS, painter)


def readable_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the copy: those of the source, enlarged to ``MIN_SIDE``, even."""
    scale = max(1.0, MIN_SIDE / min(size))
    height, width = (max(2, round(side * scale / 2) * 2) for side in size)
    return height, width


class Overlay:
    """What is drawn on every frame of a video of (height, width) pixels and ``duration`` seconds.

    At the top the names of the current actions; at the bottom a bar of the whole video with a
    block for each detection and a white line at the present second.
    """

    def __init__(self, size: tuple[int, int], marks: Sequence[Mark], duration: float) -> None:
        self.height, self.width = size
        self.marks, self.duration = marks, duration
        self.unit = max(12, min(size) // 22)  # height of a letter, pixels

    def draw(self, picture: Image.Image, second: float) -> None:
        """Draw on one frame (RGB), in place."""
        canvas = ImageDraw.Draw(picture, "RGBA")
        active = [mark for mark in self.marks if mark.start <= second < mark.end]
        for row, mark in enumerate(active[:MOST_NAMES]):
            self._name(canvas, row, mark)
        self._bar(canvas, active, second)

    def _name(self, canvas: ImageDraw.ImageDraw, row: int, mark: Mark) -> None:
        gap = self.unit // 2
        top = gap + row * (2 * self.unit + gap // 2)
        font = open_font(mark.font, self.unit)
        text = self._fitting(mark.text, font)
        right = gap + font.getlength(text) + 2 * gap
        canvas.rectangle((gap, top, right, top + 2 * self.unit), fill=mark.colour)
        ink = "#ffffff" if mark.colour in DARK_ENOUGH_FOR_WHITE else "#111111"
        canvas.text((2 * gap, top + self.unit), text, fill=ink, font=font, anchor="lm")

    def _fitting(self, text: str, font: Font) -> str:
        """The text, its label cut where it is wider than the frame; the score stays."""
        label, _, score = text.rpartition(" ")
        whole = text
        while label and font.getlength(text) > self.width - 3 * self.unit:
            label = label[:-1]
            text = f"{label}… {score}"
        return text if label else whole

    def _bar(self, canvas: ImageDraw.ImageDraw, active: Sequence[Mark], second: float) -> None:
        top, bottom = self.height - self.unit, self.height - 1
        canvas.rectangle((0, top, self.width, bottom), fill=(0, 0, 0, 170))
        for mark in reversed(self.marks):
            inset = 0 if mark in active else self.unit // 4
            left, right = (self._x(at) for at in (mark.start, mark.end))
            box = (left, top + inset, max(right, left + 1), bottom - inset)
            canvas.rectangle(box, fill=mark.colour)
        x = self._x(second)
        canvas.rectangle((x - 1, top - self.unit // 4, x + 1, bottom), fill="#ffffff")

    def _x(self, second: float) -> float:
        return self.width * second / self.duration
