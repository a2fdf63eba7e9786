"""CVAT's XML "for video": tracks of objects, shown from frame to frame."""

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
_States = list[tuple[int, str]]  # from this frame on this class, an empty one where it is outside


class Cvat:
    """A track is an action as long as it is shown, or as long as an attribute keeps its value.

    The attribute is ``data.reading.labels``; without it the class is the track's label. A checkbox
    is a class that has the attribute's name. CVAT writes
    a single shape as a track of one frame: those of one class in consecutive frames are joined.
    """

    name = "CVAT for video"
    layout = "its XML, version 1.1"

    def recognise(self, content: object) -> bool:
        """Whether it is XML with CVAT's root and version."""
        return isinstance(content, str) and "<annotations" in content[:1024]

    def read(self, content: str, source: Source) -> Annotations:
        """The tracks, with frames counted as in the video file. Raises AnnotationError."""
        root = parse(content)
        if root.find("image") is not None:
            raise AnnotationError(
                "image", "it is exported as images, without tracks",
                "export the task as 'CVAT for video 1.1'",
            )  # fmt: skip
        found = Collected(source, "frames")
        videos = _videos(root, source)
        names = found.names(path for path, _ in videos.values())
        for path, _ in videos.values():
            found.video(names[path])
        singles: dict[tuple[str, str, int], set[int]] = defaultdict(set)
        for number, track in enumerate(root.iterfind("track")):
            where = f"track {track.get('id', number)}"
            path, step = _video_of(track, videos, where)
            video = names[path]
            states = _states(track, found.config.labels, step, where)
            if not any(label for _, label in states):
                found.left_out("tracks that show no class",
                               "see whether data.reading.labels is right", where)  # fmt: skip
            for label, start, end in _segments(states):
                if end - start <= step:
                    singles[video, label, step].add(start)
                else:
                    found.action(video, label, start, end)
        for (video, label, step), frames in singles.items():
            for start, end in _runs(sorted(frames), step):
                if end - start <= step:
                    found.point(video, label, start)
                else:
                    found.action(video, label, start, end)
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
        frame = number_of(shape.get("frame"), f"{where}, frame")
        if not 0 <= frame < 2**31:
            raise AnnotationError(f"{where}, frame", f"it is {frame:g}", "export the task again")
        label = ""
        if not _outside(shape):
            label = track.get("label", "")
            if attribute is not None:
                values = (v for v in shape.iterfind("attribute") if v.get("name") == attribute)
                label = next((v.text or "" for v in values), "")
                label = {"true": attribute, "false": ""}.get(label, label)
            label = "" if label == _UNDEFINED else label.strip()
        states.append((int(frame), label))
    states.sort(key=lambda state: state[0])
    return [*states, (states[-1][0] + step, "")] if states else []


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
