"""Tables are read as they were written, and without threads that may not start."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tad_blockdrop.storage.parquet import read_parquet

READ = """
import resource, sys
from pathlib import Path
from tad_blockdrop.storage.parquet import read_parquet
import pyarrow.parquet
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 7 * 2**20,) * 2)  # a thread's stack takes 8 MiB
print(len(read_parquet(sys.argv[1])))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table = pd.DataFrame(
        {
            "video_id": ["a", "NA", "é"],
            "problem": [None, "x", None],
            "start": [0.5, np.nan, 2.0],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "fatal": [True, False, True],
            "source_frames": [np.arange(3), np.arange(0), np.arange(2)],
        },
        index=[5, 6, 7],
    )
    table.to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def test_equals_what_pandas_reads(file: Path) -> None:
    pd.testing.assert_frame_equal(read_parquet(file), pd.read_parquet(file))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells the memory in use")
def test_it_does_not_wait_for_threads_that_cannot_start(file: Path) -> None:
    command = [sys.executable, "-c", READ, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "3", done.stderr
