"""The memory and disk that a whole job will take, from what one window took."""

from typing import NamedTuple

from tad_blockdrop.config import Parameters
from tad_blockdrop.preflight.stages import Machine
from tad_blockdrop.preflight.work import Measured, Work

SAFE_SHARE = 0.9  # of memory and disk that a job may be predicted to fill


def repair_clips(work: Work, settings: Parameters) -> int:
    """How many clips a repair looks at, at most."""
    frames = settings.data.window.frames
    clips = work.calibrating * (frames // settings.detector.backbone.geometry.clip_frames)
    return min(settings.compress.repair.clips, clips)


def repair_states(clips: int, settings: Parameters, devices: int = 1) -> float:
    """Bytes of main memory that a repair keeps: its clips, and states of them in float32.

    These are three, one more where an attention may be gone, and one more where it may take heads;
    of all devices together. Where there are several, clips are with who read them and with who
    works on them.
    """
    geometry, crop = settings.detector.backbone.geometry, settings.data.window.crop
    compress = settings.compress
    alone = compress.unit in ("attention", "sublayer")
    n_states = 3 + alone + (compress.repair.donors > 0)
    states = 4 * n_states * geometry.tokens(crop) * geometry.width
    return float(clips * (states + min(devices, 2) * 3 * geometry.clip_frames * crop**2))


def cached_videos(decoded: float, settings: Parameters, devices: int = 1) -> float:
    """Bytes of main memory that ``data.cache`` takes, from those of all videos decoded once.

    Each process that reads windows keeps its own: ``runtime.workers`` of every device, or itself.
    """
    processes = devices * max(1, settings.runtime.workers)
    return decoded * processes if settings.data.cache else 0.0


def training_memory(
    measured: Measured, windows: int, machine: Machine, settings: Parameters
) -> float:
    """Bytes that each device needs for a step of so many windows, of which it keeps its part."""
    clips = settings.data.window.frames // settings.detector.backbone.geometry.clip_frames
    passing = max(measured.memory - measured.held, 0.0)
    return measured.held + passing * machine.share_of_step(windows, clips)


def disk_needed(proxies: float, weights: float, settings: Parameters, devices: int = 1) -> float:
    """Bytes, from those of all proxies and of one model.

    A checkpoint per step, the uncompressed and the final one, the state of a run under way
    (weights, their average, two moments), and what several devices are given (two) and give back.
    """
    controls = len(settings.compress.recipes) if settings.report.control else 0
    given = 3 if devices > 1 else 0
    return proxies + weights * (settings.compress.n_drops + controls + 2 + 4 + given)


class Room(NamedTuple):
    """Bytes that are ``needed``, and those that are ``there``."""

    needed: float
    there: float

    @property
    def short(self) -> bool:
        """Whether it is too little, or nearly so."""
        return self.needed > SAFE_SHARE * self.there


def obstacles(memory: Room, disk: Room, repair: Room, cache: Room) -> list[str]:
    """Where memory or disk are too small, and what to do about it.

    ``memory``: where the model runs; ``repair``: what a repair takes of the main memory; ``cache``:
    what the job takes there with the videos that ``data.cache`` keeps, 0 without.
    """
    found = []
    if cache.short:
        found.append(
            f"main memory: with decoded videos, which each process that reads keeps for itself, "
            f"the job needs {size(cache.needed)} of {size(cache.there)}: set data.cache to false"
        )
    if repair.short:
        found.append(
            f"main memory: a repair needs {size(repair.needed)} of {size(repair.there)}: lower "
            "compress.repair.clips"
        )
    if memory.short:
        found.append(
            f"memory: the job needs {size(memory.needed)} of {size(memory.there)}: set "
            "detector.backbone.checkpointing to true, or lower batch and raise accumulate in "
            "baseline.train, compress.first and compress.later"
        )
    if disk.short:
        found.append(
            f"disk: proxies and checkpoints need {size(disk.needed)}, {size(disk.there)} are free: "
            "make room, link data/ to another disk, set data.proxy.store to h264 or raise its crf, "
            "or set data.proxy to null"
        )
    return found


def size(n_bytes: float) -> str:
    """Bytes for people."""
    return f"{n_bytes / 1e9:.1f} GB"
