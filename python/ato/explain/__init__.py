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
    "nearest_earlier",
    "why",
]


def why(
    run_a: int | str,
    run_b: int | str | None = None,
    *,
    db: str | None = None,
    metric: str | None = None,
) -> Explanation:
    """Explain why run `run_b` has another result than run `run_a`.

    A run is named by its id, `latest`, `latest~1`, or a unique run name. Without `run_b`,
    `run_a` is compared with the nearest run before it: see `nearest_earlier`. `db` is a path or URL;
    without it `ATO_DB`, else `experiments.db` in the current folder. `metric` is the one to ask
    about; without it the one in both runs that was logged last.

    Raises:
        NoDatabaseError: there is no database there.
        NotADatabaseError, SchemaVersionError: the file is not a store this version can read.
        UnknownRunError: no such run; the message lists the nearest.
        UnknownMetricError: `metric` is not in both runs.
    """
    if run_b is None:
        run_a, run_b = nearest_earlier(run_a, db=db), run_a
    return explain(*load_runs(run_a, run_b, db=db), metric)


def load_runs(run_a: int | str, run_b: int | str, *, db: str | None = None) -> tuple[Run, Run]:
    """Load two runs, as `why` names them, with all that an explanation needs.

    What went into their calls and came out is read from the store when it is asked for.

    Raises:
        NoDatabaseError, NotADatabaseError, SchemaVersionError, UnknownRunError: as `why` does.
    """
    from ato.db_routers.sql.reading import load_run, open_store, resolve_run  # SQLAlchemy loads

    # Its connection is closed when the runs are let go of.
    engine = open_store(db)
    first, second = (resolve_run(engine, reference) for reference in (run_a, run_b))
    return to_run(load_run(engine, first)), to_run(load_run(engine, second))


def nearest_earlier(run: int | str, *, db: str | None = None) -> int:
    """Find the run before `run`, of the same project, that differs from it in the fewest factors:
    config keys, traced functions, data files, the environment. Of equals it is the latest.

    Returns:
        its id.

    Raises:
        NoDatabaseError: there is no database there.
        NotADatabaseError, SchemaVersionError: the file is not a store this version can read.
        UnknownRunError: there is no such run, or none before it.
    """
    from ato.db_routers.sql.reading import open_store, resolve_run  # SQLAlchemy loads
    from ato.explain.nearest import nearest_run  # and here

    engine = open_store(db)
    try:
        return nearest_run(engine, resolve_run(engine, run))
    finally:
        engine.dispose()
