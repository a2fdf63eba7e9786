"""``runtime.precision`` reaches the nodes that score, evaluate and measure, not training alone."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.heads.anchor_free import AnchorFreeHead
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.metrics import measure
from tad_blockdrop.pipelines.compress.nodes import score_blocks
from tad_blockdrop.pipelines.evaluate.nodes import measure_costs
from tad_blockdrop.pipelines.shared import evaluate_model, make_evaluator

PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def loaded(finished_project: Path) -> dict[str, Any]:
    """What the nodes get, from the catalog of a finished project."""
    bootstrap_project(finished_project)
    names = (
        "baseline_checkpoint", "dataset", "params:data", "params:compress", "params:evaluation"
    )  # fmt: skip
    with KedroSession.create(finished_project, env="smoke") as session:
        catalog = session.load_context().catalog
        return {name.removeprefix("params:"): catalog.load(name) for name in names}


def evaluator(loaded: dict[str, Any], precision: str) -> Evaluator:
    settings = {"device": "cpu", "threads": 1, "workers": 0, "precision": precision}
    runtime = RuntimeConfig.model_validate(settings)
    return make_evaluator(loaded["dataset"], loaded["data"], loaded["evaluation"], runtime)


def test_scores_are_computed_at_the_precision(loaded: dict[str, Any], tmp_path: Path) -> None:
    model = loaded["baseline_checkpoint"]
    compress = loaded["compress"].model_copy(update={"criterion": "block_mse", "score_videos": 2})
    found = {
        precision: score_blocks(model, model, evaluator(loaded, precision), tmp_path, compress)
        .set_index("block")["value"]
        .sort_index()
        for precision in PRECISIONS
    }
    assert (found["fp32"] != found["bf16"]).all()
    pd.testing.assert_series_equal(found["fp32"], found["bf16"], rtol=0.02)


def test_detections_are_made_at_the_precision(loaded: dict[str, Any], tmp_path: Path) -> None:
    model = loaded["baseline_checkpoint"]
    tables = [evaluate_model(model, evaluator(loaded, p), tmp_path)[0] for p in PRECISIONS]
    best = [table.groupby(["video_id", "label"])["score"].max() for table in tables]
    assert (best[0] != best[1]).any()
    pd.testing.assert_series_equal(*best, rtol=0.05)


def test_costs_are_measured_at_the_precision(
    loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[torch.dtype] = set()
    forward = AnchorFreeHead.forward

    def watched(self: AnchorFreeHead, *arguments: Any) -> Any:
        logits, offsets = forward(self, *arguments)
        seen.add(logits.dtype)
        return logits, offsets

    monkeypatch.setattr(AnchorFreeHead, "forward", watched)
    checkpoint, half = loaded["baseline_checkpoint"], evaluator(loaded, "bf16")
    measure_costs(checkpoint, [], {}, half)
    assert seen == {torch.bfloat16}
    seen.clear()
    # what the fresh process does
    build = partial(Detector, checkpoint.detector, 3, checkpoint.window, (0,))
    measure.growth(build, half.runtime.config)
    assert seen == {torch.bfloat16}
