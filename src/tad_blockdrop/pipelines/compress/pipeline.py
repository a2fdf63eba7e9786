"""The loop as a graph: one template, instantiated as ``compress.step_01``, ``step_02``, ..."""

from collections.abc import Iterable

from kedro.pipeline import Node, Pipeline

from tad_blockdrop.config.compress import Alignment
from tad_blockdrop.pipelines.compress import nodes
from tad_blockdrop.pipelines.graph import node
from tad_blockdrop.pipelines.shared import evaluate_model, join_tables

COMPRESS = "params:compress"
WORK = ["evaluator", "scratch", COMPRESS]


def _alignment(shortened: str) -> list[Node]:
    """From a model with a block less to an aligned, plain and evaluated checkpoint."""
    return [
        node(
            nodes.align,
            [shortened, "student", "uncompressed", *WORK, "params:detector"],
            ["aligned", "history"],
        ),
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


def _control_step(align: Alignment) -> Pipeline:
    """The same alignment with nothing dropped."""
    taken = ["step_checkpoints"] if align == "last" else []
    keeping = node(nodes.keep_all, ["student", *taken], "dropped")
    return Pipeline([keeping, *_alignment("dropped")])


def _chain(template: Pipeline, numbers: Iterable[int], namespace: str) -> Pipeline:
    """``template`` once a step, each starting from the checkpoint of the one before."""
    parameters = {name: name for name in template.inputs() if name.startswith("params:")}
    shared = {"evaluator", "scratch", "step_checkpoints"} & template.inputs()
    steps = Pipeline([])
    student = "baseline_checkpoint"
    for step in numbers:
        steps += Pipeline(
            template,
            namespace=f"{namespace}.step_{step:02d}",
            inputs={
                "student": student,
                "uncompressed": "baseline_checkpoint",
                **{name: name for name in shared},
            },
            parameters=parameters,
            tags={f"step_{step:02d}"},
        )
        student = f"{namespace}.step_{step:02d}.checkpoint"
    return steps


def _entries(namespace: str, steps: Iterable[int], *names: str) -> list[str]:
    """Catalog names of entries of all steps, step by step."""
    return [f"{namespace}.step_{step:02d}.{name}" for step in steps for name in names]


def _loop_steps(n_drops: int) -> range:
    return range(1, n_drops + 1)


def _control_steps(n_drops: int, align: Alignment | None) -> range:
    """The steps of the loop that are aligned; of ``last`` this entry, whichever step it is."""
    steps = _loop_steps(n_drops)
    return {"each": steps, "last": steps[-1:], None: steps[:0]}[align]


def create_pipeline(n_drops: int, repair: bool) -> Pipeline:
    """The loop of ``n_drops`` steps, then the choice of the final model."""
    name, steps = "compress", _loop_steps(n_drops)
    tables = {"score": "scores"} | ({"repair": "repairs"} if repair else {})
    collecting = [
        node(join_tables, _entries(name, steps, kind), f"{table}_table", f"collect_{kind}", name)
        for table, kind in tables.items()
    ]
    candidates = ["baseline_checkpoint", COMPRESS, *_entries(name, steps, "checkpoint")]
    choosing = node(nodes.select_final, candidates, "final_checkpoint", namespace=name)
    return _chain(_drop_step(repair), steps, name) + Pipeline([*collecting, choosing])


def create_control_pipeline(n_drops: int, align: Alignment | None) -> Pipeline:
    """The uncompressed model through as many alignments, so that gains of training longer show."""
    if align is None:
        return Pipeline([])
    return _chain(_control_step(align), _control_steps(n_drops, align), "control")


def create_models_pipeline(n_drops: int) -> Pipeline:
    """The models of all steps, in memory: whose costs are measured."""
    name, found = "compress", "step_checkpoints"
    models = _entries(name, _loop_steps(n_drops), "checkpoint")
    return Pipeline([node(nodes.collect_checkpoints, models, found, f"collect_{found}", name)])


def create_results_pipeline(n_drops: int, align: Alignment | None) -> Pipeline:
    """The tables of all steps, joined in memory: the inputs of the report.

    ``align``: how the control is aligned, none without one.
    """
    chains = {
        "compress": ("step", _loop_steps(n_drops)),
        "control": ("control", _control_steps(n_drops, align)),
    }
    kinds = ("history", "detections", "metrics")
    return Pipeline(
        [
            node(
                nodes.collect_results,
                _entries(chain, steps, *kinds),
                f"{family}_results",
                namespace=chain,
            )
            for chain, (family, steps) in chains.items()
            if steps
        ]
    )
