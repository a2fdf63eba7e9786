"""Which videos are kept aside to measure on: by video, by class, the same each time."""

from hypothesis import given
from hypothesis import strategies as st

from tad_blockdrop.begin.split import choose_test

shown_in_videos = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.sets(st.sampled_from("WXYZ"), max_size=3),
    min_size=2,
    max_size=40,
)


@given(shown_in_videos, st.integers(0, 3))
def test_a_fifth_and_never_all(shown: dict[str, set[str]], seed: int) -> None:
    test = choose_test(list(shown), shown, seed)
    assert 1 <= len(test) <= max(1, round(0.2 * len(shown)))
    assert test == sorted(set(test)) == choose_test(sorted(shown, reverse=True), shown, seed)


@given(shown_in_videos)
def test_no_class_loses_its_last_training_video_where_that_can_be(
    shown: dict[str, set[str]],
) -> None:
    test = choose_test(list(shown), shown)
    learned = set().union(*(classes for video, classes in shown.items() if video not in test))
    able = any(
        all(sum(name in other for other in shown.values()) > 1 for name in classes)
        for classes in shown.values()
    )
    assert learned == set().union(*shown.values()) or not able


def test_a_rare_class_is_measured_too() -> None:
    shown = {f"v{k:02d}": {"usual"} for k in range(45)} | {f"r{k}": {"rare"} for k in range(5)}
    test = choose_test(list(shown), shown)
    assert len(test) == 10
    assert sum(video.startswith("r") for video in test) == 1


def test_another_seed_is_another_split() -> None:
    shown = {f"v{k}": {"a"} for k in range(30)}
    assert choose_test(list(shown), shown, 0) != choose_test(list(shown), shown, 1)
