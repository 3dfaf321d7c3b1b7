"""An executor of `concurrent.futures` whose calls are tasks of a Ray cluster."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from ato.exceptions import ExecutorError, SearchOptionError

__all__ = ["RayExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class RayExecutor(concurrent.futures.Executor):
    """Runs each call as a Ray task, with the processors and accelerators that it asks for.

    It joins the cluster that this process is connected to, or that `RAY_ADDRESS` or `ray start` of
    this machine names; without one it starts Ray here, and `shutdown` then stops it again. A task
    whose worker dies is not tried again.

    Args:
        num_cpus: processors that one call takes.
        num_gpus: accelerators that one call takes; a part of one (0.5) lets calls share it.
        options: further options of a Ray task: `resources`, `memory`, `runtime_env`, …

    Raises:
        ExecutorError: Ray is not installed.
        SearchOptionError: a number of processors or accelerators is negative, or both are 0.
    """

    def __init__(self, num_cpus: float = 1, num_gpus: float = 0, **options: Any) -> None:
        for name, number in (("num_cpus", num_cpus), ("num_gpus", num_gpus)):
            if isinstance(number, bool) or not isinstance(number, (int, float)) or number < 0:
                raise SearchOptionError(f"{name} is a number, 0 or more, not {number!r:.60}")
        if not num_cpus and not num_gpus:
            raise SearchOptionError("a call takes something of num_cpus or num_gpus")
        try:
            import ray  # an optional dependency, and slow to load
        except ImportError as error:
            raise ExecutorError("RayExecutor needs Ray: pip install 'ato-rs[ray]'") from error
        self._ray: Any = ray
        self._needs = {"CPU": num_cpus, "GPU": num_gpus}
        self._started_here = not ray.is_initialized()
        if self._started_here:
            ray.init(log_to_driver=False, include_dashboard=False)
        self._task = ray.remote(_call).options(
            num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0, **options
        )
        self._running: dict[Any, Any] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def num_workers(self) -> int:
        """How many calls the cluster runs at a time, at its present size."""
        there = self._ray.cluster_resources()
        fitting = [there.get(kind, 0) // need for kind, need in self._needs.items() if need]
        return max(1, int(min(fitting)))

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        """Begin a call as soon as the cluster has room for it.

        Raises:
            RuntimeError: the executor was shut down.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the RayExecutor was shut down")
            reference = self._task.remote(fn, args, kwargs)
            future = _TaskFuture(self._ray, reference)
            self._running[future] = reference
        future.add_done_callback(lambda done: self._running.pop(done, None))
        reference.future().add_done_callback(future.take_over)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; stop Ray if this executor started it."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        if cancel_futures:
            for future in running:
                future.cancel()
        if wait:
            concurrent.futures.wait(running)
        if self._started_here and (wait or not running):
            self._started_here = False
            self._ray.shutdown()


class _TaskFuture(concurrent.futures.Future[Any]):
    """A future that stops its Ray task when it is cancelled."""

    def __init__(self, ray: Any, reference: Any) -> None:
        super().__init__()
        self._ray = ray
        self._reference = reference

    def cancel(self) -> bool:
        """Cancel the call; a task that runs already is interrupted."""
        cancelled = super().cancel()
        if cancelled:
            self._ray.cancel(self._reference)
        return cancelled

    def take_over(self, done: concurrent.futures.Future[Any]) -> None:
        """Take the outcome of the Ray task."""
        if not self.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is None:
            self.set_result(done.result())
        else:
            # Ray wraps what the call raised, and names it as the cause.
            self.set_exception(getattr(error, "cause", None) or error)


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)
