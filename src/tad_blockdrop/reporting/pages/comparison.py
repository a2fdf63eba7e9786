"""The page that shows two experiments side by side."""

import pandas as pd
import plotly.graph_objects as go

from tad_blockdrop.detector.units import describe_blocks, parse_units
from tad_blockdrop.reporting.compare import SIDES, one_side
from tad_blockdrop.reporting.pages.rendering import records, render


def comparison_page(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    figure: go.Figure,
    trainings: tuple[go.Figure, go.Figure],
    names: tuple[str, str],
) -> str:
    """The page as text.

    ``table`` and ``differences`` are those of ``compare``, ``figure`` is that of ``compare_plot``;
    ``trainings`` are the training curves of the two experiments, ``names`` their names.
    """
    ends = [
        (name, describe_blocks(parse_units(last["kept_blocks"])), last)
        for side, name in zip(SIDES, names, strict=True)
        for last in records(one_side(table[table["family"] == "progressive"], side).tail(1))
    ]
    values = {
        "names": names,
        "ends": ends,
        "families": [records(rows) for _, rows in table.groupby("family", sort=False)],
        "differences": records(differences),
        "alike": "evaluation.tious" not in set(differences["parameter"]),
        "figure": figure,
        "trainings": list(zip(names, trainings, strict=True)),
    }
    return render("comparison.html.j2", values)
