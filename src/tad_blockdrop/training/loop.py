"""The one training loop, for the baseline and for every alignment: they differ in their loss."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pandas as pd
import torch
from torch import Tensor, nn

from tad_blockdrop.config import TrainConfig
from tad_blockdrop.parallel.group import Group
from tad_blockdrop.runtime.devices import epoch_seed, for_double, seed_all
from tad_blockdrop.runtime.progress import TrainingProgress
from tad_blockdrop.runtime.read_ahead import ReadAhead, waiting_advice
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.storage.resumable import fingerprint
from tad_blockdrop.training.ema import Ema
from tad_blockdrop.training.groups import parameter_groups
from tad_blockdrop.training.schedule import warmup_cosine
from tad_blockdrop.training.state import TrainingError, TrainingState

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

Loss = Callable[[Any, float], Mapping[str, Tensor]]
Validate = Callable[[nn.Module], float]


class Batch(Protocol):
    """Inputs and targets; ``names`` says of which input each is, for messages."""

    @property
    def names(self) -> Sequence[str]: ...
    def to(self, device: torch.device, non_blocking: bool) -> Self: ...


class Loader(Protocol):
    """The batches of an epoch."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class TrainingData(Protocol):
    """What is trained on. ``set_epoch`` says which epoch the next pass over a loader is.

    ``facts``: the settings that it depends on, as JSON values. ``quicker``: a setting that makes it
    quicker to read, such as "data.cache: true", or nothing.
    """

    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def quicker(self) -> str: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...
    def loader(self, batch: int, workers: int, seed: int) -> Loader: ...


@dataclass(frozen=True)
class Plan:
    """How to train, what to call it, and where it can go on.

    With ``scratch`` a run can be killed and called again with the same arguments: it goes on
    after the last whole epoch and ends with the same bits. A state of other settings or weights
    is not used; ``facts`` adds what else the result depends on (JSON values: the loss's settings,
    the data's). ``validate(model)`` returns a metric to maximise, on held-out training inputs.
    """

    recipe: TrainConfig
    runtime: Runtime
    label: str
    scratch: Path | None = None
    validate: Validate | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


MAX_OVERFLOWS = 30  # fp16 steps skipped in a row before the run is given up


def train(model: nn.Module, loss: Loss, dataset: TrainingData, plan: Plan) -> pd.DataFrame:
    """Train what ``requires_grad`` in ``model``, in place, and return the history.

    ``loss(batch, epoch)`` runs the model on a batch that is on the device, at a fractional epoch
    from 0, and returns named scalars, of which ``total`` is minimised. What it remembers from
    batch to batch must be in the buffers of an ``nn.Module``: they move to the device too and
    become part of the resumable state. The student must not be inside.

    The model ends, in evaluation mode, with the averaged weights of the last epoch, or where
    ``recipe.keep`` is ``best`` of the rated one that ``validate`` liked best (the earliest of
    equals; non-finite metrics never win). It is given the averaged weights in evaluation mode,
    after the last epoch and every ``recipe.rate_every`` ones before it. With ``keep: last``
    nothing is rated.

    In a group all processes call it, with a dataset and a loss for their part of each batch; the
    first one keeps the state, from which any number of processes can go on.

    History, one row per epoch: ``epoch`` (from 1), ``steps`` (optimiser steps so far), ``lr_*``
    of each parameter group at the last step, mean loss terms, ``grad_norm`` (mean, before
    clipping) and ``metric`` (NaN where others are rated, absent where none is). Raises
    TrainingError on a non-finite loss or gradient, and when the state cannot be written.
    """
    config, runtime, scratch, label = plan.recipe, plan.runtime, plan.scratch, plan.label
    parts = {"model": model}
    if isinstance(loss, nn.Module):
        parts["loss"] = loss
    run = TrainingRun(parts, loss, dataset, config, runtime)
    settings = {
        "label": label,
        "train": config.model_dump(mode="json"),
        "seed": runtime.seed,
        "precision": runtime.precision,
        "windows": len(dataset),
        "identity": dict(plan.facts),
    }
    mark = fingerprint(run.state.modules, settings) if scratch else ""
    if scratch:
        run.state.restore(scratch, mark)
    advised = False
    with TrainingProgress(label, config.stop, run.steps, run.state.epochs) as progress:
        while run.state.epochs < config.stop:
            row = run.epoch(progress)
            if plan.validate and config.rates(run.state.epochs + 1):
                row["metric"] = run.rate_epoch(plan.validate)
            run.state.history.append(row)
            run.state.epochs += 1
            if scratch and runtime.group.rank == 0:
                run.state.save(scratch, mark)
            progress.epoch(run.state.epochs, row)
            if run.advice and not advised:
                logger.warning("%s: %s", label, run.advice)
                advised = True
    run.finish()
    return pd.DataFrame(run.state.history).astype({"epoch": "int64", "steps": "int64"})


class TrainingRun:
    """The moving parts of one call of ``train``, a step or an epoch at a time."""

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        loss: Loss,
        dataset: TrainingData,
        config: TrainConfig,
        runtime: Runtime,
    ) -> None:
        self.model = model = modules["model"]
        self.loss, self.dataset, self.config = loss, dataset, config
        self.seed, self.group = runtime.seed, runtime.group
        self.accelerator: Accelerator = runtime.accelerator()
        for module in modules.values():
            module.to(self.accelerator.device)
        self.loader = dataset.loader(config.batch, runtime.workers, runtime.seed)
        self.steps = math.ceil(len(self.loader) / config.accumulate)
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.parameters = list(trained.values())
        groups = parameter_groups(model, config)
        self.peaks = [group["lr"] for group in groups]
        adamw = torch.optim.AdamW(groups, betas=config.betas, fused=True)
        self.optimizer = self.accelerator.prepare_optimizer(adamw)
        self.overflows = 0
        self.workers = runtime.workers
        self.advice: str | None = None  # of the last epoch, on waiting for data
        ema = Ema(trained, config.ema, total=config.stop * self.steps)
        self.state = TrainingState(modules, adamw, ema, self.accelerator.scaler)

    def epoch(self, progress: TrainingProgress) -> dict[str, float]:
        """Train for one epoch; returns its row of the history."""
        number = self.state.epochs
        self.model.train()
        self.dataset.set_epoch(number)
        reader, begin = ReadAhead(self.loader), time.perf_counter()
        seed_all(epoch_seed(self.seed, number))
        terms: list[dict[str, Tensor]] = []
        norms: list[float] = []
        for step in range(self.steps):
            found, total, norm = self.step(reader, step)
            terms += found
            norms.append(norm)
            progress.step(total, self.optimizer.param_groups[0]["lr"])
        whole = time.perf_counter() - begin
        self.advice = waiting_advice(reader.waited, whole, self.workers, self.dataset.quicker)
        finite = [norm for norm in norms if math.isfinite(norm)]
        return {
            "epoch": number + 1,
            "steps": (number + 1) * self.steps,
            **{f"lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups},
            **_means(terms, self.group),
            "grad_norm": sum(finite) / max(len(finite), 1),
        }

    def step(
        self, reader: ReadAhead[Batch], step: int
    ) -> tuple[list[dict[str, Tensor]], float, float]:
        """Step ``step`` (from 0) of the coming epoch, on the next batches of ``reader``.

        Returns the detached loss terms of each batch, the loss (their mean), and the gradient
        norm before clipping. The model must be in training mode.
        """
        first, batches = step * self.config.accumulate, len(self.loader)
        size = min(self.config.accumulate, batches - first)
        terms: list[dict[str, Tensor]] = []
        videos: list[str] = []
        for number in range(first, first + size):
            batch = next(reader)
            videos += batch.names
            epoch = self.state.epochs + number / batches
            terms.append(self._backward(batch, epoch, size, reader))
        total = torch.stack([values["total"] for values in terms]).mean()
        gradients = (p.grad for p in self.parameters if p.grad is not None)
        self.group.average([total, *gradients])
        total_value, norm = self._update(self.state.epochs * self.steps + step, total, videos)
        return terms, total_value, norm

    def rate_epoch(self, validate: Validate) -> float:
        """The metric of the averaged weights; they may be kept if they are the best so far."""
        self.model.eval()
        with self.state.ema.applied(), torch.no_grad():
            metric = float(validate(self.model))
        best = self.state.best_metric
        better = math.isfinite(metric) and (best is None or metric > best)
        if better:
            self.state.best_metric = metric
            self.state.best = {
                name: value.to("cpu", copy=True) for name, value in self.state.ema.state().items()
            }
        return metric

    def finish(self) -> None:
        """Leave the weights to evaluate in the model."""
        self.state.ema.put(self.state.best or self.state.ema.state())
        self.optimizer.zero_grad()
        self.model.eval()

    def _backward(
        self, batch: Batch, epoch: float, share: int, reader: ReadAhead[Batch]
    ) -> dict[str, Tensor]:
        """Add the gradients of one batch, one of ``share`` of a step; the detached terms."""
        with self.accelerator.autocast():
            values = self.loss(batch.to(self.accelerator.device, non_blocking=True), epoch)
        reader.start()  # not before: an alignment's forward pass has use for two cores
        self.accelerator.backward(values["total"] / share)
        return {name: value.detach() for name, value in values.items()}

    def _update(self, step: int, total: Tensor, videos: list[str]) -> tuple[float, float]:
        """One optimiser step over the gathered gradients; returns (loss, gradient norm)."""
        spanned, warmup = self.config.epochs * self.steps, self.config.warmup * self.steps
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = warmup_cosine(step, spanned, warmup, peak)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.clip_norm)
        # The only wait for the device in a step.
        total_value, norm_value = torch.stack((total.float(), norm.float())).tolist()
        self._check(step, total_value, norm_value, videos)
        self.optimizer.step()
        if math.isfinite(norm_value):  # otherwise the step was skipped, which fused AdamW hides
            self.state.ema.update()
        self.optimizer.zero_grad()
        return total_value, norm_value

    def _check(self, step: int, total: float, norm: float, videos: list[str]) -> None:
        """Raise TrainingError on numbers that would spoil the weights."""
        # fp16 gradients overflow now and then by design: that step is skipped, the scale halved.
        overflow = self.accelerator.scaler is not None and not math.isfinite(norm)
        self.overflows = self.overflows + 1 if overflow else 0
        if math.isfinite(total) and (math.isfinite(norm) or 0 < self.overflows < MAX_OVERFLOWS):
            return
        what = "loss" if not math.isfinite(total) else "gradient"
        raise TrainingError(
            f"the {what} is not finite (loss {total}, gradient norm {norm}) in epoch "
            f"{step // self.steps + 1}, step {step % self.steps + 1} of {self.steps}, on "
            f"{', '.join(dict.fromkeys(videos))}: look at these videos, lower the learning rates "
            "or raise runtime.precision; the state of the last whole epoch is kept"
        )


def _means(terms: Sequence[Mapping[str, Tensor]], group: Group) -> dict[str, float]:
    """The mean of each loss term over the batches of an epoch, and over the group."""
    table = torch.stack([torch.stack(list(values.values())).float() for values in terms])
    means = for_double(table).double().mean(dim=0)
    group.average([means])
    return dict(zip(terms[0], means.tolist(), strict=True))
