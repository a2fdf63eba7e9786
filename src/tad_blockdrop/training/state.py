"""The resumable state of a training run: one file per run, replaced after every epoch.

Everything that an epoch changes is in it: trained weights, their moving average, optimiser,
buffers, history, best epoch. Frozen weights are not: they are the run's input. Random numbers
need no saving either, since every epoch starts from a seed of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.storage.resumable import read_state, write_state
from tad_blockdrop.training.ema import Ema

FILE = "training.safetensors"


class TrainingError(BlockDropError):
    """Training cannot go on; the state of the last whole epoch is kept."""


@dataclass
class TrainingState:
    """What an epoch changes. ``modules``: the model and whatever else has buffers that change.

    ``epochs`` are finished ones; ``best`` holds the averaged weights of the epoch with the
    highest finite ``best_metric``, on the CPU, and is empty without validation.
    """

    modules: Mapping[str, nn.Module]
    optimizer: Optimizer
    ema: Ema
    scaler: GradScaler | None = None
    epochs: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_metric: float | None = None

    def save(self, folder: Path, fingerprint: str) -> None:
        """Replace the state in ``folder`` by this one, or leave the old one whole.

        Raises TrainingError if the disk does not take it.
        """
        facts = {
            "epochs": self.epochs,
            "history": self.history,
            "best_metric": self.best_metric,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        try:
            write_state(folder / FILE, fingerprint, self._tensors(), facts)
        except OSError as error:
            raise TrainingError(
                f"the training state of epoch {self.epochs} cannot be written to {folder} "
                f"({error.strerror or error}): free some space or check its permissions, then run "
                "again; training continues from the last epoch saved"
            ) from error

    def restore(self, folder: Path, fingerprint: str) -> bool:
        """Continue from the state in ``folder``; false, with a log line, if none fits."""
        state = read_state(folder / FILE, fingerprint, "training")
        if state is None:
            return False
        self._load(*state)
        return True

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors by their names in the file; they share memory with this object."""
        parts: dict[str, Mapping[str, Tensor]] = {
            name: _changing(module) for name, module in self.modules.items()
        }
        parts["ema"] = self.ema.state()
        parts["best"] = self.best
        parts["optimizer"] = {
            f"{index}.{key}": value
            for index, entry in self.optimizer.state_dict()["state"].items()
            for key, value in entry.items()
        }
        return {f"{part}/{k}": value for part, named in parts.items() for k, value in named.items()}

    @torch.no_grad()
    def _load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            part, key = name.split("/", 1)
            parts.setdefault(part, {})[key] = value
        for name, module in self.modules.items():
            module.load_state_dict(parts.get(name, {}), strict=False)
        self.ema.load(parts["ema"])
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in parts.get("optimizer", {}).items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        if self.scaler is not None:
            self.scaler.load_state_dict(facts["scaler"])
        self.epochs, self.history = facts["epochs"], facts["history"]
        self.best, self.best_metric = parts.get("best", {}), facts["best_metric"]


def _changing(module: nn.Module) -> dict[str, Tensor]:
    """Trained parameters and buffers."""
    frozen = {name for name, value in module.named_parameters() if not value.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}
