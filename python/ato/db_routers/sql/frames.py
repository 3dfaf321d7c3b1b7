"""Runs as a table of pandas or polars, whichever the user has."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from ato.db_routers.sql.schema import Experiment
from ato.db_routers.sql.selection import Subjects, names_of
from ato.exceptions import StoreError

__all__ = ["columns_of", "frame", "library_for"]

_LIBRARIES = ("pandas", "polars")
_PLAIN = ("id", "name", "status", "start_time", "end_time", "git_commit")


def library_for(asked: str | None) -> Any:
    """The module to make tables with: the one asked for, imported already, or installed.

    Raises:
        StoreError: there is none of them, or no such library.
    """
    if asked is not None and asked not in _LIBRARIES:
        raise StoreError(f"library is 'pandas' or 'polars', not {asked!r}")
    wanted = [asked] if asked else sorted(_LIBRARIES, key=lambda name: name not in sys.modules)
    for name in wanted:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise StoreError(
        f"a table needs {' or '.join(wanted)}, which is not installed: pip install {wanted[0]}"
    )


def columns_of(engine: Engine, runs: Sequence[Experiment]) -> dict[str, list[Any]]:
    """One list per column, with one item per run: its row, `config.…` and `metrics.…` (last values)."""
    columns: dict[str, list[Any]] = {name: [getattr(run, name) for run in runs] for name in _PLAIN}
    columns["tags"] = [list(run.tags or []) for run in runs]
    with engine.connect() as connection:
        subjects = Subjects(connection, runs)
        configs = [subjects.configs()[run.id] for run in runs]
        metrics = subjects.metrics()
    for key in names_of(configs):
        columns[f"config.{key}"] = [config.get(key) for config in configs]
    for key, of_run in sorted(metrics.items()):
        columns[f"metrics.{key}"] = [
            of_run[run.id]["last"] if run.id in of_run else None for run in runs
        ]
    return columns


def frame(columns: dict[str, list[Any]], library: Any) -> Any:
    """The table; a column of polars with values of several kinds holds texts."""
    if library.__name__ == "pandas":
        return library.DataFrame(columns)
    return library.DataFrame([_series(library, name, items) for name, items in columns.items()])


def _series(polars: Any, name: str, items: list[Any]) -> Any:
    try:
        return polars.Series(name, items)
    except (TypeError, ValueError, polars.exceptions.PolarsError):
        return polars.Series(name, [None if item is None else str(item) for item in items])
