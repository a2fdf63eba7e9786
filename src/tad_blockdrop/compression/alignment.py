"""Cross-depth alignment: a shorter model learns to do what the uncompressed one does.

docs/method.md §4.3: fresh LoRA, norms, patch embedding and detector train against the teacher.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.compression.losses import AlignLoss
from tad_blockdrop.config import AlignLossConfig, TrainConfig
from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.tasks.contract import Task
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import TrainingData, train


def align_model(
    student: BlockModel,
    teacher: BlockModel,
    task: Task,
    dataset: TrainingData,
    loss: AlignLossConfig,
    recipe: TrainConfig,
    runtime: Runtime,
    label: str,
    scratch: Path | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Train ``student`` in place; with ``recipe.tuning: lora`` it ends with its LoRA unmerged.

    Returns the history, one row per epoch. ``scratch`` holds the state an interrupted run goes on
    from; ``validate`` rates a model on held-out inputs (higher is better). ``facts``: what else the
    result depends on, as JSON values: how the student is built, and how it is rated.
    """
    if recipe.tuning == "lora":
        add_lora(student, recipe.lora, runtime.seed)
    freeze_for(student, recipe)
    return train(
        student,
        AlignLoss(loss, task, student, teacher.to(runtime.device), runtime.group),
        dataset,
        recipe,
        runtime,
        scratch,
        validate,
        label,
        identity={
            "loss": loss.model_dump(mode="json"),
            "data": dataset.facts,
            "teacher": weights_hash(teacher.state_dict()),
            **(facts or {}),
        },
    )
