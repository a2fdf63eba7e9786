"""What an experiment was made from, and whether it has changed since."""

import json

from dataset_files import database, video

from tad_blockdrop.config import DataConfig
from tad_blockdrop.config.data import ReadingConfig
from tad_blockdrop.video.sources import annotation_digests

DATA = DataConfig(every=1)
OLD, NEW = "cafe\u0301", "caf\u00e9"
SPLITS = {"a": "training", "b": "validation"}


def of_label(label: str) -> dict[str, str]:
    return annotation_digests(
        database(**{name: video(subset, (label, 0, 1)) for name, subset in SPLITS.items()}), DATA
    )


def test_another_unicode_form_of_a_class_is_no_change() -> None:
    assert of_label(OLD) == of_label(NEW)


def test_what_an_older_version_said_of_the_same_annotations_is_no_change() -> None:
    """It did not bring names of classes into one form."""
    raw = database(**{name: video(subset, (NEW, 0, 1)) for name, subset in SPLITS.items()})
    known = {"a": "99a1a624836f4385", "b": "300188a88378e01c"}  # with OLD as it stands
    assert annotation_digests(raw, DATA, known) == known
    other = database(**{name: video(subset, (NEW, 0, 2)) for name, subset in SPLITS.items()})
    assert annotation_digests(other, DATA, known).items().isdisjoint(known.items())


def test_annotations_are_read_as_the_dataset_reads_them() -> None:
    """Only instants: without the rate that is set, nothing would be left of this file."""
    instant = {"ranges": [{"start": 11, "end": 11}], "timelinelabels": ["sniff"]}
    tasks = [{"id": 1, "video": "a.mp4", "t": [instant]}]
    data = DataConfig(every=1, reading=ReadingConfig(frame_rate=10.0))
    assert set(annotation_digests(json.loads(json.dumps(tasks)), data)) == {"a"}
