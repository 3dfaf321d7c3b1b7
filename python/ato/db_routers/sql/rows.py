"""Call records as cells of a journal and as rows of the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, TableClause, column, insert, table

from ato.db_routers.sql.code_rows import content_digest, ids_of
from ato.db_routers.sql.schema import Artifact, Call, CallForm, CallValue
from ato.db_routers.sql.text import as_text
from ato.events import CallRecord, Leaf

__all__ = [
    "CALLS",
    "CALL_FORMS",
    "CALL_VALUES",
    "FORM",
    "PLACE_COLUMNS",
    "VALUE_COLUMNS",
    "call_cells",
    "call_rows",
    "dump",
    "forms_of",
    "insert_rows",
    "load_leaves",
    "write_artifacts",
    "write_calls",
]

Cells = tuple[int | float | str | None, ...]


def _plain(model: Any) -> TableClause:
    return table(model.__tablename__, *(column(c.name) for c in model.__table__.columns))


# The same tables with their JSON columns left as text: they are written and read by the ten
# thousand, and the way through a column type costs as much as the JSON itself.
CALLS, CALL_FORMS, CALL_VALUES = _plain(Call), _plain(CallForm), _plain(CallValue)

# A call is written to a journal as the cells of its form, its place and its values.
FORM = tuple(column_.name for column_ in CallForm.__table__.columns)[2:]
_PLACE = ("sequence", "ident", "parent", "call_index", "started", "duration")
_VALUES = ("inputs", "mutated", "random", "output", "error")
_KEY = ("run_id", "attempt", "rank", "process")
PLACE_COLUMNS = (*_KEY, *_PLACE, "form_id", "effect", "entry")
VALUE_COLUMNS = (*_KEY, "sequence", *_VALUES)
_THREAD = FORM.index("thread")
_OUTCOME = FORM.index("outcome")

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode


def dump(value: Any) -> str | None:
    """JSON text, or NULL for what is empty."""
    return _encode(value) if value else None


def call_cells(record: CallRecord) -> Cells:
    """A completed call as the cells of its form, its place and its values; see `schema.CallForm`."""
    started = record.started
    reads = [(key, fingerprint, position - started) for key, fingerprint, position in record.reads]
    return (
        record.kind,
        as_text(record.trace_id),
        as_text(record.thread),
        record.code,
        _dump_code(record),
        dump(reads),
        dump(list(record.random)),
        record.outcome,
        dump(record.skipped),
        dump(record.gaps),
        record.sequence,
        record.ident,
        record.parent,
        record.index,
        started,
        record.duration,
        _dump_leaves(record.inputs),
        _dump_leaves(record.mutated),
        dump(record.random),
        _dump_leaves(record.output),
        None if record.error is None else as_text(record.error),
    )


def write_calls(
    connection: Connection, key: tuple[int, int, int, int], calls: Sequence[Cells]
) -> None:
    """Write calls of one process; `key` is its run, attempt, rank and process."""
    forms = forms_of(calls)
    new = {
        digest: {**dict(zip(FORM, form, strict=True)), "key": digest}
        for form, digest in forms.items()
    }
    ids = ids_of(connection, CALL_FORMS, new)
    places, values = call_rows(key, calls, {form: ids[digest] for form, digest in forms.items()})
    insert_rows(connection, "calls", PLACE_COLUMNS, places)
    if values:
        insert_rows(connection, "call_values", VALUE_COLUMNS, values)


def forms_of(calls: Sequence[Cells]) -> dict[Cells, str]:
    """The forms of some calls, with their keys."""
    forms = {cells[: len(FORM)]: "" for cells in calls}
    for form in forms:
        forms[form] = content_digest(form)
    return forms


def call_rows(
    key: tuple[int, int, int, int], calls: Sequence[Cells], ids: Mapping[Cells, int]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of `calls` and of `call_values`; `ids` are those of the forms."""
    places: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    for cells in calls:
        form, place, value = (
            cells[: len(FORM)],
            cells[len(FORM) : -len(_VALUES)],
            cells[-len(_VALUES) :],
        )
        places.append((*key, *place, ids[form], effect_of(form, value), entry_of(form, value)))
        if any(cell is not None for cell in value):
            values.append((*key, place[0], *value))
    return places, values


def write_artifacts(connection: Connection, run_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows that `artifacts.artifact_rows` made."""
    # By table, where the column has its own name: `metadata` is taken on the class.
    new = insert(Artifact.metadata.tables["artifacts"])
    connection.execute(new, [{**row, "run_id": run_id} for row in rows])


def effect_of(form: Cells, values: Cells) -> bytes:
    """The digest of what a call gave and did, from the texts of its cells.

    Equal texts are equal records. Texts that differ need not be: `explain` looks at the leaves then.
    """
    # JSON has no control characters, and an error's text, which may have any, comes last.
    parts = (form[_OUTCOME], *values[1:])
    return _digest("\0".join([str(part or "") for part in parts]))


def entry_of(form: Cells, values: Cells) -> bytes | None:
    """The digest of a call's inputs, where it is a call of another thread than the main one."""
    return None if form[_THREAD] == "main" else _digest(str(values[0] or ""))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def insert_rows(
    connection: Connection, name: str, columns: Sequence[str], rows: list[tuple[Any, ...]]
) -> None:
    """Insert rows as they are; one that is there already stays.

    Through the driver: for a hundred thousand rows SQLAlchemy's way takes longer than the database.
    """
    place = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    places = ", ".join([place] * len(columns))
    connection.exec_driver_sql(
        # The names are this package's own.
        f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608
        rows,
    )


def load_leaves(dumped: str | None) -> dict[str, Leaf]:
    """The leaves that a cell of inputs or outputs tells of."""
    if not dumped:
        return {}
    return {path: _leaf(fields) for path, fields in _decode(dumped).items()}


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


def _leaf(fields: list[Any]) -> Leaf:
    if len(fields) > 3 and fields[3] is not None:
        fields[3] = tuple(fields[3])
    return Leaf(*fields)
