"""How blocks are ranked: one file per criterion, one line here."""

from tad_blockdrop.compression.criteria.block_mse import BlockMse
from tad_blockdrop.compression.criteria.contract import Criterion
from tad_blockdrop.compression.criteria.train_loss import TrainLoss
from tad_blockdrop.compression.criteria.train_map import TrainMap
from tad_blockdrop.errors import BlockDropError

CRITERIA: list[Criterion] = [TrainMap(), TrainLoss(), BlockMse()]


class CriterionError(BlockDropError):
    """There is no such criterion, or it cannot do what is asked."""


def find_criterion(name: str, look_ahead: int = 1) -> Criterion:
    """The criterion of that name, able to look that many blocks ahead. Raises CriterionError."""
    by_name = {criterion.name: criterion for criterion in CRITERIA}
    if name not in by_name:
        raise CriterionError(
            f"compress.criterion: there is no '{name}'; choose one of {', '.join(by_name)}"
        )
    if look_ahead > 1 and not by_name[name].looks_ahead:
        able = ", ".join(f"'{c.name}'" for c in CRITERIA if c.looks_ahead)
        raise CriterionError(
            f"compress.criterion '{name}' rates each block by itself, so it cannot look ahead: "
            f"set compress.look_ahead to 1 or choose one of {able}"
        )
    return by_name[name]
