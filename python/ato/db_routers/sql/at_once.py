"""Writing whole runs that are much alike, one after the other, as a search does.

What the rows of such runs refer to (project, environment, code, names of metrics) is the same for
all. The first one is inserted as any run is; the others, in SQLite, by the driver alone, which takes
a tenth of the time, for as long as nobody else has changed the store in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, text

from ato.db_routers.sql import journals
from ato.db_routers.sql.code_rows import code_rows, content_digest, write_code
from ato.db_routers.sql.drain import INPUT_COLUMNS, POINT_COLUMNS, key_ids, write_records
from ato.db_routers.sql.engine import in_turn, write
from ato.db_routers.sql.journals import Writer
from ato.db_routers.sql.rows import FORM, PLACE_COLUMNS, VALUE_COLUMNS, call_rows, dump, forms_of
from ato.db_routers.sql.run_rows import project_id, shared_id
from ato.db_routers.sql.schema import Config, Environment, Experiment, Fingerprint
from ato.db_routers.sql.summaries import SUMMARISE, summaries
from ato.events import CodeRecord

__all__ = ["Also", "LikeRuns", "WholeRun"]

# A statement with `:run_id` and other named places, for the same transaction, and what stands there.
Also = tuple[str, Mapping[str, Any]]


@dataclass(slots=True)
class WholeRun:
    """All rows of a run. `row` are the columns of `experiments`, with times in seconds since 1970.

    `points` have the place of their name in `names`; `rows` are a journal's.
    """

    writer: Writer
    project: str
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    row: Mapping[str, Any]
    codes: Sequence[CodeRecord]
    names: Sequence[str]
    points: Sequence[tuple[Any, ...]]
    rows: Sequence[tuple[int, tuple[Any, ...]]]

    @property
    def coded(self) -> tuple[Any, ...]:
        """What tells its code from that of another run, while those objects are alive."""
        return tuple((record.trace_id, record.role, id(record.code)) for record in self.codes)


class LikeRuns:
    """Inserts runs into one store, each in one transaction. One at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_file = engine.url.get_backend_name() == "sqlite"
        self._stamp: tuple[int, int, int] | None = None
        self._project: tuple[str, int] | None = None
        self._environment: tuple[Any, int] | None = None
        # A run with exactly this code.
        self._coded: tuple[tuple[Any, ...], Sequence[CodeRecord], int] | None = None
        self._keys: dict[str, int] = {}

    def insert(self, run: WholeRun, also: Also | None = None) -> tuple[int, int]:
        """Insert a run; returns its id, and how many of its records the database refused.

        Raises:
            sqlalchemy.exc.DBAPIError: the store cannot be written.
        """
        if self._is_file and self._stamp is not None and self._knows(run):
            run_id = self._insert_by_driver(run, also)
            if run_id is not None:
                return run_id, 0
        self._stamp = None
        found: tuple[int, int]
        found, self._stamp, learned = write(
            self._engine, lambda connection: self._insert(connection, run, also)
        )
        # Only now is it certain that these rows are there.
        self._project, self._environment, self._coded, self._keys = learned
        return found

    def _knows(self, run: WholeRun) -> bool:
        return (
            self._project is not None
            and self._project[0] == run.project
            and self._environment is not None
            and self._environment[0] is run.environment
            and self._coded is not None
            and self._coded[0] == run.coded
            and all(name in self._keys for name in run.names)
            and all(kind in _BY_DRIVER for kind, _ in run.rows)
        )

    def _insert(self, connection: Connection, run: WholeRun, also: Also | None) -> tuple[Any, ...]:
        """Insert a run as any other, and take down what the next one may refer to."""
        project = project_id(connection, run.project)
        environment = shared_id(connection, Environment, run.environment)
        row = {
            **run.row,
            "project_id": project,
            "environment_id": environment,
            "config_id": shared_id(connection, Config, run.config),
        }
        for name in ("start_time", "end_time"):
            if row.get(name) is not None:
                row[name] = datetime.fromtimestamp(row[name], UTC)
        made = connection.execute(_RUN, row).inserted_primary_key
        assert made is not None, "the table has a key"
        run_id = int(made[0])
        units: set[str] = set()
        write_code(connection, run_id, 0, [code_rows(record, units) for record in run.codes])
        writer = replace(run.writer, run_id=run_id)
        refused = write_records(connection, writer, run.names, run.points, run.rows)
        keys = key_ids(connection, run.names) if run.names else {}
        if also is not None:
            connection.execute(text(also[0]), {**also[1], "run_id": run_id})
        stamp = None
        if self._is_file and not refused:
            stamp = _stamp(connection.connection.driver_connection)
        coded = run.coded, list(run.codes), run_id
        learned = (run.project, project), (run.environment, environment), coded, keys
        return (run_id, refused), stamp, learned

    # ---------------------------------------------------------------- by the driver

    def _insert_by_driver(self, run: WholeRun, also: Also | None) -> int | None:
        """Insert a run that refers to what is known; `None` if that has to be looked up again."""
        with in_turn(self._engine):
            pooled = self._engine.raw_connection()
            raw: Any = pooled.driver_connection
            try:
                raw.execute("BEGIN IMMEDIATE")
                if _stamp(raw) != self._stamp:
                    return None
                run_id = self._rows_by_driver(raw, run)
                if also is not None:
                    raw.execute(also[0], {**also[1], "run_id": run_id})
                stamp = _stamp(raw)
                raw.execute("COMMIT")
                self._stamp = stamp
            except sqlite3.Error:
                # The other way finds out what is wrong, and waits where that helps.
                return None
            else:
                return run_id
            finally:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                pooled.close()

    def _rows_by_driver(self, raw: Any, run: WholeRun) -> int:
        assert self._project is not None, "it is known"
        assert self._environment is not None, "it is known"
        assert self._coded is not None, "it is known"
        values = [
            dump(run.row.get(name)) if name in _JSON else run.row.get(name, _DEFAULTS.get(name))
            for name in _COLUMNS
        ]
        refers = (
            self._project[1],
            self._environment[1],
            _shared(raw, content_digest(run.config), dump(run.config)),
        )
        run_id = int(raw.execute(_NEW_RUN, (*refers, *values)).lastrowid)
        raw.execute(_COPY_CODE, (run_id, self._coded[2]))
        calls = [cells for kind, cells in run.rows if kind == journals.CALL]
        key = (run_id, run.writer.attempt, run.writer.rank, run.writer.process)
        places, inside = call_rows(key, calls, _form_ids(raw, forms_of(calls)))
        raw.executemany(_NEW_CALL, places)
        raw.executemany(_NEW_VALUE, inside)
        inputs = [(*key[:3], *cells) for kind, cells in run.rows if kind == journals.INPUT]
        if inputs:
            raw.executemany(_NEW_INPUT, inputs)
        if run.points:
            ids = [self._keys[name] for name in run.names]
            points = [(*key, number, ids[name], *rest) for number, name, *rest in run.points]
            raw.executemany(_NEW_POINT, points)
            raw.executemany(SUMMARISE.text, summaries(points))
        return run_id


# By table: by class it would take twice as long.
_RUN = insert(Experiment.metadata.tables["experiments"])


def _stamp(raw: Any) -> tuple[int, int, int]:
    """What is another one once anybody has changed the store: through this connection or not."""
    (version,) = raw.execute("PRAGMA data_version").fetchone()
    return id(raw), version, raw.total_changes


def _shared(raw: Any, digest: str, content: str | None) -> int:
    found = raw.execute("SELECT id FROM configs WHERE digest = ?", (digest,)).fetchone()
    if found is not None:
        return int(found[0])
    new = raw.execute("INSERT INTO configs (digest, content) VALUES (?, ?)", (digest, content))
    return int(new.lastrowid)


def _form_ids(raw: Any, forms: Mapping[Any, str]) -> dict[Any, int]:
    ids = {}
    for form, key in forms.items():
        found = raw.execute("SELECT id FROM call_forms WHERE key = ?", (key,)).fetchone()
        ids[form] = found[0] if found else raw.execute(_NEW_FORM, (key, *form)).lastrowid
    return ids


def _insertion(table: str, columns: Iterable[str]) -> str:
    names = list(columns)
    places = ", ".join("?" * len(names))
    # The names are this package's own.
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608


_BY_DRIVER = (journals.CALL, journals.INPUT)
_REFERS = ("project_id", "environment_id", "config_id")
_COLUMNS = [c.name for c in Experiment.__table__.columns if c.name not in {"id", *_REFERS}]
_DEFAULTS = {"attempt": 0}
_JSON = {"tags", "command", "seeds", "random_start"}
_NEW_RUN = _insertion("experiments", [*_REFERS, *_COLUMNS])
_NEW_FORM = _insertion("call_forms", ["key", *FORM])
_NEW_CALL = _insertion("calls", PLACE_COLUMNS)
_NEW_VALUE = _insertion("call_values", VALUE_COLUMNS)
_NEW_INPUT = _insertion("inputs", INPUT_COLUMNS)
_NEW_POINT = _insertion("metrics", POINT_COLUMNS)
_CODE = ", ".join(c.name for c in Fingerprint.__table__.columns if c.name not in {"id", "run_id"})
_COPY_CODE = (
    f"INSERT INTO fingerprints (run_id, {_CODE}) "  # noqa: S608 (the names are this package's own)
    f"SELECT ?, {_CODE} FROM fingerprints WHERE run_id = ? ORDER BY id"
)
