"""How fast the project is, as ratios within one run: ``make benchmark``, ``make benchmark-large``.

Each row is the median of repetitions taken in turns with its yardstick, at one thread and at all
cores, on the videos and the model of ``conf/benchmark``. The machine's own matrix product is
measured along with it. Prints a table and writes ``data/08_reporting/benchmark.json``.
``docs/benchmarks.md`` reads the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import ROOT, Row, as_json, machine, matmul_rate, open_bench, quiet, use_threads

LARGE = "thumos14_s"


def groups(arguments: argparse.Namespace) -> dict[str, Callable[[], list[Row]]]:
    """What can be timed, by the name that ``--parts`` takes."""
    import rows_models as models
    from rows_compression import alignment, evaluation, scoring
    from rows_detections import detections
    from rows_loader import loader
    from rows_other import data, start_up
    from rows_sharing import sharing

    project, env, repeats = arguments.project, arguments.env, arguments.repeats
    if arguments.large:
        return {
            "latency": lambda: models.large_latency(project, LARGE, repeats, [0, 3]),
            "training_memory": lambda: models.training_memory(project, LARGE),
        }
    bench = open_bench(project, env)
    # The figures of the public implementation are of this environment, on one thread.
    public = env == "benchmark" and arguments.threads == 1
    n_drops = bench.parameters.compress.n_drops
    dropped = list(range(n_drops + 1))
    shared = {
        "scoring": lambda: scoring(bench, repeats, public),
        "alignment": lambda: alignment(bench, repeats, public),
        "evaluation": lambda: evaluation(bench, repeats, public),
        "latency": lambda: models.latency(bench, repeats, dropped, [1, 4]),
        "onnx": lambda: models.onnx_latency(bench, repeats, n_drops, [1, 4]),
    }
    if arguments.threads > 1:
        return shared
    return shared | {  # more threads would change nothing here
        "detections": lambda: detections(bench, repeats),
        "data": lambda: data(bench, steps=8),
        "loader": lambda: loader(min(repeats, 3)),
        "memory": lambda: models.memory(bench, dropped),
        "training_memory": lambda: models.training_memory(project, env),
        "growth": lambda: models.growth(project, env, [6, 12, 24], [1, 4], [2, 6, 12]),
        "sharing": lambda: sharing(bench, project, 2, min(repeats, 3)),
        "start_up": lambda: start_up(project, 3),
    }


def run_here(arguments: argparse.Namespace) -> None:
    """The rows at ``arguments.threads`` threads; one JSON object on the last line."""
    quiet()
    use_threads(arguments.threads)
    rates, rows = [matmul_rate()], []
    for name, measure in groups(arguments).items():
        if arguments.parts and name not in arguments.parts:
            continue
        print(f"{name}, {arguments.threads} threads ...", file=sys.stderr, flush=True)
        rows += as_json(measure())
        rates.append(matmul_rate())
    print(json.dumps({"threads": arguments.threads, "matmul": max(rates), "rows": rows}))


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown, a line per row; the ratios of all runs side by side."""
    ratios = [f"ratio, {run['threads']} thread{'s' * (run['threads'] > 1)}" for run in runs]
    heads = ["part", "what", "CPU-s", *ratios, "yardstick", "target", "note"]
    others = [{(r["part"], r["what"]): r["ratio"] for r in run["rows"]} for run in runs]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for row in runs[0]["rows"]:
        key = (row["part"], row["what"])
        cells = [row["part"], row["what"], _number(row["seconds"])]
        cells += [_number(other.get(key)) for other in others]
        cells += [row["yardstick"], row["target"], row["note"]]
        lines.append("| " + " | ".join(cells) + " |")
    rates = ", ".join(f"{run['matmul']:.0f} GFLOP/s with {run['threads']}" for run in runs)
    return "\n".join([*lines, "", f"Matrix product of this machine (threads): {rates}."])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def main() -> None:
    """One process per number of threads, one after the other; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--env", default="benchmark", help="environment of conf/ to time")
    parser.add_argument("--large", action="store_true", help=f"the size of conf/{LARGE} instead")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", help="only these groups of rows, such as scoring")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="what all cores are")
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads is not None:
        run_here(arguments)
        return
    counts = [arguments.cores] if arguments.large else sorted({1, arguments.cores})
    runs = []
    for threads in counts:
        command = [sys.executable, __file__, *sys.argv[1:], "--threads", str(threads)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"the benchmark failed at {threads} threads; the reason is above")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    name = "benchmark_large.json" if arguments.large else "benchmark.json"
    path = arguments.project / "data/08_reporting" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1), encoding="utf-8")
    print(table(runs))
    print(f"\nAll numbers: {path.relative_to(arguments.project)}")


if __name__ == "__main__":
    main()
