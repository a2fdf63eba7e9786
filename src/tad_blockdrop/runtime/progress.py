"""Progress of long work: a bar in a terminal, plain lines in a log otherwise."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tad_blockdrop.runtime.logs import escape_for_terminal

logger = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0


def progress(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield ``items`` while showing what is done, how far it is and how long it still takes."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(
            items, desc=escape_for_terminal(what), total=total, leave=False, dynamic_ncols=True
        )
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and done < total:
            last = now
            left = (now - start) / done * (total - done)
            logger.info("%s: %d of %d, about %.0f s left", what, done, total, left)
