"""Projects of the VGG Image Annotator, version 3 (VIA), with temporal segments."""

from collections.abc import Iterator, Mapping
from typing import Any

from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    text_of,
)

_CHECKBOX = 2  # VIA's number of an attribute with several options at a time
_SEGMENT = "FILE1_Z2_XY0"  # the anchor of attributes of temporal segments


class Via:
    """Segments whose class is an attribute: ``data.reading.labels``, or the first that there is."""

    name = "VIA 3 project"
    layout = "its JSON project file"

    def recognise(self, content: object) -> bool:
        """Whether it has the parts of a project."""
        parts = {"attribute", "file", "metadata", "view"}
        return isinstance(content, Mapping) and parts <= set(content)

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The temporal segments of all files. Raises AnnotationError."""
        found = Collected(source)
        attribute, chosen, others = _attribute(content, found)
        files = _files(content)
        names = found.names(files.values())
        for path in files.values():
            found.video(names[path])
        options = mapping(chosen.get("options", {}), f"attribute.{attribute}.options")
        for key, value in mapping(content["metadata"], "metadata").items():
            where = f"metadata.{key}"
            entry = mapping(value, where)
            view = str(entry.get("vid"))
            if view not in files:
                found.left_out("annotations of views that show no file", "", where)
                continue
            video = names[files[view]]
            times = sequence(entry.get("z", []), f"{where}.z")
            if entry.get("xy") or len(times) not in (1, 2):
                found.left_out("regions of pictures, and notes on whole files", "", where)
                continue
            values = mapping(entry.get("av", {}), f"{where}.av")
            unused = sum(other in values for other in others)
            if unused:
                found.left_out("values of other attributes of segments",
                               "choose one as data.reading.labels", where, unused)  # fmt: skip
            seconds = [number_of(time, f"{where}.z", "give seconds") for time in times]
            labels = list(_labels(values.get(attribute), options, chosen.get("type"), where))
            if not labels:
                found.left_out("segments without a class", "give them one in VIA", where)
            for label in labels:
                if len(seconds) == 1:
                    found.point(video, label, seconds[0])
                else:
                    found.action(video, label, *seconds)
        return found.annotations(str(name) for name in options.values())


def _attribute(
    content: Mapping[str, Any], found: Collected
) -> tuple[str, Mapping[str, Any], set[str]]:
    """Number and facts of the attribute that names actions, and the others'."""
    known = {
        str(number): mapping(value, f"attribute.{number}")
        for number, value in mapping(content["attribute"], "attribute").items()
    }
    known = {n: value for n, value in known.items() if value.get("anchor_id") == _SEGMENT}
    names = ", ".join(f"'{value.get('aname')}'" for value in known.values())
    labels = found.config.labels
    for number, value in known.items():
        if labels in (None, value.get("aname")):
            return number, value, set(known) - {number}
    raise AnnotationError(
        "attribute",
        f"none of temporal segments is called '{labels}' (found: {names})"
        if known else "none is of temporal segments",
        "correct data.reading.labels" if known else "add one in VIA, and annotate segments",
    )  # fmt: skip


def _files(content: Mapping[str, Any]) -> dict[str, str]:
    """The path or address of the first file in each view, by the view's number."""
    files = {}
    for number, value in mapping(content["file"], "file").items():
        entry = mapping(value, f"file.{number}")
        path = entry.get("fname") or entry.get("src")
        files[str(number)] = text_of(path, f"file.{number}.fname", "name the file")
    views = {}
    for number, value in mapping(content["view"], "view").items():
        shown = sequence(mapping(value, f"view.{number}").get("fid_list", []), f"view.{number}")
        if shown and str(shown[0]) in files:
            views[str(number)] = files[str(shown[0])]
    return views


def _labels(value: object, options: Mapping[str, Any], kind: object, where: str) -> Iterator[str]:
    """The classes that a value stands for: options by their numbers, or a text."""
    if value in (None, ""):
        return
    parts = str(value).split(",") if kind == _CHECKBOX else [str(value)]
    for part in parts:
        yield text_of(options.get(part, part), f"{where}.av", "choose an option")
