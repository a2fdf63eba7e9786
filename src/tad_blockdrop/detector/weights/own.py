"""The layout of this program's own checkpoints."""

from collections.abc import Mapping
from typing import ClassVar

from tad_blockdrop.detector.weights.layout import Layout, Rule, plain


class Own(Layout):
    """``weights.safetensors`` of a checkpoint folder."""

    title = "tad_blockdrop"
    prefixes = ("backbone.", "")
    patch = "patch_embed.projection"
    block = "blocks.{}."
    modules: ClassVar[Mapping[str, str]] = {
        name: name for name in ("norm1", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    }
    detector_parts = ("pyramid.", "head.")
    droppable = True
    what_lacks = (
        "A checkpoint lacks what was dropped from it: begin with an uncompressed one, or go on "
        "with this one as a whole (baseline.source: checkpoint)"
    )

    def rule(self, ours: str) -> Rule:
        """The same name."""
        return plain(self.prefix + ours.removeprefix("backbone."))
