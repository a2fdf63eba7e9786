"""A repair gives the same bits, however many processes sum over its clips, or go on with it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cut_repair
import numpy as np
import pandas as pd
import pytest
import torch
from tests.jobs.conftest import with_devices
from torch import Tensor

from tad_blockdrop.compression import repair as repairing
from tad_blockdrop.compression.dropping import drop_block
from tad_blockdrop.compression.refitting import PARTS, Walk, cut, deal
from tad_blockdrop.config import RepairConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.jobs.repair import repair
from tad_blockdrop.jobs.sharing import as_checkpoint, share_out
from tad_blockdrop.parallel.failures import WorkerFailedError
from tad_blockdrop.parallel.group import ALONE, share_of_runs

ALL = RepairConfig(layers="all", windows=20)  # some are left out


class CutError(Exception):
    """What ends a repair in the middle."""


@pytest.fixture
def models(evaluator: Evaluator, model: Detector) -> tuple[Checkpoint, Checkpoint]:
    """One without its first block, and the whole one."""
    whole = as_checkpoint(model, evaluator)
    return drop_block(whole, 0), whole


def assert_equal(
    found: tuple[dict[str, Tensor], pd.DataFrame], wanted: tuple[dict[str, Tensor], pd.DataFrame]
) -> None:
    pd.testing.assert_frame_equal(found[1], wanted[1], check_exact=True)
    assert found[0].keys() == wanted[0].keys()
    assert all(torch.equal(found[0][name], value) for name, value in wanted[0].items())


def test_every_clip_is_in_one_part() -> None:
    for n in (0, 5, 16, 100):
        clips = torch.arange(n)
        parts, total = deal(clips, ALONE)
        assert total == n
        assert len(parts) == PARTS
        assert all(part.tolist() == list(numbers) for numbers, part in parts)
        assert torch.equal(torch.cat([part for _, part in parts]), clips)


def test_a_chunk_is_fitted_on_or_judges() -> None:
    assert cut(range(10, 17), 13, 2) == [range(10, 12), range(12, 13), range(13, 15), range(15, 17)]
    assert cut(range(10, 13), 13, 9) == cut(range(10, 13), 4, 9) == [range(10, 13)]
    assert cut(range(10, 10), 13, 9) == []


def test_a_repair_by_several_processes_has_the_same_bits(
    evaluator: Evaluator, models: tuple[Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    alone, *others = (
        repair(*models, with_devices(evaluator, n), ALL, tmp_path / str(n)) for n in (1, 2, 3)
    )
    assert alone[1]["block"].notna().sum() == 4
    assert alone[1]["layer"].notna().any(), "neck and head too"
    assert (alone[1]["after"] < alone[1]["before"]).any()
    for other in others:
        assert_equal(other, alone)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_model_of_no_numbers_is_told_once_and_repairs_nothing(
    evaluator: Evaluator,
    model: Detector,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    devices: int,
) -> None:
    torch.nn.init.constant_(model.backbone.blocks["0"].mlp.fc2.bias, torch.nan)
    whole = as_checkpoint(model, evaluator)
    short = drop_block(whole, 0)
    weights, rows = repair(short, whole, with_devices(evaluator, devices), ALL, tmp_path)
    assert caplog.text.count("of a layer were left out") == 1
    assert all(torch.equal(weights[name], value) for name, value in short.weights.items())
    assert (rows["left_out"] > 0).all()
    assert np.isinf(rows[["before", "after"]]).all(axis=None)


def test_a_process_that_got_no_video_takes_part(
    evaluator: Evaluator, models: tuple[Checkpoint, Checkpoint], tmp_path: Path
) -> None:
    """Of three videos, one has so many windows that two processes could share it."""
    videos = evaluator.dataset.videos
    few = videos[videos["video_id"].isin(["b", "c", "d"])]
    uneven = replace(evaluator, dataset=replace(evaluator.dataset, videos=few))
    config = RepairConfig(layers="all", windows=10)
    windows = uneven.own_loader(uneven.dataset.records("train"), 10).dataset.items
    names = [record.video_id for record, _ in windows]
    assert min(len(share_of_runs(names, rank, 3)) for rank in range(3)) == 0
    alone, shared = (
        repair(*models, with_devices(uneven, n), config, tmp_path / str(n)) for n in (1, 3)
    )
    assert_equal(shared, alone)


def test_any_number_of_processes_goes_on_with_a_repair_of_any_other(
    evaluator: Evaluator,
    models: tuple[Checkpoint, Checkpoint],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two, of which one is killed; then one, which is stopped; then three."""
    expected = repair(*models, evaluator, ALL, tmp_path / "whole")
    scratch, layers = tmp_path / "cut", list[int]()
    given = {"dropped": models[0], "uncompressed": models[1]}
    settings = {"repair": ALL.model_dump(mode="json"), "scratch": str(scratch), "cut": 2}
    with pytest.raises(WorkerFailedError, match=r"process 1 of 2 failed .*SIGKILL"):
        share_out(cut_repair.work, 2, evaluator, scratch / "shared", settings, **given)

    fit = Walk.fit

    def fit_once(*given: Any) -> Any:
        layers.append(given[1])
        if len(layers) == 2:
            raise CutError
        return fit(*given)

    with monkeypatch.context() as patched:
        patched.setattr(repairing, "SECONDS_BETWEEN_SAVES", 0.0)
        patched.setattr(Walk, "fit", fit_once)
        with pytest.raises(CutError):
            repair(*models, evaluator, ALL, scratch)
    assert layers[1] == 2  # the first two layers, those of block 1, are done
    assert_equal(repair(*models, with_devices(evaluator, 3), ALL, scratch), expected)
