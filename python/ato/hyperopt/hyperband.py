"""HyperBand: successive halving over a grid, Hyperband, and ASHA, on the configs of a scope."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ato.adict import ADict
from ato.exceptions import NoResultError, SearchOptionError
from ato.hyperopt import brackets as schedules
from ato.hyperopt.base import GridSpaceMixIn, HyperOpt, Mode, check_command_line
from ato.hyperopt.brackets import Bracket, Rung, Variant
from ato.hyperopt.executors import Engine, Portable, engine_for, forget, know, script_of
from ato.hyperopt.grid import Points
from ato.hyperopt.ledger import open_ledger, settings_of
from ato.hyperopt.progress import Progress
from ato.hyperopt.result import Best, first_error
from ato.hyperopt.sampling import GridInOrder, Sampler, sampler_for
from ato.hyperopt.search import Ledger, Nothing, Search
from ato.hyperopt.spaces import parse_spaces
from ato.hyperopt.trial import Work
from ato.scope import Scope
from ato.scope.injection import inject

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger
    from ato.hyperopt.distributed import DistributedHyperBand

__all__ = ["DistributedHyperBand", "HyperBand"]

Scheduler = Literal["hyperband", "halving", "asha"]
_RATE = 0.3


class HyperBand(GridSpaceMixIn, HyperOpt):
    """Finds a good config by training many for a short time and few for a long time.

    Two forms. With `max_budget` the search sets budgets (Hyperband, one bracket of successive
    halving, or ASHA) and draws its configs at random. Without, it is successive halving over the
    whole grid, and what a generation trains is the function's own business: `config.__num_halved__`
    counts the generations, `compute_optimized_initial_training_steps` proposes the steps.

        hyperband = HyperBand(scope, {"lr": {"param_type": "FLOAT", "param_range": (1e-4, 1e-1),
                                             "num_samples": 9, "space_type": "LOG"}})

        @hyperband.main
        def train(config):
            steps = hyperband.compute_optimized_initial_training_steps(10_000)
            return accuracy_after(steps[config.__num_halved__], config)

        best = train()

    Defaults, views and command line of the scope apply below the searched values, alike in every
    trial. The function is called with the trial's config, as `scope` would call it, and may have a
    parameter `trial` (`ato.hyperopt.trial.Trial`). It returns a number. A trial that raises, returns
    NaN, is killed or is overdue ranks last and never goes on. The winner is not trained again: its
    checkpoint is kept, `best.checkpoint_dir`.

    Ctrl-C ends the search with the best that is known (`best.interrupted`).

    Args:
        scope: the scope whose config is varied.
        search_spaces: dotted key → a mapping of `param_type` (FLOAT, INTEGER, CATEGORY),
            `param_range` (lowest, highest; both included), `num_samples` (points of the grid),
            `space_type` (LINEAR, LOG), `base` (of the logarithm), `categories`. Or a callable that
            receives the config with the values chosen so far and returns such a mapping, or `None`.
        halving_rate: the part of the configs that survives a generation, 0.3 if not given.
        num_min_samples: no generation is smaller, but the first if the grid is.
        tracker: an `SQLLogger`: each training is a run of its store. Nothing is stored without.
        mode: `max` or `min`.
        max_budget: what one config may train at most, in whole units of your choice.
        eta: one in `eta` configs survives a rung.
        n_samples: the number of configs for `halving` and `asha`; in all, also after a resume.
        seed: the same seed gives the same trials. The process's own generators are left alone.
        scheduler: `hyperband`; `halving` is one bracket of it, `n_samples` configs at the least
            budget; `asha` promotes a trial as soon as it is among the best `1/eta` of its rung and
            never waits. One bracket (`halving`, `asha`) is unsafe where early ranks mislead:
            a config that is slow to begin with is dropped before its time. What ASHA finds depends
            on the number of workers and on which finishes first; its rungs need
            as many configs as `max_budget` has units for one to be trained in full.
        sampler: `random`; `grid`, its points in shuffled order; a sampler of Optuna's
            (`optuna.samplers.TPESampler()`), whose generators are then seeded by `seed`; or a
            function `(number of the trial, random.Random of its own) -> {key: value}`.
        variant: `paper` is Algorithm 1 of Li et al. 2018, `reference` the authors' code.
        executor: a `concurrent.futures.Executor`. Trials run here, one by one, without.
        processes: run each training in a process of its own, so many at a time. On Linux the
            process is forked from this one, unless CUDA is in use here; elsewhere it is a fresh
            interpreter, which must find the function at the top of a module.
        trial_timeout: seconds after which a training is stopped; needs `processes`. With an
            executor the search goes on without it, and its worker stays busy.
        resume: go on with the last search of this name in the store, if there is one.
        name: the name of the search, the function's if not given.
        checkpoints: the folder for checkpoints; beside the store if not given, without a tracker
            a temporary one.

    Raises:
        SpaceError: a space is wrong; the message names parameter and field.
        SearchOptionError: options are wrong, or do not go together.
    """

    def __init__(
        self,
        scope: Scope,
        search_spaces: Mapping[str, Any],
        halving_rate: float | Fraction | None = None,
        num_min_samples: int = 3,
        tracker: SQLLogger | None = None,
        mode: Mode = "max",
        *,
        max_budget: int | None = None,
        eta: int = 3,
        n_samples: int | None = None,
        seed: int = 0,
        scheduler: Scheduler = "hyperband",
        sampler: Any = "random",
        variant: Variant = "paper",
        executor: Any = None,
        processes: int | None = None,
        trial_timeout: float | None = None,
        resume: bool = False,
        name: str | None = None,
        checkpoints: str | Path | None = None,
    ) -> None:
        super().__init__(scope, search_spaces, tracker, mode)
        self.max_budget = max_budget
        self.eta = eta
        self.n_samples = n_samples
        self.seed = seed
        self.scheduler: Scheduler = scheduler
        self.sampler = sampler
        self.variant: Variant = variant
        self.executor = executor
        self.processes = processes
        self.trial_timeout = trial_timeout
        self.resume = resume
        self.name = name
        self.checkpoints = None if checkpoints is None else Path(checkpoints)
        self.num_min_samples = num_min_samples
        self.halving_rate = halving_rate
        self._check(halving_rate)
        if max_budget is None:
            self.halving_rate = _RATE if halving_rate is None else halving_rate
            self._rate = schedules.exact_rate(self.halving_rate)

    def _check(self, halving_rate: object) -> None:
        _one_of("scheduler", self.scheduler, ("hyperband", "halving", "asha"))
        _one_of("variant", self.variant, ("paper", "reference"))
        _whole("num_min_samples", self.num_min_samples, 1)
        _whole("eta", self.eta, 2)
        _whole("seed", self.seed, None)
        if self.n_samples is not None:
            _whole("n_samples", self.n_samples, 1)
        if self.trial_timeout is not None and not self.trial_timeout > 0:
            raise SearchOptionError(f"trial_timeout is in seconds, not {self.trial_timeout!r}")
        if self.resume and self.tracker is None:
            raise SearchOptionError("resume=True needs a tracker: nothing is stored without one")
        if self.max_budget is not None:
            _whole("max_budget", self.max_budget, 1)
            if halving_rate is not None:
                raise SearchOptionError(
                    "max_budget and halving_rate are two forms of the search; give one: with "
                    "max_budget one in eta configs survives a rung"
                )
            if self.n_samples is not None and self.scheduler == "hyperband":
                raise SearchOptionError(
                    "n_samples is for the schedulers 'halving' and 'asha'; Hyperband's brackets say "
                    "how many configs there are (schedule() shows it)"
                )
        elif self.scheduler == "asha" or self.n_samples is not None or self.sampler != "random":
            raise SearchOptionError(
                "scheduler='asha', n_samples and sampler need max_budget; without it the whole grid "
                "starts in one bracket"
            )

    # ---------------------------------------------------------------- the schedule

    def brackets(self) -> list[Bracket]:
        """The brackets that will run: lists of rungs, each a number of configs and their budget."""
        if self.max_budget is None:
            sizes = schedules.halving_sizes(self._grid_size(), self._rate, self.num_min_samples)
            return [[Rung(size, None) for size in sizes]]
        limit = self._grid_size() if self.sampler == "grid" else None
        if self.scheduler == "hyperband":
            found = schedules.hyperband_brackets(self.max_budget, self.eta, self.variant)
        elif self.scheduler == "halving":
            found = [schedules.halving_bracket(self._samples(), self.max_budget, self.eta)]
        else:
            rungs = enumerate(self._ladder())
            samples = self._samples()
            all_rungs = [Rung(samples // self.eta**rung, budget) for rung, budget in rungs]
            found = [[rung for rung in all_rungs if rung.configs]]
        if limit is None:
            return found
        return [
            [Rung(min(n, max(limit // self.eta**i, 1)), b) for i, (n, b) in enumerate(bracket)]
            for bracket in found
        ]

    def schedule(self) -> None:
        """Print brackets, trials and total budget, from scratch and with checkpoints.

        Of ASHA it is what it comes to where ranks do not change; it may promote a few more.
        """
        print(schedules.schedule_text(self.brackets()))  # noqa: T201 (that is what it is for)

    def num_generations(self) -> int:
        """How many generations run: the rungs of the longest bracket."""
        return max(map(len, self.brackets()))

    def compute_optimized_initial_training_steps(self, max_steps: int) -> list[int]:
        """How many steps each generation trains, for `config.__num_halved__` as the index.

        The last entry is `max_steps`, each is the next times `halving_rate`, rounded up.

        Raises:
            SearchOptionError: the search has budgets, or `max_steps` is no positive integer.
        """
        _whole("max_steps", max_steps, 1)
        if self.max_budget is not None:
            raise SearchOptionError("with max_budget the steps are the budget: config.__budget__")
        return schedules.halving_steps(self.num_generations(), self._rate, max_steps)

    def _ladder(self) -> list[int]:
        """The budgets of ASHA's rungs, which do not depend on the number of configs."""
        assert self.max_budget is not None, "ASHA has budgets"
        depth = schedules.deepest_halving(self.max_budget, self.eta)
        return schedules.rung_budgets(self.max_budget, self.eta, depth)

    def _grid_size(self) -> int:
        space = parse_spaces(self.search_spaces)
        return len(Points(space, self.config if space.is_conditional else None))

    def _samples(self) -> int:
        """The number of configs of one bracket."""
        assert self.max_budget is not None, "the halving form has its grid"
        if self.n_samples is not None:
            return self.n_samples
        if self.sampler == "grid":
            return self._grid_size()
        most: int = self.eta ** schedules.deepest_halving(self.max_budget, self.eta)
        return most

    # ---------------------------------------------------------------- running

    def main(self, func: Callable[..., Any]) -> Callable[..., Best]:
        """Decorate the function that trains a config; calling it runs the search.

        What the call is given is passed on to the function in every trial.

        Returns:
            A function that returns the best that was found, `ato.hyperopt.result.Best`.
        """
        own = getattr(func, "__ato_kind__", None) == "scope"
        function = func if own else inject(func, [self.scope], first=True)

        @wraps(func)
        def launch(*args: Any, **kwargs: Any) -> Best:
            if self.tracker is None:
                return self._launch(launch, function, args, kwargs)
            from ato.db_routers.sql.opening import same_surroundings  # SQLAlchemy loads
            from ato.trace.static import many_runs  # the code of all trials is read once

            with same_surroundings(), many_runs():
                return self._launch(launch, function, args, kwargs)

        vars(launch)["__ato_kind__"] = "search"
        vars(launch)["__ato_search__"] = (self.scope, function)
        return launch

    def _launch(
        self,
        launcher: Callable[..., Any],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Best:
        base = self.config
        space = parse_spaces(self.search_spaces)
        check_command_line(base, space.entries)
        # A scope around the search hands over its own config, and every trial has another.
        args = tuple(given for given in args if given is not base)
        kwargs = {key: given for key, given in kwargs.items() if given is not base}
        name: str = self.name or launcher.__name__
        key = uuid.uuid4().hex
        ledger, name, folder = self._opened(name, base, key)
        settings: dict[str, Any] = {
            "folder": folder,
            "tracker": self.tracker,
            "name": name,
            "keep_previous": self.tracker is not None,
            "in_context": _shares_process(self.executor),
            "args": args,
            "kwargs": kwargs,
        }
        work = Work(self.scope, function, **settings)
        portable = Portable(
            launcher.__module__, launcher.__qualname__, settings, key, script_of(launcher)
        )
        sampler = self._sampler(base)
        engine = self._engine(work, portable)
        know(key, work)
        try:
            return self._search(base, sampler, engine, work, ledger)
        finally:
            forget(key)

    def _search(
        self, base: ADict, sampler: Sampler, engine: Engine, work: Work, ledger: Ledger
    ) -> Best:
        brackets = self.brackets()
        interrupted = False
        with Progress(work.name, brackets, self.mode, sys.stderr) as progress:
            search = Search(base, sampler, engine, work, self.mode, ledger, progress.show)
            try:
                if self.scheduler == "asha":
                    search.asynchronously(self._ladder(), self._samples(), self.eta)
                else:
                    search.by_rungs(brackets)
            except KeyboardInterrupt:
                if search.winner() is None:
                    raise
                interrupted = True
            except Exception:
                ledger.end("failed")
                raise
            finally:
                engine.close()
        winner = search.winner()
        status = "failed" if winner is None else "completed"
        ledger.end("interrupted" if interrupted else status)
        if winner is None:
            raise NoResultError(
                f"every trial of {work.name!r} failed; the first, {first_error(search.results())}"
            )
        if not interrupted:
            search.clean_up(winner)
        kept = work.trial_folder(winner.job.trial) / str(winner.job.rung)
        best = Best(
            base,
            winner,
            search.all_rungs(),
            name=work.name,
            mode=self.mode,
            interrupted=interrupted,
            checkpoint_dir=kept if kept.is_dir() else None,
        )
        progress.end(best)
        return best

    def _sampler(self, base: ADict) -> Sampler:
        space = parse_spaces(self.search_spaces)
        if self.max_budget is None:
            return GridInOrder(space, base)
        return sampler_for(self.sampler, space, base, self.seed, self.mode, self.max_budget)

    def _engine(self, work: Work, portable: Portable) -> Engine:
        return engine_for(work, portable, self.executor, self.processes, self.trial_timeout)

    def _opened(self, name: str, base: ADict, key: str) -> tuple[Ledger, str, Path]:
        """The ledger of the search, its name and the folder for its checkpoints."""
        if self.tracker is None:
            folder = self.checkpoints or Path(tempfile.gettempdir()) / f"ato-search-{key}"
            return Nothing(), name, folder
        ledger = open_ledger(
            self.tracker, name, self.mode, settings_of(self, base), resume=self.resume
        )
        # Two searches of one store never share a name of runs or a folder.
        name = f"{name}-{ledger.search_id}"
        database = self.tracker.engine.url.database
        beside = Path(database) if database and database != ":memory:" else Path("experiments.db")
        folder = self.checkpoints or beside.with_name(f"{beside.name}.checkpoints")
        return ledger, name, folder / name


def __getattr__(name: str) -> Any:
    if name == "DistributedHyperBand":
        from ato.hyperopt.distributed import DistributedHyperBand  # it derives from HyperBand

        return DistributedHyperBand
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _shares_process(executor: Any) -> bool:
    from concurrent.futures import ThreadPoolExecutor  # pulls in logging and queues

    return isinstance(executor, ThreadPoolExecutor)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SearchOptionError(f"{name} is one of {', '.join(known)}, not {value!r:.60}")


def _whole(name: str, value: object, least: int | None) -> None:
    if type(value) is not int or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise SearchOptionError(f"{name} is an integer{bound}, not {value!r:.60}")
