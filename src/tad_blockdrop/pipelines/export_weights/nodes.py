"""Thin nodes over ``detector.weights.export``. Heavy imports stand inside the functions."""

import logging
from typing import Any

from tad_blockdrop.detector.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


def export_opentad(checkpoint: Checkpoint) -> dict[str, Any]:
    """The detector as OpenTAD and Progressive Block Drop load it."""
    from tad_blockdrop.detector.weights.export import opentad_file

    _warn_of_aids(checkpoint)
    return opentad_file(checkpoint)


def export_transformers(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    """The backbone as a ``transformers`` VideoMAE: its weights and its ``config.json``."""
    from tad_blockdrop.detector.weights.export import export_transformers, transformers_config

    _warn_of_aids(checkpoint)
    return export_transformers(checkpoint), transformers_config(checkpoint)


def _warn_of_aids(checkpoint: Checkpoint) -> None:
    from tad_blockdrop.detector.weights.export import videomae_of

    if videomae_of(checkpoint).remove_clip_mean:
        logger.warning(
            "this model was trained on clips less their temporal mean "
            "(detector.backbone.remove_clip_mean), which no public program does: there, "
            "subtract from each normalised pixel its mean over the frames of its clip"
        )
