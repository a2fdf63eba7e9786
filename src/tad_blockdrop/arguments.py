"""Arguments of a command that Kedro would answer in its own words, before any hook is called."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import yaml

from tad_blockdrop.errors import BlockDropError, printable

PARAMS = "--params"


class ArgumentError(BlockDropError):
    """An argument that no command can use."""


def refuse_bad_arguments(arguments: Sequence[str]) -> None:
    """Raise ArgumentError for bytes that are not UTF-8, and for a value with a comma."""
    for argument in arguments:
        if printable(argument) != argument:  # Kedro reads parameters as YAML, which takes no other
            raise ArgumentError(f"{argument} is not UTF-8: rename the file or folder")
    for given in _parameters(arguments):
        for parameter in _parted(given):
            if "=" in parameter and "," in parameter.rstrip(", "):
                raise ArgumentError(_put_into_a_file(*parameter.split("=", 1)))


def _parameters(arguments: Sequence[str]) -> list[str]:
    """What is given as ``--params a=1,b=2`` or ``--params=a=1,b=2``."""
    following = [given for option, given in pairwise(arguments) if option == PARAMS]
    begin = f"{PARAMS}="
    return following + [each.removeprefix(begin) for each in arguments if each.startswith(begin)]


def _parted(given: str) -> list[str]:
    """The parameters, cut only at commas that come before another ``key=``."""
    parts: list[str] = []
    for item in given.split(","):
        if parts and "=" not in item:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return parts


def _put_into_a_file(key: str, value: str) -> str:
    tree: Any = value
    if value.strip().startswith("["):  # a list, not a text
        with suppress(yaml.YAMLError):
            tree = yaml.safe_load(value)
    for name in reversed(("run", "params", *key.strip().split("."))):
        tree = {name: tree}
    text = yaml.safe_dump(tree, allow_unicode=True, width=float("inf"))
    return (
        f"--params is cut at its commas, and {key.strip()} has one in its value. Write all "
        f"parameters of this run into a file, say my_run.yml:\n\n{text}\nand give it in their "
        "place: --config my_run.yml"
    )
