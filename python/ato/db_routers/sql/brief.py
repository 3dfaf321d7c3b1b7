"""Runs that are expected to be over soon: each is written when it ends, in one transaction.

A trial of a search may take less than a millisecond, and to open a run, keep a journal for it and
drain that takes several transactions. So a brief run is in memory until it ends. One that lasts
longer than expected is opened in the store like any other as soon as it records something, and
before its process is forked.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from ato import events
from ato._core import Journal
from ato.db_routers.sql.at_once import Also, LikeRuns, WholeRun
from ato.db_routers.sql.engine import explain_failure
from ato.db_routers.sql.journals import Writer, host_name
from ato.db_routers.sql.opening import describe_run
from ato.db_routers.sql.recorder import OnError, RunRecorder
from ato.db_routers.sql.snapshot import ConfigSnapshot, snapshot
from ato.db_routers.sql.text import as_text

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger

__all__ = ["BriefRecorder", "BriefRuns"]

LASTING = 0.5  # seconds after which a run is opened in the store
MOST = 1_000  # records that are kept in memory

_CLOSED, _LARGE, _UNSUITED = 4, 5, 1  # what a journal answers; see `ato._core.Journal`
_STEP_LIMIT = 2**63


class _Memory:
    """The records of a run that is not in the store yet; to its recorder it is a journal."""

    path = "memory"
    trouble: str | None = None
    dropped = waiting = 0

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.closed = False
        self.rows: list[tuple[int, tuple[Any, ...]]] = []
        self.names: dict[str, int] = {}
        self.points: list[tuple[Any, ...]] = []
        self._until = time.monotonic() + LASTING
        self._lock = threading.Lock()

    @property
    def length(self) -> int:
        return len(self.rows) + len(self.points)

    def append(self, kind: int, cells: tuple[Any, ...]) -> int:
        with self._lock:
            if self.closed:
                return _CLOSED
            self.rows.append((kind, cells))
        return self._size()

    def log_metric(
        self, key: object, value: object, step: object, ident: int | None, position: int | None
    ) -> int:
        if type(key) is not str or type(value) is not float or type(step) is not int:
            return _UNSUITED
        if not -_STEP_LIMIT <= step < _STEP_LIMIT:
            return _UNSUITED
        with self._lock:
            if self.closed:
                return _CLOSED
            number = self.names.setdefault(key, len(self.names))
            kept = None if value != value else value  # noqa: PLR0124 (NaN; NULL in the store)
            self.points.append((self.sequence, number, kept, step, time.time(), ident, position))
            self.sequence += 1
        return self._size()

    def log_metrics(
        self, metrics: Mapping[str, Any], step: object, ident: int | None, position: int | None
    ) -> int:
        answer = 0
        for key, value in metrics.items():
            answer = self.log_metric(key, value, step, ident, position)
        return answer

    def close(self) -> None:
        with self._lock:
            self.closed = True

    def abandon(self) -> None:
        self.closed = True

    def _size(self) -> int:
        return _LARGE if self.length > MOST or time.monotonic() > self._until else 0


class BriefRecorder(RunRecorder):
    """Records a run in memory, to be written when it ends, or into a journal once it is opened."""

    def __init__(
        self,
        runs: BriefRuns,
        config: ConfigSnapshot,
        description: dict[str, Any],
        on_error: OnError,
        watch_files: bool,
    ) -> None:
        self._runs = runs
        self._description = description
        self._memory: _Memory | None = None
        self._codes: list[events.CodeRecord] = []
        self._states: dict[str, str] = {}
        self._changes: dict[str, Any] = {}
        self._in_store = False
        start = description["row"]["start_time"]
        writer = Writer(0, 0, 0, 0, start=start, host=host_name(), pid=os.getpid())
        super().__init__(runs.engine, writer, config, on_error, watch_files)

    def on_code(self, record: events.CodeRecord) -> None:
        """Keep the code behind a trace id."""
        if self._in_store:
            super().on_code(record)
        else:
            self._codes.append(record)

    def on_start_state(self, states: dict[str, str]) -> None:
        """Keep the fingerprints of the random generators' states at the start of the run."""
        self._states = states

    def update(self, **values: Any) -> None:
        """Change columns of the run's row; the end as seconds since 1970."""
        if self._in_store:
            super().update(**values)
        else:
            self._changes.update(values)

    def close(self) -> None:
        """End the journal, and bring the records into the tables, of a run that is in the store."""
        if self._in_store:
            super().close()

    def end(self, status: str, error: str | None) -> bool:
        """End the run; says whether it is in the store already, else `write` brings it there."""
        if self.open_run is not None:
            events.close_run(self.open_run)
        _open.discard(self)
        self.finish(status, error)
        if self._in_store:
            return True
        self._finished.set()
        with self._lock:
            self._journal.close()
        return False

    def enter_store(self) -> None:
        """Open the run in the store: it lasts."""
        with self._lock:
            if self._in_store or self._finished.is_set() or not self.is_owner:
                return
            memory = self._memory
            assert memory is not None, "the run is in memory"
            memory.close()
            try:
                self.run_id = self._runs.write(self)
            except DBAPIError as error:
                # It stays in memory; whoever ends it says what becomes of it.
                memory.closed = False
                events.report_failure("the store", explain_failure(error, self.engine))
                return
            self._in_store = True
            _open.discard(self)
            self._writer = replace(self._writer, run_id=self.run_id)
            self._journal = super()._begin(memory.sequence)
            self._go_live()

    def write(self, also: Also | None = None) -> int:
        """Write the run, which has ended, with one statement more, in one transaction; returns its id.

        Raises:
            sqlalchemy.exc.DBAPIError: the store cannot be written.
        """
        self.run_id = self._runs.write(self, also)
        return self.run_id

    def whole(self) -> WholeRun:
        """Everything that is known of the run until now."""
        memory = self._memory
        assert memory is not None, "the run is in memory"
        description = self._description
        return WholeRun(
            self._writer,
            description["project"],
            description["config"],
            description["environment"],
            {**description["row"], "random_start": self._states, **self._changes},
            self._codes,
            list(memory.names),
            memory.points,
            memory.rows,
        )

    def refused(self, count: int) -> None:
        """Take note of records that the database did not take."""
        self._lost += count

    def _begin(self, sequence: int) -> Journal:
        if self._in_store:
            return super()._begin(sequence)
        memory = self._memory = _Memory(sequence)
        return memory  # type: ignore[return-value]

    def _go_live(self) -> None:
        if self._in_store:
            super()._go_live()

    def _go_on_in_another(self) -> None:
        if self._in_store:
            super()._go_on_in_another()
        else:
            self.enter_store()


class BriefRuns:
    """The brief runs of one search, and what of their rows is the same for all."""

    def __init__(self, tracker: SQLLogger) -> None:
        self.engine: Engine = tracker.engine
        self._tracker = tracker
        self._like = LikeRuns(self.engine)
        self._lock = threading.Lock()
        self._pace: float | None = None
        self._first: dict[str, Any] | None = None

    def expects(self, amount: int) -> bool:
        """Whether a run that does so much is likely to be a brief one; of the first nobody knows."""
        return self._pace is not None and self._pace * amount < LASTING / 2

    def took(self, seconds: float, amount: int) -> None:
        """Learn from a run that did so much."""
        self._pace = max(seconds / amount, (self._pace or 0.0) / 2)

    def begin(
        self, config: Mapping[str, Any], *, name: str, tags: Sequence[str], in_context: bool
    ) -> BriefRecorder:
        """Begin a run and make it the current one."""
        tracker = self._tracker
        taken = snapshot(config)
        recorder = BriefRecorder(
            self, taken, self._described(taken, name, tags), tracker._on_error, tracker._watch_files
        )
        _open.add(recorder)
        recorder.open_run = events.open_run(recorder, in_context=in_context)
        return recorder

    def _described(self, config: ConfigSnapshot, name: str, tags: Sequence[str]) -> dict[str, Any]:
        """As `describe_run`; what it says of process and machine is found out once."""
        first = self._first
        if first is None or first["row"]["pid"] != os.getpid():
            first = self._first = describe_run(
                config, self._tracker.project, tags=tags, name=name, notes=None
            )
        row = {
            **first["row"],
            "structural_hash": config.structural_hash,
            "value_hash": config.value_hash,
            "seeds": config.seeds,
            "name": as_text(name),
            "tags": list(tags),
            "start_time": datetime.now(UTC).timestamp(),  # as a row keeps it
        }
        return {**first, "config": config.content, "row": row}

    def write(self, run: BriefRecorder, also: Also | None = None) -> int:
        """Write a run, and one statement more, in one transaction; returns its id.

        Raises:
            sqlalchemy.exc.DBAPIError: the store cannot be written.
        """
        with self._lock:
            run_id, refused = self._like.insert(run.whole(), also)
        run.refused(refused)
        return run_id


_open: weakref.WeakSet[BriefRecorder] = weakref.WeakSet()


def _enter_before_fork() -> None:
    # A forked worker logs to its parent's run, which must have an id for that.
    for recorder in list(_open):
        recorder.enter_store()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_enter_before_fork)
