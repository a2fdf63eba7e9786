"""Class lists: text files with one class a line."""

import unicodedata
from collections import Counter
from pathlib import Path

from tad_blockdrop.video.annotations.file import decode
from tad_blockdrop.video.annotations.table import AnnotationError, text_of


def read_classes_file(path: str | Path) -> tuple[str, ...]:
    """The class names in the file of ``data.classes_file``. Raises AnnotationError."""
    try:
        text, _ = decode(Path(path).read_bytes())
    except (OSError, AnnotationError) as error:
        raise AnnotationError(
            "data.classes_file",
            f"{path} cannot be read as text ({error})",
            "correct the path, or set it to null",
        ) from error
    return read_classes(text)


def read_classes(text: str) -> tuple[str, ...]:
    """Class names, one a line, in order; empty lines do not count. Raises AnnotationError."""
    lines = text.removeprefix("\ufeff").splitlines()
    where, advice = "the class list", "name the class"
    found = (text_of(line, where, advice) for line in lines if line.strip())
    names = Counter(unicodedata.normalize("NFC", name) for name in found)
    if not names:
        raise AnnotationError("the class list", "it is empty", "write one class a line")
    name, count = names.most_common(1)[0]
    if count > 1:
        raise AnnotationError(
            "the class list", f"'{name}' is listed twice", "remove one of the two lines"
        )
    return tuple(names)
