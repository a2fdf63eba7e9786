"""The tables of the report: results of all models, the races between blocks, class changes.

Accuracies are in percent and their differences in points throughout. Tables are plain DataFrames;
names of columns are given with the functions that make them.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from tad_blockdrop.compression.dropping import find_margin
from tad_blockdrop.reporting.numbers import BLANK, number, signed

Family = Literal["uncompressed", "progressive", "control", "one_shot"]
Interval = tuple[float, float]

NAMES: dict[Family, str] = {
    "uncompressed": "uncompressed",
    "progressive": "step",
    "control": "control",
    "one_shot": "one_shot",
}
BOUNDS = ("", "_low", "_high")  # of a difference: itself and its 95 % interval
MOST_TIOUS_IN_TEXT = 5
TIME_POINTS = 1000


def model_name(family: Family, step: int) -> str:
    """The key of a model in every table: ``uncompressed``, ``step_01``, ``control_01``, ..."""
    return NAMES[family] if family == "uncompressed" else f"{NAMES[family]}_{step:02d}"


def model_title(family: Family, step: int) -> str:
    """What people read instead of a model's key: ``uncompressed``, ``step 1``, ``one shot 2``."""
    name = NAMES[family].replace("_", " ")
    return name if family == "uncompressed" else f"{name} {step}"


def tiou_column(tiou: float) -> str:
    """The column that holds the mAP at one overlap threshold, such as ``map@0.50``."""
    return f"map@{tiou:.2f}"


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The models of a table by family, as in ``NAMES``, then by step."""
    return table.iloc[np.lexsort((table["step"], table["family"].map(list(NAMES).index)))]


def build_result_table(
    models: pd.DataFrame, interval: Callable[[str, str], Interval]
) -> pd.DataFrame:
    """One row per model: uncompressed first, then steps, controls and one-shot models in order.

    ``models`` has model, family, step, dropped_block, kept_blocks, map@..., parameters, gmacs,
    paper_gmacs, skipped and videos. ``interval(model, reference)`` gives the 95 % bounds of a
    difference of the average mAP, NaN where there is none.

    Columns: model, family, step, dropped_block, kept_blocks, n_blocks, map@..., average, delta,
    delta_low, delta_high, delta_control, delta_control_low, delta_control_high, parameters,
    gmacs, paper_gmacs, skipped, videos. ``delta`` is the difference to the uncompressed model,
    ``delta_control`` that of a step to its control.
    """
    table = in_order(models).set_index("model", drop=False)
    table["n_blocks"] = [len(kept.split()) for kept in table["kept_blocks"]]
    tious = tiou_columns(table)
    table["average"] = [float(np.mean(row)) for row in table[tious].to_numpy()]
    controls = table["step"].map(partial(model_name, "control"))
    controls = controls.where(table["family"] == "progressive", "")  # no model's name
    for name, references in (("delta", ["uncompressed"] * len(table)), ("delta_control", controls)):
        table[name] = table["average"] - table["average"].reindex(references).to_numpy()
        bounds = [interval(*pair) for pair in zip(table["model"], references, strict=True)]
        table[[f"{name}_low", f"{name}_high"]] = bounds
    columns = ["model", "family", "step", "dropped_block", "kept_blocks", "n_blocks", *tious]
    columns += ["average", *(f"delta{of}{end}" for of in ("", "_control") for end in BOUNDS)]
    columns += ["parameters", "gmacs", "paper_gmacs", "skipped", "videos"]
    table["dropped_block"] = unit_column(table["dropped_block"])
    return table[columns].reset_index(drop=True)


def unit_column(units: pd.Series) -> pd.Series:
    """Names of dropped units as tables hold them: ``Int64``, or text if there are sub-layers."""
    numbers = pd.to_numeric(units, errors="coerce")
    if numbers.isna().equals(units.isna()):
        return numbers.astype("Int64")
    return units.astype("str")


def tiou_columns(results: pd.DataFrame) -> list[str]:
    """The mAP columns of a result table, by rising threshold."""
    return sorted(c for c in results.columns if c.startswith("map@"))


def with_costs(results: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """The result table with the measured costs beside it, missing where none were measured."""
    measured = costs.drop(columns="n_blocks", errors="ignore")
    return results.merge(measured, on="model", how="left", validate="one_to_one")


def on_front(table: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The models that nothing beats: the uncompressed one and steps, from cheap to costly.

    A model is beaten by one that costs at most as much and is at least as accurate, one of them
    strictly; of equal ones the first is taken. ``cost`` is a column of ``with_costs``.
    """
    able = table["family"].isin(["uncompressed", "progressive"]) & ~table["skipped"].astype(bool)
    rows = table[able].dropna(subset=[cost, "average"])
    rows = rows.sort_values([cost, "average"], ascending=[True, False], kind="stable")
    better = rows["average"] > rows["average"].cummax().shift(fill_value=-np.inf)
    return rows[better]


def difference(value: float | None, low: float | None, high: float | None) -> str:
    """``−0.4 [−1.2, +0.3]``, without the brackets where there is no interval."""
    if pd.isna(low) or pd.isna(high):
        return signed(value)
    return f"{signed(value)} [{signed(low)}, {signed(high)}]"


def format_table(results: pd.DataFrame, costs: pd.DataFrame | None = None) -> str:
    """The result table as aligned text for a console, with latencies if ``costs`` are given.

    Of more than five tIoUs the first, middle and last are shown.
    """
    tious = tiou_columns(results)
    if len(tious) > MOST_TIOUS_IN_TEXT:
        tious = [tious[0], tious[len(tious) // 2], tious[-1]]
    table = results if costs is None else with_costs(results, costs)
    text = pd.DataFrame({"model": table["model"], "blocks": table["n_blocks"]})
    text["dropped"] = [
        "skipped" if skipped else BLANK if pd.isna(block) else str(block)
        for block, skipped in zip(table["dropped_block"], table["skipped"], strict=True)
    ]
    for column in [*tious, "average"]:
        text[column.replace("map", "mAP")] = table[column].map(number)
    text["Δ uncompressed"] = _differences(table, "delta")
    if table["delta_control"].notna().any():
        text["Δ control"] = _differences(table, "delta_control")
    text["params M"] = (table["parameters"] / 1e6).map(lambda v: number(v, 2))
    text["GMACs"] = table["gmacs"].map(lambda v: number(v, 2))
    if costs is not None:
        text["latency ms"] = table["latency_ms"].map(number)
        text["× uncompressed"] = table["latency_ratio"].map(lambda v: number(v, 2))
    coverage = ", ".join(table["videos"].unique())
    return f"{text.to_string(index=False)}\nmAP in percent over {coverage}; [95 % interval]"


def format_repairs(repairs: pd.DataFrame) -> str:
    """What the repairs did, as aligned text for a console: a row per step.

    ``repairs`` has step, before, after (relative errors behind a layer, in videos that were not
    fitted on) and ridge, a row per layer.
    """
    steps = repairs.groupby("step")
    text = pd.DataFrame({"layers": steps.size(), "refitted": steps["ridge"].count()})
    for name in ("before", "after"):
        text[f"error {name}, %"] = (100 * steps[name].mean()).map(number)
    title = "repairs: error behind a layer, mean over the layers of a step"
    return f"{title}\n{text.reset_index().to_string(index=False)}"


def _differences(table: pd.DataFrame, name: str) -> list[str]:
    columns = [f"{name}{end}" for end in BOUNDS]
    return [difference(*values) for values in table[columns].to_numpy()]


def race_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Which block was dropped at each step, and by what margin.

    ``scores`` has step, block, criterion, value, alone and rank, of which the first is dropped.
    Columns: step, criterion, block (or sub-layer), value, runner_up, runner_up_value, margin (as of
    ``find_margin``), candidates. The runner-up is missing where no other candidate had a rank.
    """
    ranked = scores.dropna(subset=["rank"]).sort_values(["step", "rank"], kind="stable")
    races = ranked.groupby("step")
    first, second = (races.nth(n).set_index("step") for n in (0, 1))
    table = first[["criterion", "block", "value"]].assign(
        runner_up=second["block"],
        runner_up_value=second["value"],
        margin=pd.Series({step: find_margin(race) for step, race in races}, dtype="float64"),
        candidates=scores.groupby("step").size(),
    )
    for name in ("block", "runner_up"):
        table[name] = unit_column(table[name])
    return table.reset_index().astype({"step": "int64"})


def class_changes(classes: pd.DataFrame, before: str, after: str) -> pd.DataFrame:
    """Average precision per class of two models, averaged over the tIoUs; largest loss first.

    ``classes`` has model, label, tiou, ap. Columns: label, before, after, change.
    """
    means = classes.groupby(["label", "model"], sort=True)["ap"].mean().unstack("model")
    missing = {before, after} - set(means.columns)
    if missing:
        raise ValueError(f"no class table of {sorted(missing)}; there are {list(means.columns)}")
    table = pd.DataFrame({"before": means[before], "after": means[after]})
    table["change"] = table["after"] - table["before"]
    return table.sort_values("change", kind="stable").reset_index()


def strongest_detections(detections: pd.DataFrame, instances: pd.DataFrame) -> pd.DataFrame:
    """The highest-scored detections, as many as there are true actions in all videos.

    This shows models whose scores are scaled differently on equal terms, without looking at
    which detections are right.
    """
    return detections.sort_values("score", ascending=False, kind="stable").head(len(instances))


def changed_videos(
    before: pd.DataFrame, after: pd.DataFrame, videos: pd.DataFrame, count: int
) -> list[str]:
    """Ids of the ``count`` videos that two sets of detections label most differently.

    The measure is the share of a video's time that only one of the two gives a label, summed over
    labels. ``videos`` (video_id, duration) are those to choose from; equals go by id.
    """
    # TIME_POINTS a video resolve differences far smaller than a timeline can show.
    centres = (np.arange(TIME_POINTS) + 0.5) / TIME_POINTS
    nothing = before.iloc[:0]
    first = dict(iter(before.groupby("video_id")))
    second = dict(iter(after.groupby("video_id")))
    change = {
        str(video): _disagreement(
            first.get(video, nothing), second.get(video, nothing), centres * length
        )
        for video, length in zip(videos["video_id"], videos["duration"], strict=True)
    }
    return sorted(change, key=lambda video: (-change[video], video))[:count]


def _disagreement(first: pd.DataFrame, second: pd.DataFrame, times: np.ndarray) -> float:
    labels = sorted({*first["label"], *second["label"]})
    differing = sum(
        _covered(first, label, times) ^ _covered(second, label, times) for label in labels
    )
    return float(np.mean(differing)) if labels else 0.0


def _covered(detections: pd.DataFrame, label: str, times: np.ndarray) -> np.ndarray:
    own = detections[detections["label"] == label]
    covered = np.zeros(len(times), dtype=bool)
    for start, end in zip(own["start"], own["end"], strict=True):
        covered |= (start <= times) & (times < end)
    return covered
