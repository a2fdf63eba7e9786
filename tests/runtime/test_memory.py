"""Errors that mean too little memory become one sentence, whatever the library called them."""

import errno

import pytest

from tad_blockdrop.runtime import memory

LACKING = [
    MemoryError(),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: not enough memory: x"),
    RuntimeError("can't start new thread"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
]


@pytest.mark.parametrize("error", LACKING, ids=repr)
def test_too_little_memory_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(memory, "address_space", lambda: None)
    assert "close other programs, or lower runtime.workers" in str(memory.memory_sentence(error))
    monkeypatch.setattr(memory, "address_space", lambda: 2**30)
    said = str(memory.memory_sentence(error))
    assert "is limited to 1.0 GB (ulimit -v)" in said
    assert "close other" not in said


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.ENOSPC, "disk"), SystemError("x")]
)
def test_other_errors_stay(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(memory, "address_space", lambda: None)
    assert memory.memory_sentence(error) is None


def test_a_small_address_space_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "address_space", lambda: None)
    memory.warn_if_limited()
    assert not caplog.records
    monkeypatch.setattr(memory, "address_space", lambda: 4 * 2**30)
    memory.warn_if_limited()
    assert "limited to 4.0 GB" in caplog.text
