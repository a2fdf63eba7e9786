"""The files of an experiment, by the layout of the catalog: ``data/<layer>/<experiment>/...``.

Versioned entries are ``<entry>/<version>/<entry>``; a version is a time.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from tad_blockdrop.storage.experiment_record import STAGE_OF
from tad_blockdrop.storage.stamps import ENDING

VERSION = "????-??-??T*Z"
RAW = "01_raw"
SEALED = {".parquet", ".csv", ".json", ".pth", ".safetensors"}

GROWING = {"watched.csv", "watched.jsonl"}  # of a live source: read by people only, never whole

# What a final model was used for, by the pipeline that does it, as patterns below ``data/``.
_USES = {
    "predict": (
        "07_model_output/{}/predict*", "07_model_output/{}/drawn_videos",
        "07_model_output/{}/playable_videos", "08_reporting/{}/predictions.html",
    ),
    "export": ("06_models/{}/export", "08_reporting/{}/export_*"),
    "learn": (
        "03_primary/{}/learned_*", "06_models/{}/learned_*", "08_reporting/{}/learned_*",
        "08_reporting/{}/annotate_next.csv",
    ),
}  # fmt: skip
_WEIGHTS = (  # the latter two of older versions of this program
    "06_models/{}/export/weights", "06_models/{}/export/opentad.pth",
    "06_models/{}/export/transformers",
)  # fmt: skip
_EVALUATED = (
    "07_model_output/{}/baseline_*", "07_model_output/{}/one_shot_*",
    "08_reporting/{}/cost_table.csv",
)  # fmt: skip

# What each stage makes, likewise. Frames stay: they are made anew where their videos have changed.
# What a final model was used for goes with it.
MADE_BY = {
    "data": ("02_intermediate/{}/video_facts*", "03_primary/{}/*"),
    "baseline": ("06_models/{}/baseline_*",),
    "compress": (
        "06_models/{}/compress", "06_models/{}/control", "06_models/{}/final_checkpoint",
        "07_model_output/{}/compress", "07_model_output/{}/control",
        "08_reporting/{}/score_table.parquet", "08_reporting/{}/repair_table.parquet",
        *chain.from_iterable(_USES.values()),
    ),
    "report": (
        *_EVALUATED,
        "08_reporting/{}/*_plot.json", "08_reporting/{}/report.html",
        "08_reporting/{}/*_table.csv", "08_reporting/{}/error_cases.parquet",
        "08_reporting/{}/class_table.parquet", "08_reporting/{}/history_table.parquet",
    ),
}  # fmt: skip
STAGES = tuple(MADE_BY)


def made_from(data: Path, experiment: str, stage: str) -> list[Path]:
    """What a stage and those after it have made."""
    later = STAGES[STAGES.index(stage) :]
    patterns = [pattern.format(experiment) for name in later for pattern in MADE_BY[name]]
    return sorted({path for pattern in patterns for path in data.glob(pattern)})


def maker_of(path: Path, data: Path, experiment: str) -> str:
    """The pipeline to run for a file or folder of an experiment to be made anew."""
    inside = path.relative_to(data).as_posix()
    makers = {"export_weights": _WEIGHTS, **_USES, "evaluate": _EVALUATED, **MADE_BY}
    fitting = (
        name
        for name, patterns in makers.items()
        if any(fnmatchcase(inside, f"{pattern.format(experiment)}*") for pattern in patterns)
    )
    return next(fitting, "compress")  # the whole job


def scratch_from(data: Path, experiment: str, stage: str) -> list[Path]:
    """What nodes of a stage and those after it would go on from: a folder of the name of each."""
    later = STAGES[STAGES.index(stage) :]
    spaces = [space for space, of in STAGE_OF.items() if of in later]
    folder = data / "06_models" / experiment / "scratch"
    return sorted(path for space in spaces for path in folder.glob(f"{space}.*"))


def versions(data: Path, experiment: str | None = None) -> Iterator[Path]:
    """``<entry>/<version>`` of every version of one experiment, or of all."""
    for folder in data.glob(f"*/{experiment or '*'}/**/{VERSION}"):
        if folder.is_dir() and (folder / folder.parent.name).exists():
            yield folder


def having(data: Path, file: Path) -> list[str]:
    """The experiments that have what ``file`` is to one of them, an entry of theirs in ``data``."""
    layer, _, *rest = file.relative_to(data).parts
    found = data.glob("/".join([layer, "*", *rest]))
    there = (path for path in found if path.is_file() or any(path.iterdir()))
    return sorted(path.relative_to(data).parts[1] for path in there)


def artefacts(data: Path, experiment: str) -> list[Path]:
    """Everything that has a checksum: the files and folders that steps read again."""
    found = {folder / folder.parent.name for folder in versions(data, experiment)}
    for pattern in ("*", "*/manifest.json", "export/*", "export/transformers/*"):
        found |= {file for file in data.glob(f"*/{experiment}/{pattern}") if file.suffix in SEALED}
    own = (p for p in found if p.relative_to(data).parts[0] != RAW and p.name not in GROWING)
    # An entry with versions is a folder with the name of a file.
    return sorted(path for path in own if path.is_file() or path.parent.match(VERSION))


def future_versions(data: Path, experiment: str, now: str) -> list[Path]:
    """The versions that are dated later than ``now`` (a version): they count as the latest."""
    return sorted(folder for folder in versions(data, experiment) if folder.name > now)


def stamped_videos(data: Path, experiment: str) -> list[Path]:
    """The videos that were made for an experiment: its frames, and others with a stamp."""
    stamps = data.glob(f"*/{experiment}/*/*{ENDING}")
    videos = (path.with_name(path.name.removesuffix(ENDING) + ".mp4") for path in stamps)
    return sorted(video for video in videos if video.is_file())
