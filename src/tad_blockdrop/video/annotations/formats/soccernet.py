"""Spotted events of sports videos: SoccerNet's labels, and both versions of OpenSportsLab's JSON.

All of them are points in time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    NoActionsError,
    number_of,
    optional_number,
    seconds_of,
    shown,
    text_of,
)

_SIDES = ("left", "right")  # the teams of Labels-ball.json, which is of one video


class SoccerNet:
    """``Labels-v2.json`` of a game, whose halves are the videos 1_720p and 2_720p in its folder.

    ``Labels.json``, which came before it, has no other time than the clock of the half.
    ``Labels-ball.json`` counts both halves from the beginning of one video, 720p.
    """

    name = "SoccerNet labels"
    layout = "Labels-v2.json or Labels-ball.json of a game"

    def recognise(self, content: object) -> bool:
        """Whether it has a game's folder and its events."""
        return isinstance(content, Mapping) and {"UrlLocal", "annotations"} <= set(content)

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The events of both halves. Raises AnnotationError."""
        found = Collected(source)
        events = [
            mapping(value, f"annotations[{n}]")
            for n, value in enumerate(sequence(content["annotations"], "annotations"))
        ]
        halves = _halves(content, events)
        for video in halves.values():
            found.video(video)
        for n, event in enumerate(events):
            where = f"annotations[{n}]"
            half = str(event.get("gameTime", "")).partition("-")[0].strip()
            if half not in halves:
                raise AnnotationError(
                    f"{where}.gameTime", f"it is {shown(event.get('gameTime'))}",
                    "write it as '1 - 00:40'",
                )  # fmt: skip
            _spot(event, halves[half], found, where)
        names = " and ".join(video.rpartition("/")[2] for video in found.stated)
        found.note(halves["1"], "names of videos",
                   f"the game is looked for as {names} in its folder",
                   "rename other sizes")  # fmt: skip
        return found.annotations()


def _halves(content: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The videos of both halves, by their numbers. Raises AnnotationError."""
    if any("change_type" in event for event in events):
        raise NoActionsError(
            "annotations", "they are changes of the camera (Labels-cameras.json), not actions",
            "take Labels-v2.json of the game",
        )  # fmt: skip
    game = text_of(content["UrlLocal"], "UrlLocal", "name the game's folder").strip("/")
    if "halftime" in content or any(event.get("team") in _SIDES for event in events):
        return dict.fromkeys("12", f"{game}/720p")
    return {half: f"{game}/{half}_720p" for half in "12"}


class OpenSportsLab:
    """Version 2 (``data`` with ``inputs`` and ``events``) and version 1 (``videos``)."""

    name = "OpenSportsLab JSON"
    layout = "version 1 or 2, of action spotting"

    def recognise(self, content: object) -> bool:
        """Whether it lists inputs with events, or videos with annotations."""
        entries = _entries(content)
        return (
            bool(entries)
            and isinstance(entries[0], Mapping)
            and ("inputs" in entries[0] or {"path", "annotations"} <= set(entries[0]))
        )

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The events of all videos. Raises AnnotationError."""
        found = Collected(source)
        parts = []
        for n, value in enumerate(_entries(content)):
            where = f"[{n}]"
            entry = mapping(value, where)
            parts.append((where, entry, _input(entry, found, where)))
        names = found.names(path for _, _, (path, _) in parts)
        for where, entry, (path, fps) in parts:
            video = names[path]
            if video in found.stated:
                raise AnnotationError(where, f"video '{video}' is there twice", "join the entries")
            found.video(video, fps=fps)
            events = sequence(entry.get("events", entry.get("annotations", [])), f"{where}.events")
            for n, event in enumerate(events):
                _spot(mapping(event, f"{where}.events[{n}]"), video, found, f"{where}.events[{n}]")
        return found.annotations()


def _entries(content: object) -> list[Any]:
    if not isinstance(content, Mapping):
        return []
    entries = content.get("data", content.get("videos"))
    return entries if isinstance(entries, list) else []


def _input(entry: Mapping[str, Any], found: Collected, where: str) -> tuple[str, float]:
    """The path and rate of the first video of an entry. Raises AnnotationError."""
    inputs = [
        mapping(value, f"{where}.inputs[{n}]")
        for n, value in enumerate(sequence(entry.get("inputs", [entry]), f"{where}.inputs"))
    ]
    videos = [each for each in inputs if each.get("type", "video") == "video"]
    if not videos:
        raise AnnotationError(f"{where}.inputs", "none of them is a video", "add the video")
    if len(videos) > 1:
        found.left_out("further videos of entries", "make entries of them", where, len(videos) - 1)
    path = text_of(videos[0].get("path"), f"{where}.path", "name the file")
    return path, optional_number(videos[0].get("fps"), f"{where}.fps")


def _spot(event: Mapping[str, Any], video: str, found: Collected, where: str) -> None:
    key = "position_ms" if "position_ms" in event else "position"
    if key not in event and "gameTime" in event:  # SoccerNet's first labels have nothing else
        clock = str(event["gameTime"]).rpartition("-")[2]
        time = 1000 * seconds_of(clock, f"{where}.gameTime")
    else:
        time = number_of(event.get(key), f"{where}.{key}", "give milliseconds")
    label = text_of(event.get("label"), f"{where}.label", "name the event")
    found.point(video, label, time / 1000)
