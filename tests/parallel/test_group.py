"""Operations of several processes, of which one is gone."""

import multiprocessing
import os
from pathlib import Path

import pytest
from torch import distributed as dist

from tad_blockdrop.parallel.failures import LostOthersError
from tad_blockdrop.parallel.job import meet


def meet_and_die(store: Path) -> None:
    meet(1, 2, gpus=False, store=dist.FileStore(str(store), 2))
    os._exit(1)


@pytest.mark.skipif(os.name == "nt", reason="needs gloo's way to meet in a file")
def test_an_operation_without_the_others_says_so_by_its_kind(tmp_path: Path) -> None:
    store = tmp_path / "store"
    other = multiprocessing.get_context("spawn").Process(target=meet_and_die, args=(store,))
    other.start()
    try:
        with pytest.raises(LostOthersError):
            meet(0, 2, gpus=False, store=dist.FileStore(str(store), 2)).counts(1)
    finally:
        other.join()
        if dist.is_initialized():
            dist.destroy_process_group()
