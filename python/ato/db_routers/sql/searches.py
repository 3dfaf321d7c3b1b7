"""Searches in the store: what was asked for, and the result of every training."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from ato.db_routers.sql.engine import explain_failure, write
from ato.db_routers.sql.run_rows import project_id
from ato.db_routers.sql.schema import Project, Search, SearchTrial
from ato.db_routers.sql.text import as_text
from ato.exceptions import UnknownRunError

if TYPE_CHECKING:
    from ato.db_routers.sql.brief import BriefRecorder

__all__ = [
    "SearchRecord",
    "TrialRecord",
    "add_trial",
    "find_search",
    "finish_search",
    "insert_search",
    "last_search",
    "list_searches",
    "search_trials",
]

_COLUMNS = [column.name for column in SearchTrial.__table__.columns]
_INSERT = text(
    # The names are this package's own. A training that two drivers of one search both ran has the
    # result that came first.
    f"INSERT INTO search_trials ({', '.join(_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """A search as it is stored; see `schema.Search`."""

    id: int
    project: str
    name: str
    mode: str
    settings: dict[str, Any]
    status: str
    start_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """The result of a training; see `schema.SearchTrial`."""

    trial: int
    rung: int
    bracket: int
    budget: int | None
    point: dict[str, Any]
    point_digest: str
    metric: float
    status: str
    error: str | None
    run_id: int | None
    duration: float


def insert_search(
    engine: Engine, project: str, name: str, mode: str, settings: Mapping[str, Any]
) -> int:
    """Insert a search that begins now; returns its id.

    Raises:
        StoreError: the store cannot be written.
    """

    def work(connection: Connection) -> int:
        new = insert(Search).values(
            project_id=project_id(connection, project),
            name=as_text(name),
            mode=mode,
            settings=dict(settings),
            status="running",
            start_time=datetime.now(UTC),
        )
        key = connection.execute(new).inserted_primary_key
        assert key is not None, "the table has a key"
        return int(key[0])

    try:
        return write(engine, work)
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def finish_search(engine: Engine, search_id: int, status: str) -> None:
    """Set the status of a search: `running` again, or how it ended.

    Raises:
        StoreError: the store cannot be written.
    """
    ended = None if status == "running" else datetime.now(UTC)
    change = update(Search).where(Search.id == search_id).values(status=status, end_time=ended)
    try:
        write(engine, lambda connection: connection.execute(change))
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def add_trial(
    engine: Engine,
    search_id: int,
    position: int,
    record: TrialRecord,
    run: BriefRecorder | None = None,
) -> int | None:
    """Keep the result of a training, with its run if that is not in the store yet, in one transaction.

    Returns:
        the id of its run.

    Raises:
        StoreError: the store cannot be written.
    """
    row = {
        "search_id": search_id,
        "trial": record.trial,
        "rung": record.rung,
        "position": position,
        "bracket": record.bracket,
        "budget": record.budget,
        "point": _json(record.point),
        "point_digest": record.point_digest,
        "metric": None if math.isnan(record.metric) else record.metric,
        "status": record.status,
        "error": None if record.error is None else as_text(record.error),
        "duration": record.duration,
        "timestamp": time.time(),
    }
    try:
        if run is not None:
            return run.write((_INSERT.text, row))
        row["run_id"] = record.run_id
        write(engine, lambda connection: connection.execute(_INSERT, row))
    except DBAPIError as error:
        raise explain_failure(error, engine) from error
    return record.run_id


def search_trials(engine: Engine, search_id: int) -> list[TrialRecord]:
    """The results of a search, in the order in which they came."""
    columns = [getattr(SearchTrial, name) for name in TrialRecord.__dataclass_fields__]
    query = select(*columns).where(SearchTrial.search_id == search_id)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(SearchTrial.position)).all()
    return [TrialRecord(**{**row._mapping, "point": row.point or {}}) for row in rows]


def last_search(engine: Engine, project: str, name: str) -> SearchRecord | None:
    """The newest search of this name in a project."""
    found = _searches(engine, Project.name == project, Search.name == name)
    return found[-1] if found else None


def list_searches(engine: Engine) -> list[SearchRecord]:
    """All searches of a store, the oldest first."""
    return _searches(engine)


def find_search(engine: Engine, name: str) -> SearchRecord:
    """The search with this id, or the newest with this name; `latest` is the newest of all.

    Raises:
        UnknownRunError: there is none; the message lists those that there are.
    """
    searches = _searches(engine)
    number = int(name) if name.isdecimal() else None
    for search in reversed(searches):
        if search.name == name or search.id == number or name == "latest":
            return search
    known = ", ".join(f"{search.id} ({search.name})" for search in searches[-5:]) or "none"
    raise UnknownRunError(f"there is no search {name!r} in the store; there is: {known}")


def _searches(engine: Engine, *conditions: Any) -> list[SearchRecord]:
    query = select(
        Search.id,
        Project.name,
        Search.name,
        Search.mode,
        Search.settings,
        Search.status,
        Search.start_time,
        Search.end_time,
    ).join(Project, Project.id == Search.project_id)
    with engine.connect() as connection:
        rows: Sequence[Any] = connection.execute(query.where(*conditions).order_by(Search.id)).all()
    return [
        SearchRecord(row[0], row[1], row[2], row[3], row[4] or {}, row[5], row[6], row[7])
        for row in rows
    ]


def _json(values: Mapping[str, Any]) -> str:

    return json.dumps(values, separators=(",", ":"))
