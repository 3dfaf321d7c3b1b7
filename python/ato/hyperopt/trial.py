"""A trial: one config that is trained, rung by rung, and what came of it."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter as SignatureParameter
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ato.adict import ADict
from ato.adict.state import state_of
from ato.db_routers.sql.metric_values import as_number, as_step
from ato.events import apart, current_frame, note_read
from ato.exceptions import MetricTypeError
from ato.fingerprints import value_hex
from ato.scope import Scope

if TYPE_CHECKING:
    from ato.db_routers.sql.brief import BriefRecorder, BriefRuns
    from ato.db_routers.sql.manager import SQLLogger

__all__ = ["Job", "Outcome", "Result", "Status", "Trial", "Work", "traceback_of"]

Status = Literal["completed", "failed", "killed", "timeout", "interrupted", "invalid", "broken"]

METRIC = "metric"  # the name under which a trial's runs log what it reports and returns


@dataclass(frozen=True, slots=True)
class Job:
    """One training: a trial at a rung of a bracket, with the values of the searched keys."""

    trial: int
    bracket: int
    rung: int
    budget: int | None
    previous_budget: int
    values: Mapping[str, Any]

    @property
    def key(self) -> tuple[int, int]:
        """What names the training in its search: trial and rung."""
        return self.trial, self.rung

    def __str__(self) -> str:
        at = f"rung {self.rung}" if self.budget is None else f"budget {self.budget}"
        return f"trial {self.trial} ({at}: {', '.join(f'{k}={v!r:.40}' for k, v in self.values.items())})"


@dataclass(slots=True)
class Outcome:
    """What came of a training; of one that failed the metric is NaN and `error` says why.

    `unwritten` is its run where that enters the store together with this result.
    """

    status: Status
    metric: float = math.nan
    error: str | None = None
    reports: list[tuple[int, float]] = field(default_factory=list)
    run_id: int | None = None
    duration: float = 0.0
    unwritten: BriefRecorder | None = None


@dataclass(slots=True)
class Result:
    """A training with what came of it."""

    job: Job
    outcome: Outcome

    @property
    def succeeded(self) -> bool:
        """Whether there is a metric to rank by."""
        return self.outcome.status == "completed"


class Trial:
    """What a trained function may ask for: a parameter named `trial` receives it."""

    def __init__(self, job: Job, folder: str, report: Callable[[int, float], None]) -> None:
        self._job = job
        self._folder = folder
        self._report = report

    def __repr__(self) -> str:
        return f"Trial({self._job.trial}, budget={self._job.budget})"

    def __ato_fingerprint__(self) -> tuple[int | None, int]:
        """As an argument a trial is what the function computes by; its number is a name."""
        return self._job.budget, self._job.previous_budget

    @property
    def number(self) -> int:
        """The number of the trial in its search, from 0."""
        return self._job.trial

    @property
    def rung(self) -> int:
        """How often this trial has survived."""
        _note("__num_halved__", self._job.rung)
        return self._job.rung

    @property
    def budget(self) -> int | None:
        """How much is to be trained in all; `None` in the halving form, which sets no budgets."""
        _note("__budget__", self._job.budget)
        return self._job.budget

    @property
    def previous_budget(self) -> int:
        """How much of it the trial's checkpoint has behind it: its budget at the rung before."""
        return self._job.previous_budget

    @property
    def checkpoint_dir(self) -> Path:
        """A folder of the trial's own, with what it wrote there at the rung before."""
        folder = Path(self._folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def report(self, step: int, metric: Any) -> None:
        """Log a value on the way, as `metric` of the trial's run.

        It outlives the process once the run is in the store: at once where that takes longer than
        a moment; a shorter one is written with its result, and trained again if it never came to it.

        Raises:
            MetricTypeError: the metric is no real number, the step no integer.
        """
        self._report(as_step(METRIC, step), as_number(METRIC, metric))


def _note(key: str, value: int | None) -> None:
    # A trial that trains longer has another result for that reason; so `ato why` must know.
    if current_frame() is not None:
        note_read(key, value, value_hex)


def traceback_of(error: BaseException) -> str:
    """The traceback as text."""
    return "".join(traceback.format_exception(error))


class Work:
    """The trained function with all that is the same for every training of a search."""

    def __init__(
        self,
        scope: Scope,
        function: Callable[..., Any],
        folder: Path,
        tracker: SQLLogger | None = None,
        *,
        name: str = "search",
        keep_previous: bool = False,
        in_context: bool = False,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.scope = scope
        self.folder = folder
        self._root = str(folder)
        self.tracker = tracker
        self.name = name
        self.keep_previous = keep_previous
        self.in_context = in_context
        self.args = args
        self.kwargs = dict(kwargs or {})
        self.takes_trial = _takes_trial(function)
        self.function = function
        # Of ranks that share out or share a trial: runs are nobody else's to join, and the folder of
        # a trial that rank 0 trains too is rank 0's to prepare.
        self.alone = False
        self.adopts = False
        # Where trainings run in the process that keeps their results, what is over in a moment is
        # written together with its result.
        self.briefs: BriefRuns | None = None

    def expect_briefs(self) -> None:
        """Let the runs of short trainings enter the store with their results, which are kept here."""
        if self.tracker is not None:
            from ato.db_routers.sql.brief import BriefRuns  # SQLAlchemy loads

            self.briefs = BriefRuns(self.tracker)

    def __call__(self, job: Job, config: ADict) -> Outcome:
        """Train a config and say what came of it; only Ctrl-C and its like come through."""
        started = time.perf_counter()
        folder = self._checkpoint(job)
        notes = state_of(config).notes
        assert notes is not None, "a trial's config takes notes"
        notes["__checkpoint__"] = folder
        reports: list[tuple[int, float]] = []
        with self.scope.using(config):
            if self.tracker is None:
                trial = Trial(job, folder, lambda step, metric: reports.append((step, metric)))
                outcome = self._train(job, trial)
            elif self.briefs is not None and self.briefs.expects(_amount(job)):
                outcome = self._recorded_briefly(self.briefs, job, config, folder, reports)
            else:
                outcome = self._recorded(self.tracker, job, config, folder, reports)
        outcome.reports = reports
        outcome.duration = time.perf_counter() - started
        return outcome

    def _recorded(
        self,
        tracker: SQLLogger,
        job: Job,
        config: ADict,
        folder: str,
        reports: list[tuple[int, float]],
    ) -> Outcome:
        """Train a config as a run of the store."""
        logger = tracker.for_config(config, in_context=self._shares_process(), alone=self.alone)

        def report(step: int, metric: float) -> None:
            reports.append((step, metric))
            logger.log_metric(METRIC, metric, step)

        with apart(), logger:
            run_id = logger.run(tags=[f"search:{self.name}"], name=self._run_name(job))
            outcome = self._train(job, Trial(job, folder, report))
            if outcome.status == "completed":
                logger.log_metric(METRIC, outcome.metric, _level(job))
                logger.finish()
            else:
                logger.finish("failed", error=outcome.error)
        outcome.run_id = run_id
        return outcome

    def _recorded_briefly(
        self,
        runs: BriefRuns,
        job: Job,
        config: ADict,
        folder: str,
        reports: list[tuple[int, float]],
    ) -> Outcome:
        """Train a config as a run that enters the store with its result, if it is over soon."""

        def report(step: int, metric: float) -> None:
            reports.append((step, metric))
            run.log_metric(METRIC, metric, step)

        with apart():
            run = runs.begin(
                config,
                name=self._run_name(job),
                tags=[f"search:{self.name}"],
                in_context=self._shares_process(),
            )
            try:
                outcome = self._train(job, Trial(job, folder, report))
            except BaseException as error:
                if not run.end("interrupted", traceback_of(error)):
                    run.write()
                raise
            if outcome.status == "completed":
                run.log_metric(METRIC, outcome.metric, _level(job))
                stored = run.end("completed", None)
            else:
                stored = run.end("failed", outcome.error)
        if stored:
            outcome.run_id = run.run_id
        elif outcome.status == "invalid":
            outcome.run_id = run.write()  # it ends the search and has no result
        else:
            outcome.unwritten = run
        return outcome

    def _run_name(self, job: Job) -> str:
        return f"{self.name}/{job.trial}.{job.rung}"

    def _shares_process(self) -> bool:
        # Dask's workers, say, train several trials in threads of one process.
        return self.in_context or threading.current_thread() is not threading.main_thread()

    def _train(self, job: Job, trial: Trial) -> Outcome:
        if self.briefs is None:
            return self._outcome_of(job, trial)
        began = time.perf_counter()
        outcome = self._outcome_of(job, trial)
        self.briefs.took(time.perf_counter() - began, _amount(job))
        return outcome

    def _outcome_of(self, job: Job, trial: Trial) -> Outcome:
        extra = {**self.kwargs, "trial": trial} if self.takes_trial else self.kwargs
        try:
            returned = self.function(*self.args, **extra)
        except Exception as error:  # noqa: BLE001 (a failed trial is a result)
            return Outcome("failed", error=traceback_of(error))
        except SystemExit as error:
            # A script that gives up (`sys.exit`) ends its trial, not the search.
            return Outcome("failed", error=traceback_of(error))
        try:
            metric = as_number(METRIC, returned)
        except MetricTypeError as error:
            return Outcome("invalid", error=f"{job} returned {_shown(returned)}: {error}")
        if math.isnan(metric):
            return Outcome("failed", error=f"{job} returned NaN")
        return Outcome("completed", metric)

    def _checkpoint(self, job: Job) -> str:
        """The folder of a training, with what the trial left at the rung before."""
        # Texts and not paths: this is on the way of every trial, and few have a checkpoint.
        if self.adopts or not os.path.isdir(self._root):  # noqa: PTH112
            return f"{self._root}{os.sep}trial-{job.trial}{os.sep}{job.rung}"
        folder = self.trial_folder(job.trial) / str(job.rung)
        before = self.trial_folder(job.trial) / str(job.rung - 1)
        if folder.exists():
            # What a training that was cut off has written is not where its result would continue.
            shutil.rmtree(folder, ignore_errors=True)
        if job.rung and before.is_dir():
            if self.keep_previous:
                shutil.copytree(before, folder)
            else:
                before.rename(folder)
        return str(folder)

    def trial_folder(self, trial: int) -> Path:
        """Where a trial keeps its checkpoints."""
        return self.folder / f"trial-{trial}"


def _level(job: Job) -> int:
    """The step at which a training's result is logged."""
    return job.rung if job.budget is None else job.budget


def _amount(job: Job) -> int:
    """How much a training has to do, at the most, in units of which one takes always as long."""
    return 1 if job.budget is None else job.budget


def _takes_trial(function: Callable[..., Any]) -> bool:
    parameter = signature(function).parameters.get("trial")
    return parameter is not None and parameter.kind not in (
        SignatureParameter.VAR_POSITIONAL,
        SignatureParameter.VAR_KEYWORD,
        SignatureParameter.POSITIONAL_ONLY,
    )


def _shown(value: object) -> str:
    return "None, no metric" if value is None else f"{value!r:.80}"
