"""A corpus of broken videos: each is read or refused with a sentence, soon and in little memory.

All run in one process of their own, whose memory and whose CPU time for each file are limited.
"""

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits and alarms")

MEMORY = 3 << 30  # bytes of address space; libraries alone take half of one gigabyte
SECONDS = 30  # of CPU time, for one file

JPEG_SIZE = b"\xff\xc0\x00\x11\x08"  # what stands before height and width of a JPEG picture

USE = """
import json, resource, signal, sys
from pathlib import Path
from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import probe
from tad_blockdrop.video.files.proxies import write_proxy
from tad_blockdrop.video.files.sampling import Sampling

memory, seconds, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
for file in sorted(folder.iterdir()):
    print(json.dumps([file.name, "begun", ""]), flush=True)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        facts = probe(file)
        read_frames(file, [0, facts.n_frames - 1])
        write_proxy(file, folder.parent / "proxy.mp4", Sampling(1), ProxyConfig(short_side=32))
        told = ["read", f"{facts.n_frames} frames"]
    except BlockDropError as error:
        told = ["refused", str(error)]
    except BaseException as error:
        told = ["crashed", repr(error)]
    signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps([file.name, *told]), flush=True)
"""


def write(path: Path, codec: str, pixel: str, frames: int = 40, size: int = 64) -> bytes:
    """A moving square; returns the bytes of the file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width = stream.height = size
        stream.pix_fmt = pixel
        for number in range(frames):
            pixels = np.full((size, size, 3), 40, np.uint8)
            pixels[10:30, number % 30 : number % 30 + 20] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def write_sound(path: Path) -> None:
    """Half a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        for start in range(0, 8192, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """With ``value`` written ``offset`` bytes after each ``mark``."""
    changed = bytearray(content)
    places = [found.start() for found in re.finditer(re.escape(mark), content)]
    assert places, mark
    for place in places:
        changed[place + offset : place + offset + len(value)] = value
    return bytes(changed)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of broken videos."""
    folder = tmp_path_factory.mktemp("hostile") / "videos"
    folder.mkdir()
    mp4 = write(folder / "whole.mp4", "libx264", "yuv420p")
    mkv = write(folder / "whole.mkv", "libx264", "yuv420p")
    avi = write(folder / "whole.avi", "mjpeg", "yuvj420p")
    write(folder / "one_frame.mp4", "libx264", "yuv420p", frames=1)
    write_sound(folder / "sound.mp4")
    for kind, content in (("mp4", mp4), ("mkv", mkv)):
        for part in range(20):
            cut = len(content) * (2 * part + 1) // 40
            (folder / f"cut_{part:02d}.{kind}").write_bytes(content[:cut])
    made: dict[str, bytes] = {
        "empty.mp4": b"",
        "text.mp4": b"no video\n" * 100,
        "page.mp4": b"<html><body>404 Not Found</body></html>",
        "zeros.mp4": bytes(100_000),
        "mp4_called.avi": mp4,
        "avi_called.mp4": avi,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        # sizes and counts that headers may claim
        "box_huge.mp4": patched(mp4, b"moov", -4, struct.pack(">I", 0xFFFFFFFF)),
        "box_64bit.mp4": patched(mp4, b"mdat", -4, struct.pack(">I", 1)),
        "samples_huge.mp4": patched(mp4, b"stsz", 12, struct.pack(">I", 0xFFFFFFFF)),
        "sample_size_huge.mp4": patched(mp4, b"stsz", 8, struct.pack(">I", 0x7FFFFFFF)),
        "chunks_huge.mp4": patched(mp4, b"stco", 8, struct.pack(">I", 0x7FFFFFFF)),
        "times_huge.mp4": patched(mp4, b"stts", 12, struct.pack(">II", 0x7FFFFFFF, 1)),
        "pixels_huge.mp4": patched(mp4, b"avc1", 28, struct.pack(">HH", 65535, 65535)),
        "duration_huge.mp4": patched(mp4, b"mdhd", 20, struct.pack(">I", 0xFFFFFFF0)),
        "scale_zero.mp4": patched(mp4, b"mdhd", 16, struct.pack(">I", 0)),
        "picture_huge.avi": patched(avi, JPEG_SIZE, 5, struct.pack(">HH", 65500, 65500)),
        "rate_zero.avi": patched(avi, b"avih", 8, struct.pack("<I", 0)),
        "size_huge.avi": patched(avi, b"avih", 40, struct.pack("<II", 1 << 30, 1 << 30)),
        "frame_huge.avi": patched(avi, b"00dc", 4, struct.pack("<I", 0x7FFFFFFF)),
        "segment_huge.mkv": patched(mkv, b"\x18\x53\x80\x67", 4, b"\x01" + b"\xff" * 7),
        "noise_inside.mp4": patched(
            mp4, b"mdat", len(mp4) // 4, np.random.default_rng(0).bytes(200)
        ),
    }  # fmt: skip
    for name, content in made.items():
        (folder / name).write_bytes(content)
    Image.new("RGB", (20, 20)).save(folder / "picture.png")
    (folder / "picture.png").rename(folder / "picture.mp4")
    return folder


@pytest.fixture(scope="module")
def outcomes(corpus: Path) -> dict[str, tuple[str, str]]:
    """What became of each file: read, refused or crashed, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", USE, str(MEMORY), str(SECONDS), str(corpus)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {name: (what, said) for name, what, said in lines}
    assert done.returncode == 0, f"{lines[-1]}: {done.stderr[-2000:]}"
    return found


def test_each_is_read_or_refused_in_words(corpus: Path, outcomes: dict) -> None:
    assert len(outcomes) == len(list(corpus.iterdir())) > 60
    crashed = {name: said for name, (what, said) in outcomes.items() if what not in HOW}
    assert not crashed
    for name, (what, said) in outcomes.items():
        assert what == "read" or name in said, f"{name}: the message does not name the file"


HOW = ("read", "refused")


@pytest.mark.parametrize(
    "name", ["whole.mp4", "whole.mkv", "whole.avi", "one_frame.mp4", "mp4_called.avi"]
)
def test_what_is_sound_is_read(outcomes: dict, name: str) -> None:
    assert outcomes[name][0] == "read"


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        (lambda name: name == "sound.mp4", "no video stream"),
        (lambda name: name == "empty.mp4", "empty"),
        (lambda name: name in ("text.mp4", "zeros.mp4", "page.mp4"), "not a video"),
        (lambda name: name in ("playlist.mp4", "concat.mp4"), "not a video"),
        (lambda name: re.match(r"cut_0\d\.", name), ""),
    ],
)
def test_what_is_none_is_refused(
    outcomes: dict, chosen: Callable[[str], bool], reason: str
) -> None:
    names = [name for name in outcomes if chosen(name)]
    assert names
    for name in names:
        assert outcomes[name][0] == "refused", name
        assert reason in outcomes[name][1], outcomes[name]
