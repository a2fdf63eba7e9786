"""Typed, validated configuration: one class per top-level key of ``conf/*/parameters*.yml``.

Nothing here imports torch, so that the command line starts fast. ``Parameters`` is the whole
tree; every class refuses unknown keys and bad values with advice.
"""

from tad_blockdrop.config.backbones import (
    BackboneConfig,
    Geometry,
    TimmConfig,
    VideoMAEConfig,
    VJEPA2Config,
)
from tad_blockdrop.config.compress import AlignLossConfig, CompressConfig
from tad_blockdrop.config.data import AugmentConfig, DataConfig, SyntheticConfig, WindowConfig
from tad_blockdrop.config.detector import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    HeadConfig,
    MaxNeckConfig,
    NeckConfig,
)
from tad_blockdrop.config.evaluation import EvaluationConfig, PostprocessConfig, ReportConfig
from tad_blockdrop.config.free import FREE_KEYS, deciding
from tad_blockdrop.config.learn import LearnConfig
from tad_blockdrop.config.repair import RepairConfig
from tad_blockdrop.config.root import Parameters
from tad_blockdrop.config.target import TargetConfig
from tad_blockdrop.config.training import BaselineConfig, LoraSettings, RuntimeConfig, TrainConfig

__all__ = [
    "FREE_KEYS",
    "AlignLossConfig",
    "AnchorFreeConfig",
    "AttentionNeckConfig",
    "AugmentConfig",
    "BackboneConfig",
    "BaselineConfig",
    "CompressConfig",
    "DataConfig",
    "DetectorConfig",
    "EvaluationConfig",
    "Geometry",
    "HeadConfig",
    "LearnConfig",
    "LoraSettings",
    "MaxNeckConfig",
    "NeckConfig",
    "Parameters",
    "PostprocessConfig",
    "RepairConfig",
    "ReportConfig",
    "RuntimeConfig",
    "SyntheticConfig",
    "TargetConfig",
    "TimmConfig",
    "TrainConfig",
    "VJEPA2Config",
    "VideoMAEConfig",
    "WindowConfig",
    "deciding",
]
