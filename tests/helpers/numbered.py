"""Videos for tests whose every frame carries its number, as a row of black and white bars."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

BITS = 8  # frames are numbered up to 255
HEIGHT, WIDTH = 48, 96

Picture = NDArray[np.uint8]


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """The upper half shows the number, most significant bit first; the lower half is grey."""
    image = np.full((height, width, 3), 110, np.uint8)
    for bit in range(BITS):
        left, right = (round(width * edge / BITS) for edge in (bit, bit + 1))
        image[: height // 2, left:right] = 235 if number >> (BITS - 1 - bit) & 1 else 20
    return image


def number_of(image: Picture) -> int:
    """The number that a decoded frame shows; AssertionError if it cannot be told."""
    height, width = image.shape[:2]
    centres = [round(width * (bit + 0.5) / BITS) for bit in range(BITS)]
    values = image[height // 4, centres].mean(axis=-1)
    assert np.all((values < 90) | (values > 165)), f"unreadable: {values}"
    return int(sum((value > 128) << (BITS - 1 - bit) for bit, value in enumerate(values)))


def numbers(frames: Picture) -> list[int]:
    """The numbers of frames (n, H, W, 3)."""
    return [number_of(frame) for frame in frames]


def write_numbered(
    path: Path,
    frames: int,
    fps: Fraction | float = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    milliseconds: Sequence[int] | None = None,
    rotation: int = 0,
    mirror: bool = False,
    muxer: str | None = None,
    pixels: str = "yuv420p",
    shape: Fraction | None = None,
    lost: Collection[int] = (),
) -> Path:
    """A video of that many numbered frames; ``milliseconds``: when each is shown, else by ``fps``.

    ``rotation``: degrees counter-clockwise that a player must turn it by, and ``mirror`` then,
    left for right. ``muxer``: ffmpeg's name of the format, else by the ending.
    ``shape``: width over height of its pixels. ``lost``: frames that are left out.
    """
    rate = Fraction(fps).limit_denominator(1001)
    tick = Fraction(1, 1000) if milliseconds else 1 / rate
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"g": "12"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else pixels
        stream.codec_context.time_base = tick
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        for number in range(frames):
            if number in lost:
                continue
            frame = VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts = milliseconds[number] if milliseconds else number
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_photos(folder: Path, orientations: Sequence[int]) -> Path:
    """``img_1.png`` and so on, which say by the number of EXIF how a camera was held."""
    folder.mkdir(exist_ok=True)
    for number, orientation in enumerate(orientations, 1):
        exif = Image.Exif()
        exif[0x112] = orientation
        Image.fromarray(picture(number)).save(folder / f"img_{number}.png", exif=exif)
    return folder
