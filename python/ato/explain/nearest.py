"""The run to compare a run with where none is named: the earlier one that has the fewest differences."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Engine, select

from ato.db_routers.sql.drain import drained
from ato.db_routers.sql.schema import Config, Experiment, Fingerprint, Input
from ato.exceptions import UnknownRunError

__all__ = ["nearest_run"]

# Older runs than so many are not looked at: each may have a config of its own to compare.
_RUNS = 1000
_AT_ONCE = 500  # SQLite allows 999 parameters in old builds

_Factors = dict[tuple[str, ...], str]


def nearest_run(engine: Engine, run_id: int) -> int:
    """Find the earlier run of the project that differs from a run in the fewest factors.

    A factor is a config key, a traced function's code, a data file or the environment. Of several
    that differ in as many, it is the latest.

    Raises:
        UnknownRunError: the project has no earlier run.
    """
    with drained(engine).connect() as connection:
        e = Experiment
        chosen = select(e.project_id).where(e.id == run_id)
        earlier = (
            select(e.id, e.config_id, e.environment_id, e.attempt)
            .where(e.project_id == chosen.scalar_subquery(), e.id <= run_id)
            .order_by(e.id.desc())
            .limit(_RUNS + 1)
        )
        runs = connection.execute(earlier).all()
        if len(runs) < 2:
            raise UnknownRunError(
                f"run {run_id} is the first of its project; name the run to compare it with"
            )
        found = _factors(connection, runs)
    mine = found.pop(run_id)
    # The latest come first, and the first of equals is taken.
    return min(found, key=lambda other: _differences(mine, found[other]))


def _differences(a: _Factors, b: _Factors) -> int:
    return sum(a.get(key) != b.get(key) for key in a.keys() | b.keys())


def _factors(connection: Connection, runs: Any) -> dict[int, _Factors]:
    """Run id → what it ran under, as digests by factor and subject."""
    configs = _configs(connection, sorted({run.config_id for run in runs}))
    found: dict[int, _Factors] = {
        run.id: {("environment",): str(run.environment_id), **configs[run.config_id]}
        for run in runs
    }
    attempts = {run.id: run.attempt for run in runs}
    f, i = Fingerprint, Input
    for some in _parts(sorted(found)):
        code = select(f.run_id, f.attempt, f.trace_id, f.role, f.deep)
        for run_id, attempt, *name, deep in connection.execute(code.where(f.run_id.in_(some))):
            if attempt == attempts[run_id] and name[1] != "passed":
                found[run_id]["code", *name] = str(deep)
        data = select(i.run_id, i.attempt, i.path, i.digest).where(i.run_id.in_(some))
        for run_id, attempt, path, digest in connection.execute(data):
            if attempt == attempts[run_id]:
                found[run_id]["data", path] = str(digest)
    return found


def _configs(connection: Connection, ids: list[int]) -> dict[int, _Factors]:
    found: dict[int, _Factors] = {}
    for some in _parts(ids):
        query = select(Config.id, Config.content).where(Config.id.in_(some))
        for config_id, content in connection.execute(query):
            entries = content or {}
            found[config_id] = {
                ("config", key): entry.get("fingerprint") or json.dumps(entry.get("type"))
                for key, entry in entries.items()
            }
    return found


def _parts(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
