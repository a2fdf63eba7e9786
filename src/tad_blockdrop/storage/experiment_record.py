"""What an experiment was begun with, and whether a run would mix other parameters into it.

``data/06_models/<experiment>/experiment.json`` holds, stage by stage, the parameters that the
results depend on. A stage is written into the record when it is first run; from then on it, and
every later stage, runs with the same parameters only. It also holds what the dataset was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_type_hints

from tad_blockdrop.checksums import DamagedError, verify
from tad_blockdrop.config import FREE_KEYS, Parameters
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.storage.atomic import sealed_write

RECORD = "experiment.json"  # in the folder of an experiment's models

# In order: the results of a stage depend on its own parameters and those of the stages before.
STAGE_KEYS = {
    "data": ("data", "synthetic"),
    "baseline": ("detector", "baseline", "evaluation", "runtime"),
    "compress": ("compress",),
    "report": ("report",),
}
# The stages by the top-level namespace of their nodes.
STAGE_OF = {
    "data": "data",
    "baseline": "baseline",
    "learn": "baseline",
    "compress": "compress",
    "control": "compress",
    "evaluate": "report",
    "report": "report",
}

Flat = dict[str, Any]  # parameters by dotted key


@dataclass(frozen=True)
class Record:
    """``parameters`` by dotted key; ``data``: what the tables were made from (video/sources.py).

    ``environment``: where it was begun, in experiments since it is recorded.
    ``sealed``: whether all that the experiment has made got a checksum when it was written, or, in
    experiments from before there were checksums, when they were first used since.
    """

    begun: str
    parameters: Flat
    data: dict[str, Any] | None = None
    sealed: bool = False
    environment: str | None = None

    def write(self, file: Path) -> None:
        """Replace the record."""
        known = {key: value for key, value in asdict(self).items() if value is not None}
        with sealed_write(file) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


class ExperimentError(BlockDropError):
    """A run that would spoil an experiment."""


def flatten(tree: dict[str, Any], prefix: str = "") -> Flat:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    flat: Flat = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = value
    return flat


def unflatten(flat: Flat) -> dict[str, Any]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``; raises ValueError if a key is a value and a group."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(".")
        inner = tree
        for group in groups:
            inner = inner.setdefault(group, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{key}: {group} is a value")
        inner[last] = value
    return tree


def of_stage(parameters: Flat, stage: str) -> Flat:
    """Those of the flat parameters that belong to a stage and change results."""
    free = {*FREE_KEYS}
    if parameters.get("data.source") == "synthetic":
        free.add("data.clock")  # generated videos start at zero: both clocks are one
    return {
        key: value
        for key, value in parameters.items()
        if key.split(".")[0] in STAGE_KEYS[stage] and key not in free
    }


def complete(flat: Flat, stage: str) -> Flat:
    """A stage's parameters, with the defaults of those not set. Raises ValueError if not valid."""
    tree, kinds = unflatten(flat), get_type_hints(Parameters)
    groups = {key: kinds[key].model_validate(tree.get(key, {})) for key in STAGE_KEYS[stage]}
    dumped = {key: group.model_dump(mode="json") for key, group in groups.items()}
    return of_stage(flatten(dumped), stage)


def refuse_mixing(
    record: Path,
    experiment: str,
    raw: dict[str, Any],
    running: Iterable[str],
    settled: Iterable[str],
    environment: str | None = None,
) -> None:
    """Compare with the record of the experiment, and add to it the stages that this run settles.

    The ``running`` stages are checked with all stages before them; those of them that are
    ``settled`` by this run become part of the record. A new record names the ``environment``.
    Raises ExperimentError that lists the keys that differ.
    """
    parameters = json.loads(json.dumps(flatten(raw)))
    known = read_record(record) or Record(
        begun=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters={},
        sealed=True,
        environment=environment,
    )
    order = list(STAGE_KEYS)
    settled = set(settled)
    last = max((order.index(stage) for stage in running), default=-1)
    differing: list[str] = []
    first = ""  # the stage that begins to differ
    added: Flat = {}
    for stage in order[: last + 1]:
        mine, theirs = of_stage(parameters, stage), of_stage(known.parameters, stage)
        if theirs:
            differing += _differences(theirs, mine, stage)
            first = first or (stage if differing else "")
        elif stage in settled:
            added |= mine
    if differing:
        raise ExperimentError(
            f"experiment '{experiment}' was begun with other parameters:\n"
            + "\n".join(differing)
            + "\nIts results would be mixed with new ones. Give the new run a name of its own "
            "(--params experiment=<name>), or take the old ones away from there on with "
            f"`kedro versions --experiment {experiment} --delete --from {first}`."
        )
    if added:
        replace(known, parameters=known.parameters | added).write(record)


def read_record(file: Path) -> Record | None:
    """The record of an experiment; None if there is none. Raises ExperimentError."""
    if not file.exists():
        return None
    try:
        verify(file)
        stored = json.loads(file.read_text(encoding="utf-8"))
        return Record(
            begun=str(stored["begun"]),
            parameters=dict(stored["parameters"]),
            data=stored.get("data"),
            sealed=stored.get("sealed", False),
            environment=stored.get("environment"),
        )
    except (
        DamagedError,
        IsADirectoryError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise ExperimentError(
            f"{file} is damaged ({error}): restore it, or remove it if you are sure that the "
            "parameters are still those that the experiment was begun with"
        ) from error


def forget(file: Path, stages: Iterable[str]) -> None:
    """Take out of a record what it says of these stages, as if they had not been run."""
    known = read_record(file)
    if known is None:
        return
    stages = set(stages)
    gone = {key for stage in stages for key in of_stage(known.parameters, stage)}
    left = {key: value for key, value in known.parameters.items() if key not in gone}
    replace(known, parameters=left, data=None if "data" in stages else known.data).write(file)


def _differences(theirs: Flat, mine: Flat, stage: str) -> list[str]:
    """A line for each key that differs; one that the record is too old to know has its default."""
    with suppress(ValueError):  # a record that is not valid today is compared as it was written
        theirs, mine = complete(theirs, stage), complete(mine, stage)
    absent = "(not set)"
    return [
        f"  {key}: {theirs.get(key, absent)} -> {mine.get(key, absent)}"
        for key in sorted(theirs.keys() | mine.keys())
        if theirs.get(key, absent) != mine.get(key, absent)
    ]
