"""The code of a run as rows: units and closures are addressed by content and written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, insert, select, text

from ato.db_routers.sql.schema import CodeClosure, CodeClosureUnit, CodeUnit, Fingerprint
from ato.db_routers.sql.text import as_text
from ato.events import CodeRecord

__all__ = ["CodeRows", "code_rows", "content_digest", "ids_of", "write_code"]

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
    "held",
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


@dataclass(frozen=True, slots=True)
class CodeRows:
    """A code record as rows, still without ids.

    `members` are the keys of its units, the root first; `edges` which of them refers to which, by
    index; `units` the units that were not taken down before, by key.
    """

    fingerprint: dict[str, Any]
    units: dict[str, dict[str, Any]]
    closure: str
    members: list[str]
    edges: list[tuple[int, int]]


def code_rows(record: CodeRecord, known: set[str]) -> CodeRows:
    """Take down a code record, without the units whose keys are `known`; their keys join it."""
    code = record.code
    units: dict[str, dict[str, Any]] = {}
    members: list[str] = []
    for unit in code.units:
        row = {name: _plain(getattr(unit, name)) for name in _UNIT_FIELDS}
        key = content_digest(list(row.values()))
        members.append(key)
        if key not in known:
            units[key] = {**row, "key": key}
    known.update(units)
    fingerprint = {
        "trace_id": as_text(record.trace_id),
        "role": record.role,
        "scheme": SCHEME,
        "text": _plain(code.text),
        "logic": code.logic,
        "deep": code.deep,
        "bytecode": code.bytecode,
        "gaps": list(code.gaps),
        "distributions": list(code.distributions),
    }
    return CodeRows(fingerprint, units, content_digest(members), members, list(code.edges))


def write_code(
    connection: Connection, run_id: int, attempt: int, codes: Sequence[CodeRows]
) -> None:
    """Write the code that a run registered, and what of its units is not there yet."""
    units = {key: row for code in codes for key, row in code.units.items()}
    unit_ids = ids_of(connection, CodeUnit.__table__, units)
    others = {key for code in codes for key in code.members} - unit_ids.keys()
    unit_ids.update(_existing(connection, CodeUnit.__table__, others))
    closures = {code.closure: code.members for code in codes}
    closure_ids = _closure_ids(connection, closures, unit_ids)
    seen = _known(connection, run_id, attempt)
    for code in codes:
        row = {
            **code.fingerprint,
            "run_id": run_id,
            "attempt": attempt,
            "root_unit_id": unit_ids[code.members[0]] if code.members else None,
            "closure_id": closure_ids[code.closure],
        }
        identity = (row["trace_id"], row["role"], row["deep"], row["closure_id"])
        if identity not in seen:
            seen.add(identity)
            connection.execute(insert(Fingerprint), row)
    edges = {
        (unit_ids[code.members[source]], unit_ids[code.members[target]])
        for code in codes
        for source, target in code.edges
    }
    if edges:
        pairs = [{"source_id": source, "target_id": target} for source, target in sorted(edges)]
        connection.execute(_NEW_EDGE, pairs)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return as_text(value) if isinstance(value, str) else value


def ids_of(connection: Connection, table: Any, rows: dict[str, dict[str, Any]]) -> dict[str, int]:
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
    ids = ids_of(connection, CodeClosure.__table__, {key: {"key": key} for key in closures})
    rows = [
        {"closure_id": ids[key], "position": position, "unit_id": unit_ids[unit]}
        for key, unit_keys in closures.items()
        if key not in known
        for position, unit in enumerate(unit_keys)
    ]
    if rows:
        connection.execute(insert(CodeClosureUnit), rows)
    return ids


def _known(connection: Connection, run_id: int, attempt: int) -> set[tuple[Any, ...]]:
    kept = select(
        Fingerprint.trace_id, Fingerprint.role, Fingerprint.deep, Fingerprint.closure_id
    ).where(Fingerprint.run_id == run_id, Fingerprint.attempt == attempt)
    return {tuple(row) for row in connection.execute(kept)}
