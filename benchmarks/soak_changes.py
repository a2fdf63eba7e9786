"""Change what a job works on, between its runs and during them: nothing may be mixed or lost.

``python benchmarks/soak_changes.py --changes 20`` runs the smoke job once in a copy of the project,
left alone, and once in another whose runs are killed at random moments and which is changed in
between: annotations and videos are edited (the next run must refuse them, by name, until they are
put back), versions are deleted, the project is moved, and copied while the original is spoilt.
During runs annotations are edited, and versions are to be deleted, which must be refused. Prints a
row per change. In the end everything must be equal, bit for bit, and ``kedro versions --check``
must find no fault; the exit code says so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from soak import ROOT, faults, outcome

EXPERIMENT = "smoke"
PARTS = ("conf", "src", "pyproject.toml")
JOB = ("run", "--pipeline", "compress", "--env", "smoke", "--only-missing-outputs")
VERSIONS = ("versions", "--experiment", EXPERIMENT)


class ChangeError(Exception):
    """Something was taken silently, or refused without need."""


class Project:
    """A copy of the project at ``folder``; ``log`` has what the last command said."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder.parent / f"{folder.name}.log"

    @classmethod
    def fresh(cls, folder: Path) -> Project:
        """One in which nothing has been run."""
        folder.mkdir()
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / part)
        return cls(folder)

    @property
    def data(self) -> Path:
        """The layers."""
        return self.folder / "data"

    @property
    def annotations(self) -> Path:
        """Those of the generated benchmark."""
        return self.data / "01_raw" / EXPERIMENT / "annotations.json"

    def begin(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command of kedro in a process group of its own."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "kedro", *command], cwd=self.folder, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"COLUMNS": "300", "PYTHONPATH": str(self.folder / "src")},
            )  # fmt: skip

    def said(self, *command: str, code: int = 0) -> str:
        """Run a command to its end, which must be ``code``."""
        ended = self.begin(*command).wait()
        text = self.log.read_text(errors="replace")
        if ended != code or "Traceback" in text:
            raise ChangeError(f"kedro {' '.join(command)} ended with {ended}:\n{text[-2000:]}")
        return text

    def refused(self, words: str) -> None:
        """The job must say ``words`` and do nothing."""
        if words not in self.said(*JOB, code=1):
            raise ChangeError(f"refused, but not with '{words}': {self.log}")

    def killed_run(self, seconds: float, meanwhile: Callable[[], None]) -> None:
        """Let the job run that long, do something, and kill it if it has not ended."""
        process = self.begin(*JOB)
        time.sleep(seconds)
        try:
            meanwhile()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def has_dataset(self) -> bool:
        """Whether the tables are there that results are made from."""
        return (self.data / "03_primary" / EXPERIMENT / "dataset/classes.json").is_file()


def edited(project: Project, chance: random.Random) -> bytes:
    """End one action earlier; returns the file as it was."""
    whole = project.annotations.read_bytes()
    raw = json.loads(whole)
    videos = [video for video in raw["database"].values() if video["annotations"]]
    chance.choice(chance.choice(videos)["annotations"])["segment"][1] -= 0.25
    project.annotations.write_text(json.dumps(raw))
    return whole


def edit_annotations(project: Project, chance: random.Random) -> Project:
    """What is made from others must be refused."""
    whole = edited(project, chance)
    if project.has_dataset():
        project.refused("annotations: changed: ")
    project.annotations.write_bytes(whole)
    return project


def exchange_video(project: Project, chance: random.Random) -> Project:
    """One video's file now holds another."""
    video, other = chance.sample(sorted(project.annotations.parent.glob("videos/*.mp4")), 2)
    whole = video.read_bytes()
    video.write_bytes(other.read_bytes())
    if project.has_dataset():
        project.refused("videos: changed or gone: ")
    video.write_bytes(whole)
    return project


def delete_version(project: Project, chance: random.Random) -> Project:
    """By hand, of any entry: the next run makes it again."""
    layers = (path for layer in ("06", "07", "08") for path in project.data.glob(f"{layer}_*"))
    found = [path for layer in layers for path in layer.glob("**/????-??-??T*Z")]
    if found:
        shutil.rmtree(chance.choice(sorted(found)))
    return project


def delete_in_a_run(project: Project, chance: random.Random) -> Project:
    """Must be refused while the job has its lock."""

    def meanwhile() -> None:
        text = project.folder.parent / "deleting.log"
        command = [sys.executable, "-m", "kedro", *VERSIONS, "--delete", "--yes"]
        with text.open("wb") as log:
            code = subprocess.run(
                command, cwd=project.folder, stdout=log, stderr=subprocess.STDOUT, check=False,
                env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
            ).returncode  # fmt: skip
        told = text.read_text(errors="replace")
        if code != 1 or "is being run by" not in told:
            raise ChangeError(f"versions --delete in a run ended with {code}:\n{told}")

    delete_version(project, chance)  # so that there is work
    holder = project.data / "06_models" / EXPERIMENT / ".running"
    process = project.begin(*JOB)
    mine = f"process {process.pid},"  # the file may be there of a run that was killed
    try:
        while process.poll() is None and not (holder.exists() and mine in holder.read_text()):
            time.sleep(0.1)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGSTOP)  # so that it is still there
            meanwhile()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGCONT)
    if process.wait() != 0:
        raise ChangeError(f"the job went on badly: {project.log.read_text(errors='replace')}")
    return project


def edit_in_a_run(project: Project, chance: random.Random) -> Project:
    """The run may stop or end; what it made from is known to the next one."""
    delete_version(project, chance)
    kept: list[bytes] = []
    project.killed_run(chance.uniform(4, 10), lambda: kept.append(edited(project, chance)))
    project.annotations.write_bytes(kept[0])
    return project


def move(project: Project, chance: random.Random) -> Project:
    """The whole project has another path."""
    return Project(project.folder.rename(project.folder.with_name(f"moved_{chance.random()}")))


def copy(project: Project, chance: random.Random) -> Project:
    """Go on in a copy; the frames of the original are spoilt, so that their use would show."""
    other = Project(project.folder.with_name(f"copied_{chance.random()}"))
    shutil.copytree(project.folder, other.folder)
    for frames in project.data.glob("02_intermediate/**/*.mp4"):
        frames.write_bytes(b"spoilt")
    return other


CHANGES = (
    edit_annotations, exchange_video, delete_version, delete_in_a_run, edit_in_a_run, move, copy,
)  # fmt: skip


def main() -> None:
    """Run undisturbed, run with changes, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the changes and their moments")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm = Project.fresh(Path(folder) / "calm")
        calm.said(*JOB)
        expected = outcome(EXPERIMENT, calm.data)
        project = Project.fresh(Path(folder) / "changed")
        print("| change | | seconds of the run before it |\n| --- | --- | --- |", flush=True)
        for number in range(arguments.changes):
            before = chance.uniform(8, 40)
            project.killed_run(before, lambda: None)
            change = CHANGES[number % len(CHANGES)]
            if project.annotations.is_file():
                project = change(project, chance)
            print(f"| {number + 1} | {change.__name__} | {before:.0f} |", flush=True)
        project.said(*JOB)
        bad = faults(EXPERIMENT, expected, project.data)
        if "0 faults" not in project.said(*VERSIONS, "--check"):
            bad.append(project.log.read_text(errors="replace"))
    print("\nall equal" if not bad else "\n" + "\n".join(bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
