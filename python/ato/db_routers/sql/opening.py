"""Opening a run: its row, with the config, environment and project that it belongs to."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Insert, insert, select
from sqlalchemy.exc import DBAPIError

from ato import environment
from ato.db_routers.sql.code_rows import content_digest
from ato.db_routers.sql.engine import explain_failure, write
from ato.db_routers.sql.processes import started
from ato.db_routers.sql.schema import Config, Environment, Experiment, Project
from ato.db_routers.sql.snapshot import (
    ConfigSnapshot,
    command_line,
    git_state,
    script_folder,
    user_name,
)
from ato.db_routers.sql.text import as_text

__all__ = ["insert_run", "project_id"]

# The version of all fingerprint schemes of a run ("… v1").
SCHEME_VERSION = 1


def insert_run(
    engine: Engine,
    config: ConfigSnapshot,
    project: str,
    *,
    tags: Sequence[str] | None,
    name: str | None,
    notes: str | None,
) -> int:
    """Insert the row of a run that begins now; returns its id.

    Raises:
        StoreError: the store cannot be written; the message says why.
    """
    commit, dirty = git_state(script_folder())
    pid = os.getpid()
    row = {
        "name": None if name is None else as_text(name),
        "status": "running",
        "tags": [tags] if isinstance(tags, str) else list(tags or []),
        "notes": None if notes is None else as_text(notes),
        "structural_hash": config.structural_hash,
        "value_hash": config.value_hash,
        "git_commit": commit,
        "git_dirty": dirty,
        "command": command_line(),
        "host": socket.gethostname(),
        "pid": pid,
        "process_started": started(pid),
        "user": user_name(),
        "seeds": config.seeds,
        "scheme_version": SCHEME_VERSION,
        "start_time": datetime.now(UTC),
    }
    captured = environment.capture()

    def work(connection: Connection) -> int:
        row["project_id"] = project_id(connection, project)
        row["config_id"] = _shared(connection, Config, config.content)
        row["environment_id"] = _shared(connection, Environment, captured)
        return _new_id(connection, insert(Experiment).values(**row))

    try:
        return write(engine, work)
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def project_id(connection: Connection, name: str) -> int:
    """The id of a project, made if there is none of that name; in a write transaction."""
    found = connection.scalar(select(Project.id).where(Project.name == name))
    if found is not None:
        return found
    new = insert(Project).values(name=name, created_at=datetime.now(UTC))
    return _new_id(connection, new)


def _shared(
    connection: Connection, table: type[Config | Environment], content: Mapping[str, Any]
) -> int:
    """The id of the row with this content, written if it is new."""
    digest = content_digest(content)
    found = connection.scalar(select(table.id).where(table.digest == digest))
    if found is not None:
        return found
    new = insert(table).values(digest=digest, content=content)
    return _new_id(connection, new)


def _new_id(connection: Connection, new: Insert) -> int:
    key = connection.execute(new).inserted_primary_key
    assert key is not None
    return int(key[0])
