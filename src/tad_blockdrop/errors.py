"""The error whose message is meant for people, and how messages list what is many."""

from collections.abc import Sequence


class BlockDropError(Exception):
    """Base of every expected failure; the command line shows its message without a traceback.

    The message says what is wrong, where, and what to do.
    """

    def __str__(self) -> str:
        """The message, which any terminal and log file can take."""
        return printable(super().__str__())


def printable(text: str) -> str:
    """The text with half characters, which UTF-8 does not have, written out as ``\\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def counted(count: float, one: str) -> str:
    """``1 video``, ``2 videos`` or ``0.5 videos``."""
    return f"{count:g} {one}{'' if count == 1 else 's'}"


def some(names: Sequence[str], most: int) -> str:
    """The first ``most`` names and how many there are besides, as ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_lines(lines: Sequence[str], most: int) -> list[str]:
    """The first ``most`` lines, and one that says how many there are besides, if there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"... and {more} more"] if more > 0 else [])]
