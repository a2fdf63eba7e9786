"""What timm says of a model by its name, asked without making the model's weights.

torch and timm are imported only when a model is asked for: the command line starts without them.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

EXAMPLES = (
    "vit_small_patch14_dinov2, vit_base_patch16_clip_224, deit3_small_patch16_224, "
    "vit_small_patch16_dinov3 or eva02_small_patch14_224"
)


@dataclass(frozen=True)
class TimmModel:
    """Sizes of a plain vision transformer of timm.

    ``patch`` in pixels; ``prefix_tokens`` are the class token and registers.
    """

    width: int
    depth: int
    patch: int
    prefix_tokens: int
    has_class_token: bool


@cache
def timm_model(name: str) -> TimmModel:
    """The sizes of the model that timm calls ``name``.

    Raises:
        ValueError: timm has no such model, or blocks cannot be dropped from it.
    """
    import timm
    import torch

    names = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in names:
        close = ", ".join(get_close_matches(name, sorted(names))) or EXAMPLES
        raise ValueError(f"timm {timm.__version__} has no model {name!r}; did you mean: {close}?")
    with torch.device("meta"):
        model = timm.create_model(name)
    reason = _misfit(model)
    if reason:
        raise ValueError(
            f"timm's {name} cannot be the backbone: {reason}. Choose a plain vision transformer, "
            f"{EXAMPLES} for instance"
        )
    return TimmModel(
        width=model.embed_dim,
        depth=len(model.blocks),
        patch=model.patch_embed.patch_size[0],
        prefix_tokens=model.num_prefix_tokens,
        has_class_token=model.cls_token is not None,
    )


def _misfit(model: Any) -> str | None:
    """Why a model of timm is none whose blocks can be dropped one by one; none if it is."""
    from timm.layers import PatchEmbed
    from timm.models.eva import Eva, EvaBlock
    from timm.models.vision_transformer import Block, VisionTransformer

    widths = [stage["num_chs"] for stage in getattr(model, "feature_info", None) or []]
    if len(set(widths)) > 1:
        return f"its width changes on the way ({widths[0]} to {widths[-1]} channels)"
    if type(model) not in (VisionTransformer, Eva):
        return f"it is a {type(model).__name__}, neither a plain VisionTransformer nor an Eva"
    if type(model.patch_embed) is not PatchEmbed:
        return "a convolutional network makes its tokens"
    block = type(model.blocks[0])
    if block not in (Block, EvaBlock):
        return f"its blocks ({block.__name__}) are not a normed attention and then a normed MLP"
    if getattr(model, "rope_mixed", False):
        return "its rotary positions are learned for each block"
    return None
