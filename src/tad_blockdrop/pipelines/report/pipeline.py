"""From the tables of all models to result tables, figures and the HTML report."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.report import nodes


def create_pipeline(control: bool) -> Pipeline:
    """``control``: whether there is an equally trained uncompressed model to compare with."""
    chains = ["step_results", "control_results"] if control else ["step_results"]
    return Pipeline(
        [
            Node(
                nodes.join_results,
                inputs=["reference_results", *chains],
                outputs=["history_table", "all_detections", "class_table"],
                name="join_results",
            ),
            Node(
                nodes.build_results,
                inputs=[
                    "class_table", "all_detections", "evaluator", "baseline_checkpoint",
                ],
                outputs="result_table",
                name="build_results",
            ),
            Node(
                nodes.plot_accuracy,
                inputs=["result_table", "cost_table"],
                outputs=["accuracy_plot", "latency_plot"],
                name="plot_accuracy",
            ),
            Node(
                nodes.plot_importance, inputs=["score_table", "params:compress"],
                outputs="importance_plot", name="plot_importance",
            ),
            Node(
                nodes.plot_training, inputs="history_table", outputs="training_plot",
                name="plot_training",
            ),
            Node(
                nodes.plot_classes, inputs=["class_table", "final_checkpoint"],
                outputs="class_plot", name="plot_classes",
            ),
            Node(
                nodes.plot_timelines,
                inputs=[
                    "all_detections", "evaluator", "final_checkpoint", "params:report",
                ],
                outputs="timeline_plot",
                name="plot_timelines",
            ),
            Node(
                nodes.collect_figures,
                inputs=[
                    "accuracy_plot", "latency_plot", "importance_plot",
                    "training_plot", "class_plot", "timeline_plot",
                ],
                outputs="report_figures",
                name="collect_figures",
            ),
            Node(
                nodes.write_report,
                inputs=[
                    "result_table", "cost_table", "score_table", "report_figures",
                    "final_checkpoint", "parameters",
                ],
                outputs="html_report",
                name="write_report",
            ),
            Node(
                nodes.show_results,
                inputs=["result_table", "cost_table", "html_report", "params:experiment"],
                outputs=None,
                name="show_results",
            ),
        ],
        namespace="report",
        prefix_datasets_with_namespace=False,
    )  # fmt: skip
