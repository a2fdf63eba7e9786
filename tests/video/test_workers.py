"""Guarded work: results, errors, hangs and deaths each stay with their item."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tad_blockdrop.video.workers import GivenUpError, GuardedStream, Outcome, alive, run_guarded


def work(item: int) -> int:
    if item == 13:
        raise ValueError("thirteen")
    if item == 7:
        time.sleep(600)
    if item == 4:
        os._exit(9)
    return item * item


def test_each_item_has_its_outcome() -> None:
    start = time.monotonic()
    outcomes: dict[int, Outcome[int, int]] = {
        outcome.item: outcome for outcome in run_guarded(work, [7, 1, 13, 2, 4, 3], 2, 3.0)
    }
    assert time.monotonic() - start < 120  # not ten minutes
    assert {item: o.result for item, o in outcomes.items() if o.error is None} == {1: 1, 2: 4, 3: 9}
    assert repr(outcomes[13].error) == "ValueError('thirteen')"
    assert isinstance(outcomes[7].error, GivenUpError)
    assert "nothing happened for 3 s" in str(outcomes[7].error)
    assert "exit code 9" in str(outcomes[4].error)
    assert set(outcomes) == {7, 1, 13, 2, 4, 3}


def test_nothing_to_do() -> None:
    assert list(run_guarded(work, [], 4, 1.0)) == []


def test_processes_end_with_the_caller() -> None:
    outcomes = run_guarded(process_id, range(9), 1, 30.0)
    process = next(outcomes).result
    assert process is not None
    os.kill(process, 0)
    outcomes.close()  # as when a loop over them is left
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def process_id(item: int) -> int:
    return os.getpid()


def count_to(item: int) -> Iterator[tuple[int, int]]:
    for number in range(item):
        if number == 13:
            raise ValueError("thirteen")
        if number == 7:
            time.sleep(600)
        if number == 4 and item < 6:
            os._exit(9)
        yield number, os.getpid()


def slow_but_alive(item: int) -> Iterator[int]:
    for _ in range(12):
        time.sleep(0.25)
        alive()
    yield item


def test_results_of_a_stream_come_one_by_one_and_failures_stay_with_their_item() -> None:
    with closing(GuardedStream(count_to, 2.0)) as stream:
        first = list(stream(3))
        assert [number for number, _ in first] == [0, 1, 2]
        assert [number for number, _ in stream(4)] == [0, 1, 2, 3]
        died = stream(5)
        assert [next(died)[0] for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(GivenUpError, match="exit code 9"):
            next(died)
        again = list(stream(2))
        assert {process for _, process in again}.isdisjoint(process for _, process in first)
        start = time.monotonic()
        with pytest.raises(GivenUpError, match="nothing happened for 2 s"):
            list(stream(8))
        assert time.monotonic() - start < 60
        assert [number for number, _ in stream(1)] == [0]


def test_errors_of_a_stream_are_raised_and_its_process_stays() -> None:
    with closing(GuardedStream(broken_after_one, 30.0)) as stream:
        results = stream(1)
        process = next(results)
        with pytest.raises(ValueError, match="broken"):
            next(results)
        assert next(stream(2)) == process


def test_a_process_that_died_in_between_is_told() -> None:
    with closing(GuardedStream(count_to, 30.0)) as stream:
        ((_, process),) = stream(1)
        os.kill(process, signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(GivenUpError, match="its process died"):
            list(stream(1))
        assert len(list(stream(2))) == 2


def broken_after_one(item: int) -> Iterator[int]:
    yield os.getpid()
    raise ValueError("broken")


def test_a_stream_that_is_left_early_does_not_spoil_the_next() -> None:
    with closing(GuardedStream(count_to, 30.0)) as stream:
        results = stream(3)
        process = next(results)[1]
        results.close()
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        assert [number for number, _ in stream(2)] == [0, 1]


def test_signs_of_life_and_a_slow_reader_are_no_hang() -> None:
    with closing(GuardedStream(slow_but_alive, 1.0)) as stream:
        assert list(stream(5)) == [5]
    with closing(GuardedStream(count_to, 1.0)) as stream:
        found = []
        for number, _ in stream(3):
            time.sleep(1.5)
            found.append(number)
        assert found == [0, 1, 2]
