"""Looking after a store: checking it, verifying its artifacts, handing its runs out as files."""

from __future__ import annotations

import csv
import importlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text

from ato import whole_file
from ato._core import journal_header, read_journal
from ato.db_routers.sql import frames, journals, keeping, queries
from ato.db_routers.sql.keeping import verify as verify_artifacts
from ato.db_routers.sql.schema import Artifact, Experiment, Metric, MetricKey, MetricSummary
from ato.exceptions import StoreError

__all__ = ["EXPORT_FORMATS", "check_store", "export_store", "verify_artifacts"]

EXPORT_FORMATS = ("parquet", "csv", "jsonl")
_POINTS = ("run", "key", "step", "value", "timestamp")
_READ_AT_ONCE = 1 << 20  # bytes of a journal


def check_store(engine: Engine) -> list[str]:
    """What is wrong with a store, a sentence each: pages, references, summaries, journals, artifacts.

    Reads everything, and digests every kept file; changes nothing.
    """
    found: list[str] = []
    with engine.connect() as connection:
        if engine.url.get_backend_name() == "sqlite":
            found += _check_file(connection)
        found += _check_summaries(connection)
        kept = connection.execute(
            select(Artifact.run_id, Artifact.path, Artifact.kind, Artifact.digest, Artifact.tree)
            .where(Artifact.kept.is_(True))
            .order_by(Artifact.id)
        ).all()
    for folder in journals.folders_of(engine):
        found += _check_journals(folder)
    return [*found, *_check_kept(engine, kept)]


def _check_file(connection: Connection) -> Iterator[str]:
    for (said,) in connection.execute(text("PRAGMA integrity_check")):
        if said != "ok":
            yield f"database: {said}"
    for table, row, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"database: row {row} of {table} refers to a row of {parent} that is gone"


def _check_summaries(connection: Connection) -> Iterator[str]:
    counts = (
        select(Metric.run_id, Metric.key_id, func.count().label("points"))
        .group_by(Metric.run_id, Metric.key_id)
        .subquery()
    )
    query = (
        select(MetricSummary.run_id, MetricKey.key, MetricSummary.count, counts.c.points)
        .join(MetricKey, MetricKey.id == MetricSummary.key_id)
        .outerjoin(
            counts,
            (counts.c.run_id == MetricSummary.run_id) & (counts.c.key_id == MetricSummary.key_id),
        )
        .where(func.coalesce(counts.c.points, 0) != MetricSummary.count)
    )
    for run_id, key, said, points in connection.execute(query):
        yield f"run {run_id}: metric {key!r} has {points or 0} points, its summary counts {said}"


def _check_journals(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    for aside in sorted(folder.glob("*.damaged")) + sorted(folder.glob("*.foreign")):
        yield f"{aside}: a journal that was put aside; what it holds is not in the store"
    for path in journals.journals_of(folder, None):
        try:
            offset, ending = 0, "more"
            if journal_header(os.fspath(path)) is None:
                continue
            while ending == "more":
                *_, offset, ending = read_journal(os.fspath(path), offset, _READ_AT_ONCE)
        except FileNotFoundError:
            continue  # it was drained meanwhile
        except (ValueError, TypeError) as error:
            yield f"{path}: is no journal: {error}"
            continue
        if ending == "damaged":
            yield f"{path}: is damaged behind byte {offset}"


def _check_kept(engine: Engine, rows: Iterable[Any]) -> Iterator[str]:
    states: dict[str, str] = {}
    for row in rows:
        digests = {row.path: row.digest}
        if row.kind == "directory":
            digests = {f"{row.path}/{name}": leaf[1] for name, leaf in (row.tree or {}).items()}
        for path, digest in digests.items():
            if digest not in states:
                states[digest] = keeping._state(keeping.kept_path(engine, digest), digest)
            if states[digest] != "same":
                yield f"run {row.run_id}: the kept bytes of artifact {path!r} are {states[digest]}"


def export_store(
    engine: Engine, folder: Path, file_format: str = "parquet", project: str | None = None
) -> list[Path]:
    """Write `runs` and `metrics` of a store, or of one project, as two files; returns their paths.

    `runs` has a row for each run (as `SQLFinder.to_dataframe`, with `project`), `metrics` one for
    each point: `run key step value timestamp`. In `jsonl` NaN and infinities are texts, since JSON
    has no other form for them.

    Raises:
        UnknownRunError: there is no such project.
        StoreError: there is no such format, what writes it is not installed, or a file cannot be
            written.
    """
    if file_format not in EXPORT_FORMATS:
        raise StoreError(f"a format is {', '.join(EXPORT_FORMATS)}, not {file_format!r}")
    names = [project] if project is not None else queries.project_names(engine)
    runs: list[Experiment] = []
    projects: list[str] = []
    for name in names:
        with engine.connect() as connection:
            queries._project_id(connection, name)
        of_project = queries.runs_in_project(engine, name)
        runs += of_project
        projects += [name] * len(of_project)
    columns = {"project": projects, **frames.columns_of(engine, runs)}
    points = _points(engine, [run.id for run in runs])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            _write(folder / f"runs.{file_format}", columns, file_format),
            _write(folder / f"metrics.{file_format}", points, file_format),
        ]
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error


def _points(engine: Engine, run_ids: list[int]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in _POINTS}
    with engine.connect() as connection:
        for run_id in run_ids:
            query = (
                select(MetricKey.key, Metric.step, Metric.value, Metric.timestamp)
                .join(MetricKey, MetricKey.id == Metric.key_id)
                .where(Metric.run_id == run_id)
                .order_by(
                    Metric.key_id, Metric.attempt, Metric.rank, Metric.process, Metric.sequence
                )
            )
            for row in connection.execute(query):
                for name, value in zip(_POINTS, (run_id, *row), strict=True):
                    columns[name].append(value)
    return columns


def _write(path: Path, columns: Mapping[str, list[Any]], file_format: str) -> Path:
    if file_format == "parquet":
        _write_parquet(path, columns)
        return path
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    if file_format == "jsonl":
        lines = (json.dumps({name: _json(v) for name, v in row.items()}) + "\n" for row in rows)
        whole_file.write_whole(path, "".join(lines))
        return path
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows({name: _cell(v) for name, v in row.items()} for row in rows)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write_parquet(path: Path, columns: Mapping[str, list[Any]]) -> None:
    try:
        import polars as pl  # writes Parquet by itself
    except ImportError:
        _write_parquet_with_pandas(path, columns)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frames.frame(dict(columns), pl).write_parquet(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_parquet_with_pandas(path: Path, columns: Mapping[str, list[Any]]) -> None:
    try:
        import pandas as pd  # the user has it or not

        importlib.import_module("pyarrow")  # pandas writes Parquet through it
    except ImportError as error:
        raise StoreError(
            "Parquet needs polars, or pandas with pyarrow: pip install polars; csv and jsonl need "
            "nothing"
        ) from error
    # One kind of value a column is all that Parquet has; configs may have others.
    pd.DataFrame({name: _of_one_kind(items) for name, items in columns.items()}).to_parquet(path)


def _of_one_kind(items: list[Any]) -> list[Any]:
    kinds = {type(item) for item in items if item is not None}
    if len(kinds) <= 1 or kinds == {int, float}:
        return items
    return [None if item is None else str(item) for item in items]


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(_json(value))
    return value.isoformat() if hasattr(value, "isoformat") else value
