"""`ato diff`: everything that differs between two runs, without a judgement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from ato.cli.output import console, one_line
from ato.cli.tables import json_number, number
from ato.db_routers.sql import queries
from ato.db_routers.sql.reading import RunRecords, load_run, present
from ato.explain.changes import Changes, find_changes
from ato.explain.explanation import Change
from ato.explain.load import Run, to_run

__all__ = ["differences", "print_differences"]

_SECTIONS = ("run", "metrics", "config", "code", "environment", "data", "randomness", "artifacts")
_MOST = 20  # rows of a section, lines of a change of code


def differences(engine: Engine, id_a: int, id_b: int) -> dict[str, Any]:
    """What differs, by section: a list of `{"subject", "kind", "a", "b"}`, with what else is known.

    In `config`, `origin_a` and `origin_b` say who set the value; in `code`, `kind` is the class of
    the change, `diff` the lines, and the origins are file and line. What a run lacks is `None`.
    """
    records_a, records_b = (load_run(engine, run_id) for run_id in (id_a, id_b))
    a, b = to_run(records_a), to_run(records_b)
    changes = find_changes(a, b)
    code = [*changes.code.values(), *changes.cosmetic.values()]
    environment = [*changes.distributions.values(), *changes.machine.values()]
    return {
        "run_a": _label(a),
        "run_b": _label(b),
        "run": list(_mappings(_about(records_a), _about(records_b))),
        "metrics": list(_metrics(records_a, records_b)),
        "config": [_config_row(change, records_a, records_b) for change in changes.config.values()],
        "code": [*map(_row, code), *_only_in_one(a, b, changes)],
        "environment": [_row(change) for change in environment],
        "data": [_row(change) for change in changes.data.values()],
        "randomness": [_row(change) for change in changes.random.values()],
        "artifacts": list(_artifacts(engine, id_a, id_b)),
    }


def _label(run: Run) -> dict[str, Any]:
    return run.label.to_dict()


def _about(records: RunRecords) -> dict[str, Any]:
    return {
        "name": records.name,
        "project": records.project,
        "status": records.status,
        "tags": ", ".join(records.tags) or None,
        "command": " ".join(records.command) or None,
        "git commit": records.git_commit,
        "uncommitted changes": records.git_dirty,
        "host": records.host,
        "user": records.user,
        "error": (records.error or "").strip().rpartition("\n")[2] or None,
    }


def _mappings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for key in dict.fromkeys([*a, *b]):
        if a.get(key) != b.get(key):
            yield {"subject": key, "kind": _kind(a, b, key), "a": a.get(key), "b": b.get(key)}


def _kind(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> str:
    if a.get(key) is None:
        return "added"
    return "removed" if b.get(key) is None else "value"


def _metrics(a: RunRecords, b: RunRecords) -> Iterable[dict[str, Any]]:
    """Metrics whose points differ: the last of them, and how many there are."""
    points_a, points_b = _points(a), _points(b)
    for key in dict.fromkeys([*points_a, *points_b]):
        left, right = points_a.get(key, []), points_b.get(key, [])
        if _bits(left) != _bits(right):
            yield {
                "subject": key,
                "kind": "added" if not left else "removed" if not right else "value",
                "a": json_number(left[-1][1]) if left else None,
                "b": json_number(right[-1][1]) if right else None,
                "points_a": len(left),
                "points_b": len(right),
            }


def _points(records: RunRecords) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for point in records.metrics:
        found.setdefault(point.key, []).append((point.step, point.value))
    return found


def _bits(points: list[tuple[int, float]]) -> list[tuple[int, float | str]]:
    """The points with NaN as a text, which equals itself."""
    return [(step, "nan" if math.isnan(value) else value) for step, value in points]


def _config_row(change: Change, a: RunRecords, b: RunRecords) -> dict[str, Any]:
    row = _row(change)
    for side, records in (("a", a), ("b", b)):
        entry = present(records.config).get(change.subject)
        if entry is not None:
            # The whole value; the change has a short rendering of it.
            row[side] = "(secret)" if entry.get("secret") else entry.get("value")
    return row


def _row(change: Change) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject": change.subject,
        "kind": change.kind,
        "a": change.a,
        "b": change.b,
    }
    if change.factor in ("config", "code"):
        row |= {"origin_a": change.origin_a, "origin_b": change.origin_b}
    if change.factor == "code":
        row["diff"] = change.diff
    return row


def _only_in_one(a: Run, b: Run, changes: Changes) -> Iterable[dict[str, Any]]:
    """Code that only one run reaches, under any name."""
    known = {*changes.moved, *changes.moved.values()}
    for kind, run, other in (("removed", a, b), ("added", b, a)):
        for key in sorted(run.graph.units.keys() - other.graph.units.keys() - known):
            unit = run.graph.units[key][0]
            place = f"{unit.file}:{unit.line}"
            yield {
                "subject": unit.subject,
                "kind": kind,
                "a": None,
                "b": None,
                "origin_a": place if run is a else None,
                "origin_b": place if run is b else None,
                "diff": None,
            }


def _artifacts(engine: Engine, id_a: int, id_b: int) -> Iterable[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for run_id in (id_a, id_b):
        run = queries.find_run(engine, run_id)
        assert run is not None
        found.append({artifact.path: _content(artifact) for artifact in run.artifacts})
    return _mappings(*found)


def _content(artifact: Any) -> str:
    if artifact.digest is None:
        return "reference"
    return f"{artifact.size:,} bytes, {artifact.digest[:12]}"


def print_differences(found: dict[str, Any], *, everything: bool) -> None:
    """Print what `differences` found, section by section."""
    out = console()
    a, b = found["run_a"]["id"], found["run_b"]["id"]
    if not any(found[section] for section in _SECTIONS):
        out.print(f"nothing that was recorded differs between run {a} and run {b}")
        return
    for place, section in enumerate(name for name in _SECTIONS if found[name]):
        if place:
            out.print()
        rows = found[section]
        out.print(Text(f"{section}  ", style="bold") + Text(f"{len(rows)}", style="dim"))
        shown = rows if everything else rows[:_MOST]
        if section == "code":
            _print_code(out, shown, everything)
        else:
            out.print(_table(section, shown, a, b))
        if len(rows) > len(shown):
            out.print(f"  {len(rows) - len(shown)} more (--all shows them)", style="dim")


def _table(section: str, rows: list[dict[str, Any]], a: int, b: int) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=True)
    table.add_column("", style="bold", overflow="fold")
    table.add_column(f"run {a}", style="red", overflow="fold")
    table.add_column(f"run {b}", style="green", overflow="fold")
    for row in rows:
        cells = []
        for side in ("a", "b"):
            cell = Text(_cell(section, row[side]))
            if section == "metrics" and row["points_a"] != row["points_b"]:
                cell.append(f"  ({row[f'points_{side}']} points)", style="dim")
            if row.get(f"origin_{side}"):
                cell.append(f"\n{one_line(row[f'origin_{side}'])}", style="dim")
            cells.append(cell)
        table.add_row(one_line(row["subject"]), *cells)
    return table


def _cell(section: str, value: Any) -> str:
    if value is None:
        return "(absent)"
    if section == "metrics":
        return number(value)
    if section == "config" and value != "(secret)":
        return one_line(repr(value))
    return one_line(value)


def _print_code(out: Any, rows: list[dict[str, Any]], everything: bool) -> None:
    for row in rows:
        title = Text("  ").append(one_line(row["subject"]), style="bold")
        title.append(f"  {row['kind']}", style="yellow")
        title.append(f"  {one_line(row['origin_b'] or row['origin_a'] or '')}", style="dim")
        out.print(title)
        lines = (row["diff"] or "").splitlines()
        for line in lines if everything or len(lines) <= _MOST else lines[:_MOST]:
            out.print(
                Text("    " + one_line(line), style="red" if line.startswith("-") else "green")
            )
