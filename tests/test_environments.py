"""The environments of real data say what the paper says: every number, written here once more.

The sources are the paper's tables and the text of docs/method.md, not the YAML files.
"""

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader

from tad_blockdrop.config import Parameters
from tad_blockdrop.context import validate_parameters
from tad_blockdrop.pipeline_registry import PipelineShape
from tad_blockdrop.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.filterwarnings(r"ignore:\s*register_new_resolver")

CONF = Path(__file__).parents[1] / "conf"
PAPER = ("thumos14_s", "thumos14_l", "activitynet_s")
ALL = ("base", "smoke", "quick", "published", "benchmark", *PAPER, "my_dataset_template")


def loader(environment: str, conf: Path = CONF) -> OmegaConfigLoader:
    return OmegaConfigLoader(conf_source=str(conf), env=environment, **CONFIG_LOADER_ARGS)


@cache
def parameters(environment: str, conf: Path = CONF) -> Parameters:
    return validate_parameters(loader(environment, conf)["parameters"])


def value(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = getattr(tree, part)
    return tree


# Columns: thumos14_s, thumos14_l, activitynet_s.
TABLE = {
    # the table of docs/method.md §4
    "baseline.train.lr_backbone": (5e-5, 5e-5, 5e-5),
    "baseline.train.lr_detector": (1e-4, 1e-4, 1e-3),
    "baseline.train.epochs": (100, 100, 15),
    "baseline.train.stop": (60, 60, 15),
    "compress.first.lr_backbone": (1e-4, 1e-4, 1e-4),
    "compress.first.lr_detector": (1e-4, 1e-4, 1e-3),
    "compress.first.epochs": (65, 80, 10),
    "compress.first.stop": (60, 60, 8),
    "compress.later.lr_backbone": (1e-4, 1e-4, 1e-4),
    "compress.later.lr_detector": (1e-4, 1e-4, 1e-3),
    "compress.later.epochs": (65, 80, 15),
    "compress.later.stop": (60, 60, 15),
    "baseline.train.batch": (2, 2, 16),
    "compress.first.batch": (2, 2, 16),
    "compress.later.batch": (2, 2, 16),
    "compress.teacher": ("static", "static", "dynamic"),
    # §2.1: the backbone
    "detector.backbone.width": (384, 1024, 384),
    "detector.backbone.depth": (12, 24, 12),
    "detector.backbone.heads": (6, 16, 6),
    # §2.2: projection and neck
    "detector.pyramid.width": (512, 512, 256),
    "detector.pyramid.positions": (False, False, True),
    # §2.3: head and losses
    "detector.head.loss_normaliser": (100, 100, 200),
    "detector.head.regression_weight": (1, 1, 2),
    "detector.head.label_smoothing": (0, 0, 0.1),
    # §2.4: from scores to detections
    "evaluation.postprocess.max_detections": (2000, 2000, 100),
    "evaluation.postprocess.voting_tiou": (None, None, 0.9),
    # §2.5: windows
    "data.every": (4, 4, 1),
    "data.window.kind": ("sliding", "sliding", "resize"),
    "data.window.frames": (768, 768, 768),
    "data.window.grid": (768, 768, 192),
    "data.window.min_instance_share": (0, 0, 0.01),
    # §4: N = depth // 4, and a distillation that means something with one class
    "compress.n_drops": (3, 6, 3),
    "compress.loss.kd_kind": ("kl", "kl", "bernoulli"),
    "data.class_agnostic": (False, False, True),
}
SAME = {
    "data.clock": "frames",
    "baseline.train.warmup": 5,
    "compress.first.warmup": 5,
    "compress.later.warmup": 5,
    "detector.backbone.mlp_ratio": 4,
    "detector.backbone.patch": 16,
    "detector.backbone.tubelet": 2,
    "detector.backbone.clip_frames": 16,
    "detector.backbone.pretrain_size": 224,
    "detector.backbone.drop_path": 0.1,
    "detector.pyramid.heads": 4,
    "detector.pyramid.embed_layers": 2,
    "detector.pyramid.embed_kernel": 3,
    "detector.pyramid.stem_blocks": 2,
    "detector.pyramid.levels": 6,
    "detector.pyramid.attention_window": -1,
    "detector.pyramid.drop_path": 0.1,
    "detector.head.tower_layers": 2,
    "detector.head.kernel": 3,
    "detector.head.prior": 0.01,
    "detector.head.ranges": ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 10000)),
    "detector.head.centre_radius": 1.5,
    "detector.head.focal_alpha": 0.25,
    "detector.head.focal_gamma": 2,
    "detector.head.loss_normaliser_momentum": 0.9,
    "evaluation.postprocess.min_score": 0.001,
    "evaluation.postprocess.pre_nms": 2000,
    "evaluation.postprocess.sigma": 0.7,
    "evaluation.postprocess.classifier_top": 2,
    "data.source": "files",
    "data.fps": None,
    "data.proxy.short_side": 182,
    "data.window.crop": 160,
    "data.window.short_side": 160,
    "data.window.overlap": 0.5,
    "data.window.min_inside": 0.75,
    "data.window.short_video_crop": (0.9, 1.0),
    "data.window.per_video": 1,
    "data.augment.flip": 0.5,
    "compress.criterion": "train_map",
    "compress.score_videos": None,
    "compress.look_ahead": 1,
    "compress.loss.temperature": 3.5,
    "compress.loss.dkd_alpha": 1,
    "compress.loss.dkd_beta": 6,
    "compress.loss.dkd_warmup": 5,
    "compress.select": "last",
    "data.holdout": 0,
    # nothing that only the generated benchmark needs
    "data.cache": False,
    "detector.backbone.remove_clip_mean": False,
    "baseline.aids.dct_patch_init": False,
    "baseline.aids.xavier_init": False,
    "baseline.aids.dense_loss": 0,
    "report.control": False,
}
TERMS = {
    "cls": 1, "reg": 1, "out": 1, "kd_cls": 1, "kd_reg": 1, "mid": 0, "mid_rel": 0, "out_rel": 0
}  # fmt: skip


@pytest.mark.parametrize(("place", "environment"), enumerate(PAPER))
def test_numbers_of_the_paper(place: int, environment: str) -> None:
    found = parameters(environment)
    expected = {key: row[place] for key, row in TABLE.items()} | SAME
    differing = {
        key: (value(found, key), number)
        for key, number in expected.items()
        if value(found, key) != number
    }
    assert not differing


@pytest.mark.parametrize("environment", PAPER)
@pytest.mark.parametrize("recipe", ["baseline.train", "compress.first", "compress.later"])
def test_recipes(environment: str, recipe: str) -> None:
    found = value(parameters(environment), recipe)
    assert found.weight_decay == 0.05
    assert found.clip_norm == 1.0
    assert found.ema == 0.999
    assert found.betas == (0.9, 0.999)
    assert found.accumulate == 1
    assert (found.tuning, found.lora.rank, found.lora.scaling) == ("lora", None, 1.0)
    assert found.lora.targets == ("attn.qkv", "attn.proj")


@pytest.mark.parametrize(("environment", "rank"), zip(PAPER, (96, 256, 96), strict=True))
def test_lora_rank_is_a_quarter_of_the_width(environment: str, rank: int) -> None:
    assert parameters(environment).detector.backbone.width // 4 == rank


@pytest.mark.parametrize("environment", PAPER)
def test_loss_terms(environment: str) -> None:
    loss = parameters(environment).compress.loss
    assert {name: getattr(loss, name) for name in TERMS} == TERMS


@pytest.mark.parametrize("environment", PAPER)
def test_thresholds(environment: str) -> None:
    evaluation = parameters(environment).evaluation
    if environment == "activitynet_s":
        expected = pytest.approx([0.5 + 0.05 * step for step in range(10)])
        assert list(evaluation.tious) == expected
        assert list(evaluation.score_tious) == expected
        assert evaluation.postprocess.classifier is not None
    else:
        assert evaluation.tious == (0.3, 0.4, 0.5, 0.6, 0.7)
        assert evaluation.score_tious == (0.5,)
        assert evaluation.postprocess.classifier is None


@pytest.mark.parametrize("environment", PAPER)
def test_sizes_where_drops_are_counted(environment: str) -> None:
    """12 -> 9 and 24 -> 18; the first half of the drops, rounded down, has its own recipe."""
    found = parameters(environment)
    depth, drops = found.detector.backbone.depth, found.compress.n_drops
    assert drops == depth // 4
    recipes = [found.compress.recipe(step) for step in range(1, drops + 1)]
    first = drops // 2
    assert recipes == [found.compress.first] * first + [found.compress.later] * (drops - first)
    assert not PipelineShape.of(found).synthetic


def test_class_lists_are_the_field_s() -> None:
    for environment in ("thumos14_s", "thumos14_l"):
        path = parameters(environment).data.classes_file
        assert path is not None
        names = (CONF.parent / path).read_text().split()
        assert len(names) == len(set(names)) == 20
        assert names == sorted(names)
        assert {"CliffDiving", "Diving", "VolleyballSpiking"} <= set(names)


@pytest.mark.parametrize("environment", ALL)
def test_experiment_and_environment_have_one_name(environment: str) -> None:
    names = {"base": "synthetic", "my_dataset_template": "my_dataset"}
    assert parameters(environment).experiment == names.get(environment, environment)


@pytest.mark.parametrize("environment", PAPER)
def test_where_the_data_is(environment: str) -> None:
    catalog = loader(environment)["catalog"]
    folder = "activitynet" if environment == "activitynet_s" else "thumos14"
    assert catalog["raw_videos"]["filepath"] == f"data/01_raw/{folder}/videos"
    assert catalog["raw_annotations"]["filepath"] == f"data/01_raw/{folder}/annotations.json"


def test_the_template_s_annotations_and_sampling_by_time() -> None:
    entry = loader("my_dataset_template")["catalog"]["raw_annotations"]
    assert entry["filepath"] == "data/01_raw/my_dataset/annotations.csv"
    data = parameters("my_dataset_template").data
    assert (data.source, data.every, data.fps) == ("files", None, 10)
    assert parameters("my_dataset_template").compress.n_drops == 3


def test_the_template_s_model_can_be_cut_off(tmp_path: Path) -> None:
    """What its comment promises: without the second half, base's small model is left."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    path = conf / "my_dataset_template" / "parameters.yml"
    head, mark, _ = path.read_text().partition("# --- model ---")
    assert mark
    path.write_text(head)
    found, base = parameters("my_dataset_template", conf), parameters("base")
    assert found.detector == base.detector
    assert found.baseline == base.baseline
    assert found.data.window == base.data.window
    assert found.data.fps == 10


def test_every_parameter_is_commented_where_it_is_defined() -> None:
    """Once: the keys of ``compress.first`` are those of ``baseline.train``."""
    text = (CONF / "base" / "parameters.yml").read_text(encoding="utf-8")
    before, rest = text.split("  first: &align")
    lines = (before + rest.split("  later:")[1]).splitlines()
    defined = [line for line in lines if re.match(r" *[a-z_]+: *\S", line)]
    assert len(defined) > 100
    assert [line for line in defined if "#" not in line] == []
