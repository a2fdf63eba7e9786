"""Annotations: one file per format, one table behind all of them.

A new format is a file in ``formats/`` with a class that keeps to ``AnnotationFormat``, and a line
in ``FORMATS``.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.video.annotations.class_list import read_classes, read_classes_file
from tad_blockdrop.video.annotations.file import (
    AnnotationFile,
    TableError,
    read_annotation_file,
    read_annotation_files,
)
from tad_blockdrop.video.annotations.formats.activitynet import ActivityNet
from tad_blockdrop.video.annotations.formats.audacity import Audacity
from tad_blockdrop.video.annotations.formats.bento import Bento
from tad_blockdrop.video.annotations.formats.boris import Boris
from tad_blockdrop.video.annotations.formats.boris_table import BorisTable
from tad_blockdrop.video.annotations.formats.charades import Charades
from tad_blockdrop.video.annotations.formats.contract import LEFT_OUT, AnnotationFormat, Source
from tad_blockdrop.video.annotations.formats.csv_table import CSVTable
from tad_blockdrop.video.annotations.formats.cvat import Cvat
from tad_blockdrop.video.annotations.formats.ego4d import Ego4D
from tad_blockdrop.video.annotations.formats.elan import Elan
from tad_blockdrop.video.annotations.formats.elan_text import ElanText
from tad_blockdrop.video.annotations.formats.epic_kitchens import EpicKitchens
from tad_blockdrop.video.annotations.formats.fiftyone import FiftyOne
from tad_blockdrop.video.annotations.formats.frame_table import DeepEthogram, SimBA
from tad_blockdrop.video.annotations.formats.frame_text import FrameText
from tad_blockdrop.video.annotations.formats.label_studio import LabelStudio
from tad_blockdrop.video.annotations.formats.multithumos import MultiThumos
from tad_blockdrop.video.annotations.formats.soccernet import OpenSportsLab, SoccerNet
from tad_blockdrop.video.annotations.formats.subtitles import SubRip, WebVTT
from tad_blockdrop.video.annotations.formats.thumos14 import Thumos14
from tad_blockdrop.video.annotations.formats.via import Via
from tad_blockdrop.video.annotations.formats.writing import Action, LabelledVideo, WritableFormat
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    NoActionsError,
    choice_problem,
    shown,
    subset_key,
)
from tad_blockdrop.video.files.listing import compared
from tad_blockdrop.video.problems import ANNOTATIONS, Problem, similar_labels

__all__ = [
    "FORMATS", "NO_SUBSET", "WRITERS", "Action", "AnnotationError", "AnnotationFile",
    "AnnotationFormat", "Annotations", "LabelledVideo", "Source", "read_annotation_file",
    "read_annotation_files", "read_annotations", "read_classes", "read_classes_file", "subset_key",
]  # fmt: skip

FORMATS: list[AnnotationFormat] = [
    ActivityNet(), Boris(), BorisTable(), Elan(), LabelStudio(), Via(), Cvat(),
    DeepEthogram(), SimBA(), Audacity(), Charades(), EpicKitchens(), Ego4D(), SoccerNet(),
    OpenSportsLab(), ElanText(), Bento(), Thumos14(), MultiThumos(), FrameText(),
    CSVTable(),  # last of those of tables, as it knows columns by many names
]  # fmt: skip

SHOWN = 5  # files that are named in one sentence

WRITERS: dict[str, WritableFormat] = {
    "boris": Boris(), "elan": Elan(), "srt": SubRip(), "vtt": WebVTT(),
    "label_studio": LabelStudio(), "audacity": Audacity(), "frames": DeepEthogram(),
    "fiftyone": FiftyOne(),
}  # fmt: skip
"""The formats that detections can be written in, by their name in ``predict.formats``."""


def read_annotations(raw: object, config: ReadingConfig | None = None) -> Annotations:
    """The tables of loaded files, each by the first of ``FORMATS`` that recognises it.

    ``raw``: an ``AnnotationFile`` or a tuple of them, as the catalog loads them, or what would be
    in one: parsed JSON, the DataFrame of a table, or text. No video may be in two files. Raises
    AnnotationError.
    """
    files = raw if isinstance(raw, tuple) else (raw,)
    files = tuple(f if isinstance(f, AnnotationFile) else AnnotationFile(f) for f in files)
    config = config or ReadingConfig()
    found, passed_over, media = _read_all(files, config)
    notes = [_passed_over_problem(passed_over)] if passed_over else []
    if shared := _in_two(found):
        longer, _, _ = _read_all(files, config, media)
        if not _in_two(longer):
            found = longer
            notes.append(_longer_names_problem(shared))
    if not found:
        raise _unknown(passed_over)
    if not any(len(each.instances) for each in found.values()):
        what = f"no video has an action (in {', '.join(list(found)[:3])})"
        told = (problem for each in found.values() for problem in each.problems)
        left = [problem.message for problem in told if problem.kind == LEFT_OUT]
        raise AnnotationError(
            "in the annotations", "; ".join((what, *left[:3])), "annotate actions and export again"
        )
    joined = next(iter(found.values())) if len(found) == 1 else _joined(found)
    notes += similar_labels(joined.instances["label"])
    return replace(joined, problems=(*notes, *joined.problems))


def _read(file: AnnotationFile, source: Source) -> Annotations | None:
    """The tables of one file; None if no format knows it."""
    for each in FORMATS:
        if each.recognise(file.content):
            if file.fault is not None:
                raise file.fault
            found = each.read(file.content, source)
            problems = (*map(choice_problem, file.choices), *found.problems)
            if not isinstance(each, ActivityNet | CSVTable):  # these are our own
                problems = (_format_problem(each, source, found), *problems)
            return replace(found, problems=problems)
    return None


def _read_all(
    files: Sequence[AnnotationFile], config: ReadingConfig, others: frozenset[str] = frozenset()
) -> tuple[dict[str, Annotations], list[AnnotationFile], frozenset[str]]:
    """The tables of files, by name, those in no known format, and the paths of all videos.

    ``others``: as in ``Source``. Raises AnnotationError.
    """
    found: dict[str, Annotations] = {}
    passed_over: list[AnnotationFile] = []
    media: set[str] = set()
    for number, file in enumerate(files):
        name = file.name or f"number {number + 1}"
        try:
            if (read := _read(file, Source(file.name, config, others, media))) is not None:
                found[name] = read
            elif file.in_folder and len(files) > 1:
                passed_over.append(file)
            else:
                raise _unknown([file])
        except TableError:  # it says itself where it is
            raise
        except AnnotationError as error:
            if isinstance(error, NoActionsError) and file.in_folder and len(files) > 1:
                passed_over.append(replace(file, content=None, fault=error))
                continue
            where = f"in {name if len(files) > 1 else 'the annotations'}, {error.where}"
            raise AnnotationError(where, error.what, error.advice) from None
    return found, passed_over, frozenset(media)


def _in_two(found: Mapping[str, Annotations]) -> dict[str, list[str]]:
    """The videos that several of the files annotate, with the names of these.

    Files of one class each may share videos, if they are of different classes.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for name, each in found.items():
        for video in dict.fromkeys(map(compared, each.stated["video_id"])):
            files[video].append(name)
    return {
        video: names
        for video, names in files.items()
        if len(names) > 1 and not _of_one_class_each([found[name] for name in names])
    }


def _of_one_class_each(files: Sequence[Annotations]) -> bool:
    """Whether each file holds another class."""
    classes = Counter(label for each in files for label in each.classes)
    return all(each.of_one_class for each in files) and classes.total() == len(classes)


def _joined(found: Mapping[str, Annotations]) -> Annotations:
    """The tables of several files, by name, as one. Raises AnnotationError."""
    for video, names in _in_two(found).items():
        raise AnnotationError(
            f"in {names[0]} and {names[1]}",
            f"video '{video}' is annotated in both",
            "keep one of them, or join its actions into one file",
        )
    parts = list(found.values())
    return Annotations(
        pd.concat([each.stated for each in parts]).drop_duplicates("video_id", ignore_index=True),
        pd.concat([each.instances for each in parts], ignore_index=True),
        tuple(sorted({label for each in parts for label in each.classes})),
        tuple(problem for each in parts for problem in each.problems),
        frozenset().union(*(each.in_frames for each in parts)),
    )


def _format_problem(taken: AnnotationFormat, source: Source, found: Annotations) -> Problem:
    file = Path(source.name).name or "the file"
    return Problem(
        "", ANNOTATIONS, "", "how the file was read",
        f"{file} was read as {taken.name}: {len(found.stated)} video(s), "
        f"{len(found.instances)} action(s)",
        "if that is wrong, export it in another format (docs/annotation-formats.md)",
    )  # fmt: skip


def _passed_over_problem(files: Sequence[AnnotationFile]) -> Problem:
    faults = _faults(files)
    examples = [f"{Path(name).name}: {fault.what}" for name, fault in faults]
    advice = "export them in a known format (docs/annotation-formats.md)"
    return Problem(
        "", ANNOTATIONS, "", "passed over",
        f"{len(files)} file(s) in the folder of annotations are in no known format, for example "
        + ("; ".join(examples[:SHOWN]) or Path(files[0].name).name),
        f"if it holds annotations, {faults[0][1].advice if faults else advice}",
    )  # fmt: skip


def _faults(files: Sequence[AnnotationFile]) -> list[tuple[str, AnnotationError]]:
    """The files of which it is known what they are instead of annotations, with what that is."""
    return [(file.name, file.fault) for file in files if file.content is None and file.fault]


def _longer_names_problem(shared: Mapping[str, Sequence[str]]) -> Problem:
    video, names = next(iter(shared.items()))
    first, second = (Path(name).name for name in names[:2])
    return Problem(
        "", ANNOTATIONS, "", "names of videos",
        f"{len(shared)} name(s) of videos are in two files, with other folders around them, for "
        f"example '{video}' in {first} and {second}: they are taken for different videos, whose "
        "ids begin with these folders",
        "if it is one video that was annotated twice, keep one of the files",
    )  # fmt: skip


def _unknown(files: Sequence[AnnotationFile]) -> AnnotationError:
    """The error that says what was found and what was tried."""
    known = "; ".join(f"{each.name}: {each.layout}" for each in FORMATS)
    advice = f"use one of these formats. {known}"
    for name, fault in _faults(files):
        return AnnotationError(name, fault.what, f"{fault.advice}, or {advice}")
    return AnnotationError(
        "top level", f"the format is not known (found: {_found(files[0].content)})", advice
    )


def _found(raw: object) -> str:
    if isinstance(raw, list):
        if not raw:
            return "an empty list: nothing was exported"
        return f"a list of {len(raw)}, the first of which is {shown(raw[0])}"
    if isinstance(raw, str):
        return f"a text that begins with {shown(raw.strip())}"
    if not isinstance(raw, Mapping | pd.DataFrame):
        return "no text" if raw is None else type(raw).__name__
    names = shown(", ".join(map(str, raw)))
    return f"{'the keys' if isinstance(raw, Mapping) else 'the columns'} {names}"
