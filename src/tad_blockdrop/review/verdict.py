"""Whether a model has got better: by class and by video, and in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import pandas as pd

from tad_blockdrop.detector.checkpoint import Checkpoint, weights_hash
from tad_blockdrop.errors import some
from tad_blockdrop.metrics.average_precision import average_precision
from tad_blockdrop.metrics.bootstrap import bootstrap_difference
from tad_blockdrop.reporting.numbers import number, signed

COLUMNS = ["split", "of", "name", "actions", "before", "after", "change"]
NAMED = 3  # classes and videos that a sentence names
Adopt = Literal["if_not_worse", "always", "never"]


class Outcome(TypedDict):
    """What came of a round, in average mAP (percent) on held-out videos; None without any.

    ``interval``: 95 %, of the change.
    """

    sentence: str
    adopted: bool
    before: float | None
    after: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Rated:
    """The detections (video_id, start, end, label, score) of two models in the same videos.

    ``split``: which videos these are; ``truth``: video_id, start, end (s), label.
    """

    split: str
    videos: Sequence[str]
    truth: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame

    def precision(self, videos: Sequence[str], tious: Sequence[float]) -> pd.DataFrame:
        """Of the classes that ``videos`` show, by label: ``before`` and ``after`` (percent)."""
        inside = {
            name: table[table["video_id"].isin(videos)]
            for name, table in (("before", self.before), ("after", self.after))
        }
        tables = {
            name: average_precision(table, self.truth, videos, tious).groupby("label")["ap"].mean()
            for name, table in inside.items()
        }
        return 100 * pd.DataFrame(tables)

    def interval(
        self, tious: Sequence[float], resamples: int, seed: int
    ) -> tuple[float, float] | None:
        """95 % of the change of average mAP, in points; None with fewer than two videos."""
        if not resamples or len(self.videos) < 2:
            return None
        low, high = bootstrap_difference(
            self.after, self.before, self.truth, self.videos, tious, resamples, seed
        )
        return 100 * low, 100 * high


def comparison(rated: Rated, tious: Sequence[float]) -> pd.DataFrame:
    """Average mAP (percent) over all, by class, and by video; the columns are ``COLUMNS``.

    ``of`` is all, class or video; that of a video is over the classes which it shows, and missing
    where it shows none. ``actions``: how many are true.
    """
    truth = rated.truth[rated.truth["video_id"].isin(rated.videos)]
    classes = rated.precision(rated.videos, tious)
    by_class, by_video = truth["label"].value_counts(), truth["video_id"].value_counts()
    missing = pd.Series({"before": float("nan"), "after": float("nan")})
    rows = [("all", "", len(truth), classes.mean())]
    rows += [("class", str(name), by_class[str(name)], row) for name, row in classes.iterrows()]
    for video in rated.videos:
        shown = video in by_video
        own = rated.precision([video], tious).mean() if shown else missing
        rows.append(("video", video, by_video.get(video, 0), own))
    table = pd.DataFrame(
        [(rated.split, of, name, int(n), *own[["before", "after"]]) for of, name, n, own in rows],
        columns=COLUMNS[:-1],
    )
    return table.assign(change=table["after"] - table["before"])


def judge(
    held_out: pd.DataFrame | None,
    interval: tuple[float, float] | None,
    adopt: Adopt,
    untaught: Sequence[str] = (),
) -> Outcome:
    """Adopt the new model or not, by its ``comparison`` on held-out videos if there are any.

    ``untaught``: the corrected videos that it learned nothing from, which the sentence names.
    """
    nothing = ""
    if untaught:
        named = some(untaught, NAMED)
        nothing = f" Nothing was learned from corrected videos without an action: {named}."
    if held_out is None:
        told = "No held-out video has an action to judge the new model by"
        adopted = adopt == "always"
        return Outcome(
            sentence=f"{told}. {_consequence(adopted, adopt)}.{nothing}", adopted=adopted,
            before=None, after=None, interval=None,
        )  # fmt: skip
    before, after = averages(held_out)
    adopted = adopt == "always" or (adopt == "if_not_worse" and after >= before)
    sure = f", 95 % interval {signed(interval[0])} to {signed(interval[1])}" if interval else ""
    videos = int((held_out["of"] == "video").sum())
    told = (
        f"Average mAP on {videos} held-out video(s): {number(before)} before, {number(after)} now "
        f"({signed(after - before)} points{sure})"
    )
    parts = [told, *_changes(held_out, "class"), *_changes(held_out, "video")]
    return Outcome(
        sentence=f"{'; '.join(parts)}. {_consequence(adopted, adopt)}.{nothing}",
        adopted=adopted, before=before, after=after, interval=interval,
    )  # fmt: skip


def averages(table: pd.DataFrame) -> tuple[float, float]:
    """The average mAP (percent) over all, before and after, of a ``comparison``."""
    before, after = (float(table[name].iloc[0]) for name in ("before", "after"))
    return before, after


def learned_since(final: Checkpoint, reported: Checkpoint) -> str:
    """That the model in use has learned again since the ``reported`` one, or ""."""
    if weights_hash(final.weights) == weights_hash(reported.weights):
        return ""
    words = {"holdout": "held-out", "test": "test"}
    changes = [
        f"from {number(before)} to {number(after)} % on {words[split]} videos"
        for split, (before, after) in final.lineage.get("judged", {}).items()
    ]
    told = f" Its last round changed the average mAP {' and '.join(changes)}." if changes else ""
    return (
        "The model in use (final_checkpoint) is another than the final model of this report: it "
        f"has learned again since.{told} The table learned_comparison compares it with the one "
        "before."
    )


def _changes(table: pd.DataFrame, of: str) -> list[str]:
    """Which classes or videos have gained and lost most."""
    own = table[table["of"] == of].dropna(subset="change").sort_values("change")
    told = []
    for word, rows in (
        ("gained", own[own["change"] > 0][::-1]),
        ("lost", own[own["change"] < 0]),
    ):
        named = [
            f"{name} ({signed(change)})"
            for name, change in zip(rows["name"], rows["change"], strict=True)
        ]
        if named:
            told.append(f"{of} {word}: {some(named, NAMED)}")
    return told


def _consequence(adopted: bool, adopt: Adopt) -> str:
    if adopted:
        return "It is adopted: predict uses it from now on"
    why = "it is worse" if adopt == "if_not_worse" else "learn.adopt is never"
    return (
        f"It is not adopted ({why}): predict goes on with the one before; to look at the new one, "
        "set predict.checkpoint to this experiment's learned_checkpoint"
    )
