"""Call records as rows of the store, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import TableClause, column, table

from ato.db_routers.sql.schema import Call
from ato.db_routers.sql.text import as_text
from ato.events import CallRecord, Draw, Executed, Leaf, Read

__all__ = ["CALLS", "CALL_NAMES", "call_cells", "call_record", "dump"]

CALL_NAMES = tuple(column_.name for column_ in Call.__table__.columns)

# The same table with its JSON columns left as text: they are written and read by the ten thousand,
# and the way through a column type costs as much as the JSON itself.
CALLS: TableClause = table("calls", *(column(name) for name in CALL_NAMES))

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def dump(value: Any) -> str | None:
    """JSON text, or NULL for what is empty."""
    return _encode(value) if value else None


def call_cells(record: CallRecord) -> tuple[int | float | str | None, ...]:
    """The columns of a completed call from `sequence` on; `schema.Call` says how each is written."""
    return (
        record.sequence,
        record.kind,
        as_text(record.trace_id),
        record.ident,
        record.parent,
        record.index,
        record.started,
        as_text(record.thread),
        record.code,
        _dump_code(record),
        _dump_leaves(record.inputs),
        _dump_leaves(record.mutated),
        dump(record.reads),
        dump(record.random),
        _dump_leaves(record.output),
        record.outcome,
        None if record.error is None else as_text(record.error),
        dump(record.skipped),
        dump(record.gaps),
        record.duration,
    )


def call_record(row: Sequence[Any]) -> CallRecord:
    """The call that a row of `CALLS` tells of; the columns as in `schema.Call`, keys included."""
    passed = _decode(row[13]) if row[13] else []
    executed: list[Any] = []
    if type(passed) is dict:
        passed, executed = passed["passed"], passed["executed"]
    return CallRecord(
        kind=row[5],
        trace_id=row[6],
        ident=row[7],
        parent=row[8],
        index=row[9],
        sequence=row[4],
        started=row[10],
        thread=row[11],
        code=row[12],
        passed=passed,
        inputs=_load_leaves(row[14]),
        mutated=_load_leaves(row[15]),
        reads=[Read(*read) for read in _decode(row[16])] if row[16] else [],
        random={name: Draw(*draw) for name, draw in _decode(row[17]).items()} if row[17] else {},
        output=_load_leaves(row[18]),
        outcome=row[19],
        error=row[20],
        skipped=_decode(row[21]) if row[21] else {},
        gaps=_decode(row[22]) if row[22] else [],
        duration=row[23],
        executed=[Executed(*unit) for unit in executed],
    )


def _dump_code(record: CallRecord) -> str | None:
    """What came in as code; in the run's own record, what ran stands beside it."""
    if not record.executed:
        return dump(record.passed)
    return dump({"passed": record.passed, "executed": record.executed})


def _dump_leaves(leaves: dict[str, Leaf]) -> str | None:
    if not leaves:
        return None
    return _encode({path: _without_trailing_nones(leaf) for path, leaf in leaves.items()})


def _without_trailing_nones(leaf: Leaf) -> list[Any]:
    fields = list(leaf)
    while fields[-1] is None:
        fields.pop()
    return fields


def _load_leaves(dumped: str | None) -> dict[str, Leaf]:
    if not dumped:
        return {}
    return {path: _leaf(fields) for path, fields in _decode(dumped).items()}


def _leaf(fields: list[Any]) -> Leaf:
    if len(fields) > 3 and fields[3] is not None:
        fields[3] = tuple(fields[3])
    return Leaf(*fields)
