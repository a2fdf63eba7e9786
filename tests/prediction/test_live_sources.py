"""Sources of every kind: opened for real, lost for real, and refused with a sentence."""

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import rtsp_server

from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.prediction.live import reading
from tad_blockdrop.prediction.live.reading import (
    TOO_SLOW,
    Alive,
    Ended,
    Message,
    WatchJob,
    read_source,
)
from tad_blockdrop.prediction.live.sources import (
    Source,
    SourceError,
    find_source,
    hide_user,
    open_source,
)
from tad_blockdrop.prediction.live.watching import Watch
from tad_blockdrop.prediction.predictor import Predictor, make_predictor
from tad_blockdrop.video.files.container import UNFINISHED

HOST = "127.0.0.1"


@pytest.fixture
def predictor(checkpoint: Checkpoint) -> Predictor:
    return make_predictor(checkpoint)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        return bound.getsockname()[1]


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ("0", "camera", "camera 0"),
        ("rtsp://me:secret@host:554/a", "stream", "rtsp://***@host:554/a"),
        ("rtsp://me:se@c:r@t@host:554/a", "stream", "rtsp://***@host:554/a"),
        ("RTSP://host/a@b", "stream", "RTSP://host/a@b"),
        (__file__, "file", __file__),
    ],
)
def test_what_a_source_is(given: str, kind: str, name: str) -> None:
    source = find_source(given)
    assert (source.kind, source.name) == (kind, name)
    assert source.live == (kind != "file")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "set watch.source"),
        ("file:///etc/passwd", "file://, which is not read"),
        ("concat://a", "concat://, which is not read"),
        ("no such.mp4", "there is no file no such.mp4"),
        (str(Path(__file__).parent), "predict takes folders"),
    ],
)
def test_what_is_no_source_is_said(given: str | None, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        find_source(given)


def test_passwords_are_not_said() -> None:
    port = free_port()
    with (
        pytest.raises(SourceError) as caught,
        open_source(find_source(f"http://me:secret@{HOST}:{port}/"), 5),
    ):
        pass
    assert str(caught.value) == (
        f"http://***@{HOST}:{port}/: it cannot be read (connection refused)"
    )
    said = hide_user("lost rtsp://a:b@c@d/e and http://f@g")
    assert said == "lost rtsp://***@d/e and http://***@g"


@pytest.mark.skipif(sys.platform != "linux", reason="cameras have files on Linux only")
def test_a_camera_that_is_not_there_is_said() -> None:
    with (
        pytest.raises(SourceError, match=r"camera 97: this machine has no /dev/video97; it"),
        open_source(Source("97", "camera"), 5),
    ):
        pass


@pytest.mark.parametrize(("system", "kind"), [("darwin", "avfoundation"), ("win32", "dshow")])
def test_a_machine_without_the_input_of_cameras_says_so(system, kind, monkeypatch) -> None:
    if kind in av.formats_available:
        pytest.skip("this PyAV has it")
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(SourceError, match=f"built without FFmpeg's input '{kind}'"):
        open_source(Source("0", "camera"), 5).__enter__()


def test_sound_alone_and_other_files_are_no_source(predictor, tmp_path) -> None:
    config = WatchConfig(timeout=0.2)
    text, sound = tmp_path / "a.mp4", tmp_path / "b.mp4"
    text.write_text("no video" * 100)
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for number in range(8):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for file, said in ((text, "not a video"), (sound, "it holds no video stream")):
        with pytest.raises(SourceError, match=said):
            list(Watch(predictor, find_source(str(file)), config, read=read_source).lines())


def test_half_an_mp4_is_said_to_be_no_more_than_that(write_video, tmp_path) -> None:
    half = write_video("half.mp4")
    half.write_bytes(half.read_bytes()[:2000])
    for age in (0, 3600):  # a file that was just written to is waited for
        os.utime(half, (time.time() - age,) * 2)
        with pytest.raises(SourceError) as caught, open_source(find_source(str(half)), 0.5):
            pass
        assert str(caught.value) == f"{half}: {UNFINISHED}"


def test_a_source_that_keeps_silent_is_said(predictor) -> None:
    """A server that accepts, and then says nothing."""
    with socket.create_server((HOST, 0)) as server:
        address = f"tcp://{HOST}:{server.getsockname()[1]}"
        with pytest.raises(SourceError, match=r"nothing came for 0\.2 s"):
            list(read_source(WatchJob(
                find_source(address), predictor.sampling, predictor.model.window, 0.2
            )))  # fmt: skip


def test_a_growing_file_is_followed_to_its_end(predictor, write_video, tmp_path) -> None:
    """Half of it is there at the beginning; the rest comes when nothing is left to be read."""
    whole = write_video("whole.ts", codec="mpeg2video", length=333)
    content = whole.read_bytes()
    growing = tmp_path / "growing.ts"
    growing.write_bytes(content[: len(content) // 2])
    later = time.time() + 3600  # so that a busy machine, too, takes it for one that grows
    os.utime(growing, (later, later))
    silences = []

    def read(job: WatchJob) -> Iterator[Message]:
        for message in read_source(job):
            if isinstance(message, Alive) and not silences:
                silences.append(message)
                with growing.open("ab") as file:
                    file.write(content[len(content) // 2 :])
            yield message

    config = WatchConfig(min_score=0.27, max_delay=1000, timeout=2.0)
    lines = list(Watch(predictor, find_source(str(growing)), config, read=read).lines())
    assert silences
    assert [line.event for line in lines if line.event != "detection"] == ["began", "ended"]
    found = sorted((x.start, x.end, x.score) for x in lines if x.event == "detection")
    expected = predictor.detect(whole, 0.27)[["start", "end", "score"]]
    np.testing.assert_allclose(found, expected.sort_values(["start", "end"]), rtol=1e-6)


def test_what_a_slow_machine_cannot_take_is_left_out_and_told(
    predictor, write_video, monkeypatch
) -> None:
    """Each picture comes ten seconds after the one before, as the clock of the test says."""
    clock = itertools.count(step=10.0)
    slow = SimpleNamespace(time=lambda: next(clock), monotonic=time.monotonic)
    monkeypatch.setattr(reading, "time", slow)
    video, port = write_video("video.ts", codec="mpeg2video", length=333), free_port()
    with serve(port, video) as server:
        source = find_source(f"tcp://{HOST}:{port}")
        job = WatchJob(source, predictor.sampling, predictor.model.window, 20.0)
        ends = []
        for message in read_source(job):
            if isinstance(message, Ended):
                ends.append(message)
                server.kill()
    assert ends[0].why == TOO_SLOW
    assert ends[0].duration < 33.3
    assert not any(end.over for end in ends)


TCP_SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    with open(sys.argv[3], "rb") as file:
        peer.sendfile(file)
    sys.stdin.read()  # keeps the connection open until it is killed
"""
RTSP_SERVER = Path(rtsp_server.__file__).read_text()


@contextmanager
def serve(port: int, video: Path, code: str = TCP_SERVER) -> Iterator[subprocess.Popen[str]]:
    """A process that sends a video to who asks, as fast as that takes it."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, HOST, str(port), str(video)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "ready\n" in process.stdout
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a port that is free again at once")
@pytest.mark.parametrize(("protocol", "code"), [("tcp", TCP_SERVER), ("rtsp", RTSP_SERVER)])
def test_a_server_that_dies_and_comes_back(
    protocol, code, predictor, write_video, monkeypatch
) -> None:
    """Killed at the first detection, and started again when its loss was told."""
    monkeypatch.setattr("tad_blockdrop.prediction.live.watching.FIRST_WAIT", 0.05)
    kind = {"name": "video.ts", "codec": "mpeg2video"} if protocol == "tcp" else {}
    video, port = write_video(length=333, size=(48, 64), **kind), free_port()
    config = WatchConfig(min_score=0.2, timeout=20.0)
    path = "" if protocol == "tcp" else f"/{video.name}"
    source = find_source(f"{protocol}://{HOST}:{port}{path}")
    lines = Watch(predictor, source, config, read=read_source).lines()
    told = []
    with serve(port, video, code) as server:
        for line in lines:
            told.append(line)
            if line.event == "detection" and server.poll() is None:
                server.kill()
                server.wait()
            if line.event == "lost":
                break
    with serve(port, video, code):
        told.append(next(lines))
        told.append(next(lines))
        lines.close()
    assert [line.event for line in told if line.event != "detection"] == ["began", "lost", "back"]
    lost, back = (next(x for x in told if x.event == event) for event in ("lost", "back"))
    assert told[-1].event == "detection"
    assert told[-1].start >= back.start >= lost.start
    assert told[-1].time == pytest.approx(told[0].time + told[-1].start)
