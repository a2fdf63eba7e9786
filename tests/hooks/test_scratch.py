"""Each node has a scratch folder of its own, which stays until its work is safe."""

from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from tad_blockdrop.datasets.scratch import ScratchDataset
from tad_blockdrop.hooks.scratch import ScratchFolders


def work(given: list[str], scratch: Path) -> list[str]:
    """What it was given and its scratch folder, into which it writes."""
    scratch.mkdir(parents=True)
    (scratch / "state").write_text("half")
    return [*given, scratch.name]


def fail(given: list[str], scratch: Path) -> list[str]:
    work(given, scratch)
    raise RuntimeError


def tell(given: list[str], scratch: Path) -> tuple[list[str], list[str]]:
    """Its work, and what is to be known of it."""
    done = work(given, scratch)
    return done, done


def run(folder: Path, last: Any) -> tuple[list[str], list[str]]:
    """``first`` hands ``second`` its work in memory; returns the result and the folders left.

    What is there already is not made again.
    """
    pipeline = Pipeline(
        [
            Node(work, ["given", "scratch"], "kept", name="zeroth"),
            Node(tell, ["kept", "scratch"], ["handed", "told"], name="first", namespace="step"),
            Node(last, ["handed", "scratch"], "result", name="second", namespace="step"),
        ]
    )
    catalog = DataCatalog(
        {
            "given": MemoryDataset([]),
            "kept": JSONDataset(filepath=str(folder / "kept.json")),
            "handed": MemoryDataset(),
            "told": JSONDataset(filepath=str(folder / "told.json")),
            "result": JSONDataset(filepath=str(folder / "result.json")),
            "scratch": ScratchDataset(filepath=str(folder / "scratch")),
        }
    )
    hooks = _create_hook_manager()
    folders = ScratchFolders()
    hooks.register(folders)
    folders.after_catalog_created(catalog)
    folders.before_pipeline_run({"only_missing_outputs": True}, pipeline)
    SequentialRunner().run(pipeline, catalog, hooks, only_missing_outputs=True)
    return catalog.load("result"), sorted(path.name for path in (folder / "scratch").iterdir())


def test_each_node_has_its_own_and_none_is_left(tmp_path: Path) -> None:
    assert run(tmp_path, work) == (["zeroth", "step.first", "step.second"], [])


def test_what_is_only_in_memory_keeps_its_scratch(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run(tmp_path, fail)
    left = sorted(path.name for path in (tmp_path / "scratch").iterdir())
    assert left == ["step.first", "step.second"]


def test_a_part_that_is_made_again_leaves_nothing(tmp_path: Path) -> None:
    """What was handed on in memory is taken by nobody this time: the end is there already."""
    run(tmp_path, work)
    (tmp_path / "told.json").unlink()
    assert run(tmp_path, work) == (["zeroth", "step.first", "step.second"], [])
    assert (tmp_path / "told.json").exists()


def look(given: list[str]) -> None:
    """Make nothing of it."""


@pytest.mark.parametrize(
    ("order", "left"),
    [
        (["repair", "align", "merge", "look", "other"], "repair"),  # others still take it
        (["repair", "look", "other", "align", "merge"], ""),
    ],
)
def test_what_goes_from_hand_to_hand_is_cleared_once_nobody_needs_it(
    tmp_path: Path, order: list[str], left: str
) -> None:
    """As a repair does, which an alignment and the merging of its LoRA follow."""
    pipeline = Pipeline(
        [
            Node(work, ["given", "scratch"], "repaired", name="repair"),
            Node(work, ["repaired", "scratch"], "aligned", name="align"),
            Node(work, ["aligned", "scratch"], "merged", name="merge"),
            Node(look, ["repaired"], None, name="look"),
            Node(work, ["repaired", "scratch"], "seen", name="other"),
        ]
    )
    names = ("merged", "seen")
    catalog = DataCatalog(
        {"given": MemoryDataset([]), "scratch": ScratchDataset(filepath=str(tmp_path / "scratch"))}
        | {name: MemoryDataset() for name in ("repaired", "aligned")}
        | {name: JSONDataset(filepath=str(tmp_path / f"{name}.json")) for name in names}
    )
    folders = ScratchFolders()
    folders.after_catalog_created(catalog)
    folders.before_pipeline_run({"only_missing_outputs": False}, pipeline)
    by_name = {node.name: node for node in pipeline.nodes}
    found: dict[str, str] = {}
    for name in order:
        node = by_name[name]
        if "scratch" in node.inputs:
            (tmp_path / "scratch" / name).mkdir(parents=True)
        folders.after_node_run(node)
        for output in node.outputs:
            folders.after_dataset_saved(output, node)
        found[name] = " ".join(sorted(path.name for path in (tmp_path / "scratch").iterdir()))
    assert found["align"] == "align repair"
    assert found["merge"] == left
    assert found[order[-1]] == ""
