"""Entries of ours in an object store are refused; those of kedro-datasets are left to it."""

from pathlib import Path

import pytest
from tests.conftest import Kedro

from tad_blockdrop.hooks.local_files import LocalFiles, NotLocalError


def test_a_run_with_an_entry_in_a_bucket_is_refused_before_any_work(
    project: Path, kedro: Kedro
) -> None:
    (project / "conf" / "local" / "globals.yml").write_text("videos: s3://bucket/videos\n")
    refused = kedro("run", "--pipeline", "data", "--env", "local")
    assert refused.returncode == 1
    assert "raw_videos (s3://bucket/videos)" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert not (project / "s3:").exists()
    assert not (project / "data/02_intermediate").exists()


def test_all_such_entries_are_named_and_only_those_of_ours() -> None:
    entries = {
        "a": {"type": "tad_blockdrop.datasets.tables.CSVTable", "filepath": "s3://b/a.csv"},
        "b": {"type": "tad_blockdrop.datasets.x.Y", "filepath": ["data/x", "gs://b/x.json"]},
        "c": {"type": "pandas.CSVDataset", "filepath": "s3://b/c.csv"},
        "d": {"type": "tad_blockdrop.datasets.tables.CSVTable", "filepath": "data/d.csv"},
    }
    hook = LocalFiles()
    hook.after_catalog_created(entries)
    with pytest.raises(NotLocalError, match=r"a \(s3://b/a\.csv\); b \(gs://b/x\.json\)\."):
        hook.before_pipeline_run()
    hook.after_catalog_created({name: entries[name] for name in "cd"})
    hook.before_pipeline_run()
