"""Watching a torch module: what each of its parts gives, and their gradients and parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ato import events
from ato.exceptions import NotAModuleError
from ato.trace.schedule import check_every

if TYPE_CHECKING:
    from ato.trace.module_hooks import ModuleHooks

__all__ = ["Watching", "run_opened", "unwatch", "watch"]


class Watching:
    """A module that is being watched, until `unwatch` or the end of a `with` block."""

    def __init__(self, hooks: ModuleHooks) -> None:
        self._hooks = hooks

    @property
    def name(self) -> str:
        """What stands for the module in the names of its records."""
        return self._hooks.name

    def unwatch(self) -> None:
        """Take all hooks away."""
        if self in _watched:
            _watched.remove(self)
        self._hooks.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unwatch()


_watched: list[Watching] = []


def watch(
    module: Any,
    name: str | None = None,
    *,
    every: int | None = None,
    gradients: bool = True,
    parameters: bool = True,
) -> Watching:
    """Record what each part of a torch module gives, so that `ato why` names the first that differs.

    In a run, each forward pass of the part `encoder.fc` makes a record `watch:NAME.encoder.fc`,
    which holds the part's own parameters as `parameter['weight']`, what it gave as `output`, and its
    buffers as `buffer['running_mean']`; of parts whose `forward` nobody calls (a weight that is used
    as such), the record of the whole module holds the parameters. Each gradient, as soon as a
    backward pass has added to it, is a record `watch:NAME.encoder.fc (backward)` with
    `grad['weight']`. Records follow the schedule of `runtime_trace`, each part by its own count.

    It is done by hooks, which change nothing that the module computes. Watched again, a module is
    watched in the new way only. A copy of a watched module is not watched. What runs inside
    `torch.compile`, a CUDA graph or `torch.jit` is not seen, which the explanation then says; a
    module must be scripted before it is watched.

    Args:
        module: a `torch.nn.Module`.
        name: stands for the module in the names of its records; by default its class's name, with a
            number where several of one class are watched.
        every: record each N-th pass instead of the default schedule.
        gradients: whether to record gradients.
        parameters: whether to record parameters and buffers.

    Returns:
        A handle with `unwatch()`, which is a context manager as well.

    Raises:
        NotAModuleError: `module` is not a module of torch.
        ScheduleError: `every` is less than 1.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise NotAModuleError(
            f"cannot watch a <{type(module).__qualname__}>; pass a torch.nn.Module, or record the "
            "value itself with ato.record"
        )
    check_every("watch", every)
    unwatch(module)
    from ato.trace.module_hooks import ModuleHooks  # it imports torch

    hooks = ModuleHooks(module, _free_name(module, name), every, gradients, parameters)
    watching = Watching(hooks)
    _watched.append(watching)
    run = events.current_run()
    if run is not None:
        run.closing.append(hooks.report_unseen)
    return watching


def unwatch(module: Any) -> None:
    """Take away all that `watch` put on a module; nothing happens if it is not watched."""
    for watching in [*_watched]:
        if watching._hooks.module() is module:
            watching.unwatch()


def run_opened(run: events.OpenRun) -> None:
    """Let a run that ends know which parts of watched modules it has not seen."""
    for watching in [*_watched]:
        if watching._hooks.module() is None:
            _watched.remove(watching)  # the module is gone, and its hooks with it
        else:
            run.closing.append(watching._hooks.report_unseen)


def _free_name(module: Any, name: str | None) -> str:
    """A name that no other module under watch has."""
    taken = {watching.name for watching in _watched if watching._hooks.module() is not None}
    wanted = name or type(getattr(module, "_orig_mod", module)).__name__
    return next(candidate for candidate in _numbered(wanted) if candidate not in taken)


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}#{number}"
        number += 1
