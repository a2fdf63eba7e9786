"""Kill shared work: every kind of it, every way to end, and compare what the next run ends with.

``python benchmarks/shared_kills.py`` (some twenty minutes, Linux) does each kind of shared work on
a few generated videos, alone, and with two and three processes. Then one of two processes stops in
the middle of it, between batches, layers or videos, and while the other works or waits for it,
process 0 or 1 is killed, or the run, their owner, is sent SIGTERM, SIGINT or SIGKILL. The run must
say one sentence (nothing if it was killed itself), no process may be left, and the next run must
have less to do and end with the result of a run that was left alone. What was killed with two
processes is also gone on with by one, which is killed, and ended by three. Prints a table of
equality and one of kills; the exit code says whether all was as it must be.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from safetensors.torch import load_file
from shared_kills_work import KINDS, ROOT, Kind, Tables, attempt

from tad_blockdrop.config.data import SyntheticConfig
from tad_blockdrop.synthetic.benchmark import plan_one, write_video

PROCESSES_END_WITHIN = 60.0  # seconds, after which those that are left are a fault
TRAINING_DIFFERS = 0.02  # relatively, at most, where another number of processes trains


@dataclass(frozen=True)
class End:
    """A signal to a process of two, or to the run; its exit code then, and what it says."""

    name: str
    rank: int | None
    signal: signal.Signals
    code: int
    said: str


ENDS = (
    End("SIGKILL of process 0", 0, signal.SIGKILL, 1, r"process 0 of 2 failed .*SIGKILL.*worker-0"),
    End("SIGKILL of process 1", 1, signal.SIGKILL, 1, r"process 1 of 2 failed .*SIGKILL.*worker-1"),
    End("SIGTERM of the run", None, signal.SIGTERM, 143, r"stopped by SIGTERM\. .*goes on from it"),
    End("SIGINT of the run", None, signal.SIGINT, 130, r"stopped by SIGINT\. .*goes on from it"),
    End("SIGKILL of the run", None, signal.SIGKILL, -9, ""),
)


def make_videos(folder: Path) -> None:
    """Six short videos to learn from, and their actions."""
    folder.mkdir()
    plans = [plan_one(SyntheticConfig(classes=2), "training", index) for index in range(6)]
    for plan in plans:
        write_video(plan, folder / f"{plan.id}.mp4")
    videos = [
        {
            "video_id": plan.id, "split": "train", "n_samples": plan.n_frames,
            "path": str(folder / f"{plan.id}.mp4"), "rate": float(plan.fps),
            "duration": float(plan.n_frames / plan.fps), "listed": len(plans),
        }
        for plan in plans
    ]  # fmt: skip
    actions = [
        (plan.id, i.label, i.label, float(i.start / plan.fps), float(i.end / plan.fps))
        for plan in plans
        for i in plan.instances
    ]
    names = ["video_id", "label", "category", "start", "end"]
    pd.DataFrame(videos).to_parquet(folder / "videos.parquet")
    pd.DataFrame(actions, columns=names).to_parquet(folder / "instances.parquet")


@dataclass(frozen=True)
class Killed:
    """How a run ended, what it said, and how many of its processes were left."""

    code: int
    said: list[str]
    left: int


def kill(folder: Path, kind: Kind, processes: int, stops: int, end: End) -> Killed:
    """Do work in a run of its own, and end it when process ``stops`` has stopped."""
    folder.mkdir(exist_ok=True)
    forget(folder)
    script = Path(__file__).with_name("shared_kills_work.py")
    numbers = map(str, (KINDS.index(kind), processes, stops))
    paths = f"{ROOT / 'src'}{os.pathsep}{script.parent}"
    owner = subprocess.Popen(
        [sys.executable, str(script), str(folder), *numbers], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": paths}, start_new_session=True,
    )  # fmt: skip
    mark = folder / f"{stops}.stopped"
    while not (mark.exists() and mark.read_text()):
        if owner.poll() is not None:
            sys.exit(f"{kind.name} ended by itself:\n{owner.communicate()[1]}")
        time.sleep(0.05)
    os.kill(owner.pid if end.rank is None else int(mark.read_text()), end.signal)
    _, told = owner.communicate()
    return Killed(owner.returncode, list(filter(None, told.split("\n"))), left_of(owner.pid))


def finish(folder: Path, kind: Kind, processes: int) -> int:
    """Do work to its end, from this process; how many parts of it were still to do."""
    folder.mkdir(exist_ok=True)
    forget(folder)
    attempt(folder, KINDS.index(kind), processes)
    return sum(int(mark.read_text()) for mark in folder.glob("*.parts"))


def forget(folder: Path) -> None:
    """Remove what processes of an earlier run wrote about themselves."""
    for mark in [*folder.glob("*.parts"), *folder.glob("*.stopped")]:
        mark.unlink()


def left_of(session: int) -> int:
    """How many processes of a session there still are when they had time to end."""
    latest = time.monotonic() + PROCESSES_END_WITHIN
    while True:
        there = sum(session_of(stat) == session for stat in Path("/proc").glob("[0-9]*/stat"))
        if not there or time.monotonic() > latest:
            return there
        time.sleep(0.1)


def session_of(stat: Path) -> int:
    """The session of a process, by its file in /proc; 0 of one that has ended."""
    try:
        state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
    except OSError:
        return 0
    return 0 if state == "Z" else int(session)


def same(found: Tables, wanted: Tables) -> bool:
    """Whether two results are equal, bit for bit."""
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8))
        for name, value in wanted.items()
    )


def difference(found: Tables, wanted: Tables) -> float:
    """How far the columns of two tables are apart, at most, relative to their sizes."""
    return max(
        float((found[name] - value).nan_to_num().norm() / value.nan_to_num().norm().clamp(min=1e-9))
        for name, value in wanted.items()
        if name.startswith("column") and value.is_floating_point()
    )


def equality(kind: Kind, place: Path, faults: list[str]) -> str:
    """A row: two and three processes against one, and three after one after two."""
    cells, cut = [], place / f"{kind.name} cut"
    wholes = [place / f"{kind.name} {processes}" for processes in (1, 2, 3)]
    for processes, folder in enumerate(wholes, start=1):
        finish(folder, kind, processes)
    kill(cut, kind, 2, 1, ENDS[1])
    kill(cut, kind, 1, 0, ENDS[-1])
    finish(cut, kind, 3)
    wanted = load_file(wholes[0] / "result")
    for folder in (*wholes[1:], cut):
        found = load_file(folder / "result")
        equal = same(found, wanted)
        apart = 0.0 if equal else difference(found, wanted)
        cells.append("equal" if equal else f"within {apart:.1e}")
        if not equal and (kind.exact or apart > TRAINING_DIFFERS):
            faults.append(f"{folder.name}: differs by {apart:.1e}")
    return f"| {kind.name} | {' | '.join(cells)} |"


def kills(kind: Kind, place: Path, faults: list[str]) -> Iterator[str]:
    """A row for each way to end one of two processes, or the run."""
    whole = place / f"{kind.name} whole"
    parts = finish(whole, kind, 2)
    for end in ENDS:
        folder = place / f"{kind.name} {end.name}"
        stops = 1 if end.rank is None else end.rank
        killed = kill(folder, kind, 2, stops, end)
        told = re.search(end.said, "".join(killed.said)) and len(killed.said) == bool(end.said)
        rest = finish(folder, kind, 2)
        equal = same(load_file(folder / "result"), load_file(whole / "result"))
        wrong = {
            f"exit code {killed.code}": killed.code != end.code,
            f"said {killed.said}": not told,
            f"{killed.left} processes left": killed.left > 0,
            "began anew": parts > 0 and rest >= parts,
            "another result": not equal,
        }
        found = [fault for fault, there in wrong.items() if there]
        faults += [f"{kind.name}, {end.name}: {fault}" for fault in found]
        said = "one sentence" if end.said else "nothing"
        left = f"{rest} of {parts} parts" if parts else "all"
        cells = "; ".join(found) or f"{said} | none | {left} | equal"
        yield f"| {kind.name} | {end.name} | {cells} |"


def main() -> None:
    """Parse the command line; do, kill, go on, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [kind.name for kind in KINDS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="kinds of work")
    only = parser.parse_args().only
    kinds = [kind for kind in KINDS if kind.name in only]
    faults: list[str] = []
    with TemporaryDirectory() as folder:
        place = Path(folder)
        make_videos(place / "videos")
        print("| work | 2 processes | 3 processes | killed with 2, then with 1, ended by 3 |")
        print("| --- | --- | --- | --- |", flush=True)
        for kind in kinds:
            print(equality(kind, place, faults), flush=True)
        print("\n| work | end | the run says | processes left | still to do | result |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        for kind in kinds:
            for row in kills(kind, place, faults):
                print(row, flush=True)
    print("\nall as it must be" if not faults else "\n" + "\n".join(faults))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
