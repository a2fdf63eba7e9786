"""The tables of two experiments, by their names -> tables, a figure and a page."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compare import nodes


def create_pipeline(first: str, second: str) -> Pipeline:
    """``first`` and ``second``: the names of the experiments, which are parts of entries' names.

    So every experiment's tables are catalog entries: ``experiments.<name>.result_table``.
    """
    one, other, pair = f"experiments.{first}", f"experiments.{second}", f"{first}+{second}"
    return Pipeline(
        [
            Node(
                nodes.choose_experiments,
                inputs=["experiments", "params:compare"],
                outputs="compared",
                name="choose_experiments",
            ),
            Node(
                nodes.compare_parameters,
                inputs=["experiments", "compared"],
                outputs=f"{pair}.parameters",
                name="compare_parameters",
            ),
            Node(
                nodes.compare_results,
                inputs=[
                    "compared",
                    f"{one}.result_table", f"{one}.cost_table",
                    f"{other}.result_table", f"{other}.cost_table",
                ],
                outputs=f"{pair}.results",
                name="compare_results",
            ),
            Node(
                nodes.plot_comparison,
                inputs=[f"{pair}.results", "compared"],
                outputs=f"{pair}.plot",
                name="plot_comparison",
            ),
            Node(
                nodes.write_comparison,
                inputs=[
                    f"{pair}.results", f"{pair}.parameters", f"{pair}.plot",
                    f"{one}.training_plot", f"{other}.training_plot", "compared",
                ],
                outputs=f"{pair}.page",
                name="write_comparison",
            ),
        ],
        namespace="compare",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip
