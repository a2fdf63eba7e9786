"""Kill every pipeline that writes, again and again, resume it, and compare with an undisturbed run.

``make soak`` (or ``python benchmarks/soak.py --kills 30``) first runs the smoke job, the same with
repairs, then predict, corrections, learn, export and the weights pipelines, each once and left
alone. Then it runs them as other experiments that are stopped (SIGKILL, SIGTERM or SIGINT to the
whole process group) at random moments and resumed with ``--only-missing-outputs``, over and over:
what is finished is compared and begun anew. Prints a row per kill, with the node it hit and the
node that the next run went on with, and a row per finished round. Everything but measured times
must be equal, bit for bit, and nothing half-written may be left; the exit code says so.

``--full-disk`` (root, Linux) instead runs the smoke job on disks that are too small, gives them
more each time it has stopped, and compares in the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tad_blockdrop.review.corrections import Correction, Edit, Segment
from tad_blockdrop.review.journal import journal_file, open_journal
from tad_blockdrop.review.loading import load_predictions

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"
LOGS = DATA / "08_reporting" / "soak"
REFERENCE, REPAIRED, JOB, USES = "soak_reference", "soak_repaired", "soak_job", "soak_uses"
OPENTAD = f"data/06_models/{REFERENCE}/export/weights/*/weights/opentad.pth"  # of any version
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Measured times, and pages and figures that show them; torch.export's archive is no stable bytes.
TIMED = re.compile(
    r"model\.pt2|seconds|cost_table|latency|predicted_videos|\.html|_plot\.json|config\.json"
)
STATE = re.compile(
    r"scratch|\.running|\.lock|experiment\.json|manifest\.json|\.made\.json|\.sha256|SHA256SUMS"
)
TEMPORARY = re.compile(r"/\.[^/]+\.tmp")
VERSION = re.compile(r"\d{4}-\d\d-\d\dT[\d.]+Z")
# Sizes, KiB, that the disks under these folders have one after the other; the last one will do.
DISKS = {
    "06_models/{}": (200, 9000, 1 << 20),
    "06_models/{}/compress": (100, 900, 1 << 20),
    "07_model_output/{}": (100, 1 << 20),
    "08_reporting/{}": (100, 1 << 20),
}


MODELS = ("06_models/{}/final_checkpoint", "06_models/{}/baseline_checkpoint", "03_primary/{}")
PREDICTED = (*MODELS, "02_intermediate/{}", "07_model_output/{}")


@dataclass(frozen=True)
class Use:
    """A pipeline, its share of the kills, its parameters, and where it runs undisturbed."""

    name: str
    pipeline: str
    share: float
    parameters: str = ""
    reference: str = REFERENCE
    takes: tuple[str, ...] = MODELS  # of its reference, if it uses what another pipeline made


USED = (
    Use("compress", "compress", 0.3),
    Use("repair", "compress", 0.2, "compress.repair=all,compress.align=last", REPAIRED),
    Use(
        "predict",
        "predict",
        0.1,
        f"predict.videos=data/01_raw/{REFERENCE}/videos,predict.draw=true",
    ),
    Use("corrections", "corrections", 0.05, takes=PREDICTED),
    Use("learn", "learn", 0.1, "learn.epochs=4,learn.adopt=never", takes=PREDICTED),
    Use("export", "export", 0.1, "export.check_videos=2,export.latency_repeats=2"),
    Use("export_weights", "export_weights", 0.05),
    Use("import_weights", "import_weights", 0.05, f"import_weights.path={OPENTAD}"),
)


def start(use: Use, experiment: str, log: Path) -> subprocess.Popen[bytes]:
    """The pipeline under an experiment of its own, in its own process group."""
    command = [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--only-missing-outputs"]
    parameters = f"experiment={experiment},{use.parameters}".rstrip(",")
    if OPENTAD in parameters:
        written = max(ROOT.glob(OPENTAD)).relative_to(ROOT)
        parameters = parameters.replace(OPENTAD, str(written))
    command += ["--pipelines", use.pipeline, "--params", parameters]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=log.open("wb"), stderr=subprocess.STDOUT,
        start_new_session=True, env=os.environ | {"COLUMNS": "300"},
    )  # fmt: skip


def finish(use: Use, experiment: str, log: Path) -> float:
    """Run to the end; returns the seconds it took."""
    begin = time.monotonic()
    if start(use, experiment, log).wait() != 0:
        sys.exit(f"{use.name} failed:\n{log.read_text(errors='replace')[-3000:]}")
    return time.monotonic() - begin


def nodes_run(log: Path) -> list[str]:
    """The nodes that a run began, in order."""
    return re.findall(r"stage \d+ of \d+: ([\w.]+)", log.read_text(errors="replace"))


def begin_anew(experiment: str, takes: Sequence[str] = ()) -> None:
    """Forget an experiment; one that uses what others made gets it from the reference."""
    for folder in DATA.glob(f"*/{experiment}"):
        shutil.rmtree(folder)
    if experiment == USES:
        for part in takes:
            shutil.copytree(DATA / part.format(REFERENCE), DATA / part.format(USES))
        # The same annotated videos: what is known to be true of a video goes by its file.
        theirs, mine = (DATA / "01_raw" / name for name in (REFERENCE, USES))
        mine.mkdir()
        for file in theirs.glob("*.json*"):  # annotations, corrections
            shutil.copy(file, mine)
        (mine / "videos").symlink_to(theirs.resolve() / "videos")


def outcome(experiment: str, data: Path = DATA) -> dict[str, str]:
    """A digest of everything an experiment has made, without versions and measured times."""
    found = {}
    for file in sorted(data.glob(f"*/{experiment}/**/*")):
        name = file.relative_to(data).as_posix().replace(f"/{experiment}/", "/", 1)
        name = VERSION.sub("*", name)
        if file.is_file() and not TIMED.search(name) and not STATE.search(name):
            found[name] = digest(file)
    return found


def digest(file: Path) -> str:
    """Of the values of a table (paths name the experiment), of the bytes of anything else."""
    if file.suffix == ".parquet":
        table = pd.read_parquet(file).drop(columns="path", errors="ignore")
        return hashlib.sha256(table.to_json(double_precision=15).encode()).hexdigest()
    return hashlib.sha256(file.read_bytes()).hexdigest()


def faults(experiment: str, expected: dict[str, str], data: Path = DATA) -> list[str]:
    """What a finished round made otherwise than the reference, or left behind."""
    found = outcome(experiment, data)
    mine = {name for name in found if TEMPORARY.search(f"/{name}")}
    faults = [f"left behind: {name}" for name in sorted(mine)]
    faults += [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    same = expected.keys() & found.keys()
    faults += [f"different: {name}" for name in sorted(same) if expected[name] != found[name]]
    # What is known of the videos stays: nodes that need it again find it there.
    state = [path for path in data.glob(f"06_models/{experiment}/scratch/**/*")
             if path.is_file() and path.name != "facts.jsonl"]  # fmt: skip
    return faults + [f"left behind: {path.name} of a finished node" for path in state]


def made_by(use: Use, seconds: dict[str, float]) -> dict[str, str]:
    """Run a pipeline undisturbed; what it adds to the reference."""
    before = outcome(use.reference)
    if use.name == "corrections":
        correct()
    seconds[use.name] = finish(use, use.reference, LOGS / f"reference_{use.name}.log")
    print(f"undisturbed {use.name}: {seconds[use.name]:.0f} s", flush=True)
    return {name: value for name, value in outcome(use.reference).items() if name not in before}


def correct() -> None:
    """State one more action of a predicted training video, as ``kedro review`` does."""
    predictions, version = load_predictions(DATA, REFERENCE)
    label = json.loads((DATA / "03_primary" / REFERENCE / "classes.json").read_text())[0]
    edit = Edit(before=None, after=Segment(label=label, start=0.5, end=1.5))
    weights = predictions.model["weights"]
    with open_journal(journal_file(DATA, REFERENCE), "soak", weights, version) as journal:
        journal.add(Correction(video="train_0000", changes=(edit,)), [])


def kill_rounds(
    use: Use, kills: int, seconds: float, expected: dict[str, str], moments: random.Random
) -> Iterator[str]:
    """Stop a pipeline ``kills`` times, begun anew when it has finished; yields faults."""
    experiment = JOB if use.pipeline == "compress" else USES
    begin_anew(experiment, use.takes)
    killed, rounds, before = 0, 0, ""
    while killed < kills or before:
        log = LOGS / f"{use.name}_{rounds:02d}_{killed:02d}.log"
        process, signalled = start(use, experiment, log), False
        number = moments.choice(SIGNALS)
        after = moments.uniform(2, max(8.0, seconds / 2))
        try:
            process.wait(timeout=after if killed < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, number)
            process.wait()
            signalled = True
        ran = nodes_run(log)
        if before:
            print(f"{before} {ran[0] if ran else 'nothing'} |", flush=True)
            before = ""
        if process.returncode == 0:
            rounds += 1
            bad = faults(experiment, expected)
            print(f"| | {use.name} | round {rounds} finished | | | "
                  f"{'equal' if not bad else '; '.join(bad)} |", flush=True)  # fmt: skip
            yield from bad
            begin_anew(experiment, use.takes)
            continue
        text = log.read_text(errors="replace")
        if not signalled:
            sys.exit(f"{use.name} failed by itself:\n{text[-3000:]}")
        killed += 1
        # Before the first node Python itself is still starting, and may say so at length.
        clean = process.returncode in (-number, 128 + number) and "Traceback" not in text
        if ran and not clean:
            yield f"{log.name} ended with {process.returncode}, see its traceback"
        before = (f"| {killed} | {use.name} | {signal.Signals(number).name} | "
                  f"{after:.0f} s | {ran[-1] if ran else 'start-up'} |")  # fmt: skip


def full_disks(expected: dict[str, str]) -> Iterator[str]:
    """Run the job on disks that are too small, enlarging one at a time; yields faults."""
    begin_anew(JOB)
    disks = {DATA / folder.format(JOB): sizes for folder, sizes in DISKS.items()}
    grown = [(place, size) for place, sizes in disks.items() for size in sizes[1:]]
    try:
        for place, sizes in disks.items():
            place.mkdir(parents=True)
            disk = ["-t", "tmpfs", "-o", f"size={sizes[0]}k", "tmpfs"]
            subprocess.run(["mount", *disk, str(place)], check=True)
        for number, (place, size) in enumerate([(DATA, 0), *grown]):
            if size:
                subprocess.run(["mount", "-o", f"remount,size={size}k", str(place)], check=True)
            log = LOGS / f"disk_{number}.log"
            code = start(USED[0], JOB, log).wait()
            text, ran = log.read_text(errors="replace"), nodes_run(log)
            told = "No space left" in text and "Traceback" not in text
            what = f"{place.relative_to(DATA)}: {size} KiB" if size else "all small"
            print(f"| {what} | {ran[-1] if ran else 'start-up'} | exit {code} | "
                  f"{'told' if told else ''} |", flush=True)  # fmt: skip
            if code and not told:
                yield f"{log.name}: no clear message"
        yield from faults(JOB, expected)
    finally:
        for place in reversed(disks):
            subprocess.run(["umount", str(place)], check=False)


def main() -> None:
    """Parse the command line, run undisturbed, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--only", choices=[use.name for use in USED], help="one of them")
    parser.add_argument("--full-disk", action="store_true", help="a full disk instead of kills")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    LOGS.mkdir(parents=True, exist_ok=True)
    for reference in (REFERENCE, REPAIRED):
        begin_anew(reference)
    seconds: dict[str, float] = {}
    only = "compress" if arguments.full_disk else arguments.only
    # The whole jobs stand alone; what uses their models needs the others before it.
    alone = [use for use in USED if use.name == only and use.pipeline == "compress"]
    wanted = alone or USED
    expected = {use.name: made_by(use, seconds) for use in wanted}
    bad: list[str] = []
    if arguments.full_disk:
        print("\n| disk enlarged | last node | | |\n| --- | --- | --- | --- |", flush=True)
        bad += full_disks(expected["compress"])
    else:
        print("\n| kill | pipeline | signal | after | in node | resumed with, or result |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        for use in wanted:
            if only in (None, use.name):
                kills = arguments.kills if only else round(use.share * arguments.kills)
                bad += kill_rounds(
                    use, max(1, kills), seconds[use.name], expected[use.name], moments
                )
    print("\nall equal" if not bad else "\n" + "\n".join(bad))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
