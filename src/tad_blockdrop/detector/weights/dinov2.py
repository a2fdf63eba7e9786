"""DINOv2 as the package ``transformers`` has it, put into the names of its authors."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from tad_blockdrop.detector.weights.errors import FormatError

PROJECTION = "embeddings.patch_embeddings.projection.weight"  # what each of its files has
_RENAMES = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.", ""),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.", "blocks."),
    # In its files; then in its memory, from version 5 on.
    (r"\.attention\.attention\.(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.q_proj\.", ".attn.query."),
    (r"\.attention\.k_proj\.", ".attn.key."),
    (r"\.attention\.v_proj\.", ".attn.value."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),
    (r"\.mlp\.weights_out\.", ".mlp.w3."),
)


def authors_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors; q, k and v, which are apart, in one. Names that are not known stay.

    Raises FormatError for shapes that cannot be joined.
    """
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        theirs = name
        for pattern, replacement in _RENAMES:
            theirs = re.sub(pattern, replacement, theirs)
        named[theirs] = tensor
    for query in [name for name in named if ".attn.query." in name]:
        parts = [query.replace("query", part) for part in ("query", "key", "value")]
        if named.keys() >= set(parts):
            named[query.replace("query", "qkv")] = _joined({p: named.pop(p) for p in parts})
    # By its mask token timm knows the authors' layout, also where a copy has none.
    named.setdefault("mask_token", torch.zeros(1))
    return named


def _joined(parts: Mapping[str, Tensor]) -> Tensor:
    try:
        return torch.cat(list(parts.values()))
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(part.shape)}" for name, part in parts.items())
        raise FormatError(f"shapes that do not go together: {shapes}") from error
