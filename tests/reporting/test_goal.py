"""Tests of tad_blockdrop.reporting.goal."""

import re
from dataclasses import replace

import pytest

from tad_blockdrop.reporting.goal import goal_sentence
from tad_blockdrop.reporting.pages.report import Figures, render_report

BEFORE = {"step": 0, "latency_ms": 10.0, "gmacs": 0.8, "parameters": 2e6, "peak_memory_mb": 9.0}
AFTER = {"step": 2, "latency_ms": 7.5, "gmacs": 0.4, "parameters": 1e6, "peak_memory_mb": 9.0}


def sentence(facts, after=AFTER, **target) -> str | None:
    settings = facts.parameters.compress.model_dump() | {"align": "each", "target": target}
    return goal_sentence(type(facts.parameters.compress).model_validate(settings), BEFORE, after)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"measure": "gmacs", "share": 0.5}, "at most 0.40 GMACs .* was reached: .* takes 0.40.$"),
        ({"measure": "gmacs", "amount": 0.3}, "0.30 GMACs .* was not reached: .* takes 0.40.$"),
        ({"measure": "parameters", "amount": 1.2}, "1.20 M parameters .* reached: .* 1.00.$"),
        ({"measure": "latency", "share": 0.7}, "7.00 ms .* not reached: .* 7.50, measured once"),
        ({"measure": "memory", "share": 0.9}, "8.10 MiB .* not reached: .* 9.00, measured once"),
        ({"loss": 1.0}, "lose at most 1.0 points .* kept 2 of at most"),
        ({"measure": "latency", "share": 0.7, "runtime": "onnx"}, "ONNX Runtime .* the log says"),
    ],
)
def test_what_was_asked_for_and_what_there_is(facts, target, expected) -> None:
    found = sentence(facts, **target)
    assert found is not None
    assert re.search(expected, found)


def test_nothing_is_said_without_a_goal_or_a_measure(facts) -> None:
    assert goal_sentence(facts.parameters.compress, BEFORE, AFTER) is None
    unknown = AFTER | {"peak_memory_mb": None}
    assert sentence(facts, unknown, measure="memory", share=0.9) is None


def test_the_report_says_so(results, costs, scores, facts) -> None:
    settings = facts.parameters.compress.model_dump() | {"align": "each", "target": {"share": 0.6}}
    compress = type(facts.parameters.compress).model_validate(settings)
    asked = replace(facts, parameters=facts.parameters.model_copy(update={"compress": compress}))
    page = render_report(results, costs, scores, asked, Figures())
    assert "The goal of at most 0.48 GMACs a window (compress.target) was reached" in page
