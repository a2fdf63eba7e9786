"""The next batch is read beside the work, and nothing is lost or swapped."""

from collections.abc import Iterator

import pytest

from tad_blockdrop.runtime.read_ahead import ReadAhead


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
