"""Pages on which videos play above their timelines: as many as it takes, each of a bounded size.

The videos in which the model is least sure come first. A page is opened as a file, and then keeps
corrections in the browser until they are downloaded, or it is served (``review.server``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tad_blockdrop.reporting.pages.rendering import records, render
from tad_blockdrop.reporting.style import colour_of, pattern_of
from tad_blockdrop.review.corrections import Entry
from tad_blockdrop.review.merging import segment_of
from tad_blockdrop.review.predictions import Predictions, doubts
from tad_blockdrop.video.files.listing import file_name

FIRST_PAGE = "predictions.html"
VIDEOS_PER_PAGE = 100
SEGMENTS_PER_PAGE = 5000  # of a video with more detections the strongest are shown
SKIPPED_SHOWN = 200


@dataclass(frozen=True)
class Place:
    """Where pages are opened, and how they reach videos and corrections.

    ``source``: the address of a video's file by its row of ``Predictions.videos``, or "" if there
    is none. ``entries``: the corrections of a video so far, by key and content. ``facts``: what the
    page's script needs to know else: ``served``, and by what ``predictions`` are told from others.
    """

    source: Callable[[dict[str, Any]], str]
    entries: Callable[[str, str | None], Sequence[Entry]]
    facts: dict[str, Any]


class ReviewPages:
    """The pages by file name, ``FIRST_PAGE`` first; each is made when it is asked for."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions
        table = predictions.videos[predictions.videos["problem"].isna()]
        doubt = doubts(predictions.detections, table, predictions.model)
        table = table.assign(doubt=doubt).sort_values(
            ["doubt", "video_id"], ascending=[False, True], kind="stable"
        )
        self._groups = {
            video: predictions.detections.iloc[places]
            for video, places in predictions.detections.groupby("video_id").indices.items()
        }
        self._parts = self._divided(records(table))
        self.names = [
            FIRST_PAGE, *(f"predictions_{n}.html" for n in range(2, len(self._parts) + 1))
        ]  # fmt: skip

    def page(self, name: str, place: Place) -> str:
        """The text of one of the ``names``."""
        number = self.names.index(name)
        shown = self._parts[number]
        problems = self.predictions.videos["problem"]
        skipped = records(self.predictions.videos[problems.notna()])
        values = {
            "subtitle": self.predictions.model["title"],
            "expected": self.predictions.model.get("expected", []),
            "found": len(self.predictions.detections),
            "videos": int(problems.isna().sum()),
            "pages": self.names if len(self.names) > 1 else [],
            "page": name,
            "skipped": skipped[:SKIPPED_SHOWN] if number == 0 else [],
            "more_skipped": len(skipped) - SKIPPED_SHOWN,
            "served": place.facts["served"],
            "data": place.facts
            | {
                "model": self.predictions.model["weights"],
                "classes": self._classes(),
                "videos": [self._video(row, place) for row in shown],
            },
        }
        return render("predictions.html.j2", values)

    def _divided(self, rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """The videos of each page."""
        parts: list[list[dict[str, Any]]] = [[]]
        room = SEGMENTS_PER_PAGE
        for row in rows:
            own = min(len(self._groups.get(row["video_id"], ())), SEGMENTS_PER_PAGE)
            if parts[-1] and (len(parts[-1]) == VIDEOS_PER_PAGE or own > room):
                parts.append([])
                room = SEGMENTS_PER_PAGE
            parts[-1].append(row)
            room -= own
        return parts

    def _classes(self) -> list[dict[str, Any]]:
        """The model's classes, then those that only the annotations have: name, look, threshold."""
        model = self.predictions.model
        labels = {row[0] for known in self.predictions.truth.values() for row in known["actions"]}
        return [
            {
                "name": label,
                "colour": colour_of(kind),
                "pattern": pattern_of(kind),
                "threshold": model["thresholds"].get(label, 0.0),
            }
            for kind, label in enumerate(
                [*model["classes"], *sorted(labels.difference(model["classes"]))]
            )
        ]

    def _video(self, row: dict[str, Any], place: Place) -> dict[str, Any]:
        """What the page's script knows of a video."""
        own = self._groups.get(row["video_id"], self.predictions.detections.head(0))
        shown = own.nlargest(SEGMENTS_PER_PAGE, "score") if len(own) > SEGMENTS_PER_PAGE else own
        known = self.predictions.truth.get(row["video_id"])
        key = self.predictions.key(row["video_id"])
        numbers = [name for name in ("score", "probability") if name in shown]
        # Corrections name a detection by its label and times: of several alike one is shown.
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for one in records(shown.sort_values("score", ascending=False)):
            segment = _stated(one["label"], one["start"], one["end"])
            scores = {name: round(one[name], 4) for name in numbers}
            found.setdefault(tuple(segment.values()), segment | scores)
        return {
            "id": row["video_id"],
            "key": key,
            "path": row["path"],
            "source": place.source(row),
            "duration": row["duration"],
            "start": row["start"],
            "fps": row["fps"],
            "doubt": round(row["doubt"], 3),
            "strongest": round(row["strongest"], 4),
            "left": len(own) - len(shown),
            "annotated": known is not None,
            "truth": [_stated(*action) for action in known["actions"]] if known else [],
            "found": sorted(found.values(), key=lambda one: (one["start"], one["end"])),
            "entries": stated_entries(place.entries(key, row.get("content"))),
        }


def stated_entries(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """What the page's script knows of corrections."""
    return [
        {"number": entry.number, **entry.model_dump(mode="json", include={"changes"})}
        for entry in entries
    ]


def _stated(label: str, start: float, end: float) -> dict[str, Any]:
    """A segment as corrections state it."""
    segment = segment_of(label, start, end)
    return segment.model_dump() if segment else {"label": label, "start": start, "end": end}


def file_pages(predictions: Predictions, copies: Path) -> dict[str, str]:
    """All pages by file name, as files that play the videos from where they are.

    ``copies``: the folder of the small copies of videos that browsers do not play.
    """
    pages = ReviewPages(predictions)
    seen = hashlib.sha256(predictions.model["weights"].encode())
    seen.update(predictions.detections.to_csv(index=False).encode())
    contents = predictions.videos.get("content")
    seen.update(b"" if contents is None else contents.to_csv(index=False).encode())

    def source(row: dict[str, Any]) -> str:
        file = playable_file(row, copies)
        return file.absolute().as_uri() if file else ""

    facts = {"served": False, "predictions": seen.hexdigest()}
    place = Place(source, lambda *_: (), facts)
    return {name: pages.page(name, place) for name in pages.names}


def playable_file(row: dict[str, Any], copies: Path) -> Path | None:
    """The file of a video that browsers play: its own, or the small copy in ``copies``."""
    if row["plays"]:
        return Path(row["path"])
    copy = copies / file_name(row["video_id"], ".mp4")
    return copy if copy.is_file() else None
