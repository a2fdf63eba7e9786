"""Settings that do not go with the number of classes are found with the other problems."""

from typing import Any

import pytest

from tad_blockdrop.config import CompressConfig, PostprocessConfig
from tad_blockdrop.detections.class_count import class_count_problems


def keys(n_classes: int, compress: dict[str, Any], **postprocess: Any) -> list[str]:
    given = CompressConfig.model_validate(compress), PostprocessConfig(**postprocess)
    found = class_count_problems(n_classes, *given)
    assert all(problem.fatal for problem in found)
    return [problem.key for problem in found]


@pytest.mark.parametrize("n_classes", [1, 5])
def test_the_defaults_are_for_any_number(n_classes: int) -> None:
    assert keys(n_classes, {}) == []


def test_softmax_distillation_needs_several_classes() -> None:
    loss = {"kd_kind": "kl"}
    assert keys(1, {"loss": loss}) == ["compress.loss.kd_kind"]
    assert keys(2, {"loss": loss}) == []
    assert keys(1, {"loss": loss, "align": None}) == []
    assert keys(1, {"loss": loss | {"kd_cls": 0}}) == []


def test_what_names_or_votes_needs_one_class() -> None:
    given = {"voting_tiou": 0.9, "classifier": "file.json"}
    assert keys(1, {}, **given) == []
    assert keys(2, {}, **given) == [f"evaluation.postprocess.{key}" for key in given]
