"""From features on the grid to a pyramid of maps: one file per kind, one line here."""

from tad_blockdrop.config import AttentionNeckConfig, MaxNeckConfig, NeckConfig
from tad_blockdrop.detector.necks.attention import AttentionNeck
from tad_blockdrop.detector.necks.contract import Neck
from tad_blockdrop.detector.necks.max_pooling import MaxNeck

NECKS: dict[type[NeckConfig], type[Neck]] = {
    AttentionNeckConfig: AttentionNeck,
    MaxNeckConfig: MaxNeck,
}


def make_neck(in_width: int, config: NeckConfig, grid: int) -> Neck:
    """The neck of a configuration, with random weights."""
    return NECKS[type(config)](in_width, config, grid)
