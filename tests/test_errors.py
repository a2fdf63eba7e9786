"""How messages list what is many."""

import pytest

from tad_blockdrop.errors import first_lines, some


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (("a", "b", "c"), "a, b and 1 more"),
        (list("abcde"), "a, b and 3 more"),
    ],
)
def test_the_first_names_and_how_many_more(names: list[str], expected: str) -> None:
    assert some(names, 2) == expected


def test_the_first_lines_and_how_many_more() -> None:
    assert first_lines([], 2) == []
    assert first_lines(("a", "b"), 2) == ["a", "b"]
    assert first_lines(["a", "b", "c", "d"], 2) == ["a", "b", "... and 2 more"]
