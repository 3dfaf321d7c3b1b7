"""Bringing the records of journals into the tables, each once, whoever does it.

A step reads some records of one journal and writes them in one transaction, together with the
offset after them, which it took from the table under the lock of that transaction. So anyone may
drain anyone's journal, at any time, up to its last whole record.
"""

from __future__ import annotations

import json
import os
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from ato import events
from ato._core import journal_header, journal_is_held, read_journal, read_records
from ato.db_routers.sql import engine as engines
from ato.db_routers.sql import journals
from ato.db_routers.sql.code_rows import CodeRows, write_code
from ato.db_routers.sql.engine import write
from ato.db_routers.sql.journals import Writer
from ato.db_routers.sql.rows import insert_rows, write_artifacts, write_calls
from ato.db_routers.sql.run_rows import write_run
from ato.db_routers.sql.schema import Attempt, Experiment, Input, Journal, MetricKey
from ato.db_routers.sql.summaries import SUMMARISE, summaries

__all__ = [
    "INPUT_COLUMNS",
    "POINT_COLUMNS",
    "drain",
    "drained",
    "key_ids",
    "store_records",
    "write_records",
]

# What is read and written at a time: 0.1 million values or some thousand calls, in about a second.
# Other writers wait for so long at most.
STEP = 1 << 23

_IDS_AT_ONCE = 500  # names in one query; SQLite allows 999 parameters in old builds

# What a database says of a record that it does not take; its other errors are about the store.
_REFUSALS = (DataError, IntegrityError, InterfaceError, ProgrammingError)

_KEYED = ("run_id", "attempt", "rank", "process", "sequence")
INPUT_COLUMNS = (*_KEYED[:3], "path", "size", "mtime", "digest", "ident", "position")
POINT_COLUMNS = (*_KEYED, "key_id", "value", "step", "timestamp", "ident", "position")
_NEW_KEY = text("INSERT INTO metric_keys (key) VALUES (:key) ON CONFLICT (key) DO NOTHING")
_NEW_JOURNAL = text(
    'INSERT INTO journals (name, run_id, "offset") VALUES (:name, :run_id, 0) '
    "ON CONFLICT (name) DO NOTHING"
)

# How a journal stands after a step: beyond what `ato._core.read_journal` says, it may have no
# header yet (`unbegun`), belong to no run of this store (`foreign`), or to one that has no row yet,
# or be gone.
_GONE, _EARLY = "gone", "early"


def drain(engine: Engine, run_id: int | None = None) -> int:
    """Write what the journals of a run, or of all, hold beyond what the store has.

    A journal that nobody will write to again is deleted then. One that is damaged is kept aside,
    once what stands before the damage is in the store. A run whose store could not be opened when
    it began gets its row, and its id, here; until then its id is 0.

    Returns:
        how many records the database refused.

    Raises:
        sqlalchemy.exc.DBAPIError: the store cannot be written.
    """
    refused = 0
    keep = engine in _copies
    known = _drained.setdefault(engine, {})
    for path in _journals(engine, run_id):
        if not keep and not _has_news(path, known):
            continue
        ending = "more"
        while ending == "more":
            ending, offset, lost = write(engine, partial(_step, path=path))
            refused += lost
        known[path.name] = offset
        if not keep:
            _put_away(engine, path, ending, known)
    return refused


def _journals(engine: Engine, run_id: int | None = None) -> Iterator[Path]:
    for folder in journals.folders_of(engine):
        yield from journals.journals_of(folder, run_id)


# By store and journal, how many bytes of it are in the store already: most queries need no look.
_drained: weakref.WeakKeyDictionary[Engine, dict[str, int]] = weakref.WeakKeyDictionary()


def drained(engine: Engine) -> Engine:
    """The store with everything that was logged so far, to read from: drained, if need be.

    Where the store cannot be written, this is a copy of it in memory, into which the journals were
    drained.
    """
    if engine in _copies:
        return engine
    try:
        drain(engine)
    except DBAPIError:
        if engine.url.get_backend_name() != "sqlite":
            raise
        return _overlay(engine)
    return engine


def store_records(engine: Engine, path: Path, writer: Writer, records: bytes) -> int:
    """Write records that could not be written to the journal at `path`, after those that could.

    Returns:
        how many records the database refused.
    """

    def work(connection: Connection) -> int:
        query = select(Journal.keys).where(Journal.name == path.name)
        part = _Part(read_records(records), connection.scalar(query) or [])
        found = _of_run(connection, writer, part)
        return len(part) if found is None else _write_part(connection, found, part)

    return write(engine, work)


def write_records(
    connection: Connection,
    writer: Writer,
    names: Sequence[str],
    points: Sequence[tuple[Any, ...]],
    rows: Sequence[tuple[int, tuple[Any, ...]]],
) -> int:
    """Write records that were never in a journal, as `read_journal` gives them; `names` are the metrics'.

    Returns:
        how many records the database refused.
    """
    keys = list(enumerate(names))
    return _write_part(connection, writer, _Part((keys, points, rows, 0, "ended"), []))


class _Part:
    """Records that are written together. `names` are the metrics' by number, of all parts so far."""

    def __init__(self, content: tuple[Any, ...], names: Sequence[str]) -> None:
        keys, self.points, self.rows, self.offset, self.ending = content
        self.names = list(names)
        for number, name in keys:
            # A number is given again if the record that introduced it was dropped.
            del self.names[number:]
            self.names.append(name)

    def __len__(self) -> int:
        return len(self.points) + len(self.rows)


def _has_news(path: Path, known: Mapping[str, int]) -> bool:
    offset = known.get(path.name)
    if offset is None:
        return True
    try:
        return path.stat().st_size > offset or not journal_is_held(os.fspath(path))
    except OSError:
        return True


def _step(connection: Connection, path: Path) -> tuple[str, int, int]:
    """Write some records; returns how the journal goes on, where, and how many were refused."""
    chosen = select(Journal.offset, Journal.keys).where(Journal.name == path.name)
    row = connection.execute(chosen.with_for_update()).one_or_none()
    try:
        header = journal_header(os.fspath(path))
        if header is None:
            return "unbegun", 0, 0
        writer = Writer.from_header(header)
        offset, names = (0, []) if row is None else (row.offset, row.keys or [])
        part = _Part(read_journal(os.fspath(path), offset, STEP), names)
        found = _of_run(connection, writer, part)
        if found is None:
            # Of a launch, rank 0 may come in later, and from another machine.
            return ("foreign" if writer.rank == writer.process == 0 else _EARLY), 0, 0
        if row is None:
            connection.execute(_NEW_JOURNAL, {"name": path.name, "run_id": found.run_id})
    except FileNotFoundError:
        return _GONE, 0, 0
    except (ValueError, TypeError):  # no journal, or a header of another kind
        return "damaged", 0, 0
    refused = _write_part(connection, found, part)
    if part.offset != offset:
        change = update(Journal).where(Journal.name == path.name)
        connection.execute(change.values(offset=part.offset, keys=part.names))
    return part.ending, part.offset, refused


def _of_run(connection: Connection, writer: Writer, part: _Part) -> Writer | None:
    """The writer with the id of its run; `None` if the store has no such run.

    One whose store could not be opened gets its row now, from the first record of its journal.
    """
    if writer.opening is None:
        # A store that was deleted and made anew counts its runs from 1 again.
        query = select(Experiment.start_time).where(Experiment.id == writer.run_id)
        start = connection.scalar(query)
        return writer if start is not None and start.timestamp() == writer.start else None
    opened_by = (
        # Another rank knows what the launch is called, and rank 0 who started it, too.
        Experiment.launch.startswith(writer.opening, autoescape=True)
        if writer.rank
        else Experiment.launch == writer.opening
    )
    newest = select(Experiment.id).where(opened_by).order_by(Experiment.id.desc()).limit(1)
    run_id = connection.scalar(newest)
    if run_id is None:
        described = [content for kind, (content, *_) in part.rows if kind == journals.OPENING]
        if not described:
            return None
        run_id = write_run(connection, json.loads(described[0]))
    return replace(writer, run_id=run_id)


def _put_away(engine: Engine, path: Path, ending: str, known: dict[str, int]) -> None:
    """Delete a journal that is drained for good; keep aside what should not be deleted."""
    if ending in {_GONE, _EARLY}:
        known.pop(path.name, None)
        return
    if ending != "ended" and _may_go_on(path):
        return
    known.pop(path.name, None)
    try:
        if ending in {"damaged", "foreign"}:
            aside = path.with_name(f"{path.name}.{ending}")
            path.replace(aside)
            warnings.warn(_ASIDE[ending].format(aside), RuntimeWarning, stacklevel=6)
        else:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # if it was the last one
    except OSError:
        return  # whoever may delete here does so
    gone = delete(Journal).where(Journal.name == path.name)
    write(engine, lambda connection: connection.execute(gone))


_ASIDE = {
    "damaged": (
        "a journal is damaged: what stands before the damage is in the store, the file is kept as {}"
    ),
    "foreign": "a journal belongs to no run of this store; it is kept as {}",
}


def _may_go_on(path: Path) -> bool:
    """Whether its process may still write to a journal; of another machine's nobody knows."""
    try:
        header = journal_header(os.fspath(path))
        ours = header is None or Writer.from_header(header).host == journals.host_name()
    except FileNotFoundError:
        return False
    except (ValueError, TypeError):
        ours = True
    try:
        return not ours or journal_is_held(os.fspath(path))
    except OSError:
        return True


def _write_part(connection: Connection, writer: Writer, part: _Part) -> int:
    """Write records, without those that the database refuses; returns how many these are."""
    try:
        with connection.begin_nested():
            _write_rows(connection, writer, part.rows)
            _write_points(connection, writer, part.points, part.names)
    except Exception:  # noqa: BLE001 (what is wrong with the one must not keep the others back)
        return _write_singly(connection, writer, part)
    return 0


def _write_singly(connection: Connection, writer: Writer, part: _Part) -> int:
    works: list[Callable[[], None]] = [
        partial(_write_rows, connection, writer, [row]) for row in part.rows
    ]
    works += [
        partial(_write_points, connection, writer, [point], part.names) for point in part.points
    ]
    refused = 0
    for work in works:
        try:
            with connection.begin_nested():
                work()
        except Exception as error:
            if isinstance(error, DBAPIError) and not isinstance(error, _REFUSALS):
                raise
            refused += 1
            events.report_failure("the store", error)
    return refused


def _write_rows(
    connection: Connection, writer: Writer, rows: Iterable[tuple[int, tuple[Any, ...]]]
) -> None:
    by_kind: dict[int, list[tuple[Any, ...]]] = {}
    for kind, cells in rows:
        by_kind.setdefault(kind, []).append(cells)
    artifacts = [json.loads(content) for (content,) in by_kind.pop(journals.ARTIFACT, ())]
    if artifacts:
        write_artifacts(connection, writer.run_id, artifacts)
    for (content,) in by_kind.pop(journals.START, ()):
        _change_run(connection, writer, {"random_start": json.loads(content)})
    codes = [CodeRows(**json.loads(content)) for (content,) in by_kind.pop(journals.CODE, ())]
    if codes:
        write_code(connection, writer.run_id, writer.attempt, codes)
    calls = by_kind.pop(journals.CALL, None)
    if calls:
        place = (writer.run_id, writer.attempt, writer.rank, writer.process)
        write_calls(connection, place, calls)
    inputs = by_kind.pop(journals.INPUT, None)
    if inputs:
        key = {"run_id": writer.run_id, "attempt": writer.attempt, "rank": writer.rank}
        names = INPUT_COLUMNS[len(key) :]
        rows_ = [{**key, **dict(zip(names, cells, strict=True))} for cells in inputs]
        connection.execute(insert(Input), rows_)
    for (content,) in by_kind.pop(journals.RUN, ()):
        changes = json.loads(content)
        if changes.get("end_time") is not None:
            changes["end_time"] = datetime.fromtimestamp(changes["end_time"], UTC)
        _change_run(connection, writer, changes)


def _change_run(connection: Connection, writer: Writer, changes: dict[str, Any]) -> None:
    """Change the run's row, or that of the attempt if the run was resumed since."""
    row = update(Experiment).where(
        Experiment.id == writer.run_id, Experiment.attempt == writer.attempt
    )
    if connection.execute(row.values(**changes)).rowcount:
        return
    earlier = {name: new for name, new in changes.items() if name in Attempt.__table__.columns}
    if earlier:
        row = update(Attempt).where(
            Attempt.run_id == writer.run_id, Attempt.attempt == writer.attempt
        )
        connection.execute(row.values(**earlier))


def _write_points(
    connection: Connection,
    writer: Writer,
    points: Sequence[tuple[Any, ...]],
    names: Sequence[str],
) -> None:
    if not points:
        return
    used = {names[point[1]] for point in points}
    ids = key_ids(connection, sorted(used))
    by_number = [ids.get(name) for name in names]
    run_id, attempt = writer.run_id, writer.attempt
    rank, process = writer.rank, writer.process
    rows = [
        (run_id, attempt, rank, process, sequence, by_number[number], *rest)
        for sequence, number, *rest in points
    ]
    insert_rows(connection, "metrics", POINT_COLUMNS, rows)
    connection.execute(SUMMARISE, summaries(rows))


def key_ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """The ids of metrics' names, those that were missing inserted."""
    found: dict[str, int] = {}

    def look(wanted: Sequence[str]) -> None:
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            some = wanted[start : start + _IDS_AT_ONCE]
            chosen = select(MetricKey.key, MetricKey.id).where(MetricKey.key.in_(some))
            found.update({row.key: row.id for row in connection.execute(chosen)})

    look(names)
    missing = [name for name in names if name not in found]
    if missing:
        connection.execute(_NEW_KEY, [{"key": name} for name in missing])
        look(missing)
    return found


@dataclass(frozen=True, slots=True)
class _Overlay:
    """A store with its journals, in memory, and what the files were like then."""

    files: tuple[tuple[str, int, int], ...]
    engine: Engine


_copies: weakref.WeakSet[Engine] = weakref.WeakSet()
_overlays: weakref.WeakKeyDictionary[Engine, _Overlay] = weakref.WeakKeyDictionary()


def _overlay(engine: Engine) -> Engine:
    folders = journals.folders_of(engine)
    files = _files(engine)
    held = _overlays.get(engine)
    if held is not None and held.files == files:
        return held.engine
    memory = engines._engine(URL.create("sqlite"))
    with engine.connect() as source, memory.connect() as target:
        source_raw: Any = source.connection.driver_connection
        source_raw.backup(target.connection.driver_connection)
    journals.lie_in(memory, folders)
    _copies.add(memory)
    drain(memory)
    _overlays[engine] = _Overlay(files, memory)
    return memory


def _files(engine: Engine) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the journals and of the database beside them."""
    folder = journals.folder_of(engine)
    base = folder.name.removesuffix(".journals")
    paths = [folder.with_name(base), folder.with_name(base + "-wal")]
    found = []
    for path in [*paths, *_journals(engine)]:
        with suppress(OSError):
            stat = path.stat()
            found.append((path.name, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
