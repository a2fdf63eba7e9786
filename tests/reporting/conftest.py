"""A small finished run: eight blocks, two drops, a control, one-shot models."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tad_blockdrop.config import Parameters
from tad_blockdrop.reporting.pages.report import RunFacts
from tad_blockdrop.reporting.result_table import build_result_table, model_name

CONF = Path(__file__).parents[2] / "conf/base"
HOSTILE = "<img src=x onerror=alert(1)>&%{y}</script><b>"


@pytest.fixture
def hostile():
    """A label or name that tries to be markup, script and template."""
    return HOSTILE


@pytest.fixture
def models():
    """In an order that is not the table's; mAP at 0.3 and 0.7 is ten points off the average."""
    rows = [
        ("one_shot", 1, "0 1 3", 60.0, 2),
        ("one_shot", 2, "0 3", 45.0, 1),
        ("progressive", 2, "0 1", 66.0, 3),
        ("uncompressed", 0, "0 1 2 3", 70.0, None),
        ("control", 1, "0 1 2 3", 71.0, None),
        ("progressive", 1, "0 1 3", 69.0, 2),
    ]
    table = pd.DataFrame(
        rows, columns=["family", "step", "kept_blocks", "average", "dropped_block"]
    )
    average, blocks = table.pop("average"), table["kept_blocks"].str.split().str.len()
    names = [model_name(*row) for row in table[["family", "step"]].itertuples(index=False)]
    return table.assign(
        **{"model": names, "map@0.30": average + 10, "map@0.70": average - 10},
        parameters=50_000 * blocks,
        gmacs=0.2 * blocks,
        paper_gmacs=0.1,
        skipped=False,
        videos="5 of 5 videos",
    )


@pytest.fixture
def intervals():
    found = {
        ("step_02", "uncompressed"): (-6.0, -2.5),
        ("step_01", "uncompressed"): (-2.0, 0.5),
        ("step_01", "control_01"): (-3.5, -0.5),
    }
    return lambda model, reference: found.get((model, reference), (np.nan, np.nan))


@pytest.fixture
def results(models, intervals):
    return build_result_table(models, intervals)


@pytest.fixture
def costs():
    return pd.DataFrame(
        {
            "model": ["uncompressed", "step_01", "step_02"],
            "n_blocks": [4, 3, 2],
            "latency_ms": [20.0, 16.0, 11.0],
            "latency_ratio": [1.0, 0.8, 0.55],
            "peak_memory_mb": [100.0, 98.0, 96.0],
            "seconds_score": [np.nan, 4.0, 3.0],
            "seconds_align": [60.0, 5.0, 5.0],
            "seconds_evaluate": [2.0, 1.5, 1.0],
        }
    )


@pytest.fixture
def scores():
    first = {0: 30.0, 1: 61.5, 2: 63.0, 3: 62.25}
    second = {0: 28.0, 1: 55.0, 3: 58.0}
    rows = []
    for step, race in ((1, first), (2, second)):
        order = sorted(race, key=lambda block: -race[block])
        rows += [
            {
                "step": step,
                "block": block,
                "criterion": "train_map",
                "value": value,
                "rank": order.index(block) + 1,
            }
            for block, value in race.items()
        ]
    return pd.DataFrame(rows).assign(alone=lambda table: table["value"])


@pytest.fixture
def repairs():
    rows = [
        (1, 0, 1, 0.125, 0.025, 1e-3),
        (1, 3, 0, 0.03, 0.03, np.nan),
        (2, 0, 1, 0.25, 0.05, 1e-2),
    ]
    return pd.DataFrame(rows, columns=["step", "block", "branch", "before", "after", "ridge"])


@pytest.fixture
def history():
    def epoch(stage, number, **values):
        return {
            "stage": stage,
            "epoch": number,
            "steps": 9,
            "lr_head": 1e-3,
            "grad_norm": 1.0,
        } | values

    return pd.DataFrame(
        [
            epoch("baseline", 1, total=2.0, cls=1.5, dense=0.5, validation=40.0),
            epoch("baseline", 2, total=1.0, cls=0.8, dense=0.2, validation=60.0),
            epoch("step_01", 1, total=1.5, cls=0.7, kd_cls=0.8, validation=58.0),
            epoch("step_01", 2, total=1.2, cls=0.6, kd_cls=0.6, validation=61.0),
            epoch("step_02", 1, total=1.6, cls=0.7, kd_cls=0.9, validation=55.0),
            epoch("control_01", 1, total=0.9, cls=0.5, kd_cls=0.4, validation=62.0),
        ]
    )


@pytest.fixture
def classes():
    rows = []
    for name, aps in (
        ("uncompressed", {"jump": (80.0, 60.0), HOSTILE: (50.0, 30.0)}),
        ("step_02", {"jump": (70.0, 50.0), HOSTILE: (52.0, 32.0)}),
    ):
        for label, (low, high) in aps.items():
            rows += [
                {"model": name, "label": label, "tiou": 0.3, "ap": low},
                {"model": name, "label": label, "tiou": 0.7, "ap": high},
            ]
    return pd.DataFrame(rows)


@pytest.fixture
def facts():
    raw = yaml.safe_load((CONF / "parameters.yml").read_text(encoding="utf-8"))
    base = Parameters.model_validate(raw | {"experiment": "try"})
    parameters = base.model_copy(
        update={
            "experiment": "try <one>",
            "data": base.data.model_copy(update={"name": "toy", "provenance": HOSTILE}),
            "runtime": base.runtime.model_copy(update={"threads": 1}),
            "evaluation": base.evaluation.model_copy(update={"tious": (0.3, 0.7)}),
        }
    )
    return RunFacts(parameters, "step_02", "2025-11-23", "Linux x86_64, cpu", {"torch": "2.14.0"})
