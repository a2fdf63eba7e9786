"""The thin node over ``detector.weights.export``. Heavy imports stand inside the functions."""

import logging

from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.weights.public import PublicWeights

logger = logging.getLogger(__name__)


def export_weights(checkpoint: Checkpoint) -> PublicWeights:
    """The detector as OpenTAD loads it, and its backbone as a VideoMAE of ``transformers``."""
    from tad_blockdrop.detector.weights.export import opentad_misfit, public_weights

    weights = public_weights(checkpoint)
    if misfit := opentad_misfit(checkpoint):
        logger.warning("there is no opentad.pth: %s", misfit)
    _warn_of_aids(checkpoint)
    _warn_of_crop(checkpoint)
    return weights


def _warn_of_aids(checkpoint: Checkpoint) -> None:
    from tad_blockdrop.detector.weights.export import videomae_of

    if videomae_of(checkpoint).remove_clip_mean:
        logger.warning(
            "this model was trained on clips less their temporal mean "
            "(detector.backbone.remove_clip_mean), which no public program does: there, "
            "subtract from each normalised pixel its mean over the frames of its clip"
        )


def _warn_of_crop(checkpoint: Checkpoint) -> None:
    from tad_blockdrop.detector.weights.export import videomae_of

    size, crop = videomae_of(checkpoint).pretrain_size, checkpoint.window.crop
    if size != crop:
        logger.warning(
            "transformers' VideoMAE takes frames of %d pixels only (detector.backbone."
            "pretrain_size), and this model was trained on %d (data.window.crop), with positions "
            "interpolated: there it computes what it does here on larger or smaller frames than "
            "its own",
            size, crop,
        )  # fmt: skip
