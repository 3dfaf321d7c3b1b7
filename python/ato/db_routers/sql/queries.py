"""The queries behind `SQLFinder`."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, Select, bindparam, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from ato.db_routers.sql import details
from ato.db_routers.sql.drain import drained
from ato.db_routers.sql.engine import explain_failure, write
from ato.db_routers.sql.frames import columns_of, frame, library_for
from ato.db_routers.sql.journals import folder_of
from ato.db_routers.sql.reading import ID_LIMIT, nearest, present, resolve_run, status_now
from ato.db_routers.sql.rows import write_artifacts
from ato.db_routers.sql.run_rows import project_id
from ato.db_routers.sql.schema import (
    Experiment,
    Fingerprint,
    MetricKey,
    MetricSummary,
    Project,
)
from ato.db_routers.sql.selection import selected
from ato.db_routers.sql.text import as_text
from ato.exceptions import StoreError, UnknownRunError

__all__ = [
    "MetricSeries",
    "best_run",
    "compare",
    "find_project",
    "find_run",
    "get_or_create_project",
    "insert_artifacts",
    "metric_series",
    "project_names",
    "runs_in_project",
    "similar_runs",
    "similar_runs_by_trace",
    "table_of",
    "trace_statistics",
]

_AT_ONCE = 500  # ids in one query


class MetricSeries(NamedTuple):
    """The points of a metric: int64, float64 and float64 (seconds since 1970), of one length."""

    steps: Any
    values: Any
    timestamps: Any


def find_project(engine: Engine, name: str) -> Project | None:
    """See `SQLFinder.find_project`."""
    with Session(engine, expire_on_commit=False) as session:
        return session.scalar(select(Project).where(Project.name == as_text(name)))


def project_names(engine: Engine) -> list[str]:
    """See `SQLFinder.find_projects`."""
    with engine.connect() as connection:
        # Sorted here: databases disagree on the order of texts.
        return sorted(connection.scalars(select(Project.name)))


def get_or_create_project(engine: Engine, name: str) -> Project:
    """See `SQLLogger.get_or_create_project`."""
    found = find_project(engine, name)
    if found is None:
        write(engine, lambda connection: project_id(connection, name))
        found = find_project(engine, name)
    assert found is not None
    return found


def find_run(engine: Engine, run_id: int) -> Experiment | None:
    """See `SQLFinder.find_run`."""
    engine = drained(engine)
    if not _known_ids([run_id]):
        return None
    found = _load(engine, _BY_ID, {"id": run_id})
    return found[0] if found else None


def _known_ids(run_ids: Iterable[int]) -> list[int]:
    """Those that the databases can compare with."""
    return [id_ for id_ in run_ids if isinstance(id_, int) and 0 <= id_ < ID_LIMIT]


def runs_in_project(
    engine: Engine,
    name: str,
    *,
    status: str | None = None,
    tags: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    order_by: str | Sequence[str] | None = None,
    limit: int | None = None,
) -> list[Experiment]:
    """See `SQLFinder.get_runs_in_project`."""
    engine = drained(engine)
    query = (
        select(Experiment)
        .join(Project, Project.id == Experiment.project_id)
        .where(Project.name == as_text(name))
        .order_by(Experiment.id.desc())
    )
    if status is not None:
        # Whether a run has crashed is found out when it is read.
        stored = "running" if status == "crashed" else status
        query = query.where(Experiment.status == stored)
    wanted = {tags} if isinstance(tags, str) else set(tags or ())
    chosen = wanted or where or order_by or status in {"running", "crashed"}
    if limit is not None and not chosen:
        query = query.limit(limit)
    found = [
        run
        for run in reversed(_load(engine, query))
        if (status is None or run.status == status) and wanted <= set(run.tags or [])
    ]
    if where or order_by:
        with engine.connect() as connection:
            found = selected(connection, found, where, order_by)
    if limit is None:
        return found
    return found[:limit] if order_by else found[max(len(found) - limit, 0) :]


def table_of(engine: Engine, name: str, library: str | None, **selection: Any) -> Any:
    """See `SQLFinder.to_dataframe`."""
    module = library_for(library)
    with engine.connect() as connection:
        _project_id(connection, name)
    runs = runs_in_project(engine, name, **selection)
    return frame(columns_of(engine, runs), module)


def best_run(
    engine: Engine,
    project_name: str,
    key: str,
    mode: Literal["max", "min"],
    at: Literal["best", "last"],
) -> Experiment:
    """See `SQLFinder.find_best_run`."""
    if mode not in {"max", "min"} or at not in {"best", "last"}:
        raise StoreError(f"mode is 'max' or 'min', at is 'best' or 'last'; not {mode!r}, {at!r}")
    engine = drained(engine)
    asked = {"key": as_text(key), "project": as_text(project_name)}
    found = _load(engine, _best(mode, at), asked)
    if found:
        return found[0]
    with engine.connect() as connection:
        keys = _metric_keys(connection, _project_id(connection, project_name))
    raise UnknownRunError(
        f"no run of project {project_name!r} has a number for metric {key!r}; {nearest(key, keys)}"
    )


@cache
def _best(mode: str, at: str) -> Select[Any]:
    """The run that wins for `:project` and `:key`, as a statement that is put together once."""
    best = MetricSummary.maximum if mode == "max" else MetricSummary.minimum
    value = best if at == "best" else MetricSummary.last
    winner = (
        select(Experiment.id)
        .join(Project, Project.id == Experiment.project_id)
        .join(MetricSummary, MetricSummary.run_id == Experiment.id)
        .join(MetricKey, MetricKey.id == MetricSummary.key_id)
        .where(
            MetricKey.key == bindparam("key"),
            Project.name == bindparam("project"),
            value.is_not(None),
        )
        .order_by(value.desc() if mode == "max" else value.asc(), Experiment.id)
        .limit(1)
    )
    return select(Experiment).where(Experiment.id == winner.scalar_subquery())


def similar_runs(engine: Engine, run_id: int) -> list[Experiment]:
    """See `SQLFinder.find_similar_runs`."""
    engine = drained(engine)
    run = _the_run(engine, run_id)
    alike = select(Experiment).where(
        Experiment.structural_hash == run.structural_hash, Experiment.id != run.id
    )
    return _load(engine, alike.order_by(Experiment.id))


def similar_runs_by_trace(
    engine: Engine, run_id: int, trace_id: str, trace_type: Literal["static", "runtime"]
) -> list[Experiment]:
    """See `SQLFinder.find_similar_runs_by_trace`."""
    if trace_type not in {"static", "runtime"}:
        raise StoreError(f"trace_type is 'static' or 'runtime', not {trace_type!r}")
    trace_id = as_text(trace_id)
    engine = drained(engine)
    run = _the_run(engine, run_id)
    of_run = run.fingerprints if trace_type == "static" else run.runtime_fingerprints
    if trace_id not in of_run:
        raise UnknownRunError(
            f"run {run.id} has no {trace_type} trace {trace_id!r}; {nearest(trace_id, list(of_run))}"
        )
    with engine.connect() as connection:
        versions = (
            _code_versions(connection, trace_id, None, "logic")
            if trace_type == "static"
            else details.output_versions(connection, trace_id, None)
        )
    ids = [other for other, found in versions.items() if found == of_run[trace_id]]
    return _load_ids(engine, [other for other in ids if other != run.id])


def trace_statistics(engine: Engine, project_name: str, trace_id: str) -> dict[str, Any]:
    """See `SQLFinder.get_trace_statistics`."""
    trace_id = as_text(trace_id)
    engine = drained(engine)
    with engine.connect() as connection:
        project = _project_id(connection, project_name)
        versions = {
            "static": _versions(_code_versions(connection, trace_id, project, "logic")),
            "deep": _versions(_code_versions(connection, trace_id, project, "deep")),
            "runtime": _versions(details.output_versions(connection, trace_id, project)),
        }
        if not any(versions.values()):
            known = select(Fingerprint.trace_id).join(
                Experiment, Experiment.id == Fingerprint.run_id
            )
            of_project = known.where(Experiment.project_id == project).distinct()
            names = connection.scalars(of_project).all()
            raise UnknownRunError(
                f"project {project_name!r} has no trace {trace_id!r}; {nearest(trace_id, names)}"
            )
    return {
        "project_name": project_name,
        "trace_id": trace_id,
        **{f"{kind}_trace_versions": len(found) for kind, found in versions.items()},
        "versions": versions,
    }


def metric_series(engine: Engine, run_id: int, key: str) -> MetricSeries:
    """See `SQLFinder.get_metrics`."""
    engine = drained(engine)
    with engine.connect() as connection:
        columns = _points_as_columns(connection, run_id, as_text(key))
        if columns is None:
            resolve_run(engine, run_id)
            of_run = select(MetricKey.key).join(MetricSummary, MetricSummary.key_id == MetricKey.id)
            names = connection.scalars(of_run.where(MetricSummary.run_id == run_id)).all()
            raise UnknownRunError(f"run {run_id} has no metric {key!r}; {nearest(key, names)}")
    return MetricSeries(*columns)


def _points_as_columns(connection: Connection, run_id: int, key: str) -> tuple[Any, ...] | None:
    key_id = connection.scalar(_KEY_ID, {"key": key})
    if key_id is None or not 0 <= run_id < ID_LIMIT:
        return None
    # Through the driver: for points by the ten thousand SQLAlchemy's rows take longer than the
    # database. NaN is stored as NULL, as `schema.Real` has it.
    qmark = connection.dialect.paramstyle == "qmark"
    place = "?" if qmark else "%s"
    value = "coalesce(value, 'nan')" if qmark else "coalesce(value, 'NaN') + 0.0"
    cursor: Any = connection.exec_driver_sql(
        f"SELECT step, {value}, timestamp FROM metrics "  # noqa: S608
        f"WHERE run_id = {place} AND key_id = {place} ORDER BY attempt, rank, process, sequence",
        (run_id, key_id),
    ).cursor
    columns = _as_columns(cursor)
    return columns if len(columns[0]) else None


_KEY_ID = select(MetricKey.id).where(MetricKey.key == bindparam("key"))


def _as_columns(rows: Iterable[tuple[int, float, float]]) -> tuple[Any, ...]:
    """Steps, values and times, each row taken apart as it comes: no list of them is ever made."""
    try:
        import numpy as np  # whoever asks for arrays may have it; nothing else here needs it
    except ImportError:
        steps, values, timestamps = array("q"), array("d"), array("d")
        for step, value, timestamp in rows:
            steps.append(step)
            values.append(float(value))
            timestamps.append(timestamp)
        return steps, values, timestamps
    kinds = [("step", np.int64), ("value", np.float64), ("timestamp", np.float64)]
    found = np.fromiter(rows, dtype=kinds)
    return tuple(np.ascontiguousarray(found[name]) for name, _ in kinds)


def compare(engine: Engine, run_ids: Sequence[int]) -> dict[str, Any]:
    """See `SQLFinder.compare`."""
    engine = drained(engine)
    by_id = {run.id: run for run in _load_ids(engine, _known_ids(run_ids))}
    # One that is not there may be meant by its name, or is an error.
    runs = [by_id.get(run_id) or _the_run(engine, run_id) for run_id in run_ids]
    ids = list({run.id for run in runs})
    with engine.connect() as connection:
        lasts = _last_values(connection, ids)
        codes = details.fingerprints_of(connection, ids)
    configs = [
        {key: entry.get("value") for key, entry in present(details.content(run)).items()}
        for run in runs
    ]
    return {
        "runs": [run.id for run in runs],
        "config": _side_by_side(configs, only_differing=True),
        "metrics": _side_by_side([lasts[run.id] for run in runs], only_differing=False),
        "code": _side_by_side([codes[run.id] for run in runs], only_differing=True),
    }


def insert_artifacts(engine: Engine, run_id: int, rows: list[dict[str, Any]]) -> None:
    """Write the rows that `artifacts.artifact_rows` made."""
    run_id = resolve_run(engine, run_id)
    try:
        write(engine, lambda connection: write_artifacts(connection, run_id, rows))
    except DBAPIError as error:
        raise explain_failure(error, engine) from error


def _load(
    engine: Engine, query: Select[Any], asked: Mapping[str, Any] | None = None
) -> list[Experiment]:
    """Runs, detached; the texts of their configs are read together, when the first is asked for."""
    with _uncollected(), Session(engine, expire_on_commit=False) as session:
        runs = list(session.scalars(query, asked))
    folder = folder_of(engine)
    ids = {run.config_id for run in runs}
    texts = details.ConfigTexts(engine, ids)
    for run in runs:
        if run.tags is None:
            set_committed_value(run, "tags", [])
        if run.status == "running":
            set_committed_value(run, "status", status_now(run, folder))
        details.attach(run, engine, texts)
    return runs


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make many objects without looking for garbage among them, which takes as long as making them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load_ids(engine: Engine, ids: Sequence[int]) -> list[Experiment]:
    found: list[Experiment] = []
    for some in _chunks(sorted(ids)):
        found += _load(engine, _BY_IDS, {"ids": some})
    return found


_BY_IDS = (
    select(Experiment)
    .where(Experiment.id.in_(bindparam("ids", expanding=True)))
    .order_by(Experiment.id)
)
_BY_ID = select(Experiment).where(Experiment.id == bindparam("id"))
_LAST_VALUES = (
    select(MetricSummary.run_id, MetricKey.key, MetricSummary.last)
    .join(MetricSummary, MetricSummary.key_id == MetricKey.id)
    .where(MetricSummary.run_id.in_(bindparam("ids", expanding=True)))
    .order_by(MetricSummary.run_id, MetricSummary.key_id)
)


def _the_run(engine: Engine, run_id: int) -> Experiment:
    found = find_run(engine, resolve_run(engine, run_id))
    assert found is not None
    return found


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _project_id(connection: Connection, name: str) -> int:
    found = connection.scalar(select(Project.id).where(Project.name == as_text(name)))
    if found is None:
        names = connection.scalars(select(Project.name)).all()
        raise UnknownRunError(f"there is no project {name!r}; {nearest(name, names)}")
    return found


def _metric_keys(connection: Connection, project: int) -> Sequence[str]:
    query = (
        select(MetricKey.key)
        .join(MetricSummary, MetricSummary.key_id == MetricKey.id)
        .join(Experiment, Experiment.id == MetricSummary.run_id)
        .where(Experiment.project_id == project)
        .distinct()
    )
    return connection.scalars(query).all()


def _last_values(connection: Connection, run_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {run_id: {} for run_id in run_ids}
    for some in _chunks(run_ids):
        for run_id, key, last in connection.execute(_LAST_VALUES, {"ids": some}):
            found[run_id][key] = last
    return found


def _code_versions(
    connection: Connection, trace_id: str, project: int | None, column: str
) -> dict[int, str]:
    """Run id → the fingerprint of the trace's code; where it was registered again, the last."""
    query = (
        select(Fingerprint.run_id, getattr(Fingerprint, column))
        .where(Fingerprint.trace_id == trace_id, Fingerprint.role != "passed")
        .order_by(Fingerprint.run_id, Fingerprint.id)
    )
    if project is not None:
        query = query.join(Experiment, Experiment.id == Fingerprint.run_id).where(
            Experiment.project_id == project
        )
    return {run_id: found for run_id, found in connection.execute(query) if found is not None}


def _versions(by_run: dict[int, str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for run_id in sorted(by_run):
        version = found.setdefault(
            by_run[run_id], {"fingerprint": by_run[run_id], "first_run": run_id, "runs": 0}
        )
        version["last_run"] = run_id
        version["runs"] += 1
    return list(found.values())


def _side_by_side(
    mappings: Sequence[dict[str, Any]], *, only_differing: bool
) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    rows = {key: [mapping.get(key) for mapping in mappings] for key in keys}
    if not only_differing:
        return rows
    return {key: row for key, row in rows.items() if any(item != row[0] for item in row)}
