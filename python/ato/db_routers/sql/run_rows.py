"""The row of a run with what it refers to: project, config, environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Insert, insert, select

from ato.db_routers.sql.code_rows import content_digest
from ato.db_routers.sql.schema import Base, Config, Environment, Experiment, Project
from ato.db_routers.sql.text import as_text

__all__ = ["project_id", "shared_id", "write_run"]

# The tables and not their classes, which SQLAlchemy takes 20 ms to make ready: a run that opens is
# not to wait for that.
_PROJECTS = Base.metadata.tables[Project.__tablename__]
_EXPERIMENTS = Base.metadata.tables[Experiment.__tablename__]


def write_run(connection: Connection, description: Mapping[str, Any]) -> int:
    """Insert the row that `opening.describe_run` made; returns the id of the run."""
    row = dict(description["row"])
    row["start_time"] = datetime.fromtimestamp(row["start_time"], UTC)
    row["project_id"] = project_id(connection, description["project"])
    row["config_id"] = shared_id(connection, Config, description["config"])
    row["environment_id"] = shared_id(connection, Environment, description["environment"])
    return _new_id(connection, insert(_EXPERIMENTS).values(**row))


def project_id(connection: Connection, name: str) -> int:
    """The id of a project, made if there is none of that name; in a write transaction."""
    name = as_text(name)
    found = connection.scalar(select(_PROJECTS.c.id).where(_PROJECTS.c.name == name))
    if found is not None:
        return int(found)
    new = insert(_PROJECTS).values(name=name, created_at=datetime.now(UTC))
    return _new_id(connection, new)


def shared_id(
    connection: Connection, kind: type[Config | Environment], content: Mapping[str, Any]
) -> int:
    """The id of the row with this content, written if it is new."""
    table = Base.metadata.tables[kind.__tablename__]
    digest = content_digest(content)
    found = connection.scalar(select(table.c.id).where(table.c.digest == digest))
    if found is not None:
        return int(found)
    new = insert(table).values(digest=digest, content=content)
    return _new_id(connection, new)


def _new_id(connection: Connection, new: Insert) -> int:
    key = connection.execute(new).inserted_primary_key
    assert key is not None
    return int(key[0])
