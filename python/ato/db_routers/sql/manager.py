"""`SQLLogger` records runs in an SQL database, `SQLFinder` finds them there.

SQLAlchemy takes 0.4 s to import; it loads with the first run or query, not with this module.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ato import events
from ato.db_routers.sql.finder import SQLFinder, store_location
from ato.db_routers.sql.text import as_text
from ato.exceptions import (
    NoActiveRunError,
    RankTimeoutError,
    RunStillOpenError,
    StoreError,
    UnknownRunError,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from ato.db_routers.sql.recorder import OnError, RunRecorder
    from ato.db_routers.sql.schema import Experiment, Project
    from ato.db_routers.sql.snapshot import ConfigSnapshot

__all__ = ["SQLFinder", "SQLLogger", "open_loggers"]

# What is wrong with the run that was asked for, which no journal can mend.
_ABOUT_THE_RUN = (UnknownRunError, RunStillOpenError, RankTimeoutError)
_STATUSES = ("running", "completed", "failed", "interrupted")


class SQLLogger:
    """Records runs: config with provenance, code, calls, metrics, files, environment.

    The store is the one that `config.experiment.sql.db_path` names (a path or an SQLAlchemy URL),
    else `experiments.db` in the current folder; the project `config.experiment.project_name`, else
    `default`. Any mapping is a config. In a program with several scopes the run keeps the config of
    each under its scope's name (`run.config.data.lr`), whichever of them is given here.

    From `run()` to `finish()` the traced functions of the process record themselves. As a context
    manager it finishes by itself: `failed` with the traceback on an exception, `interrupted` on
    Ctrl-C. A run that is open when the interpreter ends is finished as well.

    What is logged is in a file when the call returns, and outlives the process from there. Where it
    cannot be written, training goes on: one warning says so, what is logged waits in memory until
    that works again, and `finish` says how many records were lost, if any. A store that cannot be
    opened costs a warning too, and its run enters it later (see `run`). With `on_error="raise"`
    a store or a record that cannot be written is a `StoreError` instead.

    Data files that the project's code opens for reading are noticed, and digested when the run
    ends; `watch_files=False` leaves them to `log_input`.

    Safe to use from several threads, and in forked workers, whose metrics join the parent's run.
    Under torchrun rank 0 opens the run, and `run()` on every other rank joins it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        on_error: OnError = "warn",
        *,
        watch_files: bool = True,
    ) -> None:
        if on_error not in {"warn", "raise"}:
            raise StoreError(f"on_error is 'warn' or 'raise', not {on_error!r}")
        self._on_error = on_error
        self._watch_files = watch_files
        self._config = config
        self._project, self._location = store_location(config)
        self._recorder: RunRecorder | None = None
        self._session: tuple[int, Session] | None = None
        self._in_context = False
        self._alone = False

    def for_config(
        self, config: Mapping[str, Any], *, in_context: bool = False, alone: bool = False
    ) -> SQLLogger:
        """A logger of the same store and project for another config: a search has one a trial.

        With `in_context` its runs record what happens in this thread or task only. With `alone`
        its runs are no other rank's to join: each rank of a launch trains something else.
        """
        other = SQLLogger(config, self._on_error, watch_files=self._watch_files)
        other._project, other._location = self._project, self._location
        other.__dict__["engine"] = self.engine
        other._in_context = in_context
        other._alone = alone
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        # For another process: the store and the project, and nothing that is open here.
        return _logger_of, (self._project, self._location, self._on_error, self._watch_files)

    @property
    def project(self) -> str:
        """The name of the project that runs of this logger belong to."""
        return self._project

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the store, which is created if there is none.

        Raises:
            StoreError: it cannot be opened; the subclass and the message say why.
        """
        from ato.db_routers.sql.engine import open_store

        return open_store(self._location, must_exist=False)

    @property
    def session(self) -> Session:
        """An SQLAlchemy session for queries of your own; end its transactions to see new rows.

        What the open run has logged until now is in the tables.
        """
        from sqlalchemy.orm import Session

        if self._recorder is not None:
            self._recorder.drain()

        held = self._session
        if held is None or held[0] != os.getpid():
            # That of a parent process holds a connection that is not this one's to use or close.
            if held is not None:
                _abandoned.append(held[1])
            held = self._session = os.getpid(), Session(self.engine)
        return held[1]

    def run(
        self,
        tags: Sequence[str] | None = None,
        name: str | None = None,
        notes: str | None = None,
        resume: int | str | None = None,
    ) -> int:
        """Open a run and make it the process's current one; returns its id.

        A run that this logger still has open is finished first, as `completed`. An exception that
        leaves the `@scope` function in which the run was opened marks it `failed`.

        Args:
            tags: words to find the run by.
            name: a name to find it by.
            notes: whatever should be remembered of it.
            resume: a run to continue, as an id, a name or `latest`: it gets a new attempt with this
                config and with calls counted from 0, and keeps its metrics.

        Returns:
            the run's id. Where the store cannot be opened now (read-only, damaged, its folder or
            server gone) it is 0, with a warning: the run goes on into a journal, and gets its id
            when the store can be opened again, by whoever opens it. One to resume is then recorded
            as a run of its own.

        Raises:
            ConfigTypeError: the config is no mapping.
            UnknownRunError: there is no run to resume.
            RunStillOpenError: the run to resume is being recorded by another process.
            RankTimeoutError: rank 0 of this launch did not open its run in time.
            StoreError: the store has no address; or, with `on_error="raise"`, cannot be opened.
        """
        from ato.db_routers.sql.launches import current_launch
        from ato.db_routers.sql.snapshot import snapshot

        self.finish()
        config = snapshot(self._config)
        launch = None if self._alone else current_launch()
        words: dict[str, Any] = {"tags": tags, "name": name, "notes": notes, "launch": launch}
        try:
            recorder, failure = self._opened(config, resume, words), None
        except StoreError as error:
            if self._on_error == "raise" or isinstance(error, _ABOUT_THE_RUN):
                raise
            failure = error
        if failure is not None:
            recorder = self._unopened(failure, config, words)
        self._recorder = recorder
        _open_loggers[id(self)] = self
        enclosing = _enclosing_scope()
        recorder.open_run = events.open_run(recorder, in_context=self._in_context)
        if enclosing is not None:
            enclosing.on_exit.append(lambda error: self._left(recorder, error))
        return recorder.run_id

    def _opened(
        self, config: ConfigSnapshot, resume: int | str | None, words: dict[str, Any]
    ) -> RunRecorder:
        from ato.db_routers.sql.launches import join_run
        from ato.db_routers.sql.opening import describe_run, insert_run, resume_run
        from ato.db_routers.sql.recorder import RunRecorder

        launch = words["launch"]
        if launch is not None and launch.rank > 0:
            writer = join_run(self.engine, launch)
        elif resume is not None:
            writer = resume_run(self.engine, config, resume, **words)
        else:
            writer = insert_run(self.engine, describe_run(config, self._project, **words))
        return RunRecorder(self.engine, writer, config, self._on_error, self._watch_files)

    def _unopened(
        self, failure: StoreError, config: ConfigSnapshot, words: dict[str, Any]
    ) -> RunRecorder:
        """Record a run whose store cannot be opened: into a journal, which enters it later."""
        from ato.db_routers.sql.engine import unopened_store
        from ato.db_routers.sql.opening import describe_run, unopened_run
        from ato.db_routers.sql.recorder import RunRecorder

        engine = self.__dict__.get("engine") or unopened_store(self._location)
        description = describe_run(config, self._project, **words)
        writer = unopened_run(description, words["launch"])
        recorder = RunRecorder(
            engine, writer, config, self._on_error, self._watch_files, description
        )
        warnings.warn(
            f"{failure}. The run goes on, without an id; {recorder.whereabouts}",
            RuntimeWarning,
            stacklevel=3,
        )
        return recorder

    def log_metric(self, key: str, value: Any, step: int) -> None:
        """Log a value; it survives the death of the process once this returns.

        Args:
            key: the metric's name.
            value: a real number: of Python, NumPy or torch. NaN and infinities are kept as such.
            step: any integer; steps may come in any order and repeat.

        Raises:
            MetricTypeError: the value is no real number, the step no integer.
            NoActiveRunError: no run is open.
        """
        (self._recorder or self._active()).log_metric(key, value, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Log several values of one step, all or none; otherwise as `log_metric`."""
        (self._recorder or self._active()).log_metrics(metrics, step)

    def log_artifact(
        self,
        run_id: int,
        path: str | os.PathLike[str],
        data_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        copy: bool = False,
    ) -> None:
        """Log a file (size and BLAKE3), a directory (as a tree) or all that a pattern matches.

        A path that does not exist, or a URL, is kept as a reference without digest, with a warning.
        With `copy` the bytes are kept beside the database (`runs.db.artifacts`), equal ones once;
        where they cannot be, a warning says so, and the artifact is logged without them.

        Args:
            run_id: the open run (as `run()` returned it), which is logged to as metrics are, or any
                other of the store.
            path: what to log.
            data_type: a word for what it is (`model`, `plot`).
            metadata: what else to remember of it; what JSON has no form for is kept as text.
            copy: keep the bytes.

        Raises:
            StoreError: no file matches the pattern; of a run that is not open, the store cannot be
                written; with `on_error="raise"`, the bytes cannot be kept.
            UnknownRunError: there is no such run.
        """
        from ato.db_routers.sql.artifacts import artifact_rows
        from ato.db_routers.sql.keeping import keep_file
        from ato.db_routers.sql.queries import insert_artifacts

        recorder = self._recorder
        if recorder is not None and recorder.run_id != run_id:
            recorder = None
        engine = self.engine if recorder is None else recorder.engine
        keep = partial(keep_file, engine) if copy else None
        strict = self._on_error == "raise"
        rows = artifact_rows(path, data_type, metadata, keep, strict=strict)
        if recorder is None:
            insert_artifacts(engine, run_id, rows)
        else:
            recorder.log_artifacts(rows)

    def log_table(self, name: str, table: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Keep a table as an artifact of the open run, `NAME.csv`, its bytes beside the database.

        Args:
            name: what it is called.
            table: a frame of pandas or polars, a mapping of columns or a list of mappings.
            metadata: what else to remember of it; what JSON has no form for is kept as text.

        Raises:
            NoActiveRunError: no run is open.
            StoreError: it is no table; with `on_error="raise"`, its bytes cannot be kept.
        """
        from ato.db_routers.sql.artifacts import table_bytes

        self._log_made(f"{name}.csv", "table", table_bytes, table, metadata)

    def log_figure(self, name: str, figure: Any, metadata: Mapping[str, Any] | None = None) -> None:
        """Keep a figure of matplotlib as an artifact of the open run, `NAME.png`; as `log_table`."""
        from ato.db_routers.sql.artifacts import figure_bytes

        self._log_made(f"{name}.png", "figure", figure_bytes, figure, metadata)

    def _log_made(
        self,
        name: str,
        data_type: str,
        as_bytes: Callable[[Any], bytes],
        made: Any,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        from ato.db_routers.sql.artifacts import made_row
        from ato.db_routers.sql.keeping import keep_bytes

        recorder = self._active()
        content = as_bytes(made)
        try:
            size, digest = keep_bytes(recorder.engine, content)
        except StoreError as error:
            if self._on_error == "raise":
                raise
            warnings.warn(f"{error}; {name} is not logged", RuntimeWarning, stacklevel=3)
            return
        recorder.log_artifacts([made_row(name, data_type, metadata, size, digest)])

    def log_input(self, path: str | os.PathLike[str]) -> None:
        """Log a data file (or folder) that is read here, with its digest as it is now.

        Raises:
            FileNotFoundError: there is none.
            NoActiveRunError: no run is open.
        """
        from ato.db_routers.sql.artifacts import input_row

        self._active().log_input(input_row(path))

    def finish(self, status: str = "completed", error: str | None = None) -> None:
        """End the open run, if there is one; everything it recorded is in the store then.

        In a forked worker this writes what the worker logged and leaves the run to its parent.
        `error` is kept as the reason of a run that failed.
        """
        self._finish(status, None if error is None else as_text(error))

    def update_status(self, status: str) -> None:
        """Change the status of the open run, which goes on.

        Raises:
            NoActiveRunError: no run is open.
            StoreError: there is no such status.
        """
        self._active().update(status=_checked(status))

    def get_current_run_id(self) -> int | None:
        """The id of the open run; 0 where the store could not be opened (see `run`)."""
        return None if self._recorder is None else self._recorder.run_id

    def get_current_run(self) -> Experiment | None:
        """The open run as it stands in the store; `None` where it has no row there."""
        run_id = self.get_current_run_id()
        if not run_id:
            return None
        from ato.db_routers.sql import queries

        return queries.find_run(self.engine, run_id)

    def get_or_create_project(self) -> Project:
        """The project that runs of this logger belong to."""
        from ato.db_routers.sql import queries

        return queries.get_or_create_project(self.engine, self._project)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._finish_after(error)

    def _active(self) -> RunRecorder:
        if self._recorder is None:
            raise NoActiveRunError("no run is open: call run() first, and log before finish()")
        return self._recorder

    def _left(self, recorder: RunRecorder, error: BaseException | None) -> None:
        """The scope in which a run was opened has ended."""
        if error is not None and recorder is self._recorder:
            self._finish_after(error)

    def _finish_after(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._finish("interrupted", _traceback_of(error))
        elif isinstance(error, SystemExit) and not error.code:
            self._finish("completed", None)
        else:
            self._finish("failed", _traceback_of(error))

    def _finish(self, status: str, error: str | None) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        _checked(status)
        if not recorder.is_owner:
            recorder.close()
            return
        self._recorder = None
        _open_loggers.pop(id(self), None)
        if recorder.open_run is not None:
            events.close_run(recorder.open_run)
        recorder.finish(status, error)


def _logger_of(project: str, location: str, on_error: OnError, watch_files: bool) -> SQLLogger:
    experiment = {"project_name": project, "sql": {"db_path": location}}
    return SQLLogger({"experiment": experiment}, on_error, watch_files=watch_files)


# Sessions of parent processes: never used here, and never closed either.
_abandoned: list[Session] = []

# Loggers with an open run, by identity: kept alive until it is finished.
_open_loggers: dict[int, SQLLogger] = {}


def open_loggers() -> list[SQLLogger]:
    """Return the loggers of this process that have an open run, the oldest first."""
    return list(_open_loggers.values())


@atexit.register
def _finish_at_exit() -> None:
    # An unhandled exception that ended the script was printed, and is kept in `sys`, before this
    # runs. In an interactive session it may be hours old.
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if hasattr(sys, "ps1"):
        error = None
    for logger in open_loggers():
        if isinstance(error, BaseException):
            logger._finish_after(error)
        else:
            logger.finish()


def _enclosing_scope() -> events.Frame | None:
    """The innermost running `@scope` function, else the innermost running traced call."""
    call = None
    frame = events.current_frame()
    while frame is not None and frame.kind != "scope":
        if call is None and frame.kind == "call":
            call = frame
        frame = frame.parent
    return frame or call


def _checked(status: str) -> str:
    if status not in _STATUSES:
        raise StoreError(f"no status {status!r}; there is {', '.join(_STATUSES)}")
    return status


def _traceback_of(error: BaseException) -> str:
    return as_text("".join(traceback.format_exception(error)))
