"""Operating points for people: what they promised, and what they gave on the test videos."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tad_blockdrop.config.predict import BEST_F1, Wish
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.metrics.operating_point import TIOU, shown, thresholds
from tad_blockdrop.metrics.rates import rates

REPORTED = [
    BEST_F1,
    Wish("counts"),
    *(Wish(purpose, asked) for purpose in ("precision", "recall") for asked in (0.8, 0.9)),
]
RATES = [
    f"{name}{end}" for name in ("precision", "recall", "ratio") for end in ("", "_low", "_high")
]
COLUMNS = ["purpose", "asked", *(f"expected_{name}" for name in RATES), *RATES]


def point_table(
    checkpoint: Checkpoint,
    detections: pd.DataFrame,
    truth: pd.DataFrame,
    videos: Sequence[str],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """A row for each of ``REPORTED``: what the checkpoint expects of it, and what ``videos`` show.

    Columns: ``COLUMNS``, rates as in ``metrics.rates``; no rows for a checkpoint without decisions.
    """
    if checkpoint.decisions is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = []
    for wish in REPORTED:
        kept = shown(detections, thresholds(checkpoint, wish))
        found = rates(kept, truth, videos, TIOU, resamples, seed).iloc[0]
        expected = checkpoint.decisions.point(wish).expected
        stated: list[float | None] = [None] * len(RATES)
        if expected is not None:
            stated = [*expected.precision, *expected.recall, *expected.ratio]
        rows.append([*wish, *stated, *found[RATES]])
    return pd.DataFrame(rows, columns=COLUMNS)


def point_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page says of each operating point: ``purpose``, and rates as text."""
    rows = []
    for row in table.to_dict("records"):
        wish = Wish(row["purpose"], None if pd.isna(row["asked"]) else row["asked"])
        said = {"purpose": purpose_words(wish)}
        for name in ("precision", "recall"):
            for stem in (name, f"expected_{name}"):
                said[stem] = rate_words(*(row[f"{stem}{end}"] for end in ("", "_low", "_high")))
        said["ratio"] = f"{row['ratio']:.2f}"
        rows.append(said)
    return rows


def purpose_words(wish: Wish) -> str:
    """``the best F1``, ``a precision of at least 90 %``."""
    if wish.asked is not None:
        return f"a {wish.purpose} of at least {100 * wish.asked:g} %"
    return "the best F1" if wish.purpose == "f1" else "right counts"


def rate_words(value: float | None, low: float | None, high: float | None) -> str:
    """``83 % [71, 90]``, with the interval if there is one."""
    if value is None or pd.isna(value):
        return "not known"
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return f"{100 * value:.0f} %"
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
