"""Loading: the right pixels, the same batches for any number of workers, and clear errors."""

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from torch.utils.data import DataLoader

from tad_blockdrop.config import DataConfig
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.cutting import VideoRecord
from tad_blockdrop.video.windows.device import DeviceWindows, training_windows
from tad_blockdrop.video.windows.loading import TestWindows, TrainingWindows, make_loader

LENGTHS = {"a": 60, "b": 25, "c": 10}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[VideoRecord]:
    """Three videos whose frame i is flat grey ``20 + 3 i``, each with an action."""
    folder = tmp_path_factory.mktemp("videos")
    return [record(folder / f"{name}.mp4", length) for name, length in LENGTHS.items()]


def record(path: Path, length: int) -> VideoRecord:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 40, 40, "yuv420p"
        for i in range(length):
            grey = np.full((40, 40, 3), 20 + 3 * i, np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return VideoRecord(
        video_id=path.stem,
        path=str(path),
        n_samples=length,
        rate=10.0,
        duration=length / 10,
        segments_seconds=np.array([[0.2, 0.7], [0.9, 5.5]]).clip(0, length / 10),
        labels=np.array([1, 0]),
    )


def data(**window: object) -> DataConfig:
    sizes = {"frames": 16, "grid": 8, "crop": 32, "short_side": 36, "per_video": 3}
    return DataConfig.model_validate({"every": 1, "window": sizes | window})


def still_data() -> DataConfig:
    """Without augmentation that changes colours."""
    return data().model_copy(
        update={
            "augment": data().augment.model_copy(update={"colour_jitter": 0.0, "policy_ops": 0})
        }
    )


def shown(frames: torch.Tensor) -> np.ndarray:
    """Which frame of the video each one is, from its grey level: (..., T)."""
    level: np.ndarray = ((frames.float().mean(dim=(-3, -2, -1)) - 20) / 3).round().int().numpy()
    return level


def fingerprint(batches: Iterable[Batch]) -> list[tuple[object, ...]]:
    return [
        (
            [w.video_id for w in batch.windows],
            [w.start for w in batch.windows],
            [s.tolist() for s in batch.segments],
            [v.tolist() for v in batch.labels],
            batch.mask.tolist(),
            int((batch.frames.flatten().long() * torch.arange(batch.frames.numel())).sum()),
        )
        for batch in batches
    ]


def test_test_windows_show_their_samples_in_order(videos: list[VideoRecord]) -> None:
    loader = make_loader(TestWindows(videos, data(), overlap=0.5), batch=4, workers=0)
    batches = list(loader)
    assert [len(b.windows) for b in batches] == [4, 4, 3]
    windows = [(w.video_id, w.start, w.n_valid) for b in batches for w in b.windows]
    assert windows == [
        *[("a", start, 16) for start in (0, 8, 16, 24, 32, 40, 44)],
        *[("b", start, 16) for start in (0, 8, 9)],
        ("c", 0, 10),
    ]
    for batch in batches:
        assert batch.frames.shape[1:] == (16, 32, 32, 3)
        assert batch.frames.dtype == torch.uint8
        expected = np.stack([w.samples for w in batch.windows])
        assert np.array_equal(shown(batch.frames), expected)


def test_padding_repeats_the_last_frame_and_is_masked(videos: list[VideoRecord]) -> None:
    loader = make_loader(TestWindows(videos[2:], data(), overlap=0.5), batch=4, workers=0)
    (batch,) = loader
    assert shown(batch.frames)[0].tolist() == [*range(10)] + [9] * 6
    assert batch.mask.tolist() == [[True] * 5 + [False] * 3]
    assert batch.segments[0].tolist() == [[1.0, 3.5], [4.5, 5.0]]
    assert batch.labels[0].tolist() == [1, 0]


def test_training_windows_show_contiguous_samples_and_repeat(videos: list[VideoRecord]) -> None:
    dataset = TrainingWindows(videos, still_data(), seed=3)
    assert len(dataset) == 9
    for key in [(0, 0), (0, 4), (7, 8)]:
        item = dataset[key]
        assert np.array_equal(shown(item.frames), item.window.samples)
        assert torch.equal(item.frames, dataset[key].frames)
    assert [dataset[0, i].window.video_id for i in (0, 2, 3, 8)] == ["a", "a", "b", "c"]


def test_each_epoch_and_each_index_has_its_own_draw(videos: list[VideoRecord]) -> None:
    dataset = TrainingWindows(videos[:1], data(per_video=4), seed=3)
    pictures = [dataset[epoch, i].frames.flatten().tolist() for epoch in (0, 1) for i in range(4)]
    assert len({tuple(p) for p in pictures}) == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_augmenting_on_the_device_gives_the_same_windows(
    videos: list[VideoRecord], workers: int
) -> None:
    """On a CPU bit for bit, whatever the precision around it."""
    every = data().model_copy(update={"augment": data().augment.model_copy(update={"flip": 0.5})})
    plain, later = (
        kind(videos, every, seed=3).loader(batch=2, workers=workers, seed=11)
        for kind in (TrainingWindows, DeviceWindows)
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = [batch.to("cpu", non_blocking=True) for batch in later]
    assert fingerprint(found) == fingerprint(plain)
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(found, plain, strict=True))


def test_until_the_device_only_the_box_travels_as_bytes(videos: list[VideoRecord]) -> None:
    dataset = DeviceWindows(videos, data(), seed=3)
    item = dataset[0, 0]
    height, width = item.augmentation.box[2:]
    assert item.frames.shape == (16, height, width, 3)
    assert item.frames.dtype == torch.uint8
    assert item.frames.untyped_storage().nbytes() == 16 * height * width * 3
    batch = next(iter(dataset.loader(batch=2, workers=0, seed=0)))
    assert len(batch.names) == len(batch.cuts) == 2
    assert batch.rest.frames.numel() == 0


@pytest.mark.parametrize(("device", "kind"), [("cpu", TrainingWindows), ("cuda", DeviceWindows)])
def test_only_a_gpu_augments(
    videos: list[VideoRecord], device: str, kind: type[TrainingWindows]
) -> None:
    assert type(training_windows(videos, data(), 0, torch.device(device))) is kind


def test_source_indices_say_which_frames_are_samples(videos: list[VideoRecord]) -> None:
    every_third = VideoRecord(
        video_id="a",
        path=videos[0].path,
        n_samples=20,
        rate=10 / 3,
        duration=6.0,
        segments_seconds=np.zeros((0, 2)),
        labels=np.zeros(0, np.int64),
        source_indices=np.arange(0, 60, 3),
    )
    frames = TestWindows([every_third], data(), overlap=0.0)[1].frames
    assert shown(frames).tolist() == list(range(12, 60, 3))


def test_batches_do_not_depend_on_the_number_of_workers(videos: list[VideoRecord]) -> None:
    epochs = (0, 1, 5)
    seen = {}
    for workers in (0, 1, 2):
        dataset = TrainingWindows(videos, data(), seed=3)
        loader = make_loader(dataset, batch=2, workers=workers, shuffle_seed=11)
        seen[workers] = []
        for epoch in epochs:
            dataset.set_epoch(epoch)
            seen[workers].append(fingerprint(loader))
        testing = make_loader(TestWindows(videos, data(), 0.5), batch=3, workers=workers)
        seen[workers].append(fingerprint(testing))
    assert seen[0] == seen[1] == seen[2]
    first, second, third, _ = seen[0]
    assert first != second != third
    names = [[name for batch in epoch for name in batch[0]] for epoch in (first, second, third)]
    assert all(sorted(epoch) == sorted("abc" * 3) for epoch in names)
    assert names[0] != names[1]


def test_reading_leaves_the_global_generators_alone(videos: list[VideoRecord]) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    list(make_loader(TrainingWindows(videos, data(), seed=3), batch=2, workers=0, shuffle_seed=1))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_order_follows_the_shuffle_seed_and_content_the_dataset_seed(
    videos: list[VideoRecord],
) -> None:
    def starts(loader: DataLoader) -> list[int]:
        return [w.start for batch in loader for w in batch.windows]

    dataset = TrainingWindows(videos, still_data(), seed=3)
    one, two = (starts(dataset.loader(batch=2, workers=0, seed=seed)) for seed in (1, 2))
    assert one != two
    assert sorted(one) == sorted(two)
    other = TrainingWindows(videos, still_data(), seed=4)
    assert sorted(starts(other.loader(batch=2, workers=0, seed=1))) != sorted(one)


def test_a_batch_moves_as_a_whole(videos: list[VideoRecord]) -> None:
    batch = next(iter(make_loader(TestWindows(videos, data(), 0.5), batch=2, workers=0)))
    moved = batch.to("meta", non_blocking=True)
    tensors = [moved.frames, moved.mask, *moved.segments, *moved.labels]
    assert {t.device.type for t in tensors} == {"meta"}
    assert moved.windows == batch.windows


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_named(videos: list[VideoRecord], tmp_path: Path, workers: int) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(Path(videos[0].path).read_bytes()[:300])
    broken = VideoRecord("lost", str(torn), 60, 10.0, 6.0, np.array([[0.0, 1.0]]), np.array([0]))
    dataset = TestWindows([broken], data(), 0.5)
    kind = DecodeError if workers == 0 else RuntimeError
    with pytest.raises(kind, match=r"torn\.mp4.*video 'lost', samples 0 to 15"):
        list(make_loader(dataset, batch=1, workers=workers))


def test_videos_without_actions_are_not_trained_on(videos: list[VideoRecord]) -> None:
    empty = VideoRecord(
        "empty", videos[0].path, 60, 10.0, 6.0, np.zeros((0, 2)), np.zeros(0, np.int64)
    )
    assert len(TrainingWindows([*videos, empty], data(), seed=0)) == 9
    with pytest.raises(ValueError, match="none of the 1 training videos has an action"):
        TrainingWindows([empty], data(), seed=0)


def test_test_windows_are_never_shuffled(videos: list[VideoRecord]) -> None:
    with pytest.raises(ValueError, match="read in order"):
        make_loader(TestWindows(videos, data(), 0.5), batch=1, workers=0, shuffle_seed=1)
