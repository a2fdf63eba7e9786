"""Log lines that foreign text cannot forge, and outputs that cannot stop a run.

Names of videos, labels and files come from strangers. Whatever is in them must not colour or move
anything in a terminal (control characters, rich's ``[red]``), nor look like a line of its own.
"""

import logging
import os
import sys
import unicodedata
from functools import partial
from typing import Any

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, half a character, line ends


def escape_for_terminal(text: str) -> str:
    """The text with characters that a terminal would obey written out, as ``\\x1b``.

    Line ends stay, with the next line indented, so that it cannot pass for another message.
    """
    return "\n  ".join(map(escape_line, text.split("\n")))


def escape_line(line: str) -> str:
    """A name or line with every character that is not shown as itself written out."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNSEEN else c
        for c in line
    )


class EscapedLines(logging.Filter):
    """Escapes the text of every message, which is then no markup."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; never hold one back."""
        seen = getattr(record, "escaped", False)  # by another handler
        if not seen and not hasattr(record, "rich_format"):  # Kedro's own markup, on catalog names
            record.msg, record.args = escape_for_terminal(record.getMessage()), None
            record.markup, record.escaped = False, True
        return True


def guard_handlers() -> None:
    """Make every handler show escaped lines only, and let none of them disturb the run.

    Kedro lets ``conf/logging.yml`` name no classes but its own.
    """
    # Else a log file on a full disk answers every line with a traceback in the terminal.
    logging.raiseExceptions = False
    for handler in _handlers():
        if not any(isinstance(known, EscapedLines) for known in handler.filters):
            handler.addFilter(EscapedLines())
    for handler in terminal_handlers():
        console: Any = handler.console  # type: ignore[attr-defined]
        console.on_broken_pipe = partial(_fall_silent, console)  # else rich ends the program


def terminal_handlers() -> list[logging.Handler]:
    """Those of rich, that people see; the log file has more."""
    return [handler for handler in _handlers() if hasattr(handler, "console")]


def _handlers() -> list[logging.Handler]:
    return logging.getLogger().handlers + logging.getLogger("kedro").handlers


def _fall_silent(console: Any) -> None:
    """Go on without a reader of the output, as behind ``kedro run | head``."""
    console.quiet = True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # what is still buffered goes there at the end
    os.close(nowhere)
