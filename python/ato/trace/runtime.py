"""Runtime tracing: one record for each scheduled call, and the caller's result untouched."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from functools import partial, wraps
from pathlib import Path
from typing import Any, Self

from ato import events
from ato.events import CallRecord, Draw, Frame, Leaf, OpenRun
from ato.fingerprints import observe
from ato.fingerprints.generators import states
from ato.trace.executed import FIRST_CALLS, PROFILES, Profile, profiled
from ato.trace.files import install
from ato.trace.schedule import check_every, is_scheduled
from ato.trace.static import Registration, passed_code, register
from ato.trace.values import note_skipped

__all__ = ["runtime_trace", "scope_call", "start_states"]

# An input by path: a value that was passed in, or how to get a global or closure.
_Source = tuple[str, object, Callable[[], object] | None]
_UNBOUND = object()
_IMMUTABLE = frozenset({type(None), bool, int, float, complex, str, bytes})
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_ERROR_LENGTH = 2000  # characters of an exception that are kept


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

    __slots__ = ("keywords", "only", "positional", "rest")

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.positional: list[str] = []
        # Names that an argument of `**kwargs` may have as well.
        self.only: set[str] = set()
        self.rest = "args"
        self.keywords = "kwargs"
        try:
            parameters = inspect.signature(fn).parameters
        except ValueError:  # `dict`, `max` and others written in C do not say
            return
        for name, parameter in parameters.items():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                self.positional.append(name)
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    self.only.add(name)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.keywords = name

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[str, object]]:
        """Pair each argument with its parameter's name; surplus positional ones by number."""
        names = self.positional
        yield from zip(names, args, strict=False)
        for number, value in enumerate(args[len(names) :]):
            yield f"{self.rest}[{number}]", value
        for name, value in kwargs.items():
            yield (f"{self.keywords}[{name!r}]" if name in self.only else name), value


class _Call:
    """One call of a watched function: a context manager around its execution.

    Leaving takes down the result, which the caller puts into `result`, or the exception.
    """

    __slots__ = (
        "_before",
        "_discarded",
        "_frame",
        "_gaps",
        "_inputs",
        "_mutable",
        "_passed",
        "_profile",
        "_run",
        "_started",
        "_token",
        "_watch",
        "result",
    )

    _token: Token[Frame | None]

    def __init__(self, watch: _Watch, run: OpenRun | None, frame: Frame) -> None:
        self._watch = watch
        self._run = run
        self._frame = frame
        self._discarded = False
        self._inputs: dict[str, Leaf] = {}
        self._mutable: list[_Source] = []
        self._gaps: list[str] = []
        self._passed: list[str] = []
        self._before: dict[str, str] = {}
        self._started = 0.0
        self._profile: Profile | None = None
        self.result: Any = None

    def observe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take down what goes in; without an open run nothing is taken down."""
        run = self._run
        if run is None:
            return
        try:
            self._watch.registration.join(run)
            if self._watch.inputs:
                self._observe_inputs(run, args, kwargs)
            else:
                self._gaps.append("inputs: left unwatched (inputs=False)")
            self._before = states()
        except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
            self._gaps.append(f"inputs: {error}")
            events.report_failure(self._frame.trace_id, error)

    def step(self, resume: Callable[[], Any]) -> Any:
        """Run a generator up to its next value; where it ends there is nothing to record."""
        with self:
            try:
                self.result = resume()
            except StopIteration:
                self._discarded = True
                raise
        return self.result

    async def async_step(self, resume: Callable[[], Awaitable[Any]]) -> Any:
        """Run an asynchronous generator up to its next value."""
        with self:
            try:
                self.result = await resume()
            except StopAsyncIteration:
                self._discarded = True
                raise
        return self.result

    def __enter__(self) -> Self:
        self._token = events.push_frame(self._frame)
        if PROFILES and self._run is not None and self._frame.index < FIRST_CALLS:
            self._profile = profiled(self._run)
        self._started = time.perf_counter()
        if self._profile is not None:
            self._profile.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if self._profile is not None:
            self._profile.stop()
        duration = time.perf_counter() - self._started
        events.pop_frame(self._token)
        self._close(error, duration)
        for leave in self._frame.on_exit:
            leave(error)

    def _close(self, error: BaseException | None, duration: float) -> None:
        # A run may have opened inside the call, and taken the frame in.
        run = self._frame.run
        if run is None:
            return
        if self._discarded:
            self._hand_up()
            return
        if self._run is None:
            _emit_bare(self._frame, run, error)
            return
        try:
            self._emit(run, error, duration)
        except Exception as failure:  # noqa: BLE001 (a tracer never stops the run)
            events.report_failure(self._frame.trace_id, failure)
            # What it read still counts.
            _emit_bare(self._frame, run, error)

    def _observe_inputs(self, run: OpenRun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        registration = self._watch.registration
        things: list[object] = []
        sources: list[_Source] = [
            (path, value, None) for path, value in self._watch.parameters.named(args, kwargs)
        ]
        if registration.code is not None:
            # A name that is not bound yet is no input; the call may bind it.
            sources += [(r.label, _present(r.get), r.get) for r in registration.state()]
        for path, value, get in sources:
            if get is not None or type(value) not in _IMMUTABLE:
                self._mutable.append((path, value, get))
            if value is _UNBOUND:
                continue
            seen = observe(value, path, sketch=False)
            self._inputs.update(seen.leaves)
            self._gaps.extend(seen.gaps)
            things.extend(seen.code)
        if things:
            self._passed = passed_code(run, things)

    def _emit(self, run: OpenRun, error: BaseException | None, duration: float) -> None:
        watch = self._watch
        # Where the states before could not be read, nothing is known of draws.
        draws = _draws(self._before, states()) if self._before else {}
        output: dict[str, Leaf] = {}
        if error is None:
            shown = self.result if watch.inspect_fn is None else watch.inspect_fn(self.result)
            seen = observe(shown, "output")
            output = seen.leaves
            self._gaps.extend(seen.gaps)
        mutated = self._mutated()
        record = self._frame.record()
        record.code = None if watch.registration.code is None else watch.registration.code.deep
        record.passed = self._passed
        record.inputs = self._inputs
        record.mutated = mutated
        record.random = draws
        record.output = output
        record.gaps = self._gaps
        record.duration = duration
        _set_outcome(record, error)
        run.recorder.on_call(record)

    def _hand_up(self) -> None:
        """What a generator reads after its last value belongs to the function around it."""
        parent = self._frame.parent
        if parent is not None:
            parent.reads += [read for read in self._frame.reads if read not in parent.reads]
            for trace_id, count in self._frame.skipped.items():
                parent.skipped[trace_id] = parent.skipped.get(trace_id, 0) + count

    def _mutated(self) -> dict[str, Leaf]:
        """Observe the mutable inputs again; what differs now is part of what the call gave back."""
        changed: dict[str, Leaf] = {}
        for path, passed, get in self._mutable:
            value = passed if get is None else _present(get)
            if value is _UNBOUND:
                continue
            for leaf_path, leaf in observe(value, path).leaves.items():
                before = self._inputs.get(leaf_path)
                if before is None or before.fingerprint != leaf.fingerprint:
                    changed[leaf_path] = leaf
        return changed


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

    Functions, methods, coroutine functions and generators, asynchronous ones too (one record a
    yielded value), are taken. `init_fn()` is called before every call, also one that is not recorded;
    of a generator once, before its first step. `inspect_fn(result)`, if given, is recorded as the
    output in place of the result, and is called only where the call is recorded. `every=N` records each N-th call instead of the default schedule. `inputs=False` leaves
    the arguments unwatched, which the explanation then says.

    A call in a thread that was started inside a traced call hangs below the run, with the thread's
    role: which call started a thread is not known to Python, and the order in which pools hand out
    work is another one in every run.

    Raises:
        ScheduleError: `every` is less than 1.
    """
    check_every("runtime_trace", every)
    if isinstance(fn, (staticmethod, classmethod)):
        inner = runtime_trace(
            fn.__func__,
            trace_id=trace_id,
            init_fn=init_fn,
            inspect_fn=inspect_fn,
            every=every,
            inputs=inputs,
            roots=roots,
        )
        return type(fn)(inner)
    registration = register(fn, "runtime", trace_id, roots)
    watch = _Watch(registration, init_fn, inspect_fn, every, inputs)
    if inspect.iscoroutinefunction(fn):
        traced: Callable[..., Any] = _traced_coroutine(fn, watch)
    elif inspect.isgeneratorfunction(fn):
        traced = _traced_generator(fn, watch)
    elif inspect.isasyncgenfunction(fn):
        traced = _traced_async_generator(fn, watch)
    else:
        traced = _traced_function(fn, watch)
    traced.__ato_trace_id__ = registration.trace_id  # type: ignore[attr-defined]
    traced.__ato_kind__ = "runtime"  # type: ignore[attr-defined]
    return traced


@contextmanager
def scope_call(registration: Registration) -> Iterator[None]:
    """Surround one execution of an `@scope` function: it encloses the calls made inside it."""
    install()
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


def start_states(run: OpenRun) -> None:
    """Give a run that opens the states of the random generators as they are now, and at its end."""
    start = states()
    run.recorder.on_start_state(start)
    run.draws = lambda: _draws(start, states())


def _traced_function(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Any:
        call = _begin(watch, args, kwargs)
        if call is None:
            return fn(*args, **kwargs)
        with call:
            call.result = fn(*args, **kwargs)
        return call.result

    return traced


def _traced_coroutine(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    @wraps(fn)
    async def traced(*args: Any, **kwargs: Any) -> Any:
        call = _begin(watch, args, kwargs)
        if call is None:
            return await fn(*args, **kwargs)
        with call:
            call.result = await fn(*args, **kwargs)
        return call.result

    return traced


def _traced_generator(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    def stepwise(
        steps: Generator[Any, Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Generator[Any, Any, Any]:
        resume: Callable[[], Any] = partial(next, steps)
        _initialise(watch)
        while True:
            call = _open_call(watch, args, kwargs)
            try:
                value = resume() if call is None else call.step(resume)
            except StopIteration as stop:
                return stop.value
            try:
                resume = partial(steps.send, (yield value))
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001 (handed on to the traced generator)
                resume = partial(steps.throw, error)

    # Not a generator function itself: wrong arguments are an error at the call, as without a trace.
    @wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return stepwise(fn(*args, **kwargs), args, kwargs)

    return traced


def _traced_async_generator(fn: Callable[..., Any], watch: _Watch) -> Callable[..., Any]:
    async def stepwise(
        steps: AsyncGenerator[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AsyncGenerator[Any, Any]:
        resume: Callable[[], Awaitable[Any]] = steps.__anext__
        _initialise(watch)
        while True:
            call = _open_call(watch, args, kwargs)
            try:
                value = await (resume() if call is None else call.async_step(resume))
            except StopAsyncIteration:
                return
            try:
                resume = partial(steps.asend, (yield value))
            except GeneratorExit:
                await steps.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 (handed on to the traced generator)
                resume = partial(steps.athrow, error)

    @wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        return stepwise(fn(*args, **kwargs), args, kwargs)

    return traced


def _initialise(watch: _Watch) -> None:
    if watch.init_fn is not None:
        watch.init_fn()


def _begin(watch: _Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """Call `init_fn`, and open a call."""
    if watch.init_fn is not None:
        watch.init_fn()
    return _open_call(watch, args, kwargs)


def _open_call(watch: _Watch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """Open a call, and observe what goes in; `None` if the schedule skips it.

    What a skipped call reads belongs to the function around it, so that it needs no frame.
    """
    trace_id = watch.registration.trace_id
    parent = events.current_frame()
    run = events.current_run()
    if run is None:
        return _Call(watch, None, Frame("call", trace_id, parent))
    index = run.next_index(trace_id)
    if not is_scheduled(index, watch.every):
        note_skipped(parent, trace_id)
        return None
    frame = Frame("call", trace_id, parent)
    frame.take_place(run, index)
    call = _Call(watch, run, frame)
    call.observe(args, kwargs)
    return call


def _present(get: Callable[[], object]) -> object:
    try:
        return get()
    except LookupError:
        return _UNBOUND


def _emit_bare(frame: Frame, run: OpenRun, error: BaseException | None) -> None:
    """Hand on a call of which only the place, the reads and the outcome are known."""
    record = frame.record()
    _set_outcome(record, error)
    run.recorder.on_call(record)


def _set_outcome(record: CallRecord, error: BaseException | None) -> None:
    if error is not None:
        record.outcome = "raised"
        # An address is another one in every process.
        record.error = _ADDRESS.sub("0x…", f"{type(error).__name__}: {error}"[:_ERROR_LENGTH])


def _draws(before: dict[str, str], after: dict[str, str]) -> dict[str, Draw]:
    """Pair the states around a call; a generator that appeared inside it has no before.

    One that the call did not advance is kept too: if the other run's call did, its state counts.
    """
    return {name: Draw(before.get(name, ""), state) for name, state in after.items()}
