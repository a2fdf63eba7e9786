"""Annotations: one file per format, one table behind all of them.

A new format is a file with a class that keeps to ``AnnotationFormat``, and a line in ``FORMATS``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import pandas as pd

from tad_blockdrop.video.annotations.activitynet import ActivityNet
from tad_blockdrop.video.annotations.class_list import read_classes, read_classes_file
from tad_blockdrop.video.annotations.csv_table import CSVTable
from tad_blockdrop.video.annotations.file import AnnotationFile, read_annotation_file
from tad_blockdrop.video.annotations.table import (
    NO_SUBSET,
    AnnotationError,
    Annotations,
    choice_problem,
    shown,
    subset_key,
)

__all__ = [
    "FORMATS", "NO_SUBSET", "AnnotationError", "AnnotationFile", "AnnotationFormat",
    "Annotations", "read_annotation_file", "read_annotations", "read_classes",
    "read_classes_file", "subset_key",
]  # fmt: skip


class AnnotationFormat(Protocol):
    """One way to write annotations down.

    ``name`` is what people call it, ``layout`` is how a file of it looks. A format that detections
    can be written in has a method ``write`` as well.
    """

    name: str
    layout: str

    def recognise(self, raw: object) -> bool:
        """Whether ``raw`` is meant to be in this format, by its content; it may be faulty."""

    def read(self, raw: Any) -> Annotations:
        """The tables of what ``recognise`` accepts. Raises AnnotationError."""


FORMATS: list[AnnotationFormat] = [ActivityNet(), CSVTable()]


def read_annotations(raw: object) -> Annotations:
    """The tables of a loaded file, by the first of ``FORMATS`` that recognises it.

    ``raw``: an ``AnnotationFile``, as the catalog loads it, or what would be in one: parsed JSON,
    the DataFrame of a table, or text. Raises AnnotationError.
    """
    choices = tuple(map(choice_problem, raw.choices)) if isinstance(raw, AnnotationFile) else ()
    raw = raw.content if isinstance(raw, AnnotationFile) else raw
    try:
        for each in FORMATS:
            if each.recognise(raw):
                found = each.read(raw)
                return replace(found, problems=(*choices, *found.problems))
        known = "; ".join(f"{each.name}: {each.layout}" for each in FORMATS)
        raise AnnotationError(
            "top level",
            f"the format is not known (found: {_found(raw)})",
            f"use one of these formats. {known}",
        )
    except AnnotationError as error:
        where = f"in the annotations, {error.where}"
        raise AnnotationError(where, error.what, error.advice) from None


def _found(raw: object) -> str:
    if not isinstance(raw, Mapping | pd.DataFrame):
        return type(raw).__name__
    names = shown(", ".join(map(str, raw)))
    return f"{'the keys' if isinstance(raw, Mapping) else 'the columns'} {names}"
