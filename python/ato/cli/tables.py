"""Runs as tables for the terminal, and as plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine, select

from ato.db_routers.sql.reading import RunRecords, key_or_below, key_text, present, writes
from ato.db_routers.sql.schema import Experiment, MetricKey, MetricSummary

__all__ = [
    "history_details",
    "last_values",
    "print_history",
    "print_run",
    "run_details",
    "run_row",
    "run_table",
]

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


def run_row(run: Experiment, project: str, last: dict[str, float]) -> dict[str, Any]:
    """One run of a list: id, name, project, status, times, and the last value of each metric."""
    return {
        "id": run.id,
        "name": run.name,
        "project": project,
        "status": run.status,
        "started": run.start_time,
        "ended": run.end_time,
        "tags": list(run.tags or []),
        "metrics": {key: _json_number(value) for key, value in last.items()},
    }


def _json_number(value: float) -> Any:
    # JSON has no NaN and no infinity; their names are what a reader expects to see.
    return value if math.isfinite(value) else str(value)


def run_table(rows: list[dict[str, Any]], *, several_projects: bool) -> None:
    """Print a list of runs."""
    table = Table(box=None, header_style="bold")
    for title in ("run", "name", *(("project",) if several_projects else ()), "status", "started"):
        table.add_column(title, no_wrap=title == "run")
    table.add_column("last metrics")
    for row in rows:
        status = row["status"]
        project = (row["project"],) if several_projects else ()
        metrics = "  ".join(f"{key} {_number(value)}" for key, value in row["metrics"].items())
        table.add_row(
            str(row["id"]),
            row["name"] or "",
            *project,
            Text(status, style=_STYLES.get(status, "yellow")),
            f"{row['started']:%Y-%m-%d %H:%M:%S}",
            metrics,
        )
    _console().print(table if rows else "no runs")


def run_details(records: RunRecords) -> dict[str, Any]:
    """Everything that `show` knows of a run, as plain data."""
    series: dict[str, list[Any]] = {}
    for point in records.metrics:
        series.setdefault(point.key, []).append([point.step, _json_number(point.value)])
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
        "user": records.user,
        "command": records.command,
        "git_commit": records.git_commit,
        "git_dirty": records.git_dirty,
        "structural_hash": records.structural_hash,
        "value_hash": records.value_hash,
        "config": {
            key: {"value": entry["value"], "history": entry["history"]}
            for key, entry in present(records.config).items()
        },
        "metrics": series,
        "code": [
            {"trace_id": code.trace_id, "role": code.role, "logic": code.logic, "deep": code.deep}
            for code in records.codes
        ],
        "calls": traced,
        "inputs": [{"path": file.path, "digest": file.digest} for file in records.inputs],
    }


def print_run(records: RunRecords) -> None:
    """Print one run."""
    console = _console()
    title = f"run {records.id}" + (f" ({records.name})" if records.name else "")
    console.print(Text.assemble((title, "bold"), f"  project {records.project}, {records.status}"))
    ended = f", ended {records.end_time:%H:%M:%S}" if records.end_time else ""
    by = f" by {records.user}" if records.user else ""
    console.print(f"started {records.start_time:%Y-%m-%d %H:%M:%S}{by}{ended}")
    console.print(f"command {' '.join(records.command)}")
    if records.git_commit:
        dirty = ", with uncommitted changes" if records.git_dirty else ""
        console.print(f"commit  {records.git_commit[:12]}{dirty}")
    if records.error:
        console.print(records.error.strip(), style="red")
    console.print(_config_table(records))
    details = run_details(records)
    console.print(_metric_table(details["metrics"]))
    console.print(_code_table(records, details["calls"]))
    for file in records.inputs:
        console.print(f"read {file.path}  BLAKE3 {(file.digest or 'unknown')[:16]}")


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
    console = _console()
    for name, entry in key_or_below(run_id, config, key).items():
        first, *rest = key_text(name, entry).splitlines()
        console.print(first, style="bold", soft_wrap=True)
        for line in rest:
            lost = line.startswith("  over")
            console.print(line, style="dim" if lost else "cyan", soft_wrap=True)


def _config_table(records: RunRecords) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("config", "value", "set by"):
        table.add_column(title)
    for key, entry in present(records.config).items():
        history = writes(entry)
        table.add_row(key, repr(entry["value"]), str(history[-1].origin) if history else "")
    return table


def _metric_table(series: dict[str, list[Any]]) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("metric", "points", "first", "last"):
        table.add_column(title, justify="left" if title == "metric" else "right")
    for key, points in series.items():
        first, last = points[0][1], points[-1][1]
        table.add_row(key, str(len(points)), _number(first), _number(last))
    return table


def _code_table(records: RunRecords, calls: dict[str, int]) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("code", "role", "logic", "deep", "recorded calls"):
        table.add_column(title, justify="right" if title == "recorded calls" else "left")
    for code in records.codes:
        count = str(calls.get(code.trace_id, 0)) if code.role == "runtime" else ""
        table.add_row(code.trace_id, code.role, code.logic[:12], code.deep[:12], count)
    return table


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _console() -> Console:
    # Names are printed as they are: none of them is markup.
    return Console(highlight=False, markup=False, emoji=False)
