"""The whole way from a folder of videos to an environment, told step by step."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tad_blockdrop.begin import choose, expect
from tad_blockdrop.begin.candidates import Candidate, candidates
from tad_blockdrop.begin.environment import Setting, merged, write_environment
from tad_blockdrop.begin.look import (
    Look,
    Numbers,
    evaluation_subset,
    look_at,
    numbers_of,
    reasons,
)
from tad_blockdrop.begin.pace import Pace, measure, pace_of
from tad_blockdrop.begin.request import MADE, BeginError, Request, refuse_bad
from tad_blockdrop.begin.split import choose_test
from tad_blockdrop.begin.trial import enough, part, try_out, with_proxies
from tad_blockdrop.config import DataConfig, Parameters
from tad_blockdrop.datasets.tables import CSVTable
from tad_blockdrop.preflight.work import training_windows
from tad_blockdrop.runtime.devices import pick_device
from tad_blockdrop.video.action_dataset import ActionDataset
from tad_blockdrop.video.problems import problems_table, refuse_fatal

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """The settings that were chosen, and how fast the job is with them."""

    settings: tuple[Setting, ...]
    pace: Pace
    epochs: int


@dataclass(frozen=True, eq=False)
class Task:
    """What all candidates share: the raw parameters of ``conf/base``, and ``start`` over them.

    ``began``: when, by ``time.perf_counter``.
    """

    request: Request
    base: Mapping[str, Any]
    look: Look
    numbers: Numbers
    start: tuple[Setting, ...]
    began: float

    def spent(self) -> float:
        """Minutes until now."""
        return (time.perf_counter() - self.began) / 60

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
        *expect.duration(plan.pace, plan.epochs, request.minutes, task.spent()),
    ]
    write(request, plan.settings, notes)
    for note in notes:
        say(f"- {note}")


def look(request: Request, base: Mapping[str, Any], say: Say) -> Task:
    """Probe and check everything, and split the videos. Writes the table of all problems.

    Raises the errors of annotations and videos that cannot be used.
    """
    began = time.perf_counter()
    start = choose.given(request)
    plain = Parameters.model_validate(merged(base, start))
    found = look_at(request.videos, request.annotations, plain.data, plain.runtime.decode_timeout)
    data = plain.data.model_copy(update={"holdout": 0.0, **_split(found)})
    dataset = found.dataset(data)
    problems = problems_table([*found.unreadable, *dataset.problems])
    CSVTable(filepath=str(request.problems), save_args={"index": False}).save(problems)
    refuse_fatal(problems, str(request.problems))
    numbers = numbers_of(dataset, pick_device(plain.runtime).type == "cuda")
    say(expect.described(found, dataset))
    for sentence in expect.told(dataset.problems, str(request.problems)):
        say(f"- {sentence}")
    return Task(request, base, found, numbers, (*start, *choose.of_look(found, data)), began)


def _split(found: Look) -> dict[str, Any]:
    if found.has_subsets:
        return {"evaluation_subset": evaluation_subset(found.annotations)}
    shown = found.shown()
    if sum(map(bool, shown.values())) < 2:
        told = "fewer than two videos with actions can be read"
        mend = "annotate more"
        if found.unreadable:
            told += f" ({len(found.unreadable)} cannot: {reasons(found.unreadable)})"
            mend = "mend these, or annotate more"
        raise BeginError(f"{told}: one is needed to learn from and another to measure on; {mend}")
    return {"evaluation_videos": tuple(choose_test(list(shown), shown))}


def try_all(task: Task, say: Say) -> Plan:
    """The plan of the candidate that was best on held-out training videos.

    All are tried for as long and on the same videos: as many as the slowest can be prepared for,
    and enough of them. What has no time for that and for its job is not tried.
    """
    found = candidates(task.numbers, task.request.weights)
    if not choose.holdout(task.numbers.videos):
        found = found[:1]  # there is nothing to compare on
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(task, candidate, Path(folder, candidate.kind)) for candidate in found]
        minutes = task.request.minutes - task.spent()
        slowest = max(job.pace.preparing for job in jobs) / choose.PREPARING_SHARE
        seconds = max(60 * choose.TRIAL_SHARE * minutes, slowest * enough(jobs[0].dataset))
        trials = len(jobs) * seconds / 60 if len(jobs) > 1 else 0.0
        fitting = [job for job in jobs if job.fit(minutes - trials)]
        tried = fitting or jobs[:1]
        if len(tried) == 1:
            seconds = 0.0
        told = []
        for job in jobs:
            if job not in tried:
                told.append(f"{job.candidate.name}: {_unfit(job.pace.total(0) + trials)}")
                say(told[-1])
                continue
            say(f"trying: {job.candidate.name}")
            job.try_out(seconds / slowest, seconds)
            if job.score is not None:
                told.append(f"{job.candidate.name}: {job.score:.1f}")
                say(f"  mAP {job.score:.1f} on held-out training videos")
    chosen = max(tried, key=lambda job: job.score or 0.0)
    return chosen.plan(task.request.minutes - task.spent(), told)


def _unfit(minutes: float) -> str:
    return f"not tried: a trial and its job take up to {minutes:.0f} minutes, and its training more"


class Job:
    """What a candidate would have to do: measured in ``folder``, then tried there."""

    score: float | None = None

    def __init__(self, task: Task, candidate: Candidate, folder: Path) -> None:
        self.task, self.candidate, self.folder = task, candidate, folder
        self.drops: tuple[Setting, ...] = ()
        self.parameters = task.parameters(self.settings(candidate.most_epochs, 1))
        self.dataset = task.dataset(self.parameters.data)
        few = with_proxies(part(self.dataset, 0.0), self.parameters, folder / "proxies")
        self.sample = measure(few, self.dataset, self.parameters)
        self.pace = pace_of(self.sample, self.dataset, self.parameters)

    def settings(self, epochs: int, windows: int) -> tuple[Setting, ...]:
        """All of them, for a training of ``epochs`` with ``windows`` each."""
        numbers = self.task.numbers
        return (
            *self.task.start,
            *choose.common(numbers),
            *self.candidate.settings,
            *self.drops,
            *choose.training(epochs, windows, self.candidate.batch, choose.holdout(numbers.videos)),
        )

    def fit(self, minutes: float) -> bool:
        """Drop as few blocks less as makes it fit; whether it does, with one drop or more."""
        while self.pace.total(0) > minutes and self.parameters.compress.n_drops > 1:
            fewer = self.parameters.compress.n_drops - 1
            self.drops = (Setting("compress.n_drops", fewer, "blocks: what the time allows"),)
            self.parameters = self.task.parameters(self.settings(self.candidate.most_epochs, 1))
            self.pace = pace_of(self.sample, self.dataset, self.parameters)
        return self.pace.total(0) <= minutes

    def try_out(self, footage: float, seconds: float) -> None:
        """Train for ``seconds`` on about ``footage`` seconds of video; 0: only to time an epoch."""
        least = self.candidate.least_epochs
        trial = try_out(self.dataset, footage, self.parameters, least, seconds, self.folder)
        self.score, self.pace = trial.score, replace(self.pace, epoch=trial.epoch / 60)

    def plan(self, minutes: float, told: Sequence[str]) -> Plan:
        """The job of about ``minutes``; ``told``: what each of several candidates came to."""
        candidate, records = self.candidate, self.dataset.records("train")
        epochs = self.pace.epochs_in(minutes, candidate.least_epochs, candidate.most_epochs)
        windows = training_windows(records, self.parameters.data.window)
        settings = self.settings(epochs, windows)
        return Plan((*settings, *candidate.preferred(told)), self.pace, epochs)


def write(request: Request, settings: tuple[Setting, ...], notes: list[str]) -> None:
    """The environment, with what is expected at its top. Raises BeginError."""
    heading = [
        f"{MADE} --minutes {request.minutes:g}`; it is yours to change.",
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
