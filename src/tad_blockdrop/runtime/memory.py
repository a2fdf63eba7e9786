"""Too little memory, told as such: libraries name it in many ways, or not at all."""

import errno
import logging
import re

logger = logging.getLogger(__name__)

ROOMY = 16 * 2**30  # bytes of address space with which nothing has been seen to fail
_NAMES = re.compile(
    r"failed to map segment|cannot allocate memory|not enough memory|out of memory|bad_alloc"
    r"|can't start new thread|failed to start a thread",
    re.IGNORECASE,
)


def address_space() -> int | None:
    """Bytes that this process may map (``ulimit -v``); None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def warn_if_limited() -> None:
    """Say what a small address space may do: some libraries end the program without a word."""
    limit = address_space()
    if limit is not None and limit < ROOMY:
        logger.warning("%s; a run that needs more may end with any error", _told(limit))


def memory_sentence(error: BaseException) -> str | None:
    """What to tell people if an error means that there is too little memory, else None."""
    limit = address_space()
    lacking = (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN))
        or (isinstance(error, OSError | ImportError | RuntimeError) and _NAMES.search(str(error)))
        or (isinstance(error, SystemError) and limit is not None)  # Python's own, of the same
    )
    if not lacking:
        return None
    reason = str(error).partition("\n")[0] or type(error).__name__
    advice = "close other programs, or lower runtime.workers and the batch sizes"
    return f"there is not enough memory ({reason}): {_told(limit) if limit else advice}"


def _told(limit: int) -> str:
    return (
        f"the address space of this process is limited to {limit / 2**30:.1f} GB (ulimit -v), of "
        "which PyTorch alone takes several: raise the limit, or limit the memory by other means"
    )
