"""What people read about a criterion."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CriterionWords:
    """A criterion in words.

    ``larger_is_better``: whether the block with the largest score is dropped. ``title`` says what
    the score is, short enough for an axis; ``explanation`` is one sentence.
    """

    name: str
    larger_is_better: bool
    title: str
    explanation: str


_WORDS = (
    CriterionWords(
        "train_map",
        True,
        "mAP without the block, %",
        "The mAP on training videos without the block; the block with the highest is dropped.",
    ),
    CriterionWords(
        "train_loss",
        False,
        "loss without the block",
        "The loss on training videos without the block; the block with the lowest is dropped.",
    ),
    CriterionWords(
        "block_mse",
        False,
        "change of the block's input",
        "How much the block changes its input (mean squared error); the block with the lowest is "
        "dropped.",
    ),
)


def criterion_words(name: str) -> CriterionWords:
    """The words of the criterion called ``name``. Raises ``KeyError`` for an unknown one."""
    return {words.name: words for words in _WORDS}[name]
