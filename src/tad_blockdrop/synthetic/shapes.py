"""Sprite shapes as distance functions: negative inside, in units of the sprite's size.

None is a disc: a turn of any of them changes the picture. ``x`` points right, ``y`` down.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Shape = Callable[[Field, Field], Field]


def _box(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    wide, high = np.float32(half_width), np.float32(half_height)
    edge: Field = np.maximum(np.abs(x) - wide, np.abs(y) - high)
    return edge


def bar(x: Field, y: Field) -> Field:
    """A long box."""
    return _box(x, y, 0.5, 0.21)


def cross(x: Field, y: Field) -> Field:
    """Two crossed boxes."""
    either: Field = np.minimum(_box(x, y, 0.5, 0.16), _box(x, y, 0.16, 0.5))
    return either


def triangle(x: Field, y: Field) -> Field:
    """A triangle that points up."""
    side = np.float32(0.866) * np.abs(x) - np.float32(0.5) * y
    edge: Field = np.maximum(side - np.float32(0.25), y - np.float32(0.35))
    return edge


def half_disc(x: Field, y: Field) -> Field:
    """The lower half of a disc, centred."""
    low = y + np.float32(0.22)
    edge: Field = np.maximum(np.sqrt(x * x + low * low) - np.float32(0.52), -low)
    return edge


def ell(x: Field, y: Field) -> Field:
    """The letter L."""
    upright = _box(x + np.float32(0.22), y, 0.18, 0.46)
    either: Field = np.minimum(upright, _box(x, y - np.float32(0.28), 0.4, 0.18))
    return either


SHAPES: tuple[Shape, ...] = (bar, cross, triangle, half_disc, ell)
