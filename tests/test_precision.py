"""``runtime.precision`` reaches the nodes that score, evaluate and measure, not training alone."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from tad_blockdrop.config import RuntimeConfig
from tad_blockdrop.detector.heads.anchor_free import AnchorFreeHead
from tad_blockdrop.metrics import measure
from tad_blockdrop.pipelines.compress.nodes import evaluate_step, score_blocks
from tad_blockdrop.pipelines.evaluate.nodes import measure_costs

PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def loaded(finished_project: Path) -> dict[str, Any]:
    """What the nodes get, from the catalog of a finished project."""
    bootstrap_project(finished_project)
    names = (
        "baseline_checkpoint", "videos", "instances", "classes", "params:data", "params:compress",
        "params:evaluation",
    )  # fmt: skip
    with KedroSession.create(finished_project, env="smoke") as session:
        catalog = session.load_context().catalog
        return {name.removeprefix("params:"): catalog.load(name) for name in names}


def runtime(precision: str) -> RuntimeConfig:
    return RuntimeConfig.model_validate(
        {"device": "cpu", "threads": 1, "workers": 0, "precision": precision}
    )


def test_scores_are_computed_at_the_precision(loaded: dict[str, Any], tmp_path: Path) -> None:
    model, tables = loaded["baseline_checkpoint"], [loaded[n] for n in ("videos", "instances")]
    compress = loaded["compress"].model_copy(update={"criterion": "block_mse", "score_videos": 2})
    found = {
        precision: score_blocks(
            model, model, *tables, loaded["classes"], tmp_path, loaded["data"], compress,
            loaded["evaluation"], runtime(precision),
        )[0].set_index("block")["value"].sort_index()
        for precision in PRECISIONS
    }  # fmt: skip
    assert (found["fp32"] != found["bf16"]).all()
    pd.testing.assert_series_equal(found["fp32"], found["bf16"], rtol=0.02)


def test_detections_are_made_at_the_precision(loaded: dict[str, Any], tmp_path: Path) -> None:
    found = {
        precision: evaluate_step(
            loaded["baseline_checkpoint"], loaded["videos"], loaded["instances"],
            loaded["classes"], tmp_path, loaded["data"], loaded["evaluation"], runtime(precision),
        )[0]
        for precision in PRECISIONS
    }  # fmt: skip
    best = [table.groupby(["video_id", "label"])["score"].max() for table in found.values()]
    assert (best[0] != best[1]).any()
    pd.testing.assert_series_equal(*best, rtol=0.05)


def test_costs_are_measured_at_the_precision(
    loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[torch.dtype] = set()
    forward = Head.forward

    def watched(self: AnchorFreeHead, *arguments: Any) -> Any:
        logits, offsets = forward(self, *arguments)
        seen.add(logits.dtype)
        return logits, offsets

    monkeypatch.setattr(Head, "forward", watched)
    checkpoint = loaded["baseline_checkpoint"]
    measure_costs(checkpoint, [], pd.DataFrame({"step": []}), loaded["evaluation"], runtime("bf16"))
    assert seen == {torch.bfloat16}
    seen.clear()
    job = {
        "config": checkpoint.detector.model_dump(), "window": checkpoint.window.model_dump(),
        "n_classes": 3, "kept_blocks": [0], "batch": 1, "threads": 1,
        "runtime": runtime("bf16").model_dump(mode="json"),
    }  # fmt: skip
    measure._growth(job)  # what the fresh process does
    assert seen == {torch.bfloat16}
