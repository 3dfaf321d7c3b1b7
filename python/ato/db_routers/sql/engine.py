"""Opening a store: its address, its settings, its schema, and the errors a user may meet there."""

from __future__ import annotations

import os
import re
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from ato.db_routers.sql import postgresql
from ato.db_routers.sql.schema import Base
from ato.exceptions import (
    AtoError,
    NoDatabaseError,
    NotADatabaseError,
    SchemaVersionError,
    StoreError,
)

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "DEFAULT_LOCATION",
    "REVISION",
    "explain_failure",
    "in_turn",
    "is_busy",
    "make_ready",
    "open_store",
    "place",
    "store_url",
    "unopened_store",
    "write",
]

T = TypeVar("T")

# The revision of `migrations/versions` that `schema.py` describes. Revisions are numbers, so that a
# newer one can be told from a foreign one.
REVISION = "0001"

BUSY_TIMEOUT = 30.0  # seconds

# SQLite settings of each connection: name, value and why.
SQLITE_SETTINGS = (
    # Writers queue up; a transaction here takes milliseconds, so that half a minute means trouble.
    ("busy_timeout", int(BUSY_TIMEOUT * 1000)),
    # SQLite checks references only where a connection asks for it.
    ("foreign_keys", 1),
    # In WAL mode this keeps every committed row when the process dies; only a machine that loses
    # power may lose the last ones. FULL would wait for the disk at each metric.
    ("synchronous", "NORMAL"),
    # A mapped file that shrinks under a reader ends the process with SIGBUS.
    ("mmap_size", 0),
)

# Settings of the file, made when it is created and kept in it.
SQLITE_FILE_SETTINGS = (
    # Readers do not block the writer, nor it them.
    ("journal_mode", "WAL"),
)

# What a file of ato 2 holds; `importing` reads it.
_ATO_2_TABLES = {"projects", "experiments", "metrics", "artifacts", "fingerprints"}
_READ_ONLY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
DEFAULT_LOCATION = "sqlite:///experiments.db"
# In what is no URL, all from the first colon behind the scheme to the last @ may be the password.
_PASSWORD = re.compile(r"(?<=://)([^:@]*:).*(?=@)|(password=)[^&]*")


def store_url(location: str | os.PathLike[str] | URL | None) -> URL:
    """The URL of a store named by URL or by plain path; SQLite paths become absolute.

    Absolute, because the script may change its folder before the next connection is made.
    """
    if isinstance(location, URL):
        url = location
    else:
        name = os.fspath(location or os.environ.get("ATO_DB") or DEFAULT_LOCATION)
        try:
            url = make_url(name) if "://" in name else URL.create("sqlite", database=name)
        except (ArgumentError, ValueError):
            # Without the cause, which repeats the URL with its password.
            shown = _PASSWORD.sub(r"\1\2***", name)
            raise StoreError(f"{shown!r} is neither a path nor a database URL") from None
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if _is_file(url):
        url = url.set(database=str(Path(url.database or "").expanduser().absolute()))
    return url


def open_store(
    location: str | os.PathLike[str] | URL | None = None, must_exist: bool = True
) -> Engine:
    """Open the store at a path or SQLAlchemy URL and make sure that its schema is this one.

    Without `location` it is the one that the environment variable `ATO_DB` names, else
    `experiments.db` in the current folder.

    With `must_exist` nothing is created and the file may be read-only; without, a missing file or an
    empty database gets its tables. A file of an older schema is upgraded, after a copy of it was
    written beside it; a database on a server in one transaction.

    Raises:
        NoDatabaseError: there is none, or no folder to create it in; the message says where.
        NotADatabaseError: the file is something else, or damaged.
        SchemaVersionError: a newer Ato wrote it.
        StoreError: the database cannot be reached or written.
    """
    engine = unopened_store(location)
    try:
        if not must_exist:
            make_ready(engine)
            return engine
        if _is_file(engine.url):
            _check_path(Path(engine.url.database or ""), must_exist)
        return _open_existing(engine)
    except DBAPIError as error:
        engine.dispose()
        raise explain_failure(error, engine) from error
    except AtoError:
        engine.dispose()
        raise


def make_ready(engine: Engine) -> None:
    """Make sure that a store can be written and that its schema is this one; create what is missing.

    Raises:
        StoreError: as `open_store`.
    """
    if _is_file(engine.url):
        _check_path(Path(engine.url.database or ""), must_exist=False)
    try:
        _prepare(engine)
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def unopened_store(location: str | os.PathLike[str] | URL | None) -> Engine:
    """An engine for a store that nothing is known of yet but its address.

    Raises:
        StoreError: the address is none, or of a database that there is no driver for.
    """
    url = store_url(location)
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(
            f"Ato stores runs in SQLite and PostgreSQL, and {place(url)} is another database; "
            "name a file (runs.db) or postgresql://user@host/database"
        )
    try:
        return _engine(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"no driver for {url.drivername!r} is installed ({error}); "
            "pip install 'ato-rs[postgresql]'"
        ) from error


def write(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work` in one write transaction; again if that failed on account of another one.

    There is one write transaction at a time in a database, so that what `work` looks up stays as it
    is. SQLite answers "locked" at once, whatever the timeout, where waiting could never end (a WAL file
    being recovered, say); those are tried again for as long as the timeout says.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            options = postgresql.WRITE_OPTIONS if _is_server(engine) else {}
            connecting = engine.connect().execution_options(ato_write=True, **options)
            with in_turn(engine), connecting as connection, connection.begin():
                return work(connection)
        except DBAPIError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def is_busy(error: DBAPIError) -> bool:
    """Whether another process holds the lock that was needed."""
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or postgresql.is_busy(error)


def explain_failure(error: DBAPIError, engine: Engine) -> StoreError:
    """Say in one sentence what a database error means for the store, and what to do."""
    if _is_server(engine):
        kind, reason = postgresql.reason(error, engine.url)
    else:
        kind, reason = _REASONS.get(_code(error), (StoreError, f"failed: {error.orig}"))
    return kind(f"the store {place(engine.url)} {reason}")


_REASONS: dict[int | None, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_NOTADB: (NotADatabaseError, "is not a database; name another path"),
    sqlite3.SQLITE_CORRUPT: (
        NotADatabaseError,
        "is damaged (PRAGMA integrity_check says where); restore a copy of it or name another path",
    ),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "cannot be opened; check the folder and its permissions"),
    sqlite3.SQLITE_READONLY: (
        StoreError,
        "is read-only; check the permissions of the file and of its folder",
    ),
    sqlite3.SQLITE_FULL: (StoreError, "has no room left on its disk; free some space"),
    sqlite3.SQLITE_IOERR: (StoreError, "cannot be read or written: the disk reports an error"),
    sqlite3.SQLITE_BUSY: (
        StoreError,
        "was locked by another process all the time; see which one keeps a transaction open",
    ),
}


def _code(error: DBAPIError) -> int | None:
    # The low byte is the kind of error, the rest says more about it.
    extended = getattr(error.orig, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}


def _is_server(engine: Engine) -> bool:
    return postgresql.is_postgresql(engine.url)


def place(url: URL) -> str:
    """Where a store is, for a message: the path of its file, or the URL without its password."""
    if _is_file(url):
        return str(url.database)
    shown = url.difference_update_query(["password"])
    if postgresql.is_postgresql(url):
        shown = shown.set(drivername="postgresql")
    return shown.render_as_string(hide_password=True)


def _check_path(path: Path, must_exist: bool) -> None:
    try:
        is_folder, exists, has_place = path.is_dir(), path.exists(), path.parent.is_dir()
    except PermissionError as error:
        raise StoreError(f"{path} cannot be opened: no permission for {error.filename}") from error
    if is_folder:
        raise NotADatabaseError(f"{path} is a folder; name a file in it")
    if must_exist and not exists:
        raise NoDatabaseError(
            f"there is no database at {path}; name it with --db or ATO_DB, or record a run first"
        )
    if not has_place:
        raise NoDatabaseError(
            f"{path} cannot be created: the folder {path.parent} does not exist; create it, "
            "or set config.experiment.sql.db_path"
        )


def _engine(url: URL, **options: Any) -> Engine:
    if postgresql.is_postgresql(url):
        engine = create_engine(url, **postgresql.ENGINE_OPTIONS, **options)
        event.listen(engine, "begin", _begin_on_server)
        _engines.add(engine)
        _close_with(engine)
        return engine
    if not _is_file(url):
        # Each connection to `:memory:` would be a database of its own.
        options["poolclass"] = StaticPool
    engine = create_engine(
        url, connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT}, **options
    )
    event.listen(engine, "connect", _apply_settings)
    event.listen(engine, "begin", _begin)
    if _is_file(url):
        _engines.add(engine)
    _close_with(engine)
    return engine


# The engines of files and servers: a connection must not cross a fork, not even to be closed.
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_closers: weakref.WeakKeyDictionary[Engine, Any] = weakref.WeakKeyDictionary()
# What belongs to parent processes: never used here, and kept, since to forget it would close it.
_abandoned: list[Any] = []


def _close_with(engine: Engine) -> None:
    # Whoever lets go of a logger or finder need not know that there is a connection to close.
    _closers[engine] = weakref.finalize(engine, engine.pool.dispose)


def _begin_anew_in_child() -> None:
    for engine in list(_engines):
        _closers[engine].detach()
        _abandoned.append(engine.pool)
        engine.dispose(close=False)
        _close_with(engine)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)


def _apply_settings(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions by itself: it would do so with a plain BEGIN.
    connection.isolation_level = None
    for name, value in SQLITE_SETTINGS:
        connection.execute(f"PRAGMA {name}={value}")


def _begin(connection: Connection) -> None:
    # A transaction that reads and then writes fails at once if another one wrote in between,
    # whatever the timeout; so one that will write takes its lock first.
    write_lock = connection.get_execution_options().get("ato_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write_lock else "BEGIN")


def _begin_on_server(connection: Connection) -> None:
    if connection.get_execution_options().get("ato_write", False):
        postgresql.lock(connection, BUSY_TIMEOUT)


def _open_existing(engine: Engine) -> Engine:
    try:
        older = _check_revision(engine)
    except DatabaseError as error:
        path = Path(engine.url.database or "")
        if _code(error) not in _READ_ONLY or os.access(path, os.W_OK) or _has_wal(path):
            raise
        # WAL mode writes beside the file even to read. Where nobody here may write, and nothing
        # waits in the WAL, the file can be read as it lies.
        engine.dispose()
        engine = _engine(
            engine.url.set(
                database=f"file:{quote(str(path))}",
                query={"mode": "ro", "immutable": "1", "uri": "true"},
            )
        )
        older = _check_revision(engine)
    if older is None:
        return engine
    if not older:
        raise NotADatabaseError(f"{place(engine.url)} is empty: it holds no runs")
    _upgrade(engine)
    return engine


def _has_wal(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _prepare(engine: Engine) -> None:
    """Create what is missing. Any number of processes may do this to one fresh file at once."""
    older = _retried(lambda: _check_revision(engine))
    if older is None:
        return
    if older:
        _upgrade(engine)
        return
    if _is_file(engine.url):
        with in_turn(engine):
            _retried(lambda: _set_up_file(engine))
    write(engine, _create)


@contextmanager
def in_turn(engine: Engine) -> Iterator[None]:
    """Let the processes that write one file do so one after the other.

    SQLite waits longer and longer between its looks, so that one of many may draw blanks for half a
    minute. The folder is locked, since nothing but SQLite may open the file: closing it elsewhere
    would let go of SQLite's locks. Who gets no turn in time is left to SQLite.
    """
    with ExitStack() as stack:
        if fcntl is not None and _is_file(engine.url):
            # A network's file system may have no such locks, and a file that is only read no folder.
            with suppress(OSError):
                folder = os.open(Path(engine.url.database or "").parent, os.O_RDONLY)
                stack.callback(os.close, folder)
                _wait_for_lock(folder)
        yield


def _wait_for_lock(descriptor: int) -> None:
    deadline = time.monotonic() + BUSY_TIMEOUT
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.003)
        else:
            return


def _retried(work: Callable[[], T]) -> T:
    # The switch to WAL is one of the places where SQLite does not wait for a lock.
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return work()
        except DBAPIError as error:
            if not is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


def _set_up_file(engine: Engine) -> None:
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        for name, value in SQLITE_FILE_SETTINGS:
            try:
                raw.execute(f"PRAGMA {name}={value}")
            except sqlite3.Error as error:
                raise DBAPIError(f"PRAGMA {name}", None, error) from error


def _create(connection: Connection) -> None:
    if _revision(connection) is not None:
        return  # another process was faster
    Base.metadata.create_all(connection)
    connection.execute(
        text(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:now)"), {"now": REVISION})


def _check_revision(engine: Engine) -> str | None:
    """`None` if the schema is this one, "" if the database is empty, else the older revision."""
    with engine.connect() as connection:
        found = _revision(connection)
    if found is None:
        return ""
    if found > REVISION:
        raise SchemaVersionError(
            f"{place(engine.url)} has schema {found}, and this Ato knows schemas up to "
            f"{REVISION}: a newer Ato wrote it; upgrade this one (pip install -U ato-rs)"
        )
    return None if found == REVISION else found


def _revision(connection: Connection) -> str | None:
    """The schema's revision, `None` for an empty database; "0000" is an Alembic table without row."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if "alembic_version" not in tables and tables >= _ATO_2_TABLES:
        path = place(connection.engine.url)
        raise NotADatabaseError(
            f"{path} was written by ato 2; bring its runs into a store of this version with "
            f"'ato db import {path} --db NEW.db' (the old file stays as it is), and name the new one"
        )
    if "alembic_version" not in tables:
        raise NotADatabaseError(
            f"{place(connection.engine.url)} is a database, but not one of Ato's; name another path"
        )
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and not found.isdigit():
        raise NotADatabaseError(
            f"{place(connection.engine.url)} belongs to another program (its revision is {found!r})"
        )
    return found or "0000"


def _upgrade(engine: Engine) -> None:
    # Alembic takes a while to import and is needed for an older file only.
    from ato.db_routers.sql.migrations import upgrade

    # A server changes tables in a transaction: an upgrade that fails has not happened.
    if _is_file(engine.url):
        _back_up(Path(engine.url.database or ""))
    write(engine, upgrade)


def _back_up(path: Path) -> None:
    """Write `runs.db.before-0001` beside `runs.db`, through SQLite: a live file must not be copied."""
    target = path.with_name(f"{path.name}.before-{REVISION}")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} has an older schema, and no copy of it could be written to {target} before "
            f"the upgrade ({error}); free some space, or see who may write there"
        ) from error
