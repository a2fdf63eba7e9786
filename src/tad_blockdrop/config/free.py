"""The settings that results do not depend on, and those of a group that they do depend on."""

from typing import Any

from tad_blockdrop.config.base import Config

# Speed, presentation and words: these may differ between the runs of one experiment.
FREE_KEYS = (
    "runtime.device",
    "runtime.devices",
    "runtime.engine",
    "runtime.address",
    "runtime.threads",
    "runtime.workers",
    "runtime.decode_timeout",
    "data.cache",
    "data.provenance",
    "detector.backbone.checkpointing",
    "evaluation.batch",
    "evaluation.latency_repeats",
    "report.timelines",
)
# A path: what counts is the weights that were read from it.
_STARTED_FROM = "detector.backbone.weights"


def deciding(key: str, group: Config) -> dict[str, Any]:
    """The settings of ``group`` that the results of work with given weights depend on, as JSON.

    ``key``: where it stands among the parameters, "detector.backbone" for instance.
    """
    exclude: dict[str, Any] = {}
    for free in (*FREE_KEYS, _STARTED_FROM):
        if free.startswith(f"{key}."):
            *groups, last = free.removeprefix(f"{key}.").split(".")
            inner = exclude
            for name in groups:
                inner = inner.setdefault(name, {})
            inner[last] = True
    return group.model_dump(mode="json", exclude=exclude)
