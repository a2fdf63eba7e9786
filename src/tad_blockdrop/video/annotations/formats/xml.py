"""XML from outside, and XML that is written."""

import re
from xml.etree import ElementTree

from tad_blockdrop.video.annotations.table import AnnotationError

# What XML 1.0 has no way to write.
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(text: str) -> ElementTree.Element:
    """The root of a document, which may declare no entities. Raises AnnotationError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise AnnotationError(
            "the file", "it declares a document type, with which XML can hide any size of content",
            "export it again from the tool that it is of",
        )  # fmt: skip
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise AnnotationError(
            "the file", f"it begins like XML but is none ({error})", "save or export it again"
        ) from error


def writable(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def to_text(root: ElementTree.Element) -> str:
    """The document as text, indented."""
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
