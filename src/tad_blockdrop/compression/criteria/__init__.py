"""How blocks are ranked: one file per criterion, one line here."""

from tad_blockdrop.compression.criteria.block_mse import BlockMse
from tad_blockdrop.compression.criteria.contract import Criterion
from tad_blockdrop.compression.criteria.cosine import Cosine
from tad_blockdrop.compression.criteria.gap_error import GapError
from tad_blockdrop.compression.criteria.per_gain import PerGain
from tad_blockdrop.compression.criteria.repaired import RepairedFeatures, RepairedMap
from tad_blockdrop.compression.criteria.train_loss import TrainLoss
from tad_blockdrop.compression.criteria.train_map import TrainMap
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.errors import BlockDropError

CRITERIA: list[Criterion] = [
    TrainMap(), TrainLoss(), BlockMse(), Cosine(), GapError(), RepairedFeatures(), RepairedMap()
]  # fmt: skip


class CriterionError(BlockDropError):
    """There is no such criterion, or it cannot do what is asked."""


def find_criterion(name: str) -> Criterion:
    """The criterion of that name. Raises CriterionError."""
    by_name = {criterion.name: criterion for criterion in CRITERIA}
    if name not in by_name:
        raise CriterionError(
            f"compress.criterion: there is no '{name}'; choose one of {', '.join(by_name)}"
        )
    return by_name[name]


def choose_criterion(compress: CompressConfig) -> Criterion:
    """The configured criterion, able to do what is asked of it. Raises CriterionError.

    With ``compress.target`` it is held against what a unit saves.
    """
    criterion = find_criterion(compress.criterion)
    if compress.look_ahead > 1 and not criterion.looks_ahead:
        able = ", ".join(f"'{c.name}'" for c in CRITERIA if c.looks_ahead)
        raise CriterionError(
            f"compress.criterion '{criterion.name}' rates each block by itself, so it cannot look "
            f"ahead: set compress.look_ahead to 1 or choose one of {able}"
        )
    if criterion.repairs and compress.repair.layers == "none":
        raise CriterionError(
            f"compress.criterion '{criterion.name}' rates models that are repaired: set "
            "compress.repair to gap or all, or choose another criterion"
        )
    return PerGain(criterion, compress.target) if compress.target else criterion
