"""Why two runs differ: `why(a, b)` loads, aligns and judges them, and returns an `Explanation`."""

from __future__ import annotations

from ato.explain.answer import explain
from ato.explain.explanation import Change, Divergence, Explanation, Finding, Result, RunLabel
from ato.explain.load import to_run

__all__ = [
    "Change",
    "Divergence",
    "Explanation",
    "Finding",
    "Result",
    "RunLabel",
    "explain",
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
    from ato.db_routers.sql.reading import load_run, open_store, resolve_run  # SQLAlchemy loads

    engine = open_store(db)
    try:
        first, second = (
            to_run(load_run(engine, resolve_run(engine, reference))) for reference in (run_a, run_b)
        )
    finally:
        engine.dispose()
    return explain(first, second, metric)
