"""Values that would end a job late are refused at once."""

from typing import Any

import pytest
from pydantic import ValidationError

from tad_blockdrop.config import (
    CompressConfig,
    DataConfig,
    EvaluationConfig,
    HeadConfig,
    RuntimeConfig,
    TrainConfig,
)
from tad_blockdrop.config.base import Config
from tad_blockdrop.config.detector import doubling_ranges

ORDER = "must not fall: give the lower number first"


@pytest.mark.parametrize(
    ("config", "given", "reason"),
    [
        (TrainConfig, {"betas": [0.9, 1.0]}, "less than 1"),
        (RuntimeConfig, {"seed": 2**32}, "less than 4294967296"),
        (DataConfig, {"window": {"short_video_crop": [1.5, 2.0]}}, "less than or equal to 1"),
        (DataConfig, {"window": {"short_video_crop": [1.0, 0.9]}}, ORDER),
        (DataConfig, {"augment": {"crop_ratio": [0, 1]}}, "greater than 0"),
        (DataConfig, {"augment": {"crop_scale": [0, 0]}}, "greater than 0"),
        (DataConfig, {"augment": {"crop_scale": [0.9, 0.5]}}, ORDER),
        (HeadConfig, {"ranges": [[4, 0]]}, ORDER),
        (HeadConfig, {"focal_gamma": -1}, "greater than or equal to 0"),
        (HeadConfig, {"focal_alpha": -0.1}, "greater than or equal to 0"),
        (HeadConfig, {"focal_alpha": 1.1}, "less than or equal to 1"),
        (EvaluationConfig, {"tious": [0.5, 0.504]}, "0.504 has more than two decimals: give 0.50"),
        (EvaluationConfig, {"tious": [0.5, 0.7, 0.5]}, "0.5 stands there more than once"),
        (EvaluationConfig, {"score_tious": [0.3, 0.3]}, "0.3 stands there more than once"),
    ],
)
def test_what_means_nothing_is_refused(
    config: type[Config], given: dict[str, Any], reason: str
) -> None:
    extra = {"every": 1} if config is DataConfig else {}
    with pytest.raises(ValidationError, match=reason):
        config.model_validate(given | extra)


@pytest.mark.parametrize("levels", range(1, 17))
def test_regression_ranges_of_any_number_of_levels_rise(levels: int) -> None:
    ranges = HeadConfig.model_validate({"ranges": doubling_ranges(levels)}).ranges
    assert len(ranges) == levels
    assert ranges[-1][1] >= 10000


def test_every_threshold_of_two_decimals_is_one() -> None:
    all_ = [hundredths / 100 for hundredths in range(1, 101)]
    assert EvaluationConfig.model_validate({"tious": all_}).tious == tuple(all_)


NONE = dict.fromkeys(("cls", "reg", "out", "kd_cls", "kd_reg"), 0)


def test_an_alignment_must_learn_something() -> None:
    with pytest.raises(ValidationError, match=r"needs a weight above 0 .* compress\.align to null"):
        CompressConfig.model_validate({"loss": NONE})
    CompressConfig.model_validate({"loss": NONE, "align": None})
    blocks: dict[str, Any] = {"loss": NONE | {"out": 1.0}}
    CompressConfig.model_validate(blocks)
    recipe = TrainConfig(tuning="frozen")
    with pytest.raises(ValidationError, match="frozen, which changes no block, needs a weight"):
        CompressConfig.model_validate(blocks | {"align": "last", "later": recipe})
    # The other recipe is not used.
    CompressConfig.model_validate(blocks | {"align": "last", "first": recipe})
