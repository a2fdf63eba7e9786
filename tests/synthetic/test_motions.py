"""The motions as curves: where they start, where they end, what they move."""

import numpy as np
import pytest

from tad_blockdrop.synthetic.motions import CLASSES, MOTIONS, Pose

SHARE = np.linspace(0, 1, 241)
STAYS_AWAY = {"rise", "fall"}
MOVES = {
    "rise": {"dy"},
    "fall": {"dy"},
    "shake": {"dx"},
    "spin": {"rotation"},
    "pulse": {"scale"},
    "orbit": {"dx", "dy"},
    "bounce": {"dy"},
    "rock": {"rotation"},
}


def test_the_order_of_classes_is_fixed() -> None:
    assert CLASSES == ("rise", "fall", "shake", "spin", "pulse", "orbit", "bounce", "rock")


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_starts_at_rest_and_moves_only_what_it_should(label: str, cycles: int) -> None:
    pose = MOTIONS[label](SHARE, cycles)
    rest = Pose(*(np.array(v) for v in (0.0, 0.0, 0.0, 1.0)))
    moving = set()
    for name, values, at_rest in zip(Pose._fields, pose, rest, strict=True):
        assert values.shape == SHARE.shape
        assert values[0] == pytest.approx(at_rest)
        if np.ptp(values) > 0.1:
            moving.add(name)
        else:
            np.testing.assert_allclose(values, at_rest, atol=1e-9)
    assert moving == MOVES[label]


@pytest.mark.parametrize("label", sorted(set(CLASSES) - STAYS_AWAY))
def test_ends_at_rest(label: str) -> None:
    end = [float(values[-1]) for values in MOTIONS[label](SHARE, 3)]
    end[2] %= 2 * np.pi
    end[2] = min(end[2], 2 * np.pi - end[2])
    np.testing.assert_allclose(end, [0, 0, 0, 1], atol=1e-9)


def test_rise_and_fall_are_opposite_and_one_way() -> None:
    rise, fall = MOTIONS["rise"](SHARE, 2).dy, MOTIONS["fall"](SHARE, 2).dy
    assert (np.diff(rise) < 0).all()
    np.testing.assert_allclose(rise, -fall)


def test_cycles_are_counted() -> None:
    hops = MOTIONS["bounce"](SHARE, 4).dy
    landings = np.flatnonzero(np.isclose(hops, 0, atol=1e-9))
    np.testing.assert_allclose(SHARE[landings], [0, 0.25, 0.5, 0.75, 1])
    assert MOTIONS["spin"](SHARE, 4).rotation[-1] == pytest.approx(8 * np.pi)
