"""The whole parameter tree, with the rules that span several keys."""

from typing import Self

from pydantic import model_validator

from tad_blockdrop.config.base import Config, Experiment
from tad_blockdrop.config.compare import CompareConfig
from tad_blockdrop.config.compress import CompressConfig
from tad_blockdrop.config.data import DataConfig, SyntheticConfig
from tad_blockdrop.config.detector import DetectorConfig
from tad_blockdrop.config.evaluation import EvaluationConfig, ReportConfig
from tad_blockdrop.config.learn import LearnConfig
from tad_blockdrop.config.predict import ExportConfig, PredictConfig
from tad_blockdrop.config.training import BaselineConfig, RuntimeConfig
from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.config.weights import ImportWeightsConfig


class Parameters(Config):
    """``conf/<env>/parameters*.yml`` merged over ``conf/base``."""

    experiment: Experiment
    runtime: RuntimeConfig
    synthetic: SyntheticConfig
    data: DataConfig
    detector: DetectorConfig
    baseline: BaselineConfig
    compress: CompressConfig
    evaluation: EvaluationConfig
    report: ReportConfig
    import_weights: ImportWeightsConfig
    compare: CompareConfig
    predict: PredictConfig
    watch: WatchConfig
    learn: LearnConfig
    export: ExportConfig

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.compress.stop.max_loss is not None and self.data.holdout == 0:
            raise ValueError(
                "compress.stop.max_loss is judged on held-out training videos, but data.holdout "
                "is 0: hold some out (data.holdout: 0.15) or stop by cost (compress.stop.max_gmacs)"
            )
        if self.compress.target and self.compress.target.loss is not None and not self.data.holdout:
            raise ValueError(
                "compress.target.loss is judged on held-out training videos, but data.holdout is "
                "0: hold some out (data.holdout: 0.15) or give compress.target.share"
            )
        return self

    @model_validator(mode="after")
    def _detector_fits(self) -> Self:
        if self.baseline.source == "checkpoint":
            return self  # another detector is compressed: that of the checkpoint, where it is read
        geometry, window = self.detector.backbone.geometry, self.data.window
        halves = self.compress.unit == "sublayer"
        units = 2 * geometry.depth if halves else geometry.depth
        if self.compress.n_drops >= units:
            what = "sub-layers" if halves else "blocks"
            raise ValueError(
                f"compress.n_drops ({self.compress.n_drops}) must leave at least one of the "
                f"{units} {what} of detector.backbone"
            )
        named = map(str, self.compress.candidates or ())
        if beyond := [each for each in named if int(each.partition(".")[0]) >= geometry.depth]:
            raise ValueError(
                f"compress.candidates names {', '.join(beyond)}, but the blocks of "
                f"detector.backbone are 0 to {geometry.depth - 1}"
            )
        for key, multiple, what in (
            ("frames", geometry.clip_frames, "the frames of a clip"),
            ("crop", geometry.patch, "the side of a patch"),
        ):
            if getattr(window, key) % multiple:
                raise ValueError(
                    f"data.window.{key} ({getattr(window, key)}) must be a multiple of "
                    f"{multiple}, {what} of detector.backbone"
                )
        stride = 2 ** (self.detector.pyramid.levels - 1)
        if window.grid % stride:
            raise ValueError(
                f"data.window.grid ({window.grid}) must be a multiple of {stride}, the stride of "
                f"the last of detector.pyramid.levels ({self.detector.pyramid.levels})"
            )
        return self
