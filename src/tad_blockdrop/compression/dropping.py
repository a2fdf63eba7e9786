"""From a table of scores to a shorter model: choosing the unit, taking it out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from tad_blockdrop.compression.criteria.gap_error import GapError
from tad_blockdrop.config import CompressConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.detector.units import (
    Unit,
    as_stored,
    candidate_units,
    parse_unit,
    sub_layers,
    without_unit,
)
from tad_blockdrop.errors import BlockDropError

if TYPE_CHECKING:
    from tad_blockdrop.detector.backbones.contract import Backbone


class ScoringError(BlockDropError):
    """The scores do not say which block to drop."""


class UnitError(BlockDropError):
    """What ``compress.unit`` names cannot be dropped, or not so often."""


@dataclass(frozen=True)
class Drop:
    """The block to drop, or the sub-layer, and why.

    ``value`` is its score under ``criterion``; ``margin`` is how far the runner-up is behind
    (:func:`find_margin`; none without a number); ``tied`` lists the blocks that are worth the same.
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
    (block, *others), margin = map(parse_unit, ranked["block"]), find_margin(ranked)
    first, *rest = zip(ranked["value"], ranked["alone"], strict=True)
    return Drop(
        block=block,
        criterion=ranked["criterion"].iloc[0],
        value=first[0],
        margin=None if math.isnan(margin) else margin,
        tied=tuple(sorted(b for b, worth in zip(others, rest, strict=True) if worth == first)),
    )


def find_margin(ranked: pd.DataFrame) -> float:
    """How far the second of a ranking is behind the first, never negative; NaN without a second.

    Where they have one value, as the two of a pair have when a ranking looks ahead, ``alone`` is
    what decides between them.
    """
    apart = ranked[["value", "alone"]].head(2).diff().abs().iloc[-1]
    return float(apart["value"] or apart["alone"])


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
    first = sub_layers(backbone.kept_units)[0]
    begin = {as_stored(first), first.block}.intersection(units)  # nothing stands before it
    able = set(compress.candidates or units) - begin
    if compress.criterion == GapError.name and begin and compress.n_drops > len(able):
        raise UnitError(
            f"compress.criterion '{compress.criterion}' never drops the first unit, "
            f"{begin.pop()}: name one more in compress.candidates, lower compress.n_drops, or "
            "choose another criterion"
        )
    there = len(units)
    if compress.n_drops >= there:
        raise UnitError(
            f"compress.n_drops ({compress.n_drops}) must leave at least one of the {there} units "
            f"(compress.unit: {unit}) that the model has"
        )
