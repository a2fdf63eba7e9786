"""The loop as a graph: one template, instantiated as ``compress.step_01``, ``step_02``, ..."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compress import nodes
from tad_blockdrop.pipelines.shared import evaluate_model, join_tables

COMPRESS = "params:compress"


def _alignment(shortened: str) -> list[Node]:
    """From a model with a block less to an aligned, plain and evaluated checkpoint."""
    return [
        Node(
            nodes.align,
            inputs=[shortened, "student", "uncompressed", "evaluator", "scratch", COMPRESS],
            outputs=["aligned", "history"],
            name="align",
        ),
        Node(
            nodes.merge_lora,
            inputs=["aligned", "evaluator", "scratch", COMPRESS],
            outputs="checkpoint",
            name="merge_lora",
        ),
        Node(
            evaluate_model,
            inputs=["checkpoint", "evaluator", "scratch"],
            outputs=["detections", "metrics"],
            name="evaluate_step",
        ),
    ]


def _drop_step(repair: bool) -> Pipeline:
    """One step of the loop: from the student of the step before to a shorter one."""
    repairing = Node(
        nodes.repair,
        inputs=["dropped", "uncompressed", "evaluator", "scratch", COMPRESS],
        outputs=["repaired", "repairs"],
        name="repair",
    )
    return Pipeline(
        [
            Node(
                nodes.score_blocks,
                inputs=["student", "uncompressed", "evaluator", "scratch", COMPRESS],
                outputs="scores",
                name="score_blocks",
            ),
            Node(
                nodes.drop_block, inputs=["student", "scores"], outputs="dropped", name="drop_block"
            ),
            *([repairing] if repair else []),
            *_alignment("repaired" if repair else "dropped"),
        ]
    )


def _control_step() -> Pipeline:
    """The same alignment with nothing dropped."""
    return Pipeline(
        [
            Node(nodes.keep_all, inputs="student", outputs="dropped", name="keep_all"),
            *_alignment("dropped"),
        ]
    )


def _chain(template: Pipeline, n_steps: int, namespace: str) -> Pipeline:
    """``template`` n times, each step starting from the checkpoint of the one before."""
    parameters = {name: name for name in template.inputs() if name.startswith("params:")}
    steps = Pipeline([])
    student = "baseline_checkpoint"
    for step in range(1, n_steps + 1):
        steps += Pipeline(
            template,
            namespace=f"{namespace}.step_{step:02d}",
            inputs={
                "student": student,
                "uncompressed": "baseline_checkpoint",
                "evaluator": "evaluator",
                "scratch": "scratch",
            },
            parameters=parameters,
            tags={f"step_{step:02d}"},
        )
        student = f"{namespace}.step_{step:02d}.checkpoint"
    return steps


def _entries(namespace: str, n_steps: int, *names: str) -> list[str]:
    """Catalog names of entries of all steps, step by step."""
    return [
        f"{namespace}.step_{step:02d}.{name}" for step in range(1, n_steps + 1) for name in names
    ]


def create_pipeline(n_drops: int, repair: bool) -> Pipeline:
    """The loop of ``n_drops`` steps, then the choice of the final model."""
    name = "compress"
    tables = {"score": "scores"} | ({"repair": "repairs"} if repair else {})
    return _chain(_drop_step(repair), n_drops, name) + Pipeline(
        [
            *(
                Node(
                    join_tables,
                    inputs=_entries(name, n_drops, entries),
                    outputs=f"{table}_table",
                    name=f"collect_{entries}",
                    namespace=name,
                )
                for table, entries in tables.items()
            ),
            Node(
                nodes.select_final,
                inputs=[
                    "baseline_checkpoint", COMPRESS,
                    *_entries(name, n_drops, "checkpoint"),
                ],
                outputs="final_checkpoint",
                name="select_final",
                namespace=name,
            ),
        ]
    )  # fmt: skip


def create_control_pipeline(n_drops: int) -> Pipeline:
    """The uncompressed model through as many alignments, so that gains of training longer show."""
    return _chain(_control_step(), n_drops, "control")


def create_models_pipeline(n_drops: int) -> Pipeline:
    """The models of all steps, in memory: whose costs are measured."""
    name = "compress"
    return Pipeline(
        [
            Node(
                nodes.collect_checkpoints,
                inputs=_entries(name, n_drops, "checkpoint"),
                outputs="step_checkpoints",
                name="collect_step_checkpoints",
                namespace=name,
            ),
        ]
    )


def create_results_pipeline(n_drops: int, control: bool) -> Pipeline:
    """The tables of all steps, joined in memory: the inputs of the report."""
    chains = {"compress": "step"} | ({"control": "control"} if control else {})
    return Pipeline(
        [
            Node(
                nodes.collect_results,
                inputs=_entries(chain, n_drops, "history", "detections", "metrics"),
                outputs=f"{family}_results",
                name="collect_results",
                namespace=chain,
            )
            for chain, family in chains.items()
        ]
    )
