"""Opening a run, or opening it again: its row, with config, environment and project."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError

from ato import environment
from ato.db_routers.sql.drain import drain
from ato.db_routers.sql.engine import explain_failure, write
from ato.db_routers.sql.journals import Writer, folder_of, host_name
from ato.db_routers.sql.launches import Launch
from ato.db_routers.sql.processes import started
from ato.db_routers.sql.reading import last_seen, resolve_run, status_now
from ato.db_routers.sql.run_rows import shared_id, write_run
from ato.db_routers.sql.schema import Attempt, Config, Environment, Experiment
from ato.db_routers.sql.snapshot import (
    ConfigSnapshot,
    command_line,
    git_state,
    script_folder,
    user_name,
)
from ato.db_routers.sql.text import as_text
from ato.exceptions import RunStillOpenError

__all__ = [
    "SCHEME_VERSION",
    "describe_run",
    "insert_run",
    "prepare",
    "resume_run",
    "same_surroundings",
    "unopened_run",
]

# The version of all fingerprint schemes of a run ("… v1").
SCHEME_VERSION = 1

# A run on another machine that has written within so many seconds may be alive.
SEEN_LATELY = 60.0


def describe_run(
    config: ConfigSnapshot,
    project: str,
    *,
    tags: Sequence[str] | None,
    name: str | None,
    notes: str | None,
    launch: Launch | None = None,
) -> dict[str, Any]:
    """All that the row of a run that begins now is made of, as plain data; see `run_rows.write_run`."""
    row = {
        **_process(config, launch),
        **_words(tags or [], name, notes),
        "scheme_version": SCHEME_VERSION,
        "start_time": datetime.now(UTC).timestamp(),
    }
    return {
        "project": project,
        "config": config.content,
        "environment": _captured(),
        "row": row,
    }


def insert_run(engine: Engine, description: Mapping[str, Any]) -> Writer:
    """Insert the row of a run that begins; returns who writes to it.

    Raises:
        StoreError: the store cannot be written; the message says why.
    """
    try:
        run_id = write(engine, lambda connection: write_run(connection, description))
    except DBAPIError as error:
        raise explain_failure(error, engine) from error
    return _writer(run_id, 0, description["row"]["start_time"])


def unopened_run(description: dict[str, Any], launch: Launch | None) -> Writer:
    """Who writes to a run whose store cannot be opened; it gets its row when that is possible again.

    What the row will be found by then is noted in its description. Under a launch it is the run of
    all ranks, and rank 0 has the row.
    """
    start = description["row"]["start_time"]
    writer = _writer(0, 0, start)
    if launch is not None and launch.rank > 0:
        return replace(writer, rank=launch.rank, opening=f"{launch.name} ")
    own = f"unopened {writer.host}:{writer.pid}:{start!r}"
    opening = description["row"]["launch"] = own if launch is None else launch.text
    return replace(writer, opening=opening)


def resume_run(
    engine: Engine,
    config: ConfigSnapshot,
    reference: int | str,
    *,
    tags: Sequence[str] | None,
    name: str | None,
    notes: str | None,
    launch: Launch | None = None,
) -> Writer:
    """Begin a new attempt of a run; how the run was before stays as a row of `attempts`.

    Raises:
        UnknownRunError: there is no such run.
        RunStillOpenError: a process is recording it.
        StoreError: the store cannot be written.
    """
    given = {"name": name, "notes": notes, "tags": tags}
    row = {
        **_process(config, launch),
        **{key: text for key, text in _words(tags, name, notes).items() if given[key] is not None},
        "random_start": None,
        "end_time": None,
        "error": None,
    }
    captured = _captured()

    def work(connection: Connection) -> Writer:
        chosen = select(Experiment.__table__).where(Experiment.id == run_id)
        before = connection.execute(chosen.with_for_update()).one()
        _check_not_open(connection, before)
        kept = {column.name: getattr(before, column.name, run_id) for column in _KEPT}
        connection.execute(insert(Attempt).values(**kept))
        row["config_id"] = shared_id(connection, Config, config.content)
        row["environment_id"] = shared_id(connection, Environment, captured)
        row["attempt"] = before.attempt + 1
        connection.execute(update(Experiment).where(Experiment.id == run_id).values(**row))
        return _writer(run_id, before.attempt + 1, before.start_time.timestamp())

    try:
        run_id = resolve_run(engine, reference)
        drain(engine, run_id)
        return write(engine, work)
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


_KEPT = Attempt.__table__.columns


def _check_not_open(connection: Connection, row: Any) -> None:
    folder = folder_of(connection.engine)
    if status_now(row, folder) != "running":
        return
    elsewhere = row.host != host_name()
    if elsewhere and time.time() - last_seen(connection, folder, row).timestamp() > SEEN_LATELY:
        return
    raise RunStillOpenError(
        f"run {row.id} is still being recorded by process {row.pid} on {row.host}; end that "
        "process, or open a run of its own (run() without resume)"
    )


class _Surroundings(threading.local):
    """What was found out about this process, while it is not to be asked for again."""

    depth = 0
    environment: dict[str, Any] | None = None
    git: tuple[str | None, bool | None] | None = None


_surroundings = _Surroundings()


@contextmanager
def same_surroundings() -> Iterator[None]:
    """Ask for environment and git state once for all runs that this thread opens in the block.

    A search opens a run a trial, and what its processes loaded does not change while it runs.
    """
    _surroundings.depth += 1
    try:
        yield
    finally:
        _surroundings.depth -= 1
        if not _surroundings.depth:
            _surroundings.environment = _surroundings.git = None


def prepare() -> None:
    """Find out now what the runs of this block, also in forked processes, will need."""
    _captured()
    _git_state()


def _captured() -> dict[str, Any]:
    found = _surroundings.environment
    if found is None:
        found = environment.capture()
        if _surroundings.depth:
            _surroundings.environment = found
    return found


def _git_state() -> tuple[str | None, bool | None]:
    found = _surroundings.git
    if found is None:
        found = git_state(script_folder())
        if _surroundings.depth:
            _surroundings.git = found
    return found


def _process(config: ConfigSnapshot, launch: Launch | None) -> dict[str, Any]:
    """What a run's row says of the process that opens it, or opens it again."""
    commit, dirty = _git_state()
    pid = os.getpid()
    return {
        "status": "running",
        "structural_hash": config.structural_hash,
        "value_hash": config.value_hash,
        "git_commit": commit,
        "git_dirty": dirty,
        "command": command_line(),
        "host": host_name(),
        "pid": pid,
        "process_started": started(pid),
        "launch": None if launch is None else launch.text,
        "user": user_name(),
        "seeds": config.seeds,
    }


def _words(tags: Sequence[str] | None, name: str | None, notes: str | None) -> dict[str, Any]:
    return {
        "name": None if name is None else as_text(name),
        "tags": [tags] if isinstance(tags, str) else list(tags or []),
        "notes": None if notes is None else as_text(notes),
    }


def _writer(run_id: int, attempt: int, start: float) -> Writer:
    return Writer(
        run_id=run_id,
        attempt=attempt,
        rank=0,
        process=0,
        start=start,
        host=host_name(),
        pid=os.getpid(),
    )
