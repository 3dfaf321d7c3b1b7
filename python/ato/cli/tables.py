"""Runs as tables for the terminal, and as plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, select

from ato.cli.output import console, one_line
from ato.db_routers.sql.journals import folder_of
from ato.db_routers.sql.reading import (
    RunRecords,
    is_elsewhere,
    key_or_below,
    key_text,
    last_seen,
    present,
    writes,
)
from ato.db_routers.sql.schema import Artifact, Experiment, MetricKey, MetricSummary
from ato.provenance import printable

__all__ = [
    "history_details",
    "json_number",
    "last_values",
    "number",
    "print_history",
    "print_run",
    "run_details",
    "run_row",
    "run_table",
    "seen_elsewhere",
]

_METRICS = 4  # of a run in a list; `ato show` has them all
_STYLES = {"completed": "green", "running": "cyan", "failed": "red", "crashed": "red"}


def last_values(engine: Engine, run_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """Run id → the value of each metric that was logged last; a run without metrics is not in it."""
    wanted = set(run_ids)
    if not wanted:
        return {}
    # A range and not a list of ids: SQLite limits the number of values in a query.
    query = (
        select(MetricSummary.run_id, MetricKey.key, MetricSummary.last)
        .join(MetricKey, MetricKey.id == MetricSummary.key_id)
        .where(MetricSummary.run_id.between(min(wanted), max(wanted)))
        .order_by(MetricSummary.run_id, MetricSummary.key_id)
    )
    found: dict[int, dict[str, float]] = {}
    with engine.connect() as connection:
        for run_id, key, value in connection.execute(query):
            if run_id in wanted:
                found.setdefault(run_id, {})[key] = value
    return found


def seen_elsewhere(engine: Engine, runs: Sequence[Experiment]) -> dict[int, datetime]:
    """Run id → when it was heard of last, of those that say `running` on other machines."""
    elsewhere = [run for run in runs if is_elsewhere(run)]
    if not elsewhere:
        return {}
    folder = folder_of(engine)
    with engine.connect() as connection:
        return {run.id: last_seen(connection, folder, run) for run in elsewhere}


def run_row(
    run: Experiment, project: str, last: dict[str, float], seen: datetime | None = None
) -> dict[str, Any]:
    """One run of a list: id, name, project, status, times, tags, and each metric's last value.

    `last_seen` is set where the run says `running` on another machine, of which no more is known.
    """
    seconds = (run.end_time - run.start_time).total_seconds() if run.end_time else None
    return {
        "id": run.id,
        "name": run.name,
        "project": project,
        "status": run.status,
        "started": run.start_time,
        "ended": run.end_time,
        "host": run.host,
        "last_seen": seen,
        "seconds": seconds,
        "tags": list(run.tags or []),
        "metrics": {key: json_number(value) for key, value in last.items()},
    }


def json_number(value: float) -> Any:
    """A number as JSON can hold it."""
    # JSON has no NaN and no infinity; their names are what a reader expects to see.
    return value if math.isfinite(value) else str(value)


def run_table(rows: list[dict[str, Any]], *, several_projects: bool) -> None:
    """Print a list of runs."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("run", "name", *(("project",) if several_projects else ()), "status", "started"):
        table.add_column(title, no_wrap=title in ("run", "status"), overflow="fold")
    table.add_column("last metrics", overflow="fold")
    for row in rows:
        status = row["status"]
        project = (one_line(row["project"]),) if several_projects else ()
        metrics = [f"{one_line(key)} {number(value)}" for key, value in row["metrics"].items()]
        more = [f"+{len(metrics) - _METRICS} more"] if len(metrics) > _METRICS else []
        table.add_row(
            str(row["id"]),
            one_line(row["name"] or ""),
            *project,
            Text.assemble(_status(status), *_seen(row["last_seen"])),
            f"{row['started'].astimezone():%Y-%m-%d %H:%M:%S}",
            "  ".join([*metrics[:_METRICS], *more]),
        )
    console().print(table if rows else "no runs")


def run_details(records: RunRecords, artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """Everything that `show` knows of a run, as plain data."""
    series: dict[str, list[Any]] = {}
    for point in records.metrics:
        series.setdefault(point.key, []).append([point.step, json_number(point.value)])
    traced: dict[str, int] = {}
    for call in records.calls:
        if call.kind == "call":
            traced[call.trace_id] = traced.get(call.trace_id, 0) + 1
    return {
        "id": records.id,
        "name": records.name,
        "project": records.project,
        "status": records.status,
        "error": records.error,
        "started": records.start_time,
        "ended": records.end_time,
        "host": records.host,
        "last_seen": records.last_seen,
        "user": records.user,
        "command": records.command,
        "git_commit": records.git_commit,
        "git_dirty": records.git_dirty,
        "structural_hash": records.structural_hash,
        "value_hash": records.value_hash,
        "config": {
            key: {"value": entry.get("value"), "history": entry.get("history") or []}
            for key, entry in present(records.config).items()
        },
        "metrics": series,
        "code": [
            {"trace_id": code.trace_id, "role": code.role, "logic": code.logic, "deep": code.deep}
            for code in records.codes
        ],
        "calls": traced,
        "inputs": [{"path": file.path, "digest": file.digest} for file in records.inputs],
        "artifacts": [
            {"path": made.path, "kind": made.kind, "size": made.size, "digest": made.digest}
            for made in artifacts
        ],
    }


def print_run(records: RunRecords, artifacts: Sequence[Artifact]) -> None:
    """Print one run."""
    out = console()
    title = f"run {records.id}" + (f" ({one_line(records.name)})" if records.name else "")
    out.print(
        Text.assemble(
            (title, "bold"), f"  project {one_line(records.project)}, ", _status(records.status)
        )
    )
    ended = f", ended {records.end_time.astimezone():%H:%M:%S}" if records.end_time else ""
    by = f" by {one_line(records.user)}" if records.user else ""
    out.print(f"started {records.start_time.astimezone():%Y-%m-%d %H:%M:%S}{by}{ended}")
    if records.last_seen is not None:
        moment = f"{records.last_seen.astimezone():%Y-%m-%d %H:%M:%S}"
        out.print(f"last seen {moment} ({_ago(records.last_seen)}) on {one_line(records.host)}")
    out.print(f"command {one_line(' '.join(records.command))}", soft_wrap=True)
    if records.git_commit:
        dirty = ", with uncommitted changes" if records.git_dirty else ""
        out.print(f"commit  {records.git_commit[:12]}{dirty}")
    for label, text in (("tags", ", ".join(records.tags)), ("notes", records.notes)):
        if text:
            out.print(f"{label:<8}{one_line(text)}", soft_wrap=True)
    if records.error:
        out.print(printable(records.error.strip()), style="red", soft_wrap=True)
    details = run_details(records, artifacts)
    tables = (
        _config_table(records),
        _metric_table(details["metrics"]),
        _code_table(records, details["calls"]),
    )
    for table in tables:
        if table.row_count:
            out.print()
            out.print(table)
    if records.inputs:
        out.print()
    for file in records.inputs:
        digest = (file.digest or "unknown")[:16]
        out.print(f"read {one_line(file.path)}  BLAKE3 {digest}", soft_wrap=True)
    if artifacts:
        out.print()
    for made in artifacts:
        size = "" if made.size is None else f", {made.size:,} bytes"
        digest = "" if made.digest is None else f"  BLAKE3 {made.digest[:16]}"
        out.print(f"made {one_line(made.path)} ({made.kind}{size}){digest}", soft_wrap=True)


def _seen(moment: datetime | None) -> list[str]:
    return [] if moment is None else [f", last seen {_ago(moment)}"]


def _ago(moment: datetime) -> str:
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _status(status: str) -> tuple[str, str]:
    return status, _STYLES.get(status, "yellow")


def history_details(run_id: int, config: dict[str, dict[str, Any]], key: str) -> dict[str, Any]:
    """The history of a key, or of all below a section, as plain data.

    Raises:
        UnknownKeyError: the run's config has no such key.
    """
    found = key_or_below(run_id, config, key)
    return {
        "run": run_id,
        "keys": {
            name: {
                "value": entry.get("value"),
                "type": entry["type"],
                "history": [write.to_json() for write in writes(entry)],
            }
            for name, entry in found.items()
        },
    }


def print_history(run_id: int, config: dict[str, dict[str, Any]], key: str) -> None:
    """Print who set a key, or all below a section, and what lost.

    Raises:
        UnknownKeyError: the run's config has no such key.
    """
    out = console()
    for name, entry in key_or_below(run_id, config, key).items():
        first, *rest = printable(key_text(name, entry)).splitlines()
        out.print(first, style="bold", soft_wrap=True)
        for line in rest:
            lost = line.startswith("  over")
            out.print(line, style="dim" if lost else "cyan", soft_wrap=True)


def _config_table(records: RunRecords) -> Table:
    table = _table("config", "value", "set by")
    for key, entry in present(records.config).items():
        history = writes(entry)
        value = "(secret)" if entry.get("secret") else repr(entry.get("value"))
        origin = Text(one_line(history[-1].origin), style="dim") if history else ""
        table.add_row(one_line(key), one_line(value), origin)
    return table


def _metric_table(series: dict[str, list[Any]]) -> Table:
    table = _table("metric", "points", "first", "last")
    for column in table.columns[1:]:
        column.justify = "right"
    for key, points in series.items():
        first, last = points[0][1], points[-1][1]
        table.add_row(one_line(key), str(len(points)), number(first), number(last))
    return table


def _code_table(records: RunRecords, calls: dict[str, int]) -> Table:
    table = _table("code", "role", "logic", "deep", "recorded calls")
    for code in records.codes:
        count = str(calls.get(code.trace_id, 0)) if code.role == "runtime" else ""
        fingerprints = (code.logic[:12], code.deep[:12])
        table.add_row(one_line(code.trace_id), code.role, *fingerprints, count)
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def number(value: Any) -> str:
    """A value of a metric in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
