"""The code of one run as a graph: what each recorded function reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from ato.db_routers.sql.calls import Call, Form
from ato.db_routers.sql.reading import Unit

__all__ = ["CodeGraph", "Key", "Root", "changed", "has_literal"]

Key = tuple[str, str]


def changed(a: Iterable[Unit], b: Iterable[Unit]) -> bool:
    """Whether the code under one name is another in the second run.

    A wrapper that serves one function more or fewer is the same: whoever uses it has changed.
    """
    a, b = list(a), list(b)
    if {unit.logic for unit in a} == {unit.logic for unit in b}:
        return False
    left, right = _contents(a), _contents(b)
    return not (left <= right or right <= left)


def _contents(units: Iterable[Unit]) -> set[tuple[str, ...]]:
    """The logic of each unit; of one that serves several functions, what it holds for each."""
    found: set[tuple[str, ...]] = set()
    for unit in units:
        found.update((unit.normalised, held) for held in unit.held or ())
        if not unit.held:
            found.add((unit.logic,))
    return found


@dataclass
class Root:
    """A function that a run registered, and all that it reaches.

    A wrapper or a closure that serves several functions is another unit under the same key in the
    closure of each, so every root keeps its own.
    """

    trace_id: str
    role: str
    deep: str
    key: Key
    units: dict[Key, Unit] = field(default_factory=dict)
    edges: dict[Key, set[Key]] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    distributions: frozenset[str] = frozenset()


def has_literal(root: Root, text: str) -> bool:
    """Whether code that a root reaches has a text as a literal."""
    quoted = (f'"{text}"', f"'{text}'")
    # The text of a script's body holds its functions as well.
    texts = (u.normalised if u.kind == "module" else u.text for u in root.units.values())
    return any(form in each for each in texts for form in quoted)


@dataclass
class CodeGraph:
    """Every function that a run registered, with what each reaches."""

    roots: list[Root] = field(default_factory=list)

    @cached_property
    def units(self) -> dict[Key, list[Unit]]:
        """The units of code by module and name, those that differ under one name side by side."""
        found: dict[Key, dict[str, Unit]] = {}
        for root in self.roots:
            for key, unit in root.units.items():
                found.setdefault(key, {}).setdefault(unit.logic, unit)
        return {key: list(by_logic.values()) for key, by_logic in found.items()}

    def roots_of(self, record: Call | Form) -> list[Root]:
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
        found: dict[Key, Key | None] = {}
        for root in roots:
            found.setdefault(root.key, None)
            queue, seen = deque([root.key]), {root.key}
            while queue:
                source = queue.popleft()
                for target in sorted(root.edges.get(source, ())):
                    traced = root.units[target].traced
                    if target in seen or (
                        traced is not None and through is not None and traced not in through
                    ):
                        continue
                    seen.add(target)
                    found.setdefault(target, source)
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
