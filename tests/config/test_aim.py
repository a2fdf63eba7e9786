"""What the blocks of a shorter model are held against, where nobody says."""

import pytest
from pydantic import ValidationError

from tad_blockdrop.config import AlignLossConfig, CompressConfig, RepairConfig


@pytest.mark.parametrize(
    ("given", "repaired", "settled"),
    [
        (None, "none", "own"),
        (None, "gap", "next"),
        (None, "all", "next"),
        ("own", "all", "own"),
        ("next", "none", "next"),
    ],
)
def test_a_repair_settles_the_aim_unless_it_is_given(
    given: str | None, repaired: str, settled: str
) -> None:
    compress = CompressConfig(
        loss=AlignLossConfig(aim=given, mid=0.5),  # type: ignore[arg-type]
        repair=RepairConfig(layers=repaired),  # type: ignore[arg-type]
    )
    assert compress.settled_loss == AlignLossConfig(aim=settled, mid=0.5)  # type: ignore[arg-type]


def test_another_aim_is_refused() -> None:
    with pytest.raises(ValidationError, match="'own' or 'next'"):
        AlignLossConfig(aim="last")  # type: ignore[arg-type]
