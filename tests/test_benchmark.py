"""The benchmark command, on the videos of the tiny finished project."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, environment


def test_the_benchmark_prints_a_table_and_writes_the_numbers(finished_copy: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/benchmark.py"), "--env", "smoke"]
    command += ["--project", str(finished_copy), "--cores", "1", "--repeats", "1"]
    command += ["--parts", "scoring", "alignment", "evaluation", "latency"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = json.loads((finished_copy / "data/08_reporting/benchmark.json").read_text())["runs"]
    assert run["threads"] == 1
    assert run["matmul"] > 0
    shared = next(row for row in run["rows"] if row["yardstick"] == "a loop over the models")
    assert shared["ratio"] > 0
    assert {row["part"] for row in run["rows"]} == {
        "1 scoring", "2 alignment", "3 evaluation", "5 latency",
    }  # fmt: skip
    for row in run["rows"]:
        assert f"| {row['part']} | {row['what']} |" in done.stdout


def test_the_check_of_a_gpu_can_be_tried_on_a_cpu(finished_copy: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/gpu_check.py"), "--device", "cpu"]
    command += ["--env", "smoke", "--steps", "1", "--parts", "steps"]
    command += ["--project", str(finished_copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((finished_copy / "data/08_reporting/gpu_check.json").read_text())["found"]
    assert set(found) == {"the size of smoke, fp32", "the size of smoke, bf16"}
    for name, numbers in found.items():
        assert numbers["step share"] > 0
        assert numbers["ranking share"] > 0
        assert 0 <= numbers["waiting"] <= 1
        assert f"| {name} | alignment step" in done.stdout


def test_a_shorter_backbone_is_repaired_and_read_anew(finished_copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/real_transformer.py"), "--env", "smoke"]
    command += ["--project", str(finished_copy), "--experiment", "smoke", "--work", str(tmp_path)]
    command += ["--seeds", "1", "--epochs", "1", "--lora-epochs", "1", "--drop", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "rows").iterdir()}
    names = ["blocks 4", "2 sub-layers"]
    repaired = {f"{name}_{repair}" for name in names for repair in ("none", "gap", "all")}
    assert set(rows) == {"none_none", "blocks 4_all_lora_1"} | repaired
    assert all(0 <= mean <= 1 for row in rows.values() for mean in row["learned"])
    assert rows["none_none"]["learned"] != rows["none_none"]["as they were"]
    ways = {"as they were", "learned", "refitted", "refitted, learned"}
    assert ways < set(rows["blocks 4_all"])
    lines = done.stdout.splitlines()
    head = next(n for n, line in enumerate(lines) if "neck and head" in line and "by seed" in line)
    assert "refitted" not in lines[head]  # ways are rows, not columns
    # Two models, two repairs, and one of them with LoRA.
    assert sum("refitted, learned" in line for line in lines[head:]) == 5


def test_blocks_to_drop_together_are_chosen_by_features(
    finished_copy: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    command = [sys.executable, str(ROOT / "benchmarks/choose_blocks.py"), "--env", "smoke"]
    command += ["--project", str(finished_copy), "--experiment", "smoke", "--work", str(work)]
    command += ["--drop", "1", "2", "--clips", "24", "--judged", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = work.iterdir()
    lines = file.read_text().splitlines()
    errors = {tuple(blocks): error for blocks, error in map(json.loads, lines)}
    one, two = (line for line in done.stdout.splitlines() if " blocks: " in line)
    singles = {blocks: error for blocks, error in errors.items() if len(blocks) == 1}
    best = min(singles, key=singles.__getitem__)
    assert f'"compress.n_drops=1,compress.candidates={best[0]}"' in one
    pairs = {blocks: error for blocks, error in errors.items() if len(blocks) == 2}
    first, second = min(pairs, key=pairs.__getitem__)
    assert f'{pairs[first, second]:.4f}, --params "compress.n_drops=2,' in two
    assert f'compress.candidates={first} {second}"' in two
    exchanged = {
        tuple(sorted({first, second, b} - {out})) for b in range(8) for out in (first, second)
    }
    assert {pair for pair in exchanged if len(pair) == 2} <= set(pairs)  # none is better
    again = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert "without" not in again.stdout
    assert again.stdout.splitlines()[-1] == two


def test_blocks_to_drop_together_are_chosen_by_map(finished_copy: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/choose_blocks.py"), "--env", "smoke"]
    command += ["--project", str(finished_copy), "--experiment", "smoke", "--drop", "1"]
    command += ["--work", str(tmp_path / "work"), "--by", "map", "--clips", "24"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = (tmp_path / "work").iterdir()
    lost = {tuple(blocks): points for blocks, points in map(json.loads, file.open())}
    assert set(lost) == {(block,) for block in range(8)}
    assert all(-100 < points < 100 for points in lost.values())
    assert len(set(lost.values())) > 1
    (best,) = min(lost, key=lost.__getitem__)
    assert f"compress.n_drops=1,compress.candidates={best}" in done.stdout
