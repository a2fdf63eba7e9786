"""Reading weights files: safetensors and PyTorch pickles, the latter without running code.

Nothing here knows what the tensors mean.
"""

import argparse
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tad_blockdrop.checksums import is_sealed, verify
from tad_blockdrop.detector.checkpoint import WEIGHTS_FILE, read_checkpoint
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.model_config import read_json
from tad_blockdrop.errors import printable, some

# What torch.compile, FSDP and activation checkpointing put into the names of a module's parts.
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_PART = re.compile(r"(.+-)\d{5}(-of-)(\d{5})(\..+)")  # a file of a model that has several
_COUNTER = "n_averaged"  # of torch's AveragedModel
FOLDER_FILES = ("model*.safetensors", "pytorch_model*.bin")  # as `transformers` names them
ADAPTER = "adapter_config.json"  # beside the weights that peft saves
# How files begin that stand for others, what they are, and what to do.
_INSTEAD = (
    (b"version https://git-lfs", "a pointer of Git LFS", "get the file itself: git lfs pull"),
    (b"<!DOCTYPE", "a web page", "download the file again; it may need a login"),
    (b"<html", "a web page", "download the file again; it may need a login"),
    (b"{", "JSON", "give the file of the tensors, or the folder that holds the parts of a model"),
)
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU, by the names the file gives them.

    ``path`` is a safetensors file, a PyTorch file, a folder of a ``transformers`` model, or a
    checkpoint folder of this program. A container that holds all tensors (``state_dict``) is
    unwrapped; of several, each one's key begins its names (``teacher.blocks.0...``). What wrappers
    of PyTorch add to names, and the ``module.`` of distributed training, are taken off.

    Raises:
        FormatError: nothing is there, nothing can be read, or it holds more than plain data.
    """
    path = Path(path)
    if not path.exists():
        raise FormatError(
            f"{path} does not exist: give the path of a weights file (.safetensors, .pth, .pt, "
            ".bin) or of a folder that holds one"
        )
    if path.is_dir():
        return _read_folder(path)
    return _unwrap(_read_file(path), path)


def _read_folder(folder: Path) -> dict[str, Tensor]:
    if (folder / WEIGHTS_FILE).is_file():
        return read_checkpoint(folder).weights
    for pattern in FOLDER_FILES:
        whole = folder / pattern.replace("*", "")  # others beside it are other versions
        files = [whole] if whole.is_file() else _parts(folder, pattern)
        if files:
            return _joined({file: _unwrap(_read_file(file), file) for file in files})
    if (folder / ADAPTER).is_file():
        raise FormatError(
            f"{folder} holds an adapter (LoRA) without the model that it belongs to: merge both "
            "with peft (merge_and_unload), save the result, and give that"
        )
    raise FormatError(
        f"{folder} holds no weights: expected {WEIGHTS_FILE} with its config.json (a checkpoint "
        f"of this program) or {' or '.join(FOLDER_FILES)} (a transformers model)"
    )


def _verify(file: Path) -> None:
    """What this program wrote has a checksum, beside it or in a folder that it is part of."""
    verify(file)
    for folder in file.parents[:2]:
        try:
            if is_sealed(folder):
                verify(folder)
        except FileNotFoundError as error:
            raise FormatError(f"{folder} lacks {error.filename}: copy it again") from error


def _parts(folder: Path, pattern: str) -> list[Path]:
    """The files of a model that is written in several, all of which must be there.

    Their names count them, and an index beside them, if there is one, lists them.
    """
    files = {file.name: file for file in sorted(folder.glob(pattern))}
    listed = _listed(folder / f"{pattern.replace('*', '')}.index.json")
    if listed:  # others are other versions
        files = {name: file for name, file in files.items() if name in listed}
    due = listed.union(*map(_counted, files))
    if missing := sorted(due - files.keys()):
        raise FormatError(
            f"{folder} lacks {some(missing, 3)}, a part of the model: download the folder again"
        )
    return list(files.values())


def _listed(index: Path) -> set[str]:
    """The files that the index of a model names; nothing if there is no index."""
    content = read_json(index) if index.is_file() else {}
    files = content.get("weight_map") if isinstance(content, dict) else None
    return set(map(str, files.values())) if isinstance(files, dict) else set()


def _counted(name: str) -> list[str]:
    """The names of all parts, one of which is called ``model-00002-of-00003.safetensors``."""
    found = _PART.fullmatch(name)
    if found is None:
        return []
    return [f"{found[1]}{n:05d}{found[2]}{found[3]}{found[4]}" for n in range(1, int(found[3]) + 1)]


def _joined(parts: Mapping[Path, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of a model that is written in several files."""
    tensors: dict[str, Tensor] = {}
    origin: dict[str, Path] = {}
    for file, part in parts.items():
        for name, tensor in part.items():
            if name in tensors:
                raise FormatError(
                    f"{origin[name]} and {file.name} both hold {name}: give the path of the one "
                    "that is meant"
                )
            tensors[name], origin[name] = tensor, file
    return tensors


def flaw_of(tensor: Tensor) -> str:
    """What keeps a tensor from being a weight, as the end of a sentence, or nothing."""
    if tensor.dtype not in _NUMBERS or tensor.layout != torch.strided or tensor.is_meta:
        kind = "a shape only" if tensor.is_meta else f"{tensor.dtype}, {tensor.layout}"
        kind = kind.replace("torch.", "").removesuffix(", strided")
        return f"is stored as {kind}: save it as plain floating-point numbers"
    return "" if tensor.isfinite().all() else "has values that are not finite"


def _read_file(path: Path) -> Any:
    """Whatever the file holds; its first bytes, not its name, say how it is written."""
    _verify(path)
    with path.open("rb") as file:
        head = file.read(100)
    start = head[:9]
    if start[8:] == b"{":  # safetensors: eight bytes of length, then JSON
        try:
            return load_file(path)
        except SafetensorError as error:
            raise FormatError(f"{path} is damaged ({error}): download or copy it again") from error
    for beginning, what, advice in _INSTEAD:
        if head.lower().startswith(beginning.lower()):
            raise FormatError(f"{path} is {what} in the place of weights: {advice}")
    try:
        # A Namespace (the training arguments in MCG-NJU's files) only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if start.startswith((b"PK", b"\x80")):  # a PyTorch archive or a pickle, not just anything
            raise FormatError(_refusal(path, str(error))) from error
        raise FormatError(_no_weights(path, "it begins like neither")) from error
    # A damaged archive or pickle is answered with errors of nearly every other kind.
    except Exception as error:
        raise FormatError(_no_weights(path, str(error).partition("\n")[0] or "empty")) from error


def _refusal(path: Path, message: str) -> str:
    found = re.search(r"GLOBAL (\S+)", message)
    what = found[1] if found else "objects PyTorch does not allow"
    return (
        f"{path} holds more than tensors and plain values ({what}): opening it could run code, so "
        "it is refused. Ask its author for a safetensors file; or, only if you trust the file, "
        "save its tensors alone with safetensors.torch.save_file where it was made"
    )


def _no_weights(path: Path, reason: str) -> str:
    return (
        f"{path} is neither a safetensors nor a readable PyTorch file ({reason}): was it cut "
        "short, or is it something else? Download or copy it again"
    )


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    inner = content
    while (only := _only_container(inner)) is not None:
        inner = only
    tensors: dict[str, Tensor] = {}
    for whole, tensor in _named_tensors(inner):
        name = _WRAPPERS.sub("", whole)
        if printable(name) != name:
            raise FormatError(f"{path} has a tensor called {name!r}, which holds half a character")
        if name in tensors:
            raise FormatError(f"{path} holds {name} twice, once as {whole}: save one of the two")
        tensors[name] = tensor.detach()
    if not tensors:
        what = f"the keys {list(content)[:5]}" if isinstance(content, Mapping) else type(content)
        raise FormatError(
            f"{path} holds no named tensors but {what}: give a file of model weights (a state "
            "dict, alone or under state_dict, model or another key)"
        )
    while all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _only_container(content: Any) -> Mapping[Any, Any] | None:
    """The one entry that holds all tensors; None if there is no such one."""
    if not isinstance(content, Mapping):
        return None
    if any(isinstance(value, Tensor) and value.ndim for value in content.values()):
        return None
    holders = [value for value in content.values() if next(_named_tensors(value), None)]
    return holders[0] if len(holders) == 1 else None


def _named_tensors(content: Any, before: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors under names, however deep; those of optimizers have numbers instead."""
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, Tensor) and key != _COUNTER:
            yield before + key, value
        elif isinstance(key, str):
            yield from _named_tensors(value, f"{before}{key}.")
