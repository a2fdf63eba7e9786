"""The text of an environment: what is chosen, each with its reason, whatever names come in."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.begin.environment import (
    Setting,
    environment_text,
    merged,
    write_environment,
)
from tad_blockdrop.begin.request import BeginError

values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.lists(st.text(), max_size=8),
)  # fmt: skip


@given(values, st.text())
def test_any_value_and_reason_is_read_back(value: object, reason: str) -> None:
    text = environment_text("head", [Setting("a.b", value, reason), Setting("a.c.d", 1, "one")])
    assert yaml.safe_load(text) == {"a": {"b": value, "c": {"d": 1}}}


def test_reasons_stand_beside_the_values() -> None:
    long = [f"video {k}" for k in range(5)]
    settings = [
        Setting("data.fps", 5.0, "as\nsaid"),
        Setting("data.evaluation_videos", long, "why"),
    ]
    text = environment_text("What it\nis", settings)
    assert "# What it\n# is\n" in text
    assert "  fps: 5.0  # as said\n" in text
    assert "  evaluation_videos:  # why\n  - video 0\n" in text


def test_the_later_of_two_settings_counts() -> None:
    settings = [Setting("a.b", 1, "first"), Setting("a.b", 2, "second")]
    assert merged({"a": {"b": 0, "c": 3}}, settings) == {"a": {"b": 2, "c": 3}}
    assert environment_text("", settings).splitlines()[-2:] == ["a:", "  b: 2  # second"]


def test_a_base_is_left_as_it_is() -> None:
    base: dict[str, object] = {"a": {"b": 0}, "c": {}}
    merged(base, [Setting("a.b", 1, ""), Setting("c.d", 2, "")])
    assert base == {"a": {"b": 0}, "c": {}}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(BeginError, match=r"cannot be written .*permissions"):
        write_environment(tmp_path / "missing/own", {}, "", [])
