"""The row of a run with what it refers to: project, config, environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Insert, insert, select

from ato.db_routers.sql.code_rows import content_digest
from ato.db_routers.sql.schema import Config, Environment, Experiment, Project
from ato.db_routers.sql.text import as_text

__all__ = ["project_id", "shared_id", "write_run"]


def write_run(connection: Connection, description: Mapping[str, Any]) -> int:
    """Insert the row that `opening.describe_run` made; returns the id of the run."""
    row = dict(description["row"])
    row["start_time"] = datetime.fromtimestamp(row["start_time"], UTC)
    row["project_id"] = project_id(connection, description["project"])
    row["config_id"] = shared_id(connection, Config, description["config"])
    row["environment_id"] = shared_id(connection, Environment, description["environment"])
    return _new_id(connection, insert(Experiment).values(**row))


def project_id(connection: Connection, name: str) -> int:
    """The id of a project, made if there is none of that name; in a write transaction."""
    name = as_text(name)
    found = connection.scalar(select(Project.id).where(Project.name == name))
    if found is not None:
        return found
    new = insert(Project).values(name=name, created_at=datetime.now(UTC))
    return _new_id(connection, new)


def shared_id(
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
