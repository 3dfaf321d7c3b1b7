"""Runtime tracing: one record for each scheduled call, and the caller's result untouched."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from functools import wraps
from pathlib import Path
from typing import Any

from ato import events
from ato.events import CallRecord, Draw, Frame, Leaf, OpenRun
from ato.fingerprints import observe
from ato.fingerprints.generators import states
from ato.trace.schedule import is_scheduled
from ato.trace.static import Registration, passed_code, register

__all__ = ["record", "runtime_trace", "scope_call"]

_IMMUTABLE = frozenset({type(None), bool, int, float, complex, str, bytes})
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


class _Watch:
    """What `runtime_trace` was asked to watch of one function."""

    __slots__ = ("every", "init_fn", "inputs", "inspect_fn", "parameters", "registration")

    def __init__(
        self,
        registration: Registration,
        init_fn: Callable[[], object] | None,
        inspect_fn: Callable[[Any], object] | None,
        every: int | None,
        inputs: bool,
    ) -> None:
        self.registration = registration
        self.init_fn = init_fn
        self.inspect_fn = inspect_fn
        self.every = every
        self.inputs = inputs
        self.parameters = _Parameters(registration.fn)


class _Parameters:
    """The names under which a call's arguments are recorded."""

    __slots__ = ("keywords", "positional", "rest")

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.positional: list[str] = []
        self.rest = "args"
        self.keywords = "kwargs"
        for name, parameter in inspect.signature(fn).parameters.items():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.positional.append(name)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = name

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, object]]:
        """Pair each argument with its parameter's name; surplus positional ones by number."""
        names = self.positional
        yield from zip(names, args, strict=False)
        for number, value in enumerate(args[len(names) :]):
            yield f"{self.rest}[{number}]", value
        yield from kwargs.items()


class _Call:
    """A call that is being recorded: its frame, and what was known before it ran."""

    __slots__ = (
        "before",
        "frame",
        "gaps",
        "inputs",
        "mutable",
        "passed",
        "run",
        "started",
        "token",
    )

    def __init__(self, run: OpenRun | None, frame: Frame) -> None:
        self.run = run
        self.frame = frame
        self.inputs: dict[str, Leaf] = {}
        self.mutable: list[tuple[str, object]] = []
        self.gaps: list[str] = []
        self.passed: list[str] = []
        self.before: dict[str, str] = {}
        self.started = 0.0


def runtime_trace(
    fn: Callable[..., Any],
    *,
    trace_id: str | None = None,
    init_fn: Callable[[], object] | None = None,
    inspect_fn: Callable[[Any], object] | None = None,
    every: int | None = None,
    inputs: bool = True,
    roots: Sequence[str | Path] | None = None,
) -> Callable[..., Any]:
    """Record calls of `fn`: inputs, config reads, randomness, code and output.

    Functions, methods, coroutine functions and generators (one record a yielded value) are taken.
    `init_fn()` is called before every call, also one that is not recorded. `inspect_fn(result)`, if
    given, is recorded as the output in place of the result, and is called only where the call is
    recorded. `every=N` records each N-th call instead of the default schedule. `inputs=False` leaves
    the arguments unwatched, which the explanation then says.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every is not None and every < 1:
        raise ValueError(f"runtime_trace(every={every}): record each N-th call with N of 1 or more")
    registration = register(fn, "runtime", trace_id, roots)
    watch = _Watch(registration, init_fn, inspect_fn, every, inputs)
    if inspect.iscoroutinefunction(fn):
        traced: Callable[..., Any] = _traced_coroutine(fn, watch)
    elif inspect.isgeneratorfunction(fn):
        traced = _traced_generator(fn, watch)
    else:
        traced = _traced_function(fn, watch)
    traced.__ato_trace_id__ = registration.trace_id  # type: ignore[attr-defined]
    traced.__ato_kind__ = "runtime"  # type: ignore[attr-defined]
    return traced


def record(name: str, value: object) -> None:
    """Record `value` under `name` in the middle of a function: a loss, a batch, a dict of gradients.

    It is compared between runs like the output of a call. Without an open run nothing happens.
    """
    run = events.current_run()
    if run is None:
        return
    frame = Frame("value", name, events.current_frame())
    frame.enter(run)
    if not is_scheduled(frame.index, None):
        _note_skipped(frame)
        return
    call = _Call(run, frame)
    _emit(call, *_observed(name, value), outcome="returned", error=None, draws={})


@contextmanager
def scope_call(registration: Registration) -> Iterator[None]:
    """Surround one execution of an `@scope` function: it encloses the calls made inside it."""
    frame = Frame("scope", registration.trace_id, events.current_frame())
    run = events.current_run()
    if run is not None:
        frame.enter(run)
    token = events.push_frame(frame)
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        events.pop_frame(token)
        if frame.run is not None:
            _emit_bare(frame, frame.run, failure)
        for leave in frame.on_exit:
            leave(failure)


def _traced_function(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Any:
        call, token = _begin(watch, args, kwargs)
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            events.pop_frame(token)
            _end(watch, call, None, error)
            raise
        events.pop_frame(token)
        _end(watch, call, result, None)
        return result

    return traced


def _traced_coroutine(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @wraps(fn)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        call, token = _begin(watch, args, kwargs)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            events.pop_frame(token)
            _end(watch, call, None, error)
            raise
        events.pop_frame(token)
        _end(watch, call, result, None)
        return result

    return traced


def _traced_generator(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = fn(*args, **kwargs)
        resume: Callable[[], Any] = lambda: next(steps)  # noqa: E731 (rebound on every step)
        while True:
            call, token = _begin(watch, args, kwargs)
            try:
                value = resume()
            except StopIteration as stop:
                events.pop_frame(token)
                return stop.value
            except BaseException as error:
                events.pop_frame(token)
                _end(watch, call, None, error)
                raise
            events.pop_frame(token)
            _end(watch, call, value, None)
            try:
                sent = yield value
                resume = _sender(steps, sent)
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 (handed on to the traced generator)
                resume = _thrower(steps, error)

    return traced


def _sender(steps: Generator[Any, Any, Any], value: object) -> Callable[[], Any]:
    return lambda: steps.send(value)


def _thrower(steps: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: steps.throw(error)


def _begin(
    watch: _Watch, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[_Call | None, Token[Frame | None]]:
    """Open a frame, and take down the state before the call if this call is scheduled."""
    if watch.init_fn is not None:
        watch.init_fn()
    registration = watch.registration
    parent = events.current_frame()
    run = events.current_run()
    frame = Frame("call", registration.trace_id, parent)
    if run is None:
        # A run may open inside this call, and then takes the frame in.
        return _Call(None, frame), events.push_frame(frame)
    index = run.next_index(registration.trace_id)
    if not is_scheduled(index, watch.every):
        # What a skipped call reads belongs to the function around it.
        _note_skipped(frame)
        return None, events.push_frame(parent or frame)
    frame.take_place(run, index)
    call = _Call(run, frame)
    try:
        if watch.inputs:
            _observe_inputs(watch, call, args, kwargs)
        else:
            call.gaps.append("inputs: left unwatched (inputs=False)")
        call.before = states()
    except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
        call.gaps.append(f"inputs: {error}")
        events.report_failure(registration.trace_id, error)
    call.started = time.perf_counter()
    return call, events.push_frame(frame)


def _observe_inputs(
    watch: _Watch, call: _Call, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    code = watch.registration.code
    things: list[object] = []
    sources = list(watch.parameters.named(args, kwargs))
    if code is not None:
        for ref in code.state:
            try:
                sources.append((ref.label, ref.get()))
            except Exception as error:  # noqa: BLE001 (an unbound global is a gap, not a failure)
                call.gaps.append(f"{ref.label}: {type(error).__name__}: {error}")
    for path, value in sources:
        seen = observe(value, path)
        call.inputs.update(seen.leaves)
        call.gaps.extend(seen.gaps)
        things.extend(seen.code)
        if type(value) not in _IMMUTABLE:
            call.mutable.append((path, value))
    if things and call.run is not None:
        call.passed = passed_code(call.run, things)


def _end(watch: _Watch, call: _Call | None, result: object, error: BaseException | None) -> None:
    """Take down what the call gave back and changed, and hand the record on."""
    if call is None:
        return
    if call.run is None:
        if call.frame.run is not None:
            _emit_bare(call.frame, call.frame.run, error)
        return
    duration = time.perf_counter() - call.started
    try:
        draws = _draws(call.before, states())
        output: dict[str, Leaf] = {}
        gaps: list[str] = []
        if error is None:
            shown = result if watch.inspect_fn is None else watch.inspect_fn(result)
            output, gaps = _observed("output", shown)
        _emit(
            call,
            output,
            gaps,
            outcome="returned" if error is None else "raised",
            error=None if error is None else describe_error(error),
            draws=draws,
            code=None if watch.registration.code is None else watch.registration.code.deep,
            duration=duration,
        )
    except Exception as failure:  # noqa: BLE001 (a tracer never stops the run)
        events.report_failure(watch.registration.trace_id, failure)
        # What it read still counts.
        _emit_bare(call.frame, call.run, error)


def _emit(
    call: _Call,
    output: dict[str, Leaf],
    gaps: list[str],
    *,
    outcome: Any,
    error: str | None,
    draws: dict[str, Draw],
    code: str | None = None,
    duration: float = 0.0,
) -> None:
    frame, run = call.frame, call.run
    if run is None:
        return
    mutated = _mutated(call)
    run.recorder.on_call(
        CallRecord(
            kind=frame.kind,
            trace_id=frame.trace_id,
            ident=frame.ident,
            parent=None if frame.parent is None else frame.parent.ident,
            index=frame.index,
            sequence=run.next_sequence(),
            started=frame.started,
            thread=events.thread_role(),
            code=code,
            passed=call.passed,
            inputs=call.inputs,
            mutated=mutated,
            reads=frame.reads,
            random=draws,
            output=output,
            outcome=outcome,
            error=error,
            skipped=frame.skipped,
            gaps=call.gaps + gaps,
            duration=duration,
        )
    )


def _mutated(call: _Call) -> dict[str, Leaf]:
    """Observe the mutable inputs again; what differs now is part of what the call gave back."""
    if not call.mutable:
        return {}
    changed: dict[str, Leaf] = {}
    for path, value in call.mutable:
        for leaf_path, leaf in observe(value, path).leaves.items():
            before = call.inputs.get(leaf_path)
            if before is None or before.fingerprint != leaf.fingerprint:
                changed[leaf_path] = leaf
    return changed


def _emit_bare(frame: Frame, run: OpenRun, error: BaseException | None) -> None:
    """Hand on a call of which only the place, the reads and the outcome are known."""
    run.recorder.on_call(
        CallRecord(
            kind=frame.kind,
            trace_id=frame.trace_id,
            ident=frame.ident,
            parent=None if frame.parent is None else frame.parent.ident,
            index=frame.index,
            sequence=run.next_sequence(),
            started=frame.started,
            thread=events.thread_role(),
            reads=frame.reads,
            outcome="returned" if error is None else "raised",
            error=None if error is None else describe_error(error),
            skipped=frame.skipped,
        )
    )


def _observed(path: str, value: object) -> tuple[dict[str, Leaf], list[str]]:
    seen = observe(value, path)
    return seen.leaves, seen.gaps


def _draws(before: dict[str, str], after: dict[str, str]) -> dict[str, Draw]:
    """Pair the states around a call; a generator that appeared inside it has no before.

    One that the call did not advance is kept too: if the other run's call did, its state counts.
    """
    return {name: Draw(before.get(name, ""), state) for name, state in after.items()}


def _note_skipped(frame: Frame) -> None:
    if frame.parent is not None:
        skipped = frame.parent.skipped
        skipped[frame.trace_id] = skipped.get(frame.trace_id, 0) + 1


def describe_error(error: BaseException) -> str:
    """Say an exception as text that is the same in every process: addresses are left out."""
    return _ADDRESS.sub("0x…", f"{type(error).__name__}: {error}"[:2000])


def start_states(run: OpenRun) -> None:
    """Give a run that opens the states of the random generators as they are now, and at its end."""
    start = states()
    run.recorder.on_start_state(start)
    run.draws = lambda: _draws(start, states())
