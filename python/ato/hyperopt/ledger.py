"""Results in the store, so that a search that was cut off can go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ato.adict import ADict
from ato.exceptions import FingerprintError, ResumeError
from ato.fingerprints import value_hex
from ato.hyperopt.trial import Job, Outcome, Result
from ato.provenance import value_text

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger
    from ato.db_routers.sql.searches import TrialRecord

__all__ = ["StoredLedger", "open_ledger"]

_PLAIN = (str, int, float, bool, type(None))
_MOST_NAMED = 4


class StoredLedger:
    """The results of one search in the store; each is written in a transaction of its own."""

    def __init__(
        self,
        tracker: SQLLogger,
        search_id: int,
        records: Sequence[TrialRecord],
        position: int | None = None,
    ) -> None:
        self.search_id = search_id
        self._tracker = tracker
        self._records = {(record.trial, record.rung): record for record in records}
        self._position = len(records) if position is None else position

    @property
    def place(self) -> tuple[int, int]:
        """The search, and how many results it has: where another rank's next one belongs."""
        return self.search_id, self._position

    def known(self) -> Sequence[tuple[int, int]]:
        """Trial and rung of each stored result, in the order in which they came."""
        return list(self._records)

    def find(self, job: Job) -> Outcome | None:
        """The stored result of a training.

        Raises:
            ResumeError: the training had other values then.
        """
        record = self._records.get(job.key)
        if record is None:
            return None
        if record.point_digest != point_digest(job):
            raise ResumeError(
                f"{job} had other values when it was recorded ({record.point}): the sampler does "
                "not repeat itself; begin anew (resume=False)"
            )
        return Outcome(
            record.status,  # type: ignore[arg-type]
            record.metric,
            record.error,
            run_id=record.run_id,
            duration=record.duration,
        )

    def add(self, result: Result) -> None:
        """Keep a result: it survives the death of the process once this returns."""
        from ato.db_routers.sql.searches import TrialRecord, add_trial  # SQLAlchemy loads

        job, outcome = result.job, result.outcome
        run, outcome.unwritten = outcome.unwritten, None
        record = TrialRecord(
            job.trial,
            job.rung,
            job.bracket,
            job.budget,
            _json_values(job.values),
            point_digest(job),
            outcome.metric,
            outcome.status,
            outcome.error,
            outcome.run_id,
            outcome.duration,
        )
        outcome.run_id = add_trial(
            self._tracker.engine, self.search_id, self._position, record, run
        )
        self._position += 1

    def end(self, status: str) -> None:
        """Say how the search ended."""
        from ato.db_routers.sql.searches import finish_search  # SQLAlchemy loads

        finish_search(self._tracker.engine, self.search_id, status)


def open_ledger(
    tracker: SQLLogger, name: str, mode: str, settings: Mapping[str, str], *, resume: bool
) -> StoredLedger:
    """Begin a search in the store, or with `resume` go on with the last one of this name.

    Raises:
        ResumeError: its settings were others; the message says which.
        StoreError: the store cannot be opened or written.
    """
    from ato.db_routers.sql.searches import (  # SQLAlchemy loads
        finish_search,
        insert_search,
        last_search,
        search_trials,
    )

    engine = tracker.engine
    last = last_search(engine, tracker.project, name) if resume else None
    if last is None:
        search_id = insert_search(engine, tracker.project, name, mode, settings)
        return StoredLedger(tracker, search_id, [])
    changed = [
        f"{key}: {last.settings.get(key, 'none')} → {settings.get(key, 'none')}"
        for key in {**last.settings, **settings}
        if last.settings.get(key) != settings.get(key)
    ]
    if changed:
        more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
        raise ResumeError(
            f"search {last.id} ({name}) cannot go on, because its settings are others now: "
            f"{'; '.join(changed[:_MOST_NAMED])}{more}. Bring them back, or begin anew "
            "(resume=False, or another name=)"
        )
    finish_search(engine, last.id, "running")
    return StoredLedger(tracker, last.id, search_trials(engine, last.id))


def settings_of(search: Any, base: ADict) -> dict[str, str]:
    """What must be the same for a search to go on: options, spaces, and the config as texts.

    The number of samples, the workers and the like may change.
    """
    found = {
        name: str(getattr(search, name))
        for name in ("mode", "scheduler", "max_budget", "eta", "seed", "variant")
    }
    if search.scheduler == "halving":
        found["budgets"] = ", ".join(str(rung.budget) for rung in search.brackets()[0])
    if search.max_budget is None:
        found["halving_rate"] = str(search.halving_rate)
        found["num_min_samples"] = str(search.num_min_samples)
    else:
        found["sampler"] = _named(search.sampler)
    for key, space in search.search_spaces.items():
        found[f"space {key}"] = _named(space) if callable(space) else value_text(dict(space))
    searched = tuple(search.search_spaces)
    for key, value in base.to_flat().items():
        if key not in searched:
            found[f"config {key}"] = _described(value)
    return found


def point_digest(job: Job) -> str:
    """The fingerprint of the searched values of a training, and of its budget."""
    try:
        return value_hex((dict(job.values), job.budget))
    except FingerprintError:  # a category may be anything, a model's factory say
        return value_hex((_json_values(job.values), job.budget))


def _described(value: Any) -> str:
    if isinstance(value, _PLAIN):
        return value_text(value)
    try:
        return f"{value_text(value)} {value_hex(value)[:16]}"
    except FingerprintError:
        return value_text(value)


def _named(value: Any) -> str:
    if isinstance(value, str):
        return value
    return getattr(value, "__qualname__", None) or type(value).__qualname__


def _json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Searched values for the store: what JSON has no form for as a text."""
    return {
        key: value if isinstance(value, _PLAIN) else value_text(value)
        for key, value in values.items()
    }
