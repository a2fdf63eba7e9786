"""The gradient of one step of an alignment, as a job that any number of processes can do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.compression.losses import AlignLoss
from tad_blockdrop.config import AlignLossConfig, TrainConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import read_checkpoint
from tad_blockdrop.detector.model import from_checkpoint
from tad_blockdrop.jobs.sharing import read_evaluator
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.video.windows.clips import shared_windows
from tad_blockdrop.video.windows.device import training_windows

BATCH = 3


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """Writes gradients, and the terms of the loss, of the first batch."""
    write_gradient(folder, read_evaluator(folder, group), group)


def write_gradient(folder: Path, evaluator: Evaluator, group: Group) -> None:
    """All terms, LoRA, and drop path in backbone and neck."""
    student = from_checkpoint(read_checkpoint(folder / "student")).train()
    teacher = from_checkpoint(read_checkpoint(folder / "teacher"))
    recipe = TrainConfig()
    add_lora(student, recipe.lora, 0)
    freeze_for(student, recipe)
    videos = evaluator.dataset.records("train")
    windows = training_windows(videos, evaluator.data, 0, torch.device("cpu"))
    data = shared_windows(windows, student.backbone.geometry.clip_frames, group)
    config = AlignLossConfig(mid=0.5, out_rel=0.3, mid_rel=0.2)
    loss = AlignLoss(config, evaluator.task(student, videos), student, teacher, group)
    torch.manual_seed(5)
    terms = loss(next(iter(data.loader(BATCH, 0, 0))), 2.5)
    terms["total"].backward()
    found = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    found |= {f"loss/{name}": value.detach() for name, value in terms.items()}
    group.average(found.values())
    if group.rank == 0:
        save_file({name: value.contiguous() for name, value in found.items()}, folder / "found")
