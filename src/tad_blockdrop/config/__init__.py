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
from tad_blockdrop.config.compare import CompareConfig
from tad_blockdrop.config.compress import AlignLossConfig, CompressConfig, StopConfig
from tad_blockdrop.config.data import (
    AugmentConfig,
    DataConfig,
    ProxyConfig,
    SyntheticConfig,
    WindowConfig,
)
from tad_blockdrop.config.detector import (
    AnchorFreeConfig,
    AttentionNeckConfig,
    DetectorConfig,
    HeadConfig,
    MaxNeckConfig,
    NeckConfig,
)
from tad_blockdrop.config.evaluation import EvaluationConfig, PostprocessConfig, ReportConfig
from tad_blockdrop.config.repair import RepairConfig
from tad_blockdrop.config.root import Parameters
from tad_blockdrop.config.training import (
    BaselineConfig,
    LearningAids,
    LoraSettings,
    RuntimeConfig,
    TrainConfig,
)
from tad_blockdrop.config.weights import ImportWeightsConfig

__all__ = [
    "AlignLossConfig",
    "AnchorFreeConfig",
    "AttentionNeckConfig",
    "AugmentConfig",
    "BackboneConfig",
    "BaselineConfig",
    "CompareConfig",
    "CompressConfig",
    "DataConfig",
    "DetectorConfig",
    "EvaluationConfig",
    "Geometry",
    "HeadConfig",
    "ImportWeightsConfig",
    "LearningAids",
    "LoraSettings",
    "MaxNeckConfig",
    "NeckConfig",
    "Parameters",
    "PostprocessConfig",
    "ProxyConfig",
    "RepairConfig",
    "ReportConfig",
    "RuntimeConfig",
    "StopConfig",
    "SyntheticConfig",
    "TimmConfig",
    "TrainConfig",
    "VJEPA2Config",
    "VideoMAEConfig",
    "WindowConfig",
]
