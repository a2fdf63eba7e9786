"""Which videos are held out, and which are measured on where the annotations do not say.

Chance has no part: the same videos and actions are split in the same way each time.
"""

import hashlib
from collections.abc import Callable, Iterable

import pandas as pd

from tad_blockdrop.config import DataConfig
from tad_blockdrop.video.files.listing import compared, without_ending
from tad_blockdrop.video.problems import ANNOTATIONS, Problem

TEST_SHARE = 0.2  # of the videos, where the annotations name no subsets


def held_out(videos: pd.DataFrame, instances: pd.DataFrame, share: float) -> list[str]:
    """The ids of a share of ``videos``: at least one of two or more, the same for the same ids.

    The share is taken evenly from the videos of each class (the one most frequent in a video).
    Where it would have all or none of those with actions, it is a share of these alone.
    """
    chosen = _evenly(videos, instances, share)
    active = videos[videos["video_id"].isin(instances["video_id"])]
    there = active["video_id"].isin(chosen)
    return chosen if there.any() and not there.all() else _evenly(active, instances, share)


def _evenly(videos: pd.DataFrame, instances: pd.DataFrame, share: float) -> list[str]:
    """A share of each class, videos without actions being another one."""
    count = min(max(round(share * len(videos)), 1), len(videos) - 1) if share else 0
    if count < 1:
        return []
    main = instances.groupby("video_id")["label"].agg(lambda labels: labels.mode().iloc[0])
    table = pd.DataFrame({"video_id": videos["video_id"].to_numpy()})
    table["main"] = table["video_id"].map(main).astype(object).fillna("")
    table["order"] = table["video_id"].map(_hash)
    table = table.sort_values("order")
    within = table.groupby("main")
    # Where a video stands in its class, 0 to 1: the lowest of all classes come first.
    table["place"] = (within.cumcount() + 0.5) / within["video_id"].transform("size")
    return sorted(table.sort_values(["place", "order"])["video_id"].head(count))


def own_split(video_ids: pd.Series, data: DataConfig) -> tuple[pd.Series, list[Problem]]:
    """``data.evaluation_videos`` to test on; where there are none, a part of all by their names."""
    if data.evaluation_videos:
        chosen, unknown = named(video_ids, data.evaluation_videos)
        split = chosen.map({True: "test", False: "train"})
        return split, [
            Problem(
                video, ANNOTATIONS, "data.evaluation_videos", "unknown video",
                "the annotations list no video of this name", "correct or remove it", fatal=True,
            )
            for video in unknown
        ]  # fmt: skip
    count = max(1, round(TEST_SHARE * len(video_ids))) if len(video_ids) > 1 else 0
    by_name = set(sorted(video_ids, key=_hash)[:count])
    split = video_ids.map(lambda video: "test" if video in by_name else "train")
    return split, [_own_split_problem(split)]


def _own_split_problem(split: pd.Series) -> Problem:
    return Problem(
        "", ANNOTATIONS, "subset", "no subsets",
        f"no subset is named: {(split == 'test').sum()} of {len(split)} videos were chosen for "
        "evaluation",
        "to choose them yourself, list them in data.evaluation_videos, or add a column 'subset' "
        "with training and validation",
    )  # fmt: skip


def named(video_ids: pd.Series, names: Iterable[str]) -> tuple[pd.Series, list[str]]:
    """Which of the ids are meant by ``names``, as True or False, and the names that mean none.

    A name means the id that is spelled like it. Where there is none, it means those that differ
    from it in the prefix ``v_``, or in an ending that only one of both has.
    """
    ways = [(of_name, _by(of_id, video_ids)) for of_name, of_id in _WAYS]
    meant: set[str] = set()
    unknown = []
    for name in dict.fromkeys(names):
        found = next((ids[key] for of_name, ids in ways if (key := of_name(name)) in ids), [])
        meant.update(found)
        if not found:
            unknown.append(name)
    return video_ids.isin(meant), unknown


def _by(way: Callable[[str], str], video_ids: Iterable[str]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for video in video_ids:
        ids.setdefault(way(video), []).append(video)
    return ids


def _plain(video_id: str) -> str:
    """Without the prefix ``v_`` of ActivityNet."""
    return compared(video_id).removeprefix("v_")


def _short(video_id: str) -> str:
    return without_ending(_plain(video_id))


# How a name and an id are written where they are compared, the closest first.
_WAYS = ((compared, compared), (_plain, _plain), (_plain, _short), (_short, _plain))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
