"""Rows of reading training windows: 768 frames at 320 x 180, by how frames are stored and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Row, in_turns, ratio

FRAMES, LENGTH, KEYS, SINGLE = 768, 3500, 3, 16
HEIGHT, WIDTH = 180, 320
STORES = ("h264", "jpeg")
PART, SPREAD, OWN = "4 data", "768 frames of 3,500", "a proxy of just these"

Files = dict[tuple[str, int | None], Path]  # by store, and how many frames are kept


def loader(repeats: int) -> list[Row]:
    """Decoding alone, then all that a loader does; decord is what was used before."""
    from tad_blockdrop.config.data import ProxyConfig
    from tad_blockdrop.video.files.proxies import write_proxy
    from tad_blockdrop.video.files.sampling import Sampling

    with TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        write_source(source, LENGTH)
        files: Files = {}
        for store in STORES:
            for kept in (None, FRAMES):
                path = files[store, kept] = Path(folder, f"{store}{kept}.mp4")
                config = ProxyConfig(store=store, short_side=HEIGHT)
                write_proxy(source, path, Sampling(every=1), config, kept=kept)
        return [
            *_decoding(files, repeats),
            *_windows(files, repeats, "sliding"),
            *_windows(files, repeats, "resize"),
        ]


def write_source(path: Path, length: int) -> None:
    """A drifting texture, made here, of as many bytes a frame as real videos: see the row on disk.

    Five real ones took 1.1 to 3.2 kB (H.264) and 10 to 18 kB (JPEG) a frame at this size.
    """
    import av
    from av.video.frame import VideoFrame

    random = np.random.default_rng(0)
    ways = random.normal(0, 1, (HEIGHT * 2, WIDTH * 2, 3)).cumsum(0).cumsum(1)
    ways = (ways - ways.min((0, 1))) / np.ptp(ways, (0, 1)) * 200
    texture = (ways + random.normal(0, 5, ways.shape)).astype(np.float32)
    options = {"crf": "12", "g": "30", "preset": "veryfast"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(length):
            y, x = (round(side / 2 * (1 + np.sin(number / slow)))
                    for side, slow in ((HEIGHT, 37), (WIDTH, 91)))  # fmt: skip
            cut = texture[y : y + HEIGHT, x : x + WIDTH]
            grain = 1.5 * random.standard_normal((HEIGHT, WIDTH, 1), np.float32)
            picture = (cut + grain).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _decoding(files: Files, repeats: int) -> list[Row]:
    """Windows, evenly spread frames, all frames one after the other, and single frames."""
    from tad_blockdrop.video.files.decode import read_frames

    whole, pictures = files["h264", None], files["jpeg", None]
    readers: dict[str, Callable[[Path, Any], Any]] = {"decord": _decord, "PyAV": read_frames}
    if _torchcodec_works():
        readers["torchcodec"] = _torchcodec
    alone = np.sort(np.random.default_rng(0).choice(LENGTH, SINGLE, replace=False))
    wanted = {
        "768 frames in a row": [np.arange(1111, 1111 + FRAMES)],
        SPREAD: [np.linspace(0, LENGTH - 1, FRAMES).astype(int)],
        "all 3,500, in sevenths": np.split(np.arange(LENGTH), 7),
        f"{SINGLE} at random, one by one": alone[:, None],
    }
    rows = []
    for what, asked in wanted.items():
        calls = {name: _reading(read, whole, asked) for name, read in readers.items()}
        calls["jpeg"] = _reading(read_frames, pictures, asked)
        if what == SPREAD:
            for store in STORES:
                own = files[store, FRAMES]
                calls[f"{store}, {OWN}"] = _reading(read_frames, own, [np.arange(FRAMES)])
        spent = in_turns(calls, repeats)
        rows += [
            Row(PART, f"decode {what}: {name}", mine.cpu, ratio(spent["decord"], mine),
                "decord, which read H.264 before", ">= 4.7" if name == f"h264, {OWN}" else "")
            for name, mine in spent.items()
        ]  # fmt: skip
    sizes = [
        f"{store} {files[store, kept].stat().st_size / (kept or LENGTH) / 1e3:.1f} kB"
        + (f" with {OWN}" if kept else "")
        for kept in (None, FRAMES)
        for store in STORES
    ]
    return [*rows, Row(PART, "disk a frame", note=", ".join(sizes))]


def _reading(
    read: Callable[[Path, Any], Any], path: Path, asked: Sequence[Any]
) -> Callable[[], None]:
    def all_of_it() -> None:
        for indices in asked:
            read(path, indices)

    return all_of_it


def _windows(files: Files, repeats: int, kind: str) -> list[Row]:
    """All that a loader does for training windows, sliding ones or videos resized to one."""
    import torch

    from tad_blockdrop.config import DataConfig
    from tad_blockdrop.video.windows.augment import augment
    from tad_blockdrop.video.windows.batches import collate
    from tad_blockdrop.video.windows.cutting import VideoRecord, training_window
    from tad_blockdrop.video.windows.device import DeviceWindows, join_cut
    from tad_blockdrop.video.windows.loading import TrainingWindows

    window = {"kind": kind, "frames": FRAMES, "grid": FRAMES, "crop": 160, "short_side": 160}
    data = DataConfig.model_validate({"every": 1, "window": window})

    def record(store: str, kept: int | None) -> VideoRecord:
        action = np.array([[10.0, 100.0]])
        path = str(files[store, kept])
        labels = np.zeros(1, np.int64)
        return VideoRecord("v", path, LENGTH, 30.0, LENGTH / 30, action, labels, kept=kept)

    def before() -> None:
        video = record("h264", None)
        for epoch in range(KEYS):
            rng = np.random.default_rng((0, epoch, 0))
            cut = training_window(video, data.window, rng)
            frames = torch.from_numpy(_decord(Path(video.path), cut.samples))
            torch.stack([augment(frames, data.window.crop, data.augment, rng)])

    def now(store: str, windows: Any, join: Any) -> Callable[[], None]:
        dataset = windows([record(store, data.window.kept)], data, 0)

        def read() -> None:
            for epoch in range(KEYS):
                join([dataset[epoch, 0]])

        return read

    calls = {"as before: decord, H.264, augmented by the loader": before}
    for store in STORES:
        calls[f"{store}, augmented by the loader"] = now(store, TrainingWindows, collate)
        calls[f"{store}, augmented by a GPU"] = now(store, DeviceWindows, join_cut)
    spent = in_turns(calls, repeats)
    first = next(iter(spent.values()))
    target = {("sliding", "jpeg, augmented by a GPU"): ">= 5.2"}
    return [
        Row(PART, f"a training window ({kind}): {which}", mine.cpu / KEYS, ratio(first, mine),
            "as before", target.get((kind, which), ""))
        for which, mine in spent.items()
    ]  # fmt: skip


def _decord(path: Path, indices: Any) -> Any:
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(indices).asnumpy()


def _torchcodec_works() -> bool:
    """Whether it is installed, and finds FFmpeg's libraries."""
    if find_spec("torchcodec") is None:
        return False
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError):
        return False
    return True


def _torchcodec(path: Path, indices: Any) -> Any:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, dimension_order="NHWC")
    return decoder.get_frames_at(indices.tolist()).data.numpy()
