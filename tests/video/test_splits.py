"""Which videos are held out: some of every class, the same each time."""

import pandas as pd
import pytest

from tad_blockdrop.video.splits import held_out


def many(labels: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"{label}_{i}" for label, count in labels.items() for i in range(count)]
    instances = pd.DataFrame({"video_id": ids, "label": [i.split("_")[0] for i in ids]})
    return pd.DataFrame({"video_id": ids}), instances


@pytest.mark.parametrize(
    ("videos", "share", "count"),
    [(1, 0.5, 0), (2, 0.01, 1), (2, 0.89, 1), (20, 0.15, 3), (9, 0, 0)],
)
def test_held_out_counts(videos: int, share: float, count: int) -> None:
    assert len(held_out(*many({"x": videos}), share)) == count


def test_held_out_videos_come_from_every_class() -> None:
    chosen = held_out(*many({"x": 40, "y": 20, "z": 10}), 0.2)
    assert pd.Series([v[0] for v in chosen]).value_counts().to_dict() == {"x": 8, "y": 4, "z": 2}


def test_held_out_videos_do_not_depend_on_the_order() -> None:
    videos, instances = many({"x": 12, "y": 12})
    assert held_out(videos, instances, 0.25) == held_out(videos[::-1], instances[::-1], 0.25)


def test_videos_without_actions_can_be_held_out() -> None:
    videos, instances = many({"x": 6, "empty": 6})
    held = held_out(videos, instances[instances["label"] == "x"], 0.4)
    assert {name[0] for name in held} == {"x", "e"}
    assert held_out(videos, instances.iloc[:0], 0.4) == []


@pytest.mark.parametrize("active", [1, 2, 3, 6])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_held_out_videos_show_actions_and_leave_some(active: int, share: float) -> None:
    videos, instances = many({"x": active, "empty": 9 - active})
    shown = instances[instances["label"] == "x"]
    held = [name for name in held_out(videos, shown, share) if name.startswith("x")]
    assert 0 < len(held) < active if active > 1 else not held
