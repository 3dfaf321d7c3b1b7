"""Two runs held against each other: what changed, how their calls pair up, where they part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from ato.environment import reached
from ato.events import CallRecord
from ato.explain import entropy
from ato.explain.align import Pair, align
from ato.explain.changes import Changes, find_changes
from ato.explain.defaults import tell_edited_defaults
from ato.explain.divergence import Split, first_split
from ato.explain.graph import Key, Root
from ato.explain.load import InputFile, Run

__all__ = ["Comparison", "Side"]

_END = float("inf")
_ATTRIBUTE = re.compile(r"\.(\w+)")


@dataclass(frozen=True)
class Side:
    """One run's part of what is judged: its records, and up to which position they count."""

    run: Run
    records: list[CallRecord]
    until: float

    def reads(self) -> dict[str, list[str]]:
        """The fingerprints under which each config key was read, in order."""
        found: dict[str, list[str]] = {}
        for record in self.records:
            for read in record.reads:
                if read.position <= self.until:
                    found.setdefault(read.key, []).append(read.fingerprint)
        return found

    def files(self) -> list[InputFile]:
        """The files that were read."""
        idents = {record.ident for record in self.records}
        return [f for f in self.run.inputs if f.ident in idents and f.position <= self.until]

    def roots(self) -> list[Root]:
        """The functions that ran, and what was passed into them."""
        graph = self.run.graph
        found = [root for record in self.records for root in graph.roots_of(record)]
        return list({id(root): root for root in found}.values())

    def skipped(self) -> set[str]:
        """The traced functions of which the schedule left out calls here."""
        return {trace_id for record in self.records for trace_id in record.skipped}


class Comparison:
    """What both the search for the cause and the account of the rest start from."""

    def __init__(self, a: Run, b: Run) -> None:
        self.a = a
        self.b = b
        self.changes: Changes = find_changes(a, b)
        tell_edited_defaults(a, b, self.changes)
        # What is set from the clock differs in every run, and says nothing.
        self.clocked: set[str] = entropy.clocked(
            unit.text for run in (a, b) for units in run.graph.units.values() for unit in units
        )
        calls_a, calls_b = ([self._steady(call) for call in run.calls] for run in (a, b))
        self.top: Pair = align(calls_a, calls_b, self._known())
        self._texts: dict[Pair, str] = {}
        self.split: Split | None = first_split(self.top, a, b)

    @cached_property
    def traced(self) -> bool:
        """Whether any call was recorded at run time that both runs could have recorded."""
        return any(pair.any.kind in ("call", "value") for pair in self.top.walk())

    def may_have_run(self, run: Run, key: Key, *until: float) -> bool:
        """Whether a unit of code may have run before the earliest of some positions."""
        if not run.ran_completely or not self._in_one_process:
            return True
        if any(unit.kind != "function" for unit in run.graph.units.get(key, ())):
            return True  # a class or a value acts without being called
        return run.ran.get(key, _END) <= min(until)

    @cached_property
    def _in_one_process(self) -> bool:
        """Whether no code of either run visibly starts other processes, whose calls nobody sees."""
        units = (u for run in (self.a, self.b) for units in run.graph.units.values() for u in units)
        return not any(entropy.leaves_the_process(unit.text) for unit in units)

    def _known(self) -> set[tuple[str, str]]:
        """The calls that both runs could have recorded; the others are instrumentation."""
        both = {("call", name) for name in self.a.traced & self.b.traced}
        # One that was running when its process died has no record; its code is known all the same.
        both |= {("scope", name) for name in self.a.scopes & self.b.scopes}
        values_a, values_b = (
            {call.trace_id for call in run.calls if call.kind == "value"}
            for run in (self.a, self.b)
        )
        return both | {("value", name) for name in values_a & values_b}

    def _steady(self, call: CallRecord) -> CallRecord:
        """The record without the leaves that are set from the clock."""
        if not self.clocked:
            return call
        leaves = (call.inputs, call.mutated, call.output)
        inputs, mutated, output = (
            {path: leaf for path, leaf in part.items() if not self._from_clock(path)}
            for part in leaves
        )
        return replace(call, inputs=inputs, mutated=mutated, output=output)

    def _from_clock(self, path: str) -> bool:
        return not self.clocked.isdisjoint(_ATTRIBUTE.findall(path))

    def sides(
        self, pair: Pair, until_a: float = float("inf"), until_b: float = float("inf")
    ) -> tuple[Side, Side]:
        """What a call did by itself in each run, up to a position.

        That is its own record and those of the `@scope` functions in it, which have no output of
        their own; traced calls inside it are judged by themselves.
        """
        records_a: list[CallRecord] = []
        records_b: list[CallRecord] = []
        stack = [pair]
        while stack:
            step = stack.pop()
            if step.a is not None:
                records_a.append(step.a)
            if step.b is not None:
                records_b.append(step.b)
            stack += [child for child in step.children if child.any.kind == "scope"]
        return Side(self.a, records_a, until_a), Side(self.b, records_b, until_b)

    def distributions(self, run: Run, roots: list[Root]) -> set[str]:
        """The installed distributions that code reaches, with all that they require."""
        names = {name for root in roots for name in root.distributions}
        return reached(run.environment.get("distributions") or {}, names)

    def text(self, pair: Pair) -> str:
        """The source of all that a call and the calls around it reach, in both runs."""
        # Asked for once for each generator and question; the walk is the same.
        if pair not in self._texts:
            self._texts[pair] = "\n".join(self._sources(pair))
        return self._texts[pair]

    def _sources(self, pair: Pair) -> Iterator[str]:
        step: Pair | None = pair
        while step is not None:
            for side in self.sides(step):
                graph = side.run.graph
                for key in graph.reach(side.roots(), None):
                    yield from (unit.text for unit in graph.units[key])
            step = step.parent

    @staticmethod
    def chain(pair: Pair) -> list[str]:
        """Name the functions around a call and the call itself, the outermost first."""
        names: list[str] = []
        step: Pair | None = pair
        while step is not None and step.any.kind != "run":
            if step.any.kind != "value":
                names.append(step.any.trace_id.rsplit(".", 1)[-1])
            step = step.parent
        return names[::-1]
