"""Learning again, without Kedro: what is learned from, whether it got better, and what is next."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from dataset_files import database, video, write_video
from tests.review.conftest import MODEL, detections, table_of_videos
from tests.review.test_merging import entry
from training_small import DETECTOR, WINDOW, train_config

from tad_blockdrop.config import DataConfig, LearnConfig, PostprocessConfig, RuntimeConfig
from tad_blockdrop.detector.checkpoint import Checkpoint
from tad_blockdrop.pipelines.learn.nodes import refuse_fatal_problems
from tad_blockdrop.review.annotate_next import annotate_next
from tad_blockdrop.review.corrections import Edit, Entry, Finish, Judge, Segment
from tad_blockdrop.review.material import (
    LearnError,
    Material,
    Stated,
    gather,
    new_videos,
    refuse_unlearnable,
    untaught,
)
from tad_blockdrop.review.predictions import Predictions
from tad_blockdrop.review.verdict import Rated, comparison, judge, learned_since
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.annotations import read_annotations
from tad_blockdrop.video.dataset import build_dataset
from tad_blockdrop.video.files.clock import Timing
from tad_blockdrop.video.files.probing import probe_files
from tad_blockdrop.video.files.proxies import source_fingerprint
from tad_blockdrop.video.problems import problems_table

DATA = DataConfig(every=1, window=WINDOW, holdout=0.5)
LEARN = LearnConfig()
RUNTIME = RuntimeConfig(workers=1)
RUN = Segment(label="run", start=0.5, end=1.0)
DONE = Finish(finished=True)
ANNOTATED = {
    "a": video("training", ("run", 0, 1)),
    "b": video("training", ("run", 0, 1), ("jump", 1, 2)),
    "t": video("validation", ("jump", 0, 1)),
}
BEFORE = Checkpoint(
    weights={}, detector=DETECTOR, kept_blocks=(0, 1, 2), classes=("jump", "run"), window=WINDOW,
    every=1, fps=None, postprocess=PostprocessConfig(),
)  # fmt: skip


class Known:
    """The dataset of three short videos, one held out and one to test on."""

    def __init__(self, folder: Path) -> None:
        self.files = {name: write_video(folder / f"{name}.mp4") for name in ANNOTATED}
        timed = {name: (path, Timing()) for name, path in self.files.items()}
        self.facts, _ = probe_files(timed, 1, 60, fatal=True)
        found = build_dataset(read_annotations(database(**ANNOTATED)), self.facts, DATA)
        self.dataset = ActionDataset(found.videos, found.instances, found.classes)

    def split(self, name: str) -> str:
        return self.dataset.in_split(name)["video_id"].item()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return Known(tmp_path_factory.mktemp("known"))


def material(known: Known, entries: list[Entry], files: dict, folder: Path, **stated) -> Material:
    content = database(**ANNOTATED | stated)
    merged = read_annotations(content)
    new = new_videos(entries, content["database"], known.files, files, strict=False)
    said = Stated(known.dataset, known.facts, merged, *new)
    return gather(BEFORE, said, DATA, RUNTIME, folder / "cache")


def numbered(entries: Iterable[Entry]) -> list[Entry]:
    """As a journal numbers them."""
    return [each.model_copy(update={"number": n}) for n, each in enumerate(entries, 1)]


def messages(found: Material) -> dict[str, str]:
    return {problem.video_id: problem.message for problem in found.problems if problem.video_id}


def test_new_videos_are_trained_on_and_the_others_stay_what_they_are(known, tmp_path):
    path = str(write_video(tmp_path / "new.mp4"))
    corrected = {name: video("training", ("run", 0.5, 1.0)) for name in ("new", "a", "b")}
    entries = numbered(entry(name, Edit(before=None, after=RUN), DONE) for name in corrected)
    found = material(known, entries, {"": {"new": path}}, tmp_path, **corrected)
    assert found.new.videos[["video_id", "split"]].values.tolist() == [["new", "train"]]
    pd.testing.assert_frame_equal(found.known.videos, known.dataset.videos)
    held = found.known.instances[found.known.instances["video_id"] == known.split("holdout")]
    assert held[["start", "end"]].values.tolist() == [[0.5, 1.0]], "judged by what is corrected"
    assert messages(found) == {}


def test_an_experiment_whose_classes_are_in_an_older_unicode_form_learns_on(known, tmp_path):
    old = "ju\u0301mp"
    before = replace(BEFORE, classes=(old, "run"))
    instances = known.dataset.instances.replace({"jump": old})
    older = replace(known.dataset, instances=instances, classes=before.classes)
    actions = {"b": video("training", ("run", 0, 1), (old, 1, 2)), "t": ANNOTATED["t"]}
    merged = read_annotations(database(**{**ANNOTATED, **actions}))
    edit = Edit(before=None, after=Segment(label="j\u00famp", start=0.5, end=1.0))
    refuse_unlearnable(before, older, numbered([entry("a", edit, DONE)]), DATA, LEARN)
    said = Stated(older, known.facts, merged, {}, [])
    found = gather(before, said, DATA, RUNTIME, tmp_path)
    labels = found.known.instances.set_index("video_id")["label"]
    assert set(labels["b"]) == {old, "run"}
    assert found.known.classes == (old, "run")


def test_no_video_that_is_held_out_is_learned_from_under_another_name(known, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(known.files[known.split("holdout")].read_bytes())
    stated = {"copy": video("training", ("run", 0.5, 1.0))}
    found = material(known, [entry("copy", DONE)], {"": {"copy": str(copy)}}, tmp_path, **stated)
    assert found.new.videos.empty
    assert messages(found) == {"copy": f"it is the same video as '{known.split('holdout')}'"}


def test_a_video_whose_file_is_not_sure_is_left_out_and_told(known, tmp_path):
    one, two = (str(write_video(tmp_path / folder / "x.mp4")) for folder in ("one", "two"))
    stated = {name: video("training", ("run", 0.5, 1.0)) for name in ("x", "gone", "lost", "kept")}
    entries = [entry(name, DONE) for name in ("x", "x", "gone", "lost", "kept")]
    entries[1] = entries[1].model_copy(update={"predictions": "second"})
    entries[4] = entries[4].model_copy(update={"predictions": "deleted"})
    kept = str(write_video(tmp_path / "kept.mp4"))
    files = {
        "": {"x": one, "lost": str(tmp_path / "lost.mp4")},
        "second": {"x": two, "kept": kept},
    }
    found = material(known, numbered(entries), files, tmp_path, **stated)
    assert list(found.new.videos["video_id"]) == ["kept"], "as the newest predictions have it"
    assert messages(found) == {
        "x": f"there are corrections of this file and of {two}",
        "gone": "the predictions that were corrected are gone, and with them where its file is",
        "lost": "it is not where it was predicted",
    }


def test_two_videos_of_one_id_are_both_learned_from_wherever_they_are(known, tmp_path):
    one, two = tmp_path / "one" / "x.mp4", tmp_path / "two" / "x.mp4"
    write_video(one, 2.0)
    write_video(two, 3.0)
    first, second = map(source_fingerprint, (one, two))
    moved = two.with_name("elsewhere.mp4")
    shutil.move(two, moved)
    names = {"x": first, f"x ({second[:8]})": second, "y": "0" * 64}
    stated = {
        name: video("training", ("run", 0.5, 1.0), content=content)
        for name, content in names.items()
    }
    entries = [
        entry(name, DONE).model_copy(update={"content": content, "predictions": version})
        for name, content, version in (
            ("x", first, "1"), ("x", second, "2"), ("x", second, "3"), ("y", "0" * 64, "1"),
        )
    ]  # fmt: skip
    files = {"1": {"x": str(one), "y": str(one)}, "2": {"x": str(two)}, "3": {"x": str(moved)}}
    found = material(known, numbered(entries), files, tmp_path, **stated)
    paths = dict(zip(found.new.videos["video_id"], found.new.videos["path"], strict=True))
    assert paths == {"x": str(one), f"x ({second[:8]})": str(moved)}
    assert messages(found) == {"y": "it is not the file that was predicted and corrected"}


def test_what_cannot_be_learned_is_told_at_once(known):
    swim = Segment(label="swim", start=0, end=1)
    entries = [
        entry("a", Edit(before=None, after=swim)),
        entry("b", Judge(detection=RUN, truth=RUN), number=2),
    ]
    other = DATA.model_copy(update={"every": 2})
    nothing_held = replace(
        known.dataset, videos=known.dataset.videos.replace({"split": {"holdout": "train"}})
    )
    changed = replace(BEFORE, classes=("run", "jump"))
    with pytest.raises(LearnError) as error:
        refuse_unlearnable(changed, nothing_held, entries, other, LEARN)
    told = str(error.value).splitlines()
    assert len(told) == 5
    assert "final_checkpoint detects the same classes in another order" in told[1]
    assert "classes that the model does not detect: swim. Change" in told[2]
    assert "another data.window, data.every or data.fps" in told[3]
    assert "no held-out video has an action" in told[4]
    refuse_unlearnable(BEFORE, known.dataset, entries[1:], DATA, LEARN)
    made = entry("b", DONE)
    undone = Entry(**made.model_dump() | {"number": 2, "undoes": 1, "changes": ()})
    with pytest.raises(LearnError, match="all corrections were taken back"):
        refuse_unlearnable(BEFORE, known.dataset, [made, undone], DATA, LEARN)


def test_a_round_that_could_not_be_judged_once_corrected_is_refused(known, tmp_path):
    held = known.split("holdout")
    found = material(known, [], {}, tmp_path, **{held: video("training")})
    problems = problems_table(found.problems)
    with pytest.raises(LearnError, match="no held-out video has an action to judge"):
        refuse_fatal_problems(found, problems, [], LEARN, "mine")
    always = LearnConfig(adopt="always")
    assert refuse_fatal_problems(found, problems, [], always, "mine")[0] is found.known


def test_facts_of_an_older_version_are_told(known, tmp_path):
    older = known.facts.drop(columns=["note", "start"])
    said = Stated(known.dataset, older, read_annotations(database(**ANNOTATED)), {}, [])
    with pytest.raises(LearnError, match=r"older version \(it lacks note, start\)"):
        gather(BEFORE, said, DATA, RUNTIME, tmp_path)


def test_a_round_is_shorter_and_gentler_and_keeps_its_last_epoch():
    recipe = LearnConfig(epochs=5, rate=0.5).recipe(train_config(epochs=30, stop=20, warmup=3))
    assert (recipe.epochs, recipe.stop, recipe.warmup, recipe.keep) == (5, 5, 0.5, "last")
    assert (recipe.lr_backbone, recipe.lr_detector) == (5e-4, 5e-3)
    assert recipe.batch == 2


TRUTH = pd.DataFrame(
    [("v", 0.0, 1.0, "run"), ("v", 2.0, 3.0, "jump"), ("w", 0.0, 1.0, "run")],
    columns=["video_id", "start", "end", "label"],
)
RUNS = [("v", 0, 1, "run", 0.9), ("w", 0, 1, "run", 0.9)]
JUMP = ("v", 2, 3, "jump", 0.9)


def rated(before, after) -> Rated:
    return Rated("holdout", ["v", "w", "x"], TRUTH, detections(*before), detections(*after))


def test_models_are_compared_by_class_and_by_video():
    table = comparison(rated(RUNS, [*RUNS[1:], JUMP]), [0.5])
    assert table.values.tolist()[:3] == [
        ["holdout", "all", "", 3, 50.0, 75.0, 25.0],
        ["holdout", "class", "jump", 1, 0.0, 100.0, 100.0],
        ["holdout", "class", "run", 2, 100.0, 50.0, -50.0],
    ]
    videos = table[table["of"] == "video"].set_index("name")
    assert videos.loc["w", ["before", "after"]].tolist() == [100.0, 100.0]
    assert videos.loc["x", "actions"] == 0
    assert pd.isna(videos.loc["x", "change"]), "it shows no action"


def test_the_new_model_is_adopted_unless_it_is_worse():
    better = rated(RUNS, [*RUNS[1:], JUMP])
    interval = better.interval([0.5], 100, 0)
    outcome = judge(comparison(better, [0.5]), interval, "if_not_worse")
    assert outcome["adopted"]
    assert interval[0] <= 25 <= interval[1]
    assert (
        "Average mAP on 3 held-out video(s): 50.0 before, 75.0 now (+25.0 points"
        in (outcome["sentence"])
    )
    assert "class gained: jump (+100.0); class lost: run (−50.0)" in outcome["sentence"]
    equal = comparison(rated(RUNS, RUNS), [0.5])
    assert judge(equal, None, "if_not_worse")["adopted"]
    worse = comparison(rated(RUNS, RUNS[1:]), [0.5])
    assert not judge(worse, None, "if_not_worse")["adopted"]
    assert "It is not adopted (it is worse)" in judge(worse, None, "if_not_worse")["sentence"]
    assert judge(worse, None, "always")["adopted"]
    assert not judge(equal, None, "never")["adopted"]
    assert judge(None, None, "always")["adopted"]
    assert not judge(None, None, "never")["adopted"]


def test_corrected_videos_that_teach_nothing_are_named(known, tmp_path):
    """No action is left in one, none was there in another; the third is not corrected."""
    train = known.split("train")
    files = {"": {"new": str(write_video(tmp_path / "new.mp4"))}}
    removed = entry(train, Judge(detection=RUN, truth=None))
    entries = numbered([removed, entry("new", DONE), entry(known.split("test"), DONE)])
    empty = dict.fromkeys((train, "new"), video("training"))
    found = material(known, entries, files, tmp_path, **empty)
    both = ActionDataset(
        pd.concat([found.known.videos, found.new.videos], ignore_index=True),
        found.known.instances, found.known.classes,
    )  # fmt: skip
    assert untaught(entries, both, WINDOW) == [train, "new"]
    assert untaught(entries[1:], both, WINDOW) == ["new"], "the other is not corrected"
    said = judge(None, None, "always", ["x", "y"])["sentence"]
    assert said.endswith(" Nothing was learned from corrected videos without an action: x, y.")
    assert "Nothing was learned" not in judge(None, None, "always")["sentence"]


def test_a_model_that_has_learned_since_is_told_with_its_numbers():
    reported = replace(BEFORE, weights={"a": torch.zeros(1)})
    judged = {"holdout": (71.71, 74.91), "test": (74.14, 77.45)}
    final = replace(BEFORE, weights={"a": torch.ones(1)}, lineage={"judged": judged})
    said = learned_since(final, reported)
    assert "final_checkpoint) is another than the final model of this report" in said
    assert "from 71.7 to 74.9 % on held-out videos and from 74.1 to 77.5 % on test videos" in said
    assert "changed" not in learned_since(replace(final, lineage={}), reported), (
        "not known of old ones"
    )
    assert learned_since(replace(reported, lineage={"rounds": 1}), reported) == ""


def test_unsure_videos_with_rare_classes_come_first():
    found = detections(
        ("sure", 0, 1, "run", 0.99),
        ("unsure", 0, 1, "run", 0.21),
        ("rare", 0, 1, "jump", 0.32),
        ("rare", 2, 3, "run", 0.21),
        ("annotated", 0, 1, "jump", 0.31),
        ("finished", 0, 1, "jump", 0.31),
    )
    names = [*found["video_id"].unique(), "nothing", "broken"]
    problems = [None] * (len(names) - 1) + ["it cannot be read"]
    videos = table_of_videos(video_id=names, problem=problems, strongest=0.1)
    truth = {"annotated": {"video": "annotated", "actions": []}}
    table = annotate_next(
        Predictions(found, videos, MODEL, truth),
        [entry("finished", DONE), entry("rare", Judge(detection=RUN, truth=RUN))],
        {"run": 40, "jump": 4},
    )
    assert list(table["video_id"]) == ["rare", "unsure", "nothing", "sure"]
    first = table.iloc[0]
    assert (first["rarest"], first["actions"], first["detections"]) == ("jump", 4, 2)
    assert first["worth"] == pytest.approx(first["doubt"] * 1.9, abs=2e-3)
    assert pd.isna(table.set_index("video_id").loc["nothing", "rarest"])


def test_a_video_is_not_finished_because_another_of_its_id_is():
    videos = table_of_videos(video_id=["x"], content="b")
    made = Predictions(detections(("x", 0, 1, "run", 0.3)), videos, MODEL, {})
    for content, left in (("a", 1), ("b", 0), (None, 0)):
        finished = entry("x", DONE).model_copy(update={"content": content})
        assert len(annotate_next(made, [finished], {"run": 1})) == left
