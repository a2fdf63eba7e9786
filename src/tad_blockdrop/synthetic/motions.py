"""The benchmark's action classes: eight motions of one sprite, as poses over time.

A motion maps the share of the action that has passed (0..1) and its number of cycles to a pose
relative to rest. All poses start at rest; all but rise and fall end there, too.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.synthetic import look

Floats = NDArray[np.float64]
Value = Floats | float


class Pose(NamedTuple):
    """Deviation from rest, one value per moment.

    ``dx`` (right) and ``dy`` (down) in sprite sizes, ``rotation`` in radians, ``scale`` a factor.
    """

    dx: Floats
    dy: Floats
    rotation: Floats
    scale: Floats


Motion = Callable[[Floats, int], Pose]


def _pose(
    like: Floats, dx: Value = 0.0, dy: Value = 0.0, rotation: Value = 0.0, scale: Value = 1.0
) -> Pose:
    return Pose(*(np.broadcast_to(value, like.shape) for value in (dx, dy, rotation, scale)))


def _angle(share: Floats, cycles: int) -> Floats:
    return 2 * np.pi * cycles * share


def travel(cycles: int) -> float:
    """Length of a rise or a fall, in sprite sizes."""
    return min(cycles * look.RISE_PER_CYCLE, look.RISE_MOST)


def rise(share: Floats, cycles: int) -> Pose:
    """Steadily up, and stay there."""
    return _pose(share, dy=-travel(cycles) * share)


def fall(share: Floats, cycles: int) -> Pose:
    """Steadily down, and stay there."""
    return _pose(share, dy=travel(cycles) * share)


def shake(share: Floats, cycles: int) -> Pose:
    """Quickly left and right, twice a cycle."""
    return _pose(share, dx=look.SHAKE_AMPLITUDE * np.sin(2 * _angle(share, cycles)))


def spin(share: Floats, cycles: int) -> Pose:
    """Whole turns in place."""
    return _pose(share, rotation=_angle(share, cycles))


def pulse(share: Floats, cycles: int) -> Pose:
    """Larger and smaller."""
    return _pose(share, scale=1 + look.PULSE_AMPLITUDE * np.sin(_angle(share, cycles)))


def orbit(share: Floats, cycles: int) -> Pose:
    """Around a circle, without turning."""
    angle = _angle(share, cycles)
    return _pose(
        share, dx=look.ORBIT_RADIUS * np.sin(angle), dy=look.ORBIT_RADIUS * (np.cos(angle) - 1)
    )


def bounce(share: Floats, cycles: int) -> Pose:
    """Hops: parabolas with a hard landing."""
    hop = (share * cycles) % 1.0
    return _pose(share, dy=-look.BOUNCE_HEIGHT * 4 * hop * (1 - hop))


def rock(share: Floats, cycles: int) -> Pose:
    """Tilts to either side in place, like a pendulum."""
    return _pose(share, rotation=look.ROCK_ANGLE * np.sin(_angle(share, cycles)))


MOTIONS: dict[str, Motion] = {
    motion.__name__: motion for motion in (rise, fall, shake, spin, pulse, orbit, bounce, rock)
}
CLASSES: tuple[str, ...] = tuple(MOTIONS)
"""The class names in their fixed order; a benchmark of n classes takes the first n."""
