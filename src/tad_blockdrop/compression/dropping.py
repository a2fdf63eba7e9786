"""From a table of scores to a shorter model: choosing the unit, taking it out."""

from dataclasses import dataclass, replace

import pandas as pd

from tad_blockdrop.compression.criteria.gap_error import GapError
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detector.backbones.contract import Backbone
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import Unit, as_stored, candidate_units, parse_unit, without_unit
from tad_blockdrop.errors import BlockDropError


class ScoringError(BlockDropError):
    """The scores do not say which block to drop."""


class UnitError(BlockDropError):
    """What ``compress.unit`` names cannot be dropped, or not so often."""


@dataclass(frozen=True)
class Drop:
    """The block to drop, or the sub-layer, and why.

    ``value`` is its score under ``criterion``; ``margin``, never negative, is how far the
    runner-up is behind (none without one); ``tied`` lists other blocks with the same value.
    """

    block: Unit
    criterion: str
    value: float
    margin: float | None
    tied: tuple[Unit, ...]


def choose_block(scores: pd.DataFrame) -> Drop:
    """The first of a ranking as ``score_blocks`` makes it (columns block, criterion, value, rank).

    Values that are not numbers have no rank, so they are never chosen. Raises ScoringError if
    there is nothing else.
    """
    ranked = scores.dropna(subset=["value", "rank"]).sort_values("rank")
    if ranked.empty:
        raise ScoringError(
            f"none of the {len(scores)} candidate blocks has a score that is a number: the model "
            "gives non-finite outputs; look at the training history of the step before"
        )
    blocks, values = [parse_unit(b) for b in ranked["block"]], ranked["value"].tolist()
    return Drop(
        block=blocks[0],
        criterion=ranked["criterion"].iloc[0],
        value=values[0],
        margin=abs(values[0] - values[1]) if len(values) > 1 else None,
        tied=tuple(
            sorted(b for b, v in zip(blocks[1:], values[1:], strict=True) if v == values[0])
        ),
    )


def drop_block(checkpoint: Checkpoint, unit: Unit) -> Checkpoint:
    """The checkpoint without that unit: its weights are gone, the others keep their indices.

    The metrics and decisions, which belonged to the longer model, are gone too; the lineage is the
    caller's to continue. Raises ValueError if the unit is not there or is the last one.
    """
    import torch

    from tad_blockdrop.detector.model import Detector

    kept = without_unit(checkpoint.kept_blocks, unit)
    if kept == checkpoint.kept_blocks or not kept:
        blocks = ", ".join(map(str, checkpoint.kept_blocks))
        raise ValueError(
            f"block {unit} cannot be dropped from blocks ({blocks}): it must be "
            "one of them and one must remain; reduce compress.n_drops if this was the last one"
        )
    with torch.device("meta"):
        size = checkpoint.detector, len(checkpoint.classes), checkpoint.window, kept
        needed = Detector(*size).state_dict().keys()
    weights = {name: value for name, value in checkpoint.weights.items() if name in needed}
    return replace(checkpoint, weights=weights, kept_blocks=kept, metrics={}, decisions=None)


def check_units(backbone: Backbone, compress: CompressConfig) -> None:
    """Raise UnitError unless as many units as configured can be dropped, and one remains."""
    unit, kind = compress.unit, backbone.config.kind
    if unit != "block" and not backbone.sub_layers:
        raise UnitError(
            f"compress.unit is '{unit}', but the blocks of a backbone of kind '{kind}' are dropped "
            "whole: set compress.unit to block"
        )
    units = [as_stored(each) for each in candidate_units(backbone.kept_units, unit)]
    absent = [str(each) for each in compress.candidates or () if each not in units]
    if absent:
        raise UnitError(
            f"compress.candidates names {', '.join(absent)}, but the model has "
            f"{', '.join(map(str, units))} to drop (compress.unit: {unit})"
        )
    able = set(compress.candidates or units) - {units[0]}
    if compress.criterion == GapError.name and compress.n_drops > len(able):
        raise UnitError(
            f"compress.criterion '{compress.criterion}' never drops the first unit, {units[0]}: "
            "name one more in compress.candidates, lower compress.n_drops, or choose another "
            "criterion"
        )
    there = len(units)
    if compress.n_drops >= there:
        raise UnitError(
            f"compress.n_drops ({compress.n_drops}) must leave at least one of the {there} units "
            f"(compress.unit: {unit}) that the model has"
        )
