"""Cross-depth alignment: a shorter model learns to do what the uncompressed one does.

docs/method.md §4.3: fresh LoRA, norms, patch embedding and detector train against the teacher.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch import nn

from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.compression.losses import AlignLoss
from tad_blockdrop.config import AlignLossConfig, DataConfig, RuntimeConfig, TrainConfig
from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.runtime.devices import pick_device, set_threads
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import train
from tad_blockdrop.video.windows.cutting import VideoRecord
from tad_blockdrop.video.windows.loading import TrainingWindows


def align_model(
    student: Detector,
    teacher: Detector,
    records: list[VideoRecord],
    loss: AlignLossConfig,
    recipe: TrainConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
    label: str,
    scratch: Path | None = None,
    validate: Callable[[nn.Module], float] | None = None,
) -> pd.DataFrame:
    """Train ``student`` in place; with ``recipe.tuning: lora`` it ends with its LoRA unmerged.

    Returns the history, one row per epoch. ``scratch`` holds the state an interrupted run goes on
    from; ``validate`` rates a model on held-out videos (higher is better).
    """
    set_threads(runtime.threads)
    if recipe.tuning == "lora":
        add_lora(student, recipe.lora, runtime.seed)
    freeze_for(student, recipe)
    return train(
        student,
        AlignLoss(loss, student, teacher.to(pick_device(runtime))),
        TrainingWindows(records, data, runtime.seed),
        recipe,
        runtime,
        scratch,
        validate,
        label,
        identity={
            "loss": loss.model_dump(mode="json"),
            "data": data.model_dump(mode="json"),
            "teacher": weights_hash(teacher.state_dict()),
        },
    )
