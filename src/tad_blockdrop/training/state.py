"""The resumable state of a training run: one file per run, replaced after every epoch.

Everything that an epoch changes is in it: trained weights, their moving average, optimiser,
buffers, history, best epoch. Frozen weights are not: they are the run's input. Random numbers
need no saving either, since every epoch starts from a seed of its own. The file is safetensors
with JSON in its header; reading it runs no code.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.files import whole
from tad_blockdrop.training.ema import Ema

logger = logging.getLogger(__name__)

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
        tensors = {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in self._tensors().items()
        }
        facts = {
            "fingerprint": fingerprint,
            "hash": weights_hash(tensors),
            "epochs": self.epochs,
            "history": self.history,
            "best_metric": self.best_metric,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        try:
            with whole(folder / FILE) as path:
                path.write_bytes(save(tensors, {"facts": json.dumps(facts)}))
        except OSError as error:
            raise TrainingError(
                f"the training state of epoch {self.epochs} cannot be written to {folder} "
                f"({error.strerror or error}): free some space or check its permissions, then run "
                "again; training continues from the last epoch saved"
            ) from error

    def restore(self, folder: Path, fingerprint: str) -> bool:
        """Continue from the state in ``folder``; false, with a log line, if none fits."""
        for stray in folder.glob(".*.tmp.safetensors"):  # of a process killed while writing
            stray.unlink()
        if not (folder / FILE).exists():
            return False
        try:
            tensors, facts = _read(folder / FILE)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            logger.warning("training starts anew: %s is damaged (%s)", folder / FILE, error)
            return False
        if facts["fingerprint"] != fingerprint:
            logger.info("training starts anew: %s is of other settings or inputs", folder / FILE)
            return False
        self._load(tensors, facts)
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


def fingerprint(modules: Mapping[str, nn.Module], facts: Mapping[str, Any]) -> str:
    """SHA-256 of what a run starts from: all weights of ``modules`` and its settings (JSON)."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, module in modules.items():
        digest.update(f"{name} {weights_hash(module.state_dict())}".encode())
    return digest.hexdigest()


def clear(folder: Path) -> None:
    """Remove the state, once what the run produced is saved elsewhere."""
    if folder.exists():
        shutil.rmtree(folder)


def _changing(module: nn.Module) -> dict[str, Tensor]:
    """Trained parameters and buffers."""
    frozen = {name for name, value in module.named_parameters() if not value.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a state file. Raises ValueError if its contents were altered."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if weights_hash(tensors) != facts["hash"]:
        raise ValueError("its hash is wrong")
    return tensors, facts
