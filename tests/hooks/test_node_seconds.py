"""How long nodes took, as the cost table tells it."""

import json
from pathlib import Path

import pandas as pd
import pytest


def test_the_cost_table_has_the_seconds_of_the_nodes(finished_project: Path) -> None:
    data = finished_project / "data"
    file = data / "07_model_output" / "smoke" / "node_seconds.json"
    seconds = json.loads(file.read_text(encoding="utf-8"))
    (table,) = (data / "08_reporting" / "smoke" / "cost_table.csv").glob("*/cost_table.csv")
    costs = pd.read_csv(table).set_index("model")
    stages = {"score": "score_blocks", "align": "align", "evaluate": "evaluate_step"}
    for stage, node in stages.items():
        for step in ("step_01", "step_02"):
            wanted = seconds[f"compress.{step}.{node}"]
            assert wanted > 0
            assert costs.loc[step, f"seconds_{stage}"] == pytest.approx(wanted)
        assert pd.isna(costs.loc["uncompressed", f"seconds_{stage}"])
