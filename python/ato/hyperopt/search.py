"""Running a search: brackets rung by rung, or promotions as they come."""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ato.adict import ADict
from ato.exceptions import ExecutorError, TrialResultError
from ato.hyperopt.base import Mode
from ato.hyperopt.brackets import Bracket
from ato.hyperopt.executors import Engine
from ato.hyperopt.result import level, noted_config, ranked, winner_of
from ato.hyperopt.sampling import Sampler
from ato.hyperopt.trial import Job, Outcome, Result, Work

__all__ = ["Ledger", "Search"]


class Ledger(Protocol):
    """Keeps results, so that a search that was cut off can go on."""

    def known(self) -> Sequence[tuple[int, int]]:
        """Trial and rung of each result that is kept already."""

    def find(self, job: Job) -> Outcome | None:
        """What is known of a training.

        Raises:
            ResumeError: the training had other values then.
        """

    def add(self, result: Result) -> None:
        """Keep a result for good."""

    def end(self, status: str) -> None:
        """The search is over: `completed`, `interrupted` or `failed`."""


class Nothing:
    """The ledger of a search without a tracker."""

    def known(self) -> Sequence[tuple[int, int]]:
        """Nothing is kept."""
        return ()

    def find(self, job: Job) -> Outcome | None:
        """Nothing is kept."""
        return None

    def add(self, result: Result) -> None:
        """Nothing is kept."""

    def end(self, status: str) -> None:
        """Nothing is kept."""


class Search:
    """One search while it runs: trials are asked for, trained, ranked and dropped."""

    def __init__(
        self,
        base: ADict,
        sampler: Sampler,
        engine: Engine,
        work: Work,
        mode: Mode,
        ledger: Ledger,
        watch: Callable[[Search], None],
    ) -> None:
        self.base = base
        self.mode = mode
        # The results rung by rung, each from the best to the worst.
        self.rungs: list[list[Result]] = []
        self.best: Result | None = None
        self.running = 0
        self.trained = 0
        self.spent = 0
        # What a rung in the making has so far, for a search that is interrupted.
        self._unranked: list[Result] = []
        self._values: dict[int, Mapping[str, Any]] = {}
        self._next_trial = 0
        self._sampler = sampler
        self._engine = engine
        self._work = work
        self._ledger = ledger
        self._watch = watch

    # ---------------------------------------------------------------- by rungs

    def by_rungs(self, brackets: Iterable[Bracket]) -> None:
        """Run brackets of successive halving, one after the other."""
        for number, bracket in enumerate(brackets):
            wanted = bracket[0].configs
            limit = self._sampler.limit
            trials = self._new_trials(wanted if limit is None else min(wanted, limit))
            before = 0
            for rung, (configs, budget) in enumerate(bracket):
                jobs = [
                    Job(trial, number, rung, budget, before, self._values[trial])
                    for trial in trials[:configs]
                ]
                results = self._train(jobs)
                self.rungs.append(results)
                left = bracket[rung + 1].configs if rung + 1 < len(bracket) else 0
                # A failure never goes on: the bracket shrinks instead.
                trials = [result.job.trial for result in results if result.succeeded][:left]
                self._drop_checkpoints(jobs, trials)
                if not trials:
                    break
                before = budget or 0

    def _train(self, jobs: Sequence[Job]) -> list[Result]:
        """Train a rung; return its results from the best to the worst."""
        found: dict[int, Result] = {}
        waiting: deque[Job] = deque()
        self._unranked = []
        for job in jobs:
            outcome = self._ledger.find(job)
            if outcome is None:
                waiting.append(job)
            else:
                found[job.trial] = self._took_over(Result(job, outcome))
        while waiting or self.running:
            while waiting and self._engine.has_room():
                self._submit(waiting.popleft())
            self._watch(self)
            for result in self._finished():
                found[result.job.trial] = result
        self._unranked = []
        for job in jobs:
            self._sampler.tell(found[job.trial])
        return ranked(list(found.values()), self.mode)

    # ---------------------------------------------------------------- asynchronously

    def asynchronously(self, budgets: Sequence[int], trials: int, eta: int) -> None:
        """Promote whoever is among the best `1/eta` of a rung as soon as that is known (ASHA).

        Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. Which
        trials go on depends on the order in which they finish.
        """
        self.rungs = [[] for _ in budgets]
        promoted: list[set[int]] = [set() for _ in budgets]
        begun = deque(self._recalled(budgets, promoted))
        while True:
            while self._engine.has_room():
                job = self._promotion(budgets, promoted, eta)
                if job is None and begun:
                    job = self._job(begun.popleft(), 0, budgets)
                if job is None and self._next_trial < trials:
                    job = self._job(self._new_trials(1)[0], 0, budgets)
                if job is None:
                    break
                self._submit(job)
            if not self.running:
                break
            self._watch(self)
            for result in self._finished():
                self._unranked.remove(result)
                self.rungs[result.job.rung].append(result)
                self._sampler.tell(result)
        for rung, results in enumerate(self.rungs):
            gone = [r.job for r in results if r.job.trial not in promoted[rung]]
            self._drop_checkpoints(gone, ())
        self.rungs = [ranked(results, self.mode) for results in self.rungs if results]

    def _recalled(self, budgets: Sequence[int], promoted: list[set[int]]) -> list[int]:
        """Take over what is known; return the trials that were begun and have no result yet."""
        known = self._ledger.known()
        last = max((trial for trial, _ in known), default=-1)
        self._new_trials(last + 1)
        for trial, rung in known:
            job = self._job(trial, rung, budgets)
            outcome = self._ledger.find(job)
            assert outcome is not None, "the ledger knows it"
            result = self._took_over(Result(job, outcome))
            self._unranked.remove(result)
            self.rungs[rung].append(result)
            self._sampler.tell(result)
            if rung:
                promoted[rung - 1].add(trial)
        there = {result.job.trial for result in self.rungs[0]}
        return [trial for trial in range(last + 1) if trial not in there]

    def _promotion(self, budgets: Sequence[int], promoted: list[set[int]], eta: int) -> Job | None:
        for rung in range(len(budgets) - 2, -1, -1):
            results = self.rungs[rung]
            for result in ranked(results, self.mode)[: len(results) // eta]:
                if result.succeeded and result.job.trial not in promoted[rung]:
                    promoted[rung].add(result.job.trial)
                    return self._job(result.job.trial, rung + 1, budgets)
        return None

    def _job(self, trial: int, rung: int, budgets: Sequence[int]) -> Job:
        before = budgets[rung - 1] if rung else 0
        return Job(trial, 0, rung, budgets[rung], before, self._values[trial])

    # ---------------------------------------------------------------- both

    def _new_trials(self, count: int) -> list[int]:
        first = self._next_trial
        self._next_trial = first + count
        for trial in range(first, self._next_trial):
            self._values[trial] = self._sampler.ask(trial)
        return list(range(first, self._next_trial))

    def _submit(self, job: Job) -> None:
        self._engine.submit(job, noted_config(self.base, job))
        self.running += 1

    def _finished(self) -> list[Result]:
        results = []
        for job, outcome in self._engine.wait():
            self.running -= 1
            if outcome.status == "invalid":
                raise TrialResultError(outcome.error)
            if outcome.status == "broken":
                raise ExecutorError(outcome.error)
            if outcome.status == "interrupted":
                raise KeyboardInterrupt
            result = Result(job, outcome)
            self._ledger.add(result)
            results.append(self._took_over(result))
        return results

    def _took_over(self, result: Result) -> Result:
        self._unranked.append(result)
        self.trained += 1
        self.spent += result.job.budget or 0
        if result.succeeded:
            best = self.best
            if best is None or level(result.job) > level(best.job):
                self.best = result
            elif level(result.job) == level(best.job):
                self.best = ranked([best, result], self.mode)[0]
        return result

    def _drop_checkpoints(self, jobs: Iterable[Job], kept: Sequence[int]) -> None:
        """Delete the checkpoints of losers, but that of the best so far."""
        if not self._work.folder.exists():
            return
        staying = {*kept, self.best.job.trial if self.best is not None else -1}
        for job in jobs:
            folder = self._work.trial_folder(job.trial)
            if job.trial not in staying:
                shutil.rmtree(folder, ignore_errors=True)
            elif job.rung:
                # With the result in the store nobody begins from the rung before again.
                shutil.rmtree(folder / str(job.rung - 1), ignore_errors=True)

    def results(self) -> list[Result]:
        """Everything that is known by now."""
        return [result for rung in self.rungs for result in rung] + self._unranked

    def all_rungs(self) -> list[list[Result]]:
        """The rungs, with what one that was cut off has."""
        cut = [ranked(self._unranked, self.mode)] if self._unranked else []
        return [*(ranked(rung, self.mode) for rung in self.rungs if rung), *cut]

    def winner(self) -> Result | None:
        """The best result among those that were trained furthest."""
        return winner_of(self.results(), self.mode)

    def clean_up(self, winner: Result | None) -> None:
        """Delete every checkpoint but the winner's."""
        kept = None if winner is None else self._work.trial_folder(winner.job.trial)
        with contextlib.suppress(OSError):
            for folder in self._work.folder.iterdir():
                if folder != kept:
                    shutil.rmtree(folder, ignore_errors=True)
            self._work.folder.rmdir()
