"""The work that ``shared_kills.py`` kills: an owner that does it as a run would, and its processes.

``python shared_kills_work.py FOLDER KIND PROCESSES STOPS`` does one kind of work in a folder. Each
process counts the parts that it does; the one numbered STOPS stops in the middle of it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from safetensors.torch import load_file, save_file

from tad_blockdrop.compression import repair as repairing
from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.config import CompressConfig, Parameters, RuntimeConfig
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.jobs import repair, scoring, sharing, training
from tad_blockdrop.jobs.evaluation import SharedEvaluator
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.parallel.job import Job
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.runtime.stop_signals import StopSignals
from tad_blockdrop.storage import resumable_pass
from tad_blockdrop.storage.parquet import read_parquet
from tad_blockdrop.video.action_dataset import ActionDataset

ROOT = Path(__file__).parents[1]
Tables = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Kind:
    """A kind of shared work: where its process counts and stops, and after how many times."""

    name: str
    place: str  # module:attribute, called once for each part
    stop: int
    exact: bool = True  # whether another number of processes gives the same bits


KINDS = (
    Kind("start of a stage", "", 0),
    Kind("ranking", "tad_blockdrop.runtime.read_ahead:ReadAhead.__next__", 3),
    Kind("evaluation", "tad_blockdrop.runtime.read_ahead:ReadAhead.__next__", 3),
    Kind("features", "tad_blockdrop.video.windows.features:sealed_write", 1),
    Kind("repair", "tad_blockdrop.compression.refitting:Walk.fit", 3),
    Kind("training", "tad_blockdrop.runtime.read_ahead:ReadAhead.__next__", 7, exact=False),
)


def attempt(folder: Path, number: int, processes: int, stops: int = -1) -> None:
    """Do a kind of work in ``folder`` and write the result there. Raises WorkerFailedError."""
    run = sharing.run
    marks = {"marks": str(folder), "kind": number, "stops": stops}

    def counted(job: Job, *given: Any) -> None:
        settings = {"function": job.function, "given": job.settings, **marks}
        run(Job("shared_kills_work:work", job.folder, settings), *given)

    sharing.run = counted  # type: ignore[assignment]
    try:
        found = do(KINDS[number].name, folder, processes)
    finally:
        sharing.run = run
    save_file({name: value.contiguous() for name, value in found.items()}, folder / "result")


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """A process's work of a job, counted, and maybe stopped."""
    count_parts(
        KINDS[settings["kind"]],
        Path(settings["marks"]) / str(group.rank),
        settings["stops"] == group.rank,
    )
    Job(settings["function"], str(folder), {}).work()(folder, settings["given"], group)


def count_parts(kind: Kind, mark: Path, stops: bool) -> None:
    """Keep state after every part, not after half a minute; write to ``mark`` how many there are.

    Before part ``kind.stop`` the process stops for ever if it is one that ``stops``.
    """
    repairing.SECONDS_BETWEEN_SAVES = resumable_pass.SECONDS_BETWEEN_SAVES = 0.0
    if not kind.place:
        if stops:
            stop(mark)
        return
    module, _, path = kind.place.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original, parts = getattr(owner, name), [0]

    def counted(*given: Any, **named: Any) -> Any:
        if stops and parts[0] == kind.stop:
            stop(mark)
        parts[0] += 1
        mark.with_suffix(".parts").write_text(str(parts[0]))
        return original(*given, **named)

    setattr(owner, name, counted)


def stop(mark: Path) -> None:
    """Write who stops; nothing more."""
    mark.with_suffix(".stopped").write_text(str(os.getpid()))
    while True:
        signal.pause()


def do(name: str, folder: Path, processes: int) -> Tables:
    """The result of a kind of work."""
    evaluator, model = given(folder.parent / "videos", processes, name == "evaluation")
    whole, scratch = sharing.as_checkpoint(model, evaluator), folder / "scratch"
    recipe = {"epochs": 8, "stop": 8, "warmup": 1, "batch": 2, "lr_backbone": 1e-4}
    compress = CompressConfig.model_validate(
        {"n_drops": 1, "criterion": "train_loss", "later": recipe, "repair": "all"}
    )
    if name == "ranking":
        return columns(scoring.score_blocks(whole, whole, evaluator, compress, scratch))
    if name in ("evaluation", "start of a stage"):
        videos = evaluator.dataset.records("train")
        return columns(evaluator.detect(model, videos, name, scratch))
    if name == "features":
        kept = training.with_frozen_features(model, evaluator, scratch).features
        assert kept
        files = sorted(kept.glob("*.safetensors"))
        return {f"{f.stem}/{k}": v for f in files for k, v in load_file(f).items()}
    shorter = drop_block(whole, 1)
    if name == "repair":
        weights, rows = repair.repair(shorter, whole, evaluator, compress.repair, scratch)
        return columns(rows) | weights
    student, history = training.align(shorter, whole, evaluator, compress, 1, name, scratch)
    return columns(history) | weights_of(student)


def given(folder: Path, processes: int, loaders: bool) -> tuple[SharedEvaluator, Detector]:
    """An evaluator of the videos in ``folder``, and a model that has learned nothing."""
    tree = yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text())
    settings = Parameters.model_validate(tree | {"experiment": "kills"})
    window = settings.data.window.model_copy(update={"per_video": 1})
    data = settings.data.model_copy(update={"proxy": None, "window": window})
    instances = read_parquet(folder / "instances.parquet")
    classes = tuple(sorted(set(instances["label"])))
    dataset = ActionDataset(read_parquet(folder / "videos.parquet"), instances, classes)
    runtime = Runtime(RuntimeConfig(device="cpu", threads=1, workers=int(loaders)))
    runtime.devices = processes  # more than this machine may have
    evaluation = settings.evaluation.model_copy(update={"batch": 2})
    torch.manual_seed(0)
    model = Detector(settings.detector, len(classes), data.window).eval()
    return SharedEvaluator(dataset, data, evaluation, runtime), model


def columns(table: pd.DataFrame) -> dict[str, torch.Tensor]:
    """A table as tensors, names as their bytes."""
    found = {}
    for name in table.columns:
        if table[name].dtype.kind in "fiu":
            found[f"column {name}"] = torch.tensor(table[name].to_numpy("float64"))
        else:
            text = "\n".join(map(str, table[name])).encode()
            found[f"column {name}"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    return found


def own(folder: Path, number: int, processes: int, stops: int) -> None:
    """Do the work as a run does, which hears stop signals and says why it fails."""
    StopSignals().watch()
    logging.basicConfig(filename=folder / "owner.log", level=logging.INFO)
    if processes == 1:
        count_parts(KINDS[number], folder / "0", stops == 0)
    try:
        attempt(folder, number, processes, stops)
    except BlockDropError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    own(Path(sys.argv[1]), *map(int, sys.argv[2:]))
