"""Rendered frames: what is planned is what is seen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.synthetic import look
from tad_blockdrop.synthetic.motions import CLASSES
from tad_blockdrop.synthetic.planning import VideoPlan, plan_video
from tad_blockdrop.synthetic.rendering import render

SIDE = 64


def plan(labels: Sequence[str], seed: int = 3) -> VideoPlan:
    config = SyntheticConfig(
        mean_frames=80 * len(labels),
        frame_size=SIDE,
        min_instance_frames=30,
        max_instance_frames=40,
    )
    return plan_video("v", "training", labels, (seed,), config)


class Seen:
    """What a bright sprite before a black background does during its action, pixel by pixel.

    One value per frame: ``x``, ``y`` of its middle, ``area``, and ``heading``, the direction from
    its middle to its brighter half (radians).
    """

    def __init__(self, video: VideoPlan) -> None:
        (sprite,) = video.sprites
        (self.action,) = video.instances
        self.size = sprite.size * video.side
        bright = replace(sprite, colour=(250.0, 250.0, 250.0))
        black = replace(video.background, colour=(0.0, 0.0, 0.0))
        frames = np.stack(list(render(replace(video, sprites=(bright,), background=black))))
        light = frames[self.action.start : self.action.end + 1].mean(axis=-1)
        rows, columns = np.mgrid[: video.side, : video.side] + 0.5
        ink = light > 60
        self.area = ink.sum(axis=(1, 2))
        self.x = (ink * columns).sum(axis=(1, 2)) / self.area
        self.y = (ink * rows).sum(axis=(1, 2)) / self.area
        bright_x = (light * columns).sum(axis=(1, 2)) / light.sum(axis=(1, 2))
        bright_y = (light * rows).sum(axis=(1, 2)) / light.sum(axis=(1, 2))
        self.heading = np.unwrap(np.arctan2(bright_y - self.y, bright_x - self.x))


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Seeds of scenes bare of noise, camera shake, texture, drifts and distractors."""
    for name in ("NOISE", "JITTER", "TEXTURE_CONTRAST", "DRIFTING", "DISTRACTORS_PER_FRAME"):
        monkeypatch.setattr(look, name, 0.0)
    return int(request.param)


def test_rise_goes_up_on_the_screen_and_fall_down(seed: int) -> None:
    for label, sign in (("rise", -1), ("fall", 1)):
        seen = Seen(plan([label], seed))
        way = sign * (seen.y[-1] - seen.y[0])
        assert way > 0.5 * seen.size
        assert (sign * np.diff(seen.y) > -0.2).all()
        assert np.ptp(seen.x) < 1


def test_shake_goes_left_and_right(seed: int) -> None:
    seen = Seen(plan(["shake"], seed))
    assert np.ptp(seen.x) == pytest.approx(2 * look.SHAKE_AMPLITUDE * seen.size, rel=0.15)
    assert np.ptp(seen.y) < 1
    assert turning_points(seen.x) == 4 * seen.action.cycles


def test_spin_makes_whole_turns_in_place(seed: int) -> None:
    seen = Seen(plan(["spin"], seed))
    turned = abs(seen.heading[-1] - seen.heading[0])
    assert turned == pytest.approx(2 * np.pi * seen.action.cycles, abs=0.2)
    assert np.ptp(seen.y) < 0.4 * seen.size


def test_rock_tilts_to_both_sides_and_back(seed: int) -> None:
    seen = Seen(plan(["rock"], seed))
    assert np.ptp(seen.heading) == pytest.approx(2 * look.ROCK_ANGLE, abs=0.35)
    assert seen.heading[-1] == pytest.approx(seen.heading[0], abs=0.1)
    pendulum = np.sin(np.linspace(0, 2 * np.pi * seen.action.cycles, len(seen.heading)))
    assert abs(np.corrcoef(seen.heading, pendulum)[0, 1]) > 0.95


def test_pulse_grows_and_shrinks(seed: int) -> None:
    seen = Seen(plan(["pulse"], seed))
    rest = seen.area[0]
    assert seen.area.max() / rest == pytest.approx((1 + look.PULSE_AMPLITUDE) ** 2, rel=0.15)
    assert seen.area.min() / rest == pytest.approx((1 - look.PULSE_AMPLITUDE) ** 2, rel=0.15)


def test_orbit_runs_around_a_circle_without_turning(seed: int) -> None:
    seen = Seen(plan(["orbit"], seed))
    x, y = seen.x - seen.x[0], seen.y - seen.y[0] + look.ORBIT_RADIUS * seen.size
    np.testing.assert_allclose(np.hypot(x, y), look.ORBIT_RADIUS * seen.size, atol=0.7)
    turned = np.unwrap(np.arctan2(y, x))
    assert abs(turned[-1] - turned[0]) == pytest.approx(2 * np.pi * seen.action.cycles, abs=0.4)
    assert np.ptp(seen.heading) < 0.4


def test_bounce_hops_above_its_place(seed: int) -> None:
    seen = Seen(plan(["bounce"], seed))
    assert seen.y.max() < seen.y[0] + 0.5
    assert np.ptp(seen.y) == pytest.approx(look.BOUNCE_HEIGHT * seen.size, rel=0.15)
    assert np.ptp(seen.x) < 1


def turning_points(curve: NDArray[np.float64]) -> int:
    """Changes of direction, steps too small to see left out."""
    steps = np.diff(curve)
    direction = np.sign(steps[np.abs(steps) > 0.02 * np.ptp(curve)])
    return int((np.diff(direction) != 0).sum())


@pytest.mark.parametrize("label", CLASSES)
def test_the_actor_is_there_before_and_after(label: str) -> None:
    for number in range(20):
        video = plan([label], number)
        (action,) = video.instances
        (actor,) = [s for s in video.sprites if s.action is not None]
        assert actor.action == action
        assert actor.born + look.FADE <= action.start
        assert action.end <= actor.gone - look.FADE


def test_actions_follow_each_other_with_gaps_inside_the_video() -> None:
    video = plan(CLASSES)
    assert [i.label for i in video.instances] == list(CLASSES)
    borders = [0, *(t for i in video.instances for t in (i.start, i.end)), video.n_frames]
    gaps = np.diff(borders)[::2]
    assert (gaps >= look.LEAST_GAP[0]).all()
    assert all(30 <= i.end - i.start <= 40 for i in video.instances)


def test_a_plan_renders_all_its_frames_the_same_every_time() -> None:
    video = plan(["spin", "fall"])
    first, second = (np.stack(list(render(video))) for _ in range(2))
    assert first.shape == (video.n_frames, SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_neither_motion_nor_stillness_gives_the_actor_away() -> None:
    """Standing and drifting sprites are found among actors and among distractors."""
    sprites = [s for number in range(40) for s in plan(CLASSES[:4], number).sprites]
    drifts = {(s.action is not None, s.drift != (0.0, 0.0)) for s in sprites}
    assert len(drifts) == 4
