"""Reading a run for the explanation: the store's rows as one plain object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ato.db_routers.sql.calls import Call, Calls, Form
from ato.db_routers.sql.reading import Code, RunRecords, present
from ato.explain.explanation import RunLabel
from ato.explain.graph import CodeGraph, Key, Root

__all__ = ["InputFile", "MetricPoint", "Run", "to_run"]


@dataclass(frozen=True)
class MetricPoint:
    """One logged value and where it stood: inside which call, before which call."""

    key: str
    value: float
    step: int | None
    ident: int
    position: int
    order: int


@dataclass(frozen=True)
class InputFile:
    """A file that a run read: its BLAKE3, and the call that read it, before which call.

    One without a digest (the run was killed, or the file changed before the run ended) is known by
    size and mtime. A folder of so many files that they were not told apart has no mtime.
    """

    path: str
    digest: str | None
    size: int | None
    mtime: int | None
    ident: int
    position: int

    def is_same(self, other: InputFile) -> bool | None:
        """Whether the content is the same; `None` if that is not known."""
        if self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        if self.size != other.size:
            return False
        return True if self.mtime == other.mtime else None


@dataclass
class Run:
    """All that the explanation needs of one run.

    `deleted` are the entries of keys that had a value before the run opened and have none.
    """

    label: RunLabel
    config: dict[str, dict[str, Any]]
    deleted: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    graph: CodeGraph
    ranks: dict[int, Calls]
    metrics: list[MetricPoint]
    inputs: list[InputFile]
    start: dict[str, str]
    command: list[str]
    schemes: frozenset[str]

    @cached_property
    def ran(self) -> dict[Key, int]:
        """The functions that are known to have run, with the number of calls completed by then."""
        found: dict[Key, int] = {}
        for unit in self._own_record.executed if self._own_record else ():
            found.setdefault((unit.module, unit.name), unit.sequence)
        return found

    @cached_property
    def ran_completely(self) -> bool:
        """Whether what is not in `ran` did not run, in this process and while the run was open.

        Before Python 3.12 only the first calls of each traced function are looked into.
        """
        python = self.environment.get("interpreter") or {}
        version = re.match(r"(\d+)\.(\d+)", str(python.get("version")))
        monitored = version is not None and (int(version[1]), int(version[2])) >= (3, 12)
        return monitored and self.ran_watched

    @cached_property
    def ran_watched(self) -> bool:
        """Whether functions that ran were noted without a gap, at least in the first calls."""
        record = self._own_record
        return (
            record is not None
            and bool(record.executed)
            and not any(gap.startswith("executed functions") for gap in record.gaps)
        )

    @cached_property
    def _own_record(self) -> Call | None:
        return next((call for call in reversed(self.calls) if call.kind == "run"), None)

    @property
    def calls(self) -> Calls:
        """The calls of rank 0."""
        return self.ranks[0]

    @property
    def forms(self) -> list[Form]:
        """What the calls of all ranks have in common, each once."""
        return [form for calls in self.ranks.values() for form in calls.used()]

    @property
    def traced(self) -> set[str]:
        """The trace ids whose calls this run records."""
        return {root.trace_id for root in self.graph.roots if root.role == "runtime"}

    @property
    def scopes(self) -> set[str]:
        """The `@scope` functions that this run knows."""
        return {root.trace_id for root in self.graph.roots if root.role == "scope"}


def to_run(records: RunRecords) -> Run:
    """Arrange what the store gives for one run."""
    graph = CodeGraph([_root(code) for code in records.codes if code.units])
    return Run(
        label=RunLabel(records.id, records.name, records.project, records.status, records.error),
        config=present(records.config),
        deleted={k: e for k, e in records.config.items() if k not in present(records.config)},
        environment=records.environment,
        graph=graph,
        ranks=records.ranks,
        metrics=list(_points(records)),
        inputs=[
            InputFile(
                file.path, file.digest, file.size, file.mtime, file.ident or 0, file.position or 0
            )
            for file in records.inputs
        ],
        start=records.random_start,
        command=records.command,
        schemes=frozenset(code.scheme for code in records.codes),
    )


def _points(records: RunRecords) -> Iterator[MetricPoint]:
    """The points of rank 0. A run that was resumed goes on from where it was taken up again: what it
    logged beyond that before counts no more, and the calls in which it logged are not compared."""
    resumed: dict[str, dict[int, int]] = {}
    points = [point for point in records.metrics if point.rank == 0]
    for point in points:
        first = resumed.setdefault(point.key, {})
        first[point.attempt] = min(point.step, first.get(point.attempt, point.step))
    for order, p in enumerate(points):
        later = [step for attempt, step in resumed[p.key].items() if attempt > p.attempt]
        if p.attempt == records.attempt:
            yield MetricPoint(p.key, p.value, p.step, p.ident or 0, p.position or 0, order)
        elif all(p.step < step for step in later):
            yield MetricPoint(p.key, p.value, p.step, 0, -1, order)


def _root(code: Code) -> Root:
    keys = [(unit.module, unit.name) for unit in code.units]
    edges: dict[Key, set[Key]] = {}
    for source, target in code.edges:
        edges.setdefault(keys[source], set()).add(keys[target])
    return Root(
        code.trace_id,
        code.role,
        code.deep,
        keys[0],
        dict(zip(keys, code.units, strict=True)),
        edges,
        tuple(code.gaps),
        frozenset(code.distributions),
    )
