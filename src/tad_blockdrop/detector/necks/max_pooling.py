"""TemporalMaxer's neck: max pooling from level to level (arXiv 2303.09055)."""

from torch import Tensor

from tad_blockdrop.config import MaxNeckConfig
from tad_blockdrop.detector.necks.contract import Neck, halve, level_norms


class MaxNeck(Neck):
    """Each level is the one before it, max-pooled over three steps with stride 2."""

    def __init__(self, in_width: int, config: MaxNeckConfig, grid: int) -> None:
        super().__init__(in_width, config, grid)
        self.neck = level_norms(config)

    def project(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The maps before their norms, (B, T / 2^l, C) each, zero where masked, and their masks.

        Padded steps are zero and features are not negative after a ReLU, so that padding never
        wins a maximum.
        """
        maps, masks = [self.embed(features, mask)], [mask]
        while len(maps) < len(self.neck):
            masks.append(masks[-1][:, ::2])
            maps.append(halve(maps[-1]) * masks[-1][..., None])
        return maps, masks
