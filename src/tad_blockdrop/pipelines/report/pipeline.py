"""From the tables of all models to result tables, figures and the HTML report."""

from kedro.pipeline import Pipeline

from tad_blockdrop.pipelines.graph import node, stage
from tad_blockdrop.pipelines.report import nodes

FIGURES = ["accuracy_plot", "latency_plot", "importance_plot"]
FIGURES += ["training_plot", "class_plot", "timeline_plot", "reliability_plot"]
FOUND = ["rate_table", "error_table", "missed_table", "worst_cases", "time_table", "point_table"]


def create_pipeline(control: bool, repair: bool) -> Pipeline:
    """From all results to the report.

    ``control``: whether there is an equally trained uncompressed model to compare with;
    ``repair``: whether models were repaired.
    """
    repairs = ["repair_table"] if repair else []
    plotting = [node(nodes.plot_repairs, "repair_table", "repair_plot")] if repair else []
    results = ["reference_results", "step_results", *(["control_results"] if control else [])]
    final, costs = "reported_checkpoint", ["result_table", "cost_table"]
    return stage(
        "report",
        node(
            nodes.choose_reported,
            ["baseline_checkpoint", "step_checkpoints", "params:compress"],
            final,
        ),
        node(nodes.join_results, results, ["history_table", "all_detections", "class_table"]),
        node(
            nodes.build_results,
            ["class_table", "all_detections", "evaluator", "baseline_checkpoint"],
            "result_table",
        ),
        node(
            nodes.find_errors,
            ["all_detections", "evaluator", final],
            ["rate_table", "error_cases", "error_table", "missed_table"],
        ),
        node(nodes.find_worst, ["error_cases", "evaluator"], "worst_cases"),
        node(
            nodes.count_bouts,
            ["all_detections", "evaluator", final],
            ["bout_table", "time_table"],
        ),
        node(nodes.rate_points, ["all_detections", "evaluator", final], "point_table"),
        node(nodes.rate_scores, ["all_detections", "evaluator", final], "reliability_table"),
        node(nodes.collect_findings, FOUND, "report_findings"),
        node(nodes.collect_facts, [final, "final_checkpoint", "parameters"], "report_facts"),
        node(nodes.plot_accuracy, costs, ["accuracy_plot", "latency_plot"]),
        node(nodes.plot_importance, ["score_table", "params:compress"], "importance_plot"),
        node(nodes.plot_training, "history_table", "training_plot"),
        node(nodes.plot_classes, ["class_table", final], "class_plot"),
        node(
            nodes.plot_timelines,
            ["all_detections", "evaluator", final, "params:report"],
            "timeline_plot",
        ),
        node(nodes.plot_reliability, "reliability_table", "reliability_plot"),
        *plotting,
        node(
            nodes.collect_figures,
            [*FIGURES, *(["repair_plot"] if repair else [])],
            "report_figures",
        ),
        node(
            nodes.write_report,
            [*costs, "score_table", "report_figures", "report_findings", "report_facts"],
            "html_report",
        ),
        node(nodes.show_results, [*costs, "html_report", "params:experiment", *repairs], None),
    )
