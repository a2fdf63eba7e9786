"""Which thresholds detections are cut at and what to expect of them, in sentences for people."""

from tad_blockdrop.config.predict import PredictConfig, Wish
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.decisions import Decisions, Expected, Point
from tad_blockdrop.errors import some
from tad_blockdrop.reporting.numbers import rate_words
from tad_blockdrop.reporting.points import purpose_words

NAMED = 5  # classes, in a sentence


def expectations(checkpoint: Checkpoint, predict: PredictConfig) -> list[str]:
    """Which operating point ``predict`` uses, what it was worth, and what it cannot give."""
    decisions = checkpoint.decisions
    if predict.min_score is not None:
        return [f"Everything with a score of at least {predict.min_score:g} is shown."]
    if decisions is None:
        return [
            "The thresholds are for the best F1, or 0.2. What to expect of them is not known: "
            "the checkpoint is from before that was measured, or was imported."
        ]
    point = decisions.point(predict.wish)
    said = [f"The thresholds are for {purpose_words(Wish(point.purpose, point.asked))}."]
    if point.expected is not None:
        said.append(_expect(point.expected, decisions))
        if _falls_short(point.expected, predict.wish):
            said.append(f"That is less {predict.wish.purpose} than was asked for.")
    if point.unmet:
        said.append(_unmet(point))
    if point.common and len(point.common) < len(checkpoint.classes):
        said.append(
            f"With too few examples for a threshold of their own: {some(point.common, NAMED)}."
        )
    return said


def _expect(expected: Expected, decisions: Decisions) -> str:
    ratio = expected.ratio.value or 0
    sentence = (
        f"Expect a precision of {rate_words(*expected.precision)}, a recall of "
        f"{rate_words(*expected.recall)} and {ratio:.2f} detections for each action, in videos "
        f"such as the {decisions.videos} "
    )
    if decisions.split == "holdout":
        return sentence + (
            f"held-out ones ({decisions.actions} actions) on which this was measured, each with "
            "thresholds chosen on the others."
        )
    return sentence + (
        f"training videos ({decisions.actions} actions) on which this was measured. No videos were "
        "held out, and others will come out worse."
    )


def _falls_short(expected: Expected, wish: Wish) -> bool:
    if wish.asked is None:
        return False
    found = expected.precision if wish.purpose == "precision" else expected.recall
    return (found.value or 0) < wish.asked


def _unmet(point: Point) -> str:
    best = sorted(point.unmet.items(), key=lambda item: item[1])
    classes = [f"{label} ({100 * value:.0f} %)" for label, value in best]
    return f"Out of reach, so the best that can be had is used: {some(classes, NAMED)}."
