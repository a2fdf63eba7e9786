"""Measured costs, as a test can know them."""

import logging
import sys

import pytest

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics import measure
from tad_blockdrop.metrics.cost import count_parameters
from tad_blockdrop.metrics.measure import interleaved, latency, peak_memory
from tad_blockdrop.runtime.runtime import Runtime


def test_calls_take_turns_in_starting():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    interleaved(calls, repeats=3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


@pytest.mark.parametrize(("budget", "turns"), [(0.0, 5), (1e9, 40)])
def test_slow_models_take_fewer_turns(budget, turns, monkeypatch, caplog):
    """Two minutes of a model, but five turns at least; quick ones take as many as are asked for."""
    monkeypatch.setattr(measure, "BUDGET", budget)
    calls = []
    with caplog.at_level(logging.INFO, "tad_blockdrop"):
        interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=40)
    assert len(calls) == 2 * (1 + turns)
    assert ("timing 5 passes of each model instead of 40" in caplog.text) == (turns == 5)
    calls.clear()
    interleaved({"a": lambda: calls.append("a")}, repeats=3)
    assert len(calls) == 1 + 3, "never more than are asked for"


def test_times_are_those_of_the_clock():
    clock, takes = 0.0, iter([9, 9, 1, 2, 3, 1, 1, 3])  # warm-up first; then in turns

    def work():
        nonlocal clock
        clock += next(takes)

    table = interleaved({"a": work, "b": work}, 3, clock=lambda: clock).set_index("model")
    assert table.loc["a"].tolist() == [1, 1, 1]  # median and quartiles of 1, 1, 1
    assert table.loc["b"].tolist() == [3, 2.5, 3]  # of 2, 3, 3


def test_latency_lists_the_models(config, coarse_window):
    models = {str(n): Detector(config, 2, coarse_window, range(n)) for n in (4, 2)}
    table = latency(models, repeats=2)
    assert table.model.tolist() == ["4", "2"]
    assert (table["median"] > 0).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no such count")
def test_peak_memory_grows_with_the_weights(config, coarse_window):
    large = config.model_copy(
        update={"backbone": config.backbone.model_copy(update={"width": 768})}
    )
    weights = 4 * count_parameters(large, 2, coarse_window, range(4))  # bytes, about 100 MB
    peak = peak_memory(large, 2, coarse_window, range(4), Runtime(RuntimeConfig(device="cpu")))
    assert weights < peak < 3 * weights
