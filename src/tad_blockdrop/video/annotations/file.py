"""A table or JSON file as people's programs save it: its encoding, its separators, its content.

Spreadsheets write whatever their country and system suggest. What is certain (a byte order mark,
valid UTF-8) is used without a word; where this module had to choose, it says what it chose.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from tad_blockdrop.video.annotations.poses import columns_needed
from tad_blockdrop.video.annotations.table import (
    LINE,
    TITLES,
    AnnotationError,
    given,
    is_remark,
    shown,
)
from tad_blockdrop.video.files.listing import VIDEO_FORMATS
from tad_blockdrop.video.files.pictures import PICTURE_ENDINGS

MOST_TITLES = 5  # lines above the header of a table
FIRST_ROWS = 50  # of a table of poses, which say what its columns hold
_SEPARATORS = "\t;,|"
_NO_TABLE = re.compile(  # how texts begin that are no table, or one without a header
    r"\s*(<|Bento annotation file|[-\d.,]+\t[-\d.,]+(\t|$))", re.IGNORECASE
)
_REMARK = re.compile(r'\s*"?#')  # above the header of a table
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = (
    (b"PK\x03\x04", "an Excel or OpenDocument workbook, or another archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet table"),
    (b"\x1f\x8b", "a compressed file (.gz), which has to be unpacked first"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a document of a word processor (.rtf)"),
)
_OF_TOOLS = (".json", ".boris", ".eaf", ".xml", ".csv", ".tsv")  # which are not passed over


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """What a file holds: parsed JSON, a table of texts (its index: the lines), or plain text.

    ``choices``: how the file was understood where something else was possible, for people.
    ``name``: its path. ``in_folder``: whether it was found in a folder, where not every file need
    hold annotations; ``content`` is None if it holds no text. ``fault``: of a file in a folder why
    it cannot be read; of a table, ``content`` is then its header alone.
    """

    content: Any
    choices: tuple[str, ...] = ()
    name: str = ""
    in_folder: bool = False
    fault: AnnotationError | None = None


class TableError(AnnotationError):
    """A table with a row that does not fit under its ``header``."""

    def __init__(self, where: str, what: str, advice: str, header: Sequence[str] = ()) -> None:
        super().__init__(where, what, advice)
        self.header = header


def read_annotation_files(paths: Iterable[str | Path]) -> tuple[AnnotationFile, ...]:
    """The files at these paths, and those in the folders among them. Raises AnnotationError.

    Of a folder and those below, hidden files, videos and pictures do not count.
    """
    found: list[AnnotationFile] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(read_annotation_file(path))
            continue
        inside = [file for file in sorted(path.rglob("*")) if _may_hold_text(file, path)]
        if not inside:
            raise AnnotationError(str(path), "the folder is empty", "put the annotations there")
        for file in inside:
            found.append(replace(_read_in_folder(file), name=str(file), in_folder=True))
    return tuple(found)


def _read_in_folder(file: Path) -> AnnotationFile:
    """A file of a folder; notes whose lines happen to hold commas are no damaged table."""
    head = _head(file)
    if (fault := _no_text(head)) is not None or not _may_be_text(head):
        return AnnotationFile(None, fault=fault)
    content = _content(file)
    try:
        return _parsed(content, file)
    except TableError as error:
        return AnnotationFile(
            pd.DataFrame([[""] * len(error.header)], columns=list(error.header)), fault=error
        )
    except AnnotationError as error:
        if file.suffix.lower() in _OF_TOOLS:
            raise
        return AnnotationFile(None, fault=error)


def _may_hold_text(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    media = file.suffix.lower() in (*VIDEO_FORMATS, *PICTURE_ENDINGS)
    return not hidden and not media and file.is_file()


def _head(file: Path) -> bytes:
    """How a file begins."""
    try:
        with file.open("rb") as stream:
            return stream.read(4096)
    except OSError:
        return b"?"  # reading it says what is wrong


def _may_be_text(head: bytes) -> bool:
    """Whether a file begins like text; empty ones do not."""
    return head.strip() != b"" and (0 not in head[2:] or 0 in head[:2] or _mark(head) is not None)


def _no_text(head: bytes) -> AnnotationError | None:
    """What a file is and what to do, if it is of a kind that is known to be no text."""
    for start, what in _NO_TEXT:
        if head.startswith(start):
            return AnnotationError("the file", f"it is {what}", "save it as CSV (UTF-8)")
    return None


def read_annotation_file(path: str | Path) -> AnnotationFile:
    """Read a file by its content; its ending says nothing. Raises AnnotationError."""
    path = Path(path)
    return _parsed(_content(path), path)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AnnotationError(
            str(path), f"it cannot be read ({error.strerror})",
            "put the annotations there, or name their file in this environment's globals.yml",
        ) from error  # fmt: skip


def _parsed(content: bytes, path: Path) -> AnnotationFile:
    """What a file of this content holds. Raises AnnotationError."""
    try:
        text, choices = decode(content)
    except AnnotationError as error:
        raise AnnotationError(str(path), error.what, error.advice) from None
    lines = [line for line in text.splitlines() if line.strip()]
    first = next(iter(lines), None)
    if first is None:
        raise AnnotationError(str(path), "it is empty", "add the annotations")
    if first.lstrip()[0] in "{[":
        return AnnotationFile(_parsed_json(text, path), choices, str(path))
    separated = any(mark in line for line in lines[: MOST_TITLES + 1] for mark in _SEPARATORS)
    if not separated or _NO_TABLE.match(first):
        return AnnotationFile(text, choices, str(path))
    table, more = _parsed_table(text, path)
    return AnnotationFile(table, (*choices, *more), str(path))


def decode(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and what had to be chosen to read it. Raises AnnotationError."""
    if (fault := _no_text(content)) is not None:
        raise fault
    encoding = _mark(content)
    if encoding is None and 0 in content[:2]:  # UTF-16 of a Latin script, without its mark
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        return content.decode(encoding or "utf-8"), ()
    except UnicodeDecodeError as error:
        advice = "save it as UTF-8"
        if encoding is not None or 0 in content:
            raise AnnotationError("the file", f"it is damaged ({error})", advice) from error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            "the file", "its letters are neither UTF-8, UTF-16 nor Windows-1252", advice
        ) from error
    word = next(re.finditer(r"[^\s,]*[^\x00-\x7f][^\s,]*", text))[0]
    return text, (f"letters that are not UTF-8 as Windows-1252, for example {shown(word)}",)


def _mark(content: bytes) -> str | None:
    """The encoding that a byte order mark states."""
    return next((name for mark, name in _MARKS if content.startswith(mark)), None)


def _parsed_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except AnnotationError as error:
        raise AnnotationError(str(path), error.what, error.advice) from None
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            str(path), f"it begins like JSON but is none ({error})", "save or download it again"
        ) from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; JSON readers let the last of two equal keys win."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise AnnotationError(
            "the file", f"the key {shown(twice)} is there twice", "join or rename the entries"
        )
    return found


def _parsed_table(text: str, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The rows that hold anything, as texts, and what was chosen to read them."""
    first, _, rest = text.partition("\n")
    stated = first.strip()  # Excel's own line before the header
    if stated.casefold().startswith("sep=") and len(stated) == 5:
        separator, skipped, text = stated[4], 1, rest
    else:
        separator, skipped = _separator(text), 0
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows: list[list[str]] = []
    lines: list[int] = []
    needed: list[int] = []  # columns of a table of poses, which is too large to be kept whole
    whole = 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(_narrowed(row, needed, whole))
                lines.append(reader.line_num + skipped)
                if len(rows) == FIRST_ROWS:
                    needed, whole = columns_needed(rows[0], rows[1:]), len(rows[0])
                    rows = [_narrowed(row, needed, whole) for row in rows]
    except csv.Error as error:
        raise TableError(
            f"{path}, line {reader.line_num + skipped}", f"it cannot be read ({error})",
            "is a quotation mark missing?", rows[_titles(rows)] if rows else [],
        ) from error  # fmt: skip
    if not rows:
        raise AnnotationError(str(path), "it is empty", "add the annotations")
    titles = [next(filter(None, map(str.strip, row))) for row in rows[: _titles(rows)]]
    lines = lines[len(titles) :]
    names, *cells = rows[len(titles) :]
    width = len(names)
    dropped = whole - width if needed else 0
    for line, row in zip(lines[1:], cells, strict=True):
        if any(given(cell.strip()) for cell in row[width:]) and not is_remark(row):
            raise TableError(
                f"{path}, line {line}",
                f"it has {len(row) + dropped} cells, the header {width + dropped}",
                "put texts that hold the separator into quotation marks", names,
            )  # fmt: skip
    table = pd.DataFrame(
        [_padded(row, width) for row in cells],
        columns=names,
        index=pd.Index(lines[1:], name=LINE),
        dtype=object,
    )
    table = table.loc[
        :, [bool(name.strip()) or table.iloc[:, i].any() for i, name in enumerate(names)]
    ]
    table.attrs[TITLES] = titles
    name = {"\t": "tabs", ",": ""}.get(separator, f"'{separator}'")
    choices = [f"{name} between the columns"] if name else []
    return table, choices + [f"{shown(title)} as a title above the table" for title in titles]


def _separator(text: str) -> str:
    """What stands most often in the header, or in the first line after titles."""
    filled = (line for line in text.splitlines() if line.strip() and not _REMARK.match(line))
    lines = list(islice(filled, MOST_TITLES + 1))
    cells = {line: re.split(f"[{_SEPARATORS}]", line) for line in lines}
    headers = (line for line in lines if sum(bool(cell.strip()) for cell in cells[line]) > 1)
    header = next(headers, lines[0] if lines else "")
    return max(_SEPARATORS, key=header.count)


def _titles(rows: Sequence[Sequence[str]]) -> int:
    """How many rows stand above the header: remarks, and those with only one cell filled."""
    filled = [
        0 if is_remark(row) else sum(bool(cell.strip()) for cell in row)
        for row in rows[: MOST_TITLES + 1]
    ]
    return next((place for place, count in enumerate(filled) if count > 1), 0)


def _narrowed(row: list[str], needed: Sequence[int], whole: int) -> list[str]:
    """The cells of the columns that are needed, by default all, and those beyond the header."""
    return [*(row[i] for i in needed if i < len(row)), *row[whole:]] if needed else row


def _padded(row: Sequence[str], width: int) -> list[str]:
    return [*row[:width], *[""] * (width - len(row))]
