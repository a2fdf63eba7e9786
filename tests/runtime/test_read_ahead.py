"""The next batch is read beside the work, and nothing is lost or swapped."""

import re
from collections.abc import Iterator

import pytest

from tad_blockdrop.runtime import read_ahead
from tad_blockdrop.runtime.read_ahead import ReadAhead, waiting_advice


class TornError(Exception):
    """What stops a reader."""


def test_the_next_batch_is_read_when_told_and_all_come_in_order() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(4):
            read.append(number)
            yield number

    reader, seen = ReadAhead(numbers()), []
    for number in reader:
        assert read == list(range(number + 1))
        seen.append(number)
        reader.start()
        reader.start()
    assert seen == read == [0, 1, 2, 3]


def test_an_error_of_the_reader_comes_up_where_its_batch_was_due() -> None:
    def numbers() -> Iterator[int]:
        yield 0
        raise TornError

    reader = ReadAhead(numbers())
    assert next(reader) == 0
    reader.start()
    with pytest.raises(TornError):
        next(reader)


def test_the_seconds_that_batches_were_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 10.0, 10.5, 20.0, 20.0])  # asked and there, in turns
    monkeypatch.setattr(read_ahead.time, "perf_counter", lambda: next(clock))
    reader = ReadAhead([1, 2])
    assert list(reader) == [1, 2]
    assert reader.waited == 3.5


@pytest.mark.parametrize(
    ("waited", "workers", "quicker", "advice"),
    [
        (40, 4, "store: x", "40% .* data: set runtime.workers: 7 .now 4. or store: x"),
        (40, 0, "", "40% .* data: set runtime.workers: 2 .now 0."),
        (95, 4, "", "95% .*: set runtime.workers: 16 .now 4."),  # there are no more cores
        (95, 16, "store: x", "95% .* data: set store: x"),
        (95, 16, "", "95% of the time was spent waiting for data"),
    ],
)
def test_what_to_do_about_waiting(
    waited: float, workers: int, quicker: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "cores_here", lambda: 16)
    assert re.fullmatch(advice, waiting_advice(waited, 100.0, workers, quicker) or "")


def test_a_little_waiting_is_not_worth_a_word() -> None:
    assert waiting_advice(50.0, 1000.0, 4, "store: x") is None  # a twentieth
    assert waiting_advice(5.0, 6.0, 4, "store: x") is None  # seconds
