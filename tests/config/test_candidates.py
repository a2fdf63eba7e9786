"""Units that may be dropped, as people write them."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from tad_blockdrop.config import CompressConfig


@pytest.mark.parametrize(
    ("given", "unit", "read"),
    [
        (None, "block", None),
        ([0, 3], "block", (0, 3)),
        ("0 3", "block", (0, 3)),
        (3, "block", (3,)),
        ("2.mlp 5.attention", "sublayer", ("2.mlp", "5.attention")),
    ],
)
def test_candidates_are_given_as_a_list_or_as_text(given: Any, unit: str, read: Any) -> None:
    found = {"candidates": given, "unit": unit, "n_drops": 1}
    assert CompressConfig.model_validate(found).candidates == read


@pytest.mark.parametrize(
    ("given", "unit", "reason"),
    [
        ("2.mlp", "block", r"2\.mlp cannot be dropped with compress\.unit: block.*such as 5 "),
        ([1, 2], "mlp", r"1, 2 cannot be dropped .*such as 5\.mlp "),
        (["2.attention"], "mlp", r"2\.attention cannot be dropped"),
        ([2.5], "block", r"2\.5 cannot be dropped"),
        (-1, "block", "-1 cannot be dropped"),
        ("1 1", "block", "names a unit twice"),
        ([], "block", r"n_drops \(1\) is more than the 0"),
        ({"a": 1}, "block", "candidates"),
    ],
)
def test_candidates_that_cannot_be_dropped_are_refused(given: Any, unit: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CompressConfig.model_validate({"candidates": given, "unit": unit, "n_drops": 1})
    assert re.search(reason, str(refused.value), re.MULTILINE)
