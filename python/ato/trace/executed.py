"""Executed units: which of the project's functions ran in a run, and when each ran first.

From Python 3.12 on `sys.monitoring` tells of each function's first start, and costs nothing after
it. Python 3.11 has only a profile hook, which every call pays for: it is set inside the first
recorded calls of each traced function and nowhere else, so that there a function that is not
listed may have run all the same.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

from ato import events
from ato.code.project import origin_of, project_roots, relative_path
from ato.events import Executed, OpenRun
from ato.fingerprints.values import main_name
from ato.trace.static import passed_code, reached_units

__all__ = ["FIRST_CALLS", "PROFILES", "Profile", "profiled", "run_opened"]

_TOOLS = (4, 3)  # the numbers that `sys.monitoring` reserves for nobody
_NAME = "ato"
PROFILES = not hasattr(sys, "monitoring")  # whether a profile hook is all there is
FIRST_CALLS = 4  # of each traced function, for which it is set
_EVENTS = 20_000  # calls and returns after which the hook leaves one call alone
_GAP = "executed functions"

_watches: list[_Executions] = []
# By the folders of the project and the path of imports, whether a module's file is the project's.
_own_places: dict[tuple[Any, ...], dict[tuple[str, str], bool]] = {}


class _Executions:
    """The functions that one open run has seen starting."""

    def __init__(self, run: OpenRun) -> None:
        self.run = run
        self._roots = project_roots()
        self._own = _own_places.setdefault((self._roots, *sys.path), {})
        self._found: dict[CodeType, Executed] = {}

    def note(self, code: CodeType, module: str) -> None:
        """Take down a function that starts, if it is the project's and new."""
        if code in self._found or not _is_function(code):
            return
        place = (module, code.co_filename)
        own = self._own.get(place)
        if own is None:
            file = None if code.co_filename.startswith("<") else code.co_filename
            own = self._own[place] = origin_of(module, file, self._roots) == "project"
        if own:
            name = main_name() if module == "__main__" else module
            file = relative_path(code.co_filename, self._roots)
            self._found[code] = Executed(
                name, code.co_qualname, file, code.co_firstlineno, self.run.position
            )

    def close(self, run: OpenRun) -> None:
        """Hand over what was found; where nobody else looks on, no more is taken down."""
        _watches.remove(self)
        run.executed = list(self._found.values())
        if not _watches:
            _stop()
        self._emit_unreached(run)

    def _emit_unreached(self, run: OpenRun) -> None:
        """Hand over the code of what ran though no static rule leads there: `getattr`, plug-ins."""
        known = reached_units(run)
        for code, unit in self._found.items():
            function = None if (unit.module, unit.name) in known else _function_of(code, unit)
            if function is not None:
                passed_code(run, [function])


def run_opened(run: OpenRun) -> None:
    """Take down from now on which functions run; those that are running already count as well."""
    watch = _Executions(run)
    for frame in _running():
        watch.note(frame.f_code, frame.f_globals.get("__name__") or "")
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None and not _start(monitoring):
        run.gaps.append(f"{_GAP}: not seen, since other tools have all numbers of sys.monitoring")
    _watches.append(watch)
    run.closing.append(watch.close)


def profiled(run: OpenRun) -> Profile | None:
    """A profile hook for one of the first calls of a traced function, if none is set."""
    if sys.getprofile() is not None or sys.gettrace() is not None:
        gap = f"{_GAP}: not seen beside another profiler, debugger or coverage"
        if gap not in run.gaps and type(sys.getprofile()) is not Profile:
            run.gaps.append(gap)
        return None
    return Profile(run) if _watches else None


class Profile:
    """A profile hook, for one call, up to a number of events."""

    def __init__(self, run: OpenRun) -> None:
        self._run = run
        self._left = _EVENTS

    def start(self) -> None:
        """Begin."""
        sys.setprofile(self)

    def stop(self) -> None:
        """End, unless another profiler has taken the place."""
        if sys.getprofile() is self:
            sys.setprofile(None)

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take down a call; the interpreter calls this at returns and calls into C as well."""
        self._left -= 1
        if event == "call":
            _note(frame.f_code, frame)
        if self._left <= 0:
            self.stop()
            gap = f"{_GAP}: not all seen in calls of more than {_EVENTS:,} events"
            if gap not in self._run.gaps:
                self._run.gaps.append(gap)


class _Tool:
    """What `sys.monitoring` calls this module by."""

    number: int | None = None
    # Whether functions that ran before are silent: a second run must hear of them again.
    used = False


_tool = _Tool()


def _start(monitoring: Any) -> bool:
    if _tool.number is not None:
        monitoring.restart_events()
        return True
    for number in _TOOLS:
        if monitoring.get_tool(number) is None:
            break
    else:
        return False
    monitoring.use_tool_id(number, _NAME)
    _tool.number = number
    monitoring.register_callback(number, monitoring.events.PY_START, _started)
    monitoring.set_events(number, monitoring.events.PY_START)
    if _tool.used:
        monitoring.restart_events()
    _tool.used = True
    return True


def _stop() -> None:
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None and _tool.number is not None:
        monitoring.set_events(_tool.number, 0)
        monitoring.register_callback(_tool.number, monitoring.events.PY_START, None)
        monitoring.free_tool_id(_tool.number)
        _tool.number = None


def _started(code: CodeType, offset: int) -> Any:
    _note(code, sys._getframe(1))
    return sys.monitoring.DISABLE  # type: ignore[attr-defined]  # not before Python 3.12


def _note(code: CodeType, frame: FrameType) -> None:
    # Called by the interpreter in the middle of the user's call, which an error here would end.
    try:
        module = frame.f_globals.get("__name__") or ""
        for watch in _watches:
            watch.note(code, module)
    except Exception as error:  # noqa: BLE001 (a tracer never stops the run)
        events.report_failure(_GAP, error)


def _function_of(code: CodeType, unit: Executed) -> object | None:
    """The function that has this code, where it can be got at by its module and name."""
    module = "__main__" if unit.module == main_name() else unit.module
    found: Any = sys.modules.get(module)
    for name in unit.name.split("."):
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
        if isinstance(found, (staticmethod, classmethod)):
            found = found.__func__
    return found if getattr(found, "__code__", None) is code else None


def _is_function(code: CodeType) -> bool:
    """Whether it is the code of a function, not of a module, class body or comprehension."""
    if not code.co_flags & inspect.CO_OPTIMIZED:
        return False
    return not code.co_name.startswith("<") or code.co_name == "<lambda>"


def _running() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
