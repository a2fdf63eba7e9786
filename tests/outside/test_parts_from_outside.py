"""A backbone, neck, head, criterion and annotation format that the package does not know.

Each is one class here with one line that registers it; the whole job then runs with them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
import pytest
import torch
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from torch import Tensor, nn
from torch.nn import functional

from tad_blockdrop.compression.criteria import CRITERIA
from tad_blockdrop.compression.criteria.contract import Candidates, Criterion
from tad_blockdrop.compression.refitting import RepairError
from tad_blockdrop.compression.skipping import Skip
from tad_blockdrop.config import BackboneConfig, Geometry, HeadConfig, NeckConfig, SyntheticConfig
from tad_blockdrop.detector.backbones import BACKBONES
from tad_blockdrop.detector.backbones.contract import Backbone, block_drop_rate
from tad_blockdrop.detector.heads import HEADS
from tad_blockdrop.detector.heads.contract import Head
from tad_blockdrop.detector.model import BlockModel
from tad_blockdrop.detector.necks import NECKS
from tad_blockdrop.detector.necks.contract import Neck, level_norms
from tad_blockdrop.synthetic.benchmark import annotations, plan_benchmark, write_video
from tad_blockdrop.video.annotations import FORMATS, Annotations, Source
from tad_blockdrop.video.annotations.table import INSTANCES, STATED


class MixerConfig(BackboneConfig):
    kind: Literal["mixer"] = "mixer"
    channels: int = 16
    layers: int = 4

    @property
    def geometry(self) -> Geometry:
        return Geometry(
            width=self.channels, depth=self.layers, clip_frames=2, slices=1, patch=8,
            feature_width=self.channels,
        )  # fmt: skip


class Mixer(Backbone):
    """Patches of two frames, mixed over place and then over channels."""

    config: MixerConfig
    pixel_mean, pixel_std = (127.5,) * 3, (64.0,) * 3
    lora_layers: ClassVar = {"mlp.fc1": ("place",), "mlp.fc2": ("channel",)}
    embedding = ("patches.",)

    def __init__(self, config: MixerConfig, crop: int, kept_blocks: Sequence[int]) -> None:
        super().__init__(config, crop)
        width, tokens = config.channels, self.tokens_per_clip
        self.patches = nn.Linear(2 * 8 * 8 * 3, width)
        self.blocks = nn.ModuleDict()
        for index in kept_blocks:
            assert block_drop_rate(config, index) >= 0
            layers = {
                "norm": nn.LayerNorm(width),
                "place": nn.Linear(tokens, tokens),
                "channel": nn.Linear(width, width),
            }
            self.blocks[str(index)] = nn.ModuleDict(layers)

    def embed_clips(self, clips: Tensor) -> Tensor:
        n, side = len(clips), self.crop // 8
        x = (clips.float() - self.pixel_mean[0]) / self.pixel_std[0]
        x = x.reshape(n, 2, side, 8, side, 8, 3).permute(0, 2, 4, 1, 3, 5, 6)
        tokens: Tensor = self.patches(x.reshape(n, side * side, -1))
        return tokens

    def apply_block(self, block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        mixed = tokens + block["place"](block["norm"](tokens).mT).mT
        return mixed, mixed + functional.gelu(block["channel"](mixed))

    def pool_clips(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1, keepdim=True)


class MeanNeckConfig(NeckConfig):
    kind: Literal["mean"] = "mean"


class MeanNeck(Neck):
    """Each level is the mean of two steps of the one before."""

    def __init__(self, in_width: int, config: MeanNeckConfig, grid: int) -> None:
        super().__init__(in_width, config, grid)
        self.neck = level_norms(config)

    def project(self, features: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        maps, masks = [self.embed(features, mask)], [mask]
        while len(maps) < len(self.neck):
            maps.append(functional.avg_pool1d(maps[-1].mT, 2).mT)
            masks.append(masks[-1][:, ::2])
        return maps, masks


class LinearHeadConfig(HeadConfig):
    kind: Literal["linear"] = "linear"


class LinearHead(Head):
    """Classes and distances read straight off the maps."""

    def __init__(self, width: int, config: LinearHeadConfig, n_classes: int, grid: int) -> None:
        super().__init__(config, grid)
        self.classify = nn.Linear(width, n_classes)
        nn.init.constant_(self.classify.bias, -4.0)
        self.regress = nn.Linear(width, 2)

    def forward(self, maps: list[Tensor], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        steps = torch.cat([x.mT for x in maps], dim=1)
        return self.classify(steps), functional.softplus(self.regress(steps))


class WeightNorm(Criterion):
    name = "weight_norm"
    title = "norm of the block's weights"
    explanation = "how large the block's weights are; the smallest are dropped"
    larger_is_better = False
    looks_ahead = False

    def score(self, model: BlockModel, candidates: Candidates) -> Mapping[Skip, float]:
        return {
            Skip({index}): sum(float(p.square().sum()) for p in block.parameters())
            for index, block in zip(model.kept_blocks, model.backbone.blocks.values(), strict=True)
        }


class Lines:
    """``{"lines": ["training clip_1 0.5 2.0 rise", ...]}``: subset, video, start, end, label."""

    name, layout = "lines", '{"lines": ["subset video start end label", ...]}'

    def recognise(self, content: object) -> bool:
        return isinstance(content, Mapping) and "lines" in content

    def read(self, content: Any, source: Source) -> Annotations:
        rows = pd.DataFrame([line.split() for line in content["lines"]],
                            columns=["subset", "video_id", "start", "end", "label"])  # fmt: skip
        rows = rows.astype({"start": float, "end": float})
        stated = rows.drop_duplicates("video_id").assign(
            duration=float("nan"), fps=float("nan"), n_frames=float("nan")
        )
        return Annotations(stated[STATED], rows[INSTANCES], tuple(sorted(set(rows["label"]))))


BACKBONES[MixerConfig] = Mixer
NECKS[MeanNeckConfig] = MeanNeck
HEADS[LinearHeadConfig] = LinearHead
CRITERIA.append(WeightNorm())
FORMATS.append(Lines())

ALIGN = {"epochs": 1, "stop": 1, "warmup": 0.1, "lora": {"targets": ["mlp.fc1", "mlp.fc2"]}}
PARAMETERS = {
    "data": {"source": "files", "name": "toys", "holdout": 0.2},
    "runtime": {"threads": 1, "workers": 0},
    "detector": {
        "backbone": {"kind": "mixer"},
        "pyramid": {"kind": "mean", "width": 16},
        "head": {"kind": "linear"},
    },
    "baseline": {
        "train": {"epochs": 2, "stop": 2, "warmup": 0.1},
        "aids": {"dct_patch_init": False, "xavier_init": True},
    },
    "compress": {
        "n_drops": 1,
        "criterion": "weight_norm",
        "repair": "none",  # which the backbone from outside says nothing for
        "first": ALIGN,
        "later": ALIGN,
    },
    "evaluation": {"bootstrap": 20, "latency_repeats": 1},
    "report": {"control": False},
}


@pytest.fixture
def toys(project: Path) -> Path:
    """The project with an environment ``toys`` of really encoded videos."""
    conf, data = project / "conf" / "toys", project / "data" / "01_raw" / "toys"
    (data / "videos").mkdir(parents=True)
    size = SyntheticConfig(classes=2, training_videos=6, validation_videos=3, mean_frames=140)
    plans = plan_benchmark(size)
    for plan in plans:
        write_video(plan, data / "videos" / f"{plan.id}.mp4")
    lines = [
        f"{video['subset']} {name} {action['segment'][0]} {action['segment'][1]} {action['label']}"
        for name, video in annotations(plans)["database"].items()
        for action in video["annotations"]
    ]
    (data / "annotations.json").write_text(json.dumps({"lines": lines}))
    conf.mkdir()
    places = {"experiment": "toys", "videos": str(data / "videos"),
              "annotations": str(data / "annotations.json")}  # fmt: skip
    (conf / "globals.yml").write_text(yaml.safe_dump(places))
    (conf / "parameters.yml").write_text(yaml.safe_dump(PARAMETERS))
    return project


def run(project: Path, pipeline: str, **parameters: Any) -> dict[str, Any]:
    """Run a pipeline in this process, which knows the parts above."""
    bootstrap_project(project)
    with KedroSession.create(project, env="toys", runtime_params=parameters) as session:
        catalog = session.load_context().catalog
        session.run(pipeline_names=[pipeline])
    return catalog


def test_a_backbone_without_refittable_layers_is_not_repaired(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toys)
    with pytest.raises(RepairError, match="of kind 'mixer' cannot be refitted"):
        run(toys, "compress", compress={"repair": "all"})
    assert not list(toys.glob("data/02_intermediate/**/*.mp4")), "before any work"


def test_the_whole_job_runs_with_them(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toys)
    catalog = run(toys, "compress")
    scores = catalog.load("score_table")
    assert set(scores["criterion"]) == {"weight_norm"}
    assert len(scores) == 4
    final = catalog.load("final_checkpoint")
    dropped = scores.sort_values("rank")["block"].iloc[0]
    assert dropped not in final.kept_blocks
    assert len(final.kept_blocks) == 3
    assert not any(name.startswith(f"backbone.blocks.{dropped}.") for name in final.weights)
    results = catalog.load("result_table").set_index("model")
    assert results.loc["step_01", "gmacs"] < results.loc["uncompressed", "gmacs"]
    exported = run(toys, "export")
    assert exported.load("export_parity")["onnx_logits"] < 1e-4
    videos = toys / "data" / "01_raw" / "toys" / "videos"
    predicted = run(toys, "predict", predict={"videos": str(videos), "min_score": 0.0})
    table: pd.DataFrame = predicted.load("predictions")
    assert set(table["video_id"]) == {path.stem for path in videos.glob("*.mp4")}
