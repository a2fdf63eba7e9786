"""The tables of two experiments, by their names -> tables, a figure and a page."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.compare import nodes
from tad_blockdrop.pipelines.graph import node, stage


def create_pipeline(first: str, second: str) -> Pipeline:
    """``first`` and ``second``: the names of the experiments, which are parts of entries' names.

    So every experiment's tables are catalog entries: ``<name>/result_table``.
    """
    pair = f"{first}+{second}"
    table, plot = f"{pair}/comparison_table", f"{pair}/comparison_plot"
    differences = f"{pair}/parameter_differences"
    results = [f"{name}/{kind}_table" for name in (first, second) for kind in ("result", "cost")]
    trainings = [f"{first}/training_plot", f"{second}/training_plot"]
    return stage(
        "compare",
        node(nodes.choose_experiments, ["experiments", "params:compare"], "compared"),
        node(nodes.compare_parameters, ["experiments", "compared"], differences),
        node(nodes.compare_results, ["compared", *results], table),
        node(nodes.plot_comparison, [table, "compared"], plot),
        node(
            nodes.write_comparison,
            [table, differences, plot, *trainings, "compared"],
            f"{pair}/comparison_page",
        ),
    )
