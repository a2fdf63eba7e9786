"""What a model gets right and wrong, for people: sentences, tables and places to look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tad_blockdrop.metrics.error_analysis import ERRORS, Analysis, Kind
from tad_blockdrop.metrics.operating_point import TIOU
from tad_blockdrop.reporting.numbers import rate_words

USABLE = 0.5
"""A model or a class of which less is right, or less is found, is said to be of no use."""

WORST = 3  # cases shown of each kind
MOST_SENTENCES = 5
GROUPS = 4  # of actions by length and by density


@dataclass(frozen=True, eq=False)
class Findings:
    """What the final model gets right and wrong on the test videos.

    ``rates`` is the table of ``metrics.rates``, ``times`` that of ``metrics.bouts`` with the edit
    score in its first row, ``points`` that of ``reporting.points``; ``kinds``, ``missed`` and the
    worst ``cases`` are made in this module.
    """

    rates: pd.DataFrame
    kinds: pd.DataFrame
    missed: pd.DataFrame
    cases: Sequence[Mapping[str, Any]]
    times: pd.DataFrame
    points: pd.DataFrame


def case_table(shown: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """A row for each detection shown and each action missed.

    Columns: video_id, start, end, label, score, kind, true_label, true_start, true_end. The latter
    three are of the action that a detection is about; of a missed one, those before are its own.
    """
    truth = analysis.truth.reset_index(drop=True)
    about = truth[["label", "start", "end"]].reindex(analysis.instance).add_prefix("true_")
    columns = ["video_id", "start", "end", "label", "score"]
    cases = shown[columns].reset_index(drop=True).assign(kind=analysis.kind)
    cases = pd.concat([cases, about.reset_index(drop=True)], axis=1)
    missed = truth.loc[~analysis.found, columns[:-1]].assign(
        kind=Kind.MISSED.value, score=np.nan, true_label=None, true_start=np.nan, true_end=np.nan
    )
    parts = [part for part in (cases, missed) if len(part)]
    return pd.concat(parts or [cases], ignore_index=True)


def kind_table(cases: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """How many of ``cases`` are of each kind, and what mending it gives: (kind, count, gain).

    ``gains`` is that of ``error_analysis.mending``; here they are in points, NaN for right ones.
    """
    counts = cases["kind"].value_counts()
    kinds = [Kind.RIGHT.value, *(kind.value for kind in ERRORS)]
    gain = 100 * gains.set_index("kind")["gain"].reindex(kinds)
    table = {"kind": kinds, "count": counts.reindex(kinds, fill_value=0).to_numpy()}
    return pd.DataFrame(table | {"gain": gain.to_numpy()})


def missed_table(analysis: Analysis, videos: pd.DataFrame) -> pd.DataFrame:
    """Missed actions by their length (s) and by how many a minute of their video has.

    ``videos``: video_id, duration (s). Columns: by ("length", "density"), low, high, actions,
    missed; at most four groups of about as many actions each.
    """
    truth, durations = analysis.truth, videos.set_index("video_id")["duration"]
    counts = truth["video_id"].value_counts()
    values = {
        "length": truth["end"] - truth["start"],
        "density": truth["video_id"].map(60 * counts / durations.reindex(counts.index)),
    }
    tables = []
    for by, value in values.items():
        group = pd.qcut(value, GROUPS, labels=False, duplicates="drop").fillna(0)
        rows = pd.DataFrame({"group": group, "value": value, "missed": ~analysis.found})
        grouped = rows.groupby("group").agg(
            low=("value", "min"),
            high=("value", "max"),
            actions=("missed", "size"),
            missed=("missed", "sum"),
        )
        tables.append(grouped.reset_index(drop=True).assign(by=by))
    return pd.concat(tables, ignore_index=True)[["by", "low", "high", "actions", "missed"]]


def worst_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """The surest errors of each kind, and the longest actions that were missed."""
    length = cases["end"] - cases["start"]
    ranked = cases.assign(rank=cases["score"].fillna(length))
    ranked = ranked.sort_values("rank", ascending=False, kind="stable")
    parts = [ranked[ranked["kind"] == kind].head(WORST) for kind in ERRORS]
    return pd.concat(parts, ignore_index=True).drop(columns="rank")


def is_usable(row: Mapping[str, Any]) -> bool:
    """Whether at least half of what is shown is right, and half of what happens is found."""
    wrong = row["shown"] and row["right"] < USABLE * row["shown"]
    return not wrong and row["right"] >= USABLE * row["actions"]


def verdict(row: Mapping[str, Any]) -> str:
    """``Of 22 detections of ‘falling’ one was right; of 9 such actions one was found``."""
    what = "" if pd.isna(row["label"]) else f" of ‘{row['label']}’"
    if row["shown"]:
        right, found = _was(row["right"], "right"), _was(row["right"], "found")
        such = " such" if what else ""
        actions = f"; of {_counted(row['actions'], such + ' action')} {found}"
        first = f"Of {_counted(row['shown'], ' detection')}{what} {right}"
        return first + (actions if row["actions"] else "; it does not happen there")
    return f"Nothing is shown{what}: of {_counted(row['actions'], ' action')} none was found"


def warnings(rates: pd.DataFrame) -> list[str]:
    """A sentence for each class that is of no use, those with the most errors first."""
    rows = [row for row in _rows(rates)[1:] if not is_usable(row)]
    rows.sort(key=lambda row: 2 * row["right"] - row["shown"] - row["actions"])
    said = [f"{verdict(row)}." for row in rows[:MOST_SENTENCES]]
    more = len(rows) - len(said)
    return said + ([f"The same holds for {_counted(more, ' more class')}."] if more else [])


def share(row: Mapping[str, Any], name: str) -> str:
    """``83 % [71, 90]``: precision or recall, with the interval if there is one."""
    return rate_words(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))


def _counted(n: int, what: str) -> str:
    many = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{n}{what if n == 1 else many}"


def _was(n: int, what: str) -> str:
    return f"{('none', 'one')[n] if n < 2 else n} {'was' if n < 2 else 'were'} {what}"


def describe_cases(cases: pd.DataFrame, videos: pd.DataFrame) -> list[dict[str, Any]]:
    """What the page says of cases: kind, said, video, score, and ``link``, which plays it or is "".

    ``videos``: video_id and path.
    """
    pairs = zip(videos["video_id"], videos["path"], strict=True)
    files = {video: Path(path).absolute().as_uri() for video, path in pairs}
    rows = []
    for row in _rows(cases):
        said = f"{row['label']} {_span(row['start'], row['end'])}"
        if row["kind"] == Kind.MISSED:
            said = f"missed: {said}"
        elif not pd.isna(row["true_start"]):
            truly = f"{row['true_label']} {_span(row['true_start'], row['true_end'])}"
            said += f"; in truth {truly}"
        file = files.get(row["video_id"], "")
        begin = max(0.0, row["start"] - 1)  # a second before, to see it come
        link = f"{file}#t={begin:.2f},{row['end'] + 1:.2f}" if file else ""
        score = None if pd.isna(row["score"]) else row["score"]
        case = {"kind": row["kind"], "said": said, "video": row["video_id"]}
        rows.append(case | {"score": score, "link": link})
    return rows


def _span(start: float, end: float) -> str:
    return f"{start:.1f}–{end:.1f} s"


def summary(rates: pd.DataFrame) -> dict[str, Any]:
    """What the page says of all classes together.

    ``usable``; ``verdict`` as in ``verdict``; ``precision`` and ``recall`` with their intervals,
    ``shown`` and ``actions`` as numbers; ``tiou``: from which overlap on a detection is right.
    """
    row = _rows(rates)[0]
    rated = {name: share(row, name) for name in ("precision", "recall")}
    counts = {name: int(row[name]) for name in ("shown", "actions")}
    return rated | counts | {"usable": is_usable(row), "verdict": verdict(row), "tiou": TIOU}


def class_rows(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """The rates of each class, precision and recall as text."""
    text = {name: [share(row, name) for row in _rows(rates)] for name in ("precision", "recall")}
    return _rows(rates.assign(**text))[1:]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
