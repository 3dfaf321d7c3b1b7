"""The hooks behind `ato.watch`. Loaded when a module is watched: torch is in the process by then."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch

from ato import events
from ato.events import OpenRun
from ato.trace.schedule import is_scheduled
from ato.trace.values import emit_values

__all__ = ["ModuleHooks"]

_FEW = 3  # parts that are named in a gap


class ModuleHooks:
    """All hooks on one module and its parts.

    Only weak references lead from here to the module: watching must not keep its memory.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        name: str,
        every: int | None,
        gradients: bool,
        parameters: bool,
    ) -> None:
        self.name = name
        self.module = weakref.ref(module)
        self._every = every
        self._gradients = gradients
        self._parameters = parameters
        self._parts: dict[str, _Forward] = {}
        self._tensors: dict[int, _Gradient] = {}
        # What was called in this run, and since the whole module was called last.
        self._run: OpenRun | None = None
        self._seen: set[str] = set()
        self._called: set[str] = set()
        self._attach(module)

    def trace_id(self, path: str) -> str:
        """What the records of a part are called."""
        return f"watch:{self.name}.{path}" if path else f"watch:{self.name}"

    def remove(self) -> None:
        """Take the hooks away; the module is as it was."""
        run = events.current_run()
        if run is not None:
            self.report_unseen(run)
            if self.report_unseen in run.closing:
                run.closing.remove(self.report_unseen)
        for part in self._parts.values():
            part.handle.remove()
        for tensor in self._tensors.values():
            tensor.remove()
        self._parts, self._tensors = {}, {}

    def report_unseen(self, run: OpenRun) -> None:
        """List the parts of which no forward pass was seen while `run` was open as a gap of it."""
        seen = self._seen if self._run is run else set()
        missed = [path for path, part in self._parts.items() if path not in seen and part.computes]
        if not missed:
            return
        why = "not called, or called inside torch.compile, a CUDA graph or torch.jit"
        if seen:
            few = ", ".join(self.trace_id(path) for path in missed[:_FEW])
            more = f" and {len(missed) - _FEW} more" if len(missed) > _FEW else ""
            run.gaps.append(f"watch:{self.name}: no output of {few}{more} was seen: {why}")
        else:
            run.gaps.append(f"watch:{self.name}: no forward pass was seen: {why}")

    def forward(self, path: str, module: torch.nn.Module, output: object) -> None:
        """Record a forward pass of one part."""
        run = events.current_run()
        if run is None or _is_recorded_elsewhere():
            return
        try:
            if self._run is not run:
                self._run, self._seen, self._called = run, set(), set()
            self._seen.add(path)
            self._called.add(path)
            index = run.next_index(self.trace_id(path))
            if is_scheduled(index, self._every):
                emit_values(run, self.trace_id(path), index, self._values(path, module, output))
            if not path:
                self._attach(module)
                self._called = set()
        except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
            self._fail(path, error)

    def gradient(self, path: str, name: str, parameter: torch.Tensor) -> None:
        """Record a gradient that a backward pass has just added to."""
        run = events.current_run()
        if run is None or _is_recorded_elsewhere():
            return
        try:
            trace_id = f"{self.trace_id(path)} (backward)"
            # Every gradient is counted by itself: the parts of one backward pass are recorded alike.
            index = run.next_index(f"{trace_id} {name}")
            if is_scheduled(index, self._every):
                emit_values(run, trace_id, index, [(f"grad[{name!r}]", parameter.grad)])
        except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
            self._fail(path, error)

    def _values(
        self, path: str, module: torch.nn.Module, output: object
    ) -> Iterator[tuple[str, object]]:
        # Parameters act before the output, buffers (running means) may follow from it: the first
        # leaf that differs is the one that is named.
        if self._parameters:
            yield from _named("parameter", module._parameters)
            if not path:
                for inner, part in self._parts.items():
                    if inner not in self._called and (found := part.module()) is not None:
                        yield from _named("parameter", found._parameters, f"{inner}.")
        yield "output", output
        if self._parameters:
            yield from _named("buffer", module._buffers)

    def _attach(self, module: torch.nn.Module) -> None:
        """Hook whatever of the module has no hook yet: parts and parameters may be added later."""
        for path, part in module.named_modules():
            path = path.removeprefix("_orig_mod").lstrip(".").replace("._orig_mod", "")
            known = self._parts.get(path)
            if known is None or (known.module() is not part and not _wraps(known.module(), part)):
                if known is not None:
                    known.handle.remove()
                self._parts[path] = _Forward(self, path, part)
            if self._gradients:
                for name, parameter in part._parameters.items():
                    if parameter is not None and parameter.requires_grad and parameter.is_leaf:
                        self._attach_gradient(path, name, parameter)

    def _attach_gradient(self, path: str, name: str, parameter: torch.nn.Parameter) -> None:
        known = self._tensors.get(id(parameter))
        # A parameter that is gone may have left its address to another.
        if known is None or known.parameter() is not parameter:
            self._tensors[id(parameter)] = _Gradient(self, path, name, parameter)

    def _fail(self, path: str, error: Exception) -> None:
        events.report_failure(self.trace_id(path), error)
        if path in self._parts:
            self._parts[path].handle.remove()


class _Forward:
    """The hook on one part.

    A copy of the module, or one that is read from a file, must not be watched: in the place of this
    hook it gets one that takes itself away.
    """

    def __init__(self, hooks: ModuleHooks, path: str, module: torch.nn.Module) -> None:
        self.module = weakref.ref(module)
        # Containers that only hold their parts have no forward pass.
        self.computes = type(module).forward is not torch.nn.Module.forward
        self._hooks = hooks
        self._path = path
        self.handle = module.register_forward_hook(self)

    def __call__(self, module: torch.nn.Module, args: object, output: object) -> None:
        # First of all: a compiler that reads this far finds that there is nothing to compile.
        if torch.compiler.is_compiling():
            return
        if self.module() is module:
            self._hooks.forward(self._path, module, output)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Leftover:
        return _Leftover()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Leftover, ()


class _Leftover:
    """What a copied module has in the place of a hook, up to its first forward pass."""

    def __call__(self, module: torch.nn.Module, args: object, output: object) -> None:
        if torch.compiler.is_compiling():
            return
        for number, hook in list(module._forward_hooks.items()):
            if hook is self:
                del module._forward_hooks[number]


class _Gradient:
    """The hook on one parameter, called when a backward pass has added to its gradient."""

    def __init__(
        self, hooks: ModuleHooks, path: str, name: str, parameter: torch.nn.Parameter
    ) -> None:
        self.parameter = weakref.ref(parameter)
        self._hooks = hooks
        self._path = path
        self._name = name
        self._had_none = parameter._post_accumulate_grad_hooks is None
        self._handle = parameter.register_post_accumulate_grad_hook(self)

    def __call__(self, parameter: torch.Tensor) -> None:
        if torch.compiler.is_compiling():
            return
        self._hooks.gradient(self._path, self._name, parameter)

    def remove(self) -> None:
        """Take the hook away, and the empty dictionary that torch made to hold it."""
        self._handle.remove()
        parameter: Any = self.parameter()
        if parameter is not None and self._had_none and not parameter._post_accumulate_grad_hooks:
            parameter._post_accumulate_grad_hooks = None


def _named(
    kind: str, tensors: dict[str, torch.Tensor | None], inside: str = ""
) -> Iterator[tuple[str, object]]:
    for name, tensor in tensors.items():
        if tensor is not None:
            yield f"{kind}[{inside + name!r}]", tensor


def _wraps(outer: torch.nn.Module | None, inner: torch.nn.Module) -> bool:
    """Whether `outer` is a compiled module that stands for `inner`."""
    return getattr(outer, "_orig_mod", None) is inner


def _is_recorded_elsewhere() -> bool:
    """Whether torch only notes down what happens, so that there are no numbers to read."""
    return bool(
        torch._C._is_tracing()
        or (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())
    )
