"""The code of a run as rows: units and closures are addressed by content and written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, insert, select, text

from ato.db_routers.sql.schema import CodeClosure, CodeClosureUnit, CodeUnit, Fingerprint
from ato.events import CodeRecord

__all__ = ["content_digest", "write_code"]

# The scheme of the fingerprints `logic` and `deep`; see `ato.code`.
SCHEME = "ato code-deep v1"

_UNIT_FIELDS = (
    "module",
    "name",
    "kind",
    "file",
    "line",
    "text",
    "normalised",
    "logic",
    "deep",
    "value",
    "traced",
)
_AT_ONCE = 500  # keys in one query; SQLite allows 999 parameters in old builds

_NEW_EDGE = text(
    "INSERT INTO code_edges (source_id, target_id) VALUES (:source_id, :target_id) "
    "ON CONFLICT (source_id, target_id) DO NOTHING"
)


def content_digest(content: Any) -> str:
    """The key of a content-addressed row: it never leaves the store."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def write_code(connection: Connection, run_id: int, records: Sequence[CodeRecord]) -> None:
    """Write the code that a run registered, and what of its units is not there yet."""
    units: dict[str, dict[str, Any]] = {}
    members = [_unit_keys(record.code, units) for record in records]
    unit_ids = _ids_of(connection, CodeUnit.__table__, units)
    closures = {content_digest(keys): keys for keys in members}
    closure_ids = _closure_ids(connection, closures, unit_ids)
    seen = _known(connection, run_id)
    for record, keys in zip(records, members, strict=True):
        row = _fingerprint_row(record, run_id, closure_ids[content_digest(keys)])
        row["root_unit_id"] = unit_ids[keys[0]] if keys else None
        identity = (row["trace_id"], row["role"], row["deep"], row["closure_id"])
        if identity not in seen:
            seen.add(identity)
            connection.execute(insert(Fingerprint), row)
    edges = {
        (unit_ids[keys[source]], unit_ids[keys[target]])
        for record, keys in zip(records, members, strict=True)
        for source, target in record.code.edges
    }
    if edges:
        pairs = [{"source_id": source, "target_id": target} for source, target in sorted(edges)]
        connection.execute(_NEW_EDGE, pairs)


def _unit_keys(code: Any, units: dict[str, dict[str, Any]]) -> list[str]:
    keys: list[str] = []
    for unit in code.units:
        row = {name: getattr(unit, name) for name in _UNIT_FIELDS}
        key = content_digest(list(row.values()))
        units[key] = {**row, "key": key}
        keys.append(key)
    return keys


def _ids_of(connection: Connection, table: Any, rows: dict[str, dict[str, Any]]) -> dict[str, int]:
    """The ids of rows by key, those that were missing inserted."""
    ids = _existing(connection, table, rows)
    missing = [row for key, row in rows.items() if key not in ids]
    if missing:
        connection.execute(insert(table), missing)
        ids.update(_existing(connection, table, [row["key"] for row in missing]))
    return ids


def _existing(connection: Connection, table: FromClause, keys: Iterable[str]) -> dict[str, int]:
    wanted = list(keys)
    ids: dict[str, int] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        query = select(table.c.key, table.c.id).where(table.c.key.in_(some))
        ids.update({row.key: row.id for row in connection.execute(query)})
    return ids


def _closure_ids(
    connection: Connection, closures: dict[str, list[str]], unit_ids: dict[str, int]
) -> dict[str, int]:
    known = _existing(connection, CodeClosure.__table__, closures)
    ids = _ids_of(connection, CodeClosure.__table__, {key: {"key": key} for key in closures})
    rows = [
        {"closure_id": ids[key], "position": position, "unit_id": unit_ids[unit]}
        for key, unit_keys in closures.items()
        if key not in known
        for position, unit in enumerate(unit_keys)
    ]
    if rows:
        connection.execute(insert(CodeClosureUnit), rows)
    return ids


def _known(connection: Connection, run_id: int) -> set[tuple[Any, ...]]:
    kept = select(
        Fingerprint.trace_id, Fingerprint.role, Fingerprint.deep, Fingerprint.closure_id
    ).where(Fingerprint.run_id == run_id)
    return {tuple(row) for row in connection.execute(kept)}


def _fingerprint_row(record: CodeRecord, run_id: int, closure_id: int) -> dict[str, Any]:
    code = record.code
    return {
        "run_id": run_id,
        "trace_id": record.trace_id,
        "role": record.role,
        "scheme": SCHEME,
        "text": code.text,
        "logic": code.logic,
        "deep": code.deep,
        "bytecode": code.bytecode,
        "closure_id": closure_id,
        "gaps": list(code.gaps),
        "distributions": list(code.distributions),
    }
