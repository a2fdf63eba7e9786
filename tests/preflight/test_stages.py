"""What several devices make of the times of one window, against sums done by hand."""

from typing import Any

import pytest
from test_forecast import WORK, one, settings

from tad_blockdrop.config import Parameters
from tad_blockdrop.config.target import TargetConfig
from tad_blockdrop.preflight.forecast import disk_needed, repair_states, training_memory
from tad_blockdrop.preflight.stages import Machine, Stage, narrowest, predict
from tad_blockdrop.preflight.work import Measured

# Four clips in a window. A fifth of a step of two windows is shared by windows, so some of four
# devices have 0.2 / 2 + 0.8 / 4 of it.
WINDOW = {"frames": 64, "grid": 16, "overlap": 0.5, "per_video": 2}
FOUR = Machine(devices=4, kind="cuda", spare=4, cores=16, by_window=0.2)


def four(**changes: Any) -> Parameters:
    """Two workers for each device."""
    return settings(**{"data": {"window": WINDOW}, **changes})


def stages(given: Parameters, machine: Machine = FOUR, **measured: Any) -> dict[str, Stage]:
    return {stage.name: stage for stage in predict(WORK, one(**measured), given, machine)}


def told(given: Parameters, machine: Machine = FOUR, **measured: Any) -> str:
    return narrowest(predict(WORK, one(**measured), given, machine), given, machine)


def test_stages_are_divided_among_those_that_share_them() -> None:
    found = stages(four())
    assert {name: (stage.devices, stage.seconds) for name, stage in found.items()} == {
        "proxies": (1, pytest.approx(7200 / 2)),
        "baseline": (4, pytest.approx(10 * 100 * (8 / 2 - 1) * 0.3)),
        "ranking": (4, pytest.approx(2 * 40 * 18 / 4)),
        "alignment": (4, pytest.approx((3 + 5) * 100 * 8 / 2 * 0.3)),
        # three held-out videos keep three devices busy
        "evaluation": (4, pytest.approx(10 * 4 / 3 + 10 * 3 / 3 + 50 * 3 / 4)),
    }
    # Each window of a batch of two is read by two devices.
    assert found["alignment"].cores == pytest.approx(2 * 0.2 / (8 / 2 * 0.3))
    assert found["ranking"].cores == pytest.approx(0.2 / (18 / 4))
    assert found["proxies"].cores == 2
    eight = stages(four(), Machine(devices=8, by_window=0.2))
    assert (eight["alignment"].devices, eight["ranking"].devices) == (4, 6)
    assert eight["alignment"].seconds == pytest.approx(found["alignment"].seconds)


def test_what_is_trained_on_a_frozen_backbone_is_shared_by_windows() -> None:
    """Of which a batch has two; features of 110 windows are computed once, and learned from."""
    aids = {"dct_patch_init": False, "xavier_init": False, "dense_loss": 0.0}
    frozen = {"tuning": "frozen"}
    measured = Measured(0.5, 1e9)
    found = stages(four(baseline={"train": frozen, "aids": aids}), read_out=measured)
    looking, learning = found["baseline"].phases
    assert (looking.devices, learning.devices) == (4, 2)
    assert looking.seconds == pytest.approx(110 * 1 / 4)
    assert learning.seconds == pytest.approx(10 * 110 * 0.5 / 2 / 2)
    # An alignment looks with two backbones, after each of two drops.
    given = four(compress={"first": frozen | {"epochs": 10}, "later": frozen | {"epochs": 10}})
    aligned = stages(given, read_out=measured)["alignment"].phases
    assert [round(phase.working, 6) for phase in aligned[::2]] == [55.0, 55.0]


@pytest.mark.parametrize(
    ("criterion", "ranking"),
    [
        ("gap_error", 80 * 0.2 / 8 + 2 * 7 * 3 / 4),
        # each device reads the clips that candidates are repaired on
        ("repaired_features", 4 * 80 * 0.2 / 8 + 2 * 8 * 7 * 3 / 4),
        ("repaired_map", 4 * 80 * 0.2 / 8 + 80 * 8 * 1 / 4 + 2 * 8 * 7 * 3 / 4),
    ],
)
def test_repairs_are_divided(criterion: str, ranking: float) -> None:
    given = four(compress={"criterion": criterion, "repair": "all", "align": None})
    found = stages(given, scoring=None, repair=Measured(3.0, 1e9))
    assert found["ranking"].seconds == pytest.approx(ranking)
    blocks, neck_and_head = 2 * 20 * 0.2 / 8 + 2 * 7 * 3 / 4, 2 * 20 * 2 / 4
    assert found["repair"].seconds == pytest.approx(blocks + neck_and_head)
    assert found["repair"].devices == 4


def test_a_target_changes_nothing_in_who_reads_what() -> None:
    """With it the model as it is is rated, too: one candidate more."""
    compress = {"criterion": "repaired_features", "repair": "all", "align": None}
    found = [
        stages(four(compress=compress | more), scoring=None, repair=Measured(3.0, 1e9))["ranking"]
        for more in ({}, {"target": TargetConfig(share=0.5)})
    ]
    reading = [stage.phases[0].reading for stage in found]
    assert reading[0] == reading[1] > 0


def test_the_narrowest_is_told_with_what_widens_it() -> None:
    # proxies 3600 s, devices 900 + 360 + 960 + 60.8
    assert told(four()) == "narrowest: making proxies, 61% of the time: 14 more runtime.workers"
    devices = "narrowest: the devices, 100% of the time: "
    assert told(four(), proxies=0.0) == devices + "runtime.devices: 8 or runtime.precision: bf16"
    half = four(runtime={"workers": 2, "precision": "bf16"})
    full = Machine(devices=4, kind="cuda", cores=16)
    assert told(half, full, proxies=0.0) == devices + "more or faster devices"
    # loader 5000 + 4000 + 133.3 + 100 + 375, proxies 3600, devices 360; each device has 4 cores
    loader = "narrowest: the loader, 71% of the time: "
    assert told(four(), reading=20.0) == (
        loader + "data.proxy.store: jpeg or 2 more runtime.workers"
    )
    jpeg = {"window": WINDOW, "proxy": {"store": "jpeg"}}
    eight_cores = Machine(devices=4, kind="cuda", cores=8, by_window=0.2)
    assert told(four(data=jpeg), eight_cores, reading=20.0) == loader + "more CPU cores"
    # 8 / 2 · 0.3 s of a device for a window that two read in 2 s each
    slower = told(four(data=jpeg), proxies=0.0, reading=2.0)
    assert slower.endswith("the devices, 100% of the time: runtime.devices: 8 or "
                           "runtime.precision: bf16")  # fmt: skip


def test_a_cpu_is_told_that_a_gpu_would_help() -> None:
    assert told(four(), Machine(cores=2), proxies=0.0) == (
        "narrowest: the device, 100% of the time: a GPU"
    )


def test_memory_that_clips_take_is_divided() -> None:
    measured = Measured(8.0, 10e9, held=2e9)
    assert training_memory(measured, 2, FOUR, four()) == pytest.approx(2e9 + 8e9 * 0.3)
    assert training_memory(measured, 2, Machine(), four()) == pytest.approx(10e9)
    clip = 16 * 32 * 32 * 3
    assert repair_states(50, four(), 4) - repair_states(50, four()) == 50 * clip
    assert disk_needed(0.0, 10.0, four(), 4) - disk_needed(0.0, 10.0, four()) == 3 * 10
