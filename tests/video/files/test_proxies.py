"""Proxies: frame i is sample i, small, seekable, and the same bytes every time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered import numbers, write_numbered

from tad_blockdrop.config.data import ProxyConfig
from tad_blockdrop.video.files.container import DecodeError
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import probe
from tad_blockdrop.video.files.proxies import proxy_size, source_fingerprint, write_proxy
from tad_blockdrop.video.files.sampling import Sampling

NTSC = Fraction(30000, 1001)


def shown_by(proxy: Path) -> list[int]:
    return numbers(read_frames(proxy, np.arange(probe(proxy).n_frames)))


JPEG = ProxyConfig(store="jpeg")


@pytest.mark.parametrize("config", [ProxyConfig(), JPEG], ids=["h264", "jpeg"])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_every_kth_frame(tmp_path: Path, every: int, suffix: str, config: ProxyConfig) -> None:
    source = write_numbered(tmp_path / f"source.{suffix}", 50, NTSC)
    proxy = tmp_path / "proxy.tmp"
    facts = write_proxy(source, proxy, Sampling(every), config)
    assert shown_by(proxy) == list(range(0, 50, every))
    assert facts["n_samples"] == len(range(0, 50, every))
    assert facts["rate"] == pytest.approx(float(NTSC) / every, rel=1e-4)
    assert (facts["n_frames"], facts["duration"]) == (50, pytest.approx(50 / float(NTSC), rel=1e-4))
    assert probe(proxy).fps == pytest.approx(facts["rate"], rel=1e-4)
    assert not probe(proxy).variable_rate


@pytest.mark.parametrize(("kept", "wanted"), [(4, [0, 16, 32, 48]), (25, [*range(0, 50, 2)])])
def test_some_of_the_samples_evenly_spaced(tmp_path: Path, kept: int, wanted: list[int]) -> None:
    source = write_numbered(tmp_path / "source.mp4", 50)
    proxy = tmp_path / "proxy.mp4"
    facts = write_proxy(source, proxy, Sampling(every=2), ProxyConfig(), kept=kept)
    assert shown_by(proxy) == wanted
    assert facts["n_samples"] == kept
    assert facts["duration"] == pytest.approx(2.0)  # of its source
    assert facts["rate"] == pytest.approx(kept / 2.0)
    write_proxy(source, proxy, Sampling(every=2), ProxyConfig(), kept=99)
    assert shown_by(proxy) == list(range(0, 50, 2))


@pytest.mark.parametrize("fps", [24, 25, NTSC, 30, 60])
def test_a_target_rate_for_mixed_videos(tmp_path: Path, fps: Fraction | int) -> None:
    source = write_numbered(tmp_path / "source.mkv", 60, fps)
    proxy = tmp_path / "proxy.mp4"
    facts = write_proxy(source, proxy, Sampling(fps=10), ProxyConfig())
    wanted = []
    while (frame := len(wanted) * Fraction(fps) // 10) < 60:
        wanted.append(int(frame))
    assert shown_by(proxy) == wanted
    assert facts["rate"] == 10


def test_variable_rate_is_sampled_by_timestamps(tmp_path: Path) -> None:
    shown = [0, 40, 80, 480, 520, 560, 960]
    source = write_numbered(tmp_path / "source.mp4", 7, milliseconds=shown)
    proxy = tmp_path / "proxy.mp4"
    # every second frame means half the mean rate, not every second index
    for sampling in (Sampling(fps=10.0), Sampling(every=2)):
        facts = write_proxy(source, proxy, sampling, ProxyConfig())
        seconds = np.arange(facts["n_samples"]) / facts["rate"]
        wanted = [max(n for n in range(7) if shown[n] <= 1000 * second) for second in seconds]
        assert shown_by(proxy) == wanted
        assert seconds[-1] < facts["duration"] <= seconds[-1] + 1 / facts["rate"]
        assert facts["rate"] == sampling.rate(facts["fps"])


def test_proxies_are_small_upright_and_even(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mp4", 6, size=(200, 322), rotation=90)
    proxy = tmp_path / "proxy.mp4"
    facts = write_proxy(source, proxy, Sampling(every=1), ProxyConfig(short_side=101))
    seen = probe(proxy)
    assert (facts["height"], facts["width"]) == (seen.height, seen.width) == (162, 100)
    assert seen.rotation == 0
    upright = np.rot90(read_frames(source, [5])[0], k=-1)  # back to where the number is read
    turned = np.rot90(read_frames(proxy, [5])[0], k=-1)
    assert numbers(np.stack([turned])) == numbers(np.stack([upright])) == [5]


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1080, 1920), (182, 324)),
        ((1920, 1080), (324, 182)),
        ((96, 128), (96, 128)),  # never enlarged
        ((97, 129), (96, 128)),
        ((1, 1), (16, 16)),
    ],
)
def test_sizes(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert proxy_size(size, 182) == wanted


@pytest.mark.parametrize(
    "config", [ProxyConfig(crf=4), ProxyConfig(store="jpeg", quality=97)], ids=["h264", "jpeg"]
)
def test_brightness_and_colour_stay(tmp_path: Path, config: ProxyConfig) -> None:
    source = write_numbered(tmp_path / "source.mp4", 4, size=(96, 192))
    proxy = tmp_path / "proxy.mp4"
    write_proxy(source, proxy, Sampling(every=1), config)
    difference = read_frames(source, range(4)).astype(int) - read_frames(proxy, range(4))
    assert np.abs(difference).mean() < 2


def test_key_frames_come_as_configured_and_nothing_is_reordered(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mp4", 40)
    proxy = tmp_path / "proxy.mp4"
    write_proxy(source, proxy, Sampling(every=1), ProxyConfig(gop=8))
    with av.open(str(proxy)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 8, 16, 24, 32]
    assert all(packet.pts == packet.dts for packet in packets)


@pytest.mark.parametrize("config", [ProxyConfig(), JPEG], ids=["h264", "jpeg"])
def test_the_same_source_gives_the_same_bytes(tmp_path: Path, config: ProxyConfig) -> None:
    source = write_numbered(tmp_path / "source.mp4", 30)
    copies = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    for copy in copies:
        write_proxy(source, copy, Sampling(every=2), config)
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_jpeg_proxies_are_small_upright_and_even_too(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mp4", 6, size=(200, 322), rotation=90)
    sizes = []
    for quality in (60, 95):
        config = ProxyConfig(store="jpeg", short_side=101, quality=quality)
        facts = write_proxy(source, tmp_path / "proxy.mp4", Sampling(every=1), config)
        assert (facts["height"], facts["width"]) == (162, 100)
        turned = np.rot90(read_frames(tmp_path / "proxy.mp4", [5])[0], k=-1)
        assert numbers(np.stack([turned])) == [5]
        sizes.append((tmp_path / "proxy.mp4").stat().st_size)
    assert sizes[0] < sizes[1]


def test_what_does_not_change_a_proxy_does_not_make_it_again() -> None:
    # As in the stamps of proxies from before there was a choice.
    assert ProxyConfig(quality=50).recipe == '{"short_side":182,"gop":16,"crf":18}'
    assert ProxyConfig(store="jpeg", gop=4, crf=3).recipe == JPEG.recipe
    assert JPEG.recipe != ProxyConfig(store="jpeg", quality=50).recipe != ProxyConfig().recipe


def test_damage_is_an_error_not_a_shorter_proxy(tmp_path: Path) -> None:
    source = write_numbered(tmp_path / "source.mkv", 100)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 3])
    with pytest.raises(DecodeError, match=r"source\.mkv"):
        write_proxy(source, tmp_path / "proxy.mp4", Sampling(every=1), ProxyConfig())


def test_fingerprints_see_either_end(tmp_path: Path) -> None:
    file = tmp_path / "video.mp4"
    content = bytearray(3 << 20)
    file.write_bytes(content)
    prints = {source_fingerprint(file)}
    for position in (0, len(content) - 1):
        content[position] ^= 1
        file.write_bytes(content)
        prints.add(source_fingerprint(file))
    file.write_bytes(content + b"\0")
    prints.add(source_fingerprint(file))
    assert len(prints) == 4
    file.write_bytes(b"tiny")
    assert source_fingerprint(file) == source_fingerprint(file)
