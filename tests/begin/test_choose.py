"""Choices as pure functions of a dataset's numbers: the rules, for any dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ROOT

from tad_blockdrop.begin import choose
from tad_blockdrop.begin.candidates import Candidate, candidates, frame_wise, small
from tad_blockdrop.begin.environment import merged
from tad_blockdrop.begin.look import Numbers
from tad_blockdrop.begin.request import Request
from tad_blockdrop.config import Parameters

REQUEST = Request(Path("v"), Path("a"), 30, "mine", None, Path("conf"), Path("data"))
PEOPLE = Numbers(
    videos=90, seconds=2430, video_seconds=33, fps=20, side=96, aspect=4 / 3, short=1.75, long=5.8,
    actions={"Hugging": 60}, cores=2, memory=8 * 10**9,
)  # fmt: skip


def datasets(longest: float) -> st.SearchStrategy[Numbers]:
    """Of any kind, with long actions of up to ``longest`` short ones."""
    return st.builds(
        lambda short, factor, videos, fps, side, longer: replace(
            PEOPLE, short=short, long=short * factor, videos=videos, fps=fps, side=side,
            video_seconds=short * factor * longer, seconds=videos * short * factor * longer,
        ),
        st.floats(0.05, 600), st.floats(1, longest), st.integers(1, 500),
        st.sampled_from([5.0, 24.0, 29.97, 60.0]), st.integers(16, 2160), st.floats(1, 100),
    )  # fmt: skip


def parameters(candidate: Candidate, numbers: Numbers) -> Parameters:
    """The whole tree, as the environment will make it."""
    text = (ROOT / "conf/base/parameters.yml").read_text(encoding="utf-8")
    base: dict[str, Any] = yaml.safe_load(text) | {"experiment": "base"}
    settings = [
        *choose.given(REQUEST), *choose.common(numbers), *candidate.settings,
        *choose.training(40, 90, candidate.batch, choose.holdout(numbers.videos)),
    ]  # fmt: skip
    return Parameters.model_validate(merged(base, settings))


@given(datasets(1e6))
def test_any_dataset_gives_valid_parameters(numbers: Numbers) -> None:
    for candidate in (small(numbers), frame_wise(numbers, "weights.pth")):
        data = parameters(candidate, numbers).data
        assert data.fps is not None
        assert data.fps <= numbers.fps
        assert data.window.frames <= 2 * choose.LONGEST_WINDOW


@given(datasets(50))
def test_short_actions_have_enough_samples_unless_the_videos_have_none(numbers: Numbers) -> None:
    data = parameters(small(numbers), numbers).data
    assert data.fps is not None
    samples = numbers.short * data.fps
    assert samples >= 15.9 or data.fps == numbers.fps
    steps = samples / data.window.frames_per_step
    assert steps >= 3.9 or data.window.frames_per_step == 2  # a step of one tubelet, no finer


@given(datasets(50))
def test_a_window_holds_a_long_action(numbers: Numbers) -> None:
    data = parameters(small(numbers), numbers).data
    assert data.fps is not None
    span = data.window.frames / data.fps
    assert span >= numbers.long


@pytest.mark.parametrize("minutes", [15, 45, 300])
def test_very_short_and_very_long_actions_have_the_levels_of_a_window(minutes: int) -> None:
    mixed = replace(PEOPLE, fps=25, short=0.5, long=60 * minutes, video_seconds=7200 * minutes)
    for candidate in (small(mixed), frame_wise(mixed, "weights.pth")):
        found = parameters(candidate, mixed)
        last = found.detector.head.ranges[-1][0]
        assert found.data.window.grid / 4 <= last < found.data.window.grid


def test_long_videos_give_long_windows_and_short_ones_no_padding() -> None:
    def frames(seconds: float) -> int:
        return parameters(small(replace(PEOPLE, video_seconds=seconds)), PEOPLE).data.window.frames

    assert frames(3600) == frames(60) > frames(10) >= 1.5 * PEOPLE.long * 10


@given(st.integers(1, 1000))
def test_few_videos_hold_none_out_and_others_three_or_more(videos: int) -> None:
    share = choose.holdout(videos)
    if videos < choose.FEW_VIDEOS:
        assert share == 0
    else:
        assert 3 <= round(share * videos) <= max(3, videos / 2)


def test_without_held_out_videos_no_epoch_and_no_length_is_chosen_by_them() -> None:
    few = replace(PEOPLE, videos=4)
    found = parameters(small(few), few)
    assert found.baseline.train.keep == "last"
    assert found.compress.select == "last"
    assert found.compress.n_drops == 1


def test_what_is_known_of_real_videos_is_what_is_chosen() -> None:
    """Ten frames a second at 48 pixels, or five at 84 frame by frame: docs/datasets.md."""
    scratch, frames = (parameters(c, PEOPLE) for c in candidates(PEOPLE, "dinov2.safetensors"))
    assert (scratch.data.fps, scratch.data.window.crop) == (10, 48)
    assert scratch.baseline.aids.xavier_init
    assert (frames.data.fps, frames.data.window.crop) == (5, 84)
    assert frames.baseline.train.tuning == "frozen"
    assert not frames.baseline.aids.xavier_init


def test_without_weights_there_is_the_small_network_only() -> None:
    assert [each.kind for each in candidates(PEOPLE, None)] == ["videomae"]


@pytest.mark.parametrize(("name", "flip"), [("turn left", 0.0), ("rear", 0.5), ("CLOCKWISE", 0)])
def test_classes_that_name_a_side_are_not_mirrored(name: str, flip: float) -> None:
    numbers = replace(PEOPLE, actions={name: 5})
    assert parameters(small(numbers), numbers).data.augment.flip == flip


def test_every_setting_has_a_reason() -> None:
    for candidate in candidates(PEOPLE, "weights"):
        for setting in (*choose.common(PEOPLE), *candidate.settings):
            assert setting.reason, setting.key
