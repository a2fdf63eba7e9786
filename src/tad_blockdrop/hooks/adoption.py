"""Experiments from before there were checksums get them when they are first used."""

import logging

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline

from tad_blockdrop.checksums import seal_of
from tad_blockdrop.hooks.experiment import ExperimentHook
from tad_blockdrop.storage.adoption import adopt
from tad_blockdrop.storage.experiment_files import artefacts
from tad_blockdrop.storage.experiment_record import read_record

logger = logging.getLogger(__name__)


class Adoption(ExperimentHook):
    """Seals what an older version of this program left; later, names what lost its checksum."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Once for an experiment."""
        experiment = self._experiment(pipeline)
        record = read_record(experiment.record) if experiment else None
        if experiment is None or record is None:
            return
        if not record.sealed:
            count = adopt(experiment.data, experiment.record, record)
            logger.info(
                "experiment '%s' is from before there were checksums: its %d files are taken as "
                "they are now",
                experiment.name, count,
            )  # fmt: skip
        for path in artefacts(experiment.data, experiment.name):
            if not seal_of(path).is_file():
                logger.warning("%s has no checksum any more: it is read as it is", path)
