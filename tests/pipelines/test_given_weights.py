"""What a job is given is found to fit before any work."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import save_file
from training_small import DETECTOR, WINDOW

from tad_blockdrop.compression.dropping import UnitError
from tad_blockdrop.compression.lora import LoraError
from tad_blockdrop.config import (
    BaselineConfig,
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    LoraSettings,
    Parameters,
    PostprocessConfig,
    RuntimeConfig,
    TrainConfig,
    WindowConfig,
)
from tad_blockdrop.detector.backbones import make_backbone
from tad_blockdrop.detector.checkpoint import Checkpoint, CheckpointError, write_checkpoint
from tad_blockdrop.detector.model import Detector, weights_of
from tad_blockdrop.detector.weights.errors import FormatError
from tad_blockdrop.pipelines.baseline.nodes import BaselineError, find_given
from tad_blockdrop.pipelines.shared import join_tables

CONF = Path(__file__).parents[2] / "conf/base/parameters.yml"
DATA = DataConfig(every=1, window={"frames": 16, "grid": 8, "crop": 32, "short_side": 32})


def detector(**backbone: Any) -> DetectorConfig:
    kind = {"kind": "timm", "model": "test_vit", **backbone}
    return DetectorConfig.model_validate({"backbone": kind})


def check(settings: DetectorConfig, **baseline: Any) -> BaselineConfig:
    return find_given(
        BaselineConfig(**baseline), settings, DATA, CompressConfig(), RuntimeConfig(),
        EvaluationConfig(),
    )  # fmt: skip


def test_weights_that_fit_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    backbone = make_backbone(detector().backbone, 32, range(6))
    save_file({k: v.contiguous() for k, v in backbone.state_dict().items()}, path)
    assert check(detector(weights=str(path))) == BaselineConfig()
    assert check(detector(), backbone_weights=str(path)).backbone_weights == str(path)


@pytest.mark.parametrize("key", ["detector.backbone.weights", "baseline.backbone_weights"])
def test_a_wrong_path_is_named_with_its_key(key: str) -> None:
    given = {key.rsplit(".", maxsplit=1)[-1]: "no.pth"}
    with pytest.raises(BaselineError, match=f"{key}: there is nothing at no.pth"):
        check(detector(**given)) if "detector" in key else check(detector(), **given)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"patch_embed.proj.weight": torch.zeros(8, 3, 16, 16)}, path)
    with pytest.raises(FormatError, match="does not fit timm's test_vit"):
        check(detector(weights=str(path)))


def test_a_lora_target_that_the_backbone_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tad_blockdrop.detector.backbones.timm_vit import TimmViT

    monkeypatch.setattr(TimmViT, "lora_layers", {"attn.qkv": ("attn.qkv",)})
    train = TrainConfig(lora=LoraSettings(targets=("attn.qkv", "mlp.fc1")))
    with pytest.raises(LoraError, match=r"kind 'timm' has no mlp\.fc1; choose from attn\.qkv"):
        check(detector(), train=train)


def test_sub_layers_that_cannot_be_dropped_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tad_blockdrop.detector.backbones.timm_vit import TimmViT

    def check_units(**compress: Any) -> BaselineConfig:
        given = BaselineConfig(), detector(), DATA, CompressConfig(**compress)
        return find_given(*given, RuntimeConfig(), EvaluationConfig())

    check_units(unit="sublayer", n_drops=11)
    with pytest.raises(UnitError, match="one of the 6 units"):
        check_units(unit="mlp", n_drops=6)
    gap = {"criterion": "gap_error", "repair": "all"}
    check_units(candidates="0 3 5", n_drops=2, **gap)
    with pytest.raises(UnitError, match="never drops the first unit, 0: name one more"):
        check_units(candidates="0 3 5", n_drops=3, **gap)
    monkeypatch.setattr(TimmViT, "sub_layers", {})
    with pytest.raises(UnitError, match=r"kind 'timm' are dropped whole: set compress\.unit"):
        check_units(unit="sublayer")


def test_aids_of_another_kind_of_backbone_are_refused() -> None:
    with pytest.raises(BaselineError, match="kind is 'timm': set it to false"):
        check(detector(), aids={"dct_patch_init": True})


def test_a_checkpoint_of_other_windows_is_refused(tmp_path: Path) -> None:
    window = WINDOW.model_copy(update={"frames": 32, "per_video": 3, "overlap": 0.1})
    settings = CompressConfig(n_drops=1)
    torch.manual_seed(0)
    model = Detector(DETECTOR, 1, window)
    given = Checkpoint(
        weights_of(model), DETECTOR, model.kept_units, ("run",), window, None, 5.0,
        PostprocessConfig(), {}, {},
    )  # fmt: skip
    write_checkpoint(given, tmp_path / "given")
    baseline = BaselineConfig(source="checkpoint", checkpoint=str(tmp_path / "given"))

    def find(data: DataConfig) -> BaselineConfig:
        where = RuntimeConfig(device="cpu"), EvaluationConfig()
        return find_given(baseline, DETECTOR, data, settings, *where)

    same = WINDOW.model_copy(update={"frames": 32})
    assert find(DataConfig(fps=5.0, window=same)) == baseline
    other = r"set data\.every: null \(not 2\), data\.fps: 5\.0 \(not null\), data\.window\.frames"
    with pytest.raises(BaselineError, match=other):
        find(DataConfig(every=2, window=WINDOW))


def write_given(folder: Path, window: WindowConfig) -> BaselineConfig:
    """The settings that name a checkpoint of ``DETECTOR``, which has three blocks."""
    torch.manual_seed(0)
    model = Detector(DETECTOR, 1, WINDOW)
    given = Checkpoint(
        weights_of(model), DETECTOR, model.kept_units, ("run",), window, 1, None,
        PostprocessConfig(), {}, {},
    )  # fmt: skip
    write_checkpoint(given, folder)
    return BaselineConfig(source="checkpoint", checkpoint=str(folder))


def test_a_checkpoint_whose_windows_are_no_whole_clips_is_refused(tmp_path: Path) -> None:
    window = WINDOW.model_copy(update={"frames": 20, "grid": 4})
    baseline, settings = write_given(tmp_path / "given", window), CompressConfig(n_drops=1)
    data = DataConfig(every=1, window=window)
    with pytest.raises(CheckpointError, match=r"was it edited\? window\.frames \(20\) must be"):
        find_given(baseline, DETECTOR, data, settings, RuntimeConfig(), EvaluationConfig())


def test_rules_of_a_given_checkpoint_are_those_of_its_own_detector(tmp_path: Path) -> None:
    """It has three blocks; the detector of the parameters has one, and clips of 12 frames."""
    raw = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    baseline = write_given(tmp_path / "given", WINDOW)

    def parameters(n_drops: int, candidates: str | None = None, **source: Any) -> Parameters:
        backbone = {**DETECTOR.backbone.model_dump(), "depth": 1, "clip_frames": 12}
        return Parameters.model_validate(
            {
                **raw,
                "experiment": "x",
                "runtime": {"device": "cpu"},
                "data": {"every": 1, "window": WINDOW.model_dump()},
                "detector": {**DETECTOR.model_dump(), "backbone": backbone},
                "baseline": source,
                "compress": {"n_drops": n_drops, "candidates": candidates},
            }
        )

    def find(found: Parameters) -> None:
        where = found.runtime, found.evaluation
        find_given(found.baseline, found.detector, found.data, found.compress, *where)

    own = baseline.model_dump()
    find(parameters(2, "1 2", **own))
    with pytest.raises(UnitError, match="must leave at least one of the 3 units"):
        find(parameters(3, **own))
    with pytest.raises(UnitError, match="names 7, but the model has 0, 1, 2 to drop"):
        find(parameters(2, "1 7", **own))
    with pytest.raises(ValidationError, match=r"blocks of detector\.backbone|must leave at least"):
        parameters(2, "1 2")


def test_tables_of_skipped_steps_only_join_to_an_empty_one() -> None:
    empty = pd.DataFrame({"step": [], "block": []})
    assert join_tables(empty, empty).empty
    assert list(join_tables(empty).columns) == ["step", "block"]
