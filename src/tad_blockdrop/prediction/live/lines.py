"""The lines that are written of a source, one for each thing that happened."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Event = Literal["began", "detection", "lost", "back", "ended"]

COLUMNS = ("event", "time", "start", "end", "label", "score", "probability", "delay", "note")


@dataclass(frozen=True)
class Line:
    """An ``event`` at second ``start`` of the source; ``time``: the same, s since the epoch.

    Of detections also ``end`` (s), ``label``, ``score``, ``probability`` if the model has a
    calibration, and ``delay``: the seconds that the source had gone on after ``end`` when the line
    was written.
    """

    event: Event
    time: float | None
    start: float
    end: float | None = None
    label: str | None = None
    score: float | None = None
    probability: float | None = None
    delay: float | None = None
    note: str | None = None

    def row(self) -> dict[str, Any]:
        """By the names of ``COLUMNS``, rounded, without what is not known."""
        shown = {name: getattr(self, name) for name in COLUMNS}
        if self.time is not None:
            moment = datetime.fromtimestamp(self.time, UTC)
            shown["time"] = moment.isoformat(timespec="milliseconds")
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in shown.items()
            if value is not None
        }
