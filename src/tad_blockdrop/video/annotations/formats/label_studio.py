"""Label Studio's video timelines, exported as JSON or JSON-MIN.

``TimelineLabels`` count frames from 1, at the ``frameRate`` of the project's ``<Video>`` tag, which
is 24 unless it says otherwise, and which no export states. ``Labels`` on a video's sound, as in the
template for video timelines, are in seconds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePath
from re import compile as pattern
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.formats.writing import LabelledVideo
from tad_blockdrop.video.annotations.formats.xml import to_text, writable
from tad_blockdrop.video.annotations.media import is_address, is_video, video_names
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    number_of,
    optional_number,
    shown,
    text_of,
)

_UPLOADED = pattern(r"^[0-9a-f]{8}-(?=.)")  # it puts eight digits before the names of uploads
_RATES = ("fps", "framerate", "frame_rate", "frameRate")  # under which tasks state it
_VIDEOS = ("video", "video_url", "videos", "url")


class LabelStudio:
    """Tasks with a video and ranges of frames, or of seconds of its sound."""

    name = "Label Studio export"
    layout = "JSON or JSON-MIN with video timelines"

    def recognise(self, content: object) -> bool:
        """Whether it is a list of tasks."""
        if not isinstance(content, list) or not content or not isinstance(content[0], Mapping):
            return False
        return any(
            "annotations" in task or "predictions" in task or any(_regions_in(task))
            for task in content
            if isinstance(task, Mapping)
        )

    def read(self, content: list[Any], source: Source) -> Annotations:
        """The timelines of all tasks; of a task that several people did, the first one's."""
        found = Collected(source, "frames")
        tasks = [mapping(task, f"[{n}]") for n, task in enumerate(content)]
        media = [_video_of(task, f"[{n}]") for n, task in enumerate(tasks)]
        names = found.names(media)
        for number, (task, path) in enumerate(zip(tasks, media, strict=True)):
            where, video = f"[{number}]", names[path]
            if video in found.stated:
                raise AnnotationError(
                    f"{where}.data", f"video '{video}' is in two tasks", "delete one of them"
                )
            if _is_open(task):
                found.left_out("tasks that nobody has done", "do them, or accept predictions",
                               f"task {where}")  # fmt: skip
                continue
            data = task.get("data", task)
            rate = next((data[key] for key in _RATES if key in data), None)
            found.video(video, fps=optional_number(rate, f"{where}.data, frame rate"))
            self._task(task, video, where, found)
        unknown = [video for video in found.stated if video in found.in_frames]
        if unknown:
            found.note(
                unknown[0], "frame rate", f"{len(unknown)} task(s) do not say at which rate frames "
                "were counted, this one for example: the video's own was taken",
                "if the <Video> tag of the project had no frameRate, Label Studio counted 24 a "
                "second: set data.reading.frame_rate to 24",
            )  # fmt: skip
        return found.annotations()

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """Tasks with pre-annotations, and the labelling configuration of their project.

        Videos are found in the folder LOCAL_FILES_DOCUMENT_ROOT of Label Studio by name, and by the
        folders inside it where two share a name.
        """
        names = video_names(video.path for video in videos)
        tasks = [
            {
                "data": {
                    "video": f"/data/local-files/?d={_inside(video.path, names[video.path])}",
                    "fps": video.fps,
                },
                "predictions": [
                    {"model_version": "tad_blockdrop", "result": list(_results(video))}
                ],
            }
            for video in videos
        ]
        labels = dict.fromkeys(action.label for video in videos for action in video.actions)
        view = Element("View")
        control = SubElement(view, "TimelineLabels", {"name": "videoLabels", "toName": "video"})
        for label in labels:
            SubElement(control, "Label", {"value": writable(label)})
        SubElement(view, "Video", {"name": "video", "value": "$video", "frameRate": "$fps"})
        return {"tasks.json": json.dumps(tasks, indent=1), "labelling.xml": to_text(view)}

    def _task(self, task: Mapping[str, Any], video: str, where: str, found: Collected) -> None:
        for kind, region in _timelines(task, where, found):
            here = f"{where}.{kind}"
            names = region.get("timelinelabels") or region.get("labels") or []
            labels = [
                text_of(name, f"{here}, label", "name the label")
                for name in sequence(names, f"{here}, labels")
            ]
            if not labels:
                found.left_out("regions without a label", "give them one", f"task {where}")
            in_frames = "ranges" in region
            for entry in sequence(region["ranges"], f"{here}.ranges") if in_frames else [region]:
                span = mapping(entry, f"{here}.ranges")
                start, end = (
                    number_of(span.get(key), f"{here}, {key}", "give a number")
                    for key in ("start", "end")
                )
                for label in labels:
                    if not in_frames:
                        found.timed(video, label, start, end)
                    elif start == end:
                        found.point(video, label, start - 0.5)
                    else:
                        found.action(video, label, start - 1, end)


def _is_open(task: Mapping[str, Any]) -> bool:
    """Whether a task was skipped or not begun: its video is not one without actions."""
    if "annotations" not in task:
        return bool(task.get("predictions"))
    done = task["annotations"]
    return isinstance(done, list) and all(
        isinstance(each, Mapping) and each.get("was_cancelled") for each in done
    )


def _timelines(
    task: Mapping[str, Any], where: str, found: Collected
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The regions of a task's timelines, each with its place."""
    if "annotations" not in task:
        yield from _regions_in(task)
        return
    done = [
        entry
        for n, value in enumerate(sequence(task["annotations"], f"{where}.annotations"))
        if not (entry := mapping(value, f"{where}.annotations[{n}]")).get("was_cancelled")
    ]
    done.sort(key=lambda entry: not entry.get("ground_truth"))
    if len(done) > 1:
        found.left_out(
            "annotations of tasks that another person did too",
            "mark the right one as ground truth", f"task {where}", len(done) - 1,
        )  # fmt: skip
    for entry in done[:1]:
        for n, value in enumerate(sequence(entry.get("result", []), f"{where}.result")):
            result = mapping(value, f"{where}.result[{n}]")
            region = result.get("value")
            if result.get("type") not in ("timelinelabels", "labels") or not _is_region(region):
                found.left_out("regions that are on no timeline", "", f"task {where}")
                continue
            yield f"result[{n}].value", mapping(region, f"{where}.result[{n}].value")


def _regions_in(task: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The regions of JSON-MIN, whatever the control is called."""
    for key, value in task.items():
        for region in value if isinstance(value, list) else ():
            if _is_region(region):
                yield str(key), region


def _is_region(value: object) -> bool:
    """Whether it is a range of frames, or of seconds; parts of a text have both ends as well."""
    if not isinstance(value, Mapping):
        return False
    return "ranges" in value or ({"start", "end", "labels"} <= set(value) and "text" not in value)


def _video_of(task: Mapping[str, Any], where: str) -> str:
    """The path or address of a task's video. Raises AnnotationError."""
    data = mapping(task.get("data", task), f"{where}.data")
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value.strip()}
    key = _key_of_video(texts)
    if key is None:
        raise AnnotationError(f"{where}.data", f"it is {shown(data)}", "it must name a video")
    path = text_of(texts[key], f"{where}.data.{key}", "name the video")
    folder, slash, name = path.rpartition("/")
    return folder + slash + (_UPLOADED.sub("", name, 1) if "/upload/" in path else name)


def _key_of_video(texts: Mapping[str, str]) -> str | None:
    """The usual one, or what looks most like the key of a video."""
    usual = (key for key in _VIDEOS if key in texts)
    videos = (key for key, text in texts.items() if is_video(text))
    addresses = (key for key, text in texts.items() if is_address(text))
    return next(chain(usual, videos, addresses, texts), None)


def _inside(path: str, name: str) -> str:
    """The end of a path with as many folders as its name has."""
    return quote("/".join(PurePath(path).parts[-1 - name.count("/") :]))


def _results(video: LabelledVideo) -> Iterator[dict[str, Any]]:
    rate = video.fps if video.fps > 0 else 24.0
    for number, action in enumerate(video.actions):
        start = round(action.start * rate) + 1
        value = {
            "ranges": [{"start": start, "end": max(round(action.end * rate), start + 1)}],
            "timelinelabels": [action.label],
        }
        score = {} if action.score is None else {"score": round(action.score, 5)}
        yield {"id": f"a{number + 1}", "from_name": "videoLabels", "to_name": "video",
               "type": "timelinelabels", "value": value, **score}  # fmt: skip
