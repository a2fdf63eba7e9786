"""The report of a preflight: one window measured, the whole job predicted, and both in words."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from tad_blockdrop.config import Parameters
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics.cost import count_parameters, macs
from tad_blockdrop.preflight import forecast, measuring
from tad_blockdrop.preflight.forecast import Room, size
from tad_blockdrop.preflight.stages import Machine, hours_of, narrowest, predict
from tad_blockdrop.preflight.work import OneWindow, Work, kept_samples
from tad_blockdrop.runtime.devices import cores_here
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.proxies import write_proxy
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.cutting import VideoRecord


def run_preflight(
    model: Detector, record: VideoRecord, work: Work, free_disk: int, settings: Parameters
) -> dict[str, Any]:
    """Measure on one video and predict the whole job of ``work``; the result is plain values.

    ``record`` reads its source; the windows measured come from a proxy where the job will make
    some. One device is measured, with the threads that each of ``runtime.devices`` will have.
    ``obstacles`` in the result are sentences on what is too small. Raises DeviceError.
    """
    # A given checkpoint may be of another size than what the configuration would train.
    settings = settings.model_copy(update={"detector": model.config})
    data, runtime = settings.data, Runtime(settings.runtime)
    device, machine = runtime.device, _machine(model, runtime)
    if machine.devices > 1:
        own = runtime.of_worker(machine.devices)
        settings = settings.model_copy(update={"runtime": own})
    one, proxies, decoded = _measure(model, record, work, settings, device)
    size = model.config, model.n_classes, model.window
    weights = 4.0 * count_parameters(*size, model.kept_units)
    disk = forecast.disk_needed(proxies, weights, settings, machine.devices)
    clips = forecast.repair_clips(work, settings)
    others = (one.scoring, one.detection, one.repair, one.read_out)
    each = max(
        forecast.training_memory(one.training, one.batch, machine, settings),
        *(other.memory for other in others if other),
    )
    # The states of a repair are in main memory, wherever the model is.
    states = forecast.repair_states(clips, settings, machine.devices) if one.repair else 0.0
    there, main = measuring.memory_of(device), measuring.memory_of(torch.device("cpu"))
    together = machine.devices if device.type == "cpu" else 0  # devices in the main memory
    repair = states + (together * one.repair.memory if one.repair else 0.0)
    needed = max(together * each, repair) if together else each
    cached = forecast.cached_videos(decoded, settings, machine.devices)
    cache = cached + (needed if together else repair) if cached else 0.0
    stages = predict(work, one, settings, machine)
    return {
        "device": f"{device}, {settings.runtime.precision}, {torch.get_num_threads()} threads",
        "devices": machine.devices,
        "video": record.video_id,
        "window": [data.window.frames, data.window.crop, data.window.crop],
        "measured": asdict(one),
        "work": asdict(work),
        "predicted_hours": hours_of(stages),
        "stages": [
            {
                "stage": stage.name,
                "hours": stage.seconds / 3600,
                "devices": stage.devices,
                "cores": stage.cores,
            }
            for stage in stages
            if stage.seconds
        ],
        "narrowest": narrowest(stages, settings, machine),
        "memory_needed": needed + (cached if together else 0.0),
        "device_memory": each,
        "repair_memory": repair,
        "cached_videos": cached,
        "memory_there": there,
        "proxies": {"bytes": proxies, "store": data.proxy.store if data.proxy else None},
        "disk_needed": disk,
        "disk_free": free_disk,
        "obstacles": forecast.obstacles(
            Room(needed, there), Room(disk, free_disk), Room(repair, main), Room(cache, main)
        ),
    }


def _measure(
    model: Detector, record: VideoRecord, work: Work, settings: Parameters, device: torch.device
) -> tuple[OneWindow, float, float]:
    """What one window takes, and the bytes of all proxies and of all videos decoded."""
    data = settings.data
    proxies, seconds = 0.0, 0.0
    with TemporaryDirectory() as folder:
        if data.proxy is not None:
            path = Path(folder, "proxy.mp4")
            begin = time.perf_counter()
            timing = Timing.of(data)
            sampling = Sampling.of(data)
            write_proxy(record.path, path, sampling, data.proxy, timing, data.window.kept)
            seconds = (time.perf_counter() - begin) * work.samples / record.n_samples
            proxies = path.stat().st_size * work.kept / kept_samples(record, data.window)
            record = replace(record, path=str(path), source_indices=None, kept=data.window.kept)
        decoded = _decoded(record) * work.kept / kept_samples(record, data.window)
        clips = forecast.repair_clips(work, settings)
        training, batch, read_out = measuring.measure_recipes(model, record, settings)
        one = OneWindow(
            proxies=seconds,
            reading=measuring.measure_reading(record, data, device),
            training=training,
            batch=batch,
            scoring=measuring.measure_scoring(model, record, settings),
            detection=measuring.measure_detection(model, record, settings),
            repair=measuring.measure_repair(model, record, clips, settings),
            read_out=read_out,
        )
    return one, proxies, decoded


def _decoded(record: VideoRecord) -> int:
    """Bytes of a whole video in memory, up to the last frame that is looked at."""
    (last,) = record.frames_of(np.array([record.n_samples - 1]))
    return (int(last) + 1) * read_frames(record.path, [0]).nbytes


def _machine(model: Detector, runtime: Runtime) -> Machine:
    """What ``runtime`` runs on, and how much of a step of ``model`` is shared by windows."""
    on_gpu, devices, by_window = runtime.device.type == "cuda", runtime.devices, 0.0
    if devices > 1:
        cost = macs(model.config, model.n_classes, model.window, model.kept_units)
        by_window = (cost.pyramid + cost.head) / cost.total
    spare = torch.cuda.device_count() - devices if on_gpu else 0
    return Machine(devices, runtime.device.type, spare, cores_here(), by_window)


def describe(report: Mapping[str, Any]) -> str:
    """The report as lines for people."""
    measured = report["measured"]
    rows = [("reading", {"seconds": measured["reading"], "memory": None})]
    works = ("training", "read_out", "scoring", "detection", "repair")
    rows += [(name, measured[name]) for name in works if measured[name]]
    texts = {
        "training": f"training (batch of {measured['batch']})",
        "read_out": "neck and head alone",
        "repair": "repair (one block)",
    }
    lines = [f"one window {report['window']} of '{report['video']}' on {report['device']}:"]
    for name, row in rows:
        text = texts.get(name, name)
        memory = "" if row["memory"] is None else size(row["memory"])
        lines.append(f"  {text:<22}{row['seconds']:10.2f} s {memory:>10}")
    lines.append("the whole job, at most about:")
    lines.append(f"  {'':<16}{'hours':>8}{'devices':>9}{'cores to read':>15}")
    lines += [
        f"  {row['stage']:<16}{row['hours']:8.2f}{row['devices']:9}{row['cores']:15.1f}"
        for row in report["stages"]
    ]
    lines.append(f"  {'total':<16}{report['predicted_hours']['total']:8.2f}")
    lines.append(report["narrowest"])
    shared = f" ({size(report['device_memory'])} a device)" if report["devices"] > 1 else ""
    lines.append(
        f"memory {size(report['memory_needed'])}{shared} of {size(report['memory_there'])}, "
        f"disk {size(report['disk_needed'])} of {size(report['disk_free'])} free"
    )
    if store := report["proxies"]["store"]:
        lines[-1] += f", {size(report['proxies']['bytes'])} of it proxies ({store})"
    if cached := report["cached_videos"]:
        lines.append(f"main memory for decoded videos (data.cache): {size(cached)}")
    return "\n".join(lines)
