"""VideoMAE as the package ``transformers`` saves it (safetensors and .bin)."""

from collections.abc import Mapping
from typing import ClassVar

from tad_blockdrop.detector.weights.layout import Layout

MODEL_TYPE = "videomae"
# Keys of detector.backbone, and what the config.json of such a model calls them.
SIZES = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "patch": "patch_size",
    "tubelet": "tubelet_size",
    "clip_frames": "num_frames",
    "pretrain_size": "image_size",
    "remove_clip_mean": "remove_clip_mean",  # of ours; no other program has it
}


class Transformers(Layout):
    """``VideoMAEModel`` and the models around it, of version 4 and 5."""

    title = "transformers VideoMAE"
    prefixes = ("videomae.", "")
    patch = "embeddings.patch_embeddings.projection"
    block = "encoder.layer.{}."
    modules: ClassVar[Mapping[str, str]] = {
        "norm1": "layernorm_before",
        "attn.proj": "attention.output.dense",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    qkv = tuple(f"attention.attention.{part}.weight" for part in ("query", "key", "value"))
    # In files of both versions, which is how they are written; then in the memory of version 5.
    qv_bias = (
        ("attention.attention.q_bias", "attention.attention.v_bias"),
        ("attention.attention.query.bias", "attention.attention.value.bias"),
    )
    positions_name = "embeddings.position_embeddings"
    unused = ("layernorm.", "fc_norm.", "mask_token", "encoder_to_decoder.")

    def is_unused(self, key: str) -> bool:
        """As for every layout; no output depends on a bias of the keys, which some of 5 have."""
        return key.endswith(".attention.attention.key.bias") or super().is_unused(key)
