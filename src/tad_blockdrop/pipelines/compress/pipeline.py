"""The loop as a graph: one template, instantiated as ``compress.step_01``, ``step_02``, ..."""

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.pipelines.compress import nodes
from tad_blockdrop.pipelines.graph import node
from tad_blockdrop.pipelines.shared import evaluate_model, join_tables

COMPRESS = "params:compress"
WORK = ["evaluator", "scratch", COMPRESS]


def _alignment(shortened: str) -> list[Node]:
    """From a model with a block less to an aligned, plain and evaluated checkpoint."""
    return [
        node(nodes.align, [shortened, "student", "uncompressed", *WORK], ["aligned", "history"]),
        node(nodes.merge_lora, ["aligned", *WORK], "checkpoint"),
        node(
            evaluate_model,
            ["checkpoint", "evaluator", "scratch"],
            ["detections", "metrics"],
            "evaluate_step",
        ),
    ]


def _drop_step(repair: bool) -> Pipeline:
    """One step of the loop: from the student of the step before to a shorter one."""
    repairing = node(nodes.repair, ["dropped", "uncompressed", *WORK], ["repaired", "repairs"])
    return Pipeline(
        [
            node(nodes.score_blocks, ["student", "uncompressed", *WORK], "scores"),
            node(nodes.drop_block, ["student", "scores"], "dropped"),
            *([repairing] if repair else []),
            *_alignment("repaired" if repair else "dropped"),
        ]
    )


def _control_step() -> Pipeline:
    """The same alignment with nothing dropped."""
    return Pipeline([node(nodes.keep_all, "student", "dropped"), *_alignment("dropped")])


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
    collecting = [
        node(join_tables, _entries(name, n_drops, kind), f"{table}_table", f"collect_{kind}", name)
        for table, kind in tables.items()
    ]
    candidates = ["baseline_checkpoint", COMPRESS, *_entries(name, n_drops, "checkpoint")]
    choosing = node(nodes.select_final, candidates, "final_checkpoint", namespace=name)
    return _chain(_drop_step(repair), n_drops, name) + Pipeline([*collecting, choosing])


def create_control_pipeline(n_drops: int) -> Pipeline:
    """The uncompressed model through as many alignments, so that gains of training longer show."""
    return _chain(_control_step(), n_drops, "control")


def create_models_pipeline(n_drops: int) -> Pipeline:
    """The models of all steps, in memory: whose costs are measured."""
    name, found = "compress", "step_checkpoints"
    models = _entries(name, n_drops, "checkpoint")
    return Pipeline([node(nodes.collect_checkpoints, models, found, f"collect_{found}", name)])


def create_results_pipeline(n_drops: int, control: bool) -> Pipeline:
    """The tables of all steps, joined in memory: the inputs of the report."""
    chains = {"compress": "step"} | ({"control": "control"} if control else {})
    kinds = ("history", "detections", "metrics")
    return Pipeline(
        [
            node(
                nodes.collect_results,
                _entries(chain, n_drops, *kinds),
                f"{family}_results",
                namespace=chain,
            )
            for chain, family in chains.items()
        ]
    )
