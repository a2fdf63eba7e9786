"""CVAT's XML: tracks of objects "for video", and tags of frames "for images"."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from re import search
from xml.etree.ElementTree import Element

from tad_blockdrop.video.annotations.formats.contract import Collected, Source
from tad_blockdrop.video.annotations.formats.xml import parse
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    text_of,
)

_UNDEFINED = "__undefined__"  # what CVAT's manual gives attributes to begin with
_ATTRIBUTE = "see whether data.reading.labels is right"
_Singles = dict[tuple[str, str, int], set[int]]  # frames by video, class and step
_States = list[tuple[int, str]]  # from this frame on this class, an empty one where it is outside


class Cvat:
    """A track is an action as long as it is shown, or as long as an attribute keeps its value.

    The attribute is ``data.reading.labels``; without it the class is the track's label. A checkbox
    is a class that has the attribute's name. CVAT writes a single shape as a track of one frame:
    those of one class in consecutive frames are joined, and so are tags of frames.
    """

    name = "CVAT for video"
    layout = "its XML, version 1.1; for images with tags"

    def recognise(self, content: object) -> bool:
        """Whether it is XML with CVAT's root and version."""
        return isinstance(content, str) and "<annotations" in content[:1024]

    def read(self, content: str, source: Source) -> Annotations:
        """The tracks, with frames counted as in the video file. Raises AnnotationError."""
        root = parse(content)
        if root.find("image") is not None and root.find("image/tag") is None:
            raise AnnotationError(
                "image", "it is exported as images, without tracks or tags",
                "export the task as 'CVAT for video 1.1'",
            )  # fmt: skip
        found = Collected(source, "frames")
        videos = _videos(root, source)
        names = found.names(path for path, _ in videos.values())
        for path, _ in videos.values():
            found.video(names[path])
        singles: _Singles = defaultdict(set)
        for number, track in enumerate(root.iterfind("track")):
            where = f"track {track.get('id', number)}"
            path, step = _video_of(track, videos, where)
            video = names[path]
            states = _states(track, found.config.labels, step, where)
            if not any(label for _, label in states):
                found.left_out("tracks that show no class", _ATTRIBUTE, where)
            for label, start, end in _segments(states):
                if end - start <= step:
                    singles[video, label, step].add(start)
                else:
                    found.action(video, label, start, end)
        for image in root.iterfind("image"):
            path, step = _video_of(image, videos, f"image {image.get('id')}")
            for label, frame in _tags(image, found):
                singles[names[path], label, step].add(frame)
        _join(singles, found)
        return found.annotations()


def _videos(root: Element, source: Source) -> dict[str, tuple[str, int]]:
    """The video's name and step by the task's number; a project has several tasks."""
    tasks = root.findall("meta//task")
    common = root.findtext("meta/source")
    if len(tasks) <= 1 and common:
        return {"": (common, _step(root.find("meta")))}
    videos = {}
    for task in tasks:
        name = task.findtext("source") or task.findtext("name") or ""
        name = text_of(name, "meta, source", "name the video")
        videos[task.findtext("id") or ""] = name, _step(task)
    return videos or {"": (source.video(), _step(root.find("meta")))}


def _video_of(track: Element, videos: Mapping[str, tuple[str, int]], where: str) -> tuple[str, int]:
    """The name and step of the video that a track is in. Raises AnnotationError."""
    task = track.get("task_id", "")
    if task not in videos and len(videos) > 1:
        raise AnnotationError(
            where, f"none of the {len(videos)} tasks is its own ('{task}')", "export each task"
        )
    return videos[task] if task in videos else next(iter(videos.values()))


def _step(meta: Element | None) -> int:
    """Each how many frames are annotated, of the filter ``step=5`` of a task or job."""
    text = "" if meta is None else meta.findtext(".//frame_filter") or ""
    found = search(r"step\s*=\s*(\d{1,6})", text)
    return max(int(found[1]), 1) if found else 1


def _states(track: Element, attribute: str | None, step: int, where: str) -> _States:
    """From which frame on the track shows which class, in order."""
    states: _States = []
    for shape in track:
        if "frame" not in shape.attrib:
            continue
        label = "" if _outside(shape) else _label(shape, track.get("label", ""), attribute)
        states.append((_frame(shape.get("frame"), f"{where}, frame"), label))
    states.sort(key=lambda state: state[0])
    return [*states, (states[-1][0] + step, "")] if states else []


def _tags(image: Element, found: Collected) -> Iterator[tuple[str, int]]:
    """Class and frame of each tag of an image; its shapes are no actions."""
    where = f"image {image.get('id')}"
    for element in image:
        if element.tag != "tag":
            found.left_out("shapes of images, as their tags are the classes", "", where)
            continue
        label = _label(element, element.get("label", ""), found.config.labels)
        if label:
            yield label, _frame(image.get("id"), where)
        else:
            found.left_out("tags that show no class", _ATTRIBUTE, where)


def _frame(value: str | None, where: str) -> int:
    """The number of a frame. Raises AnnotationError."""
    frame = number_of(value, where)
    if not 0 <= frame < 2**31:
        raise AnnotationError(where, f"it is {frame:g}", "export the task again")
    return int(frame)


def _label(element: Element, label: str, attribute: str | None) -> str:
    """The class that a shape or tag of this label shows, empty where it shows none."""
    if attribute is not None:
        values = (v for v in element.iterfind("attribute") if v.get("name") == attribute)
        label = next((v.text or "" for v in values), "")
        label = {"true": attribute, "false": ""}.get(label, label)
    return "" if label == _UNDEFINED else label.strip()


def _outside(shape: Element) -> bool:
    """Whether a shape is not shown; a skeleton says so of each of its points."""
    parts = shape.findall("points") or [shape]
    return all(part.get("outside", "0") != "0" for part in parts)


def _segments(states: Sequence[tuple[int, str]]) -> Iterator[tuple[str, int, int]]:
    """Class, first frame and the frame after the last one, of each stretch of one class."""
    begin, shown = 0, ""
    for frame, label in states:
        if label != shown:
            if shown:
                yield shown, begin, frame
            begin, shown = frame, label


def _join(singles: _Singles, found: Collected) -> None:
    """Add the actions of single frames, those that follow each other as one."""
    for (video, label, step), frames in singles.items():
        for start, end in _runs(sorted(frames), step):
            if end - start <= step:
                found.point(video, label, start)
            else:
                found.action(video, label, start, end)


def _runs(frames: Sequence[int], step: int) -> Iterator[tuple[int, int]]:
    """The first and the frame after the last of frames that follow each other."""
    begin = before = None
    for frame in frames:
        if begin is None or before is None:
            begin = frame
        elif frame - before > step:
            yield begin, before + step
            begin = frame
        before = frame
    if begin is not None and before is not None:
        yield begin, before + step
