"""The graph of reached code, and its Merkle digests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ato.code.digests import deep_digest, logic_digest
from ato.code.model import UnitKind
from ato.code.modules import Module

__all__ = ["Decoration", "Key", "Node", "State", "deep_digests", "reachable"]

Key = tuple[str, str]  # (module, qualified name)


StateKind = Literal["global", "closure", "default"]


@dataclass
class State:
    """A mutable value that a node reads: the name of cell, global or parameter, and how to get it."""

    name: str
    kind: StateKind
    get: Callable[[], object]


class Decoration(NamedTuple):
    """A decorator over a unit: its encoding's digest, the name it calls, and the unit that is."""

    logic: str
    callee: str
    unit: Key | None


@dataclass(eq=False)
class Node:
    """One unit while the graph grows.

    `parts` holds the digest of each place that defines it: a property has a getter and a setter.
    `contents` digests what live functions hold: closure values, partial arguments. `edges` go from a
    label to another node; the flag says whether a call follows it, or only the definition did.
    `told_by` stands for all of it where what the unit holds says everything.
    """

    key: Key
    kind: UnitKind
    file: str = ""
    line: int = 0
    home: Module | None = None
    parts: dict[tuple[str, int, int], str] = field(default_factory=dict)
    text: dict[tuple[str, int, int], str] = field(default_factory=dict)
    normalised: dict[tuple[str, int, int], str] = field(default_factory=dict)
    contents: set[str] = field(default_factory=set)
    decorators: dict[tuple[str, int, int, int], Decoration] = field(default_factory=dict)
    edges: dict[tuple[str, Key], bool] = field(default_factory=dict)
    distributions: set[str] = field(default_factory=set)
    gaps: set[str] = field(default_factory=set)
    states: list[State] = field(default_factory=list)
    told_by: str | None = None
    value: str | None = None
    traced: str | None = None
    bytecode: str | None = None

    def link(self, label: str, target: Node, at_call: bool = True) -> None:
        """Refer to another node under a label."""
        edge = (label, target.key)
        self.edges[edge] = self.edges.get(edge, False) or at_call

    def targets(self) -> list[Key]:
        """The nodes that this one refers to, in a fixed order and each once."""
        return list(dict.fromkeys(key for _, key in sorted(self.edges)))

    def logic(self) -> str:
        """What this unit contributes by itself."""
        if self.told_by is not None:
            return self.told_by
        places = sorted(self.parts)
        # Which decorators stand over it, and in which order, is the function's own.
        decorators = tuple(
            decorator.logic if self._counts(decorator.unit) else ("seen", decorator.callee)
            for _, decorator in sorted(self.decorators.items())
        )
        if len(places) == 1 and not decorators and not self.contents:
            return self.parts[places[0]]
        own = tuple(self.parts[place] for place in places)
        return logic_digest(("unit", own, decorators, tuple(sorted(self.contents))))

    def _counts(self, unit: Key | None) -> bool:
        """A decorator whose wrapper was met is seen there, with its arguments in the closure."""
        if unit is None:
            return True
        module, name = unit
        wrappers = [key for label, key in self.edges if label == "wrapper"]
        return not any(
            key[0] == module and (key[1] == name or key[1].startswith(f"{name}."))
            for key in wrappers
        )


def reachable(nodes: dict[Key, Node], root: Key, at_call: bool = False) -> list[Key]:
    """The nodes reached from `root`, breadth first; with `at_call` only by what a call follows."""
    found = {root: None}
    queue = [root]
    for key in queue:
        node = nodes[key]
        for (_, target), called in sorted(node.edges.items()):
            if target not in found and (called or not at_call):
                found[target] = None
                queue.append(target)
    return list(found)


def deep_digests(nodes: dict[Key, Node], logic: dict[Key, str]) -> dict[Key, str]:
    """Merkle digests over the graph; functions that call each other are digested together."""
    deep: dict[Key, str] = {}
    for component in _components({key: node.targets() for key, node in nodes.items()}):
        members = set(component)
        described = []
        for key in sorted(component):
            edges: list[tuple[str, tuple[str, ...]]] = [
                (label, ("inside", *target) if target in members else ("unit", deep[target]))
                for label, target in sorted(nodes[key].edges)
            ]
            # Among themselves, the members are told apart by name; a function alone needs none.
            name = key if len(component) > 1 else ()
            if len(component) == 1:
                edges = [(label, ("itself",) if t[0] == "inside" else t) for label, t in edges]
            distributions = tuple(sorted(nodes[key].distributions))
            described.append((name, logic[key], tuple(sorted(edges)), distributions))
        whole = deep_digest(tuple(described))
        for key in component:
            deep[key] = whole if len(component) == 1 else deep_digest((whole, key))
    return deep


def _components(graph: dict[Key, list[Key]]) -> Iterable[list[Key]]:
    """Strongly connected components, callees first (Tarjan's algorithm, without recursion)."""
    index: dict[Key, int] = {}
    low: dict[Key, int] = {}
    stack: list[Key] = []
    on_stack: set[Key] = set()
    for start, first in graph.items():
        if start in index:
            continue
        work = [(start, iter(first))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            key, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(graph[target])))
                    break
                if target in on_stack:
                    low[key] = min(low[key], index[target])
            else:
                work.pop()
                if work:
                    caller = work[-1][0]
                    low[caller] = min(low[caller], low[key])
                if low[key] == index[key]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == key:
                            break
                    yield component
