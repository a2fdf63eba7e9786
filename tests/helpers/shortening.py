"""Detectors that lost blocks."""

from collections.abc import Collection

from tad_blockdrop.detector.model import Detector


def without(model: Detector, blocks: Collection[int]) -> Detector:
    """A detector that never had these blocks, with the weights and the mode of ``model``."""
    kept = [index for index in model.kept_blocks if index not in blocks]
    shorter = Detector(model.config, model.n_classes, model.window, kept).train(model.training)
    weights = model.state_dict()
    shorter.load_state_dict({name: weights[name] for name in shorter.state_dict()})
    return shorter
