"""Hyperband under torchrun: all ranks train one trial together, or they share out the trials.

Rank 0 runs the search; the other ranks train what it says and receive its result. An error of any
rank, in the trained function or outside, travels to the others as a value.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ato.adict import ADict
from ato.exceptions import ExecutorError, SearchOptionError
from ato.hyperopt.base import Mode, check_command_line
from ato.hyperopt.executors import Done, Engine, Portable
from ato.hyperopt.hyperband import HyperBand
from ato.hyperopt.ledger import StoredLedger
from ato.hyperopt.ranks import Channel, DistributedMixIn
from ato.hyperopt.result import Best, noted_config
from ato.hyperopt.search import Ledger, Nothing
from ato.hyperopt.spaces import parse_spaces
from ato.hyperopt.trial import Job, Outcome, Result, Work, traceback_of
from ato.scope import Scope

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger

__all__ = ["DistributedHyperBand"]

# Seconds for which a rank that failed waits for the others before it ends the job: they may well be
# in a collective that this rank will never enter, and nothing takes a collective back. (To destroy
# the process group does release them under gloo, but it still writes into their tensors then.)
_GRACE = 60.0
_LOOK = 0.5  # seconds between two looks at whether a rank has given up


class DistributedHyperBand(DistributedMixIn, HyperBand):
    """`HyperBand` on the ranks of a torchrun job (gloo or NCCL).

    Every rank makes the same search and calls the decorated function after
    `torch.distributed.init_process_group()`; every rank gets the same result. Without a process
    group the search runs on this process alone, and a warning says so.

    With `mode_parallel="data"` all ranks train one trial at a time together, with the same config;
    rank 0's metric counts, and what other ranks return is ignored. If one rank fails, the trial has
    failed. Where other ranks wait for the one that failed in a collective, it waits 60 s for them,
    then the trial is recorded as failed and the job ends; with a tracker, `resume=True` goes on
    behind it. With `"trials"` each rank trains trials of its own, and the function uses no
    collectives; checkpoints must lie where every rank reads them.

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

    def _opened(self, name: str, base: ADict, key: str) -> tuple[Ledger, str, Path]:
        opened = super()._opened(name, base, key)
        self._ledger = opened[0]
        return opened

    def _engine(self, work: Work, portable: Portable) -> Engine:
        channel = self._channel()
        if channel is None:
            return super()._engine(work, portable)
        work.alone = True
        begin = {"folder": work.folder, "name": work.name, "keep_previous": work.keep_previous}
        ledger = self._ledger
        channel.put("begin", (begin, ledger.place if isinstance(ledger, StoredLedger) else None))
        if self.mode_parallel == "data":
            return _Together(channel, work, self._ledger.add)
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
                settings, place = channel.get("begin")
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
                    if together:
                        _train_along(channel, work, base)
                    else:
                        _train_own(channel, work, base, self._ledger_at(place))
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

    def _ledger_at(self, place: tuple[int, int] | None) -> Ledger:
        """The ledger of rank 0's search, for the results of this rank."""
        if place is None or self.tracker is None:
            return Nothing()
        return StoredLedger(self.tracker, place[0], [], place[1])


# -------------------------------------------------------------------- all ranks, one trial


class _Together:
    """Rank 0's engine where all ranks train one trial."""

    def __init__(self, channel: Channel, work: Work, record: Callable[[Result], None]) -> None:
        self._channel = channel
        self._work = work
        self._record = record
        self._training = False
        self._waiting: deque[tuple[Job, ADict]] = deque()
        self._number = 0
        self._announced: Job | None = None
        self._fatal: str | None = None
        train = work.function

        @wraps(train)
        def announce(*args: Any, **kwargs: Any) -> Any:
            # By now the checkpoint of the rung before is where every rank looks for it.
            channel.put(f"job/{self._number}", self._now)
            self._announced = self._now
            self._training = True
            threading.Thread(target=self._watch, args=(self._number,), daemon=True).start()
            return train(*args, **kwargs)

        work.function = announce

    def has_room(self) -> bool:
        return not self._waiting

    def submit(self, job: Job, config: ADict) -> None:
        self._waiting.append((job, config))

    def wait(self) -> list[Done]:
        if self._fatal is not None:  # the trial of which that is true has been recorded by now
            raise ExecutorError(self._fatal)
        job, config = self._waiting.popleft()
        self._now = job
        outcome = _interruptible(self._work, job, config)
        self._training = False
        if self._announced is not job:  # it failed before the others heard of it
            return [(job, outcome)]
        outcomes = _exchanged(self._channel, self._number, outcome)
        if outcomes is None:
            self._fatal = _stuck(0, outcome)
            return [(job, outcome)]
        self._channel.delete(f"job/{self._number}")
        self._number += 1
        return [(job, _of_all(outcomes))]

    def close(self) -> None:
        self._waiting.clear()

    def _watch(self, number: int) -> None:
        """End this process where another rank has given up while this one waits for it."""
        while self._training and self._number == number:
            time.sleep(_LOOK)
            if not self._channel.has(f"stuck/{number}"):
                continue
            why = self._channel.get(f"stuck/{number}")
            if self._training and self._number == number:
                self._record(Result(self._now, Outcome("failed", error=why)))
                self._channel.put(f"recorded/{number}", True)
                _end_job(why)


def _train_along(channel: Channel, work: Work, base: ADict) -> None:
    """Train with rank 0 until it ends the search."""
    number = 0
    while channel.first_of([f"job/{number}", "end"]) != "end":
        job = channel.get(f"job/{number}")
        outcome = _interruptible(work, job, noted_config(base, job))
        if _exchanged(channel, number, outcome) is None:
            why = _stuck(channel.rank, outcome)
            channel.put(f"stuck/{number}", why)
            channel.first_of([f"recorded/{number}"], _GRACE)
            _end_job(why)
        number += 1


def _exchanged(channel: Channel, number: int, outcome: Outcome) -> list[Outcome] | None:
    """Tell the other ranks how the trial went here, and hear how it went there.

    `None` if it failed and another rank is still at it after a while.
    """
    channel.put(f"done/{number}/{channel.rank}", replace(outcome, reports=[]))
    failed = outcome.status != "completed"
    outcomes = []
    for rank in range(channel.world_size):
        key = f"done/{number}/{rank}"
        if channel.first_of([key], _GRACE if failed else None) is None:
            return None
        outcomes.append(outcome if rank == channel.rank else channel.take(key))
        failed = failed or outcomes[-1].status != "completed"
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


def _stuck(rank: int, outcome: Outcome) -> str:
    return (
        f"rank {rank} failed, and other ranks still wait for it after {_GRACE:g} s, in a collective "
        "that cannot be taken back: the job ends. With a tracker, resume=True goes on behind this "
        f"trial.\n{outcome.error}"
    )


def _end_job(why: str) -> NoReturn:
    """End this process, which no exception can: its main thread may be inside a collective."""
    sys.stderr.write(f"{why}\n")
    sys.stderr.flush()
    os._exit(1)


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


def _train_own(channel: Channel, work: Work, base: ADict, ledger: Ledger) -> None:
    """Draw jobs and train them until rank 0 ends the search.

    Results are kept here: rank 0, which takes them in only when its own training is over, may be
    killed until then. It keeps them once more, which changes nothing.
    """
    while True:
        number = channel.next_number("drawn")
        if channel.first_of([f"job/{number}", "end"]) == "end":
            return
        job = channel.get(f"job/{number}")
        if job is None:
            continue
        outcome = _interruptible(work, job, noted_config(base, job))
        if outcome.status in ("completed", "failed"):
            ledger.add(Result(job, outcome))
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
