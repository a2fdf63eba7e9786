"""Which videos are kept aside to measure on, where the annotations do not say."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from tad_blockdrop.video.splits import TEST_SHARE

SEED = 0


def choose_test(
    videos: Sequence[str], shown: Mapping[str, AbstractSet[str]], seed: int = SEED
) -> list[str]:
    """About a fifth of the videos, at least one of two or more, sorted by name.

    ``shown``: the classes of each video. The rarest classes choose first, so that each is measured
    where enough videos show it; none loses the last video to learn it from. Which of several
    videos it is depends on the seed and on their names only.
    """
    wanted = max(1, round(TEST_SHARE * len(videos))) if len(videos) > 1 else 0
    order = sorted(videos, key=lambda video: hashlib.sha256(f"{seed} {video}".encode()).digest())
    left = Counter(name for video in videos for name in shown.get(video, ()))
    rarest = sorted(left, key=lambda name: (left[name], name))
    goals = {name: round(TEST_SHARE * left[name]) for name in rarest}
    chosen: list[str] = []

    def choose(among: Sequence[str], goal: int) -> None:
        for video in among:
            if len(chosen) >= min(goal, wanted):
                return
            classes = shown.get(video, ())
            if video not in chosen and all(left[name] > 1 for name in classes):
                chosen.append(video)
                left.subtract(classes)

    for name in rarest:
        having = [video for video in order if name in shown.get(video, ())]
        there = sum(video in chosen for video in having)
        choose(having, len(chosen) + goals[name] - there)
    choose([video for video in order if shown.get(video)], min(1, wanted))
    choose(order, wanted)
    return sorted(chosen or order[:wanted])
