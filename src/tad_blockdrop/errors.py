"""The error whose message is meant for people: what is wrong, where, what to do."""


class BlockDropError(Exception):
    """Base of every expected failure; the command line shows its message without a traceback."""

    def __str__(self) -> str:
        """The message, which any terminal and log file can take."""
        return printable(super().__str__())


def printable(text: str) -> str:
    """The text with half characters, which UTF-8 does not have, written out as ``\\ud800``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
