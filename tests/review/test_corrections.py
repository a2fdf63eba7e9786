"""What is true after corrections: the rules, and whatever does not fit them."""

import pytest
from pydantic import ValidationError

from tad_blockdrop.review.corrections import Edit, Entry, Finish, Judge, Segment, replay

RUN = Segment(label="run", start=1, end=2)
LATER = Segment(label="run", start=1, end=2.5)
JUMP = Segment(label="jump", start=1, end=2)


def entries(*acts):
    """Entries of one video; an act is a list of changes, or the number of an entry to undo."""
    return [
        Entry(
            video="v", number=number, time="", who="ann", model="", predictions="",
            **({"undoes": act} if isinstance(act, int) else {"changes": act}),
        )
        for number, act in enumerate(acts, 1)
    ]  # fmt: skip


def true_after(annotated, *acts):
    return list(replay(annotated, entries(*acts)).segments)


def test_a_detection_is_accepted_corrected_or_rejected():
    assert true_after([], [Judge(detection=RUN, truth=RUN)]) == [RUN]
    assert true_after([], [Judge(detection=RUN, truth=LATER)]) == [LATER]
    assert true_after([], [Judge(detection=RUN, truth=None)]) == []
    assert true_after([LATER], [Judge(detection=RUN, truth=LATER)]) == [LATER]


def test_what_is_true_is_moved_named_added_and_deleted():
    acts = (
        [Edit(before=RUN, after=LATER)],
        [Edit(before=LATER, after=JUMP)],
        [Edit(before=None, after=RUN)],
        [Edit(before=JUMP, after=None), Finish(finished=True)],
    )
    assert true_after([RUN], *acts) == [RUN]
    assert replay([RUN], entries(*acts)).finished


def test_undoing_takes_a_whole_act_back():
    act = [Judge(detection=RUN, truth=RUN), Edit(before=None, after=JUMP), Finish(finished=True)]
    truth = replay([LATER], entries(act, 1))
    assert (list(truth.segments), truth.judged, truth.finished) == ([LATER], {}, False)


@pytest.mark.parametrize(
    ("acts", "told"),
    [
        (([Judge(detection=RUN, truth=RUN)], [Judge(detection=RUN, truth=None)]), "judged before"),
        (([Edit(before=RUN, after=LATER)], [Edit(before=RUN, after=None)]), "any more"),
        (([Edit(before=None, after=JUMP)], [Edit(before=None, after=JUMP)]), "already"),
        (([Edit(before=None, after=JUMP)], [Edit(before=JUMP, after=None)], 1), "any more"),
    ],
)
def test_a_change_that_does_not_fit_is_told_and_counts_for_nothing(acts, told):
    truth = replay([RUN], entries(*acts))
    [sentence] = truth.conflicts
    assert sentence.startswith("correction 2 by ann: ")
    assert told in sentence
    assert list(truth.segments) == list(replay([RUN], entries(acts[0], *acts[2:])).segments)


def test_overlapping_segments_of_one_class_are_kept_and_told():
    truth = replay([RUN, JUMP], entries([Edit(before=None, after=LATER)]))
    assert set(truth.segments) == {RUN, JUMP, LATER}
    assert truth.overlaps() == [
        "'run' from 1 to 2 s and 'run' from 1 to 2.5 s overlap; both are kept"
    ]


def test_times_are_kept_to_the_millisecond():
    assert Segment(label="run", start=1.0004, end=2.0) == Segment(label="run", start=1, end=2)
    with pytest.raises(ValidationError, match="ends at"):
        Segment(label="run", start=1.0001, end=1.0002)
    with pytest.raises(ValidationError, match="changes nothing"):
        Edit(before=RUN, after=RUN)
