"""Tables with a row per frame and a column per behaviour, of 0 and 1: DeepEthogram and SimBA.

Neither names its video in the table: the file's name does. Frames are counted from 0.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tad_blockdrop.storage.spreadsheet import guard_cells, restore_cells
from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.writing import LabelledVideo, one_line
from tad_blockdrop.video.annotations.poses import (
    INDEX,
    NO_BEHAVIOUR,
    body_part,
    is_feature,
)
from tad_blockdrop.video.annotations.table import AnnotationError, Annotations, text_of
from tad_blockdrop.video.files.listing import file_name

_NONE = "background"  # DeepEthogram's column of frames without a behaviour
_UNLABELLED = -1


class DeepEthogram:
    """``<video>_labels.csv``, or predictions in that shape: an index, background, behaviours."""

    name = "DeepEthogram labels"
    layout = "<video>_labels.csv with the column background"

    def recognise(self, content: object) -> bool:
        """Whether there is a column of the background, and numbers of frames before it."""
        return (
            isinstance(content, pd.DataFrame)
            and len(content.columns) > 2
            and _is_index(content)
            and _NONE in content.columns
        )

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The stretches of frames of each behaviour. Raises AnnotationError."""
        _check_frames(content)
        table = restore_cells(content.iloc[:, 1:])
        names = [str(name) for name in table if name != _NONE]
        return _read(table, names, source, "_labels", "_predictions")

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """A table for each video, with the columns of all classes, in order of the alphabet."""
        classes = sorted({_column(action.label) for video in videos for action in video.actions})
        return {
            file_name(f"{video.video_id}_labels", ".csv"): _written(video, classes)
            for video in videos
        }


class SimBA:
    """A video's table of poses, with a column of 0 and 1 for each behaviour after all others.

    Features that count badly seen body parts, or say where in a region an animal is, are often 0
    and 1 as well; in results, each behaviour's probability stands before it. Of the behaviours,
    ``data.reading.labels`` may name some, with commas between them.
    """

    name = "SimBA table"
    layout = "<video>.csv of targets_inserted or machine_results"

    def recognise(self, content: object) -> bool:
        """Whether it has columns of body parts."""
        if not isinstance(content, pd.DataFrame) or not _is_index(content):
            return False
        return bool(body_part([str(name) for name in content]))

    def read(self, content: pd.DataFrame, source: Source) -> Annotations:
        """The stretches of frames of each behaviour. Raises AnnotationError."""
        _check_frames(content)
        names = [str(name) for name in content]
        table = content.set_axis(names, axis=1)
        chosen: list[str] = []
        for place in range(len(names) - 1, 0, -1):
            if names[place].startswith(NO_BEHAVIOUR):
                continue
            if is_feature(names[place]) or not _is_binary(table.iloc[:, place]):
                break
            chosen.insert(0, names[place])
        if not chosen:
            raise AnnotationError(
                "header", "no column after the poses and features holds 0 and 1 alone",
                "take the tables of targets_inserted",
            )  # fmt: skip
        return _read(table, _selected(chosen, source.config.labels), source)


def _selected(names: Sequence[str], labels: str | None) -> Sequence[str]:
    """The columns that are asked for, by default all. Raises AnnotationError."""
    if labels is None:
        return names
    wanted = list(dict.fromkeys(label.strip() for label in labels.split(",")))
    missing = [name for name in wanted if name not in names]
    if missing:
        raise AnnotationError(
            "header", f"there is no behaviour '{missing[0]}' (found: {', '.join(names)})",
            "correct data.reading.labels",
        )  # fmt: skip
    return wanted


def _is_index(content: pd.DataFrame) -> bool:
    """Whether the first column has no name, as pandas saves numbers of rows."""
    return str(content.columns[0]).strip() in INDEX if len(content) else False


def _check_frames(content: pd.DataFrame) -> None:
    """Raise AnnotationError where the numbers of frames leave some out or go back."""
    frames = pd.to_numeric(content.iloc[:, 0], errors="coerce").to_numpy()
    steps = np.diff(frames)
    wrong = np.flatnonzero((steps != 1) & ~np.isnan(steps))
    if len(wrong):
        before, after = content.iloc[wrong[0] : wrong[0] + 2, 0]
        raise AnnotationError(
            f"frame {before}", f"the next row is of frame {after}, but a row is a frame",
            "save a table with all frames, one after the other",
        )  # fmt: skip


def _is_binary(column: pd.Series) -> bool:
    values = pd.to_numeric(column, errors="coerce")
    return bool(values.isin((0, 1)).all())


def _read(table: pd.DataFrame, names: Sequence[str], source: Source, *endings: str) -> Annotations:
    found = Collected(source, "frames")
    video = source.video(*endings)
    found.video(video, frames=len(table))
    for name in names:
        label = text_of(str(name), "header", "name the behaviour")
        cells = table.loc[:, name]
        if isinstance(cells, pd.DataFrame):
            raise AnnotationError("header", f"the column '{name}' is there twice", "remove one")
        values = pd.to_numeric(cells, errors="coerce")
        wrong = ~values.isin((0, 1, _UNLABELLED)).to_numpy()
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise AnnotationError(
                f"frame {place}, {name}", f"it is {cells.iloc[place]!r}, neither 0 nor 1",
                "save thresholded labels, not probabilities",
            )  # fmt: skip
        unlabelled = int((values == _UNLABELLED).sum())
        if unlabelled:
            found.left_out("frames without a label, which count as frames without the action",
                           "label them", f"{video}, {label}", unlabelled)  # fmt: skip
        for start, end in runs((values == 1).to_numpy()):
            found.action(video, label, start, end)
    return found.annotations(names)


def runs(shown: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The first frame and the one after the last of every stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], shown.astype(np.int8), [0]))))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _column(label: str) -> str:
    """The column of a class, which is not that of the frames without any."""
    name = one_line(label)
    return f"{name} (action)" if name == _NONE else name


def _written(video: LabelledVideo, classes: Sequence[str]) -> str:
    rate = video.fps if video.fps > 0 else 25.0
    frames = max(round(video.duration * rate), 1)
    table = pd.DataFrame(0, index=range(frames), columns=[_NONE, *classes])
    for action in video.actions:
        first, last = round(action.start * rate), round(action.end * rate)
        table.iloc[first:last, 1 + classes.index(_column(action.label))] = 1
    table[_NONE] = (table.iloc[:, 1:].sum(axis=1) == 0).astype(int)
    return guard_cells(table).to_csv(lineterminator="\n")
