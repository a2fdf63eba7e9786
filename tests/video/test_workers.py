"""Guarded work: results, errors, hangs and deaths each stay with their item."""

import os
import time

import pytest

from tad_blockdrop.video.workers import GivenUpError, Outcome, run_guarded


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
