"""ELAN's annotation documents (``.eaf``), after its XML schema, version 3.0."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.writing import LabelledVideo, in_lanes
from tad_blockdrop.video.annotations.formats.xml import parse, to_text, writable
from tad_blockdrop.video.annotations.media import is_video
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    optional_number,
)
from tad_blockdrop.video.files.listing import file_name

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_UNTIMED = "annotations of which ELAN does not state the time"


@dataclass(frozen=True)
class _Tier:
    name: str
    parent: str | None
    annotations: Sequence[Element]


class Elan:
    """Tiers of annotations: the value of each is its class, or its tier's name if it has none.

    Without ``data.reading.labels``, all tiers count that depend on no other.
    """

    name = "ELAN document"
    layout = "the .eaf file"

    def recognise(self, content: object) -> bool:
        """Whether it is XML with ELAN's root."""
        return isinstance(content, str) and "<ANNOTATION_DOCUMENT" in content[:4096]

    def read(self, content: str, source: Source) -> Annotations:
        """The annotations of the chosen tiers. Raises AnnotationError."""
        root = parse(content)
        header = root.find("HEADER")
        units = "" if header is None else header.get("TIME_UNITS", "milliseconds")
        if units not in ("", "milliseconds"):
            raise AnnotationError("HEADER", f"it counts {units}", "save it with a newer ELAN")
        found = Collected(source)
        video, origin = _medium(root, source, found)
        found.video(video)
        slots = _slots(root)
        tiers = [
            _Tier(tier.get("TIER_ID", ""), tier.get("PARENT_REF"), tier.findall("ANNOTATION/*"))
            for tier in root.findall("TIER")
        ]
        between, shares = _between(tiers, slots), _shares(tiers)
        times, guessed = _times(tiers, slots | between, shares), 0
        words = _vocabulary(root)
        for tier in _chosen(tiers, found):
            for annotation in tier.annotations:
                divides = annotation.get("ANNOTATION_ID", "") in shares
                key = annotation.get("ANNOTATION_ID" if divides else "ANNOTATION_REF", "")
                span = _span(annotation, slots | between) or times.get(key)
                guessed += divides or _span(annotation, slots) != _span(annotation, slots | between)
                if span is None:
                    found.left_out(_UNTIMED, "align them in ELAN", f"tier '{tier.name}'")
                    continue
                value = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
                label = value or words.get(annotation.get("CVE_REF", "")) or tier.name
                found.action(video, label, span[0] + origin, span[1] + origin)
        if guessed:
            found.note(
                video, "times in doubt", f"{guessed} annotation(s) have no times of their own, only"
                " an order: they divide what they belong to evenly, as ELAN shows them",
                "align them in ELAN if their times matter",
            )  # fmt: skip
        if not found.rows and any(tier.annotations for tier in tiers):
            raise AnnotationError(
                "TIME_ORDER", f"no annotation has a time ({len(slots)} time slots state one)",
                "align the annotations with the video in ELAN",
            )  # fmt: skip
        return found.annotations()

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """A document for each video, with a tier for each class.

        A tier of ELAN has no overlaps, so actions that overlap one of their class get another.
        """
        return {file_name(video.video_id, ".eaf"): to_text(_document(video)) for video in videos}


def _medium(root: Element, source: Source, found: Collected) -> tuple[str, float]:
    """The id of the document's video, and the second of it at which ELAN's time begins."""
    media = root.findall("HEADER/MEDIA_DESCRIPTOR")
    videos = (
        [each for each in media if each.get("MIME_TYPE", "video").startswith("video")]
        or [each for each in media if is_video(_path(each))]
        or media
    )
    if not videos:
        return source.video(), 0.0
    path = _path(videos[0]) or source.video()
    if len(videos) > 1:
        found.left_out(
            "further videos, which show what the first shows",
            "annotate them in documents of their own", source.name, len(videos) - 1,
        )  # fmt: skip
    name = found.names([path])[path]
    if not name:
        raise AnnotationError("MEDIA_DESCRIPTOR", f"'{path}' names no video", "link it in ELAN")
    origin = optional_number(videos[0].get("TIME_ORIGIN", "0"), "MEDIA_DESCRIPTOR, TIME_ORIGIN")
    return name, origin / 1000


def _path(medium: Element) -> str:
    """Where the video of a medium is, which may be sound that was extracted from it."""
    own, relative, extracted = (
        medium.get(name, "") for name in ("MEDIA_URL", "RELATIVE_MEDIA_URL", "EXTRACTED_FROM")
    )
    videos = (path for path in (own, relative, extracted) if is_video(path))
    return next(videos, extracted or own or relative)


def _slots(root: Element) -> dict[str, float]:
    """The seconds of those time slots that have a time."""
    slots: dict[str, float] = {}
    for slot in root.findall("TIME_ORDER/TIME_SLOT"):
        value = slot.get("TIME_VALUE")
        if value is not None:
            name = slot.get("TIME_SLOT_ID", "")
            time = number_of(value, f"TIME_SLOT {name}", "give milliseconds") / 1000
            if slots.setdefault(name, time) != time:
                raise AnnotationError(
                    f"TIME_SLOT {name}", f"it is at {slots[name]:g} s as well as {time:g} s",
                    "open and save the document in ELAN",
                )  # fmt: skip
    return slots


def _vocabulary(root: Element) -> dict[str, str]:
    """The words of the document's own vocabularies by their ids."""
    return {
        entry.get("CVE_ID", ""): (entry.findtext("CVE_VALUE") or "").strip()
        for entry in root.findall("CONTROLLED_VOCABULARY/CV_ENTRY_ML")
    }


def _between(tiers: Sequence[_Tier], slots: Mapping[str, float]) -> dict[str, float]:
    """Times of slots without one, inside chains of annotations that begin and end at times."""
    found: dict[str, float] = {}
    for tier in tiers:
        after = {a.get("TIME_SLOT_REF1", ""): a.get("TIME_SLOT_REF2", "") for a in tier.annotations}
        for begin in slots.keys() & after.keys():
            path, at = [begin], after[begin]
            while at not in slots and at in after and at not in path:
                path.append(at)
                at = after[at]
            if at in slots:
                step = (slots[at] - slots[begin]) / len(path)
                found |= {name: slots[begin] + step * n for n, name in enumerate(path) if n}
    return found


def _shares(tiers: Sequence[_Tier]) -> dict[str, tuple[int, int]]:
    """Of annotations that divide another one: which part of how many each is, by its id."""
    shares: dict[str, tuple[int, int]] = {}
    for tier in tiers:
        before = {
            a.get("ANNOTATION_ID", ""): a.get("PREVIOUS_ANNOTATION") for a in tier.annotations
        }
        after = {previous: name for name, previous in before.items() if previous}
        for first in after.keys() - after.values():
            chain = [first]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            shares |= {name: (place, len(chain)) for place, name in enumerate(chain)}
    return shares


def _times(
    tiers: Sequence[_Tier], slots: Mapping[str, float], shares: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[float, float]]:
    """Start and end of annotations by their ids: their own, or of those that they refer to.

    ``shares``: the parts of these that they are.
    """
    times: dict[str, tuple[float, float]] = {}
    refers: dict[str, str] = {}
    for annotation in (each for tier in tiers for each in tier.annotations):
        name = annotation.get("ANNOTATION_ID")
        if not name:
            continue
        span = _span(annotation, slots)
        if span is not None:
            times[name] = span
        elif "ANNOTATION_REF" in annotation.attrib:
            refers[name] = annotation.attrib["ANNOTATION_REF"]
    seen: set[str] = set()
    for name in refers:
        path, at = [], name
        while at in refers and at not in seen:
            seen.add(at)
            path.append(at)
            at = refers[at]
        for each in reversed(path if at in times else []):
            start, end = times[refers[each]]
            place, count = shares.get(each, (0, 1))
            step = (end - start) / count
            times[each] = start + place * step, start + (place + 1) * step
    return times


def _span(annotation: Element, slots: Mapping[str, float]) -> tuple[float, float] | None:
    """Start and end that an annotation states itself."""
    start, end = (slots.get(annotation.get(f"TIME_SLOT_REF{n}", "")) for n in (1, 2))
    return None if start is None or end is None else (start, end)


def _chosen(tiers: Sequence[_Tier], found: Collected) -> Sequence[_Tier]:
    """The tiers that hold actions; what the others are is told. Raises AnnotationError."""
    if not tiers:
        raise AnnotationError("TIER", "there is none", "annotate in ELAN")
    names = ", ".join(f"'{tier.name}'" for tier in tiers)
    if found.config.labels is not None:
        chosen = [tier for tier in tiers if tier.name == found.config.labels]
        if not chosen:
            what = f"there is no tier '{found.config.labels}' (found: {names})"
            raise AnnotationError("TIER", what, "correct data.reading.labels")
    else:
        chosen = [tier for tier in tiers if tier.parent is None]
    for tier in tiers:
        if tier not in chosen and tier.annotations:
            what = "annotations of other tiers" if found.config.labels else "dependent annotations"
            found.left_out(what, "name a tier as data.reading.labels to read it alone",
                           f"tier '{tier.name}'", len(tier.annotations))  # fmt: skip
    return chosen


def _document(video: LabelledVideo) -> Element:
    root = Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "tad_blockdrop",
            "DATE": "2000-01-01T00:00:00+00:00",  # the same each time
            "VERSION": "3.0",
            "FORMAT": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    path = Path(video.path)
    address = path.as_uri() if path.is_absolute() else f"./{video.path}"
    descriptor = {
        "MEDIA_URL": address,
        "MIME_TYPE": f"video/{path.suffix[1:].lower() or 'mp4'}",
        "RELATIVE_MEDIA_URL": f"./{path.name}",
    }
    SubElement(header, "MEDIA_DESCRIPTOR", {k: writable(v) for k, v in descriptor.items()})
    order = SubElement(root, "TIME_ORDER")
    tiers: dict[str, Element] = {}
    slots: list[tuple[int, str]] = []
    for number, (lane, action) in enumerate(in_lanes(video.actions)):
        name = writable(f"{action.label} (overlap {lane})" if lane else action.label)
        if name not in tiers:
            about = {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": name}
            tiers[name] = SubElement(root, "TIER", about)
        start = round(action.start * 1000)
        first, last = f"ts{2 * number + 1}", f"ts{2 * number + 2}"
        slots += [(start, first), (max(round(action.end * 1000), start + 1), last)]
        annotation = SubElement(
            SubElement(tiers[name], "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            {"ANNOTATION_ID": f"a{number + 1}", "TIME_SLOT_REF1": first, "TIME_SLOT_REF2": last},
        )
        SubElement(annotation, "ANNOTATION_VALUE").text = writable(action.label)
    for time, slot in sorted(slots):
        SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(time)})
    if not tiers:
        SubElement(root, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": "default"})
    SubElement(
        root, "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt",
         "TIME_ALIGNABLE": "true"},
    )  # fmt: skip
    return root
