"""Commands that this project adds to ``kedro``."""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack, suppress
from getpass import getuser
from pathlib import Path
from typing import Any

import click

from tad_blockdrop.arguments import ArgumentError, refuse_bad_arguments
from tad_blockdrop.hooks.readable_errors import plain_on_command_line
from tad_blockdrop.runtime.logs import escape_for_terminal
from tad_blockdrop.storage.experiment_files import RAW, STAGES, made_from, scratch_from
from tad_blockdrop.storage.experiment_files import versions as stored_versions
from tad_blockdrop.storage.experiment_lock import HOLDER, LOCK, hold
from tad_blockdrop.storage.experiment_record import RECORD, STAGE_KEYS, forget

DATA = Path("data")
MODELS = DATA / "06_models"
CONF = Path("conf")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

try:  # before Kedro reads them
    refuse_bad_arguments(sys.argv)
except ArgumentError as error:
    sys.exit(f"Error: {error}")


@click.group(name="tad_blockdrop")
def cli() -> None:
    """Commands of tad_blockdrop."""


@cli.command()
@click.option("--experiment", default=None, help="Only this experiment.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=None,
    help="Delete all but that many newest versions of each entry.",
)
@click.option("--delete", is_flag=True, help="Delete everything of --experiment.")
@click.option(
    "--from",
    "stage",
    type=click.Choice(STAGES),
    default=None,
    help="With --delete: only what this stage and those after it have made or begun.",
)
@click.option("--check", is_flag=True, help="Test whether everything is what was written.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")  # fmt: skip
def versions(
    experiment: str | None,
    keep: int | None,
    delete: bool,
    stage: str | None,
    check: bool,
    yes: bool,
) -> None:
    """List saved versions with their sizes, prune them, or check them.

    Version folders are found by their layout, data/<layer>/<experiment>/.../<entry>/<version>/.
    """
    if delete + check + (keep is not None) > 1:
        raise click.UsageError("--delete, --keep and --check go one at a time")
    if delete and experiment is None:
        raise click.UsageError("--delete needs --experiment")
    if stage is not None and not delete:
        raise click.UsageError("--from goes with --delete")
    known = sorted(path.parent.name for path in MODELS.glob(f"*/{RECORD}"))
    if experiment is not None and experiment not in known:
        found = ", ".join(known) or "none"
        raise click.ClickException(f"there is no experiment '{experiment}'; found: {found}")
    with plain_on_command_line():
        if check:
            _check([experiment] if experiment else known)
        elif experiment is not None and delete:
            _delete(experiment, stage, yes)
        elif keep is not None:
            _prune(experiment, keep, yes)
        else:
            _list(experiment)


@cli.command()
@click.option("--videos", required=True, type=FOLDER, help="Folder of your videos.")
@click.option("--annotations", type=click.Path(path_type=Path), help="File that names the actions.")
@click.option(
    "--minutes",
    default=30.0,
    type=click.FloatRange(min=1),
    show_default=True,
    help="Time that this and the job may take together.",
)
@click.option(
    "--name",
    default="my_videos",
    show_default=True,
    help="Of the environment in conf/ and of the results.",
)
@click.option(
    "--weights", help="DINOv2-S weights to try as well: a file, or 'pretrained' to download them."
)
def begin(
    videos: Path, annotations: Path | None, minutes: float, name: str, weights: str | None
) -> None:
    """Look at your own videos, choose all parameters, and write them into conf/<name>/.

    Without --annotations, say how to make them.
    """
    with plain_on_command_line():
        from tad_blockdrop.begin.annotate import how_to_annotate
        from tad_blockdrop.begin.prepare import prepare
        from tad_blockdrop.begin.request import Request

        if annotations is None:
            click.echo(escape_for_terminal(how_to_annotate(videos)))
            return
        request = Request(videos, annotations, minutes, name, weights, CONF, DATA)
        prepare(request, base_parameters(CONF), lambda text: click.echo(escape_for_terminal(text)))
    click.echo(
        f"written: {request.environment}, with a reason beside each value. Now:\n\n"
        f"    kedro run --env {name}\n\n"
        f"(--only-missing-outputs behind it goes on with a job that was interrupted), and then,\n"
        f"for a page of detections in any videos:\n\n"
        f"    kedro run --env {name} --pipeline predict --params predict.videos=<folder>"
    )


def base_parameters(conf: Path) -> dict[str, Any]:
    """The raw parameters of ``base`` in the project's folder ``conf``."""
    from kedro.framework.project import settings

    loader = settings.CONFIG_LOADER_CLASS(str(conf), env="base", **settings.CONFIG_LOADER_ARGS)
    return dict(loader["parameters"])


@cli.command()
@click.option("--experiment", required=True, help="Whose newest predictions to look at.")
@click.option("--who", default=getuser, help="Your name, kept with each correction.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="By default one that is free."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def review(experiment: str, who: str, port: int, no_browser: bool) -> None:
    """Play the videos of an experiment's predictions, and correct what the model found.

    Everything stays on this machine. Corrections are saved as they are made, in
    data/01_raw/<experiment>/corrections.jsonl; kedro run --pipeline corrections joins them with the
    annotations.
    """
    from tad_blockdrop.review.session import review_experiment

    def ready(address: str) -> None:
        click.echo(f"Open {address}\nCtrl+C ends it; whatever you corrected is saved.")
        if not no_browser:
            click.launch(address)

    with plain_on_command_line(), suppress(KeyboardInterrupt):
        review_experiment(DATA, experiment, who, port, ready)


def _list(experiment: str | None) -> None:
    total = count = 0
    for folder in sorted(stored_versions(DATA, experiment)):
        size = _size(folder)
        total, count = total + size, count + 1
        entry = folder.parent.relative_to(DATA)
        click.echo(f"{size / 2**20:9.1f} MiB  {folder.name}  {entry}")
    click.echo(f"{total / 2**20:9.1f} MiB in {count} versions")


def _prune(experiment: str | None, keep: int, yes: bool) -> None:
    by_entry: dict[Path, list[Path]] = {}
    for folder in sorted(stored_versions(DATA, experiment)):
        by_entry.setdefault(folder.parent, []).append(folder)
    old = [folder for entry in by_entry.values() for folder in entry[:-keep]]
    with ExitStack() as held:
        for name in sorted({folder.relative_to(DATA).parts[1] for folder in old}):
            held.enter_context(hold(MODELS / name))
        _remove(old, yes)


def _delete(experiment: str, stage: str | None, yes: bool) -> None:
    own = MODELS / experiment
    with hold(own):
        if stage is not None:
            # The state of interrupted work too: a run with other parameters must not go on from it.
            made = made_from(DATA, experiment, stage)
            _remove([*made, *scratch_from(DATA, experiment, stage)], yes)
            order = list(STAGE_KEYS)
            forget(own / RECORD, order[order.index(stage) :])
            return
        folders = [folder for folder in DATA.glob(f"*/{experiment}") if folder.parent.name != RAW]
        folders.remove(own)
        inside = [path for path in own.iterdir() if path.name not in (LOCK, HOLDER)]
        _remove(folders + inside, yes)
    for name in (HOLDER, LOCK):
        (own / name).unlink(missing_ok=True)
    with suppress(OSError):  # another run may have begun in there
        own.rmdir()


def _check(experiments: list[str]) -> None:
    from tad_blockdrop.datasets.checks import check_experiment

    faults = 0
    for name in experiments:
        found = check_experiment(DATA, name)
        faults += len(found.faults)
        for line in found.faults + found.outdated + found.notes:
            click.echo(f"{name}: {line}")
        counts = f"{found.checked} checked, {len(found.faults)} faults"
        click.echo(f"{name}: {counts}, {len(found.outdated)} out of date")
    if faults:
        raise click.ClickException(f"{faults} faults: see above")


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _remove(paths: list[Path], yes: bool) -> None:
    if not paths:
        click.echo("nothing to delete")
        return
    size = sum(_size(path) for path in paths) / 2**20
    for path in paths:
        click.echo(f"  {path}")
    if not yes:
        click.confirm(f"delete these {len(paths)} files and folders, {size:.1f} MiB?", abort=True)
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    click.echo(f"deleted {size:.1f} MiB")
