"""Progress: bars in a terminal, log lines elsewhere, and the log file has both."""

import logging
import sys

import pytest

from tad_blockdrop.runtime import progress as module
from tad_blockdrop.runtime.progress import TrainingProgress, progress

LOGGER = "tad_blockdrop.runtime.progress"


def train() -> None:
    """Two epochs of two steps; the second one is rated."""
    with TrainingProgress("test", epochs=2, steps=2, done=0) as shown:
        for epoch in (1, 2):
            for _ in range(2):
                shown.step(loss=0.5, rate=1e-3)
            shown.epoch(epoch, {"total": 0.5} | ({"metric": 25.0} if epoch == 1 else {}))


def pretend_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be called within a test: pytest changes the streams before it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_a_log_line_per_epoch_without_a_terminal(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        train()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("test: epoch 1 of 2, loss 0.5, metric 25, about 00:0")
    assert lines[1] == "test: epoch 2 of 2, loss 0.5, about 00:00 left"
    assert capsys.readouterr().err == ""


def test_a_bar_in_a_terminal_and_what_it_came_to(
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_a_terminal(monkeypatch)
    with caplog.at_level(logging.DEBUG, LOGGER):
        train()
    shown = capsys.readouterr().err
    for text in ("test:", "4/4", "loss=0.5", "lr=0.001", "metric=25"):
        assert text in shown
    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG", "INFO"]
    assert caplog.records[-1].getMessage() == "test: epoch 2 of 2, loss 0.5"


def test_a_training_that_fails_comes_to_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO, LOGGER),
        pytest.raises(RuntimeError),
        TrainingProgress("test", 1, 1, 0),
    ):
        raise RuntimeError
    assert not caplog.records


def test_items_come_through_with_a_line_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0)
    with caplog.at_level(logging.INFO, LOGGER):
        assert list(progress(iter("abc"), "reading", 3)) == ["a", "b", "c"]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in lines] == ["reading: 1 of 3", "reading: 2 of 3"]


def test_items_come_through_beside_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_a_terminal(monkeypatch)
    assert list(progress(iter("abc"), "x\x1b[2J", 3)) == ["a", "b", "c"]
    assert "x\\x1b[2J: " in capsys.readouterr().err
