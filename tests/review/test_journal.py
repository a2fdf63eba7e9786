"""The journal of corrections: nothing that was confirmed is lost, whatever happens to its file."""

import hashlib

import pytest
from tests.conftest import limited_files

from tad_blockdrop.review.corrections import Correction, Edit, Segment
from tad_blockdrop.review.journal import (
    ConflictError,
    JournalError,
    journal_file,
    open_journal,
    read_journal,
)


def opened(file, who="ann"):
    return open_journal(file, who, "model", "version")


def added(start, video="v"):
    segment = Segment(label="run", start=start, end=start + 0.5)
    return Correction(video=video, changes=(Edit(before=None, after=segment),))


@pytest.fixture
def file(tmp_path):
    return journal_file(tmp_path, "mine")


def test_entries_say_who_when_and_of_which_model(file):
    with opened(file) as journal:
        journal.add(added(1), [])
    with opened(file, "bob") as journal:
        journal.add(added(2), [])
        journal.add(Correction(video="v", undoes=1), [])
        assert [entry.number for entry in journal.of("v")] == [2]
    entries = read_journal(file)
    assert [(entry.number, entry.who) for entry in entries] == [(1, "ann"), (2, "bob"), (3, "bob")]
    assert {(entry.model, entry.predictions) for entry in entries} == {("model", "version")}
    assert entries[0].time.endswith("+00:00")


def test_two_videos_of_one_id_have_their_own_entries(file):
    """What a journal from before says, which knows no contents, counts for both."""
    with opened(file) as journal:
        for content in (None, "a", "b"):
            journal.add(added(1 if content is None else 2), [] if content == "b" else None, content)
        assert [entry.number for entry in journal.of("v", "a")] == [1, 2]
        assert [entry.number for entry in journal.of("v", "b")] == [1, 3]
        with pytest.raises(ConflictError):
            journal.add(Correction(video="v", undoes=2), None, "b")
    assert [entry.listed for entry in read_journal(file)] == [False, False, True]


def test_an_entry_of_a_journal_from_before_is_read(file):
    text = (
        b'{"video":"v","changes":[{"kind":"finish","finished":true}],"undoes":null,"number":1,'
        b'"time":"","who":"ann","model":"m","predictions":"p"}'
    )
    file.parent.mkdir(parents=True)
    file.write_bytes(hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
    [entry] = read_journal(file)
    assert (entry.content, entry.listed, entry.names) == (None, None, ("v",))
    assert entry.is_about("v", "a")


def test_a_file_cut_anywhere_keeps_what_was_confirmed_and_goes_on(file):
    with opened(file) as journal:
        for start in range(3):
            journal.add(added(start), [])
    whole = file.read_bytes()
    ends = [0, *(place + 1 for place, byte in enumerate(whole) if byte == ord("\n"))]
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        kept = sum(0 < end <= length for end in ends)
        assert len(read_journal(file)) == kept
        if length % 97 == 0:
            with opened(file) as journal:
                journal.add(added(9), [])
            numbers = [entry.number for entry in read_journal(file)]
            assert numbers == list(range(1, kept + 2))
            assert file.read_bytes().startswith(whole[: ends[kept]])


def test_other_damage_is_told_and_nothing_is_written(file):
    with opened(file) as journal:
        journal.add(added(1), [])
        journal.add(added(2), [])
    spoilt = file.read_bytes().replace(b'"run"', b'"sun"', 1)
    file.write_bytes(spoilt)
    with pytest.raises(JournalError, match=r"corrections\.jsonl, line 1 is damaged"):
        read_journal(file)
    with pytest.raises(JournalError, match="restore the file"), opened(file):
        pass
    assert file.read_bytes() == spoilt


def test_a_full_disk_leaves_the_journal_as_it_was(file):
    with opened(file) as journal:
        journal.add(added(1), [])
        before = file.read_bytes()
        with limited_files(len(before) + 10), pytest.raises(JournalError, match="not saved"):
            journal.add(added(2), [])
        assert file.read_bytes() == before
        assert journal.add(added(2), []).number == 2


def test_conflicts_are_refused(file):
    before = Segment(label="run", start=4, end=5)
    with opened(file) as journal:
        journal.add(added(1), [])
        moved = Correction(
            video="v", changes=(Edit(before=before, after=Segment(label="run", start=4, end=6)),)
        )
        with pytest.raises(ConflictError, match=r"no 'run' from 4 to 5 s any more; look at"):
            journal.add(moved, [])
        assert journal.add(moved, [before]).number == 2
        with pytest.raises(ConflictError, match="no correction 1 of this video"):
            journal.add(Correction(video="other", undoes=1), [])
        journal.add(Correction(video="v", undoes=1), [])
        with pytest.raises(ConflictError, match="no correction 1"):
            journal.add(Correction(video="v", undoes=1), [])


def test_what_others_build_upon_cannot_be_undone(file):
    with opened(file) as journal:
        journal.add(added(1), [])
        own = Segment(label="run", start=1, end=1.5)
        later = Correction(video="v", changes=(Edit(before=own, after=None),))
        journal.add(later, [])
        with pytest.raises(ConflictError, match=r"correction 2 by ann: there is no 'run'"):
            journal.add(Correction(video="v", undoes=1), [])


def test_one_process_reviews_at_a_time(file):
    with opened(file), pytest.raises(JournalError, match="mine is being reviewed"), opened(file):
        pass
