"""VideoMAE as its authors (MCG-NJU) release it."""

from collections.abc import Mapping
from typing import ClassVar

from tad_blockdrop.detector.weights.layout import Layout


class McgNju(Layout):
    """Pre-trained (``encoder.`` before the names) and fine-tuned (nothing before them)."""

    title = "MCG-NJU VideoMAE"
    prefixes = ("encoder.", "backbone.", "")
    patch = "patch_embed.proj"
    block = "blocks.{}."
    modules: ClassVar[Mapping[str, str]] = {
        name: name for name in ("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    }
    unused = ("norm.", "fc_norm.", "mask_token", "encoder_to_decoder.")
