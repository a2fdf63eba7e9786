"""The plan of one synthetic video: what moves, when and how.

A plan is small, frozen and complete: the same plan always renders to the same frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.synthetic import look
from tad_blockdrop.synthetic.motions import MOTIONS
from tad_blockdrop.synthetic.shapes import SHAPES


@dataclass(frozen=True)
class Instance:
    """An action: ``label`` over the frames ``start`` (first) to ``end`` (one past the last)."""

    label: str
    start: int
    end: int
    cycles: int


@dataclass(frozen=True)
class Sprite:
    """A figure. ``x``, ``y``, ``size`` and ``drift`` are shares of the frame's side."""

    shape: int
    colour: tuple[float, float, float]
    size: float
    angle: float
    x: float
    y: float
    drift: tuple[float, float]
    drift_period: float
    drift_phase: float
    born: int
    gone: int
    action: Instance | None


@dataclass(frozen=True)
class Background:
    """A textured plane: mean colour and velocity (shares of the frame's side per frame)."""

    colour: tuple[float, float, float]
    velocity: tuple[float, float]


@dataclass(frozen=True)
class VideoPlan:
    """Everything a video consists of; ``seed`` feeds texture, camera shake and noise."""

    id: str
    subset: str
    fps: int
    n_frames: int
    side: int
    seed: tuple[int, ...]
    instances: tuple[Instance, ...]
    sprites: tuple[Sprite, ...]
    background: Background


def plan_video(
    video_id: str,
    subset: str,
    labels: Sequence[str],
    seed: tuple[int, ...],
    config: SyntheticConfig,
) -> VideoPlan:
    """Plan a video that shows ``labels`` in this order, one after the other.

    The video is about ``mean_frames`` long, and longer where its actions need it.
    """
    rng = np.random.default_rng(seed)
    instances, n_frames = _time_line(labels, config, rng)
    background = Background(
        colour=_triple(rng.uniform(*look.BACKGROUND_LEVEL, 3)),
        velocity=_pair(rng.uniform(-look.BACKGROUND_SPEED, look.BACKGROUND_SPEED, 2)),
    )
    sprites: list[Sprite] = []
    for instance in instances:
        born = instance.start - int(rng.integers(*look.LEAD, endpoint=True))
        gone = instance.end + int(rng.integers(*look.LEAD, endpoint=True))
        sprites.append(_sprite(born, gone, instance, sprites, background, rng))
    for _ in range(round(look.DISTRACTORS_PER_FRAME * n_frames)):
        life = int(rng.integers(*look.LIFE, endpoint=True))
        born = int(rng.integers(-life // 2, n_frames - life // 2))
        sprites.append(_sprite(born, born + life, None, sprites, background, rng))
    # Random depth: whether a sprite covers another must not tell who acts.
    depth = rng.permutation(len(sprites))
    return VideoPlan(
        id=video_id,
        subset=subset,
        fps=int(rng.choice(look.FPS)),
        n_frames=n_frames,
        side=config.frame_size,
        seed=seed,
        instances=instances,
        sprites=tuple(sprites[i] for i in depth),
        background=background,
    )


def _time_line(
    labels: Sequence[str], config: SyntheticConfig, rng: np.random.Generator
) -> tuple[tuple[Instance, ...], int]:
    shortest, longest = config.min_instance_frames, config.max_instance_frames
    lengths = rng.integers(shortest, longest, len(labels), endpoint=True)
    gaps = rng.integers(*look.LEAST_GAP, len(labels) + 1, endpoint=True)
    spread = rng.uniform(1 - look.LENGTH_SPREAD, 1 + look.LENGTH_SPREAD)
    spare = max(0, round(config.mean_frames * spread) - int(lengths.sum() + gaps.sum()))
    gaps += rng.multinomial(spare, rng.dirichlet(np.full(len(gaps), 2.0)))
    starts = np.cumsum(gaps[:-1]) + np.cumsum(lengths) - lengths
    instances = []
    for label, start, length in zip(labels, starts, lengths, strict=True):
        cycles = max(1, round(length / rng.uniform(*look.CYCLE_FRAMES)))
        instances.append(Instance(label, int(start), int(start + length), cycles))
    return tuple(instances), int(lengths.sum() + gaps.sum())


def _sprite(
    born: int,
    gone: int,
    action: Instance | None,
    others: Sequence[Sprite],
    background: Background,
    rng: np.random.Generator,
) -> Sprite:
    size = rng.uniform(*look.SIZE)
    colours = rng.uniform(0, 255, (look.COLOUR_DRAWS, 3))
    contrast = np.linalg.norm(colours - np.array(background.colour), axis=1)
    x, y = _place(born, gone, action, size, others, rng)
    slope = rng.uniform(-look.DRIFT_SLOPE, look.DRIFT_SLOPE)
    amplitude = rng.uniform(*look.DRIFT_AMPLITUDE) * (rng.random() < look.DRIFTING)
    return Sprite(
        shape=int(rng.integers(len(SHAPES))),
        colour=_triple(colours[contrast.argmax()]),
        size=float(size),
        angle=float(rng.uniform(0, 2 * np.pi)),
        x=x,
        y=y,
        drift=(float(amplitude), float(amplitude * slope)),
        drift_period=float(rng.uniform(*look.DRIFT_PERIOD)),
        drift_phase=float(rng.uniform(0, 2 * np.pi)),
        born=born,
        gone=gone,
        action=action,
    )


def _place(
    born: int,
    gone: int,
    action: Instance | None,
    size: float,
    others: Sequence[Sprite],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """A free spot: of several random ones the farthest from all sprites of the same time."""
    low, high = look.PLACE
    # The whole path must stay in the picture, so a rise starts below and a fall above.
    up, down = (0.0, 0.0) if action is None else _reach(action, size)
    x = rng.uniform(low, high, look.PLACE_DRAWS)
    y = rng.uniform(low + up, max(low + up, high - down), look.PLACE_DRAWS)
    spots = np.column_stack([x, y])
    taken = [(s.x, s.y) for s in others if s.born < gone and born < s.gone]
    if not taken:
        return _pair(spots[0])
    distance = np.linalg.norm(spots[:, None] - np.array(taken), axis=-1).min(axis=1)
    return _pair(spots[distance.argmax()])


def _reach(action: Instance, size: float) -> tuple[float, float]:
    """How far an action goes above and below its start, in shares of the frame's side."""
    heights = MOTIONS[action.label](np.linspace(0, 1, 65), action.cycles).dy * size
    return float(-heights.min()), float(heights.max())


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
