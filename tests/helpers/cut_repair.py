"""A shared repair whose process 1 kills itself before a layer; what is done is saved at once."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tad_blockdrop.compression import repair as repairing
from tad_blockdrop.compression.refitting import Walk
from tad_blockdrop.jobs import repair
from tad_blockdrop.parallel.group import Group


def work(folder: Path, settings: Mapping[str, Any], group: Group) -> None:
    """The work of ``jobs.repair`` until ``cut`` layers are fitted."""
    repairing.SECONDS_BETWEEN_SAVES = 0.0
    fit, fitted = Walk.fit, [0]

    def fit_or_die(*given: Any) -> Any:
        if fitted[0] == settings["cut"] and group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        fitted[0] += 1
        return fit(*given)

    Walk.fit = fit_or_die  # type: ignore[method-assign]
    repair.work(folder, settings, group)
