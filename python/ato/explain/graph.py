"""The code of one run as a graph: what each recorded function reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from ato.db_routers.sql.reading import Unit
from ato.events import CallRecord

__all__ = ["CodeGraph", "Key", "Root"]

Key = tuple[str, str]


@dataclass
class Root:
    """A function that a run registered: where its closure starts, and what it could not follow."""

    trace_id: str
    role: str
    deep: str
    key: Key
    gaps: tuple[str, ...] = ()
    distributions: frozenset[str] = frozenset()


@dataclass
class CodeGraph:
    """Every unit of code that a run knows, by module and name, and who refers to whom."""

    units: dict[Key, Unit] = field(default_factory=dict)
    edges: dict[Key, set[Key]] = field(default_factory=dict)
    roots: list[Root] = field(default_factory=list)

    def add(self, root: Root, units: Iterable[Unit], edges: Iterable[tuple[int, int]]) -> None:
        """Merge the closure of one registered function into the graph."""
        keys: list[Key] = []
        for unit in units:
            key = (unit.module, unit.name)
            keys.append(key)
            self.units.setdefault(key, unit)
            self.edges.setdefault(key, set())
        for source, target in edges:
            self.edges[keys[source]].add(keys[target])
        self.roots.append(root)

    def roots_of(self, record: CallRecord) -> list[Root]:
        """Find the code behind a call record: its function's, and that of what was passed in."""
        if record.kind == "run":
            main = [root for root in self.roots if root.role == "main"]
            return main or [root for root in self.roots if root.role in ("scope", "trace")]
        role = "scope" if record.kind == "scope" else "runtime"
        own = [
            root for root in self.roots if root.role == role and root.trace_id == record.trace_id
        ]
        exact = [root for root in own if root.deep == record.code]
        passed = [
            root for root in self.roots if root.role == "passed" and root.deep in record.passed
        ]
        return (exact or own) + passed

    def reach(
        self, roots: Iterable[Root], through: Collection[str] | None
    ) -> dict[Key, Key | None]:
        """Walk from `roots`; returns each unit reached with the unit it was first reached from.

        Units of traced functions are entered only if their trace id is in `through`: what they do
        is judged by their own calls. `through=None` enters all of them.
        """
        found: dict[Key, Key | None] = {root.key: None for root in roots if root.key in self.units}
        queue = deque(found)
        while queue:
            source = queue.popleft()
            for target in sorted(self.edges[source]):
                if target in found:
                    continue
                traced = self.units[target].traced
                if traced is not None and through is not None and traced not in through:
                    continue
                found[target] = source
                queue.append(target)
        return found

    def path(self, reached: dict[Key, Key | None], key: Key) -> list[str]:
        """Name the units on the way from a root to `key`, the root first."""
        names: list[str] = []
        step: Key | None = key
        while step is not None:
            names.append(step[1])
            step = reached[step]
        return names[::-1]
