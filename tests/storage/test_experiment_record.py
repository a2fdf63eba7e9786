"""An experiment keeps to the parameters it was begun with, stage by stage."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tad_blockdrop.checksums import seal_of
from tad_blockdrop.storage.experiment_record import ExperimentError, refuse_mixing

BEGUN = {
    "data": {"holdout": 0.1, "cache": True},
    "baseline": {"train": {"batch": 4}},
    "compress": {"n_drops": 2},
    "runtime": {"seed": 0, "threads": 1},
}
ALL = {"data", "baseline", "compress", "report"}


def check(folder: Path, changes: dict, running: set[str], settled: set[str] | None = None) -> None:
    refuse_mixing(
        folder / "experiment.json", "mine", {**BEGUN, **changes}, running,
        running if settled is None else settled,
    )  # fmt: skip


def test_the_same_parameters_may_run_again(tmp_path: Path) -> None:
    check(tmp_path, {}, ALL)
    check(tmp_path, {}, ALL)


def test_other_parameters_are_refused_with_their_keys(tmp_path: Path) -> None:
    check(tmp_path, {}, ALL)
    with pytest.raises(ExperimentError, match=r"compress\.n_drops: 2 -> 3") as refused:
        check(tmp_path, {"compress": {"n_drops": 3}}, {"compress"})
    assert "baseline" not in str(refused.value)


def test_a_later_stage_is_held_to_the_stages_before(tmp_path: Path) -> None:
    check(tmp_path, {}, {"data", "baseline"})
    with pytest.raises(ExperimentError, match=r"data\.holdout"):
        check(tmp_path, {"data": {"holdout": 0.2, "cache": True}}, {"compress"})


def test_what_was_not_run_yet_is_free(tmp_path: Path) -> None:
    check(tmp_path, {}, {"data", "baseline"})
    check(tmp_path, {"compress": {"n_drops": 3}}, {"compress"})
    recorded = json.loads((tmp_path / "experiment.json").read_text())["parameters"]
    assert recorded["compress.n_drops"] == 3


def test_checking_a_dataset_settles_nothing(tmp_path: Path) -> None:
    check(tmp_path, {}, {"data"}, settled=set())
    check(tmp_path, {"data": {"holdout": 0.3, "cache": True}}, {"data"})


def test_checking_is_refused_once_the_data_is_settled(tmp_path: Path) -> None:
    check(tmp_path, {}, {"data"})
    with pytest.raises(ExperimentError, match="holdout"):
        check(tmp_path, {"data": {"holdout": 0.3, "cache": True}}, {"data"}, settled=set())


def test_speed_may_change(tmp_path: Path) -> None:
    check(tmp_path, {}, ALL)
    check(tmp_path, {"runtime": {"seed": 0, "threads": 8}, "data": {"holdout": 0.1}}, ALL)


def test_what_is_said_of_the_videos_may_come_later(tmp_path: Path) -> None:
    check(tmp_path, real_parameters(), ALL)
    changed = real_parameters()
    changed["data"]["provenance"] = "filmed here, CC BY 4.0"
    check(tmp_path, changed, ALL)
    # nor does it matter what older versions, which counted it as deciding, have recorded
    record = tmp_path / "experiment.json"
    seal_of(record).unlink()
    known = json.loads(record.read_text())
    known["parameters"]["data.provenance"] = ""
    record.write_text(json.dumps(known))
    check(tmp_path, changed, ALL)


def test_what_saves_memory_may_change(tmp_path: Path) -> None:
    check(tmp_path, real_parameters(), ALL)
    changed = real_parameters()
    changed["detector"]["backbone"]["checkpointing"] = True
    changed["evaluation"]["batch"] += 1
    check(tmp_path, changed, ALL)
    changed["detector"]["backbone"]["drop_path"] = 0.7
    with pytest.raises(ExperimentError, match=r"detector\.backbone\.drop_path") as refused:
        check(tmp_path, changed, ALL)
    assert str(refused.value).count("->") == 1


def real_parameters() -> dict[str, Any]:
    """Those of conf/base, as a run has them."""
    text = (Path(__file__).parents[2] / "conf/base/parameters.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text) | {"experiment": "mine"}


def forget(record: Path, key: str) -> None:
    """Make a record as one from before the parameter ``key``."""
    stored = json.loads(record.read_text())
    del stored["parameters"][key]
    record.write_text(json.dumps(stored))
    seal_of(record).unlink()


def test_a_parameter_newer_than_the_record_has_its_default(tmp_path: Path) -> None:
    begun = real_parameters()
    begun["baseline"]["train"]["rate_every"] = 1  # the default
    check(tmp_path, begun, ALL)
    forget(tmp_path / "experiment.json", "baseline.train.rate_every")
    check(tmp_path, begun, ALL)
    changed = real_parameters()
    changed["baseline"]["train"]["rate_every"] = 3
    with pytest.raises(ExperimentError, match=r"baseline\.train\.rate_every: 1 -> 3") as refused:
        check(tmp_path, changed, ALL)
    assert str(refused.value).count("->") == 1


def own_videos(**changes: Any) -> dict[str, Any]:
    """Those of an environment with videos of its own."""
    parameters = real_parameters()
    parameters["data"] |= {"source": "files"} | changes
    return parameters


def test_an_experiment_from_before_the_clock_counted_frames(tmp_path: Path) -> None:
    check(tmp_path, own_videos(), ALL)
    forget(tmp_path / "experiment.json", "data.clock")
    with pytest.raises(ExperimentError, match=r"data\.clock: frames -> player") as refused:
        check(tmp_path, own_videos(), ALL)
    assert str(refused.value).count("->") == 1
    check(tmp_path, own_videos(clock="frames"), ALL)


def test_generated_videos_have_one_clock(tmp_path: Path) -> None:
    check(tmp_path, real_parameters(), ALL)
    changed = real_parameters()
    changed["data"]["clock"] = "frames"
    check(tmp_path, changed, ALL)


def test_a_record_that_is_not_valid_today_is_compared_as_written(tmp_path: Path) -> None:
    check(tmp_path, {"data": {"holdout": 0.1, "long_gone": 1}}, {"data"})
    check(tmp_path, {"data": {"holdout": 0.1, "long_gone": 1}}, {"data"})
    with pytest.raises(ExperimentError, match=r"data\.long_gone: 1 -> \(not set\)"):
        check(tmp_path, real_parameters(), {"data"})
