"""Cross-depth alignment: a shorter model learns to do what the uncompressed one does.

docs/method.md §4.3: fresh LoRA, norms, patch embedding and detector train against the teacher.
"""

from dataclasses import replace

import pandas as pd

from tad_blockdrop.compression.lora import add_lora
from tad_blockdrop.compression.losses import AlignLoss
from tad_blockdrop.config import AlignLossConfig
from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.tasks.contract import Task
from tad_blockdrop.training.groups import freeze_for
from tad_blockdrop.training.loop import Plan, TrainingData, train


def align_model(
    student: BlockModel,
    teacher: BlockModel,
    task: Task,
    dataset: TrainingData,
    loss: AlignLossConfig,
    plan: Plan,
) -> pd.DataFrame:
    """Train ``student`` in place; with ``recipe.tuning: lora`` it ends with its LoRA unmerged.

    Returns the history, one row per epoch. The facts of ``plan`` need not hold loss, data and
    teacher, but how the student is built and rated.
    """
    recipe, runtime = plan.recipe, plan.runtime
    if recipe.tuning == "lora":
        add_lora(student, recipe.lora, runtime.seed)
    freeze_for(student, recipe)
    facts = {
        "loss": loss.model_dump(mode="json"),
        "data": dataset.facts,
        "teacher": weights_hash(teacher.state_dict()),
        **plan.facts,
    }
    alignment = AlignLoss(loss, task, student, teacher.to(runtime.device), runtime.group)
    return train(student, alignment, dataset, replace(plan, facts=facts))
