"""Foreign text in log lines, and a log file on a full disk."""

import io
import logging
from pathlib import Path

from kedro.logging import RichHandler
from rich.console import Console

from tad_blockdrop.runtime.logs import EscapedLines, escape_for_terminal

NASTY = "a\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] [/nothing] :smile: \u202egnp\r c\udcff"


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("tad_blockdrop", logging.INFO, "", 0, message, args, None)


def test_control_characters_are_written_out() -> None:
    assert escape_for_terminal("run\x1b[2J\r\x00\u202e\u2028\udcff") == (
        "run\\x1b[2J\\r\\x00\\u202e\\u2028\\udcff"
    )
    assert escape_for_terminal("Weitsprung – 跳远 [1]") == "Weitsprung – 跳远 [1]"


def test_a_name_cannot_pass_for_a_line_of_its_own(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    handler.addFilter(EscapedLines())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(record("skipped %s", "x\nINFO all is well"))
    handler.handle(record(NASTY))
    handler.close()
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["INFO skipped x", "  INFO all is well"]
    assert "\x1b" not in lines[2]
    assert len(lines) == 3


def test_the_terminal_shows_text_and_never_obeys_it() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system=None, width=300)
    handler = RichHandler(console=console)
    handler.addFilter(EscapedLines())
    handler.handle(record("%s is unreadable", NASTY))
    text = shown.getvalue()
    assert "[bold]" in text
    assert ":smile:" in text
    assert "[/nothing]" in text
    assert "\x1b" not in text
