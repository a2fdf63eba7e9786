"""A request to stop is answered once; the next signal finds what was there before."""

import os
import signal

import pytest

from tad_blockdrop.runtime.stop_signals import StopRequest


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_is_for_others(number, capfd) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda sent, _: heard.append(sent))
    try:
        with StopRequest("soon") as stopped:
            assert not stopped()
            signal.raise_signal(number)
            assert stopped()
            assert not heard
            signal.raise_signal(number)
            assert heard == [number]
        signal.raise_signal(number)
        assert heard == [number, number]
    finally:
        signal.signal(number, before)
    assert capfd.readouterr().err.count(f"{number.name}: soon") == 1
