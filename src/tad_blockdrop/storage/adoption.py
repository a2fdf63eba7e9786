"""Checksums for what was written before there were any."""

from dataclasses import replace
from pathlib import Path

from tad_blockdrop.checksums import Seal, seal_of
from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.experiment_files import artefacts, stamped_videos
from tad_blockdrop.storage.experiment_record import Record
from tad_blockdrop.storage.stamps import read_stamp, write_stamp


def adopt(data: Path, file: Path, record: Record) -> int:
    """Seal all that an experiment has, and say so in its record ``file``; how many there were."""
    experiment, count = file.parent.name, 0
    for path in artefacts(data, experiment):
        if not seal_of(path).exists():
            with atomic_write(seal_of(path)) as temporary:
                temporary.write_text(Seal.of(path, path.name, {}).text(), encoding="utf-8")
            count += 1
    for video in stamped_videos(data, experiment):
        stamp = read_stamp(video)
        if stamp is not None and "file" not in stamp:
            write_stamp(video, stamp.pop("made_from"), stamp)
            count += 1
    replace(record, sealed=True).write(file)
    return count
