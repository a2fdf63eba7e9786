"""Detections are decided while a video goes on as soft-NMS decides over the whole of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.config import PostprocessConfig
from tad_blockdrop.detections.postprocess import Proposals, concatenate, overlaps, suppress
from tad_blockdrop.prediction.live.settling import Settler

LIMIT = 0.3
CONFIG = PostprocessConfig(min_score=0.99 * LIMIT, max_detections=10_000)
VOTING = CONFIG.model_copy(update={"min_score": 0.01, "voting_tiou": 0.5})


def proposals(*rows: tuple[float, float, float, int]) -> Proposals:
    """Of (start, end, score, label)."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Proposals(
        table[:, :2], table[:, 2].astype(np.float32), table[:, 3].astype(np.int64),
        np.zeros(len(table), np.int64),
    )  # fmt: skip


def whole(found: Proposals, config: PostprocessConfig) -> Proposals:
    kept = suppress(found, config)
    return kept[kept.scores >= LIMIT]


def settler(config: PostprocessConfig = CONFIG) -> Settler:
    return Settler(config, np.full(3, LIMIT), memory=1000.0)


def rows(found: Proposals) -> list[tuple[float, ...]]:
    table = zip(found.segments.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    return sorted((label, *segment, score) for segment, score, label in table)


# In windows of 10 seconds, one each 5: what is proposed lies inside its window.
INSIDE = st.lists(
    st.tuples(
        st.integers(0, 12), st.floats(0, 9), st.floats(0.05, 6), st.floats(0.02, 0.98),
        st.integers(0, 2),
    ),
    max_size=40,
)  # fmt: skip


@given(INSIDE)
@pytest.mark.parametrize("config", [CONFIG, VOTING], ids=["soft-NMS", "voting"])
def test_what_is_decided_is_that_of_the_whole_video(config, drawn) -> None:
    windows: dict[int, list[tuple[float, float, float, int]]] = {n: [] for n in range(13)}
    for number, start, length, score, label in drawn:
        begin = 5.0 * number + start
        kind = 0 if config.voting_tiou else label  # voting is for models of one class
        windows[number].append((begin, min(begin + length, 5.0 * number + 10), score, kind))
    live, decided = settler(config), []
    for number, own in windows.items():
        live.add(proposals(*own))
        decided.append(live.settle(complete=5.0 * (number + 1), deadline=-math.inf))
    decided.append(live.finish(1000.0))
    expected = whole(proposals(*(row for own in windows.values() for row in own)), config)
    found = rows(concatenate(decided))
    np.testing.assert_allclose(found, rows(expected), rtol=1e-6)
    assert live.early == live.late == 0


def test_a_group_waits_for_its_last_proposal() -> None:
    live = settler()
    live.add(proposals((0, 4, 0.8, 0), (3, 7, 0.9, 0), (0, 4, 0.8, 1)))
    assert rows(live.settle(complete=5, deadline=-math.inf)) == [
        (1, 0, 4, pytest.approx(0.8)),
    ]
    assert [row[:3] for row in rows(live.settle(complete=7, deadline=-math.inf))] == [
        (0, 0, 4), (0, 3, 7),
    ]  # fmt: skip


def test_at_its_deadline_a_detection_is_decided_and_stays() -> None:
    """The stronger one that comes later decays, as if the other had been picked first."""
    live = settler()
    live.add(proposals((0, 4, 0.8, 0), (3, 9, 0.7, 0)))
    [first] = rows(live.settle(complete=2, deadline=4))
    assert first == (0, 0, 4, pytest.approx(0.8))
    assert (live.early, live.late) == (1, 0)
    live.add(proposals((2, 8, 0.9, 0)))
    assert live.late == 1
    rest = rows(live.finish(100))
    [tiou] = overlaps(np.array([[2, 8]]), np.array([[0, 4]]))[0]
    assert rest[0] == (0, 2, 8, pytest.approx(0.9 * math.exp(-(tiou**2) / CONFIG.sigma)))
    assert first not in rest


def test_what_ends_before_the_deadline_comes_too_late() -> None:
    live = settler()
    assert rows(live.settle(complete=0, deadline=10)) == []
    live.add(proposals((5, 9, 0.9, 0), (5, 11, 0.9, 0)))
    assert live.late == 1
    assert [row[:3] for row in rows(live.finish(100))] == [(0, 5, 11)]


def test_the_end_of_the_video_cuts_what_reaches_beyond() -> None:
    live = settler()
    live.add(proposals((5, 12, 0.9, 0), (11, 12, 0.9, 1)))
    assert rows(live.finish(10)) == [(0, 5, 10, pytest.approx(0.9))]


def test_what_was_decided_long_ago_is_forgotten() -> None:
    live = Settler(CONFIG, np.full(3, LIMIT), memory=20.0)
    for second in range(0, 10_000, 10):
        live.add(proposals((second, second + 5, 0.9, 0)))
        assert len(live.settle(complete=second + 6, deadline=-math.inf)) == 1
        assert len(live._decided) <= 4
        assert len(live._waiting) == 0


def test_days_later_the_same_is_decided() -> None:
    """Soft-NMS computes in float32, where a second of the tenth day has few digits."""
    found = [(0.0, 4.0, 0.8, 0), (0.3, 4.4, 0.75, 0), (0.9, 5.1, 0.7, 0)]
    early, late = settler(), settler()
    early.add(proposals(*found))
    shift = 1024.0 * 1000
    late.add(proposals(*((start + shift, end + shift, *rest) for start, end, *rest in found)))
    for now, then in zip(rows(early.finish(10)), rows(late.finish(math.inf)), strict=True):
        assert now[3] == pytest.approx(then[3], rel=1e-6)
