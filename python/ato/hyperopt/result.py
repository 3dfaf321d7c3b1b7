"""What a search found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ato.adict import ADict
from ato.fingerprints import value_hex
from ato.hyperopt.base import Mode, trial_config
from ato.hyperopt.trial import Job, Result
from ato.provenance import Origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Best", "noted_config", "ranked"]


def noted_config(base: ADict, job: Job) -> ADict:
    """The config of a training: the common one, the searched values, and what the search notes."""
    config = trial_config(base, job.values, Origin.search(job.trial))
    config["__trial__"] = job.trial
    config["__num_halved__"] = job.rung
    if job.budget is not None:
        config["__budget__"] = job.budget
    return config


def ranked(results: Sequence[Result], mode: Mode) -> list[Result]:
    """The results from the best to the worst; failures come last, equals in the order of trials."""
    sign = -1 if mode == "max" else 1

    def rank(result: Result) -> tuple[bool, float, int]:
        if not result.succeeded:
            return True, 0.0, result.job.trial
        return False, sign * result.outcome.metric, result.job.trial

    return sorted(results, key=rank)


class Best:
    """The best config of a search, its metric, and how it was found.

    Attributes:
        config: the config of the winner.
        metric: its metric at the largest budget that a trial has completed.
        rungs: the results, rung by rung, each from the best to the worst.
        run_id: the winner's run in the store; `None` without a tracker.
        name: the name of the search.
        interrupted: whether Ctrl-C ended the search before it was complete.
        checkpoint_dir: where the winner's checkpoint lies, if it wrote one.
    """

    def __init__(
        self,
        base: ADict,
        winner: Result,
        rungs: Sequence[Sequence[Result]],
        *,
        name: str,
        mode: Mode,
        interrupted: bool = False,
        checkpoint_dir: Path | None = None,
    ) -> None:
        self.metric = winner.outcome.metric
        self.run_id = winner.outcome.run_id
        self.rungs = rungs
        self.name = name
        self.mode = mode
        self.interrupted = interrupted
        self.checkpoint_dir = checkpoint_dir
        self._base = base
        self.config = self._logged(winner)

    def __repr__(self) -> str:
        note = self.config["__trial__"]
        return f"Best(metric={self.metric!r}, trial={note}, rungs={len(self.rungs)})"

    @cached_property
    def logs(self) -> list[list[ADict]]:
        """The rungs as configs, each with its `__metric__` (NaN of a failure), the best first."""
        return [[self._logged(result) for result in rung] for rung in self.rungs]

    @property
    def failures(self) -> list[Result]:
        """The trainings that failed; `result.outcome.error` says why."""
        return [result for rung in self.rungs for result in rung if not result.succeeded]

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw rungs, parallel coordinates and the importance of each parameter.

        The result is a matplotlib figure (a notebook shows it); with `path` it is written there too.

        Raises:
            SearchError: the extra is missing: `pip install 'ato-rs[plot]'`.
        """
        from ato.hyperopt.plots import plot  # matplotlib loads

        return plot(self, path)

    @cached_property
    def digest(self) -> str:
        """A fingerprint of the whole result: trials, values, budgets, metrics, and their order."""
        return value_hex(
            [
                [
                    (
                        result.job.trial,
                        result.job.bracket,
                        result.job.rung,
                        result.job.budget,
                        dict(result.job.values),
                        result.outcome.metric,
                        result.succeeded,
                    )
                    for result in rung
                ]
                for rung in self.rungs
            ]
        )

    def _logged(self, result: Result) -> ADict:
        config = noted_config(self._base, result.job)
        config["__metric__"] = result.outcome.metric
        return config


def first_error(results: Sequence[Result]) -> str:
    """The first failure, for a search in which there is nothing else."""
    for result in results:
        if result.outcome.error:
            return f"{result.job}:\n{result.outcome.error.strip()}"
    return "no trial was run"


def level(job: Job) -> float:
    """How far a training went: metrics are compared among the furthest only."""
    return job.rung if job.budget is None else job.budget


def winner_of(results: Sequence[Result], mode: Mode) -> Result | None:
    """The best result among those that were trained furthest; `None` if all failed."""
    furthest = max((level(r.job) for r in results if r.succeeded), default=-math.inf)
    last = [r for r in results if r.succeeded and level(r.job) == furthest]
    return ranked(last, mode)[0] if last else None
