"""Tables as Parquet files, read by the thread that asks for them."""

from pathlib import Path

import pandas as pd


def read_parquet(path: str | Path) -> pd.DataFrame:
    """The table in a file.

    pandas lets threads of Arrow read. Where there is no memory to start them, Arrow waits for them
    without end, and our tables are far too small to gain anything.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        table: pd.DataFrame = file.read(use_threads=False).to_pandas(use_threads=False)
    return table
