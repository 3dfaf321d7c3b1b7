"""Two runs held against each other: what changed, how their calls pair up, where they part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ato.db_routers.sql.calls import Call, Form
from ato.environment import reached
from ato.explain import entropy
from ato.explain.align import Alignment, Pair, align
from ato.explain.changes import Changes, find_changes
from ato.explain.defaults import tell_edited_defaults
from ato.explain.divergence import Split, first_split
from ato.explain.graph import Key, Root
from ato.explain.load import InputFile, Run
from ato.trace.executed import FIRST_CALLS

__all__ = ["Comparison", "Side"]

_END = float("inf")
_ATTRIBUTE = re.compile(r"\.(\w+)")


@dataclass(frozen=True)
class Side:
    """One run's part of what is judged: its records, and up to which position they count."""

    run: Run
    records: list[Call]
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
        forms = dict.fromkeys(record.form for record in self.records)
        found = [root for form in forms for root in graph.roots_of(form)]
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
        known = self._known()
        self.alignments: list[tuple[Alignment, Split | None]] = []
        for rank in sorted(a.ranks.keys() & b.ranks.keys()):
            calls_a, calls_b = (run.ranks[rank] for run in (a, b))
            if self.clocked:
                calls_a, calls_b = (c.without(self._from_clock) for c in (calls_a, calls_b))
            alignment = align(calls_a, calls_b, known)
            self.alignments.append((alignment, first_split(alignment, a, b, rank)))
        # Ranks do the same in step: the one that parts first speaks for them.
        alignment, self.split = min(
            self.alignments, key=lambda each: _END if each[1] is None else each[1].order
        )
        self.top: Pair = alignment.top
        self._texts: dict[Pair, str] = {}

    @cached_property
    def traced(self) -> bool:
        """Whether any call was recorded at run time that both runs could have recorded."""
        return any(form.kind in ("call", "value") for _run, form, _before in self.acting)

    @cached_property
    def acting(self) -> list[tuple[Run, Form, bool]]:
        """What the calls that take part have in common, and whether all of them were traced, are in
        both runs and were over when the runs parted, so that their outputs were equal."""
        found = []
        for alignment, split in self.alignments:
            order = _END if split is None else split.order
            for run, calls, latest in zip(
                (self.a, self.b), (alignment.a, alignment.b), alignment.latest(), strict=True
            ):
                found += [(run, calls.forms[n], last < order) for n, last in latest.items()]
        return found

    def were_over(self, idents_a: set[int], idents_b: set[int]) -> list[bool]:
        """The same of single calls of rank 0, by their idents in either run."""
        alignment, split = self.alignments[0]
        order = _END if split is None else split.order
        pairs = {alignment.at(ident): None for ident in sorted(idents_a)}
        pairs.update({alignment.at(ident, second=True): None for ident in sorted(idents_b)})
        return [
            p.any.kind == "call" and p.a is not None and p.b is not None and p.order < order
            for p in pairs
        ]

    def may_have_run(self, side: Side, key: Key) -> bool:
        """Whether a unit of code may have run in these calls: not where all that ran in them is known,
        and it is not among it. What ran before the run opened is not known, so that of `@scope`
        functions and of the run itself nothing is ruled out."""
        run = side.run
        functions = [unit.kind == "function" for unit in run.graph.units.get(key, ())]
        # A class or a value acts without being called; a lambda shares its name with others.
        if (
            not run.ran_watched
            or not self._in_one_thread
            or not all(functions)
            or "<lambda>" in key[1]
        ):
            return True
        for record in side.records:
            if record.kind != "call" or not (run.ran_completely or record.index < FIRST_CALLS):
                return True
            seen = any(root.key in run.ran for root in run.graph.roots_of(record))
            if not seen or run.ran.get(key, _END) <= record.sequence:
                return True
        return False

    def ran_in_no_call(self, key: Key) -> bool:
        """Whether a function that only traced calls reach is known to have run in neither run."""
        for run in (self.a, self.b):
            units = run.graph.units.get(key, ())
            if not run.ran_completely or key in run.ran or "<lambda>" in key[1]:
                return False
            outer = [root for root in run.graph.roots if root.role in ("main", "scope")]
            if any(u.kind != "function" for u in units) or key in run.graph.reach(outer, set()):
                return False
        return self._in_one_thread

    @cached_property
    def _in_one_thread(self) -> bool:
        """Whether no code of either run visibly starts threads or processes, where nobody looks."""
        units = (u for run in (self.a, self.b) for units in run.graph.units.values() for u in units)
        return not any(entropy.leaves_the_thread(unit.text) for unit in units)

    def _known(self) -> set[tuple[str, str]]:
        """The calls that both runs could have recorded; the others are instrumentation."""
        both = {("call", name) for name in self.a.traced & self.b.traced}
        # One that was running when its process died has no record; its code is known all the same.
        both |= {("scope", name) for name in self.a.scopes & self.b.scopes}
        values_a, values_b = (
            {form.trace_id for form in run.forms if form.kind == "value"}
            for run in (self.a, self.b)
        )
        return both | {("value", name) for name in values_a & values_b}

    def _from_clock(self, path: str) -> bool:
        return not self.clocked.isdisjoint(_ATTRIBUTE.findall(path))

    def sides(
        self, pair: Pair, until_a: float = float("inf"), until_b: float = float("inf")
    ) -> tuple[Side, Side]:
        """What a call did by itself in each run, up to a position.

        That is its own record and those of the `@scope` functions in it, which have no output of
        their own; traced calls inside it are judged by themselves.
        """
        records_a: list[Call] = []
        records_b: list[Call] = []
        stack = [pair]
        while stack:
            step = stack.pop()
            if step.a is not None:
                records_a.append(step.a)
            if step.b is not None:
                records_b.append(step.b)
            stack += step.scopes
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
