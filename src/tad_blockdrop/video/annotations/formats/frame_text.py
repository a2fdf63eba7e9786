"""Texts with the class of each frame, as MS-TCN's copies of 50Salads, GTEA and Breakfast have them.

None names its video: the file's name does. Frames are counted from 0.
"""

from itertools import groupby

import numpy as np

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.frame_table import runs
from tad_blockdrop.video.annotations.table import AnnotationError, Annotations

_NO_ACTION = {"background", "sil"}  # of GTEA and of Breakfast; 50Salads has none
_FEWEST = 20  # lines of a file that can be told from other lists of words
_LENGTH = 4  # lines that a class lasts on average, or more


class FrameText:
    """``groundTruth/<video>.txt``: a line per frame, with nothing but the name of its class."""

    name = "frame text"
    layout = "<video>.txt with the class of a frame in each line, as in MS-TCN's groundTruth"

    def recognise(self, content: object) -> bool:
        """Whether it is a long list of single words, most of which are those of the line above.

        Lists of classes or videos have no repetitions, notes have blanks in their lines, and
        columns of numbers have no letters.
        """
        if not isinstance(content, str):
            return False
        lines = content.strip().splitlines()
        classes = [name for name, _ in groupby(lines)]
        return (
            len(lines) >= max(_FEWEST, _LENGTH * len(classes))
            and all(len(name.split()) <= 1 for name in set(classes))
            and all(not name or any(map(str.isalpha, name)) for name in set(classes))
        )

    def read(self, content: str, source: Source) -> Annotations:
        """The stretches of frames of each class. Raises AnnotationError."""
        found = Collected(source, "frames")
        video = source.video()
        lines = [line.strip() for line in content.rstrip().splitlines()]
        if "" in lines:
            raise AnnotationError(
                f"line {lines.index('') + 1}", "it is empty, but a line is a frame",
                "name its class, as 'background'",
            )  # fmt: skip
        found.video(video, frames=len(lines))
        frames = np.array(lines)
        for label in dict.fromkeys(lines):
            if label.casefold() not in _NO_ACTION:
                for start, end in runs(frames == label):
                    found.action(video, label, start, end)
        return found.annotations()
