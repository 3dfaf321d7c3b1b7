"""Why two runs differ: `why(a, b)` loads, aligns and judges them, and returns an `Explanation`."""

from __future__ import annotations

from ato.explain.answer import explain
from ato.explain.explanation import Change, Divergence, Explanation, Finding, Result, RunLabel
from ato.explain.load import Run, to_run

__all__ = [
    "Change",
    "Divergence",
    "Explanation",
    "Finding",
    "Result",
    "RunLabel",
    "explain",
    "load_runs",
    "why",
]


def why(
    run_a: int | str, run_b: int | str, *, db: str | None = None, metric: str | None = None
) -> Explanation:
    """Explain why run `run_b` has another result than run `run_a`.

    A run is named by its id, `latest`, `latest~1`, or a unique run name. `db` is a path or URL;
    without it `ATO_DB`, else `experiments.db` in the current folder. `metric` is the one to ask
    about; without it the one in both runs that was logged last.

    Raises:
        NoDatabaseError: there is no database there.
        NotADatabaseError, SchemaVersionError: the file is not a store this version can read.
        UnknownRunError: no such run; the message lists the nearest.
        UnknownMetricError: `metric` is not in both runs.
    """
    first, second = load_runs(run_a, run_b, db=db)
    return explain(first, second, metric)


def load_runs(run_a: int | str, run_b: int | str, *, db: str | None = None) -> tuple[Run, Run]:
    """Load two runs, as `why` names them, with all that an explanation needs.

    Raises:
        NoDatabaseError, NotADatabaseError, SchemaVersionError, UnknownRunError: as `why` does.
    """
    from ato.db_routers.sql.reading import load_run, open_store, resolve_run  # SQLAlchemy loads

    engine = open_store(db)
    try:
        ids = [resolve_run(engine, reference) for reference in (run_a, run_b)]
        first, second = (to_run(load_run(engine, run_id)) for run_id in ids)
    finally:
        engine.dispose()
    return first, second
