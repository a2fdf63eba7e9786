"""Names from outside in a saved table: no spreadsheet calculates them, and none is lost."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tad_blockdrop.datasets.tables import CSVTable
from tad_blockdrop.storage.spreadsheet import NUMBER, guard_cells, restore_cells

FORMULAS = ("=1+1", "+cmd", "-cmd|'/C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "＝1", "x;=1", 'y",=1')
beginnings = st.sampled_from([*"=+-@\t\r\n'\"", "''", ";", ",", "＝", "", "-5"])
names = st.tuples(beginnings, beginnings, st.text(max_size=4)).map("".join)


@given(names)
@example("'=")
@example("\t=")
def test_every_name_comes_back_and_none_begins_a_formula(name: str) -> None:
    table = pd.DataFrame({"video_id": [name], "start": [-1.5]})
    saved = guard_cells(table)
    text = saved["video_id"][0]
    for cell in re.split(r"[;,|\t\"]|\r|\n", text) if not NUMBER.fullmatch(text) else ():
        assert not re.match(r"[=+\-@＝＋－＠]", cell)
    assert saved["start"][0] == -1.5
    pd.testing.assert_frame_equal(restore_cells(saved), table)


@pytest.mark.parametrize("name", ["001", "1", "1.0", "None", "NA", "null", "nan", "True", "1e5"])
def test_texts_stay_texts(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"video_id": [name, name], "label": [name, None], "score": [0.5, None]})
    entry = CSVTable(filepath=str(tmp_path / "t.csv"), save_args={"index": False})
    entry.save(table)
    loaded = entry.load()
    assert loaded["video_id"].tolist() == [name, name]
    assert loaded["label"][0] == name
    assert loaded["label"].isna().tolist() == [False, True]
    assert loaded["score"].isna().tolist() == [False, True]
    assert loaded["score"].dtype == float


@pytest.mark.parametrize("name", FORMULAS)
def test_tables_of_the_catalog_are_safe(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"video_id": [name, "plain"], "start": [0.5, -1.0]})
    entry = CSVTable(filepath=str(tmp_path / "t.csv"), save_args={"index": False})
    entry.save(table)
    with (tmp_path / "t.csv").open(newline="") as file:
        cell = list(csv.reader(file))[1][0]
    assert not re.match(r"[=+\-@\t\r＝]", cell)
    if "\r" not in name:  # pandas' own reader takes it for the end of a line
        pd.testing.assert_frame_equal(entry.load(), table)
