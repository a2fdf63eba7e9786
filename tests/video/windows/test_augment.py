"""Augmentation: shapes, one draw per window, and no randomness but the generator's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.config import AugmentConfig
from tad_blockdrop.video.windows.augment import (
    augment,
    centre_crop,
    crop_box,
    draw_augmentation,
    recolour,
)

PLAIN = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
NO_COLOUR = {"colour_jitter": 0.0, "policy_ops": 0}


def picture(height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


def draw(frames: torch.Tensor, seed: int = 0, crop: int = 16, **config: object) -> torch.Tensor:
    return augment(frames, crop, AugmentConfig.model_validate(config), np.random.default_rng(seed))


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_a_still_video_stays_still(seed: int) -> None:
    frames = picture().expand(40, -1, -1, -1)  # more frames than one chunk
    result = draw(frames, seed)
    assert result.dtype == torch.uint8
    assert result.shape == (40, 16, 16, 3)
    assert torch.equal(result, result[:1].expand_as(result))


def test_colours_do_not_flicker_when_something_else_in_the_window_changes() -> None:
    still = picture()
    frames = still.repeat(4, 1, 1, 1)
    frames[2, :12] = 255  # half of one frame turns white
    result = recolour(frames, 0.8, 1.3, 0.7)
    assert torch.equal(result[0, 12:], result[2, 12:])
    assert not torch.equal(result[0, :12], result[2, :12])


def test_draws_depend_on_the_generator_alone_and_differ() -> None:
    frames = picture().expand(3, -1, -1, -1)
    torch.manual_seed(1)
    np.random.seed(1)  # the global state must not matter
    first = [draw(frames, seed) for seed in range(8)]
    torch.manual_seed(2)
    np.random.seed(2)
    second = [draw(frames, seed) for seed in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert len({tuple(a.flatten().tolist()) for a in first}) == 8


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), height=st.integers(20, 60), width=st.integers(20, 90))
def test_floats_as_a_gpu_resizes_with_are_one_level_away(
    seed: int, height: int, width: int
) -> None:
    """A CPU resizes bytes as they are; a GPU resizes float32 and rounds, as here."""
    frames = torch.stack([picture(height, width, i) for i in range(2)])
    config = AugmentConfig.model_validate(NO_COLOUR)
    drawn = draw_augmentation(height, width, 16, config, np.random.default_rng(seed))
    box = drawn.cut(frames)
    rounded = drawn.finish(box.float()).round()
    assert (drawn.finish(box).float() - rounded).abs().max() <= 1


def test_the_box_of_a_copy_gives_the_same_pixels() -> None:
    frames = torch.stack([picture(seed=i) for i in range(5)])
    for seed in range(20):
        drawn = draw_augmentation(24, 32, 16, AugmentConfig(), np.random.default_rng(seed))
        box = drawn.cut(frames)
        assert torch.equal(drawn.finish(box), drawn.finish(box.contiguous()))


def test_with_everything_off_pixels_are_untouched() -> None:
    frames = picture(16, 16).expand(2, -1, -1, -1)
    assert torch.equal(draw(frames, **PLAIN, **NO_COLOUR), frames)


def test_a_flip_mirrors_all_frames() -> None:
    frames = torch.stack([picture(16, 16, seed) for seed in range(3)])
    assert torch.equal(draw(frames, **(PLAIN | {"flip": 1.0}), **NO_COLOUR), frames.flip(2))


def test_magnitude_zero_leaves_geometry_and_colours_alone() -> None:
    frames = picture(16, 16).expand(2, -1, -1, -1)
    for seed in range(20):
        result = draw(frames, seed, **PLAIN, colour_jitter=0.0, policy_magnitude=0)
        assert (result.int() - frames.int()).abs().max() <= 1


def test_the_policy_works_at_any_magnitude() -> None:
    frames = picture(16, 16).expand(2, -1, -1, -1)
    unchanged = [
        torch.equal(
            draw(frames, seed, **PLAIN, colour_jitter=0.0, policy_ops=1, policy_magnitude=size),
            frames,
        )
        for seed in range(30)
        for size in (9, 30)
    ]
    assert sum(unchanged) == 0


def test_recolour_matches_its_definition() -> None:
    frames = torch.stack([picture(), picture(seed=1) // 4])  # the frames' mean greys differ
    x = frames.double().numpy()
    grey = (x * [0.299, 0.587, 0.114]).sum(-1, keepdims=True)
    for brightness, contrast, saturation in [(1, 1, 1), (0.6, 1, 1), (1, 1.4, 1), (1, 1, 0.5),
                                             (1.2, 0.7, 1.3)]:  # fmt: skip
        coloured = saturation * x + (1 - saturation) * grey
        coloured = brightness * (contrast * coloured + (1 - contrast) * grey.mean())
        got = recolour(frames, brightness, contrast, saturation).double().numpy()
        assert np.abs(got - coloured.clip(0, 255)).max() <= 0.51


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    low=st.floats(0.05, 1),
    seed=st.integers(0, 1000),
)
def test_crop_boxes_lie_inside(height: int, width: int, low: float, seed: int) -> None:
    config = AugmentConfig(crop_scale=(low, 1.0))
    top, left, h, w = crop_box(height, width, config, np.random.default_rng(seed))
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert h > 0
    assert w > 0


def test_crop_boxes_have_the_asked_area_and_ratio() -> None:
    config = AugmentConfig(crop_scale=(0.2, 0.5), crop_ratio=(0.5, 2.0))
    rng = np.random.default_rng(0)
    boxes = np.array([crop_box(1000, 1000, config, rng)[2:] for _ in range(2000)], dtype=float)
    areas, ratios = boxes.prod(1) / 1e6, boxes[:, 1] / boxes[:, 0]
    assert areas.min() == pytest.approx(0.2, abs=0.01)
    assert areas.max() == pytest.approx(0.5, abs=0.01)
    assert areas.mean() == pytest.approx(0.35, abs=0.02)
    assert np.log2(ratios).min() == pytest.approx(-1, abs=0.03)
    assert np.log2(ratios).max() == pytest.approx(1, abs=0.03)
    assert np.log2(ratios).mean() == pytest.approx(0, abs=0.05)


def test_centre_crop_keeps_the_aspect_ratio_and_the_middle() -> None:
    frames = torch.zeros(2, 40, 80, 3, dtype=torch.uint8)
    frames[:, 10:30, 30:50] = 255  # a square in the middle, half as the frame
    result = centre_crop(frames, short_side=20, crop=16)
    assert result.shape == (2, 16, 16, 3)
    bright = result[0, :, :, 0] > 127
    assert bright.any(0).nonzero().flatten().tolist() == list(range(3, 13))
    assert bright.any(1).nonzero().flatten().tolist() == list(range(3, 13))


def test_centre_crop_only_cuts_when_the_size_fits() -> None:
    frames = picture(24, 32).expand(2, -1, -1, -1)
    assert torch.equal(centre_crop(frames, 24, 16), frames[:, 4:20, 8:24])


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    frames = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    frames[:, :, ::4] = 200  # lines that lie between the pixels of the result
    shrunk = centre_crop(frames, 16, 16)[:, 2:-2, 2:-2].float()
    assert (shrunk - 50).abs().max() < 12
