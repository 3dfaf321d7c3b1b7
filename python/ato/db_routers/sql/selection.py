"""Choosing and ordering runs by what their configs and metrics hold."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from ato.db_routers.sql import details
from ato.db_routers.sql.reading import nearest, present
from ato.db_routers.sql.schema import Experiment, MetricKey, MetricSummary
from ato.exceptions import StoreError, UnknownKeyError, UnknownMetricError

__all__ = ["Subjects", "selected"]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
    "contains": lambda value, wanted: wanted in value,
}
_COLUMNS = (
    "id",
    "name",
    "status",
    "start_time",
    "end_time",
    "duration",
    "git_commit",
    "git_dirty",
    "host",
    "user",
    "notes",
)
_MISSING = object()
_POINTS = {"last": "last", "min": "minimum", "max": "maximum"}


def selected(
    connection: Connection,
    runs: Sequence[Experiment],
    where: Mapping[str, Any] | None,
    order_by: str | Sequence[str] | None,
) -> list[Experiment]:
    """The runs for which all conditions hold, in the order asked for; see `SQLFinder`.

    Raises:
        UnknownKeyError: none of the runs has such a key; the message names the nearest.
        UnknownMetricError: none has such a metric.
        StoreError: a condition is not one.
    """
    chosen = list(runs)
    if not chosen:
        return chosen
    subjects = Subjects(connection, runs)
    for name, wanted in (where or {}).items():
        values = subjects.values(name)
        holds = _condition(name, wanted)
        chosen = [run for run in chosen if holds(values[run.id])]
    names = [order_by] if isinstance(order_by, str) else list(order_by or [])
    for name in reversed(names):
        values = subjects.values(name.removeprefix("-"))
        chosen = _ordered(chosen, values, backwards=name.startswith("-"))
    return chosen


class Subjects:
    """What conditions and orders may be about: columns, config keys and metrics of some runs."""

    def __init__(self, connection: Connection, runs: Sequence[Experiment]) -> None:
        self._connection = connection
        self._runs = runs
        self._configs: dict[int, dict[str, Any]] | None = None
        self._metrics: dict[str, dict[int, dict[str, float]]] | None = None

    def values(self, name: str) -> dict[int, Any]:
        """Run id → the value of a column, a metric or a config key; `_MISSING` where it has none."""
        if name.startswith("metrics."):
            return self._of_metric(name.removeprefix("metrics."))
        if name in _COLUMNS:
            return {run.id: _column(run, name) for run in self._runs}
        return self._of_config(name.removeprefix("config."))

    def configs(self) -> dict[int, dict[str, Any]]:
        """Run id → its config, flat."""
        if self._configs is None:
            # Many runs share a config, and parsing it is what takes the time.
            parsed: dict[int, dict[str, Any]] = {}
            for run in self._runs:
                if run.config_id not in parsed:
                    entries = present(details.content(run))
                    parsed[run.config_id] = {key: e.get("value") for key, e in entries.items()}
            self._configs = {run.id: parsed[run.config_id] for run in self._runs}
        return self._configs

    def metrics(self) -> dict[str, dict[int, dict[str, float]]]:
        """Name of a metric → run id → its `last`, `min` and `max`."""
        if self._metrics is None:
            found: dict[str, dict[int, dict[str, float]]] = {}
            project = {run.project_id for run in self._runs}
            ids = {run.id for run in self._runs}
            query = (
                select(
                    MetricKey.key,
                    MetricSummary.run_id,
                    *(getattr(MetricSummary, column) for column in _POINTS.values()),
                )
                .join(MetricKey, MetricKey.id == MetricSummary.key_id)
                .join(Experiment, Experiment.id == MetricSummary.run_id)
                .where(Experiment.project_id.in_(project))
            )
            for key, run_id, *numbers in self._connection.execute(query):
                if run_id in ids:
                    plain: list[Any] = [
                        None if number is None else number + 0.0 for number in numbers
                    ]
                    found.setdefault(key, {})[run_id] = dict(zip(_POINTS, plain, strict=True))
            self._metrics = found
        return self._metrics

    def _of_metric(self, name: str) -> dict[int, Any]:
        metrics = self.metrics()
        key, point = name, "last"
        if key not in metrics:
            stem, _, ending = name.rpartition(".")
            if stem in metrics and ending in _POINTS:
                key, point = stem, ending
            else:
                known = nearest(name, list(metrics))
                raise UnknownMetricError(f"none of the runs has a metric {name!r}; {known}")
        of_run = metrics[key]
        return {
            run.id: of_run[run.id][point] if run.id in of_run else _MISSING for run in self._runs
        }

    def _of_config(self, key: str) -> dict[int, Any]:
        configs = self.configs()
        if not any(key in config for config in configs.values()):
            keys = list(dict.fromkeys(key for config in configs.values() for key in config))
            known = nearest(key, [*keys, *_COLUMNS])
            raise UnknownKeyError(
                f"none of the runs has a config key {key!r}; {known}; a metric is metrics.NAME"
            )
        return {run_id: config.get(key, _MISSING) for run_id, config in configs.items()}


def _column(run: Experiment, name: str) -> Any:
    if name == "duration":
        if run.end_time is None:
            return _MISSING
        return (run.end_time - run.start_time).total_seconds()
    return getattr(run, name)


def _condition(name: str, wanted: Any) -> Callable[[Any], bool]:
    """Whether a value is equal to what is wanted, or stands in the relation `(operator, value)`."""
    compare = operator.eq
    if isinstance(wanted, tuple) and wanted and isinstance(wanted[0], str):
        sign, *rest = wanted
        if sign not in _OPERATORS or len(rest) != 1:
            raise StoreError(
                f"where[{name!r}] is {wanted!r}; a condition is a value, or (operator, value) with "
                f"one of {', '.join(_OPERATORS)}"
            )
        compare, wanted = _OPERATORS[sign], rest[0]
    if isinstance(wanted, tuple):
        wanted = list(wanted)  # as it is stored

    def holds(value: Any) -> bool:
        if value is _MISSING:
            return False
        try:
            return bool(compare(value, wanted))
        except TypeError:  # a text is neither more nor less than a number
            return False

    return holds


def _ordered(
    runs: Sequence[Experiment], values: Mapping[int, Any], *, backwards: bool
) -> list[Experiment]:
    """Runs by value: numbers, then texts, then what has no order; in a tie as they were."""
    kinds: tuple[list[Experiment], ...] = ([], [], [])
    keys: dict[int, Any] = {}
    for run in runs:
        value = values[run.id]
        if isinstance(value, datetime):
            value = value.timestamp()
        number = isinstance(value, (bool, int, float)) and not math.isnan(value)
        keys[run.id] = value
        kinds[0 if number else 1 if isinstance(value, str) else 2].append(run)
    for kind in kinds[:2]:
        kind.sort(key=lambda run: keys[run.id], reverse=backwards)
    return [run for kind in kinds for run in kind]


def names_of(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of several mappings, each once, in the order in which they come."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
