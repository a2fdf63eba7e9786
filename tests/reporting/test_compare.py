"""Two experiments side by side: the table, the parameters, the figure, the page."""

import json
import math
import re
from html.parser import HTMLParser

import pandas as pd
import plotly.graph_objects as go
import pytest

from tad_blockdrop.reporting.compare import (
    compare_results,
    format_comparison,
    parameter_differences,
)
from tad_blockdrop.reporting.pages.comparison import comparison_page
from tad_blockdrop.reporting.plots.accuracy import compare_plot

NAMES = ("one", "two")


@pytest.fixture
def second(results: pd.DataFrame) -> pd.DataFrame:
    """Another experiment: two points better everywhere, one step only, no control."""
    table = results.assign(average=results["average"] + 2.0)
    return table[table["model"].isin(["uncompressed", "step_01", "one_shot_01"])]


@pytest.fixture
def table(results: pd.DataFrame, costs: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    return compare_results((results, costs), (second, costs))


def test_models_of_both_stand_side_by_side(table: pd.DataFrame) -> None:
    assert list(table["model"]) == [
        "uncompressed", "step_01", "step_02", "control_01", "one_shot_01", "one_shot_02",
    ]  # fmt: skip
    row = table.set_index("model").loc["step_01"]
    assert (row["average_first"], row["average_second"]) == (69.0, 71.0)
    assert row["average_change"] == 2.0
    assert row["n_blocks_second"] == 3
    assert row["latency_ms_first"] == 16.0
    assert row["delta_first"] == -1.0
    alone = table.set_index("model").loc["control_01"]
    assert alone["average_first"] == 71.0
    assert math.isnan(alone["average_change"])
    assert alone["n_blocks_second"] is pd.NA


def test_averages_over_other_overlaps_have_no_change(
    results: pd.DataFrame, costs: pd.DataFrame, second: pd.DataFrame
) -> None:
    other = second.rename(columns={"map@0.30": "map@0.40"})
    table = compare_results((results, costs), (other, costs))
    assert table["average_change"].isna().all()
    assert table["average_second"].notna().any()
    assert format_comparison(table, NAMES).splitlines()[1].split()[-1] == "–"
    differences = parameter_differences(
        {"evaluation.tious": [0.3, 0.7]}, {"evaluation.tious": [0.4, 0.7]}
    )
    curves = go.Figure()
    page = comparison_page(table, differences, curves, (curves, curves), NAMES)
    assert "No change is given: the two average over different overlaps" in page


def test_experiments_are_compared_whichever_is_the_longer(
    results: pd.DataFrame, costs: pd.DataFrame, second: pd.DataFrame, table: pd.DataFrame
) -> None:
    turned = compare_results((second, costs), (results, costs))
    assert list(turned["model"]) == list(table["model"])
    pd.testing.assert_series_equal(turned["average_change"], -table["average_change"])
    pd.testing.assert_series_equal(turned["gmacs_first"], table["gmacs_second"], check_names=False)


def test_only_parameters_that_differ_are_listed() -> None:
    first = {"a.b": 1, "a.c": [1, 0.5], "only": None, "same": True}
    second = {"a.b": False, "a.c": [1, 0.5], "same": True, "new": "x"}
    found = parameter_differences(first, second)
    assert found.to_dict("split")["data"] == [
        ["a.b", "1", "false"],
        ["new", "(not set)", "x"],
        ["only", "null", "(not set)"],
    ]
    assert parameter_differences(first, first).empty


def test_each_experiment_has_its_lines(table: pd.DataFrame) -> None:
    figure = compare_plot(table, NAMES)
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines) == [
        "one: steps", "one: control", "one: one shot", "two: steps", "two: one shot",
    ]  # fmt: skip
    assert list(lines["one: steps"].y) == [66.0, 69.0, 70.0]
    assert list(lines["one: steps"].x) == pytest.approx([0.4, 0.6, 0.8])
    assert list(lines["two: steps"].y) == [71.0, 72.0]
    # The control of step 1 computes as the uncompressed model but stands with its step.
    assert list(lines["one: control"].x) == pytest.approx([0.6])
    assert "step_01" in lines["two: steps"].text[0]
    json.loads(figure.to_json())


def test_the_console_shows_both(table: pd.DataFrame) -> None:
    lines = format_comparison(table, NAMES).splitlines()
    assert lines[2].split() == ["step_01", "3", "69.0", "0.60", "3", "71.0", "0.60", "+2.0"]
    assert lines[3].split() == ["step_02", "2", "66.0", "0.40", "–", "–", "–", "–"]


class Reader(HTMLParser):
    """Texts of cells and everything that would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.rows[-1][-1] += data.strip()


def test_the_page_holds_all_and_fetches_nothing(table: pd.DataFrame, hostile: str) -> None:
    differences = parameter_differences({"data.name": "a", "x": 1}, {"data.name": hostile, "x": 1})
    training = go.Figure(go.Scatter(x=[1], y=[2], name=hostile))
    page = comparison_page(
        table, differences, compare_plot(table, NAMES), (training, training), NAMES
    )
    reader = Reader()
    reader.feed(page)
    assert reader.fetched == ["data:,"]
    assert "img" not in reader.tags
    rows = {row[0]: row for row in reader.rows if row}
    assert rows["step_01"][1:4] == ["69.0", "71.0", "+2.0"]
    assert rows["step_02"][2] == "–"
    assert rows["data.name"] == ["data.name", "a", hostile]
    assert "x" not in rows
    figures = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert [len(json.loads(figure)["data"]) for figure in figures] == [5, 1, 1]


def test_the_summary_says_where_each_ends(table: pd.DataFrame) -> None:
    differences = parameter_differences({"a": 1}, {"a": 2})
    curves = go.Figure()
    page = comparison_page(table, differences, curves, (curves, curves), NAMES)
    assert "one ends with 2 blocks at 66.0&nbsp;% average mAP, −4.0 points" in page
    assert "two ends with 3 blocks at 71.0&nbsp;% average mAP, −1.0 points" in page
    assert "1 parameter differs." in page


def test_a_table_survives_its_file(table: pd.DataFrame, tmp_path) -> None:
    """The catalog hands it on through a CSV file, where missing whole numbers become floats."""
    table.to_csv(tmp_path / "t.csv", index=False)
    again = pd.read_csv(tmp_path / "t.csv")
    none = parameter_differences({}, {})
    curves = go.Figure()
    pages = [
        comparison_page(t, none, compare_plot(t, NAMES), (curves, curves), NAMES)
        for t in (table, again)
    ]
    assert pages[0] == pages[1]
    assert format_comparison(again, NAMES) == format_comparison(table, NAMES)
