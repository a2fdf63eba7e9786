"""Measured costs, as a test can know them."""

import sys
import time

import pytest
from torch import nn

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.measure import interleaved, latency, parameters, peak_memory
from tad_blockdrop.runtime.runtime import Runtime


def test_parameters_of_a_linear_layer():
    assert parameters(nn.Linear(5, 3)) == 18


def test_calls_take_turns_in_starting():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    interleaved(calls, repeats=3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_times_are_seconds():
    table = interleaved({"short": lambda: None, "long": lambda: time.sleep(0.02)}, repeats=3)
    table = table.set_index("model")
    assert 0.02 <= table.loc["long", "low"] <= table.loc["long", "median"]
    assert table.loc["short", "median"] < 0.02


def test_latency_lists_the_models(config, coarse_window):
    models = {str(n): Detector(config, 2, coarse_window, range(n)) for n in (4, 2)}
    table = latency(models, repeats=2, batch=2)
    assert table.model.tolist() == ["4", "2"]
    assert (table["median"] > 0).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no such count")
def test_peak_memory_grows_with_the_weights(config, coarse_window):
    large = config.model_copy(
        update={"backbone": config.backbone.model_copy(update={"width": 768})}
    )
    weights = 4 * parameters(Detector(large, 2, coarse_window, range(4)))  # bytes, about 100 MB
    peak = peak_memory(large, coarse_window, 2, range(4), Runtime(RuntimeConfig(device="cpu")))
    assert weights < peak < 3 * weights
