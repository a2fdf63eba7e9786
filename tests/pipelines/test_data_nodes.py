"""The data nodes as functions, from files on disk to the tables; Kedro is not involved."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dataset_files import damage, database, video, write_video
from kedro.io import DatasetError

from tad_blockdrop.config import (
    CompressConfig,
    DataConfig,
    DetectorConfig,
    EvaluationConfig,
    RuntimeConfig,
)
from tad_blockdrop.datasets.dataset_tables import DatasetTables
from tad_blockdrop.datasets.videos import VideoFolder, VideoFolderDataset, VideoFolderError
from tad_blockdrop.pipelines.data import nodes
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.annotations import AnnotationError
from tad_blockdrop.video.dataset import Dataset
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import probe
from tad_blockdrop.video.problems import UnusableDatasetError
from tad_blockdrop.video.windows import cutting

RUNTIME = RuntimeConfig(workers=1, decode_timeout=30)


def config(**changes: Any) -> DataConfig:
    values = {"source": "files", "name": "mine", "every": 2, "fps": None}
    return DataConfig.model_validate(values | changes)


ANNOTATIONS = database(
    a=video("training", ("run", 0.2, 1.0), duration=2.0),
    b=video("training", ("jump", 0.0, 0.5)),
    c=video("validation", ("run", 1.0, 1.8)),
    unused=video("testing"),
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoFolder:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("a", "b", "c"):
        write_video(folder / f"{name}.mp4")
    return VideoFolder(folder)


def check(
    raw: Any, folder: VideoFolder, data: DataConfig, cache: Path
) -> tuple[Dataset, pd.DataFrame]:
    facts, unreadable = nodes.probe_videos(raw, folder, cache, data, RUNTIME)
    return nodes.check_dataset(raw, facts, unreadable, data, EvaluationConfig(), CompressConfig())


def accept(raw: Any, folder: VideoFolder, data: DataConfig, cache: Path) -> ActionDataset:
    """A dataset without any problem."""
    checked, problems = check(raw, folder, data, cache)
    assert problems.empty
    return nodes.refuse_fatal_problems(problems, checked, "x")


def test_a_sound_dataset(videos: VideoFolder, tmp_path: Path) -> None:
    checked, problems = check(ANNOTATIONS, videos, config(), tmp_path)
    assert problems.empty
    assert checked.videos["split"].tolist() == ["train", "train", "test"]
    assert checked.videos["n_samples"].tolist() == [10, 10, 10]
    assert checked.classes == ("jump", "run")
    assert checked.listed == {"train": 2, "test": 1}
    assert len(checked.instances) == 3
    accepted = nodes.refuse_fatal_problems(problems, checked, "x")
    assert accepted.videos is checked.videos
    assert accepted.instances is checked.instances
    assert accepted.classes == checked.classes


@pytest.mark.parametrize("store", ["h264", "jpeg"])
def test_proxies_are_planned_and_indexed(videos: VideoFolder, tmp_path: Path, store: str) -> None:
    data = config(proxy={"short_side": 16, "store": store})
    accepted = accept(ANNOTATIONS, videos, data, tmp_path)
    dataset = VideoFolderDataset(filepath=str(tmp_path / "proxies"))
    dataset.save(nodes.extract_frames(accepted, data, RUNTIME))
    indexed, problems = nodes.index_frames(accepted, dataset.load(), data)
    assert problems.empty
    assert indexed.instances is accepted.instances
    assert indexed.classes == accepted.classes
    table = indexed.videos
    assert [Path(p).parent.name for p in table["path"]] == ["proxies"] * 3
    for path, count in zip(table["path"], table["n_samples"], strict=True):
        assert read_frames(path, [0, count - 1]).shape == (2, 16, 22, 3)
    assert "source_frames" not in table
    times = {path: Path(path).stat().st_mtime_ns for path in table["path"]}
    Path(table["path"][0]).unlink()  # only what is gone is made again
    dataset.save(nodes.extract_frames(accepted, data, RUNTIME))
    again = {path: Path(path).stat().st_mtime_ns for path in table["path"]}
    assert [times[path] == again[path] for path in table["path"]] == [False, True, True]


def test_proxies_of_resized_videos_hold_what_windows_show(
    videos: VideoFolder, tmp_path: Path
) -> None:
    window = {"kind": "resize", "frames": 16, "grid": 16, "crop": 16, "short_side": 16}
    data = config(proxy={"short_side": 16}, every=1, window=window)
    accepted = accept(ANNOTATIONS, videos, data, tmp_path)
    dataset = VideoFolderDataset(filepath=str(tmp_path / "proxies"))
    dataset.save(nodes.extract_frames(accepted, data, RUNTIME))
    indexed, _ = nodes.index_frames(accepted, dataset.load(), data)
    assert indexed.videos["n_samples"].tolist() == [20, 20, 20]
    for record in indexed.records("train"):
        (cut,) = cutting.test_windows(record, data.window, 0.0)
        assert cut.samples[-1] == 19
        assert record.frames_of(cut.samples).tolist() == list(range(16))
        assert probe(record.path).n_frames == 16


def test_without_proxies_the_sources_are_read(videos: VideoFolder, tmp_path: Path) -> None:
    data = config(proxy=None)
    accepted = accept(ANNOTATIONS, videos, data, tmp_path)
    assert nodes.extract_frames(accepted, data, RUNTIME).tasks == {}
    indexed, _ = nodes.index_frames(accepted, VideoFolder(tmp_path), data)
    table = indexed.videos
    assert table["path"].tolist() == accepted.videos["path"].tolist()
    assert [list(frames) for frames in table["source_frames"]] == [list(range(0, 20, 2))] * 3
    entry = DatasetTables(filepath=str(tmp_path / "dataset"))
    assert not entry.exists()
    entry.save(indexed)
    assert entry.exists()
    again = entry.load()
    frames = [list(found) for found in again.videos["source_frames"]]
    assert frames == [list(range(0, 20, 2))] * 3
    pd.testing.assert_frame_equal(
        again.videos.drop(columns="source_frames"), table.drop(columns="source_frames")
    )
    pd.testing.assert_frame_equal(again.instances, indexed.instances)
    assert again.classes == indexed.classes


def test_missing_videos_refuse_the_run_or_are_skipped(videos: VideoFolder, tmp_path: Path) -> None:
    raw = database(**ANNOTATIONS["database"], gone=video("training", ("run", 0, 1)))
    checked, problems = check(raw, videos, config(), tmp_path)
    with pytest.raises(UnusableDatasetError) as error:
        nodes.refuse_fatal_problems(problems, checked, "my_try")
    assert "data/03_primary/my_try/problems.csv" in str(error.value)
    assert "gone video id: there is no video of this name in" in str(error.value)
    checked, problems = check(raw, videos, config(on_missing="skip"), tmp_path)
    nodes.refuse_fatal_problems(problems, checked, "x")
    assert (len(checked.videos), checked.listed) == (3, {"train": 3, "test": 1})


def test_a_video_damaged_in_the_middle_is_told_or_skipped(tmp_path: Path) -> None:
    """Probing looks at both ends; what lies between shows when frames are extracted."""
    names = {"a": "training", "b": "training", "c": "validation"}
    for name in names:
        write_video(tmp_path / "videos" / f"{name}.mp4", seconds=60)
    damage(tmp_path / "videos" / "b.mp4", 300)
    raw = database(**{name: video(subset, ("run", 1, 2)) for name, subset in names.items()})
    proxies = VideoFolderDataset(filepath=str(tmp_path / "proxies"))

    strict = config()
    accepted = accept(raw, VideoFolder(tmp_path / "videos"), strict, tmp_path)
    with pytest.raises(DatasetError) as error:
        proxies.save(nodes.extract_frames(accepted, strict, RUNTIME))
    assert isinstance(error.value.__cause__, VideoFolderError)
    lines = str(error.value.__cause__).splitlines()
    assert lines[0] == "1 video(s) cannot be used:"
    assert lines[1].startswith("  b: ")
    assert "b.mp4: it is damaged" in lines[1]
    assert "data.on_missing: skip" in lines[2]
    assert not proxies.exists()
    # the sound ones are made, and nothing half-made is left
    made = {path.name for path in (tmp_path / "proxies").iterdir()}
    assert made == {"a.mp4", "a.made.json", "c.mp4", "c.made.json", ".lock", ".running"}

    proxies.save(nodes.extract_frames(accepted, config(on_missing="skip"), RUNTIME))
    indexed, problems = nodes.index_frames(accepted, proxies.load(), strict)
    assert indexed.videos["video_id"].tolist() == ["a", "c"]
    assert problems[["video_id", "kind"]].to_numpy().tolist() == [["b", "unreadable frames"]]
    assert indexed.coverage(["a"]) == "1 of 2 videos"

    everything = VideoFolder(tmp_path, dict.fromkeys(names, "it is damaged"))
    with pytest.raises(UnusableDatasetError, match=r"no video is left to train on: .*\n  a: it is"):
        nodes.index_frames(accepted, everything, strict)


def test_a_csv_file_of_own_videos(videos: VideoFolder, tmp_path: Path) -> None:
    raw = pd.DataFrame(
        [("a", "0.2", "1.0", "run"), ("b", "0", "0.5", "run"), ("c.mp4", "1", "1.8", "run")],
        columns=["video", "start", "end", "label"],
    )
    checked, problems = check(raw, videos, config(every=None, fps=5), tmp_path)
    assert sorted(checked.videos["split"]) == ["test", "train", "train"]
    assert problems["kind"].tolist() == ["no subsets"]
    assert checked.videos["n_samples"].tolist() == [10, 10, 10]


def test_class_lists(videos: VideoFolder, tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    data = config(classes_file=str(path))
    with pytest.raises(AnnotationError, match=r"data.classes_file: .* cannot be read as text"):
        check(ANNOTATIONS, videos, data, tmp_path)
    path.write_text("jump\nrun\n")
    assert check(ANNOTATIONS, videos, data, tmp_path)[0].classes == ("jump", "run")
    path.write_text("")
    with pytest.raises(AnnotationError, match="the class list: it is empty"):
        check(ANNOTATIONS, videos, data, tmp_path)


def test_annotations_without_sense_stop_before_anything_is_probed(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="the format is not known"):
        nodes.probe_videos({}, VideoFolder(tmp_path), tmp_path, config(), RUNTIME)


def test_summary_warnings_are_logged(
    videos: VideoFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = config(window={"frames": 16, "grid": 16}, every=None, fps=20)
    checked, problems = check(ANNOTATIONS, videos, data, tmp_path)
    accepted = nodes.refuse_fatal_problems(problems, checked, "x")
    summary = nodes.summarise_dataset(accepted, checked, data, DetectorConfig())
    assert summary["used"] == {"train": 2, "holdout": 0, "test": 1}
    assert summary["warnings"] == []
    long = replace(accepted, instances=accepted.instances.assign(start=0.0, end=1.9))
    nodes.summarise_dataset(long, checked, data, DetectorConfig())
    assert "3 of 3 instances are longer than a window" in caplog.text


def test_the_benchmark_is_planned(tmp_path: Path) -> None:
    from tad_blockdrop.config import SyntheticConfig

    size = SyntheticConfig(classes=2, training_videos=2, validation_videos=1, mean_frames=32)
    tasks, raw = nodes.generate_benchmark(size)
    assert set(tasks.tasks) == set(raw["database"])
    assert all(isinstance(task.write, partial) for task in tasks.tasks.values())
