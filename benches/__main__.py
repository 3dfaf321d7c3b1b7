"""`python -m benches [GROUP …]`: every speed claim as a ratio, measured side by side.

Each group runs in a process of its own, some bound to one processor, which makes libraries use one
thread. Groups: `one` and `several` (arrays on one thread and on all), `values`, `calls`, `code`,
`rivals` (the package ato 2.2.1), all of these as `fingerprints`; `config` (beside other config
libraries), `why` (how often the planted cause is the first), `search`, `tracking` (beside other trackers).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
GROUPS = {
    "one": "arrays",
    "several": "arrays",
    "values": "values",
    "calls": "calls",
    "code": "code",
    "config": "configs",
    "rivals": "rivals",
    "search": "search",
    "tracking": "tracking",
    "why": "why answers",
}
TOGETHER = {"fingerprints": ("one", "several", "values", "calls", "code", "rivals")}
ONE_PROCESSOR = frozenset(
    {"one", "values", "calls", "code", "config", "rivals", "search", "tracking"}
)


def main(arguments: list[str]) -> int:
    """Measure the groups that are named, or all; the exit status is 0 unless one of them fails."""
    if arguments[:1] == ["--group"]:
        return _measure(arguments[1])
    named = [group for name in arguments for group in TOGETHER.get(name, (name,))]
    chosen = named or list(GROUPS)
    unknown = [name for name in chosen if name not in GROUPS]
    if unknown:
        known = ", ".join([*GROUPS, *TOGETHER])
        print(f"no group {unknown[0]!r}; there are {known}", file=sys.stderr)
        return 2
    begin = time.perf_counter()
    rows = {name: _run(name) for name in chosen}
    _show(rows, time.perf_counter() - begin)
    return 1 if any(found is None for found in rows.values()) else 0


def _measure(group: str) -> int:
    """In a process of its own: print the rows of one group, a line of JSON each."""
    if group in ONE_PROCESSOR and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for module in GROUPS[group].split():
        for row in import_module(f"benches.{module}").rows():
            print(json.dumps({**asdict(row), "reached": row.reached}), flush=True)
    return 0


def _run(group: str) -> list[dict[str, object]] | None:
    done = subprocess.run(
        [sys.executable, "-m", "benches", "--group", group],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        print(f"group {group} failed", file=sys.stderr)
        return None
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _show(rows: dict[str, list[dict[str, object]] | None], seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from ato._core import simd_level

    machine = {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "simd": simd_level(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    table = Table(title=f"{machine['processor']}, {machine['processors']} processors")
    for column in ("work", "measured", "against", "target", "", "details"):
        table.add_column(column, justify="right" if column in ("measured", "target") else "left")
    for found in rows.values():
        for row in found or []:
            table.add_row(*_cells(row))
        table.add_section()
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1, ensure_ascii=False))
    print(f"{seconds:.0f} s; written to {path}")


def _cells(row: dict[str, object]) -> list[str]:
    value, limit = row["value"], row["limit"]
    measured = "" if value is None else f"{value:,.2f} {row['unit']}"
    sign = "≥" if row["at_least"] else "≤"
    target = "" if limit is None else f"{sign} {limit:g} {row['unit']}"
    mark = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row["reached"]]  # type: ignore[index]
    return [str(row["work"]), measured, str(row["against"]), target, mark, str(row["note"])]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
