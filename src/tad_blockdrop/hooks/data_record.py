"""No other data in an experiment than those that it was begun with."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from tad_blockdrop.config import Parameters
from tad_blockdrop.errors import BlockDropError, first_lines
from tad_blockdrop.hooks.experiment import Experiment, ExperimentHook
from tad_blockdrop.storage.experiment_files import made_from
from tad_blockdrop.storage.experiment_record import (
    STAGE_OF,
    ExperimentError,
    Record,
    read_record,
)
from tad_blockdrop.storage.project_paths import own_paths

logger = logging.getLogger(__name__)

DATASET, FACTS = "dataset", "video_facts"
TIMES = ("n_frames", "fps", "start", "duration")  # what frames are extracted by
SHOWN = 10  # differences that an error message lists
LISTS_VIDEOS, READS_SOURCES = "data.probe_videos", "data.check_dataset"
NEEDS_DATASET = "data.make_evaluator"  # a node of every pipeline that does, also of other stages


class DataRecord(ExperimentHook):
    """Compares annotations, class lists and videos with ``experiment.json``, which it adds to.

    What is recorded is what the nodes have read, not what is there when they have finished.
    """

    _running: Experiment | None = None
    _read: dict[str, Any]

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Remember the catalog, to read what the dataset is made from."""
        self._catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Refuse to go on with other data than those of the results that are there."""
        self._read = {}
        self._running = experiment = self._experiment(pipeline)
        if experiment is None or not _works_on_data(pipeline):
            return
        record = read_record(experiment.record)
        if record is None:
            return
        if record.data is None:
            if self._catalog.exists(DATASET):
                self._adopt(experiment, record)
            return
        changes = self._changes(experiment, record)
        makes = DATASET in pipeline.outputs() and not run_params["only_missing_outputs"]
        if not changes:
            return
        if makes and not made_from(experiment.data, experiment.name, "baseline"):
            logger.info("the data have changed: %s; the tables are made anew", "; ".join(changes))
            return
        raise ExperimentError(_refusal(experiment, changes))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any, node: Node) -> None:
        """Remember what the dataset is being made from."""
        if self._running is None or node.name not in (LISTS_VIDEOS, READS_SOURCES):
            return
        from tad_blockdrop.video.sources import annotation_digests, file_facts, list_digests

        settings = _settings(self._running)
        if dataset_name == "raw_annotations":
            digests = annotation_digests(data, settings.data)
            if self._read.setdefault("annotations", digests) != digests:
                raise ExperimentError(
                    "the annotations were changed while the videos were looked at: run again"
                )
            self._read["lists"] = list_digests(settings.data, settings.evaluation)
        elif dataset_name == FACTS:
            self._read["videos"] = file_facts(data["path"], self._running.record)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Refuse tables that others' results were not made from."""
        if dataset_name == FACTS and self._running is not None:
            self._refuse_other_facts(self._running, data)
        if dataset_name != DATASET or self._running is None:
            return
        experiment, record = self._running, read_record(self._running.record)
        known = record.data if record else None
        if known is None or known["identity"] == data.identity:
            return
        if not made_from(experiment.data, experiment.name, "baseline"):
            return
        changes = ["the tables of videos and actions that are made from them"]
        if known["classes"] != list(data.classes):
            changes = [f"classes: {', '.join(known['classes'])} -> {', '.join(data.classes)}"]
        raise ExperimentError(_refusal(experiment, changes))

    def _refuse_other_facts(self, experiment: Experiment, facts: pd.DataFrame) -> None:
        """Refuse what this version reads of the files, where an older one has read otherwise.

        Before frames are extracted: those that are there belong to the results.
        """
        made = made_from(experiment.data, experiment.name, "baseline")
        if not made or not self._catalog.exists(FACTS):
            return
        known = self._catalog.load(FACTS)
        names = [name for name in TIMES if name in known]
        both = facts.merge(known[["video_id", *names]], on="video_id", suffixes=("", "_before"))
        changes = [
            f"{row['video_id']}: {name}: {row[f'{name}_before']} -> {row[name]}, as this version "
            "reads its file"
            for row in both.to_dict("records")
            for name in names
            if row[f"{name}_before"] != row[name]
        ]
        if changes:
            raise ExperimentError(_refusal(experiment, first_lines(changes, SHOWN)))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record what the dataset was made from."""
        if dataset_name != DATASET or self._running is None or not self._read:
            return
        from tad_blockdrop.video.sources import Sources, changed_files

        experiment, sources = self._running, Sources(**self._read)
        record = read_record(experiment.record)
        if record is None:
            return
        if changed := changed_files(sources.videos, experiment.record):
            raise ExperimentError(
                f"videos were changed while their frames were extracted: {', '.join(changed)}; "
                "run the data pipeline again"
            )
        _write(experiment, record, sources, data)

    def _changes(self, experiment: Experiment, record: Record) -> list[str]:
        from tad_blockdrop.video.annotations import AnnotationError
        from tad_blockdrop.video.sources import (
            Sources,
            annotation_digests,
            changed_files,
            differences,
            list_digests,
        )

        assert record.data is not None
        known, settings = Sources.of_record(record.data), _settings(experiment)
        # Frames that were extracted do without their videos.
        files = [
            name
            for name in changed_files(known.videos, experiment.record)
            if settings.data.proxy is None or (experiment.project / name).exists()
        ]
        if not self._catalog.exists("raw_annotations"):
            logger.warning("the annotations are gone; the tables made from them are used")
            return differences(known, known.annotations, known.lists, files)
        try:
            annotations = annotation_digests(
                self._catalog.load("raw_annotations"), settings.data, known.annotations
            )
        except (AnnotationError, DatasetError) as error:
            return [f"annotations: they cannot be read any more ({error})"]
        lists = list_digests(settings.data, settings.evaluation)
        return differences(known, annotations, lists, files)

    def _adopt(self, experiment: Experiment, record: Record) -> None:
        """Take the data of an experiment from before they were recorded for those of its tables."""
        from tad_blockdrop.video.sources import (
            Sources,
            annotation_digests,
            file_facts,
            list_digests,
        )

        settings = _settings(experiment)
        try:
            facts = self._catalog.load(FACTS)
            paths = [p for p in own_paths(facts["path"], experiment.record) if Path(p).exists()]
            sources = Sources(
                annotation_digests(self._catalog.load("raw_annotations"), settings.data),
                list_digests(settings.data, settings.evaluation),
                file_facts(paths, experiment.record),
            )
            dataset = self._catalog.load(DATASET)
            if "content" not in dataset.videos:
                content = self._content(dataset.videos)
                dataset = replace(dataset, videos=dataset.videos.assign(content=content))
        except (BlockDropError, DatasetError, OSError) as error:
            logger.warning("what this experiment was made from cannot be recorded: %s", error)
            return
        self._catalog.save(DATASET, dataset)
        _write(experiment, record, sources, dataset)
        logger.info(
            "experiment '%s' is from before its data were recorded: its annotations and videos are "
            "taken for those that it was made from",
            experiment.name,
        )

    def _content(self, videos: pd.DataFrame) -> list[str]:
        """What the frames of each video were made from, as ``data.index_frames`` says it."""
        from tad_blockdrop.video.files.proxies import source_fingerprint

        if "source_frames" in videos:
            return [source_fingerprint(path) for path in videos["path"]]
        made_from = self._catalog.load("proxies").made_from
        return [made_from.get(video, "") for video in videos["video_id"]]


def _works_on_data(pipeline: Pipeline) -> bool:
    """Whether its stages make the dataset or use it; exports only try some windows of it."""
    spaces = {
        (node.namespace or "").split(".")[0]
        for node in pipeline.nodes
        if node.name != NEEDS_DATASET
    }
    return DATASET in pipeline.datasets() and bool(spaces & STAGE_OF.keys())


def _settings(experiment: Experiment) -> Parameters:
    return Parameters.model_validate(experiment.parameters)


def _write(experiment: Experiment, record: Record, sources: Any, dataset: Any) -> None:
    tables = {"identity": dataset.identity, "classes": list(dataset.classes)}
    replace(record, data=sources.to_record() | tables).write(experiment.record)


def _refusal(experiment: Experiment, changes: list[str]) -> str:
    lines = "\n".join(f"  {change}" for change in changes)
    again = "kedro run --pipeline data, with the same --env and --params"
    if made_from(experiment.data, experiment.name, "baseline"):
        again = (
            f"kedro versions --experiment {experiment.name} --delete --from data; then run again"
        )
    return (
        f"the data of experiment '{experiment.name}' have changed since it was begun:\n{lines}\n"
        "Its results would be mixed with new ones. Choose:\n"
        "  a new experiment: --params experiment=<name>\n"
        f"  this one, anew from here on: {again}\n"
        "  this one as it was: put the old data back\n"
        "Pipelines that do not depend on the data go on as before: predict, export, "
        "export_weights, compare."
    )
