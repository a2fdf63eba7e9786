"""Which environment an experiment belongs to, and the command that goes on with it."""

from contextlib import suppress
from pathlib import Path

import yaml

from tad_blockdrop.storage.experiment_record import RECORD, ExperimentError, read_record

BASE, LOCAL = "base", "local"  # what a command without --env reads
UNKNOWN = "<its environment>"


def run_command(
    project: Path,
    experiment: str,
    pipeline: str,
    *parameters: str,
    environment: str | None = None,
) -> str:
    """``kedro run --pipeline ...`` with all that chooses the experiment, and these parameters.

    ``environment``: the experiment's, by default the one that is known of it.
    """
    environment = environment or environment_of(project, experiment) or UNKNOWN
    named = named_experiments(project / "conf")
    words = ["kedro run"]
    if environment not in (BASE, LOCAL):
        words.append(f"--env {environment}")
    words.append(f"--pipeline {pipeline}")
    if experiment != named.get(environment, named.get(BASE)):
        parameters = (f"experiment={experiment}", *parameters)
    if parameters:
        words.append(f"--params {','.join(parameters)}")
    return " ".join(words)


def environment_of(project: Path, experiment: str) -> str | None:
    """The environment that an experiment was begun in, or else the first that names it."""
    with suppress(ExperimentError):
        record = read_record(project / "data/06_models" / experiment / RECORD)
        if record is not None and record.environment is not None:
            return record.environment
    named = named_experiments(project / "conf")
    return next((name for name, its in named.items() if its == experiment), None)


def named_experiments(conf: Path) -> dict[str, str]:
    """The experiment that the ``globals.yml`` of each environment names, if it does."""
    found = {}
    for file in sorted(conf.glob("*/globals.yml")):
        with suppress(OSError, ValueError, yaml.YAMLError):
            stated = yaml.safe_load(file.read_text(encoding="utf-8"))
            if isinstance(stated, dict) and "experiment" in stated:
                found[file.parent.name] = str(stated["experiment"])
    return found
