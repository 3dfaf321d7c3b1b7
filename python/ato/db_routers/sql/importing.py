"""Bringing in what ato 2 stored: an SQLite file of five tables, with the config of a run as JSON."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DBAPIError

from ato.db_routers.sql import drain, journals
from ato.db_routers.sql.code_rows import CodeRows, content_digest, write_code
from ato.db_routers.sql.engine import _ATO_2_TABLES, explain_failure, write
from ato.db_routers.sql.journals import Writer
from ato.db_routers.sql.opening import SCHEME_VERSION
from ato.db_routers.sql.rows import call_cells
from ato.db_routers.sql.run_rows import project_id, shared_id
from ato.db_routers.sql.schema import Artifact, Config, Environment, Experiment
from ato.db_routers.sql.snapshot import snapshot
from ato.db_routers.sql.text import as_text
from ato.events import CallRecord, Leaf
from ato.exceptions import NoDatabaseError, NotADatabaseError

__all__ = ["import_ato_2"]

# Where the fingerprints come from; they compare with each other and with none of this version's.
_SCHEME = "ato 2"
# What an imported run has as its host, with its old id as pid: by these it is known again.
_HOST = "ato 2"
_STATUSES = frozenset({"completed", "failed", "interrupted"})


def import_ato_2(path: str | os.PathLike[str], engine: Engine) -> list[int]:
    """Bring the runs of a file that ato 2 wrote into a store, all or none; the file stays as it is.

    Projects, configs (with secrets masked), tags, times, metrics, artifacts (as references) and
    fingerprints come over. A run that still said `running` is `interrupted` now. Runs that were
    brought in before are left out, so that a file can be imported again when it has more.

    Returns:
        the ids of the new runs, in the order of the old ones.

    Raises:
        NoDatabaseError: there is no such file.
        NotADatabaseError: the file is none of ato 2's.
        StoreError: the store cannot be written.
    """
    old = _read(Path(path))
    try:
        return write(engine, lambda connection: _import(connection, old))
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, by table; these files are small, since each metric cost 5 ms."""
    if not path.is_file():
        raise NoDatabaseError(f"there is no file {path}; name the database that ato 2 wrote")
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            if not tables >= _ATO_2_TABLES or "alembic_version" in tables:
                raise NotADatabaseError(
                    f"{path} is no database of ato 2; there is nothing to import"
                )
            return {
                # The names are this module's own.
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY id")]  # noqa: S608
                for name in sorted(_ATO_2_TABLES)
            }
    except sqlite3.DatabaseError as error:
        raise NotADatabaseError(f"{path} cannot be read as a database of ato 2: {error}") from error


def _import(connection: Connection, old: dict[str, list[dict[str, Any]]]) -> list[int]:
    names = {row["id"]: row["name"] for row in old["projects"]}
    by_run: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for table in ("metrics", "artifacts", "fingerprints"):
        for row in old[table]:
            by_run.setdefault(table, {}).setdefault(row["run_id"], []).append(row)
    ids = []
    for row in old["experiments"]:
        project = str(names.get(row["project_id"], "default"))
        try:
            run_id = _import_run(connection, row, project, by_run)
        except (ValueError, TypeError, KeyError) as error:
            raise NotADatabaseError(
                f"run {row['id']} of project {project!r} cannot be read, and nothing was imported: "
                f"{error}"
            ) from error
        if run_id is not None:
            ids.append(run_id)
    return ids


def _import_run(
    connection: Connection,
    row: Mapping[str, Any],
    project: str,
    by_run: Mapping[str, Mapping[int, list[dict[str, Any]]]],
) -> int | None:
    start = _moment(row["start_time"]) or datetime.fromtimestamp(0, UTC)
    of_project = project_id(connection, as_text(project))
    known = select(Experiment.id).where(
        Experiment.project_id == of_project,
        Experiment.host == _HOST,
        Experiment.pid == row["id"],
        Experiment.start_time == start,
    )
    if connection.scalar(known) is not None:
        return None
    run_id = _insert_run(connection, row, of_project, start)
    writer = Writer(run_id, 0, 0, 0, start.timestamp(), _HOST, row["id"])
    _import_metrics(connection, writer, by_run.get("metrics", {}).get(row["id"], []))
    _import_artifacts(connection, run_id, start, by_run.get("artifacts", {}).get(row["id"], []))
    _import_code(connection, writer, by_run.get("fingerprints", {}).get(row["id"], []))
    return run_id


def _insert_run(
    connection: Connection, row: Mapping[str, Any], of_project: int, start: datetime
) -> int:
    config = _json(row["config"])
    taken = snapshot(config if isinstance(config, dict) else {"config": config})
    tags = _json(row["tags"]) or []
    status = row["status"]
    known = status in _STATUSES
    new = insert(Experiment).values(
        project_id=of_project,
        status=status if known else "interrupted",
        tags=[str(tag) for tag in tags] if isinstance(tags, list) else [str(tags)],
        # The words of a status that there is no longer.
        notes=None if known or status == "running" else as_text(f"status: {status}"),
        config_id=shared_id(connection, Config, taken.content),
        structural_hash=taken.structural_hash,
        value_hash=taken.value_hash,
        environment_id=shared_id(connection, Environment, {}),
        host=_HOST,
        pid=row["id"],
        seeds=taken.seeds,
        scheme_version=SCHEME_VERSION,
        start_time=start,
        end_time=_moment(row["end_time"]),
    )
    key = connection.execute(new).inserted_primary_key
    assert key is not None
    return int(key[0])


def _import_metrics(connection: Connection, writer: Writer, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(as_text(str(row["key"])) for row in rows))
    numbers = {name: number for number, name in enumerate(names)}
    points = []
    for sequence, row in enumerate(rows):
        moment = _moment(row["timestamp"])
        logged = writer.start if moment is None else moment.timestamp()
        number = numbers[as_text(str(row["key"]))]
        points.append((sequence, number, float(row["value"]), row["step"], logged, None, None))
    drain._write_points(connection, writer, points, names)


def _import_artifacts(
    connection: Connection, run_id: int, start: datetime, rows: list[dict[str, Any]]
) -> None:
    new = [
        {
            "run_id": run_id,
            "path": as_text(row["path"]),
            "kind": "reference",
            "data_type": row["data_type"],
            "metadata": _json(row["data_info"]),
            "timestamp": start.timestamp(),
        }
        for row in rows
    ]
    if new:
        connection.execute(insert(Artifact.metadata.tables["artifacts"]), new)


def _import_code(connection: Connection, writer: Writer, rows: list[dict[str, Any]]) -> None:
    """Static fingerprints are code without a text; runtime ones a call that gave the fingerprint."""
    codes, calls = [], []
    for sequence, row in enumerate(rows):
        trace_id, digest = as_text(row["trace_id"]), str(row["fingerprint"])
        if len(digest) > 64:
            digest = content_digest(digest)
        if row["trace_type"] == "static":
            code: dict[str, Any] = dict.fromkeys(("text", "deep", "bytecode"))
            code |= {"trace_id": trace_id, "role": "trace", "scheme": _SCHEME, "logic": digest}
            code |= {"gaps": [], "distributions": []}
            codes.append(CodeRows(code, {}, content_digest([]), [], []))
        else:
            output = {"output": Leaf(digest, _SCHEME)}
            record = CallRecord("call", trace_id, sequence + 1, 0, 0, sequence, 0, output=output)
            calls.append((journals.CALL, call_cells(record)))
    write_code(connection, writer.run_id, writer.attempt, codes)
    drain._write_rows(connection, writer, calls)


def _moment(text: str | None) -> datetime | None:
    """Times of ato 2 are UTC and do not say so."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
