"""Weights in: from a file of a public layout to our tensors, with a report on every one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tad_blockdrop.config import BackboneConfig, DetectorConfig, VideoMAEConfig
from tad_blockdrop.detector.backbones.videomae import VideoMAE
from tad_blockdrop.detector.heads import make_head
from tad_blockdrop.detector.necks import make_neck
from tad_blockdrop.detector.weights.errors import FormatError, naming
from tad_blockdrop.detector.weights.layout import Layout
from tad_blockdrop.detector.weights.mcg_nju import McgNju
from tad_blockdrop.detector.weights.mmaction import Mmaction
from tad_blockdrop.detector.weights.model_config import NOTHING, refuse_other_model
from tad_blockdrop.detector.weights.network import Network, find_network
from tad_blockdrop.detector.weights.opentad import OpenTad
from tad_blockdrop.detector.weights.own import Own
from tad_blockdrop.detector.weights.reading import flaw_of, read_weights
from tad_blockdrop.detector.weights.report import SHOWN, Entry, Report, Status
from tad_blockdrop.detector.weights.sizes import (
    backbone_of,
    check_backbone,
    completed,
    detector_of,
    require_layers,
)
from tad_blockdrop.detector.weights.transformers import MODEL_TYPE, SIZES, Transformers
from tad_blockdrop.detector.weights.unseen import assumed, known_of_others
from tad_blockdrop.errors import some

LAYOUTS: tuple[type[Layout], ...] = (Own, OpenTad, Mmaction, McgNju, Transformers)


@dataclass(frozen=True, eq=False)
class ImportedBackbone:
    """A backbone from a file; ``weights`` are named as in ``Detector.backbone.state_dict()``."""

    config: VideoMAEConfig
    kept_blocks: tuple[int, ...]
    weights: dict[str, Tensor]
    report: Report


@dataclass(frozen=True, eq=False)
class ImportedDetector:
    """A detector from a file; ``weights`` are named as in ``Detector.state_dict()``."""

    config: DetectorConfig
    kept_blocks: tuple[int, ...]
    classes: tuple[str, ...]
    weights: dict[str, Tensor]
    report: Report


def recognise(names: Collection[str]) -> tuple[Layout, Network]:
    """The layout of a file that names its tensors so, and which of them are the model.

    Raises:
        FormatError: it is none of those this program knows, or there are several models.
    """
    for kind in LAYOUTS:
        network = find_network(names, f"{kind.patch}.weight", kind.prefixes)
        layout = kind.recognise(network.names) if network else None
        if network is not None and layout is not None:
            return layout, network
    raise FormatError(
        "its tensors are named like no layout known here; they begin with "
        f"{some(sorted(names), SHOWN)}. Known are: {'; '.join(kind.title for kind in LAYOUTS)}"
    )


def to_backbone(
    weights: Mapping[str, Tensor],
    expected: BackboneConfig | None = None,
    source: str = "the file",
    stated: Mapping[str, Any] = NOTHING,
) -> ImportedBackbone:
    """The backbone in ``weights`` (of any layout, as ``read_weights`` gives them).

    What shapes do not tell is as the file has ``stated`` it (see ``model_config``), as it is known
    of others' weights (see ``unseen``), or as ``expected``. A projection, neck and head are left
    out. ``source`` names the file in messages.

    Raises:
        FormatError: unknown layout, incomplete, or not an encoder this program has.
    """
    with naming(source):
        layout, network = recognise(weights)
        found, wanted = network.of(weights), completed(expected, stated)
        config = backbone_of(layout, found, wanted)
    if "depth" in stated:
        require_layers(layout, wanted.depth, source)
    known = known_of_others(layout, found, config.width, stated)
    config = config.model_copy(update=known)
    kept = layout.block_indices() if layout.droppable else tuple(range(config.depth))
    ours, report = _collect(layout, found, _backbone_shapes(config, kept), kept, network)
    _require(report, layout, source, layout.prefix)
    return ImportedBackbone(
        config,
        kept,
        {name.removeprefix("backbone."): tensor for name, tensor in ours.items()},
        report.noting(assumed(layout, found, config, {*stated, *known})),
    )


def to_detector(
    weights: Mapping[str, Tensor],
    classes: Sequence[str] | None = None,
    expected: DetectorConfig | None = None,
    source: str = "the file",
) -> ImportedDetector:
    """The detector in ``weights`` of the OpenTAD layout; LoRA is merged.

    ``classes``: their names, in the order of training; none: ``class_00``, ... ``expected`` tells
    what shapes do not: heads, attention window, positions of the pyramid, ranges, losses, and how
    many blocks there once were, from which the dropped ones follow.

    Raises:
        FormatError: no detector, incomplete, of another architecture, or of other classes.
    """
    with naming(source):
        layout, network = recognise(weights)
    if not isinstance(layout, OpenTad) or not layout.has_detector:
        raise FormatError(
            f"{source} holds a backbone only ({layout.title}): use it as "
            "baseline.backbone_weights and train the detector"
        )
    found = network.of(weights)
    with naming(source):
        config = detector_of(layout, found, expected or DetectorConfig())
    names = _class_names(classes, len(found["rpn_head.cls_head.weight"]), source)
    kept = layout.block_indices()
    backbone = config.backbone
    assert isinstance(backbone, VideoMAEConfig)  # what all layouts hold
    shapes = _backbone_shapes(backbone, kept) | _detector_shapes(config, len(names))
    ours, report = _collect(layout, found, shapes, kept, network)
    _require(report, layout, source)
    report = report.noting(assumed(layout, found, backbone, ()))
    return ImportedDetector(config, kept, names, ours, report)


def load_backbone(backbone: VideoMAE, path: str | Path) -> Report:
    """Put the backbone of a weights file into ``backbone``.

    The file may be of any layout, also a detector (its backbone is taken) or a checkpoint folder.
    Blocks of it that ``backbone`` has dropped are left out.

    Raises:
        FormatError: unreadable, unknown, incomplete, or of another size than ``backbone``.
    """
    weights, config = read_weights(path), backbone.config
    stated = refuse_other_model(path, config, MODEL_TYPE, SIZES)
    with naming(path):
        layout, network = recognise(weights)
        found = network.of(weights)
        size = backbone_of(layout, found, config)
    if "depth" in stated:
        require_layers(layout, config.depth, str(path))
    remark = check_backbone(layout, found, size, config, str(path), stated)
    kept = [int(name) for name in backbone.blocks]
    ours, report = _collect(layout, found, _shapes(backbone, "backbone."), kept, network)
    _require(report, layout, str(path), layout.prefix)
    backbone.load_state_dict(
        {name.removeprefix("backbone."): tensor for name, tensor in ours.items()}
    )
    return report.noting(remark)


def _class_names(given: Sequence[str] | None, n: int, source: str) -> tuple[str, ...]:
    names = [f"class_{i:02d}" for i in range(n)] if given is None else given
    if len(names) != n:
        raise FormatError(
            f"{source} detects {n} classes, but {len(names)} names are given "
            f"({some(names, SHOWN)}): list the names in the order it was trained with"
        )
    return tuple(names)


def _backbone_shapes(config: VideoMAEConfig, kept: Iterable[int]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        backbone = VideoMAE(config, config.pretrain_size, tuple(kept))
    return _shapes(backbone, "backbone.")


def _detector_shapes(config: DetectorConfig, n_classes: int) -> dict[str, tuple[int, ...]]:
    grid = 2 ** (config.pyramid.levels - 1)  # no weight depends on it
    with torch.device("meta"):
        pyramid = make_neck(config.backbone.geometry.feature_width, config.pyramid, grid)
        head = make_head(config.pyramid.width, config.head, n_classes, grid)
    return _shapes(pyramid, "pyramid.") | _shapes(head, "head.")


def _shapes(module: nn.Module, prefix: str) -> dict[str, tuple[int, ...]]:
    return {prefix + name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _collect(
    layout: Layout,
    weights: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    kept: Collection[int],
    network: Network,
) -> tuple[dict[str, Tensor], Report]:
    """Tensors of these names and shapes (those that fit) and what became of all in the file."""
    backbone_alone = all(name.startswith("backbone.") for name in shapes)
    of_no_use = layout.detector_parts if backbone_alone else ()
    ours: dict[str, Tensor] = {}
    entries: list[Entry] = []
    used: set[str] = set()
    for name, shape in shapes.items():
        entry, tensor = _take(layout, weights, name, shape)
        entries.append(entry)
        used.update(layout.rule(name).theirs)
        if tensor is not None:
            ours[name] = tensor
    for name, tensor in weights.items():
        if name not in used:
            block = layout.block_of(name)
            useless = layout.is_unused(name) or (block is not None and block not in kept)
            useless |= name.startswith(of_no_use)
            status = Status.UNUSED if useless else Status.UNEXPECTED
            entries.append(Entry(status, theirs=name, shape=tuple(tensor.shape)))
    others = sorted(network.others)  # the report is the same each time
    entries += [Entry(Status.UNUSED, theirs=name, detail=network.remark) for name in others]
    return ours, Report(layout.title, tuple(entries), network.remark)


def _take(
    layout: Layout, weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...]
) -> tuple[Entry, Tensor | None]:
    """One tensor of ours in single precision, or None if the file cannot give it."""
    rule = layout.rule(name)
    theirs = " + ".join(rule.theirs)
    absent = [part for part in rule.theirs if part not in weights]
    if absent or not rule.theirs:
        return Entry(Status.MISSING, name, " + ".join(absent), shape), None
    for part in rule.theirs:
        if flaw := flaw_of(weights[part]):
            return Entry(Status.UNFIT, name, part, shape, flaw), None
    parts = [weights[part].float() for part in rule.theirs]
    given = " + ".join(str(tuple(part.shape)) for part in parts)
    try:
        tensor = rule.join(parts)
    except (RuntimeError, ValueError) as error:
        return Entry(Status.UNFIT, name, theirs, shape, f"shapes {given}: {error}"), None
    if tuple(tensor.shape) != shape:
        detail = f"shape {given} where {shape} is needed"
        return Entry(Status.UNFIT, name, theirs, shape, detail), None
    same = len(parts) == 1 and tuple(parts[0].shape) == shape
    status, detail = (Status.MATCHED, "") if same else (Status.RESHAPED, f"from {given}")
    return Entry(status, name, theirs, shape, detail), tensor.contiguous().clone()


def _require(report: Report, layout: Layout, source: str, inside: str = "") -> None:
    """Refuse what is incomplete, or computes something else than this detector would.

    ``inside``: what the names of the network begin with; what surrounds it does not matter.
    """
    unknown = [entry.theirs for entry in report.of(Status.UNEXPECTED)]
    foreign = [name for name in unknown if name.startswith(inside)]
    if foreign:
        raise FormatError(
            f"{source} ({report.layout}) has tensors that have no place in this network: "
            f"{some(foreign, SHOWN)}. Without them it would compute something else "
            "than the file's own. Of VideoMAE, there are no layer scales, norms of q and k, class "
            "tokens or adapters here, and no LoRA but that of qkv and proj. If you know that they "
            "do not matter, save the file without them"
        )
    report.require_complete(source, layout.what_lacks)
