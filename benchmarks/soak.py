"""Kill the smoke job again and again, resume it, and compare with a run that was left alone.

``make soak`` (or ``python benchmarks/soak.py --kills 10``) runs ``kedro run --env smoke`` once
undisturbed, then a second experiment that is killed (SIGKILL to the whole process group) at random
moments and resumed with ``--only-missing-outputs``. Prints a row per kill and whether all result
tables are equal, bit for bit; the exit code says the same.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
TABLES = ("result_table", "score_table", "class_table", "history_table")


def start(experiment: str, log: Path) -> subprocess.Popen[bytes]:
    """The smoke job under a name of its own, in its own process group."""
    command = [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--only-missing-outputs"]
    command += ["--params", f"experiment={experiment}"]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=log.open("wb"), stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def finish(experiment: str, log: Path) -> float:
    """Run to the end; returns the seconds it took."""
    begin = time.monotonic()
    if start(experiment, log).wait() != 0:
        sys.exit(f"the run failed:\n{log.read_text()[-3000:]}")
    return time.monotonic() - begin


def last_node(log: Path) -> str:
    """The node that was running when the log ends."""
    text = re.sub(r"\s*\n\s+", "", log.read_text(errors="replace"))
    found = re.findall(r"Running node: ?([\w. ]+):", text)
    return found[-1].strip() if found else "start-up"


def load_tables(experiment: str) -> dict[str, pd.DataFrame]:
    """The newest version of each result table."""
    folder = ROOT / "data/08_reporting" / experiment
    tables = {}
    for name in TABLES:
        path = max(folder.glob(f"{name}.*/*/{name}.*"))
        tables[name] = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return tables


def main() -> None:
    """Parse the command line, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    logs = ROOT / "data/08_reporting/soak"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    for name in ("soak_reference", "soak_killed"):
        for folder in (ROOT / "data").glob(f"*/{name}"):
            shutil.rmtree(folder)

    seconds = finish("soak_reference", logs / "reference.log")
    print(f"undisturbed: {seconds:.0f} s")
    for kill in range(1, arguments.kills + 1):
        log = logs / f"kill_{kill:02d}.log"
        process = start("soak_killed", log)
        after = moments.uniform(3, max(10.0, seconds / 3))
        try:
            process.wait(timeout=after)
            print(f"kill {kill}: the run had ended before {after:.0f} s")
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        print(f"kill {kill}: after {after:4.1f} s, in {last_node(log)}", flush=True)
    print(f"last resume: {finish('soak_killed', logs / 'last.log'):.0f} s")

    expected, found = load_tables("soak_reference"), load_tables("soak_killed")
    equal = {name: expected[name].equals(found[name]) for name in TABLES}
    for name, same in equal.items():
        print(f"{name}: {'equal' if same else 'DIFFERENT'}")
    sys.exit(0 if all(equal.values()) else 1)


if __name__ == "__main__":
    main()
