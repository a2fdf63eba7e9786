"""The loop as a graph: one template, instantiated as ``compress.step_01``, ``step_02``, ..."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compress import nodes

DATASET = ["videos", "instances", "classes"]
PARAMETERS = ["params:data", "params:compress", "params:evaluation", "params:runtime"]


def _alignment() -> list[Node]:
    """From a model with a block less to an aligned, plain and evaluated checkpoint."""
    return [
        Node(
            nodes.align,
            inputs=["dropped", "student", "uncompressed", *DATASET, "scratch", *PARAMETERS],
            outputs=["aligned", "history", "align_seconds"],
            name="align",
        ),
        Node(
            nodes.merge_lora,
            inputs=["aligned", "uncompressed", *DATASET, *PARAMETERS],
            outputs="checkpoint",
            name="merge_lora",
        ),
        Node(
            nodes.evaluate_step,
            inputs=["checkpoint", *DATASET, "params:data", "params:evaluation", "params:runtime"],
            outputs=["detections", "metrics", "evaluate_seconds"],
            name="evaluate_step",
        ),
    ]


def _drop_step() -> Pipeline:
    """One step of the loop: from the student of the step before to a shorter one."""
    return Pipeline(
        [
            Node(
                nodes.score_blocks,
                inputs=["student", "uncompressed", *DATASET, *PARAMETERS],
                outputs=["scores", "score_seconds"],
                name="score_blocks",
            ),
            Node(
                nodes.drop_block, inputs=["student", "scores"], outputs="dropped", name="drop_block"
            ),
            *_alignment(),
        ]
    )


def _control_step() -> Pipeline:
    """The same alignment with nothing dropped."""
    return Pipeline(
        [
            Node(nodes.keep_all, inputs="student", outputs="dropped", name="keep_all"),
            *_alignment(),
        ]
    )


def _chain(
    template: Pipeline, n_steps: int, collected: list[Node], outputs: set[str], namespace: str
) -> Pipeline:
    """``template`` n times, each step starting from the checkpoint of the one before."""
    parameters = {name for name in template.inputs() if name.startswith("params:")}
    steps = Pipeline([])
    student = "baseline_checkpoint"
    for step in range(1, n_steps + 1):
        steps += Pipeline(
            template,
            namespace=f"step_{step:02d}",
            inputs={
                "student": student,
                "uncompressed": "baseline_checkpoint",
                **{name: name for name in DATASET},
            },
            parameters={name: name for name in parameters},
            tags={f"step_{step:02d}"},
        )
        student = f"step_{step:02d}.checkpoint"
    return Pipeline(
        steps + Pipeline(collected),
        namespace=namespace,
        inputs={"baseline_checkpoint", *DATASET},
        outputs=outputs,
        parameters={name: name for name in parameters},
    )


def _collect(table: str, n_steps: int, output: str) -> Node:
    return Node(
        nodes.join_tables,
        inputs=[f"step_{step:02d}.{table}" for step in range(1, n_steps + 1)],
        outputs=output,
        name=f"collect_{output}",
    )


def create_pipeline(n_drops: int) -> Pipeline:
    """The loop of ``n_drops`` steps, then its tables and the choice of the final model."""
    checkpoints = [f"step_{step:02d}.checkpoint" for step in range(1, n_drops + 1)]
    collected = [
        _collect("scores", n_drops, "score_table"),
        _collect("history", n_drops, "step_history"),
        _collect("detections", n_drops, "step_detections"),
        _collect("metrics", n_drops, "step_metrics"),
        Node(
            nodes.collect_seconds,
            inputs=[
                f"step_{step:02d}.{stage}_seconds"
                for step in range(1, n_drops + 1)
                for stage in nodes.STAGES
            ],
            outputs="step_seconds",
            name="collect_seconds",
        ),
        Node(
            nodes.collect_checkpoints,
            inputs=checkpoints,
            outputs="step_checkpoints",
            name="collect_checkpoints",
        ),
        Node(
            nodes.select_final,
            inputs=["baseline_checkpoint", "params:compress", *checkpoints],
            outputs="final_checkpoint",
            name="select_final",
        ),
    ]
    outputs = {
        "score_table", "step_history", "step_detections", "step_metrics", "step_seconds",
        "step_checkpoints", "final_checkpoint",
    }  # fmt: skip
    return _chain(_drop_step(), n_drops, collected, outputs, "compress")


def create_control_pipeline(n_drops: int) -> Pipeline:
    """The uncompressed model through as many alignments, so that gains of training longer show."""
    collected = [
        _collect("history", n_drops, "control_history"),
        _collect("detections", n_drops, "control_detections"),
        _collect("metrics", n_drops, "control_metrics"),
    ]
    outputs = {"control_history", "control_detections", "control_metrics"}
    return _chain(_control_step(), n_drops, collected, outputs, "control")
