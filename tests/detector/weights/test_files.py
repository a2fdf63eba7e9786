"""Reading files: what opens, what is preferred, and that nothing is ever run."""

import argparse
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.detector.weights.reading import read_weights

A, B = torch.arange(3.0), torch.ones(2, 2)


def as_safetensors(content: dict[str, Any], path: Path) -> None:
    save_file(content, path)


def as_zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def as_old_pickle(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [as_safetensors, as_zip, as_old_pickle])
def test_every_kind_of_file_whatever_it_is_called(
    tmp_path: Path, write: Callable[[dict[str, Any], Path], None]
) -> None:
    path = tmp_path / "weights.dat"
    write({"a": A, "b": B}, path)
    found = read_weights(path)
    assert set(found) == {"a", "b"}
    assert torch.equal(found["a"], A)
    assert torch.equal(found["b"], B)


@pytest.mark.parametrize(
    "content",
    [
        {"a": A},
        {"module.a": A},
        {"model": {"a": A}, "optimizer": {"state": {0: B}}, "epoch": 3},
        {"module": {"a": A}, "dp_world_size": 8},
        {"anything": {"module": {"a": A}}, "epoch": torch.tensor(3)},
        {"n_averaged": torch.tensor(7), "module.a": A},
        {"_orig_mod._fsdp_wrapped_module.a": A},
        {"model": {"state_dict": {"a": A}}},
        {"model": {"a": nn.Parameter(A)}, "args": argparse.Namespace(model="vit", lr=0.1)},
    ],
)
def test_containers_and_wrappers_are_taken_off(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth")
    assert list(found) == ["a"]
    assert torch.equal(found["a"], A)
    assert not found["a"].requires_grad


def test_a_folder_of_a_transformers_model(tmp_path: Path) -> None:
    save_file({"a": A}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": B}, tmp_path / "model-00002-of-00002.safetensors")
    torch.save({"c": A}, tmp_path / "pytorch_model.bin")  # the same model once more
    assert set(read_weights(tmp_path)) == {"a", "b"}


@pytest.mark.parametrize("kind", ["named", "listed"])
def test_a_part_of_a_model_that_is_missing_is_named(kind: str, tmp_path: Path) -> None:
    """By the names of the others, which count them, or by the index beside them."""
    first, second, third = (f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3))
    if kind == "listed":
        first, second, third = (f"model-{letter}.safetensors" for letter in "abc")
        index = {"weight_map": {"a": first, "b": second, "c": third}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        save_file({"a": B}, tmp_path / "model-old.safetensors")  # not listed: another version
    save_file({"a": A}, tmp_path / first)
    save_file({"b": B}, tmp_path / second)
    with pytest.raises(FormatError, match=f"lacks {third}, a part of the model: download"):
        read_weights(tmp_path)
    save_file({"c": B}, tmp_path / third)
    found = read_weights(tmp_path)
    assert set(found) == {"a", "b", "c"}
    assert torch.equal(found["a"], A)


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": 3}', '{"weight_map": null}'])
def test_an_index_that_lists_nothing_asks_for_nothing(index: str, tmp_path: Path) -> None:
    save_file({"a": A}, tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert set(read_weights(tmp_path)) == {"a"}


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    save_file({"a": A}, tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {')
    with pytest.raises(FormatError, match=r"index\.json is damaged .*again"):
        read_weights(tmp_path)


class Attack:
    """Writes a file when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "run")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "write", [as_zip, as_old_pickle, lambda c, path: path.write_bytes(pickle.dumps(c))]
)
@pytest.mark.parametrize("forced", ["0", "1"])
def test_a_malicious_file_is_refused_and_does_not_run(
    tmp_path: Path,
    write: Callable[[Any, Path], None],
    forced: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    content = {"state_dict": {"a": A}, "extra": Attack(marker)}
    write(content, path)
    with pytest.raises(FormatError, match=r"evil\.pth holds more than tensors.*refused.*safetens"):
        read_weights(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(content))  # it would have run
    assert marker.exists()


def test_a_whole_pickled_model_is_refused_by_the_name_of_its_class(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(FormatError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_pytorch_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": [1.0, 2.0]}))
    with pytest.raises(FormatError, match=r"objects PyTorch does not allow.*refused"):
        read_weights(tmp_path / "w.pth")


def truncated(path: Path) -> bytes:
    torch.save({"a": torch.randn(100)}, path)
    return path.read_bytes()[:-200]


def truncated_safetensors(path: Path) -> bytes:
    save_file({"a": torch.randn(100)}, path)
    return path.read_bytes()[:-200]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>404 not found</html>",
        b"PK\x03\x04 no archive",
        bytes(range(256)) * 8,
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{",
        truncated,
        truncated_safetensors,
    ],
)
def test_damaged_files_get_a_sentence(
    tmp_path: Path, content: bytes | Callable[[Path], bytes]
) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(content(path) if callable(content) else content)
    with pytest.raises(FormatError, match=r"bad\.pth is .*again"):
        read_weights(path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [A], {"model": {}}, {}, 7])
def test_files_without_weights(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(FormatError, match="holds no named tensors but"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (
            b"<!doctype html>\n<html><body>Sign in",
            "is a web page in the place of weights: download the file again",
        ),
        (
            b'{"metadata": {}, "weight_map": {}}',
            "is JSON in the place of weights: give the file of the tensors, or the",
        ),
    ],
)
def test_what_stands_for_a_file_of_weights_is_told(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=said):
        read_weights(path)


def test_an_adapter_alone_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({"a": A}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(FormatError, match=r"an adapter .* without the model that it belongs to"):
        read_weights(tmp_path)


def test_other_versions_of_a_model_in_its_folder_are_not_mixed_in(tmp_path: Path) -> None:
    for name, value in (("model", 1), ("model_old", 2), ("model.fp16", 3)):
        save_file({"a": torch.tensor([float(value)])}, tmp_path / f"{name}.safetensors")
    assert read_weights(tmp_path)["a"] == 1
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FormatError, match=r"model\.fp16.* and model_old\.safetensors both hold a"):
        read_weights(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist: give the path"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(FormatError, match="holds no weights: expected"):
        read_weights(tmp_path)


def test_names_that_cannot_be_told_apart_or_printed_are_refused(tmp_path: Path) -> None:
    torch.save({"_orig_mod.a": A, "a": B}, tmp_path / "twice.pth")
    with pytest.raises(FormatError, match=r"holds a twice, once as"):
        read_weights(tmp_path / "twice.pth")
    torch.save({"a\udce9": A}, tmp_path / "half.pth")
    with pytest.raises(FormatError, match=r"called 'a\\udce9', which holds half a character"):
        read_weights(tmp_path / "half.pth")
