"""Recording an open run: what the tracers emit and what the user logs, into SQL.

Metrics are in the database when the call returns. Calls wait in memory until 500 are there, a
metric is logged or the run ends; a process that is killed loses at most those.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, insert, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError

from ato import events
from ato.db_routers.sql.code_rows import CodeRows, code_rows, write_code
from ato.db_routers.sql.engine import explain_failure, write
from ato.db_routers.sql.redaction import is_secret_key, keyed_digest, mask_leaves
from ato.db_routers.sql.rows import INSERT_CALL, call_row
from ato.db_routers.sql.schema import Experiment, Input, MetricKey

if TYPE_CHECKING:
    from ato.db_routers.sql.snapshot import ConfigSnapshot

__all__ = ["RunRecorder"]

CALLS_AT_ONCE = 500  # calls that may wait in memory; at about 1 kB each they are no burden
WAITING_LIMIT = 200_000  # records kept while the database cannot be written; beyond, they are lost
PAUSE = 60.0  # seconds between attempts to write once one has failed

# What a database says of a record that it does not take; its other errors are about the store.
_REFUSALS = (DataError, IntegrityError, InterfaceError, ProgrammingError)

# Merged in SQL, since forked workers log the same keys.
_SUMMARISE = text(
    """
    INSERT INTO metric_summaries
        (run_id, key_id, count, last, last_step, last_timestamp, minimum, minimum_step, maximum, maximum_step)
    VALUES
        (:run_id, :key_id, :count, :last, :last_step, :last_timestamp,
         :minimum, :minimum_step, :maximum, :maximum_step)
    ON CONFLICT (run_id, key_id) DO UPDATE SET
        count = metric_summaries.count + excluded.count,
        last = excluded.last,
        last_step = excluded.last_step,
        last_timestamp = excluded.last_timestamp,
        minimum_step = CASE
            WHEN metric_summaries.minimum IS NULL OR excluded.minimum < metric_summaries.minimum
            THEN excluded.minimum_step ELSE metric_summaries.minimum_step END,
        minimum = CASE
            WHEN metric_summaries.minimum IS NULL OR excluded.minimum < metric_summaries.minimum
            THEN excluded.minimum ELSE metric_summaries.minimum END,
        maximum_step = CASE
            WHEN metric_summaries.maximum IS NULL OR excluded.maximum > metric_summaries.maximum
            THEN excluded.maximum_step ELSE metric_summaries.maximum_step END,
        maximum = CASE
            WHEN metric_summaries.maximum IS NULL OR excluded.maximum > metric_summaries.maximum
            THEN excluded.maximum ELSE metric_summaries.maximum END
    """
)
# A row that is written twice is written once.
_INSERT_POINT = text(
    """
    INSERT INTO metrics
        (run_id, attempt, rank, process, sequence, key_id, value, step, timestamp, ident, position)
    VALUES
        (:run_id, :attempt, :rank, :process, :sequence, :key_id, :value, :step, :timestamp,
         :ident, :position)
    ON CONFLICT DO NOTHING
    """
)
_NEW_KEY = text("INSERT INTO metric_keys (key) VALUES (:key) ON CONFLICT (key) DO NOTHING")


@dataclass(slots=True)
class _Waiting:
    """Records that are not in the database yet."""

    codes: list[CodeRows] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    points: list[dict[str, Any]] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    start_states: list[dict[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(getattr(self, each.name)) for each in fields(self))

    def singles(self) -> list[_Waiting]:
        """Each record alone, in the order in which a batch is written."""
        order = ("start_states", "codes", "calls", "inputs", "points")
        return [_Waiting(**{name: [record]}) for name in order for record in getattr(self, name)]

    def followed_by(self, later: _Waiting) -> _Waiting:
        """Both, this one's records first."""
        names = [each.name for each in fields(self)]
        return _Waiting(**{name: getattr(self, name) + getattr(later, name) for name in names})


class RunRecorder:
    """An `events.Recorder` that keeps one run in an SQL database. Safe to use from any thread.

    In a forked child (a DataLoader's worker) it keeps logging under the child's pid as `process`;
    the run itself stays the parent's.
    """

    def __init__(self, engine: Engine, run_id: int, config: ConfigSnapshot) -> None:
        self.run_id = run_id
        self.engine = engine
        self.open_run: events.OpenRun | None = None
        self._config = config
        self._pid = os.getpid()
        self._process = 0
        self._waiting = _Waiting()
        self._sequence = itertools.count()
        self._key_ids: dict[str, int] = {}
        self._new_locks()
        self._try_again_at = 0.0
        self._dropped = 0
        self._warned = False
        self._finished = False

    @property
    def is_owner(self) -> bool:
        """Whether this process opened the run, rather than was forked from the one that did."""
        return self._process == 0 and self._pid == os.getpid()

    def on_code(self, record: events.CodeRecord) -> None:
        """Keep the code behind a trace id."""
        try:
            rows = code_rows(record)
        except Exception as error:  # noqa: BLE001 (recording never stops the run)
            events.report_failure(f"the code of {record.trace_id}", error)
            return
        self._add("codes", rows)

    def on_call(self, record: events.CallRecord) -> None:
        """Keep a completed call."""
        try:
            row = call_row(self._redacted(record), self.run_id)
        except Exception as error:  # noqa: BLE001 (recording never stops the run)
            events.report_failure(f"the calls of {record.trace_id}", error)
            return
        self._add("calls", row)
        if len(self._waiting.calls) >= CALLS_AT_ONCE or self._finished:
            self.flush()

    def on_start_state(self, states: dict[str, str]) -> None:
        """Keep the fingerprints of the random generators' states at the start of the run."""
        self._add("start_states", dict(states))

    def log_points(self, points: Sequence[tuple[str, float]], step: int) -> None:
        """Log values of one moment; they are in the database when this returns."""
        row = {"attempt": 0, "rank": 0, "step": step, "timestamp": time.time(), **self._place()}
        for key, value in points:
            # NaN is kept as NULL; see `schema.Real`.
            number = None if math.isnan(value) else value
            self._add("points", {**row, "key": key, "value": number})
        self.flush()

    def log_input(self, row: dict[str, Any]) -> None:
        """Keep a file that was read; `row` has path, size, mtime and digest."""
        self._add("inputs", {**row, **self._place()})
        self.flush()

    def flush(self, *, now: bool = False) -> None:
        """Write what is waiting, in one transaction. A failure is said once, and tried again later.

        Args:
            now: try even if an attempt failed less than a minute ago.
        """
        self._notice_fork()
        # Two locks: a call that completes while another thread writes need not wait for the disk.
        with self._writing:
            if not now and time.monotonic() < self._try_again_at:
                return
            with self._adding:
                batch, self._waiting = self._waiting, _Waiting()
            if not batch:
                return
            try:
                found = write(self.engine, lambda connection: self._write(connection, batch))
            except _REFUSALS:
                found = self._write_singly(batch)
            except DBAPIError as error:
                self._put_back(batch)
                self._failed(error)
                return
            except Exception:  # noqa: BLE001 (recording never stops the run)
                found = self._write_singly(batch)
            except BaseException:  # Ctrl-C, at the latest written by `finish`
                self._put_back(batch)
                raise
            # Only now: ids from a transaction that was rolled back are nobody's.
            self._key_ids.update(found)

    def _write_singly(self, batch: _Waiting) -> dict[str, int]:
        """Write a batch that cannot be written as a whole; only what is wrong with it is lost.

        A record that the store does not take would be refused again and again, and keep everything
        that follows from the store.
        """
        found: dict[str, int] = {}
        singles = batch.singles()
        for number, single in enumerate(singles):
            try:
                found.update(write(self.engine, partial(self._write, batch=single)))
            except Exception as error:  # noqa: BLE001 (recording never stops the run)
                if isinstance(error, DBAPIError) and not isinstance(error, _REFUSALS):
                    for later in reversed(singles[number:]):
                        self._put_back(later)
                    self._failed(error)
                    break
                self._dropped += 1
                events.report_failure("the store", error)
        return found

    def finish(self, status: str, error: str | None) -> None:
        """Write everything and close the run's row."""
        self.flush(now=True)
        self._finished = True
        try:
            self.update(status=status, error=error, end_time=datetime.now(UTC))
        except DBAPIError as failure:
            self._failed(failure)
        lost = self._dropped + len(self._waiting)
        if lost:
            warnings.warn(
                f"run {self.run_id}: {lost} records were not kept, because the store could not be "
                "written",
                RuntimeWarning,
                stacklevel=4,
            )

    def update(self, **values: Any) -> None:
        """Change columns of the run's row."""
        change = update(Experiment).where(Experiment.id == self.run_id).values(**values)
        write(self.engine, lambda connection: connection.execute(change))

    def _put_back(self, batch: _Waiting) -> None:
        with self._adding:
            self._waiting = batch.followed_by(self._waiting)

    def _place(self) -> dict[str, int | None]:
        """The run, and where in it something is logged: in which call, before which."""
        run = self.open_run
        if run is None or not self.is_owner:
            return {"run_id": self.run_id, "ident": None, "position": None}
        frame = events.current_frame()
        inside = frame if frame is not None and frame.run is run else run.root
        return {"run_id": self.run_id, "ident": inside.ident, "position": run.position}

    def _add(self, kind: str, record: Any) -> None:
        self._notice_fork()
        with self._adding:
            if len(self._waiting) >= WAITING_LIMIT:
                self._dropped += 1
                return
            if kind == "points":
                record["process"] = self._process
                record["sequence"] = next(self._sequence)
            getattr(self._waiting, kind).append(record)

    def _notice_fork(self) -> None:
        """In a forked child, begin anew: what was waiting is the parent's to write."""
        if self._pid == os.getpid():
            return
        # Another thread of the parent may have held a lock, which nobody here would let go of. That
        # connections stay behind is the engine's business.
        self._new_locks()
        self._waiting = _Waiting()
        self._sequence = itertools.count()
        self._pid = self._process = os.getpid()

    def _new_locks(self) -> None:
        self._adding = threading.RLock()
        self._writing = threading.RLock()

    def _failed(self, error: DBAPIError) -> None:
        self._try_again_at = time.monotonic() + PAUSE
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{explain_failure(error, self.engine)}. The run goes on; what it logs waits in "
                f"memory and is written when that works again (tried every {PAUSE:.0f} s).",
                RuntimeWarning,
                stacklevel=5,
            )

    def _redacted(self, record: events.CallRecord) -> events.CallRecord:
        """The record without secrets; a copy, since the emitter may go on with its own."""
        changed: dict[str, Any] = {}
        for name in ("inputs", "mutated", "output"):
            leaves = getattr(record, name)
            if any(map(is_secret_key, leaves)):
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

    def _write(self, connection: Connection, batch: _Waiting) -> dict[str, int]:
        """Write a batch; returns the ids of the metric keys that were not known yet."""
        for states in batch.start_states:
            row = update(Experiment).where(Experiment.id == self.run_id)
            connection.execute(row.values(random_start=states))
        if batch.codes:
            write_code(connection, self.run_id, batch.codes)
        if batch.calls:
            connection.execute(INSERT_CALL, batch.calls)
        if batch.inputs:
            connection.execute(insert(Input), batch.inputs)
        return self._write_points(connection, batch.points) if batch.points else {}

    def _write_points(self, connection: Connection, points: list[dict[str, Any]]) -> dict[str, int]:
        new = {point["key"] for point in points} - self._key_ids.keys()
        found: dict[str, int] = {}
        if new:
            connection.execute(_NEW_KEY, [{"key": key} for key in sorted(new)])
            chosen = select(MetricKey.key, MetricKey.id).where(MetricKey.key.in_(new))
            found = {row.key: row.id for row in connection.execute(chosen)}
        ids = {**self._key_ids, **found} if found else self._key_ids
        rows = [{**point, "key_id": ids[point["key"]]} for point in points]
        connection.execute(_INSERT_POINT, rows)
        connection.execute(_SUMMARISE, _summaries(rows))
        return found


def _summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for `_SUMMARISE` per key, from points in the order of logging."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        number, step = row["value"], row["step"]
        summary = found.get(row["key_id"])
        if summary is None:
            found[row["key_id"]] = {
                "run_id": row["run_id"],
                "key_id": row["key_id"],
                "count": 1,
                "last": number,
                "last_step": step,
                "last_timestamp": row["timestamp"],
                "minimum": number,
                "minimum_step": step,
                "maximum": number,
                "maximum_step": step,
            }
            continue
        summary["count"] += 1
        summary["last"], summary["last_step"] = number, step
        summary["last_timestamp"] = row["timestamp"]
        if number is not None:
            if summary["minimum"] is None or number < summary["minimum"]:
                summary["minimum"], summary["minimum_step"] = number, step
            if summary["maximum"] is None or number > summary["maximum"]:
                summary["maximum"], summary["maximum_step"] = number, step
    return list(found.values())
