from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from sqlalchemy import text
from stores import ask, config_for, finder_for, logger_for, run_script

from ato import events
from ato.adict import ADict
from ato.db_routers.sql import drain as drain_module
from ato.db_routers.sql import engine as engine_module
from ato.db_routers.sql import journals, keeping
from ato.db_routers.sql.manager import SQLFinder, SQLLogger
from ato.exceptions import (
    ConfigTypeError,
    MetricTypeError,
    NoActiveRunError,
    StoreError,
    UnknownRunError,
)


@pytest.fixture
def logger(path):
    logger = logger_for(path, lr=0.1, seed=7)
    yield logger
    logger.finish()
    logger.session.close()
    logger.engine.dispose()


@pytest.fixture
def finder(path):
    finder = finder_for(path)
    yield finder
    finder.engine.dispose()


@contextmanager
def _inside(frame):
    """The call of `frame` is running."""
    token = events.push_frame(frame)
    try:
        yield
    finally:
        events.pop_frame(token)


def test_importing_the_manager_loads_no_sqlalchemy():
    """SQLAlchemy loads with the first run, not with the import, also where the finder is named."""
    code = (
        "import sys, ato.db_routers.sql.manager as m; m.SQLFinder('runs.db'); m.SQLLogger({});"
        "assert not {'sqlalchemy', 'alembic', 'numpy', 'torch', 'libcst'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runs_are_numbered_from_one(logger):
    """The first run of a fresh database is 1, the next 2."""
    assert [logger.run(), logger.run()] == [1, 2]


def test_a_run_comes_back_with_what_it_was_opened_with(logger, finder):
    """Tags, name, notes, seeds, host, command and times of a run are in the store."""
    logger.run(tags=["baseline", "cpu"], name="first", notes="before the change")
    logger.finish()
    run = finder.find_run(1)
    assert (run.tags, run.name, run.notes) == (["baseline", "cpu"], "first", "before the change")
    assert (run.status, run.seeds, run.pid) == ("completed", {"seed": 7}, os.getpid())
    assert run.command[0] == sys.orig_argv[0]
    assert run.start_time <= run.end_time


def test_any_mapping_is_a_config(tmp_path, monkeypatch):
    """Without a name the store is `experiments.db` in the current folder, the project `default`."""
    monkeypatch.chdir(tmp_path)
    logger = SQLLogger({})
    logger.run()
    logger.finish()
    assert logger.get_or_create_project().name == "default"
    logger.engine.dispose()
    assert (tmp_path / "experiments.db").exists()


def test_what_is_no_mapping_is_refused(path):
    """A config that is no mapping is an error that says what to pass."""
    with pytest.raises(ConfigTypeError, match=r"not a list; .*vars"):
        SQLLogger([1]).run()


def test_a_config_whose_experiment_is_no_section_is_refused():
    """Else the runs would go into a store and a project that nobody named."""
    for value in ("mnist", 3):
        with pytest.raises(
            ConfigTypeError, match=r"it must be a section that may hold project_name"
        ):
            SQLLogger({"experiment": value})
    assert SQLLogger({"experiment": None})._project == "default"


def test_metrics_come_back_in_the_order_of_logging(logger, finder):
    """A metric is a log: steps may repeat and go back, and each point has its time."""
    logger.run()
    for step, value in [(0, 1.0), (5, 0.5), (5, 0.25), (2, math.nan), (9, -math.inf)]:
        logger.log_metric("loss", value, step)
    logger.log_metrics({"acc": np.float32(0.5), "n": 3}, 9)
    points = finder.find_run(1).metrics
    assert [p.step for p in points] == [0, 5, 5, 2, 9, 9, 9]
    assert [p.key for p in points] == ["loss"] * 5 + ["acc", "n"]
    assert repr([p.value for p in points]) == "[1.0, 0.5, 0.25, nan, -inf, 0.5, 3.0]"
    assert sorted(p.timestamp for p in points) == [p.timestamp for p in points]


def test_the_summary_follows_the_points(logger, path):
    """Last, minimum and maximum of a key are kept with their steps; NaN is neither of the latter."""
    logger.run()
    for step, value in enumerate([2.0, math.nan, 1.0, 3.0]):
        logger.log_metric("loss", value, step)
    logger.log_metric("nothing", math.nan, 0)
    logger.finish()
    columns = "count, last, last_step, minimum, minimum_step, maximum, maximum_step"
    rows = ask(path, f"SELECT {columns} FROM metric_summaries ORDER BY key_id")
    assert rows[0] == (4, 3.0, 3, 1.0, 2, 3.0, 3)
    assert rows[1][:4] == (1, None, 0, None)


def test_metrics_of_one_call_are_kept_together_or_not_at_all(logger, path):
    """If one of several values is no number, none is logged."""
    logger.run()
    with pytest.raises(MetricTypeError, match="'acc'"):
        logger.log_metrics({"loss": 0.5, "acc": "high"}, 0)
    assert ask(path, "SELECT count(*) FROM metrics") == [(0,)]


@pytest.mark.parametrize("wrong", [[("loss", 1.0)], None, 0.5])
def test_metrics_are_a_mapping(logger, wrong):
    """What is no mapping of names to numbers is refused by name."""
    logger.run()
    with pytest.raises(MetricTypeError, match="takes a mapping of names to numbers, not"):
        logger.log_metrics(wrong, 0)


def test_artifacts_are_logged_as_metrics_are(logger, tmp_path, finder):
    """While another process writes, an artifact of the open run is logged at once; it comes in order."""
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    run_id = logger.run()
    other = engine_module.open_store(finder._location)
    held = other.connect().execution_options(ato_write=True)
    with held, held.begin():
        held.execute(text("SELECT 1"))
        begin = time.monotonic()
        for epoch in range(3):
            logger.log_artifact(run_id, weights, metadata={"epoch": epoch})
        logger.log_table("losses", {"loss": [0.5]})
        assert time.monotonic() - begin < 5  # a locked store is waited for half a minute
    other.dispose()
    found = [(a.path, a.details, a.kept) for a in finder.find_run(run_id).artifacts]
    logged = [(str(weights), {"epoch": e}, False) for e in range(3)]
    assert found == [*logged, ("losses.csv", None, True)]


def test_bytes_that_cannot_be_kept_cost_a_warning(path, tmp_path):
    """Where nothing can be kept, an artifact is logged without its bytes; the strict get an error."""
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    for on_error in ("warn", "raise"):
        logger = SQLLogger(config_for(path), on_error=on_error)
        run_id = logger.run()
        blocked = keeping.folder_of(logger.engine)
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_text("a file in the folder's place")
        if on_error == "warn":
            with pytest.warns(RuntimeWarning, match="can be kept in .* without its bytes"):
                logger.log_artifact(run_id, weights, copy=True)
            with pytest.warns(RuntimeWarning, match=r"can be kept in .* t\.csv is not logged"):
                logger.log_table("t", {"loss": [0.5]})
        else:
            with pytest.raises(StoreError, match="can be kept in"):
                logger.log_artifact(run_id, weights, copy=True)
            with pytest.raises(StoreError, match="can be kept in"):
                logger.log_table("t", {"loss": [0.5]})
        blocked.unlink()
        logger.finish()
    kept = [(a.path, a.kept, a.digest is not None) for a in finder_for(path).find_run(1).artifacts]
    assert kept == [(str(weights), False, True)]
    logger.engine.dispose()


def test_a_run_shows_itself_in_a_word(logger, finder):
    """In a list of runs, each says its id, its name and its status."""
    logger.run(name="base")
    assert repr(finder.find_run(1)) == "<run 1 'base', running>"


def test_a_metric_knows_the_call_it_was_logged_in(logger, finder):
    """A point carries the ident of the running call and the sequence number of the next one."""
    logger.run()
    logger.log_metric("loss", 1.0, 0)
    run = events.current_run()
    frame = events.Frame("call", "train.step", run.root)
    frame.enter(run)
    run.next_sequence()
    with _inside(frame):
        logger.log_metric("loss", 0.5, 1)
    assert [(p.ident, p.position) for p in finder.find_run(1).metrics] == [(0, 0), (1, 1)]


def test_threads_log_into_one_run(logger, finder):
    """Points of several threads are all kept, each with its own sequence number."""
    logger.run()

    def work(name):
        for step in range(50):
            logger.log_metric(name, step, step)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = finder.find_run(1).metrics
    assert len({p.sequence for p in points}) == len(points) == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_logs_into_the_parents_run(tmp_path):
    """Metrics of forked workers join the run; only the parent finishes it."""
    code, _, errors = run_script(
        tmp_path,
        """
        import os
        from ato.db_routers.sql.manager import SQLLogger
        logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
        logger.run()
        logger.log_metric("loss", 1.0, 0)
        children = []
        for worker in range(3):
            child = os.fork()
            if child == 0:
                for step in range(20):
                    logger.log_metric("loaded", worker, step)
                raise SystemExit  # runs what is registered for the exit, as os._exit would not
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        logger.log_metric("loss", 0.5, 1)
        """,
    )
    assert code == 0, errors
    run = finder_for(tmp_path / "runs.db").find_run(1)
    assert run.status == "completed"
    assert [p.value for p in run.metrics if p.key == "loss"] == [1.0, 0.5]
    assert (
        sorted(p.value for p in run.metrics if p.key == "loaded") == [0] * 20 + [1] * 20 + [2] * 20
    )
    assert len({p.process for p in run.metrics}) == 4
    run._engine = None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_connections_of_its_own(tmp_path):
    """Artifacts, queries and sessions of a child leave the parent's connection and session alone."""
    code, _, errors = run_script(
        tmp_path,
        """
        import os
        from sqlalchemy import text
        from ato.db_routers.sql.manager import SQLFinder, SQLLogger
        from pathlib import Path
        Path("weights.bin").write_bytes(b"abc")
        logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
        finder = SQLFinder(os.environ["DB"])
        run_id = logger.run()
        finder.find_run(run_id)
        count = text("SELECT count(*) FROM artifacts")
        session = logger.session
        assert session.execute(count).scalar() == 0
        with logger.engine.connect() as connection:
            theirs = id(connection.connection.driver_connection)
        child = os.fork()
        if child == 0:
            with logger.engine.connect() as connection:
                assert id(connection.connection.driver_connection) != theirs
            logger.log_artifact(run_id, "weights.bin")
            assert finder.find_run(run_id).id == run_id
            assert logger.session is not session
            assert logger.session.execute(count).scalar() == 1
            raise SystemExit
        assert os.waitpid(child, 0)[1] == 0
        assert logger.session is session
        session.rollback()
        assert session.execute(count).scalar() == 1
        """,
    )
    assert code == 0, errors


def test_logging_needs_an_open_run(logger):
    """Before `run()` and after `finish()` a log call is an error that says what to do."""
    for _ in range(2):
        with pytest.raises(NoActiveRunError, match=r"call run\(\) first"):
            logger.log_metric("loss", 0.5, 0)
        with pytest.raises(NoActiveRunError):
            logger.log_input("data.csv")
        with pytest.raises(NoActiveRunError):
            logger.update_status("failed")
        logger.run()
        logger.finish()
    logger.finish()  # once more is no harm


def test_the_logger_knows_its_run(logger):
    """While a run is open its id, its row and its project can be asked for; then no more."""
    assert (logger.get_current_run_id(), logger.get_current_run()) == (None, None)
    logger.run(name="first")
    assert logger.get_current_run_id() == 1
    assert logger.get_current_run().name == "first"
    assert logger.get_or_create_project().name == "digits"
    logger.finish()
    assert logger.get_current_run_id() is None


def test_the_session_and_engine_are_sqlalchemys(logger):
    """Queries of the user's own run on the same store."""
    logger.run()
    assert logger.session.execute(text("SELECT count(*) FROM experiments")).scalar() == 1


def test_a_status_may_change_while_the_run_goes_on(logger, finder):
    """`update_status` changes the row at once and takes only statuses that there are."""
    logger.run()
    logger.update_status("failed")
    assert finder.find_run(1).status == "failed"
    with pytest.raises(StoreError, match="'paused'; there is running"):
        logger.update_status("paused")


def test_a_context_manager_finishes_by_itself(path, finder):
    """The run ends with the block: completed, failed with the traceback, or interrupted."""
    for error in (None, ValueError("bad shape"), KeyboardInterrupt(), SystemExit(0), SystemExit(3)):
        try:
            with logger_for(path) as logger:
                logger.run()
                if error is not None:
                    raise error
        except BaseException as raised:
            assert raised is error
        logger.engine.dispose()
    runs = finder.get_runs_in_project("digits")
    assert [run.status for run in runs] == [
        "completed",
        "failed",
        "interrupted",
        "completed",
        "failed",
    ]
    assert "ValueError: bad shape" in runs[1].error
    assert "test_manager.py" in runs[1].error
    assert runs[0].error is None
    assert events.current_run() is None


def test_an_exception_that_leaves_the_scope_fails_the_run(logger, finder):
    """A run is failed by the exception that leaves the `@scope` function in which it was opened."""
    scope = events.Frame("scope", "train.main", None)
    call = events.Frame("call", "train.setup", scope)
    with _inside(scope), _inside(call):
        logger.run()
    assert call.on_exit == []
    for leave in scope.on_exit:
        leave(ZeroDivisionError("by zero"))
    run = finder.find_run(1)
    assert run.status == "failed"
    assert "ZeroDivisionError: by zero" in run.error


def test_outside_of_scopes_a_run_belongs_to_the_traced_call(logger):
    """Without a scope it is the innermost traced call whose exception fails the run; never a value."""
    call = events.Frame("call", "train.main", None)
    value = events.Frame("value", "loss", call)
    with _inside(call), _inside(value):
        logger.run()
    assert (len(call.on_exit), value.on_exit) == (1, [])


def test_a_scope_that_returns_leaves_the_run_open(logger, finder):
    """A run outlives the scope in which it was opened, and a later one of it is not touched."""
    scope = events.Frame("scope", "train.main", None)
    with _inside(scope):
        logger.run()
    scope.on_exit[0](None)
    assert finder.find_run(1).status == "running"
    logger.run()
    scope.on_exit[0](ValueError("of another run"))
    assert finder.find_run(1).status == "completed"
    assert finder.find_run(2).status == "running"


@pytest.mark.parametrize(
    ("ending", "status", "returned"),
    [
        ("", "completed", 0),
        ("raise ValueError('bad shape')", "failed", 1),
        ("raise KeyboardInterrupt", "interrupted", None),
        ("raise SystemExit", "completed", 0),
    ],
)
def test_a_run_that_is_open_at_the_end_is_finished(tmp_path, ending, status, returned):
    """The end of the script ends the run, with the status that the script's end gives it."""
    code, _, _ = run_script(
        tmp_path,
        f"""
        import os
        from ato.db_routers.sql.manager import SQLLogger
        logger = SQLLogger({{"experiment": {{"sql": {{"db_path": os.environ["DB"]}}}}}})
        logger.run()
        try:
            int("handled")
        except ValueError:
            pass
        {ending}
        """,
    )
    assert returned is None or code == returned
    rows = ask(tmp_path / "runs.db", "SELECT status, error, end_time FROM experiments")
    assert rows[0][0] == status
    assert rows[0][2] is not None
    assert "bad shape" not in ending or "ValueError: bad shape" in rows[0][1]


def test_ato_reads_its_settings_quietly(path):
    """The logger's own reads of the config are no reads of the run's."""
    config = ADict(config_for(path, lr=0.1))
    logger = SQLLogger(config)
    logger.run()
    assert events.current_run().root.reads == []
    logger.finish()
    logger.engine.dispose()


def test_inputs_have_their_digest_and_place(logger, tmp_path, path):
    """A file that is read is kept with size, mtime, BLAKE3 and position."""
    data = tmp_path / "train.csv"
    data.write_bytes(b"a,b\n1,2\n")
    logger.run()
    logger.log_input(data)
    with pytest.raises(FileNotFoundError):
        logger.log_input(tmp_path / "absent.csv")
    logger.finish()
    columns = "path, size, mtime, length(digest), ident, position"
    assert ask(path, f"SELECT {columns} FROM inputs") == [
        (str(data), 8, data.stat().st_mtime_ns, 64, 0, 0)
    ]


def test_artifacts_belong_to_a_run(logger, tmp_path, finder):
    """An artifact is logged to the run that is named, finished or not."""
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    logger.run()
    logger.log_artifact(1, weights, data_type="model", metadata={"epoch": 3})
    (artifact,) = finder.find_run(1).artifacts
    assert (artifact.path, artifact.kind, artifact.size) == (str(weights), "file", 7)
    assert (artifact.data_type, artifact.details) == ("model", {"epoch": 3})
    with pytest.raises(UnknownRunError, match="no run 9; the nearest ids: 1"):
        logger.log_artifact(9, weights)


def test_a_store_that_cannot_be_written_is_said_at_the_end(tmp_path, monkeypatch):
    """A failing database costs one warning, not the run; whoever reads the run next brings it in."""
    logger = logger_for(tmp_path / "runs.db")
    logger.run()
    monkeypatch.setattr(drain_module, "write", _failing)
    logger.log_metric("loss", 1.0, 0)
    with pytest.warns(
        RuntimeWarning, match=r"no room left on its disk.*is kept in .*journal"
    ) as said:
        logger.finish()
    assert len(said) == 1
    monkeypatch.undo()
    run = finder_for(tmp_path / "runs.db").find_run(1)
    assert ([p.value for p in run.metrics], run.status) == ([1.0], "completed")
    logger.engine.dispose()


def test_a_store_that_cannot_be_written_is_an_error_for_the_strict(tmp_path, monkeypatch):
    """With `on_error="raise"` the end of a run that cannot enter the store is an error."""
    path = tmp_path / "runs.db"
    logger = SQLLogger(config_for(path), on_error="raise")
    logger.run()
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="no room left"):
        patch.setattr(drain_module, "write", _failing)
        logger.finish()
    assert SQLFinder(str(path)).find_run(1).status == "completed"
    logger.engine.dispose()
    with pytest.raises(StoreError, match="'warn' or 'raise', not 'ignore'"):
        SQLLogger(config_for(path), on_error="ignore")


def test_ctrl_c_while_draining_loses_nothing(logger, finder, monkeypatch):
    """An interrupt in the middle of a drain leaves the records in the journal."""

    def interrupted(engine, work):
        raise KeyboardInterrupt

    logger.run()
    logger.log_metric("loss", 1.0, 0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(drain_module, "write", interrupted)
        logger.finish()
    assert [p.value for p in finder.find_run(1).metrics] == [1.0]


def test_a_record_that_the_store_refuses_is_lost_alone(logger, finder):
    """What stands beside a bad record is stored; only that one is lost, and counted."""
    run_id = logger.run()
    for number in range(3):
        name = None if number == 1 else f"{number}.csv"
        logger._recorder._append(journals.INPUT, (name, 0, 0, None, None, None))
    logger.log_metric("loss", 0.5, 0)
    with pytest.warns(RuntimeWarning) as said:
        logger.finish()
    assert "1 records were not kept" in str(said[-1].message)
    assert [p.value for p in finder.find_run(run_id).metrics] == [0.5]
    with logger.engine.connect() as connection:
        paths = connection.execute(text("SELECT path FROM inputs ORDER BY path")).scalars().all()
    assert paths == ["0.csv", "2.csv"]


def test_a_fault_of_the_drain_is_no_fault_of_the_run(logger, finder, monkeypatch):
    """An error of another kind while draining is said and does not reach the user's code."""

    def broken(engine, work):
        raise LookupError("no such thing")

    logger.run()
    logger.log_metric("loss", 1.0, 0)
    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="no such thing"):
        patch.setattr(drain_module, "write", broken)
        logger.finish()
    assert len(finder.find_run(1).metrics) == 1


def _failing(engine, work):
    import sqlite3

    from sqlalchemy.exc import OperationalError

    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise OperationalError("INSERT", {}, full)


def test_a_locked_store_is_waited_for(logger, finder):
    """While another process writes, a log call waits its turn and loses nothing."""
    logger.run()
    started = threading.Event()

    def block(connection):
        started.set()
        threading.Event().wait(0.3)

    other = engine_module.open_store(finder._location)
    thread = threading.Thread(target=engine_module.write, args=(other, block))
    thread.start()
    started.wait()
    logger.log_metric("loss", 1.0, 0)
    thread.join()
    other.dispose()
    assert len(finder.find_run(1).metrics) == 1
