"""Hyperband under torchrun: all ranks train one trial together, or they share out the trials.

Rank 0 runs the search; the other ranks train what it says and receive its result. An error of any
rank, in the trained function or outside, travels to the others as a value.
"""

from __future__ import annotations

import pickle
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from ato.adict import ADict
from ato.exceptions import ExecutorError, SearchOptionError
from ato.hyperopt.base import Mode, check_command_line
from ato.hyperopt.executors import Done, Engine, Portable
from ato.hyperopt.hyperband import HyperBand
from ato.hyperopt.ranks import Channel, DistributedMixIn
from ato.hyperopt.result import Best, noted_config
from ato.hyperopt.spaces import parse_spaces
from ato.hyperopt.trial import Job, Outcome, Work, traceback_of
from ato.scope import Scope

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger

__all__ = ["DistributedHyperBand"]

# How long a rank that failed waits for the others before it breaks the process group: they may well
# be in a collective that this rank will never enter.
_GRACE = 10.0


class DistributedHyperBand(DistributedMixIn, HyperBand):
    """`HyperBand` on the ranks of a torchrun job (gloo or NCCL).

    Every rank makes the same search and calls the decorated function after
    `torch.distributed.init_process_group()`; every rank gets the same result. Without a process
    group the search runs on this process alone, and a warning says so.

    With `mode_parallel="data"` all ranks train one trial at a time together, with the same config;
    rank 0's metric counts, and what other ranks return is ignored. If one rank fails, the trial has
    failed: ranks that wait for it in a collective are released after 10 s by ending the process
    group, which is then made anew (groups of your own, `new_group`, are not). Under NCCL a rank is
    released by NCCL's own timeout, which ends the job. With `"trials"` each rank trains trials of
    its own, and the function uses no collectives; checkpoints must lie where every rank reads them.

    With a tracker rank 0 stores the search and the runs; with `"trials"` each rank stores its runs.

    Args:
        rank: this process among `world_size`; both come from the process group if not given.
        world_size: the number of processes.
        backend: `pytorch`.
        mode_parallel: `data` or `trials`.
        options: all others of `HyperBand`, but `executor`, `processes` and `trial_timeout`.

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
        rank: int | None = None,
        world_size: int | None = None,
        backend: str = "pytorch",
        *,
        mode_parallel: Literal["data", "trials"] = "data",
        **options: Any,
    ) -> None:
        if mode_parallel not in ("data", "trials"):
            raise SearchOptionError(
                f"mode_parallel is 'data' or 'trials', not {mode_parallel!r:.60}"
            )
        for name in ("executor", "processes", "trial_timeout"):
            if options.get(name) is not None:
                raise SearchOptionError(
                    f"{name} is not for a DistributedHyperBand: its trials run on the ranks"
                )
        DistributedMixIn.__init__(self, rank, world_size, backend)
        HyperBand.__init__(
            self, scope, search_spaces, halving_rate, num_min_samples, tracker, mode, **options
        )
        self.mode_parallel = mode_parallel

    def _launch(
        self,
        launcher: Callable[..., Any],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Best:
        self._opened_channel = None  # each search has its own, and the group may be another by now
        channel = self._channel()
        if channel is None:
            warnings.warn(
                "no process group is initialised: the search runs on this process alone (call "
                "torch.distributed.init_process_group() first, and start with torchrun)",
                stacklevel=3,
            )
            return super()._launch(launcher, function, args, kwargs)
        if channel.rank:
            return self._follow(channel, function, args, kwargs)
        try:
            best = super()._launch(launcher, function, args, kwargs)
        except BaseException as error:
            channel.put("end", _sendable(error))
            channel.part()
            raise
        channel.put("end", best)
        channel.part()
        return best

    def _engine(self, work: Work, portable: Portable) -> Engine:
        channel = self._channel()
        if channel is None:
            return super()._engine(work, portable)
        work.alone = True
        begin = {"folder": work.folder, "name": work.name, "keep_previous": work.keep_previous}
        channel.put("begin", begin)
        if self.mode_parallel == "data":
            return _Together(channel, work)
        return _SharedOut(channel, work, eager=self.scheduler == "asha")

    def _follow(
        self,
        channel: Channel,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Best:
        """The life of the ranks above 0: train what rank 0 says until it says what was found."""
        try:
            base = self.config
            check_command_line(base, parse_spaces(self.search_spaces).entries)
            args = tuple(given for given in args if given is not base)
            kwargs = {key: given for key, given in kwargs.items() if given is not base}
            if channel.first_of(["begin", "end"]) == "begin":
                settings = channel.get("begin")
                together = self.mode_parallel == "data"
                work = Work(
                    self.scope,
                    _without_result(function) if together else function,
                    tracker=None if together else self.tracker,
                    args=args,
                    kwargs=kwargs,
                    **settings,
                )
                work.alone, work.adopts = True, together
                try:
                    (_train_along if together else _train_own)(channel, work, base)
                except KeyboardInterrupt:
                    # Rank 0 has been interrupted too, and is about to say what is known.
                    if channel.first_of(["end"], _GRACE) is None:
                        raise
            end = channel.get("end")
        except BaseException as error:
            channel.leave(f"rank {channel.rank} has left the search: {traceback_of(error)}")
            raise
        channel.part()
        if isinstance(end, BaseException):
            raise end
        found: Best = end
        return found


# -------------------------------------------------------------------- all ranks, one trial


class _Together:
    """Rank 0's engine where all ranks train one trial."""

    def __init__(self, channel: Channel, work: Work) -> None:
        self._channel = channel
        self._work = work
        self._waiting: deque[tuple[Job, ADict]] = deque()
        self._number = 0
        self._announced: Job | None = None
        train = work.function

        @wraps(train)
        def announce(*args: Any, **kwargs: Any) -> Any:
            # By now the checkpoint of the rung before is where every rank looks for it.
            channel.put(f"job/{self._number}", self._now)
            self._announced = self._now
            return train(*args, **kwargs)

        work.function = announce

    def has_room(self) -> bool:
        return not self._waiting

    def submit(self, job: Job, config: ADict) -> None:
        self._waiting.append((job, config))

    def wait(self) -> list[Done]:
        job, config = self._waiting.popleft()
        self._now = job
        outcome = _interruptible(self._work, job, config)
        if self._announced is not job:  # it failed before the others heard of it
            return [(job, outcome)]
        outcomes = _exchanged(self._channel, self._number, outcome)
        self._channel.delete(f"job/{self._number}")
        self._number += 1
        return [(job, _of_all(outcomes))]

    def close(self) -> None:
        self._waiting.clear()


def _train_along(channel: Channel, work: Work, base: ADict) -> None:
    """Train with rank 0 until it ends the search."""
    number = 0
    while channel.first_of([f"job/{number}", "end"]) != "end":
        job = channel.get(f"job/{number}")
        outcome = _interruptible(work, job, noted_config(base, job))
        _exchanged(channel, number, outcome)
        number += 1


def _exchanged(channel: Channel, number: int, outcome: Outcome) -> list[Outcome]:
    """Tell the other ranks how the trial went here, and hear how it went there."""
    channel.put(f"done/{number}/{channel.rank}", replace(outcome, reports=[]))
    failed = outcome.status != "completed"
    outcomes = []
    for rank in range(channel.world_size):
        key = f"done/{number}/{rank}"
        there = channel.first_of([key], _GRACE if failed else None)
        if there is None and channel.settle(f"fate/{number}", "broken") == "broken":
            channel.break_group()
        outcomes.append(outcome if rank == channel.rank else channel.take(key))
        failed = failed or outcomes[-1].status != "completed"
    if channel.settle(f"fate/{number}", "whole") == "broken":
        channel.renew_group()
    return outcomes


def _of_all(outcomes: list[Outcome]) -> Outcome:
    """The outcome of rank 0, unless another rank failed."""
    first = outcomes[0]
    for status in ("interrupted", "broken"):
        for outcome in outcomes:
            if outcome.status == status:
                return outcome
    failed = [
        f"rank {rank}: {outcome.error}"
        for rank, outcome in enumerate(outcomes)
        if outcome.status != "completed" and (rank or first.status != "invalid")
    ]
    if first.status == "invalid" or not failed:
        return first
    return Outcome(
        "failed",
        error="\n".join(failed),
        reports=first.reports,
        run_id=first.run_id,
        duration=first.duration,
    )


def _without_result(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for ranks whose metric does not count."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> float:
        function(*args, **kwargs)
        return 0.0

    return call


# -------------------------------------------------------------------- each rank its own trials


class _SharedOut:
    """Rank 0's engine where each rank trains trials of its own; rank 0 does too.

    A job has a number, and whoever is free draws the next one.
    """

    def __init__(self, channel: Channel, work: Work, *, eager: bool) -> None:
        self._channel = channel
        self._work = work
        # A rung is posted as a whole. ASHA decides late, so that none waits there.
        self._limit = channel.world_size if eager else None
        self._jobs: dict[int, tuple[Job, ADict]] = {}
        self._posted = 0
        self._drawn: int | None = None
        self._received = 0

    def has_room(self) -> bool:
        return self._limit is None or len(self._jobs) < self._limit

    def submit(self, job: Job, config: ADict) -> None:
        self._jobs[self._posted] = (job, config)
        self._channel.put(f"job/{self._posted}", job)
        self._posted += 1

    def wait(self) -> list[Done]:
        while True:
            done = self._came()
            if done:
                return done
            if self._drawn is None:
                self._drawn = self._channel.next_number("drawn")
            if self._drawn < self._posted:
                number, self._drawn = self._drawn, None
                job, config = self._jobs[number]
                outcome = _interruptible(self._work, job, config)
                return [self._over(number, outcome), *self._came()]
            self._channel.first_of([f"result/{self._received}"])

    def close(self) -> None:
        """What a rank trains it trains to the end; what no rank has drawn is taken back."""
        for number in self._jobs:
            self._channel.put(f"job/{number}", None)

    def _came(self) -> list[Done]:
        done = []
        while self._channel.has(f"result/{self._received}"):
            number, outcome = self._channel.get(f"result/{self._received}")
            self._channel.delete(f"result/{self._received}")
            self._received += 1
            done.append(self._over(number, outcome))
        return done

    def _over(self, number: int, outcome: Outcome) -> Done:
        job, _ = self._jobs.pop(number)
        self._channel.delete(f"job/{number}")
        return job, outcome


def _train_own(channel: Channel, work: Work, base: ADict) -> None:
    """Draw jobs and train them until rank 0 ends the search."""
    while True:
        number = channel.next_number("drawn")
        if channel.first_of([f"job/{number}", "end"]) == "end":
            return
        job = channel.get(f"job/{number}")
        if job is None:
            continue
        outcome = _interruptible(work, job, noted_config(base, job))
        channel.put(f"result/{channel.next_number('results')}", (number, outcome))


# -------------------------------------------------------------------- both


def _interruptible(work: Work, job: Job, config: ADict) -> Outcome:
    """Train; that somebody asked this rank to end is an outcome too, and rank 0's to judge."""
    try:
        return work(job, config)
    except KeyboardInterrupt:
        return Outcome("interrupted", error=f"{job} was interrupted")
    except BaseException as error:  # noqa: BLE001 (the function's own errors are outcomes)
        return Outcome("broken", error=f"{job}: {traceback_of(error)}")


def _sendable(error: BaseException) -> BaseException:
    """The error for the other ranks; as a text where it cannot be sent."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (made here)
    except Exception:  # noqa: BLE001 (an exception may have any constructor)
        copy = None
    if isinstance(copy, type(error)):
        return copy
    return ExecutorError(f"rank 0 ended the search: {traceback_of(error)}")
