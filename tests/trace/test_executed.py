"""Executed units: which of the project's functions ran in a run, and when each ran first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import ato
from ato.trace import executed, record, runtime_trace
from recorders import recording

MONITORED = hasattr(sys, "monitoring")


def helper():
    return 1


class Layer:
    def forward(self):
        return [helper() for _ in range(2)]


def never():
    return 0


def body():
    record("before", 0)
    return Layer().forward()


def names(recorder, stem="test_executed"):
    """Name → sequence of this file's functions that the run saw starting."""
    found = recorder.calls[-1].executed
    return {unit.name: unit.sequence for unit in found if unit.file.endswith(f"{stem}.py")}


def test_a_run_knows_which_functions_ran_and_when_first() -> None:
    """Functions that a traced call reaches are listed once, with the position of their first call."""
    traced = runtime_trace(body, trace_id="executing")
    with recording() as recorder:
        traced()
        traced()
    seen = names(recorder)
    assert seen["body"] == 0
    assert seen["Layer.forward"] == seen["helper"] == 1
    assert "never" not in seen
    assert all(not name.startswith("<") for name in seen)
    (unit,) = [unit for unit in recorder.calls[-1].executed if unit.name == "helper"]
    assert unit.line == helper.__code__.co_firstlineno
    assert unit.module == __name__


def test_functions_that_run_when_the_run_opens_count() -> None:
    """Whoever opens a run is running already."""

    def opener():
        with recording() as recorder:
            pass
        return recorder

    assert names(opener())["test_functions_that_run_when_the_run_opens_count.<locals>.opener"] == 0


def test_code_that_is_not_the_projects_is_left_out() -> None:
    """Neither the standard library, nor installed packages, nor Ato itself are listed."""
    with recording() as recorder:
        runtime_trace(lambda: Path("a").with_suffix(".b"), trace_id="library")()
    for unit in recorder.calls[-1].executed:
        assert "site-packages" not in unit.file
        assert not unit.module.startswith(("pathlib", "ato."))


def test_a_second_run_hears_of_the_same_functions_again() -> None:
    """What ran in one run is listed in the next one as well."""
    traced = runtime_trace(body, trace_id="again")
    for _ in range(2):
        with recording() as recorder:
            traced()
        assert "helper" in names(recorder)


def test_another_profiler_or_debugger_is_left_alone(monkeypatch) -> None:
    """Where another tool has the hook, or all tool numbers, Ato sees nothing and says so."""
    traced = runtime_trace(body, trace_id="beside")
    if MONITORED:
        for number in (3, 4):
            sys.monitoring.use_tool_id(number, "other")
        try:
            with recording() as recorder:
                traced()
        finally:
            for number in (3, 4):
                sys.monitoring.free_tool_id(number)
    else:

        def other(frame, event, argument):
            return None

        sys.setprofile(other)
        try:
            with recording() as recorder:
                traced()
            assert sys.getprofile() is other
        finally:
            sys.setprofile(None)
    assert any(gap.startswith("executed functions: not seen") for gap in recorder.calls[-1].gaps)
    assert "helper" not in names(recorder)


def test_nothing_is_left_behind_when_the_run_ends() -> None:
    """After the run, and after each call, no hook is set and no tool number taken."""
    traced = runtime_trace(body, trace_id="tidy")
    with recording():
        traced()
        assert sys.getprofile() is None
    assert sys.getprofile() is None
    assert executed._watches == []
    if MONITORED:
        assert [sys.monitoring.get_tool(number) for number in (3, 4)] == [None, None]


def test_a_long_call_is_left_alone_after_a_while(monkeypatch) -> None:
    """Where each event costs, a call is looked at for a number of events only."""
    monkeypatch.setattr(executed, "_EVENTS", 10)

    def long():
        for _ in range(20):
            helper()
        hook = sys.getprofile()
        never()
        return hook

    with recording() as recorder:
        assert runtime_trace(long, trace_id="long")() is None
    seen = names(recorder)
    assert "helper" in seen
    assert ("never" in seen) == MONITORED


def test_a_profiler_that_starts_inside_a_call_goes_on() -> None:
    """A hook that the traced function itself sets is not taken away at its end."""

    def other(frame, event, argument):
        return None

    try:
        with recording():
            runtime_trace(lambda: sys.setprofile(other), trace_id="profiling")()
        assert sys.getprofile() is other
    finally:
        sys.setprofile(None)


def test_calls_in_threads_count() -> None:
    """A function that only a thread calls, inside a traced call, is listed."""

    def in_thread():
        return runtime_trace(helper, trace_id="thread_helper")()

    with recording() as recorder:
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
    assert "helper" in names(recorder)


def test_a_script_counts_by_its_files_name(tmp_path) -> None:
    """Functions of the entry script have the module name under which they would be imported."""
    (tmp_path / "train.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from recorders import recording\n"
        "from ato.trace import runtime_trace\n"
        "def inner():\n    return 1\n"
        "@runtime_trace\ndef step():\n    return inner()\n"
        "with recording() as recorder:\n    step()\n"
        "print(sorted(f'{u.module}.{u.name}' for u in recorder.calls[-1].executed\n"
        "    if u.file.endswith('train.py')))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(ato.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['train.inner', 'train.step']"


def test_the_store_keeps_what_ran(tmp_path) -> None:
    """The record of a stored run lists the same functions as the run itself did."""
    from ato.db_routers.sql.reading import load_run

    traced = runtime_trace(body, trace_id="stored")
    logger = ato.SQLLogger({"experiment": {"sql": {"db_path": str(tmp_path / "runs.db")}}})
    run_id = logger.run()
    with recording() as recorder:
        traced()
    logger.finish()
    stored = load_run(logger.engine, run_id).calls[-1]
    logger.engine.dispose()
    assert stored.kind == "run"
    assert stored.passed == []
    assert {unit.name for unit in stored.executed} >= set(names(recorder))
