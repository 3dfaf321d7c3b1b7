"""A search's trials as a table for the terminal, and as plain data for JSON."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from ato.db_routers.sql.searches import (
    SearchRecord,
    TrialRecord,
    find_search,
    list_searches,
    search_trials,
)

__all__ = ["print_searches", "print_trials", "search_row", "trial_details"]


def search_row(search: SearchRecord) -> dict[str, Any]:
    """A search in a list, as plain data."""
    return {
        "id": search.id,
        "name": search.name,
        "project": search.project,
        "mode": search.mode,
        "status": search.status,
        "started": search.start_time,
        "ended": search.end_time,
    }


def trial_details(engine: Engine, name: str) -> dict[str, Any]:
    """A search with its trials, the best first: each at the furthest rung that it has completed.

    Raises:
        UnknownRunError: there is no such search.
    """
    search = find_search(engine, name)
    furthest: dict[int, TrialRecord] = {}
    for record in search_trials(engine, search.id):
        known = furthest.get(record.trial)
        # A failure further on does not take away what a trial has shown.
        if known is None or (record.rung > known.rung and not math.isnan(record.metric)):
            furthest[record.trial] = record
    sign = -1 if search.mode == "max" else 1

    def rank(record: TrialRecord) -> tuple[bool, int, float, int]:
        failed = math.isnan(record.metric)
        level = record.rung if record.budget is None else record.budget
        return failed, -level, 0.0 if failed else sign * record.metric, record.trial

    trials = [_trial_row(record) for record in sorted(furthest.values(), key=rank)]
    return {**search_row(search), "settings": search.settings, "trials": trials}


def _trial_row(record: TrialRecord) -> dict[str, Any]:
    finite = math.isfinite(record.metric)
    return {
        "trial": record.trial,
        "rung": record.rung,
        "bracket": record.bracket,
        "budget": record.budget,
        # JSON has no NaN and no infinity; a failure has no metric.
        "metric": record.metric
        if finite
        else None
        if math.isnan(record.metric)
        else str(record.metric),
        "status": record.status,
        "run": record.run_id,
        "seconds": record.duration,
        "error": record.error,
        "values": record.point,
    }


def print_trials(details: dict[str, Any], limit: int | None) -> None:
    """Print a search and its trials, the best first."""
    console = _console()
    trials = details["trials"]
    title = f"search {details['id']} ({details['name']})"
    about = f"  project {details['project']}, {details['status']}, {len(trials)} trials"
    console.print(Text.assemble((title, "bold"), about))
    keys = list(dict.fromkeys(key for trial in trials for key in trial["values"]))
    has_budget = any(trial["budget"] is not None for trial in trials)
    table = Table(box=None, header_style="bold")
    for name in ("trial", "budget" if has_budget else "rung", "metric", "run", *keys):
        table.add_column(name, justify="right")
    table.add_column("")
    for trial in trials[:limit]:
        table.add_row(
            str(trial["trial"]),
            str(trial["budget"] if has_budget else trial["rung"]),
            _shown(trial["metric"]),
            "" if trial["run"] is None else str(trial["run"]),
            *(_shown(trial["values"].get(key)) if key in trial["values"] else "" for key in keys),
            Text("" if trial["status"] == "completed" else _reason(trial), style="red"),
        )
    console.print(table)
    if limit is not None and len(trials) > limit:
        console.print(f"and {len(trials) - limit} more; --all shows them")


def print_searches(engine: Engine) -> None:
    """Print the searches of a store, the newest last."""
    table = Table(box=None, header_style="bold")
    for name in ("search", "name", "project", "status", "started"):
        table.add_column(name, no_wrap=name == "search")
    searches = list_searches(engine)
    for search in searches:
        started = f"{search.start_time:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(search.id), search.name, search.project, search.status, started)
    _console().print(table if searches else "no searches")


def _reason(trial: dict[str, Any]) -> str:
    lines = (trial["error"] or "").strip().splitlines()
    return f"{trial['status']}: {lines[-1] if lines else ''}"


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _console() -> Console:
    # Names are printed as they are: none of them is markup.
    return Console(highlight=False, markup=False, emoji=False)
