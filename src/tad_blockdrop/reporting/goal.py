"""Whether ``compress.target`` was reached, in a sentence."""

from collections.abc import Mapping
from typing import Any

from tad_blockdrop.config import CompressConfig
from tad_blockdrop.config.target import TargetConfig
from tad_blockdrop.reporting.numbers import number

# Of a row of the result table with its costs: the column, and what one unit is there.
_MEASURES = {
    "latency": ("latency_ms", 1.0),
    "gmacs": ("gmacs", 1.0),
    "parameters": ("parameters", 1e6),
    "memory": ("peak_memory_mb", 1.0),
}


def goal_sentence(
    compress: CompressConfig, uncompressed: Mapping[str, Any], final: Mapping[str, Any]
) -> str | None:
    """What was asked for and what the final model has; none without ``compress.target``.

    The models are rows of the result table with their costs.
    """
    target = compress.target
    if target is None:
        return None
    if target.loss is not None:
        return (
            f"The goal was to lose at most {number(target.loss)} points of average mAP on held-out "
            f"videos (compress.target): the loop kept {final['step']} of at most "
            f"{compress.n_drops} drops."
        )
    if target.runtime == "onnx":  # the table of costs has PyTorch's latency
        return "The goal was a latency in ONNX Runtime (compress.target): the log says what it was."
    return _reached(target, uncompressed, final)


def _reached(
    target: TargetConfig, uncompressed: Mapping[str, Any], final: Mapping[str, Any]
) -> str | None:
    column, one = _MEASURES[target.measure]
    before, after = uncompressed[column], final[column]
    if before is None or after is None:
        return None
    goal = target.goal(before / one)
    assert goal is not None  # that is a goal of accuracy
    verdict = "reached" if after / one <= goal else "not reached"
    return (
        f"The goal of at most {number(goal, 2)} {target.unit} a window (compress.target) was "
        f"{verdict}: the final model takes {number(after / one, 2)}{_anew(target)}."
    )


def _anew(target: TargetConfig) -> str:
    """Beside what is counted, what is measured scatters."""
    counted = target.measure in ("gmacs", "parameters")
    return "" if counted else ", measured once more for this report"
