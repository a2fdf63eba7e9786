"""A frozen backbone: its features are computed once, and the rest learns from them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from dataset_files import write_video
from safetensors.torch import load_file
from training_small import DETECTOR, RUNTIME, WINDOW, same_bits, train_config, weights

from tad_blockdrop.baseline import training
from tad_blockdrop.baseline.training import train_baseline, with_frozen_features
from tad_blockdrop.config import BaselineConfig, DataConfig, EvaluationConfig
from tad_blockdrop.detections.evaluation import Evaluator
from tad_blockdrop.detector.model import Detector
from tad_blockdrop.runtime.runtime import Runtime
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.windows.features import FeatureTraining
from tad_blockdrop.video.windows.loading import TestWindows

LENGTHS = {"a": 40, "b": 16, "c": 25, "held": 40, "seen": 20}  # samples, all frames
SPLITS = {"held": "holdout", "seen": "test"}
BASELINE = BaselineConfig(train=train_config(tuning="frozen", warmup=0.5))


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """Three short videos to learn from, one to rate on, one to test on."""
    folder = tmp_path_factory.mktemp("videos")
    videos = pd.DataFrame(
        [
            {
                "video_id": name, "split": SPLITS.get(name, "train"), "n_samples": length,
                "path": str(write_video(folder / f"{name}.mp4", length / 10)),
                "rate": 10.0, "duration": length / 10, "listed": 3,
            }
            for name, length in LENGTHS.items()
        ]
    )  # fmt: skip
    instances = pd.DataFrame(
        [(name, "run", "run", 0.3, 0.9) for name in LENGTHS]
        + [(name, "jump", "jump", 1.0, 1.5) for name in LENGTHS],
        columns=["video_id", "label", "category", "start", "end"],
    )
    data = DataConfig(every=1, window=WINDOW.model_copy(update={"overlap": 0.5}), proxy=None)
    evaluation = EvaluationConfig(batch=3, tious=(0.3,))
    dataset = ActionDataset(videos, instances, ("run", "jump"))
    return Evaluator(dataset, data, evaluation, Runtime(RUNTIME))


def new_model(evaluator: Evaluator) -> Detector:
    """The same each time; its detections do not depend on the prior alone."""
    torch.manual_seed(0)
    model = Detector(DETECTOR, 2, evaluator.data.window)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@dataclass
class Count:
    """How many windows went through the backbone."""

    windows: int = 0


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    counted, forward = Count(), Detector.forward

    def watched(self, frames, *arguments, **named):
        counted.windows += len(frames)
        return forward(self, frames, *arguments, **named)

    monkeypatch.setattr(Detector, "forward", watched)
    return counted


def files(evaluator: Evaluator) -> dict[str, Path]:
    assert evaluator.features is not None
    return {path.stem: path for path in evaluator.features.glob("*.safetensors")}


@torch.no_grad()
def test_features_are_those_of_the_model(evaluator: Evaluator, tmp_path: Path) -> None:
    model = new_model(evaluator)
    frozen = with_frozen_features(model, evaluator, tmp_path)
    assert set(files(frozen)) == {"a", "b", "c", "held"}
    videos = [v for split in ("train", "holdout") for v in evaluator.dataset.records(split)]
    found = {name: load_file(path)["features"] for name, path in files(frozen).items()}
    for video in videos:
        windows = TestWindows([video], evaluator.data, 0.5)
        assert len(found[video.video_id]) == len(windows)
        for number in range(len(windows)):
            item = windows[number]
            expected = model(item.frames[None], item.mask[None]).features[0]
            torch.testing.assert_close(
                found[video.video_id][number], expected, rtol=1e-4, atol=1e-5
            )
    assert not torch.allclose(found["a"][0], found["a"][-1])


@torch.no_grad()
def test_batches_of_features_are_those_of_the_pixels(evaluator: Evaluator, tmp_path: Path) -> None:
    """The same windows, masks and targets, and to the model the same output."""
    model = new_model(evaluator)
    frozen = with_frozen_features(model, evaluator, tmp_path)
    videos = evaluator.dataset.records("train")
    for pixels, features in zip(evaluator.loader(videos), frozen.loader(videos), strict=True):
        assert features.names == pixels.names
        assert [w.start for w in features.windows] == [w.start for w in pixels.windows]
        assert torch.equal(features.mask, pixels.mask)
        for mine, theirs in (
            (features.segments, pixels.segments),
            (features.labels, pixels.labels),
        ):
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        found, expected = model.output_of(features), model.output_of(pixels)
        torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.offsets, expected.offsets, rtol=1e-4, atol=1e-5)


def test_actions_that_are_a_small_share_of_their_video_are_not_learned(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    """Of 0.5 and 0.6 s; their share of 2.5 s lies between 0.2 and 0.24, of 1.6 s above both."""
    window = evaluator.data.window.model_copy(update={"min_instance_share": 0.22})
    strict = replace(evaluator, data=evaluator.data.model_copy(update={"window": window}))
    frozen = with_frozen_features(new_model(strict), strict, tmp_path)
    videos = strict.dataset.records("train")
    assert frozen.features is not None
    training = FeatureTraining(videos, strict.data, frozen.features)
    learned: dict[str, set[int]] = {}
    for number in range(len(training)):
        cut = training[0, number].window
        learned.setdefault(cut.video_id, set()).update(cut.labels.tolist())
    assert learned == {"b": {0, 1}, "c": {0}}  # run is 0, jump 1; both are too short in a


def test_the_backbone_stays_bit_for_bit_and_the_rest_is_trained(
    evaluator: Evaluator, tmp_path: Path, count: Count
) -> None:
    model = new_model(evaluator)
    frozen = with_frozen_features(model, evaluator, tmp_path)
    extracted, before = count.windows, weights(model)
    history = train_baseline(model, BASELINE, frozen)
    assert count.windows == extracted > 0  # neither training nor rating ran the backbone
    after = weights(model)
    assert after.keys() == before.keys()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not any(name.startswith("backbone.") for name in moved)
    assert {name for name in after if name.startswith("head.")} <= moved
    assert any(name.startswith("pyramid.embedding.") for name in moved)
    assert len(history) == BASELINE.train.stop
    assert history["total"].iloc[-1] < history["total"].iloc[0]
    assert history["metric"].notna().all()


def test_held_out_rating_is_that_from_pixels(evaluator: Evaluator, tmp_path: Path) -> None:
    model = new_model(evaluator)
    frozen = with_frozen_features(model, evaluator, tmp_path)
    held = evaluator.dataset.records("holdout")
    tables = [e.evaluate(model, held, "rating")[0] for e in (evaluator, frozen)]
    assert len(tables[0]) > 5
    pd.testing.assert_frame_equal(*tables, rtol=1e-3, atol=1e-4)
    rates = [e.held_out_map() for e in (evaluator, frozen)]
    found = [rate(model) for rate in rates if rate is not None]
    assert len(found) == 2
    assert found[1] == pytest.approx(found[0], abs=1e-6)


def test_an_interrupted_extraction_goes_on_and_mends_what_is_damaged(
    evaluator: Evaluator, tmp_path: Path, count: Count
) -> None:
    model = new_model(evaluator)
    whole = files(with_frozen_features(model, evaluator, tmp_path))
    content = {name: path.read_bytes() for name, path in whole.items()}
    stamps = {name: path.stat().st_mtime_ns for name, path in whole.items()}
    whole["c"].unlink()
    whole["b"].write_bytes(content["b"][:-1] + b"!")
    count.windows = 0
    again = files(with_frozen_features(model, evaluator, tmp_path))
    assert count.windows == 2 * evaluator.evaluation.batch  # the batches that hold theirs
    assert {name: path.read_bytes() for name, path in again.items()} == content
    assert all(again[n].stat().st_mtime_ns == stamps[n] for n in again.keys() - {"b", "c"})


def test_a_cut_extraction_leaves_whole_files_only(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, forward = new_model(evaluator), Detector.forward
    expected = files(with_frozen_features(model, evaluator, tmp_path / "whole"))
    calls = 0

    def cut(self, *arguments):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return forward(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Detector, "forward", cut)
        with pytest.raises(KeyboardInterrupt):
            with_frozen_features(model, evaluator, tmp_path / "cut")
    left = list((tmp_path / "cut").rglob("*.safetensors"))
    assert 0 < len(left) < len(expected)
    assert all(path.read_bytes() == expected[path.stem].read_bytes() for path in left)
    found = files(with_frozen_features(model, evaluator, tmp_path / "cut"))
    assert found.keys() == expected.keys()
    assert all(path.read_bytes() == expected[name].read_bytes() for name, path in found.items())


def test_other_weights_and_windows_have_other_features(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    model = new_model(evaluator)
    first = with_frozen_features(model, evaluator, tmp_path).features
    with torch.no_grad():
        model.head.scales.add_(1)  # no part of the backbone
    assert with_frozen_features(model, evaluator, tmp_path).features == first
    wider = evaluator.data.window.model_copy(update={"overlap": 0.25})
    other = replace(evaluator, data=evaluator.data.model_copy(update={"window": wider}))
    folders = {first, with_frozen_features(model, other, tmp_path).features}
    with torch.no_grad():
        model.backbone.blocks["2"].mlp.fc1.bias.add_(1)
    folders.add(with_frozen_features(model, evaluator, tmp_path).features)
    removing = DETECTOR.backbone.model_copy(update={"remove_clip_mean": True})
    other_model = Detector(DETECTOR.model_copy(update={"backbone": removing}), 2, model.window)
    other_model.load_state_dict(model.state_dict())
    folders.add(with_frozen_features(other_model, evaluator, tmp_path).features)
    assert len(folders) == 4


def test_an_interrupted_training_ends_with_the_same_bits(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_model(evaluator)
    frozen = with_frozen_features(whole, evaluator, tmp_path)
    expected = train_baseline(whole, BASELINE, frozen)
    forward, calls = training.BaselineLoss.forward, 0

    def cut(self, batch, epoch):
        nonlocal calls
        calls += 1
        if epoch >= 2:
            raise KeyboardInterrupt
        return forward(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(training.BaselineLoss, "forward", cut)
        with pytest.raises(KeyboardInterrupt):
            train_baseline(new_model(evaluator), BASELINE, frozen, tmp_path / "state")
    model = new_model(evaluator)
    found = train_baseline(model, BASELINE, frozen, tmp_path / "state")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert same_bits(weights(model), weights(whole))


def test_without_an_action_there_is_nothing_to_learn(evaluator: Evaluator, tmp_path: Path) -> None:
    empty = replace(evaluator.dataset, instances=evaluator.dataset.instances.iloc[:0])
    model = new_model(evaluator)
    frozen = with_frozen_features(model, replace(evaluator, dataset=empty), tmp_path)
    with pytest.raises(ValueError, match="none of the windows of 3 training videos holds"):
        train_baseline(model, BASELINE, frozen)
