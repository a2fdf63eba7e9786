"""The clips of a training batch that is spread over several processes.

Clips do not see each other in a backbone, so each process runs it on its own. What reads the
features sees all clips, in every process alike.
"""

from __future__ import annotations

from torch import Tensor, nn

from tad_blockdrop.detector.model import BlockModel, Inputs
from tad_blockdrop.parallel.group import Group, Rows


class SharedClips:
    """Where the clips of the batch at hand stand among those of ``group``.

    In a group the drop path of the backbone of ``model`` draws for the clips of all, so that
    random numbers are those of one process, there and in what follows.
    """

    def __init__(self, model: BlockModel, group: Group) -> None:
        self.group, self.rows = group, Rows(group, (1,) * group.world)
        if group.world > 1:
            for name, module in list(model.backbone.named_modules()):
                if type(module).__name__.endswith("DropPath"):
                    model.backbone.set_submodule(name, _SharedDropPath(module, self))

    def place(self, batch: Inputs) -> Rows:
        """Begin with the own part of another batch."""
        self.rows = self.group.rows(len(batch.frames))
        return self.rows


class _SharedDropPath(nn.Module):
    """A drop path over own clips that draws for all of them."""

    def __init__(self, drop: nn.Module, clips: SharedClips) -> None:
        super().__init__()
        self.drop, self._clips = drop, clips

    def forward(self, tokens: Tensor) -> Tensor:
        """(own clips, n_tokens, width), some of them zero and the others larger."""
        if not self.training:
            return tokens
        rows = self._clips.rows
        noise: Tensor = self.drop(tokens.new_ones(rows.total, *[1] * (tokens.ndim - 1)))
        return tokens * noise[rows.own]
