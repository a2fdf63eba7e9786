"""Detectors as OpenTAD saves them, and Progressive Block Drop, which grew out of it.

The backbone is mmaction2's. Dropped blocks are absent while the others keep their indices, and
LoRA factors may still stand beside the weights they belong to.
"""

import re
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from tad_blockdrop.detector.weights.layout import Rule, plain
from tad_blockdrop.detector.weights.mmaction import Mmaction

# Ours -> theirs, from the outside in; what is not named here is called the same.
_RENAMES = (
    (r"^pyramid\.embedding\.", "projection.embed."),
    (r"^pyramid\.neck\.", "neck.fpn_norms."),
    (r"^pyramid\.", "projection."),
    (r"^head\.class_tower\.", "rpn_head.cls_convs."),
    (r"^head\.offset_tower\.", "rpn_head.reg_convs."),
    (r"^head\.classify\.", "rpn_head.cls_head."),
    (r"^head\.regress\.", "rpn_head.reg_head."),
    (r"\.norm([12])\.", r".ln\1."),
    (r"\.attention\.(query|key|value)\.conv\.", r".attn.\1_conv.conv."),
    (r"\.attention\.(query|key|value)\.norm\.", r".attn.\1_norm."),
    (r"\.attention\.(query|key|value)\.linear\.", r".attn.\1."),
    (r"\.attention\.output\.", ".attn.proj."),
    (r"\.mlp\.2\.", ".mlp.3."),
    (r"\.path1\.scale$", ".drop_path_attn.scale"),
    (r"\.path2\.scale$", ".drop_path_mlp.scale"),
)
_POINTWISE = re.compile(r"\.(linear|output|mlp\.[02])\.weight$")  # convolutions of width 1 there
_LORA = re.compile(r"backbone\.blocks\.\d+\.attn\.(qkv|proj)\.weight")


class OpenTad(Mmaction):
    """ActionFormer with a VideoMAE backbone, trained end to end."""

    title = "OpenTAD / Progressive Block Drop detector"
    prefixes: ClassVar[tuple[str, ...]] = ("backbone.model.backbone.",)
    unused: ClassVar[tuple[str, ...]] = (
        *Mmaction.unused, "rpn_head.loss_normalizer", "projection.pos_embed",
        "backbone.model.data_preprocessor.",
    )  # fmt: skip
    detector_parts = ("projection.", "neck.", "rpn_head.")
    droppable = True

    @property
    def has_detector(self) -> bool:
        """Whether an ActionFormer stands on the backbone."""
        return {"rpn_head.cls_head.weight", "projection.embed.0.conv.weight"} <= self.keys

    def count(self, pattern: str) -> int:
        """How many modules of a list the file holds: ``pattern`` with ``{}`` for the index."""
        found = (re.match(re.escape(pattern).replace(r"\{\}", r"(\d+)"), key) for key in self.keys)
        return len({match[1] for match in found if match})

    def rule(self, ours: str) -> Rule:
        """LoRA beside a weight is merged into it: ``W + (A B)^T`` (its scaling is 1)."""
        if ours == "head.scales":
            return _scales(self.count("rpn_head.scale.{}.scale"))
        if ours.startswith(("pyramid.", "head.")):
            return _detector_rule(ours)
        rule = super().rule(ours)
        if _LORA.fullmatch(ours):
            stem, _, module = rule.theirs[0].removesuffix(".weight").rpartition(".")
            lora = tuple(f"{stem}.lora_{module}.{factor}" for factor in "AB")
            if self.keys.intersection(lora):
                return Rule((*rule.theirs, *lora), _merged, rule.split)
        return rule


def _merged(parts: list[Tensor]) -> Tensor:
    weight, a, b = parts
    return weight + (a @ b).T


def _scales(levels: int) -> Rule:
    names = tuple(f"rpn_head.scale.{level}.scale" for level in range(levels))
    return Rule(names, torch.stack, lambda ours: ours.unbind())


def _detector_rule(ours: str) -> Rule:
    theirs = ours
    for pattern, replacement in _RENAMES:
        theirs = re.sub(pattern, replacement, theirs)
    if _POINTWISE.search(ours):
        return _reshaped(theirs, lambda t: t.squeeze(-1), lambda t: t.unsqueeze(-1))
    if theirs.endswith(".scale"):
        return _reshaped(theirs, torch.flatten, lambda t: t.view(1, -1, 1))
    return plain(theirs)


def _reshaped(
    name: str, inward: Callable[[Tensor], Tensor], outward: Callable[[Tensor], Tensor]
) -> Rule:
    return Rule((name,), lambda parts: inward(parts[0]), lambda ours: (outward(ours),))
