"""Rows of reading training windows: 768 frames at 320 x 180, by how frames are stored and read."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measuring import Row, in_turns, ratio

FRAMES, LENGTH, KEYS = 768, 3500, 4
HEIGHT, WIDTH = 180, 320
PART = "4 data"


def loader(repeats: int) -> list[Row]:
    """Decoding alone, then all that a loader does; decord is what was used before."""
    from tad_blockdrop.config.data import ProxyConfig
    from tad_blockdrop.video.files.proxies import write_proxy
    from tad_blockdrop.video.files.sampling import Sampling

    with TemporaryDirectory() as folder:
        source = Path(folder, "source.mp4")
        _write_source(source)
        files = {}
        for store in ("h264", "jpeg"):
            for kept in (None, FRAMES):
                path = files[store, kept] = Path(folder, f"{store}{kept}.mp4")
                config = ProxyConfig(store=store, short_side=HEIGHT)
                write_proxy(source, path, Sampling(every=1), config, kept=kept)
        return _decoding(files, repeats) + _windows(files, repeats)


def _write_source(path: Path) -> None:
    """A drifting texture, as fine and as noisy as usual pictures: not copied, made here."""
    import av
    from av.video.frame import VideoFrame

    random = np.random.default_rng(0)
    ways = random.normal(0, 1, (HEIGHT * 2, WIDTH * 2, 3)).cumsum(0).cumsum(1)
    ways = (ways - ways.min((0, 1))) / np.ptp(ways, (0, 1)) * 200
    fine = random.normal(0, 12, ways.shape)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "12", "g": "30"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number in range(LENGTH):
            y, x = (round(side / 2 * (1 + np.sin(number / slow)))
                    for side, slow in ((HEIGHT, 37), (WIDTH, 91)))  # fmt: skip
            cut = (ways + fine)[y : y + HEIGHT, x : x + WIDTH]
            grain = random.normal(0, 3, (HEIGHT, WIDTH, 1))
            picture = (cut + grain).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _decoding(files: dict[Any, Path], repeats: int) -> list[Row]:
    from tad_blockdrop.video.files.decode import read_frames

    row, evenly = np.arange(1111, 1111 + FRAMES), np.linspace(0, LENGTH - 1, FRAMES).astype(int)
    whole = files["h264", None]
    readers: dict[str, Callable[[Path, Any], Any]] = {"decord": _decord, "PyAV": read_frames}
    if _torchcodec_works():
        readers["torchcodec"] = _torchcodec
    rows = []
    for what, indices in (("in a row", row), ("of 3,500", evenly)):
        calls = {
            name: lambda read=read, indices=indices: read(whole, indices)
            for name, read in readers.items()
        }
        calls["jpeg"] = lambda indices=indices: read_frames(files["jpeg", None], indices)
        if what == "of 3,500":
            for store in ("h264", "jpeg"):
                own = files[store, FRAMES]
                calls[f"{store}, a proxy of just these"] = lambda own=own: read_frames(
                    own, np.arange(FRAMES)
                )
        spent = in_turns(calls, repeats)
        rows += [
            Row(PART, f"decode 768 frames {what}: {name}", mine.cpu, ratio(spent["decord"], mine),
                "decord, which read H.264 before")
            for name, mine in spent.items()
        ]  # fmt: skip
    sizes = {store: files[store, None].stat().st_size / LENGTH for store in ("h264", "jpeg")}
    note = ", ".join(f"{store} {size / 1e3:.1f} kB" for store, size in sizes.items())
    return [*rows, Row(PART, "disk a frame", note=note)]


def _windows(files: dict[Any, Path], repeats: int) -> list[Row]:
    import torch

    from tad_blockdrop.config import DataConfig
    from tad_blockdrop.video.windows.augment import augment
    from tad_blockdrop.video.windows.cutting import VideoRecord, training_window
    from tad_blockdrop.video.windows.device import DeviceWindows, join_cut
    from tad_blockdrop.video.windows.loading import TrainingWindows, collate

    window = {"frames": FRAMES, "grid": FRAMES, "crop": 160, "short_side": 160}
    data = DataConfig.model_validate({"every": 1, "window": window})

    def record(store: str) -> VideoRecord:
        action = np.array([[10.0, 100.0]])
        path = str(files[store, None])
        return VideoRecord("v", path, LENGTH, 30.0, LENGTH / 30, action, np.zeros(1, np.int64))

    def before() -> None:
        video = record("h264")
        for epoch in range(KEYS):
            rng = np.random.default_rng((0, epoch, 0))
            cut = training_window(video, data.window, rng)
            frames = torch.from_numpy(_decord(Path(video.path), cut.samples))
            torch.stack([augment(frames, data.window.crop, data.augment, rng)])

    def now(store: str, kind: Any, join: Any) -> Callable[[], None]:
        dataset = kind([record(store)], data, 0)

        def read() -> None:
            for epoch in range(KEYS):
                join([dataset[epoch, 0]])

        return read

    calls = {"as before: decord, H.264": before}
    for store in ("h264", "jpeg"):
        calls[f"{store}, augmented by the loader"] = now(store, TrainingWindows, collate)
        calls[f"{store}, augmented by a GPU"] = now(store, DeviceWindows, join_cut)
    spent = in_turns(calls, repeats)
    first = next(iter(spent.values()))
    return [
        Row(PART, f"a training window: {name}", mine.cpu / KEYS, ratio(first, mine),
            "as before", ">= 5.2" if name == "jpeg, augmented by a GPU" else "")
        for name, mine in spent.items()
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
