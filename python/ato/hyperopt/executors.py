"""Where trials run: here, each in a process of its own, or in anybody's executor.

An engine takes trainings with `submit` while it `has_room`, and `wait` answers with those that are
done. Which of several runs first never changes the result of a search by rungs: results are ranked
when the rung is complete.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ato.adict import ADict
from ato.exceptions import ExecutorError, SearchOptionError
from ato.hyperopt.trial import Job, Outcome, Work, traceback_of

__all__ = ["Engine", "Futures", "Inline", "Portable", "Processes", "engine_for", "script_of"]

Done = tuple[Job, Outcome]

_MAIN = "__mp_main__"
_GRACE = 5.0  # seconds that a process has to end by itself after Ctrl-C
_LOOK = 0.5  # seconds between two looks at whether a process is still there


class Engine(Protocol):
    """Runs trainings; one method call at a time."""

    def has_room(self) -> bool:
        """Whether another training would begin at once."""

    def submit(self, job: Job, config: ADict) -> None:
        """Take a training."""

    def wait(self) -> list[Done]:
        """Wait until at least one training is done."""

    def close(self) -> None:
        """Stop what is running and let go of every process."""


def engine_for(
    work: Work,
    portable: Portable,
    executor: Any,
    processes: int | None,
    timeout: float | None,
) -> Engine:
    """The engine for the options of a search.

    Raises:
        SearchOptionError: the options do not go together.
    """
    if executor is not None and processes is not None:
        raise SearchOptionError("give executor= or processes=, not both")
    if processes is not None:
        return Processes(work, portable, processes, timeout)
    if executor is not None:
        if not callable(getattr(executor, "submit", None)):
            raise SearchOptionError(
                f"executor is a concurrent.futures.Executor (it has submit), not {executor!r:.80}"
            )
        return Futures(work, portable, executor, timeout)
    if timeout is not None:
        raise SearchOptionError(
            "trial_timeout needs processes=N: a trial that runs in this process cannot be stopped"
        )
    return Inline(work)


class Inline:
    """Runs each training here, in the order in which they come."""

    def __init__(self, work: Work) -> None:
        work.expect_briefs()
        self._work = work
        self._waiting: deque[tuple[Job, ADict]] = deque()

    def has_room(self) -> bool:
        """One at a time."""
        return not self._waiting

    def submit(self, job: Job, config: ADict) -> None:
        """Keep the training for `wait`."""
        self._waiting.append((job, config))

    def wait(self) -> list[Done]:
        """Run it."""
        job, config = self._waiting.popleft()
        return [(job, self._work(job, config))]

    def close(self) -> None:
        """Nothing runs between two calls."""
        self._waiting.clear()


@dataclass(slots=True)
class Portable:
    """How another process finds the trained function again: by the name of its launcher.

    The function itself cannot be pickled: its name is that of the launcher that `main` returned.
    `work` is what a process that was forked from this one has already.
    """

    module: str
    name: str
    settings: dict[str, Any]
    key: str
    # Where the script lies whose `__main__` this is: another process has another one.
    script: str | None = None
    # The program's command line: a worker of Ray's, say, has one of its own, which no scope may read.
    arguments: list[str] = field(default_factory=lambda: list(sys.argv))

    def run(self, job: Job, config: ADict) -> Outcome:
        """Train in this process, whichever it is."""
        if sys.argv != self.arguments:
            sys.argv = list(self.arguments)
        return self._found()(job, config)

    def _found(self) -> Work:
        work = _works.get(self.key)
        if work is None:
            try:
                launcher: Any = self._module()
                for part in self.name.split("."):
                    launcher = getattr(launcher, part)
                scope, function = launcher.__ato_search__
            except (ImportError, AttributeError):
                raise ExecutorError(
                    f"another process cannot find {self.module}.{self.name}: define the function "
                    "that is searched at the top of a module, or use processes=N on Linux"
                ) from None
            work = _works[self.key] = Work(scope, function, **self.settings)
        return work

    def _module(self) -> Any:
        if self.script is None or hasattr(sys.modules["__main__"], self.name.partition(".")[0]):
            return importlib.import_module(self.module)
        # As multiprocessing does it: under a name with which the script does not start its work.
        known = sys.modules.get(_MAIN)
        if known is not None and getattr(known, "__file__", None) == self.script:
            return known
        spec = importlib.util.spec_from_file_location(_MAIN, self.script)
        if spec is None or spec.loader is None or not os.path.exists(self.script):  # noqa: PTH110
            raise ImportError(self.script)
        module = importlib.util.module_from_spec(spec)
        folder = os.path.dirname(self.script)  # noqa: PTH120 (a text, as sys.path has them)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        sys.modules[_MAIN] = module
        spec.loader.exec_module(module)
        return module


# The work of each search that runs in this process, or in the one that this was forked from.
_works: dict[str, Work] = {}


def script_of(launcher: Callable[..., Any]) -> str | None:
    """The script that defines a launcher in its `__main__`; `None` of a module, which has a name."""
    if launcher.__module__ != "__main__":
        return None
    file = getattr(sys.modules["__main__"], "__file__", None)
    return None if file is None else os.path.abspath(file)  # noqa: PTH100 (it is sent elsewhere)


def know(key: str, work: Work) -> None:
    """Let processes that are forked from now on find the work of a search."""
    _works[key] = work


def forget(key: str) -> None:
    """Let go of the work of a search that is over."""
    _works.pop(key, None)


@dataclass(slots=True)
class _Running:
    job: Job
    process: Any
    pipe: Connection
    deadline: float | None


class Processes:
    """Runs each training in a process of its own, so many at once: what kills it costs one trial."""

    def __init__(
        self, work: Work, portable: Portable, number: int, timeout: float | None = None
    ) -> None:
        if type(number) is not int or number < 1:
            raise SearchOptionError(f"processes is a number, 1 or more, not {number!r:.60}")
        self._work = work
        self._portable = portable
        self._number = number
        self._timeout = timeout
        self._running: list[_Running] = []
        self._context: Any = multiprocessing.get_context(_start_method())
        if work.tracker is not None and self._context.get_start_method() == "fork":
            _load_for_runs()

    def has_room(self) -> bool:
        """Whether fewer than N run."""
        return len(self._running) < self._number

    def submit(self, job: Job, config: ADict) -> None:
        """Start a process for the training."""
        mine, theirs = self._context.Pipe(duplex=False)
        forked = self._context.get_start_method() == "fork"
        train: Callable[[Job, ADict], Outcome] = self._work if forked else self._portable.run
        process = self._context.Process(
            target=_run_and_send, args=(theirs, train, job, config), name=f"ato-trial-{job.trial}"
        )
        with warnings.catch_warnings():
            # The child runs one function and ends; no lock of another thread is taken there.
            warnings.filterwarnings(
                "ignore", "This process .* is multi-threaded", DeprecationWarning
            )
            process.start()
        theirs.close()
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        self._running.append(_Running(job, process, mine, deadline))

    def wait(self) -> list[Done]:
        """Wait until a process has sent its outcome, is gone, or has had its time."""
        while True:
            now = time.monotonic()
            deadlines = [r.deadline for r in self._running if r.deadline is not None]
            # A pipe is ready when it holds an outcome and when its other end is gone; processes
            # that the trial itself started may hold that end, so that one looks now and then.
            left = max(0.0, min([_LOOK, *(deadline - now for deadline in deadlines)]))
            ready = wait([running.pipe for running in self._running], left)
            now = time.monotonic()
            done = []
            for running in list(self._running):
                if running.pipe in ready or not running.process.is_alive():
                    done.append((running.job, self._received(running)))
                elif running.deadline is not None and now >= running.deadline:
                    done.append((running.job, self._timed_out(running)))
            if done:
                return done

    def close(self) -> None:
        """Interrupt what is running; kill what does not end."""
        for running in self._running:
            if running.process.is_alive() and running.process.pid is not None:
                os.kill(
                    running.process.pid, signal.SIGINT if os.name == "posix" else signal.SIGTERM
                )
        until = time.monotonic() + _GRACE
        for running in list(self._running):
            running.process.join(max(0.0, until - time.monotonic()))
            self._end(running)

    def _received(self, running: _Running) -> Outcome:
        try:
            outcome = running.pipe.recv() if running.pipe.poll() else None
        except (EOFError, OSError):
            outcome = None
        except Exception as error:  # noqa: BLE001 (half a message of a process that was killed)
            outcome = Outcome("killed", error=f"its outcome cannot be read: {error!r}")
        running.process.join()
        code = running.process.exitcode
        self._end(running)
        if isinstance(outcome, Outcome):
            return outcome
        return Outcome("killed", error=_ending(running.job, code))

    def _timed_out(self, running: _Running) -> Outcome:
        self._end(running)
        return Outcome(
            "timeout",
            error=f"{running.job} ran longer than {self._timeout:g} s and was stopped",
            duration=self._timeout or 0.0,
        )

    def _end(self, running: _Running) -> None:
        if running.process.is_alive():
            running.process.kill()
        running.process.join()
        running.process.close()
        running.pipe.close()
        self._running.remove(running)


class Futures:
    """Runs trainings in an executor of the user's, as many at once as it takes."""

    def __init__(
        self, work: Work, portable: Portable, executor: Any, timeout: float | None = None
    ) -> None:
        self._executor = executor
        self._timeout = timeout
        self._running: dict[Any, Job] = {}
        self._since: dict[Any, float] = {}
        threads = isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        # Threads share what the process has; other executors may send their work anywhere.
        self._train: Callable[[Job, ADict], Outcome] = work if threads else portable.run
        if threads:
            work.expect_briefs()
        self._limit = _workers(executor)

    def has_room(self) -> bool:
        """As many as the executor has workers; the rest would only wait there."""
        return len(self._running) < self._limit

    def submit(self, job: Job, config: ADict) -> None:
        """Hand the training over."""
        try:
            future = self._executor.submit(self._train, job, config)
        except RuntimeError as error:
            raise ExecutorError(f"{job}: the executor takes no more work: {error}") from error
        self._running[future] = job

    def wait(self) -> list[Done]:
        """Wait until a training is done, or has had its time."""
        while True:
            pause = None if self._timeout is None else min(0.1, self._timeout)
            finished, _ = concurrent.futures.wait(
                self._running, pause, concurrent.futures.FIRST_COMPLETED
            )
            done = [(self._running.pop(future), _outcome(future)) for future in finished]
            done += self._overdue()
            if done:
                return done

    def close(self) -> None:
        """Take back what has not begun; the executor itself is the user's to shut down."""
        for future in self._running:
            future.cancel()
        self._running.clear()

    def _overdue(self) -> list[Done]:
        if self._timeout is None:
            return []
        done = []
        now = time.monotonic()
        for future, job in list(self._running.items()):
            if future.running() and now - self._since.setdefault(future, now) >= self._timeout:
                del self._running[future]
                text = f"{job} ran longer than {self._timeout:g} s; its worker may still be busy"
                done.append((job, Outcome("timeout", error=text, duration=self._timeout)))
        return done


def _outcome(future: Any) -> Outcome:
    try:
        outcome = future.result()
    except concurrent.futures.BrokenExecutor as error:
        raise ExecutorError(
            f"the executor is broken: {error}. A worker was killed, and nothing tells whose trial "
            "it was; with processes=N it costs one trial (with a tracker, resume=True goes on here)"
        ) from error
    except ExecutorError:
        raise
    except concurrent.futures.CancelledError:
        return Outcome("killed", error="the executor cancelled the trial")
    except Exception as error:
        if "pickle" in f"{type(error).__name__} {error}".lower():
            raise ExecutorError(
                f"the trial cannot be sent to another process: {error}; what the config holds and "
                "what is passed to the function must be picklable there"
            ) from error
        # Of the executor or of its worker: the trained function's own come as outcomes.
        return Outcome("killed", error=traceback_of(error))
    assert isinstance(outcome, Outcome), "that is what trials give"
    return outcome


def _workers(executor: Any) -> int:
    number = getattr(executor, "_max_workers", None) or getattr(executor, "num_workers", None)
    client: Any = getattr(executor, "_client", None)
    if number is None and callable(getattr(client, "nthreads", None)):  # Dask's
        number = sum(client.nthreads().values())
    return number if type(number) is int and number > 0 else os.cpu_count() or 1


def _load_for_runs() -> None:
    """Load here what every run needs, so that not every forked process has to."""
    from ato.db_routers.sql import opening, recorder, snapshot  # noqa: F401 (SQLAlchemy loads)
    from ato.trace.static import warm_up

    opening.prepare()
    warm_up()


def _start_method() -> str:
    """Fork where that is safe: it carries functions that only this process knows."""
    torch = sys.modules.get("torch")
    if sys.platform != "linux" or (torch is not None and torch.cuda.is_initialized()):
        # CUDA does not survive a fork, and neither do macOS's own libraries.
        return "spawn"
    return "fork"


def _run_and_send(
    pipe: Connection, train: Callable[[Job, ADict], Outcome], job: Job, config: ADict
) -> None:
    """The life of a trial's process."""
    signal.signal(signal.SIGINT, _interrupt_once)
    try:
        try:
            outcome = train(job, config)
        except KeyboardInterrupt:
            outcome = Outcome("interrupted", error=f"{job} was interrupted")
        except BaseException as error:  # noqa: BLE001 (the function's own errors are outcomes)
            outcome = Outcome("broken", error=f"{job}: {traceback_of(error)}")
        pipe.send(outcome)
    finally:
        pipe.close()


def _interrupt_once(number: int, frame: Any) -> None:
    # A terminal's Ctrl-C reaches this process, and the search that started it asks again.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _ending(job: Job, code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{job}: its process was killed by {name}"
    return f"{job}: its process ended with status {code} and returned nothing"
