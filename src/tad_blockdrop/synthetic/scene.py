"""One synthetic video: its plan (what moves, when, how) and its frames.

The plan is small, frozen and complete: the same plan always renders to the same frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.synthetic import look
from tad_blockdrop.synthetic.motions import MOTIONS
from tad_blockdrop.synthetic.shapes import SHAPES

Frames = NDArray[np.uint8]
Canvas = NDArray[np.float32]
CHUNK = 32  # frames rendered at once: large enough to amortise numpy's calls, small for the cache


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
    *,
    seed: tuple[int, ...],
    mean_frames: int,
    side: int,
    action_frames: tuple[int, int],
) -> VideoPlan:
    """Plan a video that shows ``labels`` in this order, one after the other.

    The video is about ``mean_frames`` long, and longer where its actions (each of
    ``action_frames`` frames, both ends included) need it.
    """
    rng = np.random.default_rng(seed)
    instances, n_frames = _time_line(labels, mean_frames, action_frames, rng)
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
        side=side,
        seed=seed,
        instances=instances,
        sprites=tuple(sprites[i] for i in depth),
        background=background,
    )


def _time_line(
    labels: Sequence[str],
    mean_frames: int,
    action_frames: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[tuple[Instance, ...], int]:
    lengths = rng.integers(*action_frames, len(labels), endpoint=True)
    gaps = rng.integers(*look.LEAST_GAP, len(labels) + 1, endpoint=True)
    spread = rng.uniform(1 - look.LENGTH_SPREAD, 1 + look.LENGTH_SPREAD)
    spare = max(0, round(mean_frames * spread) - int(lengths.sum() + gaps.sum()))
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


def render(plan: VideoPlan) -> Iterator[Frames]:
    """The frames of a plan, in order: uint8 ``(side, side, 3)``, RGB."""
    rng = np.random.default_rng((*plan.seed, 1))
    texture = _texture(rng) + np.array(plan.background.colour, np.float32)
    camera = _camera(plan, rng)
    for first in range(0, plan.n_frames, CHUNK):
        times = np.arange(first, min(first + CHUNK, plan.n_frames))
        canvas = _draw_background(plan, texture, times, camera[times])
        for sprite in plan.sprites:
            _draw_sprite(canvas, plan.side, sprite, times, camera[times])
        canvas += np.float32(look.NOISE) * rng.standard_normal(canvas.shape, np.float32)
        yield from np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _texture(rng: np.random.Generator) -> Canvas:
    """Smooth coloured noise ``(side, side, 3)`` of zero mean that wraps around at its borders."""
    n = look.TEXTURE_SIDE
    spectrum = np.fft.fft2(rng.standard_normal((n, n, 3)), axes=(0, 1))
    squared = np.fft.fftfreq(n)[:, None, None] ** 2 + np.fft.fftfreq(n)[None, :, None] ** 2
    layers = []
    for grain in look.TEXTURE_GRAIN:
        blurred = spectrum * np.exp(-2 * (np.pi * grain * n) ** 2 * squared)
        blurred[0, 0] = 0
        layer = np.fft.ifft2(blurred, axes=(0, 1)).real
        layers.append(layer / layer.std())
    texture = np.mean(layers, axis=0)
    scaled: Canvas = (look.TEXTURE_CONTRAST * texture / texture.std()).astype(np.float32)
    return scaled


def _camera(plan: VideoPlan, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shift of the whole picture at each frame ``(n, 2)`` as (x, y), pixels."""
    width = look.JITTER_SMOOTHING
    shake = rng.standard_normal((plan.n_frames + width - 1, 2))
    sums = np.lib.stride_tricks.sliding_window_view(shake, width, axis=0).sum(axis=-1)
    pixels: NDArray[np.float64] = sums / np.sqrt(width) * look.JITTER * plan.side
    return pixels


def _draw_background(
    plan: VideoPlan, texture: Canvas, times: NDArray[np.int64], camera: NDArray[np.float64]
) -> Canvas:
    """The texture shifted to where the camera looks, bilinear: ``(n, side, side, 3)``."""
    shift = times[:, None] * np.array(plan.background.velocity) * plan.side + camera
    whole = np.floor(shift).astype(np.int64)
    fx, fy = (shift - whole).astype(np.float32).T[:, :, None, None, None]
    span = np.arange(plan.side + 1)
    columns = (span - whole[:, :1] - 1) % len(texture)
    rows = (span - whole[:, 1:] - 1) % len(texture)
    patch = texture[rows[:, :, None], columns[:, None, :]]
    patch = patch[:, 1:] * (1 - fy) + patch[:, :-1] * fy
    canvas: Canvas = patch[:, :, 1:] * (1 - fx) + patch[:, :, :-1] * fx
    return canvas


def _draw_sprite(
    canvas: Canvas,
    side: int,
    sprite: Sprite,
    times: NDArray[np.int64],
    camera: NDArray[np.float64],
) -> None:
    """Blend a sprite into those frames of ``canvas`` in which it is there."""
    seen = (times > sprite.born) & (times < sprite.gone)
    if not seen.any():
        return
    times, camera = times[seen], camera[seen]
    x, y, angle, size = _track(sprite, times)
    across = (np.arange(side) + 0.5 - (x * side + camera[:, 0])[:, None])[:, None, :]
    down = (np.arange(side) + 0.5 - (y * side + camera[:, 1])[:, None])[:, :, None]
    cos, sin = (np.array([np.cos(angle), np.sin(angle)]) / (size * side))[..., None, None]
    local_x = (across * cos + down * sin).astype(np.float32)
    local_y = (down * cos - across * sin).astype(np.float32)
    pixels = (size * side).astype(np.float32)[:, None, None]
    cover = np.clip(0.5 - SHAPES[sprite.shape](local_x, local_y) * pixels, 0, 1)
    age = np.minimum(times - sprite.born, sprite.gone - times) / look.FADE
    cover *= np.minimum(age, 1).astype(np.float32)[:, None, None]
    light = np.clip(0.5 + local_x * pixels, 0, 1) * (1 - look.SHADE) + look.SHADE
    colour = light[..., None] * np.array(sprite.colour, np.float32)
    canvas[seen] += cover[..., None] * (colour - canvas[seen])


def _track(sprite: Sprite, times: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Where a sprite is: x, y, angle (radians) and size at ``times``; shares of the side."""
    swing = np.sin(2 * np.pi * times / sprite.drift_period + sprite.drift_phase)
    x, y = (
        rest + amplitude * swing
        for rest, amplitude in zip((sprite.x, sprite.y), sprite.drift, strict=True)
    )
    angle, size = np.full(len(times), sprite.angle), np.full(len(times), sprite.size)
    action = sprite.action
    if action is None:
        return x, y, angle, size
    share = np.clip((times - action.start) / (action.end - action.start), 0.0, 1.0)
    pose = MOTIONS[action.label](share, action.cycles)
    return (
        x + sprite.size * pose.dx,
        y + sprite.size * pose.dy,
        angle + pose.rotation,
        size * pose.scale,
    )


def _pair(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
