"""Thin nodes over ``reporting``. Heavy imports stand inside the functions."""

import hashlib
import json
import logging
from typing import Any

import pandas as pd

from tad_blockdrop.config.compare import CompareConfig
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.pipelines.hints import Figure

logger = logging.getLogger(__name__)


class CompareError(BlockDropError):
    """The two experiments are not named, or are not there."""


def choose_experiments(
    experiments: dict[str, dict[str, Any]], compare: CompareConfig
) -> tuple[str, str]:
    """The names of the two experiments, which must have been run.

    Raises:
        CompareError: with the experiments that there are.
    """
    there = ", ".join(experiments) or "none"
    if compare.first is None or compare.second is None:
        raise CompareError(
            "two experiments must be named: --params compare.first=<one>,compare.second=<another>; "
            f"there are: {there}"
        )
    for name in (compare.first, compare.second):
        if name not in experiments:
            raise CompareError(f"there is no experiment '{name}' to compare; there are: {there}")
    return compare.first, compare.second


def compare_parameters(
    experiments: dict[str, dict[str, Any]], compared: tuple[str, str]
) -> pd.DataFrame:
    """The parameters that differ, of those that results depend on, and the data that do."""
    from tad_blockdrop.reporting.compare import parameter_differences

    records = [experiments[name] for name in compared]
    first, second = (record["parameters"] for record in records)
    if all(record["data"] for record in records):  # not in experiments from before it was recorded
        facts = [_data_facts(record["data"]) for record in records]
        if facts[0] != facts[1]:
            logger.warning("the two experiments have different data: do not compare their results")
        first, second = first | facts[0], second | facts[1]
    differences = parameter_differences(first, second)
    _warn_of_other_ratings(list(differences["parameter"]))
    return differences


def _warn_of_other_ratings(differing: list[str]) -> None:
    """Tell where a change of average mAP is none of the models, or not of these alone."""
    if "evaluation.tious" in differing:
        logger.warning(
            "the two experiments average over different overlaps (evaluation.tious): no change of "
            "mAP is given"
        )
    others = [key for key in differing if key.startswith("evaluation.postprocess.")]
    if others:
        logger.warning(
            "the two experiments differ in %s: this is part of each change of mAP",
            ", ".join(others),
        )


def _data_facts(recorded: dict[str, Any]) -> dict[str, Any]:
    """What is the same in experiments whose results can be compared, as rows of the table."""
    files = sorted(fingerprint for *_, fingerprint in recorded["videos"].values())
    content = {"annotations (digest)": recorded["annotations"], "videos (digest)": files}
    digests = {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
        for name, value in content.items()
    }
    return digests | {"classes (in order)": recorded["classes"]}


def compare_results(
    compared: tuple[str, str],
    first_results: pd.DataFrame,
    first_costs: pd.DataFrame,
    second_results: pd.DataFrame,
    second_costs: pd.DataFrame,
) -> pd.DataFrame:
    """The models of both, side by side; ``compared`` has their names checked before they load."""
    from tad_blockdrop.reporting.compare import compare_results as side_by_side

    return side_by_side((first_results, first_costs), (second_results, second_costs))


def plot_comparison(comparison: pd.DataFrame, compared: tuple[str, str]) -> Figure:
    """Average mAP against cost, of both."""
    from tad_blockdrop.reporting.plots.accuracy import compare_plot

    return compare_plot(comparison, compared)


def write_comparison(
    comparison: pd.DataFrame,
    differences: pd.DataFrame,
    plot: Figure,
    first_training: Figure,
    second_training: Figure,
    compared: tuple[str, str],
) -> str:
    """One self-contained HTML page; the table is also printed."""
    from tad_blockdrop.reporting.compare import format_comparison
    from tad_blockdrop.reporting.pages.comparison import comparison_page

    print(format_comparison(comparison, compared))
    print(f"table, parameters, plot and page: data/08_reporting/{'+'.join(compared)}")
    return comparison_page(
        comparison, differences, plot, (first_training, second_training), compared
    )
