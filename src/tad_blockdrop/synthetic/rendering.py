"""The frames of one synthetic video, drawn from its plan."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tad_blockdrop.synthetic import look
from tad_blockdrop.synthetic.motions import MOTIONS
from tad_blockdrop.synthetic.planning import Sprite, VideoPlan
from tad_blockdrop.synthetic.shapes import SHAPES

Frames = NDArray[np.uint8]
Canvas = NDArray[np.float32]
CHUNK = 32  # frames rendered at once: large enough to amortise numpy's calls, small for the cache


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
    canvas: Canvas, side: int, sprite: Sprite, times: NDArray[np.int64], camera: NDArray[np.float64]
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
