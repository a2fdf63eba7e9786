"""Commands that this project adds to ``kedro``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from tad_blockdrop.errors import printable

DATA = Path("data")

if spoilt := [argument for argument in sys.argv if printable(argument) != argument]:
    # Kedro reads its parameters as YAML, which takes UTF-8 only, before any hook is called.
    sys.exit(f"Error: {printable(spoilt[0])} is not UTF-8: rename the file or folder")


@dataclass(frozen=True)
class StoredVersion:
    """One version of one catalog entry on disk: ``folder`` is ``.../<entry>/<version>``."""

    folder: Path
    size: int

    @property
    def version(self) -> str:
        """The version's time stamp, as Kedro writes it."""
        return self.folder.name


@click.group(name="tad_blockdrop")
def cli() -> None:
    """Commands of tad_blockdrop."""


@cli.command()
@click.option("--experiment", default=None, help="Only this experiment.")
@click.option("--keep", type=click.IntRange(min=1), default=None,
              help="Delete all but that many newest versions of each entry.")  # fmt: skip
@click.option("--delete", is_flag=True, help="Delete everything of --experiment.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
def versions(experiment: str | None, keep: int | None, delete: bool, yes: bool) -> None:
    """List saved versions with their sizes, or prune them.

    Version folders are found by their layout, data/<layer>/<experiment>/.../<entry>/<version>/.
    """
    if delete and (experiment is None or keep is not None):
        raise click.UsageError("--delete needs --experiment and goes without --keep")
    if experiment is not None and experiment not in _experiments():
        found = ", ".join(_experiments()) or "none"
        raise click.ClickException(f"there is no experiment '{experiment}'; found: {found}")
    if delete:
        folders = [folder for folder in DATA.glob(f"*/{experiment}") if folder.is_dir()]
        folders = [folder for folder in folders if folder.parent.name != "01_raw"]
        _remove([(folder, _size(folder)) for folder in folders], yes)
        return
    stored = sorted(_stored(experiment), key=lambda v: (str(v.folder.parent), v.version))
    if keep is None:
        for version in stored:
            entry = version.folder.parent.relative_to(DATA)
            click.echo(f"{version.size / 2**20:9.1f} MiB  {version.version}  {entry}")
        click.echo(f"{sum(v.size for v in stored) / 2**20:9.1f} MiB in {len(stored)} versions")
        return
    by_entry: dict[Path, list[StoredVersion]] = {}
    for version in stored:
        by_entry.setdefault(version.folder.parent, []).append(version)
    old = [version for entry in by_entry.values() for version in entry[:-keep]]
    _remove([(version.folder, version.size) for version in old], yes)


def _experiments() -> list[str]:
    return sorted(p.parent.name for p in (DATA / "06_models").glob("*/experiment.json"))


def _stored(experiment: str | None) -> Iterator[StoredVersion]:
    """Version folders: named like a time stamp, holding an entry named like their parent."""
    for folder in DATA.glob(f"*/{experiment or '*'}/**/????-??-??T*Z"):
        if folder.is_dir() and (folder / folder.parent.name).exists():
            yield StoredVersion(folder, _size(folder))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _remove(folders: list[tuple[Path, int]], yes: bool) -> None:
    if not folders:
        click.echo("nothing to delete")
        return
    size = sum(size for _, size in folders) / 2**20
    for folder, _ in folders:
        click.echo(f"  {folder}")
    if not yes:
        click.confirm(f"delete these {len(folders)} folders, {size:.1f} MiB?", abort=True)
    for folder, _ in folders:
        shutil.rmtree(folder)
    click.echo(f"deleted {size:.1f} MiB")
