"""Recording an open run: what the tracers emit and what the user logs, into the run's journal.

A record is in the journal's file when the call that logs it returns. From there it enters the
tables when the run ends, when someone reads the run, or when the journal has become large; see
`drain`.
"""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from ato import events
from ato._core import Journal
from ato.db_routers.sql import journals
from ato.db_routers.sql.code_rows import code_rows
from ato.db_routers.sql.drain import drain, store_records
from ato.db_routers.sql.engine import explain_failure, make_ready
from ato.db_routers.sql.journals import Writer
from ato.db_routers.sql.metric_values import as_key, as_number, as_step
from ato.db_routers.sql.redaction import (
    is_secret_key,
    is_secret_leaf,
    keyed_digest,
    mask_leaves,
)
from ato.db_routers.sql.rows import call_cells
from ato.db_routers.sql.text import as_text
from ato.exceptions import MetricTypeError, StoreError

if TYPE_CHECKING:
    from ato.db_routers.sql.snapshot import ConfigSnapshot

__all__ = ["OnError", "RunRecorder"]

OnError = Literal["warn", "raise"]

MARK = 1 << 26  # bytes after which a journal is drained while the run goes on
ROOM = 1 << 26  # bytes that may wait in memory while a journal cannot be written
PAUSE = 1.0  # seconds until that is tried again
LIVE = 10.0  # seconds after which a server's database is brought up to date

_GOES_ON = "The run goes on; what it logs waits in memory and is written when that works again."

# What a journal answers; see `ato._core.Journal`.
_UNSUITED, _WAITING, _DROPPED, _CLOSED, _LARGE = 1, 2, 3, 4, 5


class RunRecorder:
    """An `events.Recorder` that keeps one run, or one rank of it. Safe to use from any thread.

    In a forked child (a DataLoader's worker) it keeps logging, into a journal of the child's own;
    the run itself stays the parent's.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        config: ConfigSnapshot,
        on_error: OnError = "warn",
        watch_files: bool = True,
        unopened: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin the process's journal of a run.

        Where the store cannot be opened, `unopened` is the run's description, whose id is 0 then.
        """
        self.run_id = writer.run_id
        self.engine = engine
        self.open_run: events.OpenRun | None = None
        self._writer = writer
        self._owner = writer.pid
        self._config = config
        self.watch_files = watch_files
        self._strict = on_error == "raise"
        self.unopened = unopened
        self._ready = unopened is None
        self._store = os.fspath(journals.folder_of(engine)).removesuffix(".journals")
        self._folder = (
            journals.folder_of(engine) if self._ready else journals.unopened_folder(engine)
        )
        self._lock = threading.RLock()
        self._units: set[str] = set()
        self._inputs: dict[str, str] = {}
        self._lost = 0
        self._warned = False
        self._finished = threading.Event()
        self._journal = self._begin(0)
        if self._strict and self._journal.trouble is not None:
            raise StoreError(f"{self._journal.path} cannot be written: {self._journal.trouble}")
        _recorders.add(self)
        if unopened is not None and writer.rank == 0:
            self._warned = True  # whoever opens the run says where its records go
            self._append(journals.OPENING, (json.dumps(unopened),))
        self._go_live()

    def _go_live(self) -> None:
        """Keep a server's database up to date while the run goes on."""
        if self.engine.url.get_backend_name() != "sqlite":
            threading.Thread(target=self._drain_live, daemon=True, name="ato-drain").start()

    @property
    def is_owner(self) -> bool:
        """Whether this process opened the run, rather than was forked from the one that did."""
        return self._owner == os.getpid()

    def on_code(self, record: events.CodeRecord) -> None:
        """Keep the code behind a trace id."""
        try:
            with self._lock:
                rows = code_rows(record, self._units)
                content = json.dumps(asdict(rows), separators=(",", ":"))
        except Exception as error:  # noqa: BLE001 (recording never stops the run)
            events.report_failure(f"the code of {record.trace_id}", error)
            return
        self._append(journals.CODE, (content,))

    def on_call(self, record: events.CallRecord) -> None:
        """Keep a completed call."""
        try:
            cells = call_cells(self._redacted(record))
        except Exception as error:  # noqa: BLE001 (recording never stops the run)
            events.report_failure(f"the calls of {record.trace_id}", error)
            return
        self._append(journals.CALL, cells)

    def on_start_state(self, states: dict[str, str]) -> None:
        """Keep the fingerprints of the random generators' states at the start of the run."""
        if self._writer.rank == 0:
            self._append(journals.START, (json.dumps(states),))

    def on_file(self, record: events.FileRecord) -> None:
        """Keep a data file that was opened, or its digest; the store itself is none."""
        if self._owns(record.path):
            return
        cells = (self._path_of(record.path), record.size, record.mtime, record.digest)
        self._append(journals.INPUT, (*cells, record.ident, record.position))

    def log_metric(self, key: str, value: Any, step: int) -> None:
        """See `SQLLogger.log_metric`."""
        # This is `_place` once more: a call would cost a tenth of the whole.
        run = self.open_run
        if run is None:
            answer = self._journal.log_metric(key, value, step, None, None)
        else:
            frame = events._frame.get()
            ident = frame.ident if frame is not None and frame.run is run else 0
            answer = self._journal.log_metric(key, value, step, ident, run.position)
        if answer:
            self._log_again(answer, {key: value}, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """See `SQLLogger.log_metrics`."""
        answer = self._journal.log_metrics(metrics, step, *self._place())
        if answer:
            self._log_again(answer, metrics, step)

    def log_input(self, row: dict[str, Any]) -> None:
        """Keep a file that was read; `row` has path, size, mtime and digest."""
        cells = (self._path_of(row["path"]), row["size"], row["mtime"], row["digest"])
        self._append(journals.INPUT, (*cells, *self._place()))

    def _path_of(self, path: str) -> str:
        """The path by which a file was named first: logged and opened, it is one file."""
        slash = "/" if path.endswith("/") else ""  # what stands for a folder of many files
        return self._inputs.setdefault(os.path.abspath(path) + slash, as_text(path))  # noqa: PTH100

    def _owns(self, path: str) -> bool:
        """Whether a file is the store's: the database, what lies beside it, a journal."""
        full = os.path.abspath(path)  # noqa: PTH100 (this stands in the caller's `open`)
        beside = full.removeprefix(os.path.abspath(self._store))  # noqa: PTH100
        return beside != full and (not beside or beside[0] in "-." or beside.endswith(".journal"))

    def log_artifacts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what the run made; the rows are those of `artifacts`."""
        for row in rows:
            self._append(journals.ARTIFACT, (json.dumps(row),))

    @property
    def whereabouts(self) -> str:
        """Where a run is that could not be opened in its store, for a message."""
        trouble = self._journal.trouble
        if trouble is None:
            return f"what it logs is kept in {self._folder} and enters the store when that can be opened"
        return (
            f"what it logs waits in memory for the store, since {self._journal.path} cannot be "
            f"written either ({trouble}); finish() says what is lost"
        )

    def update(self, **values: Any) -> None:
        """Change columns of the run's row; the end as seconds since 1970."""
        self._append(journals.RUN, (json.dumps(values),))

    def drain(self) -> None:
        """Bring what was logged into the tables.

        Raises:
            StoreError: the store cannot be written; what was logged is kept in the journals.
        """
        if not self._ready:
            make_ready(self.engine)
        try:
            self._lost += drain(self.engine, self.run_id)
        except DBAPIError as error:
            raise explain_failure(error, self.engine) from error
        self._ready = True

    def finish(self, status: str, error: str | None) -> None:
        """End this process's part of the run; the run itself, if it is the one that opened it."""
        if self.is_owner and self._writer.rank == 0:
            self.update(status=status, error=error, end_time=time.time())
        self.close()

    def close(self) -> None:
        """End this process's journal, and bring the run's records into the tables."""
        if self._writer.pid != os.getpid():
            return  # a forked child that logged nothing
        self._finished.set()
        with self._lock:
            journal = self._journal
            journal.close()
        try:
            self.drain()
            self._store_waiting(journal)
        except Exception as error:  # noqa: BLE001 (the end of a run is not the end of the user's script)
            self._not_drained(error, journal)
        lost, self._lost = self._lost + journal.dropped + journal.waiting, 0
        if lost:
            warnings.warn(
                f"{self._subject}: {lost} records were not kept, because they could not be "
                f"written ({journal.trouble or 'the store refused them'})",
                RuntimeWarning,
                stacklevel=5,
            )

    @property
    def _subject(self) -> str:
        return f"run {self.run_id}" if self.run_id else "the run that could not be opened"

    def _not_drained(self, error: Exception, journal: Journal) -> None:
        """Say where the records are that cannot enter the store now, unless `run()` has said so."""
        if self._ready:
            kept = f"What run {self.run_id} logged is kept in {journal.path}"
            self._fail(f"{error}. {kept} and enters the store when the run is next read.")
        elif self._strict:
            raise error
        elif journal.waiting:
            self._lost += journal.waiting
            journal.take_waiting()

    def _store_waiting(self, journal: Journal) -> None:
        """Write what could not enter the journal to the tables instead, while there is time."""
        if journal.waiting == 0:
            return
        count = journal.waiting
        records = journal.take_waiting()
        try:
            self._lost += store_records(self.engine, journal.path, self._writer, records)
        except DBAPIError:
            self._lost += count

    def _place(self) -> tuple[int | None, int | None]:
        """Where in the run something is logged: in which call, before which."""
        run = self.open_run
        if run is None:
            return None, None
        frame = events._frame.get()
        return frame.ident if frame is not None and frame.run is run else 0, run.position

    def _log_again(self, answer: int, metrics: Mapping[str, Any], step: int) -> None:
        """Take care of values that a journal did not simply write."""
        while answer in {_UNSUITED, _CLOSED}:
            if answer == _CLOSED:
                self._renew()
            else:
                if not isinstance(metrics, Mapping):
                    raise MetricTypeError(
                        "log_metrics takes a mapping of names to numbers, "
                        f"not {metrics!r:.80} ({type(metrics).__name__})"
                    )
                metrics = {as_key(key): as_number(key, value) for key, value in metrics.items()}
                if not metrics:
                    return
                step = as_step(next(iter(metrics)), step)
            answer = self._journal.log_metrics(metrics, step, *self._place())
        self._after(answer)

    def _append(self, kind: int, cells: Sequence[Any]) -> None:
        while (answer := self._journal.append(kind, tuple(cells))) == _CLOSED:
            self._renew()
        self._after(answer)

    def _after(self, answer: int) -> None:
        if answer == _LARGE:
            self._go_on_in_another()
        elif answer in {_WAITING, _DROPPED} and (self._strict or not self._warned):
            self._warned = True
            self._fail(
                f"{self._journal.path} cannot be written: {self._journal.trouble or 'no memory'}. "
                + _GOES_ON * (not self._strict)
            )
        if self._finished.is_set():
            self.close()  # what comes in after the end has nobody else to bring it in

    def _begin(self, sequence: int) -> Journal:
        path = journals.new_path(self._folder, self._writer)
        return Journal(
            os.fspath(path),
            self._writer.header(),
            sequence=sequence,
            room=0 if self._strict else ROOM,
            pause=0.0 if self._strict else PAUSE,
            mark=MARK,
        )

    def _renew(self) -> None:
        """Begin another journal after one that is closed, or another process's."""
        self._notice_fork()
        with self._lock:
            if self._journal.closed:
                self._journal = self._begin(self._journal.sequence)

    def _go_on_in_another(self) -> None:
        """Begin another journal, and bring what stands in the large one into the tables.

        The thread may die at any moment: what it has not done yet is done by whoever comes next.
        """
        with self._lock:
            if self._journal.length < MARK:
                return  # another thread was here first
            full, following = self._journal, self._begin(0)
            if following.length == 0:  # it could not be made; the old one goes on
                return
            full.close()
            following.number_from(full.sequence)
            self._journal = following
            self._lost += full.dropped
        if self.engine.url.database not in {None, "", ":memory:"}:
            threading.Thread(target=self._drain_quietly, daemon=True, name="ato-drain").start()

    def _drain_quietly(self) -> None:
        try:
            self.drain()
        except StoreError as error:
            if self._ready:  # else `run()` has said so
                events.report_failure("the store", error)

    def _drain_live(self) -> None:
        pid = os.getpid()
        while not self._finished.wait(LIVE) and os.getpid() == pid:
            self._drain_quietly()

    def _notice_fork(self) -> None:
        """In a forked child, begin anew: the journal is the parent's, and so are calls and run."""
        pid = os.getpid()
        if self._writer.pid == pid:
            return
        # Another thread of the parent may have held the lock, which nobody here would let go of.
        self._lock = threading.RLock()
        self._finished = threading.Event()
        self.open_run = None
        self._units = set()
        self._lost = 0
        self._writer = replace(self._writer, process=pid, pid=pid)
        _abandoned.append(self._journal)
        # A pid comes again; the time does not.
        self._journal = self._begin(time.time_ns() // 1000)

    def _fail(self, message: str) -> None:
        if self._strict:
            raise StoreError(message)
        warnings.warn(message, RuntimeWarning, stacklevel=5)

    def _redacted(self, record: events.CallRecord) -> events.CallRecord:
        """The record without secrets; a copy, since the emitter may go on with its own."""
        changed: dict[str, Any] = {}
        for name in ("inputs", "mutated", "output"):
            leaves = getattr(record, name)
            if any(is_secret_leaf(path, leaf) for path, leaf in leaves.items()):
                changed[name] = mask_leaves(leaves)
        if any(self._is_secret(read.key) for read in record.reads):
            changed["reads"] = self._keyed(record.reads)
        return replace(record, **changed) if changed else record

    def _keyed(self, reads: Sequence[events.Read]) -> list[events.Read]:
        """The reads with the fingerprints of secrets keyed, as in the config."""
        return [
            read._replace(fingerprint=keyed_digest(read.fingerprint))
            if self._is_secret(read.key)
            else read
            for read in reads
        ]

    def _is_secret(self, key: str) -> bool:
        # A key that was added after the run opened may be a secret as well.
        return key in self._config.secret_keys or (
            key not in self._config.content and is_secret_key(key)
        )


_recorders: weakref.WeakSet[RunRecorder] = weakref.WeakSet()
# Journals of parent processes: never used here, and kept, since their mutex may be held for ever.
_abandoned: list[Journal] = []


def _begin_anew_in_child() -> None:
    # At once, rather than with the first record: a child that logs nothing must not hold on to the
    # lock of its parent's journal.
    for recorder in list(_recorders):
        recorder._journal.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
