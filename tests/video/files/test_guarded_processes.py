"""Guarded work: results, errors, hangs and deaths each stay with their item."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from guard_clock import GuardClock, hang

from tad_blockdrop.parallel.starting import clean_processes
from tad_blockdrop.video.files.guarded_processes import (
    HEARTBEAT_SECONDS,
    GivenUpError,
    GuardedStream,
    Outcome,
    heartbeat,
    run_guarded,
)


def work(sign: Path, item: int) -> int:
    if item == 13:
        raise ValueError("thirteen")
    if item == 7:
        hang(sign)
    if item == 4:
        os._exit(9)
    return item * item


def test_each_item_has_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = tmp_path / "hangs"
    GuardClock(monkeypatch, 3.0, sign)
    outcomes: dict[int, Outcome[int, int]] = {
        outcome.item: outcome
        for outcome in run_guarded(partial(work, sign), [7, 1, 13, 2, 4, 3], 2, 3.0)
    }
    assert {item: o.result for item, o in outcomes.items() if o.error is None} == {1: 1, 2: 4, 3: 9}
    assert repr(outcomes[13].error) == "ValueError('thirteen')"
    assert isinstance(outcomes[7].error, GivenUpError)
    assert "nothing happened for 3 s" in str(outcomes[7].error)
    assert "exit code 9" in str(outcomes[4].error)
    assert set(outcomes) == {7, 1, 13, 2, 4, 3}


def test_nothing_to_do() -> None:
    assert list(run_guarded(abs, [], 4, 1.0)) == []


def press_ctrl_c(item: int) -> int:
    signal.raise_signal(signal.SIGINT)
    return item


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_ctrl_c_is_heard_by_the_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [outcome.result for outcome in run_guarded(press_ctrl_c, [1], 1, 30.0)] == [1]
    # The server may take a second to start; a Ctrl-C in that time must not be lost.
    monkeypatch.setattr(forkserver, "ensure_running", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        clean_processes()


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


def count_to(item: int, sign: Path | None = None) -> Iterator[tuple[int, int]]:
    for number in range(item):
        if number == 13:
            raise ValueError("thirteen")
        if number == 7 and sign is not None:
            hang(sign)
        if number == 4 and item < 6:
            os._exit(9)
        yield number, os.getpid()


def count_slowly_to(item: int) -> Iterator[int]:
    for number in range(item):
        time.sleep(HEARTBEAT_SECONDS)
        heartbeat()
        time.sleep(HEARTBEAT_SECONDS)
        heartbeat()
        yield number


def test_results_of_a_stream_come_one_by_one_and_failures_stay_with_their_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = tmp_path / "hangs"
    GuardClock(monkeypatch, 2.0, sign)
    with closing(GuardedStream(partial(count_to, sign=sign), 2.0)) as stream:
        first = list(stream(3))
        assert [number for number, _ in first] == [0, 1, 2]
        assert [number for number, _ in stream(4)] == [0, 1, 2, 3]
        died = stream(5)
        assert [next(died)[0] for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(GivenUpError, match="exit code 9"):
            next(died)
        again = list(stream(2))
        assert {process for _, process in again}.isdisjoint(process for _, process in first)
        with pytest.raises(GivenUpError, match="nothing happened for 2 s"):
            list(stream(8))
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
        for child in multiprocessing.active_children():
            child.join()
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


def large(item: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(item):
        yield os.getpid(), bytes(30_000_000)


def test_a_death_while_it_sends_is_a_death() -> None:
    with closing(GuardedStream(large, 30.0)) as stream:
        results = stream(9)
        process, _ = next(results)
        assert stream._worker is not None
        wait([stream._worker.connection])  # it now sends the second, which no pipe can hold
        os.kill(process, signal.SIGKILL)
        with pytest.raises(GivenUpError, match="its process died"):
            list(results)
        assert len(list(stream(2))) == 2


def test_nothing_is_left_running() -> None:
    before = set(multiprocessing.active_children())
    stream = GuardedStream(count_to, 30.0)
    results = stream(3)
    next(results)
    assert set(multiprocessing.active_children()) > before
    stream.close()
    results.close()
    assert set(multiprocessing.active_children()) <= before


class Odd(Exception):  # noqa: N818 - pickling keeps one argument, and two are needed
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def oddly_broken(item: int) -> int:
    raise Odd("first", "second") if item else TypeError(threading.Lock())


def test_errors_that_cannot_travel_keep_their_words() -> None:
    found = {o.item: o.error for o in run_guarded(oddly_broken, [0, 1], 1, 30.0)}
    assert isinstance(found[1], RuntimeError)
    assert str(found[1]) == "Odd: first"
    assert str(found[0]).startswith("TypeError: <unlocked")


def test_a_script_without_its_guard_is_told_what_to_do(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tad_blockdrop.video.files.guarded_processes import run_guarded\n"
        "print(list(run_guarded(abs, [1], 1, 9.0)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "WorkerError: a worker process for videos cannot start" in done.stderr
    assert "__main__" in done.stderr


def test_signs_of_life_and_a_slow_reader_are_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    GuardClock(monkeypatch, 2.0, tmp_path / "never", step=1.5)
    with closing(GuardedStream(count_slowly_to, 2.0)) as stream:
        assert list(stream(2)) == [0, 1]
    clock = GuardClock(monkeypatch, 2.0, tmp_path / "never")
    with closing(GuardedStream(count_slowly_to, 2.0)) as stream:
        found = []
        for number in stream(2):
            clock.now += 3.0
            found.append(number)
        assert found == [0, 1]
