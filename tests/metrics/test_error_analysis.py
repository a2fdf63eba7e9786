"""Kinds of errors against their definition, one detection after the other."""

import numpy as np
import pandas as pd
import pytest
from evaluation_tables import detections, hits_by_definition, instances, random_tables, tiou
from hypothesis import given, settings
from hypothesis import strategies as st

from tad_blockdrop.metrics.average_precision import average_map, average_precision
from tad_blockdrop.metrics.error_analysis import ERRORS, Kind, analyse, mending

TABLES = {
    "seed": st.integers(0, 2**32 - 1),
    "n_truth": st.integers(1, 14),
    "n_found": st.integers(0, 45),
    "videos": st.integers(1, 4),
    "labels": st.integers(1, 3),
}


def made(seed, n_truth, n_found, videos, labels):
    found, truth, listed = random_tables(seed, n_truth, n_found, videos, labels)
    return found, truth.drop_duplicates(ignore_index=True), listed


def hits(found, truth, threshold):
    """By row: which detections are right."""
    result = dict.fromkeys(found.index, False)
    for label in set(truth.label):
        mine = found[found.label == label].sort_values("score", ascending=False, kind="stable")
        right = hits_by_definition(mine, truth[truth.label == label], threshold)
        result |= dict(zip(mine.index, right, strict=True))
    return result


def kind_by_definition(detection, is_right, truth, threshold):
    if is_right:
        return Kind.RIGHT
    near = truth[truth.video_id == detection.video_id]
    same = [tiou(detection, row) for _, row in near[near.label == detection.label].iterrows()]
    other = [tiou(detection, row) for _, row in near[near.label != detection.label].iterrows()]
    for overlaps, least, kind in (
        (same, threshold, Kind.DOUBLE),
        (other, threshold, Kind.LABEL),
        (same, 0.1, Kind.LOCALISATION),
        (other, 0.1, Kind.CONFUSION),
    ):
        if any(overlap >= least for overlap in overlaps):
            return kind
    return Kind.BACKGROUND


@settings(max_examples=40)
@given(**TABLES)
def test_kinds_are_what_their_definition_says(seed, n_truth, n_found, videos, labels):
    found, truth, listed = made(seed, n_truth, n_found, videos, labels)
    for threshold in (0.3, 0.5):
        analysis = analyse(found, truth, listed, threshold)
        right = hits(found, truth, threshold)
        expected = [
            kind_by_definition(detection, right[row], truth, threshold)
            for row, detection in found.iterrows()
        ]
        assert list(analysis.kind) == expected
        assert analysis.found.sum() == sum(right.values())
        about = analysis.instance >= 0
        assert list(about) == [kind != Kind.BACKGROUND for kind in expected]
        meant = analysis.truth.iloc[analysis.instance[about]]
        assert list(meant.video_id) == list(found.video_id[about])
        for (_, detection), (_, instance), kind in zip(
            found[about].iterrows(), meant.iterrows(), analysis.kind[about], strict=True
        ):
            assert (detection.label == instance.label) == (
                kind in (Kind.RIGHT, Kind.DOUBLE, Kind.LOCALISATION)
            )


def mended_by_definition(found, truth, listed, threshold, kind):
    """The tables with the errors of one kind put right, to be rated from the beginning."""
    analysis = analyse(found, truth, listed, threshold)
    if kind == Kind.MISSED:
        missed = analysis.truth[~analysis.found].assign(score=2.0)
        return pd.concat([found, missed], ignore_index=True)
    table, done = found.copy(), set(np.unique(analysis.instance[analysis.kind == Kind.RIGHT]))
    for row in found.index[analysis.kind == kind][
        np.argsort(-found.score[analysis.kind == kind], kind="stable")
    ]:
        instance = analysis.instance[row]
        if kind in (Kind.DOUBLE, Kind.BACKGROUND) or instance in done:
            table = table.drop(row)
            continue
        done.add(instance)
        for column in ("start", "end", "label"):
            table.loc[row, column] = analysis.truth.iloc[instance][column]
    return table


@settings(max_examples=20)
@given(**TABLES)
def test_mending_gives_what_the_mended_tables_have(seed, n_truth, n_found, videos, labels):
    found, truth, listed = made(seed, n_truth, n_found, videos, labels)
    tious = [0.3, 0.6]
    gains = mending(found, truth, listed, tious).set_index("kind")["gain"]
    assert list(gains.index) == list(ERRORS)
    before = average_map(average_precision(found, truth, listed, tious))
    for kind in ERRORS:
        after = [
            average_map(
                average_precision(
                    mended_by_definition(found, truth, listed, threshold, kind),
                    truth, listed, [threshold],
                )
            )
            for threshold in tious
        ]  # fmt: skip
        assert gains[kind] == pytest.approx(np.mean(after) - before, abs=1e-12)
        assert gains[kind] >= -1e-12


TRUTH = instances(("a", 0, 10, "run"), ("a", 20, 30, "jump"), ("b", 0, 10, "run"))


def test_one_detection_of_every_kind():
    found = detections(
        ("a", 0, 10, "run", 0.9),
        ("a", 0, 9, "run", 0.8),
        ("a", 20, 30, "run", 0.7),
        ("b", 0, 4, "run", 0.6),
        ("b", 0, 4, "jump", 0.5),
        ("a", 12, 18, "run", 0.4),
        ("elsewhere", 0, 10, "run", 0.3),
        ("a", 0, 10, "swim", 0.2),  # a class that does not occur is still wrong
    )
    kinds = list(analyse(found, TRUTH, ["a", "b"], 0.5).kind)
    assert kinds == [
        Kind.RIGHT, Kind.DOUBLE, Kind.LABEL, Kind.LOCALISATION, Kind.CONFUSION, Kind.BACKGROUND,
        Kind.BACKGROUND, Kind.LABEL,
    ]  # fmt: skip


def test_a_perfect_model_has_nothing_to_mend():
    assert (mending(TRUTH.assign(score=0.5), TRUTH, ["a", "b"], [0.5])["gain"] == 0).all()


def test_without_detections_only_finding_helps():
    empty = detections().astype({"start": float, "end": float, "score": float})
    gains = mending(empty, TRUTH, ["a", "b"], [0.5]).set_index("kind")["gain"]
    assert gains[Kind.MISSED] == 1
    assert gains.drop(Kind.MISSED).eq(0).all()
