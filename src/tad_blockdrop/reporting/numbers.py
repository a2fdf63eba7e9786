"""How tables, figures and pages write numbers and settings for people."""

import math

BLANK = "–"  # where there is no value


def number(value: float | None, digits: int = 1, sign: str = "") -> str:
    """``71.3``, with a true minus sign, or a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return BLANK
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """``+0.3``, ``−0.2``, and ``0.0`` for what rounds to nothing."""
    nothing = value is not None and math.isfinite(value) and round(value, digits) == 0
    return number(0 if nothing else value, digits, sign="" if nothing else "+")


def rate_words(value: float | None, low: float | None, high: float | None) -> str:
    """``83 % [71, 90]``: a share, 0 to 1, with its interval if there is one.

    One without any width says nothing: older versions wrote it where all draws were the same.
    """
    if value is None or math.isnan(value):
        return "not known"
    if low is None or high is None or math.isnan(low) or math.isnan(high) or low == high:
        return f"{100 * value:.0f} %"
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def short(value: float | None) -> str:
    """A score of unknown size: ``63.81``, ``0.00117``, or a dash where there is none."""
    if value is None:
        return BLANK
    return (f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}").replace("-", "−")


def unit(value: float | str | None) -> str:
    """A dropped block or sub-layer: ``5``, ``5.attention``, or a dash where there is none."""
    return value if isinstance(value, str) else number(value, 0)


def as_yaml(value: object) -> str:
    """A parameter's value as YAML has it: ``null``, ``true``, ``[0.3, 0.7]``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    return str(value)
