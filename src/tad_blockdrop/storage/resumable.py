"""Resumable state on disk: named tensors and facts in one file that is replaced as a whole.

The file is safetensors with JSON in its header; reading it runs no code. A state says by its
``mark`` what it was made from, so that one of other settings or inputs is not gone on from.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tad_blockdrop.detector.checkpoint import weights_hash
from tad_blockdrop.storage.atomic import atomic_write

logger = logging.getLogger(__name__)

State = tuple[dict[str, Tensor], dict[str, Any]]


def fingerprint(modules: Mapping[str, nn.Module], facts: Mapping[str, Any]) -> str:
    """SHA-256 of what work starts from: all weights of ``modules`` and its settings (JSON)."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, module in modules.items():
        digest.update(f"{name} {weights_hash(module.state_dict())}".encode())
    return digest.hexdigest()


def write_state(
    path: Path, mark: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Replace the state at ``path``, or leave the old one whole. Raises OSError."""
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    header = {"fingerprint": mark, **facts}
    header["hash"] = _hash(copies, header)
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(copies, {"facts": json.dumps(header)}))


def read_state(path: Path, mark: str, what: str) -> State | None:
    """Tensors and facts to go on from; None, with a log line about ``what``, if none fit."""
    for stray in path.parent.glob(".*.tmp.safetensors"):  # of a process killed while writing
        stray.unlink()
    if not path.exists():
        return None
    try:
        tensors, facts = _read(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(
            "%s starts anew: %s is damaged or of an older version (%s)", what, path, error
        )
        return None
    if facts["fingerprint"] != mark:
        logger.info("%s starts anew: %s was made with other settings or inputs", what, path)
        return None
    return tensors, facts


def _hash(tensors: dict[str, Tensor], facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True) + weights_hash(tensors)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> State:
    """Tensors and facts of a state file. Raises ValueError if its contents were altered."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if facts.pop("hash") != _hash(tensors, facts):
        raise ValueError("its hash is wrong")
    return tensors, facts
