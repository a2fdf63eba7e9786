"""BORIS projects: the ``.boris`` file, which is JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tad_blockdrop.video.annotations.formats.boris_observation import (
    Change,
    Medium,
    Observation,
    collect,
)
from tad_blockdrop.video.annotations.formats.contract import Collected, Source, mapping, sequence
from tad_blockdrop.video.annotations.formats.writing import LabelledVideo, in_lanes
from tad_blockdrop.video.annotations.table import (
    AnnotationError,
    Annotations,
    given,
    number_of,
    optional_number,
    text_of,
)

_KEYS = "abcdefghijklmnopqrstuvwxyz0123456789"
_PLAYERS = [str(number) for number in range(1, 9)]
_DATE = "2000-01-01T00:00:00"  # the same each time


class Boris:
    """A project as BORIS saves it, format version 7 and before."""

    name = "BORIS project"
    layout = "the .boris file"

    def recognise(self, content: object) -> bool:
        """Whether it is an object with an ethogram and observations."""
        return isinstance(content, Mapping) and {"behaviors_conf", "observations"} <= set(content)

    def read(self, content: Mapping[str, Any], source: Source) -> Annotations:
        """The tables of the observations that have media, as player 1 shows them."""
        ethogram = _ethogram(mapping(content["behaviors_conf"], "behaviors_conf"))
        listed = mapping(content["observations"], "observations")
        found = Collected(source)
        observations = []
        for name, value in listed.items():
            where = f"observations.{name}"
            entry = mapping(value, where)
            events = sequence(entry.get("events", []), f"{where}.events")
            players = _players(entry, where)
            if not players.get("1"):
                found.left_out(*_without_first_player(players), f"'{name}'")
                continue
            others = sum(len(media) for number, media in players.items() if number != "1")
            if others:
                found.left_out(
                    "media of further players, which show what player 1 shows",
                    "to use them, copy the observation and make each of them the first player",
                    f"'{name}'", others,
                )  # fmt: skip
            observation = _observation(str(name), entry, players["1"], where)
            _code(observation, events, ethogram, found, where)
            observations.append(observation)
        if not observations:
            raise AnnotationError(
                "observations", f"none of {len(listed)} has media in player 1",
                "observe video files in BORIS, in its first player",
            )  # fmt: skip
        collect(observations, found)
        return found.annotations(ethogram)

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """One project with an observation for each video; scores stand in the comments."""
        codes = dict.fromkeys(action.label for video in videos for action in video.actions)
        subjects: dict[str, None] = {}
        observations = {}
        for video in videos:
            observations[video.video_id], used = _written(video)
            subjects |= dict.fromkeys(used)
        project = {
            "time_format": "hh:mm:ss",
            "project_date": _DATE,
            "project_name": "detections",
            "project_description": "",
            "project_format_version": "7.0",
            "subjects_conf": {
                str(n): {"key": "", "name": name, "description": ""}
                for n, name in enumerate(filter(None, subjects))
            },
            "behaviors_conf": {str(n): _behaviour(n, code) for n, code in enumerate(codes)},
            "observations": observations,
            "behavioral_categories": [],
            "behavioral_categories_config": {},
            "independent_variables": {},
            "coding_map": {},
            "behaviors_coding_map": [],
            "converters": {},
        }
        return {"predictions.boris": json.dumps(project, indent=1)}


def _ethogram(raw: Mapping[str, Any]) -> dict[str, bool]:
    """By code whether a behaviour is a state; otherwise it is an event without a length."""
    ethogram = {}
    for key, value in raw.items():
        where = f"behaviors_conf.{key}"
        entry = mapping(value, where)
        code = text_of(entry.get("code"), f"{where}.code", "name the behaviour")
        ethogram[code] = "state" in str(entry.get("type", "")).casefold()
    return ethogram


def _players(entry: Mapping[str, Any], where: str) -> dict[str, list[str]]:
    """The paths in each player; projects from before version 4 have a plain list."""
    raw = entry.get("file")
    if str(entry.get("type", "MEDIA")) in ("LIVE", "IMAGES") or not raw:
        return {}
    players = {"1": raw} if isinstance(raw, list) else mapping(raw, f"{where}.file")
    return {
        str(number): [
            text_of(path, f"{where}.file", "give the path of a file")
            for path in sequence(media, f"{where}.file.{number}")
        ]
        for number, media in players.items()
    }


def _without_first_player(players: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Why an observation whose first player is empty is left out, and what to do about it."""
    if any(players.values()):
        return "observations whose media are in further players alone", "move them into player 1"
    return "observations without media (live, or of pictures)", "observe a video file"


def _observation(name: str, entry: Mapping[str, Any], paths: list[str], where: str) -> Observation:
    info = mapping(entry.get("media_info") or {}, f"{where}.media_info")
    facts = {
        key: mapping(info.get(key) or {}, f"{where}.media_info.{key}")
        for key in ("length", "fps", "media_creation_time")
    }
    dated = bool(entry.get("media_creation_date_as_offset"))
    begins = {}
    for path in paths if dated else ():
        begin = facts["media_creation_time"].get(path)
        begins[path] = number_of(begin, f"{where}.media_info.media_creation_time")
    offset = entry.get("time offset")
    return Observation(
        name,
        [
            Medium(
                path,
                optional_number(facts["length"].get(path), f"{where}.media_info.length"),
                optional_number(facts["fps"].get(path), f"{where}.media_info.fps"),
            )
            for path in paths
        ],
        number_of(offset, f"{where}.time offset") if given(offset) else 0.0,
        begins,
    )


def _code(
    observation: Observation,
    events: list[Any],
    ethogram: Mapping[str, bool],
    found: Collected,
    where: str,
) -> None:
    """Put the events into their observation: states paired, others as points."""
    changes: list[Change] = []
    for number, value in enumerate(events):
        here = f"{where}.events[{number}]"
        event = sequence(value, here)
        if len(event) < 3:
            raise AnnotationError(here, f"it has {len(event)} values", "open and save it in BORIS")
        time = number_of(event[0], f"{here}, time", "give seconds")
        subject, modifiers = (str(event[i]) if len(event) > i else "" for i in (1, 3))
        code = text_of(event[2], f"{here}, code", "name the behaviour")
        if code not in ethogram:
            found.left_out("events of behaviours that are not in the ethogram",
                           "add them to it", f"'{observation.name}' ('{code}')")  # fmt: skip
            continue
        observation.subjects.add(subject)
        observation.modified += modifiers.strip() not in ("", "None")
        if ethogram[code]:
            changes.append(((subject, code, modifiers), time, None))
        else:
            observation.points.append((code, time))
    observation.pair(sorted(changes, key=lambda change: change[1]))


def _written(video: LabelledVideo) -> tuple[dict[str, Any], list[str]]:
    """An observation, and the subjects that it uses.

    BORIS pairs the states of one subject, so actions of one class that overlap get several.
    """
    events = []
    subjects = []
    for lane, action in in_lanes(video.actions):
        subject = f"overlap {lane + 1}" if lane else ""
        subjects.append(subject)
        comment = "" if action.score is None else f"{action.score:.4f}"
        start = round(action.start, 3)
        for order, seconds in enumerate((start, max(round(action.end, 3), start + 0.001))):
            frame = round(seconds * video.fps) if video.fps > 0 else "NA"
            events.append(([seconds, subject, action.label, "", comment, frame], order))
    # At one time a state ends before the next begins.
    events.sort(key=lambda event: (event[0][0], event[0][1], event[0][2], -event[1]))
    fps = {video.path: video.fps} if video.fps > 0 else {}
    return {
        "file": {player: [video.path] if player == "1" else [] for player in _PLAYERS},
        "type": "MEDIA",
        "date": _DATE,
        "description": "",
        "time offset": 0.0,
        "events": [event for event, _ in events],
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "media_scan_sampling_duration": 0,
        "image_display_duration": 1,
        "close_behaviors_between_videos": False,
        "media_info": {
            "length": {video.path: round(video.duration, 3)},
            "fps": fps,
            "hasVideo": {video.path: True},
            "hasAudio": {video.path: False},
            "offset": {"1": 0.0},
        },
    }, subjects


def _behaviour(number: int, code: str) -> dict[str, Any]:
    return {
        "type": "State event",
        "key": _KEYS[number] if number < len(_KEYS) else "",
        "code": code,
        "description": "",
        "color": "",
        "category": "",
        "modifiers": {},
        "excluded": "",
        "coding map": "",
    }
