"""PostgreSQL as a store: how it is reached, how writers take turns, and what its errors mean."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from ato.exceptions import NoDatabaseError, StoreError

__all__ = ["ENGINE_OPTIONS", "is_busy", "is_postgresql", "lock", "reason", "without_password"]

_CONNECT_TIMEOUT = 10  # seconds; a host that drops packets would hold the start up for minutes
# All writers of a database hold this lock, as they hold the file's in SQLite: what is looked up and
# then inserted in one transaction is inserted once. Any constant will do that no one else uses.
_LOCK = 0x61746F_72756E73  # "ato runs"

ENGINE_OPTIONS: dict[str, Any] = {
    # A connection that lay in the pool while the server was restarted is replaced, not used.
    "pool_pre_ping": True,
    # One snapshot for all queries of a transaction, as SQLite has it.
    "isolation_level": "REPEATABLE READ",
    "connect_args": {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "ato"},
}
# A transaction that waits for the lock must see, once it has it, what was committed meanwhile.
WRITE_OPTIONS = {"isolation_level": "READ COMMITTED"}

_DEADLOCK, _SERIALISATION, _LOCK_TIMEOUT = "40P01", "40001", "55P03"
_DISK_FULL, _READ_ONLY, _NO_RIGHT = "53100", "25006", "42501"

# Of a connection that fails the driver tells no code, so that the server's words must do.
_CONNECTING = (
    (
        re.compile(r'database "[^"]*" does not exist'),
        NoDatabaseError,
        "does not exist on the server; create it (createdb) or name another",
    ),
    (
        re.compile(r"password authentication failed|no password supplied"),
        StoreError,
        "cannot be opened: the server does not accept user and password; check the URL or ~/.pgpass",
    ),
    (
        re.compile(r"Connection refused|could not connect|Is the server running"),
        StoreError,
        "cannot be reached: no server answers there; check host and port, and whether it runs",
    ),
    (
        re.compile(r"failed to resolve|could not translate host name"),
        StoreError,
        "cannot be reached: no host of this name is known; check the URL",
    ),
    (
        re.compile(r"timeout expired|timed out"),
        StoreError,
        "cannot be reached: the server does not answer; check host, port and firewall",
    ),
)
_BY_STATE = {
    _DISK_FULL: "has no room left on the server's disk; free some space there",
    _READ_ONLY: "is read-only (a standby, or set so); name the primary server",
    _NO_RIGHT: "may not be used by this user; have the rights granted (GRANT) or name another user",
    _LOCK_TIMEOUT: "was locked by another process all the time; see which one keeps a transaction open",
    "53300": "has no free connection (max_connections of the server); close some or raise it",
}


def is_postgresql(url: URL) -> bool:
    """Whether a URL names a database on a PostgreSQL server."""
    return url.get_backend_name() == "postgresql"


def lock(connection: Connection, timeout: float) -> None:
    """Wait, up to `timeout` seconds, until no other writer is in a transaction; then keep them out."""
    milliseconds = str(int(timeout * 1000))
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)",
        (milliseconds, _LOCK),
    )


def is_busy(error: DBAPIError) -> bool:
    """Whether a transaction failed on account of another one, and may be tried again."""
    return _state(error) in {_DEADLOCK, _SERIALISATION, _LOCK_TIMEOUT}


def reason(error: DBAPIError, url: URL) -> tuple[type[StoreError], str]:
    """What an error means for the store, as the end of a sentence that begins with its place."""
    state = _state(error)
    if state in _BY_STATE:
        return StoreError, _BY_STATE[state]
    said = str(error.orig)
    if state is None:
        for pattern, kind, text in _CONNECTING:
            if pattern.search(said):
                return kind, text
        if error.connection_invalidated:
            return StoreError, "was lost: the server closed the connection; see whether it runs"
    return StoreError, f"failed: {without_password(said, url).strip()}"


def without_password(text: str, url: URL) -> str:
    """A text that the driver or the server made, in which the password must not be repeated."""
    passwords = [url.password, url.query.get("password")]
    for password in passwords:
        if isinstance(password, str) and password:
            text = text.replace(password, "***")
    return text


def _state(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return found if isinstance(found, str) else None
