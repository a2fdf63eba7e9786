"""What the ``config.json`` beside weights says that no tensor's shape does."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from tad_blockdrop.config import BackboneConfig, DetectorConfig
from tad_blockdrop.detector.weights.errors import FormatError

ACTIVATION = "gelu"  # of every backbone here
OWN = "kept_blocks"  # what only a checkpoint of this program states
# Keys of detector.backbone that what weights compute does not depend on, beside those of training:
# where they come from, and how their tokens are pooled.
FREE = {"weights", "pool"}
NOTHING: Mapping[str, Any] = MappingProxyType({})


def model_config(path: str | Path) -> dict[str, Any]:
    """The ``config.json`` in a model's folder, or beside a file of its weights.

    Empty if there is none. Raises FormatError if it is damaged.
    """
    place = Path(path)
    file = (place if place.is_dir() else place.parent) / "config.json"
    found = read_json(file) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def read_json(file: Path) -> Any:
    """What a JSON file beside weights holds. Raises FormatError if it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{file} is damaged ({error}): download or copy it again") from error


def own_backbone(path: str | Path) -> BackboneConfig | None:
    """The backbone that a checkpoint of this program says it has; None for all other weights."""
    found = model_config(path)
    if OWN not in found:
        return None
    try:
        return DetectorConfig.model_validate(found["detector"]).backbone
    except (KeyError, ValidationError) as error:
        problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise FormatError(
            f"the config.json of {path} does not describe a detector of this program ({problem}): "
            "copy it again from where the checkpoint was made"
        ) from error


def stated_keys(
    path: str | Path, model_type: str | None = None, names: Mapping[str, str] = NOTHING
) -> dict[str, Any]:
    """The keys of ``detector.backbone`` that weights state in their ``config.json``.

    For a checkpoint of this program these are all that its weights depend on; for a model of
    ``transformers`` of this ``model_type``, those in ``names`` (ours -> theirs). Raises FormatError
    for one with another activation.
    """
    own = own_backbone(path)
    if own is not None:
        free = FREE.union(own.training_keys)
        return {key: value for key, value in own.model_dump().items() if key not in free}
    found = model_config(path)
    if model_type is None or found.get("model_type") != model_type:
        return {}
    activation = found.get("hidden_act", ACTIVATION)
    if activation != ACTIVATION:
        raise FormatError(
            f"{path} holds a model that computes with '{activation}' (hidden_act); this backbone "
            f"has '{ACTIVATION}' only"
        )
    return {key: _one(found[name]) for key, name in names.items() if name in found}


def differing(wanted: Mapping[str, Any], config: BackboneConfig) -> list[str]:
    """The keys of ``config`` that should be as ``wanted``, as ``<key>: <value> (not <value>)``."""
    if wanted.get("kind", config.kind) != config.kind:
        wanted = {"kind": wanted["kind"]}  # the other keys are another kind's
    return [
        f"detector.backbone.{key}: {json.dumps(value)} (not {json.dumps(getattr(config, key))})"
        for key, value in wanted.items()
        if value != getattr(config, key)
    ]


def refuse_other_model(
    path: str | Path,
    config: BackboneConfig,
    model_type: str | None = None,
    names: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """``stated_keys``, after weights that state another backbone than ``config`` are refused.

    Raises FormatError, which names each key to change.
    """
    stated = stated_keys(path, model_type, names)
    if wrong := differing(stated, config):
        raise FormatError(
            f"{path} holds a model that computes something else; for it, set {', '.join(wrong)}"
        )
    return stated


def _one(value: Any) -> Any:
    """A number that is given for each side, once."""
    sides = value if isinstance(value, list) else [value]
    return sides[0] if sides and all(side == sides[0] for side in sides) else value
