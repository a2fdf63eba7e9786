"""The tables of two experiments, by their names -> tables, a figure and a page."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compare import nodes


def create_pipeline(first: str, second: str) -> Pipeline:
    """``first`` and ``second``: the names of the experiments, which are parts of entries' names.

    So every experiment's tables are catalog entries: ``<name>/result_table``.
    """
    pair = f"{first}+{second}"
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
                outputs=f"{pair}/parameter_differences",
                name="compare_parameters",
            ),
            Node(
                nodes.compare_results,
                inputs=[
                    "compared",
                    f"{first}/result_table", f"{first}/cost_table",
                    f"{second}/result_table", f"{second}/cost_table",
                ],
                outputs=f"{pair}/comparison_table",
                name="compare_results",
            ),
            Node(
                nodes.plot_comparison,
                inputs=[f"{pair}/comparison_table", "compared"],
                outputs=f"{pair}/comparison_plot",
                name="plot_comparison",
            ),
            Node(
                nodes.write_comparison,
                inputs=[
                    f"{pair}/comparison_table", f"{pair}/parameter_differences",
                    f"{pair}/comparison_plot",
                    f"{first}/training_plot", f"{second}/training_plot", "compared",
                ],
                outputs=f"{pair}/comparison_page",
                name="write_comparison",
            ),
        ],
        namespace="compare",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip
