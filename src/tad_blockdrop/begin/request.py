"""What a person asks for, and what of it is wrong before any work."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tad_blockdrop.config.backbones import PRETRAINED
from tad_blockdrop.config.base import EXPERIMENT
from tad_blockdrop.errors import BlockDropError
from tad_blockdrop.storage.environments import BASE, LOCAL, named_experiments

MADE = "Made by `kedro begin"  # how the environments begin that it has made


class BeginError(BlockDropError):
    """What was given cannot be begun with: what is wrong, and what to do."""


@dataclass(frozen=True)
class Request:
    """What a person gives. ``conf`` and ``data``: folders of the project.

    ``minutes`` of this computer, for the trial and the job together; ``weights``: those of
    DINOv2-S, a file or "pretrained".
    """

    videos: Path
    annotations: Path
    minutes: float
    name: str
    weights: str | None
    conf: Path
    data: Path

    @property
    def environment(self) -> Path:
        """The folder that is written."""
        return self.conf / self.name

    @property
    def problems(self) -> Path:
        """The table of all that is wrong with videos and annotations, where ``validate`` has it."""
        return self.data / "03_primary" / self.name / "problems.csv"


def refuse_bad(request: Request) -> None:
    """Raise BeginError that lists all that is wrong with what was given."""
    wrong = list(filter(None, (_wrong_name(request), *_wrong_paths(request))))
    if wrong:
        begin = "this cannot be begun with:\n  " if wrong[1:] else ""
        raise BeginError(begin + "\n  ".join(wrong))


def _wrong_name(request: Request) -> str | None:
    if not re.fullmatch(EXPERIMENT, request.name):
        return (
            f"'{request.name}' cannot be the name of an environment: use letters, digits, '_', '-' "
            "and '.' (--name)"
        )
    if request.name in (BASE, LOCAL):
        return f"'{request.name}' is a name of Kedro's own environments: give another --name"
    if request.environment.exists():
        removed = ", or remove it" if _was_begun(request.environment) else ""
        return (
            f"{request.environment} is there already and is not overwritten: give another --name"
            f"{removed}"
        )
    named = named_experiments(request.conf)
    if other := next((name for name, its in named.items() if its == request.name), None):
        return (
            f"'{request.name}' is the experiment of {request.conf / other}, whose results would "
            "be mixed with yours: give another --name"
        )
    if not os.access(request.conf, os.W_OK):
        return f"{request.conf} cannot be written to: check its permissions"
    return None


def _was_begun(environment: Path) -> bool:
    """Whether it was made by ``kedro begin``, so that nobody else needs it."""
    with suppress(OSError, ValueError):
        text = (environment / "parameters.yml").read_text(encoding="utf-8")
        return text.startswith(f"# {MADE}")
    return False


def _wrong_paths(request: Request) -> list[str]:
    wrong = []
    if not request.videos.is_dir():
        wrong.append(f"there is no folder {request.videos} (--videos)")
    if not request.annotations.exists():
        wrong.append(f"there is nothing at {request.annotations} (--annotations)")
    if request.weights not in (None, PRETRAINED) and not Path(str(request.weights)).exists():
        wrong.append(f"there are no weights at {request.weights} (--weights)")
    return wrong
