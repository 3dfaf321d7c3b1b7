"""Static tracing: which functions a run knows the code of, and when it learns it."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from ato import events
from ato.code import (
    CodeFingerprint,
    KeptCode,
    Seen,
    StateRef,
    capture_source,
    fingerprint_code,
    is_project_object,
    module_body,
    project_roots,
)

__all__ = [
    "Registration",
    "many_runs",
    "passed_code",
    "reached_units",
    "register",
    "register_scope",
    "run_opened",
    "trace",
]

F = TypeVar("F", bound=Callable[..., Any])
Role = Literal["trace", "runtime", "scope"]


class Registration:
    """A function whose code is part of every run that opens from now on."""

    def __init__(
        self, fn: Callable[..., Any], trace_id: str, role: Role, roots: Sequence[str] | None
    ) -> None:
        self.fn = fn
        self.trace_id = trace_id
        self.role = role
        self.roots = roots
        # The code as it stood when the current run opened; a module-level constant that is
        # changed later is another fingerprint in the next run.
        self.code: CodeFingerprint | None = None
        self._run: events.OpenRun | None = None
        self._state: tuple[StateRef, ...] = ()
        self._looks = 0
        self._kept = KeptCode(partial(_code_of, fn, roots))

    def join(self, run: events.OpenRun, roots: tuple[str, ...] | None = None) -> None:
        """Make the code, as it is now, part of a run; once a run.

        Of several functions under one trace id, a run knows the one that was registered last when
        it opens, and each other one from its first recorded call. `roots` are the project's folders,
        if the caller has just asked.
        """
        if self._run is run:
            return
        self._run, self.code = run, None
        try:
            self.code = _look_up(self._kept, roots)
        except Exception as error:  # noqa: BLE001 (a tracer never stops the script)
            events.report_failure(self.trace_id, error)
            return
        assert self.code is not None, "a function has code"
        self._state, self._looks = self.code.state, 0
        run.recorder.on_code(events.CodeRecord(self.trace_id, self.role, self.code))

    def code_in(self, run: events.OpenRun) -> CodeFingerprint | None:
        """The code that is part of a run; `None` if this function is no part of it."""
        return self.code if self._run is run else None

    def forget(self) -> None:
        """Let go of what was looked at for the code of `many_runs`."""
        self._kept.forget()

    def state(self) -> tuple[StateRef, ...]:
        """The globals and closures whose values the function reads, for its next recorded call.

        A script that opens its run first binds its model afterwards, so they are looked for again:
        at the first recorded call, the second, the fourth, the eighth, ….
        """
        self._looks += 1
        if self._looks & (self._looks - 1) == 0:
            code = _look_up(self._kept)
            assert code is not None, "a function has code"
            self._state = code.state
        return self._state


_registrations: dict[tuple[str, str], Registration] = {}
# What came in with arguments, by identity: two classes may compare equal, and a class need not be
# hashable. Nothing is kept alive for it; an entry goes with its object.
_passed: dict[int, tuple[weakref.ref[Any], KeptCode, CodeFingerprint | None]] = {}


def register(
    fn: Callable[..., Any],
    role: Role,
    trace_id: str | None = None,
    roots: Sequence[str | Path] | None = None,
) -> Registration:
    """Make the code of `fn` part of the open run and of every later one.

    The source is kept now, so that an edit of the file cannot be taken for what ran; the work of
    fingerprinting is done when a run opens.
    """
    name = trace_id or default_trace_id(fn)
    places = None if roots is None else [str(root) for root in roots]
    registration = Registration(fn, name, role, places)
    _registrations[role, name] = registration
    try:
        capture_source(fn)
    except Exception as error:  # noqa: BLE001 (a tracer never stops the script)
        events.report_failure(name, error)
    run = events.current_run()
    if run is not None:
        registration.join(run)
    return registration


def register_scope(
    fn: Callable[..., Any], roots: Sequence[str | Path] | None = None
) -> Registration:
    """Register an `@scope` function: its code is fingerprinted without being asked for."""
    return register(fn, "scope", None, roots)


def given_roots() -> tuple[str, ...]:
    """The folders that decorators named as the project's own."""
    named = (registration.roots or () for registration in list(_registrations.values()))
    return tuple(dict.fromkeys(os.path.realpath(root) for roots in named for root in roots))


def trace(fn: F, *, trace_id: str | None = None, roots: Sequence[str | Path] | None = None) -> F:
    """Fingerprint the code of `fn` in every run, and return `fn` itself: calls cost nothing more.

    Without `trace_id` the id is the module and the qualified name; a script counts by its file's
    name, so that it has one id whether it is run or imported. `roots` are the folders whose code is
    the project's own, instead of the entry script's, the current one and editable installs.
    """
    register(fn, "trace", trace_id, roots)
    return fn


def default_trace_id(fn: Callable[..., Any]) -> str:
    """Name a function by the module of its file and its qualified name."""
    module = getattr(fn, "__module__", None) or "unknown"
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        module = Path(file).stem if file else "__main__"
    return f"{module}.{name}"


def run_opened(run: events.OpenRun) -> None:
    """Give a run that opens the code of everything registered, and of the entry script's body."""
    roots = project_roots()
    for identity, (_, kept, _) in list(_passed.items()):
        # A module's constants may have changed since the last run.
        if not (_many.depth and kept.is_current(roots)):
            _passed.pop(identity, None)
    for registration in list(_registrations.values()):
        registration.join(run, roots)
    main = sys.modules.get("__main__")
    if isinstance(main, ModuleType):
        _emit_main(run, main, roots)


def warm_up() -> None:
    """Read the code of everything registered now; what is forked from here on has it at hand."""
    for registration in list(_registrations.values()):
        try:
            _look_up(registration._kept)
        except Exception as error:  # noqa: BLE001 (a tracer never stops the script)
            events.report_failure(registration.trace_id, error)


def passed_code(run: events.OpenRun, things: Sequence[object]) -> list[str]:
    """Register the project's classes and functions that came in with arguments.

    Returns their deep fingerprints; what is not the project's own is left out.
    """
    found: list[str] = []
    for thing in things:
        code = _code_of_passed(thing)
        if code is not None and code.deep not in found:
            found.append(code.deep)
            run.recorder.on_code(events.CodeRecord(code.units[0].subject, "passed", code))
    return found


def reached_units(run: events.OpenRun) -> set[tuple[str, str]]:
    """The module and name of every unit that the functions registered for a run reach."""
    codes = [registration.code_in(run) for registration in _registrations.values()]
    return {(unit.module, unit.name) for code in codes if code for unit in code.units}


def _code_of_passed(thing: object) -> CodeFingerprint | None:
    identity = id(thing)
    known = _passed.get(identity)
    if known is not None and known[0]() is thing:
        return known[2]
    reference = weakref.ref(thing, lambda _: _passed.pop(identity, None))
    kept = KeptCode(partial(_code_of_thing, reference))
    code = _look_up(kept)
    _passed[identity] = (reference, kept, code)
    return code


def _code_of_thing(reference: weakref.ref[Any], seen: Seen) -> CodeFingerprint | None:
    thing = reference()
    return fingerprint_code(thing, seen=seen) if is_project_object(thing) else None


def _code_of(
    fn: Callable[..., Any], roots: Sequence[str] | None, seen: Seen
) -> CodeFingerprint | None:
    return fingerprint_code(fn, roots=roots, seen=seen)


class _Many:
    """Whether runs follow each other that have most of their code in common."""

    depth = 0
    main: tuple[ModuleType, KeptCode] | None = None


_many = _Many()


@contextmanager
def many_runs() -> Iterator[None]:
    """Keep the code that runs in this block have in common, as long as nothing of it changes.

    Outside of it nothing is kept: all that a walk looked at would stay alive.
    """
    _many.depth += 1
    try:
        yield
    finally:
        _many.depth -= 1
        if not _many.depth:
            _many.main = None
            _passed.clear()
            for registration in list(_registrations.values()):
                registration.forget()


def _look_up(kept: KeptCode, roots: tuple[str, ...] | None = None) -> CodeFingerprint | None:
    try:
        return kept.get(roots)
    finally:
        if not _many.depth:
            kept.forget()


def _emit_main(run: events.OpenRun, main: ModuleType, roots: tuple[str, ...]) -> None:
    if _many.main is None or _many.main[0] is not main:
        _many.main = main, KeptCode(lambda seen: module_body(main, seen=seen))
    code = _look_up(_many.main[1], roots)
    if code is not None:
        run.recorder.on_code(events.CodeRecord("main", "main", code))
