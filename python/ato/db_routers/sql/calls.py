"""The calls of a run, by columns: a million of them are compared before the values of one are read."""

from __future__ import annotations

import copy
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select

from ato.db_routers.sql.rows import (
    CALL_FORMS,
    CALL_VALUES,
    FORM,
    call_cells,
    effect_of,
    entry_of,
    load_leaves,
)
from ato.events import CallRecord, Draw, Executed, Leaf, Read

__all__ = ["Call", "Calls", "Form", "calls_of", "read_calls"]

DIGEST = 16  # bytes of an effect and of an entry
_AT_ONCE = 5_000  # rows from the database; more need memory and save no time
_FEW, _NEAR, _KEPT = 8, 256, 10_000  # values read singly, read together, and kept
_IDS_AT_ONCE = 500  # SQLite allows 999 parameters in old builds
_NOBODY = -1  # stands for no parent

_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What calls have in common. `reads` are (key, fingerprint, offset from the call's `started`)."""

    kind: Any
    trace_id: str
    thread: str
    code: str | None = None
    passed: list[str] = field(default_factory=list)
    reads: tuple[tuple[str, str, int], ...] = ()
    draws: tuple[str, ...] = ()
    outcome: Any = "returned"
    skipped: dict[str, int] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)


class Values(NamedTuple):
    """What went into a call and came out of it."""

    inputs: dict[str, Leaf]
    mutated: dict[str, Leaf]
    random: dict[str, Draw]
    output: dict[str, Leaf]
    error: str | None


_NOTHING = Values({}, {}, {}, {}, None)


class Call:
    """One call, as `events.CallRecord` describes it; its values are read when they are asked for."""

    __slots__ = ("_calls", "form", "row")

    def __init__(self, calls: Calls, row: int) -> None:
        self._calls = calls
        self.row = row
        self.form = calls.forms[calls.form[row]]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.trace_id}, call {self.index}>"

    @property
    def kind(self) -> Any:
        """`run`, `scope`, `call` or `value`."""
        return self.form.kind

    @property
    def trace_id(self) -> str:
        """Of the function."""
        return self.form.trace_id

    @property
    def thread(self) -> str:
        """The role of the thread."""
        return self.form.thread

    @property
    def code(self) -> str | None:
        """The deep fingerprint of the function."""
        return self.form.code

    @property
    def passed(self) -> list[str]:
        """The fingerprints of classes and functions that came in."""
        return self.form.passed

    @property
    def outcome(self) -> Any:
        """`returned` or `raised`."""
        return self.form.outcome

    @property
    def skipped(self) -> dict[str, int]:
        """How many calls of which functions the schedule left out."""
        return self.form.skipped

    @property
    def gaps(self) -> list[str]:
        """What could not be seen."""
        return self.form.gaps

    @property
    def executed(self) -> list[Executed]:
        """The run's own: which functions ran in it."""
        return self.form.executed

    @property
    def reads(self) -> list[Read]:
        """The config keys that were read."""
        started = self.started
        return [Read(key, digest, started + offset) for key, digest, offset in self.form.reads]

    @property
    def ident(self) -> int:
        """Its number in the order in which calls opened."""
        return self._calls.ident[self.row]

    @property
    def parent(self) -> int | None:
        """The ident of the enclosing call."""
        parent = self._calls.parent[self.row]
        return None if parent == _NOBODY else parent

    @property
    def index(self) -> int:
        """Its number among the calls of its function."""
        return self._calls.call_index[self.row]

    @property
    def sequence(self) -> int:
        """Its number in the order in which calls completed."""
        return self._calls.sequence[self.row]

    @property
    def started(self) -> int:
        """The sequence number of the next call when this one opened."""
        return self._calls.started[self.row]

    @property
    def effect(self) -> bytes:
        """The digest of what it gave and did: equal ones are equal, others may be."""
        return self._calls.effect_at(self.row)

    @property
    def inputs(self) -> dict[str, Leaf]:
        """The leaves that came in, by path."""
        return self._calls.values_of(self.row).inputs

    @property
    def mutated(self) -> dict[str, Leaf]:
        """The leaves of inputs that the call changed, as they were after it."""
        return self._calls.values_of(self.row).mutated

    @property
    def random(self) -> dict[str, Draw]:
        """The states of generators before and after it."""
        return self._calls.values_of(self.row).random

    @property
    def output(self) -> dict[str, Leaf]:
        """The leaves that it gave, by path."""
        return self._calls.values_of(self.row).output

    @property
    def error(self) -> str | None:
        """The exception that ended it."""
        return self._calls.values_of(self.row).error


# Reads the inputs, mutated, random, output and error cells of calls, by sequence.
Fetch = Callable[[Sequence[int]], dict[int, tuple[Any, ...]]]


class Calls(Sequence[Call]):
    """The calls of one process of a run, in the order in which they completed.

    Columns hold one item for each call; `effect` and `entry` hold 16 bytes for each, `entry` none
    at all where all calls are the main thread's.
    """

    def __init__(self, forms: dict[int, Form], fetch: Fetch) -> None:
        self.forms = forms
        self.sequence = array("q")
        self.form = array("q")
        self.ident = array("q")
        self.parent = array("q")
        self.call_index = array("q")
        self.started = array("q")
        self.effect = bytearray()
        self.entry = bytearray()
        self._fetch = fetch
        self._values: dict[int, Values] = {}
        self._misses = 0
        self._hidden: Callable[[str], bool] | None = None

    def __len__(self) -> int:
        return len(self.sequence)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [Call(self, number) for number in range(*row.indices(len(self)))]
        return Call(self, range(len(self))[row])

    def __iter__(self) -> Iterator[Call]:
        return (Call(self, row) for row in range(len(self)))

    def extend(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows: sequence, form, ident, parent, index, started, effect, entry."""
        if not rows:
            return
        sequence, form, ident, parent, index, started, effect, entry = zip(*rows, strict=True)
        before = len(self)
        self.sequence.extend(sequence)
        self.form.extend(form)
        self.ident.extend(ident)
        self.parent.extend([_NOBODY if p is None else p for p in parent])
        self.call_index.extend(index)
        self.started.extend(started)
        self.effect += b"".join(effect)
        if self.entry or any(entry):
            self.entry = self.entry or bytearray(DIGEST * before)
            blank = bytes(DIGEST)
            self.entry += b"".join([each or blank for each in entry])

    def without(self, hidden: Callable[[str], bool]) -> Calls:
        """The same calls without the leaves whose paths are `hidden`."""
        other = copy.copy(self)
        other._hidden, other._values = hidden, {}
        return other

    def with_stand_ins(self, rows: Sequence[tuple[Form, int, int, int]]) -> Calls:
        """The same calls and, after them, some of which there is no record: form, ident, parent, started."""
        if not rows:
            return self
        other = copy.copy(self)
        for name in (
            "sequence",
            "form",
            "ident",
            "parent",
            "call_index",
            "started",
            "effect",
            "entry",
        ):
            setattr(other, name, getattr(self, name)[:])
        other.forms, other._values = dict(self.forms), dict(self._values)
        last = max(self.sequence, default=-1)
        new = min(other.forms, default=0) - 1
        for form, ident, parent, started in rows:
            other.forms[new] = form
            other._values[len(other)] = _NOTHING
            other.extend([(last + 1, new, ident, parent, 0, started, bytes(DIGEST), None)])
            new -= 1
        return other

    def effect_at(self, row: int) -> bytes:
        """The digest of what a call gave and did."""
        return bytes(self.effect[row * DIGEST : (row + 1) * DIGEST])

    def entry_at(self, row: int) -> bytes:
        """The digest of a call's inputs, empty where calls have none."""
        return bytes(self.entry[row * DIGEST : (row + 1) * DIGEST])

    @cached_property
    def first_rows(self) -> dict[int, int]:
        """The first call of each form, by row."""
        last = len(self) - 1
        return dict(zip(reversed(self.form), range(last, -1, -1), strict=True))

    def used(self) -> list[Form]:
        """The forms of these calls, in the order in which they came up."""
        return [
            self.forms[form] for form in sorted(self.first_rows, key=self.first_rows.__getitem__)
        ]

    def values_of(self, row: int) -> Values:
        """What went into a call and came out of it."""
        found = self._values.get(row)
        if found is None:
            # Whoever looks at more than a few looks at many: one question for each is slow.
            self._misses += 1
            near = row // _NEAR * _NEAR if self._misses > _FEW else row
            end = near + _NEAR if self._misses > _FEW else row + 1
            self._fetch_values(range(near, min(end, len(self))))
            found = self._values[row]
        return found

    def _fetch_values(self, rows: Iterable[int]) -> None:
        wanted = [row for row in rows if row not in self._values]
        if len(self._values) > _KEPT:
            self._values = {row: v for row, v in self._values.items() if v is _NOTHING}
        found = self._fetch([self.sequence[row] for row in wanted])
        for row in wanted:
            self._values[row] = self._loaded(found.get(self.sequence[row]))

    def _loaded(self, cells: tuple[Any, ...] | None) -> Values:
        if cells is None:
            return _NOTHING
        inputs, mutated, random, output, error = cells
        draws = _decode(random).items() if random else ()
        return Values(
            self._shown(load_leaves(inputs)),
            self._shown(load_leaves(mutated)),
            {name: Draw(*states) for name, states in draws},
            self._shown(load_leaves(output)),
            error,
        )

    def _shown(self, leaves: dict[str, Leaf]) -> dict[str, Leaf]:
        if self._hidden is None:
            return leaves
        return {path: leaf for path, leaf in leaves.items() if not self._hidden(path)}


def read_calls(connection: Connection, run_id: int, attempt: int, rank: int = 0) -> Calls:
    """Read the calls of one rank; their values are read from the store when they are asked for."""
    engine = connection.engine
    key = (run_id, attempt, rank)
    forms: dict[int, Form] = {}
    calls = Calls(forms, lambda sequences: _read_values(engine, key, sequences))
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    # Through the driver: SQLAlchemy's rows take longer than the database.
    result = connection.exec_driver_sql(
        "SELECT sequence, form_id, ident, parent, call_index, started, effect, entry FROM calls "  # noqa: S608
        f"WHERE run_id = {mark} AND attempt = {mark} AND rank = {mark} AND process = 0 "
        "ORDER BY sequence",
        key,
    )
    cursor = result.cursor
    assert cursor is not None
    while rows := cursor.fetchmany(_AT_ONCE):
        calls.extend(rows)
    result.close()
    ids = sorted(set(calls.form))
    for start in range(0, len(ids), _IDS_AT_ONCE):
        chosen = select(CALL_FORMS).where(CALL_FORMS.c.id.in_(ids[start : start + _IDS_AT_ONCE]))
        forms.update({row[0]: _form(row[2:]) for row in connection.execute(chosen)})
    return calls


def calls_of(records: Iterable[CallRecord]) -> Calls:
    """Arrange call records that are in memory, as `read_calls` does those of a store."""
    cells = sorted((call_cells(record) for record in records), key=lambda c: int(c[len(FORM)] or 0))
    ids: dict[tuple[Any, ...], int] = {}
    kept: dict[int, tuple[Any, ...]] = {}
    rows = []
    for call in cells:
        form, place, values = call[: len(FORM)], call[len(FORM) : -5], call[-5:]
        sequence, ident, parent, index, started, _duration = place
        kept[int(sequence or 0)] = values
        number = ids.setdefault(form, len(ids))
        digests = effect_of(form, values), entry_of(form, values)
        rows.append((sequence, number, ident, parent, index, started, *digests))
    forms = {number: _form(form) for form, number in ids.items()}
    calls = Calls(forms, lambda sequences: {each: kept[each] for each in sequences})
    calls.extend(rows)
    return calls


def _form(cells: Sequence[Any]) -> Form:
    kind, trace_id, thread, code, passed, reads, draws, outcome, skipped, gaps = cells
    came = _decode(passed) if passed else []
    ran: list[Any] = []
    if type(came) is dict:
        came, ran = came["passed"], came["executed"]
    return Form(
        kind,
        trace_id,
        thread,
        code,
        came,
        tuple(map(tuple, _decode(reads))) if reads else (),
        tuple(_decode(draws)) if draws else (),
        outcome,
        _decode(skipped) if skipped else {},
        _decode(gaps) if gaps else [],
        [Executed(*unit) for unit in ran],
    )


def _read_values(
    engine: Engine, key: tuple[int, int, int], sequences: Sequence[int]
) -> dict[int, tuple[Any, ...]]:
    c = CALL_VALUES.c
    found: dict[int, tuple[Any, ...]] = {}
    with engine.connect() as connection:
        for start in range(0, len(sequences), _IDS_AT_ONCE):
            some = sequences[start : start + _IDS_AT_ONCE]
            query = select(c.sequence, c.inputs, c.mutated, c.random, c.output, c.error).where(
                c.run_id == key[0],
                c.attempt == key[1],
                c.rank == key[2],
                c.process == 0,
                c.sequence.in_(some),
            )
            found.update({row[0]: tuple(row[1:]) for row in connection.execute(query)})
    return found
