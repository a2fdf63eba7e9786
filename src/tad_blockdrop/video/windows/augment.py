"""The pixels of a window: random crops and colours in training, otherwise a centre crop.

Frames are uint8 (T, H, W, 3) going in and coming out. Every random number is drawn once for a
window and used for all its frames, so still backgrounds stay still; the only source of randomness
is the generator that is passed in.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from tad_blockdrop.config import AugmentConfig

Box = tuple[int, int, int, int]

_GREY = torch.tensor([0.299, 0.587, 0.114])  # luma of ITU-R BT.601
_CHUNK = 32  # frames whose floating-point copies are alive at once
_CROP_TRIES = 10
_MAX_MAGNITUDE = 30


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for a window. Pixels are cut first, then ``finish`` may run on any device.

    ``box``: top, left, height, width. ``operations``: which of the policy, and how strong.
    ``colours``: brightness, contrast, saturation. ``kept``: the frames that are shown at the end.
    """

    box: Box
    crop: int
    flip: bool
    operations: tuple[tuple[int, float], ...]
    colours: tuple[float, float, float] | None
    kept: slice = field(default_factory=lambda: slice(0, None))

    def cut(self, frames: Tensor) -> Tensor:
        """The box (T, h, w, 3) out of frames (T, H, W, 3); it shares their memory."""
        top, left, height, width = self.box
        return frames[:, top : top + height, left : left + width]

    def finish(self, box: Tensor) -> Tensor:
        """All that follows: (T, h, w, 3) -> (T, crop, crop, 3), of which ``kept``."""
        size = [self.crop, self.crop]
        images: Tensor = functional.resize(box.permute(0, 3, 1, 2), size, antialias=True)
        if self.flip:
            images = functional.horizontal_flip(images)
        for operation, strength in self.operations:
            images = _POLICY[operation](images, strength)
        frames = images.permute(0, 2, 3, 1).contiguous()
        return (frames if self.colours is None else recolour(frames, *self.colours))[self.kept]


def augment(frames: Tensor, crop: int, config: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """Training: random resized crop, flip, light policy, colour jitter -> (T, crop, crop, 3)."""
    height, width = frames.shape[1:3]
    drawn = draw_augmentation(height, width, crop, config, rng)
    return drawn.finish(drawn.cut(frames))


def draw_augmentation(
    height: int, width: int, crop: int, config: AugmentConfig, rng: np.random.Generator
) -> Augmentation:
    """A random augmentation of frames of ``height`` × ``width``."""
    box = crop_box(height, width, config, rng)
    flip = rng.random() < config.flip
    operations = []
    for _ in range(config.policy_ops):
        operation = int(rng.integers(len(_POLICY)))
        sign = 1 if rng.random() < 0.5 else -1
        operations.append((operation, sign * config.policy_magnitude / _MAX_MAGNITUDE))
    colours = None
    if config.colour_jitter > 0:
        low, high = 1 - config.colour_jitter, 1 + config.colour_jitter
        brightness, contrast, saturation = rng.uniform(low, high, 3).tolist()
        colours = brightness, contrast, saturation
    return Augmentation(box, crop, flip, tuple(operations), colours)


def centre_crop(frames: Tensor, short_side: int, crop: int) -> Tensor:
    """Test: resize the short side, keeping the aspect ratio, then cut (T, crop, crop, 3) out."""
    resized = functional.resize(frames.permute(0, 3, 1, 2), [short_side], antialias=True)
    images: Tensor = functional.center_crop(resized, [crop, crop])
    return images.permute(0, 2, 3, 1).contiguous()


def crop_box(height: int, width: int, config: AugmentConfig, rng: np.random.Generator) -> Box:
    """A random box (top, left, height, width) of the configured area and aspect ratio.

    The ratio (width / height) is log-uniform, so that r and 1/r are as likely. When boxes keep
    falling outside the frame, the largest centred one of an allowed ratio is taken.
    """
    low, high = config.crop_ratio
    for _ in range(_CROP_TRIES):
        area = height * width * rng.uniform(*config.crop_scale)
        ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
        box_height, box_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < box_height <= height and 0 < box_width <= width:
            top = int(rng.integers(height - box_height + 1))
            left = int(rng.integers(width - box_width + 1))
            return top, left, box_height, box_width
    ratio = min(max(width / height, low), high)
    box_height = max(1, min(height, round(width / ratio)))
    box_width = max(1, min(width, round(height * ratio)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def recolour(frames: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Scale saturation, contrast and brightness, in this order; 1 leaves each as it is.

    All three are affine in a pixel's colour, so they are one 3×3 matrix and one constant. The
    contrast is scaled about the mean grey of the whole window, not of each frame: a pivot that
    moved from frame to frame would make a still background flicker.
    """
    grey, identity = _GREY.to(frames.device), torch.eye(3, device=frames.device)
    mean = frames.mean(dim=(0, 1, 2), dtype=torch.float32) @ grey
    matrix = saturation * identity + (1 - saturation) * grey[:, None]
    matrix = brightness * contrast * matrix
    constant = (brightness * (1 - contrast) * mean).expand(3)
    # Four pixels in a row, where they fit: a product with only three columns is much slower.
    together = math.gcd(frames.shape[2], 4)
    repeated = torch.eye(together, device=frames.device)
    matrix, constant = torch.kron(repeated, matrix), constant.repeat(together)
    result = torch.empty_like(frames)
    for source, target in zip(_chunks(frames), _chunks(result), strict=True):
        pixels = torch.addmm(constant, source.reshape(-1, 3 * together).float(), matrix)
        target.copy_(pixels.round_().clamp_(0, 255).view(source.shape))
    return result


def _chunks(frames: Tensor) -> Iterator[Tensor]:
    return (frames[first : first + _CHUNK] for first in range(0, len(frames), _CHUNK))


def _affine(
    images: Tensor,
    angle: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """Rotate and shear (degrees) and shift (shares of the side); uncovered pixels are black."""
    height, width = images.shape[-2:]
    pixels = [round(shift[0] * width), round(shift[1] * height)]
    moved = [
        functional.affine(
            chunk, angle, pixels, 1.0, list(shear), interpolation=InterpolationMode.BILINEAR
        )
        for chunk in _chunks(images)
    ]
    return torch.cat(moved)


def _rotate(images: Tensor, strength: float) -> Tensor:
    return _affine(images, angle=30 * strength)


def _shear_x(images: Tensor, strength: float) -> Tensor:
    return _affine(images, shear=(math.degrees(math.atan(0.3 * strength)), 0.0))


def _shear_y(images: Tensor, strength: float) -> Tensor:
    return _affine(images, shear=(0.0, math.degrees(math.atan(0.3 * strength))))


def _shift_x(images: Tensor, strength: float) -> Tensor:
    return _affine(images, shift=(0.3 * strength, 0.0))


def _shift_y(images: Tensor, strength: float) -> Tensor:
    return _affine(images, shift=(0.0, 0.3 * strength))


def _posterise(images: Tensor, strength: float) -> Tensor:
    """Clear up to four of the low bits."""
    kept = 256 - 2 ** round(4 * abs(strength))
    return torch.bitwise_and(images, kept)


def _solarise(images: Tensor, strength: float) -> Tensor:
    """Invert what is brighter than a threshold that falls with strength."""
    return torch.where(images >= 256 * (1 - abs(strength)), 255 - images, images)


# The operations of RandAugment (arXiv 1909.13719) that need no statistics of single frames.
_POLICY: tuple[Callable[[Tensor, float], Tensor], ...] = (
    _rotate, _shear_x, _shear_y, _shift_x, _shift_y, _posterise, _solarise,
)  # fmt: skip
