"""Chosen parameters with their reasons, and the environment made of them."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.storage.experiment_record import flatten, unflatten

LISTED = 4  # entries of a list beyond which each has a line of its own


@dataclass(frozen=True)
class Setting:
    """A parameter by its dotted key, its value, and why it has it, as a comment beside it."""

    key: str
    value: Any
    reason: str


def merged(base: Mapping[str, Any], settings: Iterable[Setting]) -> dict[str, Any]:
    """The raw parameters of ``base`` with the settings over them, as Kedro merges environments."""
    flat = flatten(deepcopy(dict(base)))  # a copy: groups that are empty would be filled
    return unflatten(flat | {setting.key: setting.value for setting in settings})


def environment_text(heading: str, settings: Iterable[Setting]) -> str:
    """``parameters.yml``: the heading as comments, then every setting with its reason beside it.

    Of two settings with one key the later counts.
    """
    tree = unflatten({setting.key: setting for setting in settings})
    lines = [f"# {_one_line(line)}".rstrip() for line in heading.split("\n")]
    return "\n".join([*lines, *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, node in tree.items():
        if not isinstance(node, Setting):
            lines += [f"{indent}{key}:", *_lines(node, indent + "  ")]
        elif isinstance(node.value, list) and len(node.value) > LISTED:
            lines.append(f"{indent}{key}:  # {_one_line(node.reason)}")
            lines += [f"{indent}- {_plain(entry)}" for entry in node.value]
        else:
            lines.append(f"{indent}{key}: {_plain(node.value)}  # {_one_line(node.reason)}")
    return lines


def _plain(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("...").rstrip("\n")


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which a comment cannot hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def write_environment(
    folder: Path, places: Mapping[str, str], heading: str, settings: Iterable[Setting]
) -> None:
    """``globals.yml`` with the ``places`` and ``parameters.yml`` in a new folder.

    Raises BeginError where they cannot be written.
    """
    try:
        folder.mkdir()
        with atomic_write(folder / "globals.yml") as temporary:
            text = yaml.safe_dump(dict(places), allow_unicode=True, sort_keys=False)
            temporary.write_text(text, encoding="utf-8")
        with atomic_write(folder / "parameters.yml") as temporary:
            temporary.write_text(environment_text(heading, settings), encoding="utf-8")
    except OSError as error:
        raise BeginError(
            f"{folder} cannot be written ({error.strerror}): check the permissions of its parent"
        ) from error
