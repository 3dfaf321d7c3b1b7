"""Judging the first divergence: which recorded change is the cause, which is ruled out.

The rules are those of the page `docs/attribution.md`; each function here is one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ato.environment import reached
from ato.events import CallRecord
from ato.explain import entropy
from ato.explain.align import Pair, align
from ato.explain.changes import Changes, find_changes
from ato.explain.divergence import Split, advanced, differing_inputs, first_split
from ato.explain.explanation import (
    Change,
    Divergence,
    Explanation,
    Finding,
    Result,
    Test,
    Verdict,
)
from ato.explain.graph import Key, Root
from ato.explain.load import InputFile, Run

__all__ = ["explain"]

_UNTRACED = "no call was traced at run time: causes are the recorded changes, none can be proven"


def explain(a: Run, b: Run, metric: str | None = None) -> Explanation:
    """Compare two runs and name the cause of their first divergence.

    Raises:
        LookupError: `metric` was logged by neither run, or by one only.
    """
    reason = _incomparable(a, b)
    if reason is not None:
        return Explanation(a.label, b.label, "incomparable", reason=reason)
    return _Judge(a, b).answer(_result(a, b, metric))


def _incomparable(a: Run, b: Run) -> str | None:
    if a.schemes and b.schemes and not a.schemes & b.schemes:
        return (
            f"their code was recorded with different schemes ({', '.join(sorted(a.schemes))}; "
            f"{', '.join(sorted(b.schemes))}), whose fingerprints say nothing about each other. "
            "Record one of the two again with this version of Ato."
        )
    if _names(a) & _names(b):
        return None
    return (
        "they have no traced function and no entry script in common "
        f"({', '.join(sorted(_names(a))) or 'none'}; {', '.join(sorted(_names(b))) or 'none'})"
    )


def _names(run: Run) -> set[str]:
    names = {root.trace_id for root in run.graph.roots if root.role not in ("main", "passed")}
    names |= {f"script {root.key[0]}" for root in run.graph.roots if root.role == "main"}
    if run.command:
        names.add(f"script {Path(run.command[0]).stem}")
    return names


def _result(a: Run, b: Run, metric: str | None) -> Result | None:
    last_a = {point.key: point for point in a.metrics}
    last_b = {point.key: point for point in b.metrics}
    if metric is not None:
        if metric not in last_a or metric not in last_b:
            known = ", ".join(sorted(last_a.keys() & last_b.keys())) or "none"
            raise LookupError(f"no metric {metric!r} in both runs; both have: {known}")
        return Result(metric, last_a[metric].value, last_b[metric].value)
    common = [key for key in last_b if key in last_a]
    if not common:
        return None
    key = max(common, key=lambda key: last_b[key].order)
    return Result(key, last_a[key].value, last_b[key].value)


@dataclass
class _Causes:
    """The changes that may have caused a divergence, nearest first, and how each was reached."""

    found: dict[tuple[str, str], Change] = field(default_factory=dict)
    via: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    symptoms: list[str] = field(default_factory=list)
    weak: bool = False

    def add(self, change: Change, via: Iterable[str]) -> None:
        key = (change.factor, change.subject)
        self.found.setdefault(key, change)
        self.via.setdefault(key, tuple(via))


@dataclass(frozen=True)
class _Side:
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
        idents = {record.ident for record in self.records}
        return [f for f in self.run.inputs if f.ident in idents and f.position <= self.until]

    def roots(self) -> list[Root]:
        graph = self.run.graph
        found = [root for record in self.records for root in graph.roots_of(record)]
        return list({id(root): root for root in found}.values())

    def skipped(self) -> set[str]:
        return {trace_id for record in self.records for trace_id in record.skipped}


class _Judge:
    """The comparison of two runs: what changed, where they part, and what that makes the cause."""

    def __init__(self, a: Run, b: Run) -> None:
        self.a = a
        self.b = b
        self.changes: Changes = find_changes(a, b)
        self.top: Pair = align(a.calls, b.calls, self._known())
        self.split: Split | None = first_split(self.top, a, b)

    def answer(self, result: Result | None) -> Explanation:
        """Put the whole answer together."""
        causes = self._causes()
        findings = self._judged(causes)
        verdict = self._verdict(findings)
        return Explanation(
            self.a.label,
            self.b.label,
            verdict,
            result,
            tuple(findings),
            tuple(self._also_changed({(f.change.factor, f.change.subject) for f in findings})),
            self._same(),
            self._divergence(causes),
            tuple(self._tests(findings)),
            tuple(self._unwatched()),
        )

    @cached_property
    def traced(self) -> bool:
        """Whether any call was recorded at run time in either run."""
        return any(call.kind in ("call", "value") for call in [*self.a.calls, *self.b.calls])

    def _known(self) -> set[tuple[str, str]]:
        """The calls that both runs could have recorded; the others are instrumentation."""
        both = {("call", name) for name in self.a.traced & self.b.traced}
        for kind in ("value", "scope"):
            a = {call.trace_id for call in self.a.calls if call.kind == kind}
            b = {call.trace_id for call in self.b.calls if call.kind == kind}
            both |= {(kind, name) for name in a & b}
        return both

    # The first divergence

    def _causes(self) -> _Causes:
        causes = _Causes()
        split = self.split
        if split is None:
            return causes
        if not self.traced:
            causes.weak = True
            self._untraced(causes)
        elif split.call is None or split.difference.kind == "missing":
            self._stretch(causes, split.stretch, split.until_a, split.until_b, None)
        else:
            self._call(causes, split.call, split)
        return causes

    def _call(self, causes: _Causes, pair: Pair, split: Split) -> None:
        """A call whose outputs differ: incoming state first, otherwise what differs at the call."""
        inputs = [path for path in differing_inputs(pair) if not self._is_code(path)]
        drawn = [name for name, before, _after in advanced(pair) if before]
        causes.symptoms += inputs + [f"state of {name}" for name in drawn]
        if inputs or drawn or pair.any.kind == "value":
            generators = self._started_apart(pair, drawn, inputs, split.stretch)
            untouched = [name for name in generators if self._untouched(pair, name)]
            for name in untouched or generators:
                causes.add(self.changes.random[name], self._chain(pair))
            if generators and not inputs and pair.any.kind != "value":
                # Only the generators came in differently, and they did so from the start.
                self._own(causes, pair)
                return
            self._own(causes, pair)
            self._stretch(causes, split.stretch, split.until_a, split.until_b, pair)
            return
        self._own(causes, pair)
        unknown = [*pair.a.gaps, *pair.b.gaps] if pair.a and pair.b else []
        if not causes.found and unknown:
            causes.weak = True
            self._stretch(causes, split.stretch, split.until_a, split.until_b, pair)

    def _own(self, causes: _Causes, pair: Pair) -> None:
        self._factors(causes, pair, float("inf"), float("inf"), self._chain(pair))

    def _stretch(
        self, causes: _Causes, pair: Pair, until_a: float, until_b: float, call: Pair | None
    ) -> None:
        """What the enclosing function did by itself so far; and what came into it, if that differs
        or, as with an `@scope` function, was not recorded."""
        if call is None:
            self._drawn_in_stretch(causes, pair)
        self._factors(causes, pair, until_a, until_b, self._chain(pair))
        parent = pair.parent
        if parent is None or pair.a is None or pair.b is None:
            return
        if pair.any.kind == "scope" or differing_inputs(pair):
            self._stretch(causes, parent, pair.a.started, pair.b.started, call or pair)

    def _untraced(self, causes: _Causes) -> None:
        """Without runtime traces the whole run is one stretch."""
        self._drawn_in_stretch(causes, self.top)
        self._factors(causes, self.top, float("inf"), float("inf"), [])

    def _factors(
        self, causes: _Causes, pair: Pair, until_a: float, until_b: float, chain: list[str]
    ) -> None:
        """Add what differs among the factors of a call's own part: reads, code, files, environment."""
        side_a = _Side(self.a, self._part(pair, "a"), until_a)
        side_b = _Side(self.b, self._part(pair, "b"), until_b)
        for key in self._differing_reads(side_a, side_b):
            for source in self.changes.source_keys(key):
                causes.add(self.changes.config[source], chain)
        for change, path in self._differing_code(side_a, side_b):
            causes.add(change, _joined(chain, path))
        for path_name in {f.path for side in (side_a, side_b) for f in side.files()}:
            if path_name in self.changes.data:
                causes.add(self.changes.data[path_name], chain)
        for change in self._differing_environment(side_a.roots(), side_b.roots()):
            causes.add(change, chain)

    def _part(self, pair: Pair, side: str) -> list[CallRecord]:
        """A call's own record and those of the `@scope` functions in it, which have no output of
        their own; traced calls inside it have been judged before it."""
        records: list[CallRecord] = []
        stack = [pair]
        while stack:
            step = stack.pop()
            record = step.a if side == "a" else step.b
            if record is not None:
                records.append(record)
            stack += [child for child in step.children if child.any.kind == "scope"]
        return records

    def _differing_reads(self, a: _Side, b: _Side) -> list[str]:
        reads_a, reads_b = a.reads(), b.reads()
        found = [
            key
            for key in [*reads_a, *(key for key in reads_b if key not in reads_a)]
            if key in self.changes.config and reads_a.get(key) != reads_b.get(key)
        ]
        return found[::-1]  # the read nearest to the divergence first

    def _differing_code(self, a: _Side, b: _Side) -> Iterator[tuple[Change, list[str]]]:
        through = a.skipped() | b.skipped()
        for side in (b, a):
            reach = side.run.graph.reach(side.roots(), through)
            for key in reach:
                if key in self.changes.code:
                    yield self.changes.code[key], side.run.graph.path(reach, key)

    def _differing_environment(self, a: list[Root], b: list[Root]) -> Iterator[Change]:
        yield from self.changes.machine.values()
        if not self.changes.distributions:
            return
        names = self._distributions(self.a, a) | self._distributions(self.b, b)
        for name, change in self.changes.distributions.items():
            if name in names:
                yield change

    def _distributions(self, run: Run, roots: list[Root]) -> set[str]:
        names = {name for root in roots for name in root.distributions}
        return reached(run.environment.get("distributions") or {}, names)

    # Randomness

    def _started_apart(
        self, pair: Pair, drawn: list[str], inputs: list[str], stretch: Pair
    ) -> list[str]:
        """The generators that differed when the run began and were not seeded since."""
        found = []
        for name in self.changes.random:
            if name in drawn:
                moved = True
            else:
                moved = bool(inputs) and self._moved_apart(pair, name)
            if moved and (self._untouched(pair, name) or not self._seeded(name, stretch)):
                found.append(name)
        return found

    def _untouched(self, pair: Pair, name: str) -> bool:
        """Whether nobody had drawn from or seeded a generator between the run's start and a call."""
        return all(
            record is not None
            and name in record.random
            and record.random[name].before == run.start.get(name)
            for record, run in ((pair.a, self.a), (pair.b, self.b))
        )

    def _moved_apart(self, pair: Pair, name: str) -> bool:
        draws = [record.random.get(name) for record in (pair.a, pair.b) if record is not None]
        befores = [draw.before for draw in draws if draw is not None]
        if len(befores) < 2 or befores[0] == befores[1]:
            return False
        return befores[0] != self.a.start.get(name) or befores[1] != self.b.start.get(name)

    def _seeded(self, name: str, stretch: Pair) -> bool:
        return any(entropy.seeds(text, name) for text in self._stretch_texts(stretch))

    def _stretch_texts(self, pair: Pair) -> Iterator[str]:
        step: Pair | None = pair
        while step is not None:
            for run, side in ((self.a, "a"), (self.b, "b")):
                roots = _Side(run, self._part(step, side), 0).roots()
                for key in run.graph.reach(roots, None):
                    yield run.graph.units[key].text
            step = step.parent

    def _drawn_in_stretch(self, causes: _Causes, pair: Pair) -> None:
        """Generators that began apart, were drawn from during the run and never seeded."""
        for name, change in self.changes.random.items():
            runs = [call for run in (self.a, self.b) for call in run.calls if call.kind == "run"]
            draws = [call.random.get(name) for call in runs]
            drawn = any(draw is not None and draw.before != draw.after for draw in draws)
            if drawn and not self._seeded(name, pair):
                # Drawn somewhere in the run; whether in this stretch is not known.
                causes.weak = True
                causes.add(change, self._chain(pair))

    # From causes to the answer

    def _is_code(self, path: str) -> bool:
        """Whether an input is a global whose binding statement changed: code, never also input."""
        if not path.startswith("global:"):
            return False
        label = path.removeprefix("global:")
        names = {name for module, name in self.changes.code} | {
            f"{module}.{name}" for module, name in self.changes.code
        }
        return any(label == name or label.startswith((f"{name}.", f"{name}[")) for name in names)

    def _judged(self, causes: _Causes) -> list[Finding]:
        if self.split is None:
            return []
        found = list(causes.found.values())
        evidence = "proven" if len(found) == 1 and not causes.weak else "possible"
        reason = "the only recorded change" if len(found) == 1 and causes.weak else None
        if found:
            return [
                Finding(change, evidence, causes.via[change.factor, change.subject], reason)
                for change in found
            ]
        call = self.split.call
        if call is None or call.a is None or call.b is None:
            return []
        return [self._nondeterminism(call)]

    def _nondeterminism(self, pair: Pair) -> Finding:
        """Nothing that was watched differs, and the outputs do."""
        subject, kind = self._entropy_at(pair)
        step = self.split.stretch if self.split is not None and causes_outside(pair) else None
        while kind == "unknown" and step is not None and step.any.kind != "run":
            outer, outer_kind = self._entropy_at(step)
            if outer_kind != "unknown":
                subject, kind = outer, outer_kind
            step = step.parent
        return Finding(
            Change("nondeterminism", subject, kind), "possible", tuple(self._chain(pair))
        )

    def _entropy_at(self, pair: Pair) -> tuple[str, str]:
        roots = self.b.graph.roots_of(pair.any)
        subject = ".".join(roots[0].key) if roots else pair.any.trace_id
        reach = self.b.graph.reach(roots, set(pair.any.skipped))
        return subject, entropy.source(self.b.graph.units[key].text for key in reach)

    def _verdict(self, findings: list[Finding]) -> Verdict:
        if self.split is None:
            return "identical"
        if not findings:
            return "untracked"
        if findings[0].change.factor == "nondeterminism":
            return "nondeterministic"
        return "explained" if findings[0].evidence == "proven" else "ambiguous"

    def _chain(self, pair: Pair) -> list[str]:
        """Name the functions around a call and the call itself, the outermost first."""
        names: list[str] = []
        step: Pair | None = pair
        while step is not None and step.any.kind != "run":
            if step.any.kind != "value":
                names.append(step.any.trace_id.rsplit(".", 1)[-1])
            step = step.parent
        return names[::-1]

    def _divergence(self, causes: _Causes) -> Divergence | None:
        split = self.split
        if split is None:
            return None
        place = split.call or split.stretch
        record = place.any
        sequence = (
            record.sequence if split.metric is None else int(min(split.until_a, split.until_b))
        )
        return Divergence(
            record.trace_id,
            record.index,
            sequence,
            split.difference.path,
            split.difference.kind,
            split.difference.distance,
            None if split.difference.distance is None else 0.0,
            tuple(causes.symptoms),
        )

    def _tests(self, findings: list[Finding]) -> Iterator[Test]:
        """The re-runs of the first run that would separate several causes: one change at a time."""
        subjects = [f"{f.change.factor} {f.change.subject}" for f in findings]
        for subject in subjects[:-1]:
            others = tuple(other for other in subjects if other != subject)
            yield Test(hold=others, change=(subject,))

    # What else changed

    def _also_changed(self, named: set[tuple[str, str]]) -> Iterator[Finding]:
        actors = _Actors(self)
        for key, change in self.changes.config.items():
            if ("config", change.subject) not in named:
                yield self._config_aside(key, change, actors)
        for unit, change in self.changes.code.items():
            if ("code", change.subject) not in named:
                yield self._aside(change, actors.reaching(unit), "reached by no call of either run")
        for path, change in self.changes.data.items():
            if ("data", path) not in named:
                yield self._aside(change, actors.opening(path), "read by no call of either run")
        for name, change in self.changes.distributions.items():
            if ("environment", name) not in named:
                yield self._aside(change, actors.importing(name), "reached by no traced call")
        for name, change in self.changes.machine.items():
            if ("environment", name) not in named:
                yield self._aside(change, [self.top], "reached by no traced call")
        for change in self.changes.cosmetic.values():
            yield Finding(change, "cosmetic", reason="the logic is the same")

    def _config_aside(self, key: str, change: Change, actors: _Actors) -> Finding:
        sources = [source for source in self.changes.source_keys(key) if source != key]
        if sources:
            return Finding(change, "ruled_out", reason=f"follows from {', '.join(sources)}")
        return self._aside(change, actors.reading(key), "read by no call")

    def _aside(self, change: Change, actors: list[Pair], untouched: str) -> Finding:
        """Judge a change that is no cause by the calls that it could have acted in."""
        if not actors:
            return Finding(change, "ruled_out", reason=untouched)
        if self.split is None:
            return Finding(change, "ruled_out", reason="no output and no metric differs")
        if all(self._settled(pair) for pair in actors):
            reason = "only by calls before the divergence, whose outputs were equal"
            return Finding(change, "ruled_out", reason=reason)
        reason = "acts after the first divergence; its contribution is not separated"
        return Finding(change, "later", reason=reason)

    def _settled(self, pair: Pair) -> bool:
        """Whether a call was over, with an equal output, before the runs parted."""
        split = self.split
        assert split is not None
        return (
            pair.any.kind == "call"
            and pair.a is not None
            and pair.b is not None
            and pair.order < split.order
        )

    def _same(self) -> dict[str, int]:
        a, b, changes = self.a, self.b, self.changes
        units = a.graph.units.keys() & b.graph.units.keys()
        installed = (a.environment.get("distributions") or {}).keys() & (
            b.environment.get("distributions") or {}
        ).keys()
        files = {f.path for f in a.inputs} & {f.path for f in b.inputs}
        return {
            "config": len((a.config.keys() & b.config.keys()) - changes.config.keys()),
            "code": len(units - changes.code.keys()),
            "environment": len(installed - changes.distributions.keys()),
            "data": len(files - changes.data.keys()),
        }

    def _unwatched(self) -> Iterator[str]:
        if not self.traced:
            yield _UNTRACED
        for run in (self.a, self.b):
            if run.label.status in ("crashed", "interrupted", "running"):
                yield f"what ended run {run.label.id} ({run.label.status})"
        for trace_id in sorted(self.a.traced ^ self.b.traced):
            run = self.a if trace_id in self.a.traced else self.b
            yield f"calls of {trace_id}: traced in run {run.label.id} only"
        gaps = {
            gap
            for run in (self.a, self.b)
            for gap in [
                *(g for root in run.graph.roots for g in root.gaps),
                *(f"{call.trace_id}: {g}" for call in run.calls for g in call.gaps),
            ]
        }
        yield from sorted(gaps)
        skipped = {name for call in [*self.a.calls, *self.b.calls] for name in call.skipped}
        for name in sorted(skipped):
            yield f"calls of {name} that its schedule skips"
        yield "files that were not named with log_input"


class _Actors:
    """Which calls each recorded thing could have acted in, in either run."""

    def __init__(self, judge: _Judge) -> None:
        self._judge = judge
        self._pairs = list(judge.top.walk())
        self._reads: dict[str, list[Pair]] = {}
        self._kinds: dict[tuple[str, str], list[Pair]] = {}
        for pair in self._pairs:
            keys = {read.key for record in (pair.a, pair.b) if record for read in record.reads}
            for key in keys:
                self._reads.setdefault(key, []).append(pair)
            self._kinds.setdefault((pair.any.kind, pair.any.trace_id), []).append(pair)

    def reading(self, key: str) -> list[Pair]:
        return self._reads.get(key, [])

    def opening(self, path: str) -> list[Pair]:
        idents_a = {f.ident for f in self._judge.a.inputs if f.path == path}
        idents_b = {f.ident for f in self._judge.b.inputs if f.path == path}
        return [
            pair
            for pair in self._pairs
            if (pair.a is not None and pair.a.ident in idents_a)
            or (pair.b is not None and pair.b.ident in idents_b)
        ]

    def reaching(self, unit: Key) -> list[Pair]:
        return [
            pair
            for pairs in self._with(unit in reach for reach in self._closures)
            for pair in pairs
        ]

    def importing(self, distribution: str) -> list[Pair]:
        return [
            pair
            for pairs in self._with(distribution in names for names in self._imports)
            for pair in pairs
        ]

    def _with(self, hits: Iterable[bool]) -> Iterator[list[Pair]]:
        for pairs, hit in zip(self._kinds.values(), hits, strict=True):
            if hit:
                yield pairs

    @cached_property
    def _closures(self) -> list[set[Key]]:
        """For each kind of call, the units its own part reaches in either run."""
        return [
            {key for run, roots in self._roots(pairs) for key in run.graph.reach(roots, set())}
            for pairs in self._kinds.values()
        ]

    @cached_property
    def _imports(self) -> list[set[str]]:
        return [
            {
                name
                for run, roots in self._roots(pairs)
                for name in self._judge._distributions(run, roots)
            }
            for pairs in self._kinds.values()
        ]

    def _roots(self, pairs: list[Pair]) -> Iterator[tuple[Run, list[Root]]]:
        judge = self._judge
        for run, records in (
            (judge.a, [pair.a for pair in pairs if pair.a is not None]),
            (judge.b, [pair.b for pair in pairs if pair.b is not None]),
        ):
            # Calls of one function differ in code only by what was passed in.
            distinct = {(record.code, tuple(record.passed)): record for record in records}
            for record in distinct.values():
                yield run, run.graph.roots_of(record)


def causes_outside(pair: Pair) -> bool:
    """Whether what came into the call differs, so that the stretch before it was judged."""
    return bool(differing_inputs(pair)) or any(before for _n, before, _a in advanced(pair))


def _joined(chain: list[str], path: list[str]) -> list[str]:
    """Join the calls around a function with the units on the way to a change, without repeating."""
    names = [name.rsplit(".", 1)[-1] for name in path]
    if chain and names and names[0] == chain[-1]:
        names = names[1:]
    return [*chain, *names]
