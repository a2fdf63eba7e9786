"""What the ``config.json`` beside weights made elsewhere says that no tensor's shape does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tad_blockdrop.config import BackboneConfig
from tad_blockdrop.detector.weights.errors import FormatError

ACTIVATION = "gelu"  # of every backbone here


def model_config(path: str | Path) -> dict[str, Any]:
    """The ``config.json`` in a model's folder, or beside a file of its weights.

    Empty if there is none. Raises FormatError if it is damaged.
    """
    place = Path(path)
    file = (place if place.is_dir() else place.parent) / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise FormatError(f"{file} is damaged ({error}): download or copy it again") from error
    return found if isinstance(found, dict) else {}


def refuse_other_model(
    path: str | Path, config: BackboneConfig, model_type: str, sizes: Mapping[str, str]
) -> None:
    """Refuse a model of ``transformers`` that computes something else than ``config`` says.

    ``sizes``: keys of ours, by which to compare, and what ``transformers`` calls them. Raises
    FormatError.
    """
    found = model_config(path)
    if found.get("model_type") != model_type:
        return
    wrong = [
        f"detector.backbone.{key}: {found[name]} (not {getattr(config, key)})"
        for key, name in sizes.items()
        if found.get(name, getattr(config, key)) != getattr(config, key)
    ]
    if wrong:
        raise FormatError(f"{path} holds a model of another size; set {', '.join(wrong)}")
    activation = found.get("hidden_act", ACTIVATION)
    if activation != ACTIVATION:
        raise FormatError(
            f"{path} holds a model that computes with '{activation}' (hidden_act); this backbone "
            f"has '{ACTIVATION}' only"
        )
