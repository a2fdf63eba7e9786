"""The benchmark as a set: reproducible, balanced, and on disk what the annotations say."""

import pickle
from collections import Counter
from functools import partial
from pathlib import Path

import av
import decord
import numpy as np
import pytest

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark, plan_one, write_video
from tad_blockdrop.synthetic.motions import CLASSES
from tad_blockdrop.synthetic.rendering import render

SMALL = SyntheticConfig(training_videos=6, validation_videos=3, mean_frames=64, frame_size=32)


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    larger = SMALL.model_copy(update={"training_videos": 9, "validation_videos": 7})
    plans = {plan.id: plan for plan in plan_benchmark(larger)}
    for plan in plan_benchmark(SMALL):
        assert plans[plan.id] == plan


def test_any_video_can_be_planned_alone() -> None:
    plans = plan_benchmark(SMALL)
    assert plan_one(SMALL, "training", 4) == plans[4]
    assert plan_one(SMALL, "validation", 2) == plans[-1]


def test_seeds_subsets_and_videos_differ() -> None:
    other = SMALL.model_copy(update={"seed": 1})
    plans = plan_benchmark(SMALL) + plan_benchmark(other)
    firsts = {next(render(plan)).tobytes() for plan in plans}
    assert len(firsts) == len(plans)


@pytest.mark.parametrize("classes", [2, 5, 8])
def test_classes_are_the_first_ones_and_balanced(classes: int) -> None:
    config = SyntheticConfig(classes=classes, training_videos=8 * classes, validation_videos=1)
    plans = [plan for plan in plan_benchmark(config) if plan.subset == "training"]
    counts = Counter(i.label for plan in plans for i in plan.instances)
    assert set(counts) == set(CLASSES[:classes])
    assert len(set(counts.values())) == 1


def test_the_default_set_is_what_its_settings_say() -> None:
    config = SyntheticConfig()
    plans = plan_benchmark(config)
    assert len({plan.id for plan in plans}) == 260
    assert (plans[0].id, plans[160].id) == ("train_0000", "val_0000")
    assert {plan.fps for plan in plans} == {24, 25, 30}
    lengths = [plan.n_frames for plan in plans]
    assert np.mean(lengths) == pytest.approx(config.mean_frames, rel=0.05)
    assert np.std(lengths) > 20
    assert min(len(plan.instances) for plan in plans) >= 2
    actions = [i.end - i.start for plan in plans for i in plan.instances]
    assert (min(actions), max(actions)) == (14, 60)


def test_annotations_say_what_was_planned_in_seconds() -> None:
    plans = plan_benchmark(SMALL)
    database = annotations(plans)["database"]
    assert list(database) == [plan.id for plan in plans]
    for plan in plans:
        entry = database[plan.id]
        assert entry["subset"] == plan.subset
        assert entry["duration"] * entry["fps"] == pytest.approx(entry["frame"], abs=1e-9)
        assert len(entry["annotations"]) == len(plan.instances)
        for stated, planned in zip(entry["annotations"], plan.instances, strict=True):
            start, end = stated["segment"]
            assert 0 < start < end < entry["duration"]
            assert round(start * plan.fps) == planned.start
            assert start == planned.start / plan.fps
            assert end == planned.end / plan.fps
            assert stated["label"] == planned.label


def test_the_same_bytes_every_time_from_a_pickled_task_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        task = partial(write_video, plan_one(SyntheticConfig(), "training", index))
        contents = set()
        for number in range(5):
            # Leaves the heap dirty: an encoder that reads memory it never set shows here.
            for size in rng.integers(1, 200_000, 20):
                rng.random(size)
            path = tmp_path / f"{number}.mp4"
            pickle.loads(pickle.dumps(task))(path)
            contents.add(path.read_bytes())
        assert len(contents) == 1


@pytest.mark.parametrize("index", range(6))
def test_both_decoders_read_back_what_was_rendered(tmp_path: Path, index: int) -> None:
    plan = plan_one(SMALL, "training", index)
    path = tmp_path / "video.mp4"
    write_video(plan, path)
    truth = np.stack(list(render(plan))).astype(float)

    reader = decord.VideoReader(str(path))
    by_decord = reader.get_batch(range(len(reader))).asnumpy()
    assert reader.get_avg_fps() == plan.fps
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == plan.fps
        assert float(stream.duration * stream.time_base) == pytest.approx(plan.n_frames / plan.fps)
        by_av = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(stream)])

    for decoded in (by_decord, by_av):
        assert decoded.shape == truth.shape
        # Frame by frame, in order: closer to its own original than what compression may cost.
        assert np.abs(decoded - truth).mean(axis=(1, 2, 3)).max() < 8
