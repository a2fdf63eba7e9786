"""The graph: complete, shaped by the configuration, and every dataset in the catalog."""

from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import MemoryDataset

from tad_blockdrop.pipelines import compress
from tad_blockdrop.pipelines.report.pipeline import create_pipeline as report


@pytest.mark.parametrize("environment", ["base", "smoke", "quick", "published"])
def test_every_dataset_has_its_catalog_entry(project: Path, environment: str) -> None:
    """A name that is not in the catalog would silently become a MemoryDataset."""
    bootstrap_project(project)
    with KedroSession.create(project, env=environment) as session:
        catalog = session.load_context().catalog
        from kedro.framework.project import pipelines

        for name, pipeline in dict(pipelines).items():
            unknown = {
                dataset
                for dataset in pipeline.datasets()
                if not dataset.startswith("params:")
                and dataset != "parameters"
                and dataset not in catalog
            }
            assert not unknown, f"pipeline {name}"


def test_the_graph_follows_each_session(project: Path) -> None:
    bootstrap_project(project)
    from kedro.framework.project import pipelines

    for drops in (1, 3, 2):
        with KedroSession.create(
            project, runtime_params={"compress": {"n_drops": drops}}
        ) as session:
            session.load_context()
            spaces = {node.namespace for node in pipelines["compress"].nodes}
            steps = {name for name in spaces if name and name.startswith("compress.step_")}
            assert steps == {f"compress.step_{i:02d}" for i in range(1, drops + 1)}


def test_each_step_starts_from_the_one_before() -> None:
    loop = compress.create_pipeline(3, repair=False)
    scoring = {n.namespace: n for n in loop.nodes if n.name.endswith("score_blocks")}
    assert "baseline_checkpoint" in scoring["compress.step_01"].inputs
    assert "compress.step_01.checkpoint" in scoring["compress.step_02"].inputs
    assert "compress.step_02.checkpoint" in scoring["compress.step_03"].inputs


def test_the_control_is_the_loop_without_scoring_and_dropping() -> None:
    def names(pipeline) -> set[str]:
        return {n.name.split(".")[-1] for n in pipeline.nodes if "step_01" in (n.namespace or "")}

    missing = names(compress.create_pipeline(2, repair=False)) - names(
        compress.create_control_pipeline(2, "each")
    )
    assert missing == {"score_blocks", "drop_block"}


def test_the_control_of_one_alignment_is_one_step() -> None:
    steps = {align: {n.namespace for n in compress.create_control_pipeline(3, align).nodes}
             for align in ("each", "last", None)}  # fmt: skip
    assert steps["each"] == {f"control.step_{step:02d}" for step in (1, 2, 3)}
    assert steps["last"] == {"control.step_03"}
    assert steps[None] == set()


def test_the_report_is_about_one_model() -> None:
    """That of the loop, whose detections it has; the one in use may have learned again."""
    nodes = report(control=True, repair=True).nodes
    takers = {node.func.__name__ for node in nodes if "final_checkpoint" in node.inputs}
    assert takers == {"collect_facts"}


def test_the_whole_job_needs_nothing_but_the_user_and_what_hooks_provide(project: Path) -> None:
    bootstrap_project(project)
    with KedroSession.create(project, env="smoke") as session:
        session.load_context()
        from kedro.framework.project import pipelines

        needed = {name for name in pipelines["compress"].inputs() if not name.startswith("params:")}
        assert needed == {"parameters", "scratch", "node_seconds"}  # which hooks provide


def test_every_pipeline_runs_alone_once_the_job_is_done(project: Path) -> None:
    """None takes what another leaves in memory only."""
    bootstrap_project(project)
    with KedroSession.create(project) as session:
        catalog = session.load_context().catalog
        from kedro.framework.project import pipelines

        for name, pipeline in dict(pipelines).items():
            lost = {
                entry
                for entry in pipeline.inputs()
                if not entry.startswith("params:")
                and entry != "parameters"
                and isinstance(catalog.get(entry), MemoryDataset)
            }
            assert not lost, f"pipeline {name}"
