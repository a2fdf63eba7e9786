"""The whole way from a folder of videos to an environment, told step by step."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tad_blockdrop.begin import choose, expect
from tad_blockdrop.begin.candidates import Candidate, candidates
from tad_blockdrop.begin.environment import Setting, merged, write_environment
from tad_blockdrop.begin.look import Look, Numbers, evaluation_subset, look_at, numbers_of
from tad_blockdrop.begin.request import BeginError, Request, refuse_bad
from tad_blockdrop.begin.split import choose_test
from tad_blockdrop.begin.trial import Trial, measure_preparing, part, try_out
from tad_blockdrop.config import DataConfig, Parameters
from tad_blockdrop.preflight.forecast import count_work
from tad_blockdrop.runtime.devices import pick_device
from tad_blockdrop.storage.atomic import atomic_write
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.problems import problems_table, refuse_fatal

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """A candidate with its trial, and the job that it would be."""

    candidate: Candidate
    settings: tuple[Setting, ...]
    trial: Trial
    pace: expect.Pace
    epochs: int


@dataclass(frozen=True, eq=False)
class Task:
    """What all candidates share: the raw parameters of ``conf/base``, and ``start`` over them."""

    request: Request
    base: Mapping[str, Any]
    look: Look
    numbers: Numbers
    start: tuple[Setting, ...]

    def parameters(self, settings: tuple[Setting, ...]) -> Parameters:
        """With these settings over those of the base."""
        return Parameters.model_validate(merged(self.base, settings))

    def dataset(self, data: DataConfig) -> ActionDataset:
        """What can be used, sampled and split as ``data`` says."""
        found = self.look.dataset(data)
        return ActionDataset(found.videos, found.instances, tuple(found.classes))


def prepare(request: Request, base: Mapping[str, Any], say: Say) -> None:
    """Look, choose, try and write ``conf/<name>/``; ``base``: the raw parameters of conf/base.

    Raises BeginError and other errors of the family for what cannot be begun with; no environment
    is written then.
    """
    began = time.perf_counter()
    refuse_bad(request)
    task = look(request, base, say)
    plan = try_all(task, say)
    parameters = task.parameters(plan.settings)
    dataset = task.dataset(parameters.data)
    notes = [
        *expect.hardly_learned(task.numbers),
        *expect.never_measured(dataset),
        *expect.hardly_found(dataset, parameters.data, parameters.detector),
        *expect.seen_share(task.numbers),
        *expect.duration(plan.pace, plan.epochs, request.minutes, time.perf_counter() - began),
    ]
    write(request, plan.settings, notes)
    for note in notes:
        say(f"- {note}")


def look(request: Request, base: Mapping[str, Any], say: Say) -> Task:
    """Probe and check everything, and split the videos. Writes the table of all problems.

    Raises the errors of annotations and videos that cannot be used.
    """
    start = choose.given(request)
    plain = Parameters.model_validate(merged(base, start))
    found = look_at(request.videos, request.annotations, plain.data, plain.runtime.decode_timeout)
    data = plain.data.model_copy(update={"holdout": 0.0, **_split(found)})
    dataset = found.dataset(data)
    problems = problems_table([*found.unreadable, *dataset.problems])
    request.problems.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(request.problems) as temporary:
        problems.to_csv(temporary, index=False)
    refuse_fatal(problems, str(request.problems))
    numbers = numbers_of(dataset, pick_device(plain.runtime).type == "cuda")
    say(expect.described(found, dataset))
    return Task(request, base, found, numbers, (*start, *choose.of_look(found, data)))


def _split(found: Look) -> dict[str, Any]:
    if found.has_subsets:
        return {"evaluation_subset": evaluation_subset(found.annotations)}
    shown = found.shown()
    if sum(map(bool, shown.values())) < 2:
        raise BeginError(
            "fewer than two videos with actions can be read: one is needed to learn from and "
            "another to measure on; annotate more"
        )
    return {"evaluation_videos": tuple(choose_test(list(shown), shown))}


def try_all(task: Task, say: Say) -> Plan:
    """The plan of the candidate that was best on held-out training videos.

    All are tried on the same videos, as many as the slowest can be prepared for in its time.
    """
    found = candidates(task.numbers, task.request.weights)
    compare = len(found) > 1 and choose.holdout(task.numbers.videos) > 0
    share = choose.TRIAL_SHARE * compare
    minutes = task.request.minutes / (1 + share * len(found))
    jobs = [Job(task, candidate) for candidate in found]
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, str(number)) for number in range(len(jobs))]
        for job, place in zip(jobs, places, strict=True):
            job.measure_preparing(place)
        slowest = max(job.preparing.proxies + job.preparing.features for job in jobs)
        footage = 60 * choose.PREPARING_SHARE * minutes / slowest
        plans = []
        for job, place in zip(jobs, places, strict=True):
            say(f"trying: {job.candidate.name}")
            plans.append(job.plan(minutes, share, footage, place))
            if plans[-1].trial.score is not None:
                say(f"  mAP {plans[-1].trial.score:.1f} on held-out training videos")
    rated = [(plan.candidate.name, plan.trial.score) for plan in plans]
    scores = {name: score for name, score in rated if score is not None}
    if len(scores) < len(plans):
        return plans[0]  # not compared: there are too few videos to hold any out
    chosen = max(plans, key=lambda plan: scores[plan.candidate.name])
    return replace(chosen, settings=(*chosen.settings, chosen.candidate.preferred(scores)))


class Job:
    """What a candidate would have to do, and how it is tried."""

    def __init__(self, task: Task, candidate: Candidate) -> None:
        self.task, self.candidate = task, candidate
        self.parameters = task.parameters(self.settings(candidate.most_epochs, 1))
        self.dataset = task.dataset(self.parameters.data)

    def settings(self, epochs: int, windows: int) -> tuple[Setting, ...]:
        """All of them, for a training of ``epochs`` with ``windows`` each."""
        numbers = self.task.numbers
        return (
            *self.task.start,
            *choose.common(numbers),
            *self.candidate.settings,
            *choose.training(epochs, windows, self.candidate.batch, choose.holdout(numbers.videos)),
        )

    def measure_preparing(self, folder: Path) -> None:
        """Before it is planned."""
        self.preparing = measure_preparing(self.dataset, self.parameters, folder / "proxies")

    def plan(self, minutes: float, share: float, footage: float, folder: Path) -> Plan:
        """Try it on ``footage`` seconds of video for a ``share`` of ``minutes``.

        The job it then plans takes about ``minutes``.
        """
        chosen, least = part(self.dataset, footage), self.candidate.least_epochs
        trial = try_out(chosen, self.parameters, least, 60 * share * minutes, folder)
        train, held, test = (self.dataset.records(split) for split in ("train", "holdout", "test"))
        work = count_work(train, held, test, self.parameters)
        pace = expect.pace_of(trial, self.preparing, self.dataset, work, self.parameters)
        epochs = pace.epochs_in(minutes, least, self.candidate.most_epochs)
        return Plan(self.candidate, self.settings(epochs, work.training), trial, pace, epochs)


def write(request: Request, settings: tuple[Setting, ...], notes: list[str]) -> None:
    """The environment, with what is expected at its top. Raises BeginError."""
    heading = [
        f"Made by `kedro begin --minutes {request.minutes:g}`; it is yours to change.",
        "What each parameter means stands in conf/base/parameters.yml. What to expect:",
        *(f"- {note}".replace("\n", " ") for note in notes),
    ]
    places = {
        "experiment": request.name,
        "videos": str(request.videos.resolve()),
        "annotations": str(request.annotations.resolve()),
    }
    stated = [setting for setting in settings if setting.key != "experiment"]
    write_environment(request.environment, places, "\n".join(heading), stated)
