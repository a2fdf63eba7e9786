"""The alignment loss: a shorter student against its teacher (docs/method.md §4.3).

They are compared in the features of the blocks that are left, which is the same for every task,
and in what the task distils. All functions compute in float32 whatever autocast does outside, and
return a scalar that is differentiable in the student. Notation: ``s`` student, ``t`` teacher.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.config import AlignLossConfig
from tad_blockdrop.detector.model import BlockModel, Inputs, Output, Spread
from tad_blockdrop.detector.shared_batch import SharedBatch
from tad_blockdrop.detector.units import State, expected_states, own_states
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.runtime.devices import core_to_spare
from tad_blockdrop.tasks.contract import Supervised, Task


def feature_loss(student: Mapping[int, Tensor], teacher: Mapping[int, Tensor]) -> Tensor:
    """``mean_i mean((s_i - t_i)²)`` over the student's blocks ``i`` (original indices).

    Serves ``L_out`` (block outputs) and ``L_mid`` (after the attention residual).
    Both map a block's original index to tokens (clips, n_tokens, C); ``teacher`` may hold more.
    """
    return _block_mean(
        [functional.mse_loss(x.float(), teacher[i].float()) for i, x in student.items()]
    )


def relation_loss(student: Mapping[int, Tensor], teacher: Mapping[int, Tensor]) -> Tensor:
    """``mean_i mean_clips ||Z_s Z_sᵀ - Z_t Z_tᵀ||²`` with ``Z = X / n_tokens`` (n_tokens, C).

    Serves ``L_out_rel`` and ``L_mid_rel``. Arguments as in :func:`feature_loss`.
    """
    return _block_mean([gram_distance(x, teacher[i]).mean() for i, x in student.items()])


def gram_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius distance of the token Gram matrices of ``a / n`` and ``b / n``.

    a, b: (clips, n, C) -> (clips,).
    With ``D = a - b`` and ``M = a + b``, ``a aᵀ - b bᵀ = (D Mᵀ + M Dᵀ) / 2``: one product instead
    of two, and unlike the difference of the Gram matrices it keeps its relative accuracy as ``a``
    approaches ``b``, which is where distillation lives. With more tokens than channels n × n is
    never formed: the squared norm is ``(<DᵀD, MᵀM> + <DᵀM, (DᵀM)ᵀ>) / 2``, all C × C.
    """
    n, width = a.shape[-2:]
    with torch.autocast(a.device.type, enabled=False):
        d, m = (a.float() - b.float()) / n, (a.float() + b.float()) / n
        if n <= width:
            product = d @ m.mT
            return (0.5 * (product + product.mT)).square().sum((-2, -1))
        across = d.mT @ m
        within = (d.mT @ d * (m.mT @ m)).sum((-2, -1))
        return 0.5 * (within + (across * across.mT).sum((-2, -1)))


class AlignLoss(nn.Module):
    """The weighted sum of all terms for one batch.

    The teacher sees the same (augmented) frames in evaluation mode and without gradients; only
    blocks that the student still has are compared, with the teacher's states that ``config.aim``
    says, and only what a term with a positive weight needs is computed or kept. Of a batch of
    features, with the teacher's beside them, neither backbone runs and no block is compared. State
    of this module is that of the task's loss alone; student and teacher are neither registered nor
    moved with it. Where the student leaves a CPU core idle, the teacher runs there at the same
    time. In a ``group`` a batch holds own clips only; the mean of the group's gradients is that of
    one process with all of them.

    Raises ValueError for a distillation that means nothing for the task.
    """

    def __init__(
        self,
        config: AlignLossConfig,
        task: Task,
        student: BlockModel,
        teacher: BlockModel,
        group: Group = ALONE,
    ) -> None:
        super().__init__()
        task.check_distillation(config)
        self.config, self.task = config, task
        self.supervised = task.loss()
        # In a tuple, so that their parameters are not registered here.
        self._models = student, teacher.eval().requires_grad_(False)
        self._aims = (
            expected_states(student.kept_units, teacher.kept_units)
            if config.aim == "next"
            else own_states(student.kept_units)
        )
        self._shared = SharedBatch(student, group)
        # In a group the two would tell the others what they have in any order.
        self._beside = ThreadPoolExecutor(1, "teacher") if group.world == 1 else None

    def forward(self, batch: Inputs, epoch: float) -> dict[str, Tensor]:
        """Loss of a batch on the models' device; ``epoch`` is fractional and counts from 0.

        Returns the unweighted terms that are switched on (scalars, named as their weights in the
        configuration) and ``total``, the weighted sum to differentiate.
        """
        config = self.config
        look = self._look_at_frames if batch.features is None else self._look_at_features
        found, wanted = look(batch)
        supervised: Supervised = self.supervised(found, batch, self._models[0].training)
        terms: dict[str, Callable[[], Tensor]] = {
            name: partial(lambda x: x, value) for name, value in supervised.terms.items()
        }
        if batch.features is None:
            own = self._shared.clips.weight
            terms |= {
                "out": lambda: own * feature_loss(found.blocks, wanted.blocks),
                "mid": lambda: own * feature_loss(found.mids, wanted.mids),
                "out_rel": lambda: own * relation_loss(found.blocks, wanted.blocks),
                "mid_rel": lambda: own * relation_loss(found.mids, wanted.mids),
            }
        weights = {name: float(getattr(config, name)) for name in terms}
        for term in self.task.distillation(config, found, wanted, supervised, epoch):
            terms[term.name] = term.value
            weights[term.name] = term.factor * float(getattr(config, term.name))
        losses = {name: term() for name, term in terms.items() if getattr(config, name) > 0}
        losses["total"] = torch.stack([weights[name] * x for name, x in losses.items()]).sum()
        return losses

    def _look_at_frames(self, batch: Inputs) -> tuple[Output, Output]:
        """What student and teacher say of frames, with the states of blocks that terms need."""
        (student, teacher), config, aims = self._models, self.config, self._aims
        outs = {i: end for i, (_, end) in aims.items()} if config.out + config.out_rel else {}
        mids = {i: middle for i, (middle, _) in aims.items()} if config.mid + config.mid_rel else {}
        spread = self._shared.place(batch)
        watch = partial(_watch, teacher, batch, outs, mids, spread)
        beside = self._beside if core_to_spare(batch.frames.device) else None
        watching = beside.submit(watch) if beside else None
        found: Output = student(batch.frames, batch.mask, tuple(outs), tuple(mids), spread)
        return found, watching.result() if watching else watch()

    def _look_at_features(self, batch: Inputs) -> tuple[Output, Output]:
        """What they say of the features that their backbones have given."""
        assert batch.features is not None
        if batch.teacher_features is None:
            raise ValueError("a batch of features to align on lacks those of the teacher")
        student, teacher = self._models
        found = self._shared.read_features(student, batch, batch.features)
        with torch.no_grad():
            return found, self._shared.read_features(teacher, batch, batch.teacher_features)


@torch.no_grad()
def _watch(
    teacher: BlockModel,
    batch: Inputs,
    outs: Mapping[int, State],
    mids: Mapping[int, State],
    spread: Spread | None,
) -> Output:
    """The teacher's output, with its states by the student's blocks that they are meant for.

    Not under ``inference_mode``: the student's backward pass saves it.
    """
    states = {*outs.values(), *mids.values()}
    ends, middles = (
        tuple(sorted(state.block for state in states if state.middle == middle))
        for middle in (False, True)
    )
    seen: Output = teacher(batch.frames, batch.mask, ends, middles, spread)

    def meant(aims: Mapping[int, State]) -> dict[int, Tensor]:
        return {i: (seen.mids if s.middle else seen.blocks)[s.block] for i, s in aims.items()}

    return replace(seen, blocks=meant(outs), mids=meant(mids))


def _block_mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
