"""The environments of docs/backbones.md are ones that validate over conf/base."""

import re
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from tad_blockdrop.context import validate_parameters

PAGE = (ROOT / "docs" / "backbones.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merged as Kedro merges environments."""
    merged = {
        key: over(base[key], value) if isinstance(value, dict) and key in base else value
        for key, value in changes.items()
    }
    return base | merged


@pytest.mark.parametrize(("number", "kind"), enumerate(["timm", "vjepa2", "timm"]))
def test_environments_validate(number: int, kind: str) -> None:
    raw = yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text(encoding="utf-8"))
    if number == 0:  # a fragment, for the crop that the text asks for
        raw = over(raw, {"data": {"window": {"crop": 28, "short_side": 36}}})
    tree = over(raw | {"experiment": "page"}, yaml.safe_load(BLOCKS[number]))
    parameters = validate_parameters(tree)
    assert parameters.detector.backbone.kind == kind
    assert parameters.detector.backbone.geometry.depth == {"timm": 12, "vjepa2": 24}[kind]


def test_every_environment_is_tried() -> None:
    assert len(BLOCKS) == 3
