"""From the outputs of windows to a table in seconds, against a pipeline written out in loops."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tad_blockdrop.config import PostprocessConfig, WindowConfig
from tad_blockdrop.detections import pooling
from tad_blockdrop.detections.classifier import VideoClasses
from tad_blockdrop.detections.pooling import VideoPool, detect
from tad_blockdrop.detector.heads.contract import Points
from tad_blockdrop.detector.model import Detector, DetectorOutput
from tad_blockdrop.tasks.contract import OutputError
from tad_blockdrop.video.windows import cutting
from tad_blockdrop.video.windows.batches import Batch
from tad_blockdrop.video.windows.cutting import VideoRecord, Window, grid_mask

CONFIG = PostprocessConfig()
SLIDING = WindowConfig.model_validate({"frames": 32, "grid": 16})
RESIZED = WindowConfig.model_validate({"kind": "resize", "frames": 32, "grid": 16})


def record(video_id, n_samples=60, rate=4.0):
    return VideoRecord(
        video_id, "", n_samples, rate, n_samples / rate, np.empty((0, 2)), np.empty(0, np.int64)
    )


def window_at(video_id, start=0):
    return Window(
        video_id, start, np.arange(32), 32, np.empty((0, 2), np.float32), np.empty(0, np.int64)
    )


def output(*windows):
    """From (location, stride, offsets, scores per class) of the points of each window."""
    location, stride = (torch.tensor([float(p[i]) for p in windows[0]]) for i in (0, 1))
    scores = torch.tensor([[p[3] for p in points] for points in windows])
    return DetectorOutput(
        logits=scores.logit(),
        offsets=torch.tensor([[p[2] for p in points] for points in windows]),
        mask=torch.ones(scores.shape[:2], dtype=torch.bool),
        points=Points(location, stride, torch.zeros(()), torch.zeros(())),
        features=torch.empty(0),
    )


def rows(table):
    return [
        (r.video_id, r.label, round(r.start, 4), round(r.end, 4), round(r.score, 4))
        for r in table.itertuples()
    ]


def test_sliding_windows_are_shifted_to_their_place_in_the_video():
    pool = VideoPool([record("a")], ["run", "jump"], SLIDING, CONFIG)
    point = (6, 2, [1.0, 2.0], [0.9, 0.0])  # grid steps 4 to 10, so samples 8 to 20
    pool.add([window_at("a", 0), window_at("a", 24)], output([point], [point]))
    assert rows(pool.detections()) == [
        ("a", "run", 2.0, 5.0, 0.9),
        ("a", "run", 8.0, 11.0, 0.9),
    ]


def test_resized_videos_are_stretched_to_their_duration():
    pool = VideoPool([record("a", 60, 4.0)], ["run"], RESIZED, CONFIG)
    pool.add([window_at("a")], output([(8, 4, [1.0, 1.0], [0.5])]))
    assert rows(pool.detections()) == [("a", "run", 3.75, 11.25, 0.5)]  # a quarter to three


BEYOND = [(2, 1, [5.0, 1.0], [0.5]), (15, 1, [5.0, 3.0], [0.6]), (17, 1, [0.5, 3.0], [0.7])]
"""Steps −3 to 3, 10 to 18 and 16.5 to 20, of 16."""


def test_detections_end_with_the_video_and_what_is_outside_is_dropped():
    pool = VideoPool([record("a", 32, 4.0)], ["run"], SLIDING, CONFIG)
    pool.add([window_at("a")], output(BEYOND))
    assert rows(pool.detections()) == [("a", "run", 5.0, 8.0, 0.6), ("a", "run", 0.0, 1.5, 0.5)]


def test_resized_videos_end_their_detections_after_the_suppression():
    pool = VideoPool([record("a", 32, 4.0)], ["run"], RESIZED, CONFIG)
    pool.add([window_at("a")], output(BEYOND))
    decayed = round(0.6 * np.exp(-(0.15**2) / 0.7), 4)
    assert rows(pool.detections()) == [("a", "run", 5.0, 8.0, decayed), ("a", "run", 0.0, 1.5, 0.5)]


def test_padded_points_detect_nothing():
    one = output([(2, 1, [1.0, 1.0], [0.5]), (9, 1, [1.0, 1.0], [0.6])])
    one.mask[0, 1] = False
    pool = VideoPool([record("a")], ["run"], SLIDING, CONFIG)
    pool.add([window_at("a")], one)
    assert [row[-1] for row in rows(pool.detections())] == [0.5]


def test_a_classifier_names_what_one_class_finds():
    named = VideoClasses(("run", "jump", "swim"), np.array([[0.1, 0.5, 0.4], [0.7, 0.2, 0.1]]))
    pool = VideoPool([record("a"), record("b")], ["action"], RESIZED, CONFIG, named)
    point = (8, 4, [1.0, 1.0], [0.5])
    pool.add([window_at("a"), window_at("b")], output([point], [point]))
    assert [(row[0], row[1], row[4]) for row in rows(pool.detections())] == [
        ("a", "jump", 0.25),
        ("a", "swim", 0.2),
        ("b", "run", 0.35),
        ("b", "jump", 0.1),
    ]


def test_nothing_found_is_an_empty_table_with_its_types():
    table = VideoPool([record("a")], ["run"], SLIDING, CONFIG).detections()
    assert table.columns.tolist() == ["video_id", "start", "end", "label", "score"]
    assert len(table) == 0
    assert table.score.dtype == np.float64


@pytest.mark.parametrize(
    "bad", [{"named": VideoClasses(("run",), np.ones((1, 1)))}, {"config": {"voting_tiou": 0.9}}]
)
def test_what_is_for_one_class_is_refused_for_two(bad):
    config = CONFIG.model_copy(update=bad.get("config", {}))
    with pytest.raises(ValueError, match=r"evaluation\.postprocess"):
        VideoPool([record("a")], ["run", "jump"], SLIDING, config, bad.get("named"))


def test_numbers_that_are_not_finite_name_the_video():
    pool = VideoPool([record("a")], ["run"], SLIDING, CONFIG)
    with pytest.raises(OutputError, match="video 'a'"):
        pool.add([window_at("a")], output([(2, 1, [1.0, float("nan")], [0.5])]))


def test_windows_out_of_order_or_of_other_videos_are_refused():
    pool = VideoPool([record("a"), record("b")], ["run"], SLIDING, CONFIG)
    point = [(2, 1, [1.0, 1.0], [0.5])]
    pool.add([window_at("a"), window_at("b")], output(point, point))
    with pytest.raises(ValueError, match="'a' are not in a row"):
        pool.add([window_at("a", 16)], output(point))
    with pytest.raises(ValueError, match=r"'c'.*not among the records"):
        pool.add([window_at("c")], output(point))


@pytest.fixture
def videos(coarse_window):
    """Three videos in test windows with random frames, and a way to batch them."""
    records = [record("a", 32), record("b", 75, 5.0), record("c", 20)]
    windows = [w for r in records for w in cutting.test_windows(r, coarse_window, 0.5)]
    shape = (len(windows), 32, 16, 16, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    masks = torch.stack([torch.from_numpy(grid_mask(w.n_valid, coarse_window)) for w in windows])

    def batches(size):
        return [
            Batch(frames[i : i + size], masks[i : i + size], [], [], windows[i : i + size])
            for i in range(0, len(windows), size)
        ]

    return SimpleNamespace(records=records, windows=windows, batches=batches)


@pytest.fixture
def model(config, coarse_window):
    torch.manual_seed(0)
    model = Detector(config, 3, coarse_window)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.head.classify.bias.fill_(-2)
        model.head.regress.bias.fill_(0.7)
    return model.train()


def by_loops(model, videos, classes, config):
    """The same, one point after the other."""
    model.eval()
    table = []
    for rec in videos.records:
        found = {name: [] for name in classes}
        for batch in videos.batches(1):
            if batch.windows[0].video_id != rec.video_id:
                continue
            with torch.no_grad():
                out = model(batch.frames, batch.mask)
            for p in range(out.logits.shape[1]):
                if not out.mask[0, p]:
                    continue
                t, stride = float(out.points.location[p]), float(out.points.stride[p])
                before, after = (float(o) * stride for o in out.offsets[0, p])
                samples = [batch.windows[0].start + x * 2 for x in (t - before, t + after)]
                start, end = (min(max(s / rec.rate, 0), rec.duration) for s in samples)
                for k, name in enumerate(classes):
                    score = 1 / (1 + np.exp(-float(out.logits[0, p, k])))
                    if score > config.min_score and end > start:
                        found[name].append([score, start, end])
        kept = []
        for name, rest in found.items():
            while rest:
                rest.sort(key=lambda row: -row[0])
                score, start, end = rest.pop(0)
                kept.append((rec.video_id, start, end, name, score))
                for row in rest:
                    inter = max(0, min(end, row[2]) - max(start, row[1]))
                    overlap = inter / (end - start + row[2] - row[1] - inter)
                    row[0] *= np.exp(-(overlap**2) / config.sigma)
                rest[:] = [row for row in rest if row[0] >= config.min_score]
        kept.sort(key=lambda row: -row[-1])
        table += kept[: config.max_detections]
    return pd.DataFrame(table, columns=["video_id", "start", "end", "label", "score"])


@pytest.mark.parametrize("at_once", [1, 50_000])
@pytest.mark.parametrize("batch", [1, 4])
def test_detect_does_what_the_loops_do(model, videos, monkeypatch, at_once, batch):
    monkeypatch.setattr(pooling, "_PROPOSALS_AT_ONCE", at_once)
    config = CONFIG.model_copy(update={"max_detections": 60, "min_score": 0.01})
    classes = ["run", "jump", "swim"]
    table = detect(model, videos.batches(batch), videos.records, classes, config)
    assert model.training, "detect left the model in another mode"
    expected = by_loops(model, videos, classes, config)
    assert len(expected) > 100
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-3, atol=1e-4)
