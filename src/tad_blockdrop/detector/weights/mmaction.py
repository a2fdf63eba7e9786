"""VideoMAE as mmaction2 saves it."""

from collections.abc import Mapping
from typing import ClassVar

from tad_blockdrop.detector.weights.layout import Layout


class Mmaction(Layout):
    """A recogniser (``backbone.`` before the names, with a classification head) or its backbone."""

    title = "mmaction2 VideoMAE"
    prefixes: ClassVar[tuple[str, ...]] = ("backbone.", "")
    patch = "patch_embed.projection"
    block = "blocks.{}."
    modules: ClassVar[Mapping[str, str]] = {
        "norm1": "norm1",
        "attn.proj": "attn.proj",
        "norm2": "norm2",
        "mlp.fc1": "mlp.layers.0.0",
        "mlp.fc2": "mlp.layers.1",
    }
    unused: ClassVar[tuple[str, ...]] = ("norm.", "fc_norm.", "data_preprocessor.")
