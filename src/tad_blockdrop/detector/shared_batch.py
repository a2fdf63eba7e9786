"""A training batch whose clips and windows are spread over several processes.

Clips do not see each other in a backbone, nor windows in what reads its features: each process
runs the one on its clips and the other on its windows. The loss is computed from the outputs for
all windows, in every process alike.
"""

from __future__ import annotations

from torch import Tensor, nn

from tad_blockdrop.detector.model import BlockModel, Inputs, Output, ReadOut
from tad_blockdrop.parallel.group import Group, Rows, share_of


class SharedBatch:
    """Where the clips and windows of the batch at hand stand among those of ``group``.

    In a group the drop paths of ``model`` draw for the clips or windows of all, so that random
    numbers are those of one process, there and in what follows.
    """

    def __init__(self, model: BlockModel, group: Group) -> None:
        self.group = group
        self.clips = self.windows = Rows(group, (1,) * group.world)
        if group.world > 1:
            for name, module in list(model.named_modules()):
                if _is_drop_path(module):
                    of_clips = name.startswith("backbone.")
                    model.set_submodule(name, _SharedDropPath(module, self, of_clips))

    def place(self, batch: Inputs) -> SharedBatch | None:
        """Begin with the own part of another batch; None where one process has all of it."""
        if self.group.world == 1:
            return None
        ranks, n = range(self.group.world), len(batch.mask)
        windows = tuple(len(share_of(n, rank, self.group.world)) for rank in ranks)
        self.windows = Rows(self.group, windows)
        if batch.features is None:
            self.clips = self.group.rows(len(batch.frames))
        return self

    def output_of(self, model: BlockModel, batch: Inputs) -> Output:
        """The model's output for all windows of a batch, of pixels or of features."""
        if batch.features is not None:
            return self.read_features(model, batch, batch.features)
        output: Output = model(batch.frames, batch.mask, spread=self.place(batch))
        return output

    def read_features(self, model: BlockModel, batch: Inputs, features: Tensor) -> Output:
        """The model's output for all windows of a batch, of ``features`` for all of them."""
        spread = self.place(batch)
        if spread is None:
            return model.read_out(features, batch.mask)
        return spread.read_out(model.read_out, features, batch.mask)

    @property
    def windows_here(self) -> slice:
        """The windows that this process works on: its own, or the next where it has none.

        Its weights then get gradients of zero, which the others wait for.
        """
        own = self.windows.own
        return slice(own.start, max(own.stop, own.start + 1))

    def join(self, steps: Tensor) -> Tensor:
        """The steps of all clips, of those of the own ones."""
        return self.clips.join(steps)

    def read_out(self, read_out: ReadOut, features: Tensor, mask: Tensor) -> Output:
        """The output for all windows, of which this process makes that for its own."""
        here = self.windows_here
        output = read_out(features[here], mask[here])
        own = self.windows.own
        return output[: own.stop - own.start].of_windows(self.windows.join)


def _is_drop_path(module: nn.Module) -> bool:
    """Whether this is the draw itself, and not a layer of ours around one."""
    return type(module).__name__.endswith("DropPath") and not any(module.children())


class _SharedDropPath(nn.Module):
    """A drop path over own clips or windows that draws for all of them."""

    def __init__(self, drop: nn.Module, shared: SharedBatch, of_clips: bool) -> None:
        super().__init__()
        self.drop, self._shared, self._of_clips = drop, shared, of_clips

    def forward(self, x: Tensor) -> Tensor:
        """(own clips or windows, n, width), some of them zero and the others larger."""
        if not self.training:
            return x
        shared = self._shared
        rows = shared.clips if self._of_clips else shared.windows
        noise: Tensor = self.drop(x.new_ones(rows.total, *[1] * (x.ndim - 1)))
        return x * noise[rows.own if self._of_clips else shared.windows_here]
