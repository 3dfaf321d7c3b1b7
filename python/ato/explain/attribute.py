"""Finding the cause of the first divergence among the recorded changes.

The rules are those of `docs/attribution.md`: incoming state first, otherwise what differs at the
call; what came in from before is judged in the stretch of the enclosing call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ato.db_routers.sql.reading import Unit
from ato.events import Leaf
from ato.explain import entropy
from ato.explain.align import Pair
from ato.explain.changes import flag_origin, replaced
from ato.explain.comparison import Comparison, Side
from ato.explain.divergence import Split, advanced, differing_inputs
from ato.explain.explanation import Change, Finding
from ato.explain.graph import Key, Root, changed, has_literal
from ato.explain.load import Run

__all__ = ["Causes", "find_causes"]

_END = float("inf")
_TAIL = re.compile(r"\w+")


@dataclass
class Causes:
    """The changes that may have caused a divergence, nearest first, and how each was reached.

    `symptoms` are the inputs and generator states that came in differently; `weak` says that even
    a single change cannot be proven.
    """

    found: dict[tuple[str, str], Change] = field(default_factory=dict)
    via: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    symptoms: list[str] = field(default_factory=list)
    weak: bool = False
    nondeterminism: Finding | None = None

    def add(self, change: Change, via: Iterable[str]) -> None:
        """Add a change, unless it is there: one cause counts once."""
        key = (change.factor, change.subject)
        self.found.setdefault(key, change)
        self.via.setdefault(key, tuple(via))

    def findings(self) -> list[Finding]:
        """The causes with their evidence: one change is proven, several are possible."""
        if not self.found:
            return [] if self.nondeterminism is None else [self.nondeterminism]
        alone = len(self.found) == 1
        return [
            Finding(
                change,
                "proven" if alone and not self.weak else "possible",
                self.via[key],
                "the only recorded change" if alone and self.weak else None,
            )
            for key, change in self.found.items()
        ]


def find_causes(comparison: Comparison) -> Causes:
    """Judge the first divergence of two runs."""
    search = _Search(comparison)
    split = comparison.split
    if split is None:
        return search.causes
    if not comparison.traced:
        search.untraced()
    elif split.call is None or split.difference.kind == "missing":
        search.stretch(split)
    else:
        search.call(split.call, split)
    search.where_nothing_is_found(split)
    search.tell_order(split)
    if not search.causes.found and split.call is not None and split.difference.kind != "missing":
        search.causes.nondeterminism = search.nondeterminism(split.call, split)
    return search.causes


class _Search:
    """The search for the cause at one divergence."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.changes = comparison.changes
        self.causes = Causes()
        # What is reached and, as far as is known, did not run: looked at if nothing else is left.
        self.not_run: list[tuple[Change, list[str]]] = []
        # Files that one of the runs read: an effect of the cause, unless nothing else is found.
        self._opened: list[tuple[Change, list[str]]] = []

    def call(self, pair: Pair, split: Split) -> None:
        """A call whose outputs differ: incoming state first, otherwise what differs at the call."""
        inputs = [path for path in differing_inputs(pair) if not self._is_code(path)]
        drawn = [name for name, before, _after in advanced(pair) if before]
        self.causes.symptoms += inputs + [f"state of {name}" for name in drawn]
        self._factors(pair, _END, _END)
        # What `ato.record` names has no inputs of its own: its stretch is all there is.
        if inputs or drawn or pair.any.kind == "value":
            drawn_apart = [name for name in drawn if self._began_apart(pair, name, split.stretch)]
            sown = [name for name in drawn_apart if self._add_seed(name, pair, split)]
            self._add_generators([name for name in drawn_apart if name not in sown], pair)
            if (inputs or not drawn_apart) and not self._are_values_of_keys(pair, inputs, split):
                self._stretch_around(pair, split)
            if inputs:
                self._drawn_before(pair, split.stretch)
        elif not self.causes.found and any(r.gaps for r in (pair.a, pair.b) if r is not None):
            # An input that could not be fingerprinted may differ.
            self.causes.weak = True
            self._stretch_around(pair, split)

    def stretch(self, split: Split) -> None:
        """A call or metric point that one run lacks, or a metric that differs though no call does."""
        # Where the run that lacks it was cut short, that alone may be why.
        self.causes.weak = self._lacking(split).label.cut_short
        self._around(split.stretch, split.until_a, split.until_b)
        self._drawn_somewhere(split.stretch)

    def _lacking(self, split: Split) -> Run:
        """The run in which something is missing; the second, if nothing is."""
        call = split.call
        in_a = split.until_b < _END == split.until_a if call is None else call.a is None
        return self.comparison.a if in_a else self.comparison.b

    def untraced(self) -> None:
        """Without runtime traces the whole run is one stretch, and nothing can be proven."""
        self.causes.weak = True
        self._factors(self.comparison.top, _END, _END)
        self._unwatched_reads(self.comparison.top)
        self._drawn_somewhere(self.comparison.top)

    def where_nothing_is_found(self, split: Split) -> None:
        """Look at what can only be supposed: code that ran and that no static rule leads to, and
        generators that were drawn from before the run opened."""
        if not self.causes.found:
            for change, chain in self._opened:
                self._add_told(change, chain)
        pair = split.call
        if not self.causes.found and pair is not None and self.comparison.traced:
            self._ran_unreached(pair)
        if not self.causes.found and pair is not None and self.comparison.traced:
            self._bound_otherwise(pair)
        if not self.causes.found and self.not_run:
            self.causes.weak = True  # what a cache holds from before the run opened, say
            for change, path in self.not_run:
                self._add_told(change, path)
        entered = pair is None or split.difference.kind == "missing" or self.causes.symptoms
        if self.causes.found or not entered:
            return
        stretch = split.stretch
        names = [
            name
            for name in self.changes.random
            if self._mentions(entropy.draws, name, stretch)
            and not self._mentions(entropy.seeds, name, stretch)
        ]
        self.causes.weak = self.causes.weak or bool(names)
        self._add_generators(names, stretch)

    def _ran_unreached(self, pair: Pair) -> None:
        """Add changed functions that ran first during a call though its code names them nowhere: a
        registry, `getattr` or a module's hooks led there."""
        comparison = self.comparison
        for key, change in self.changes.code.items():
            for record, run in ((pair.a, comparison.a), (pair.b, comparison.b)):
                ran = run.ran.get(key)
                if record and ran is not None and record.started <= ran <= record.sequence:
                    self._add_told(change, [*comparison.chain(pair), key[1].split(".")[-1]])

    def _bound_otherwise(self, pair: Pair) -> None:
        """Add what a name of unchanged code stands for now: a function that was put in another
        one's place while the program ran, or by another import."""
        if pair.a is None or pair.b is None or pair.a.code == pair.b.code:
            return
        a, b = self.comparison.sides(pair)
        roots = {root.trace_id: root for root in a.roots()}
        for right in b.roots():
            left = roots.get(right.trace_id)
            for key in () if left is None else left.units.keys() & right.units.keys():
                assert left is not None
                gone, come = (
                    sorted(one.edges.get(key, set()) - other.edges.get(key, set()))
                    for one, other in ((left, right), (right, left))
                )
                if gone and left.units[key].logic == right.units[key].logic:
                    edited = next(
                        (self.changes.code[k] for k in come if k in self.changes.code), None
                    )
                    new = right.units[come[0]] if come else None
                    change = edited or replaced(left.units[gone[0]], new)
                    path = [*self.comparison.chain(pair), key[1].split(".")[-1], gone[0][1]]
                    self.causes.add(change, dict.fromkeys(path))

    def _are_values_of_keys(self, pair: Pair, inputs: list[str], split: Split) -> bool:
        """Whether the inputs that differ are changed config values, each under its key's name.

        So they are where argparse's namespace or a dataclass is passed on; those keys are the cause.
        Where code in the stretch was edited that may have made the value, both are possible.
        """
        if pair.a is None or pair.b is None:
            return False
        keys = {}
        for path in inputs:
            sides = ((self.comparison.a, pair.a), (self.comparison.b, pair.b))
            found = [
                key
                for key in self.changes.unwatched
                if _TAIL.findall(path)[-1:] == _TAIL.findall(key)[-1:]
                and all(_holds(run, key, record.inputs.get(path)) for run, record in sides)
            ]
            if len(found) != 1:
                return False
            keys[found[0]] = path
        if not all(map(self._is_given, keys)) and any(self._edited_around(split.stretch)):
            return False
        for key in keys:
            self._add_key(key, self.comparison.chain(pair))
        return bool(keys)

    def _add_key(self, key: str, chain: list[str]) -> None:
        """Add what a changed key came from: other changed keys, or itself."""
        self.causes.weak = self.causes.weak or key in self.changes.supposed
        for source in self.changes.source_keys(key):
            self.causes.add(self.changes.config[source], chain)

    def _is_given(self, key: str) -> bool:
        """Whether the command line of one of the runs gave a key its value."""
        return any(flag_origin(run, key) for run in (self.comparison.a, self.comparison.b))

    def _edited_around(self, stretch: Pair) -> Iterator[Change]:
        """The edits of code in a stretch, and around it, that are not told as config keys."""
        step: Pair | None = stretch
        while step is not None:
            for change, _path in self._differing_code(*self.comparison.sides(step)):
                if (change.factor, change.subject) not in self.changes.as_config:
                    yield change
            step = step.parent

    def tell_order(self, split: Split) -> None:
        """Of a changed file whose arrays have the same rows in another order, say so."""
        if split.call is None or not _only_order_differs(split.call):
            return
        for key, change in self.causes.found.items():
            if change.factor == "data" and change.kind == "content":
                self.causes.found[key] = replace(change, kind="order")

    def nondeterminism(self, pair: Pair, split: Split) -> Finding:
        """Nothing that was watched differs, and the outputs do: name what may give another result."""
        subject, kind = self._entropy(pair)
        step: Pair | None = split.stretch if self.causes.symptoms else None
        while kind == "unknown" and step is not None and step.any.kind != "run":
            outer, outer_kind = self._entropy(step)
            if outer_kind != "unknown":
                subject, kind = outer, outer_kind
            step = step.parent
        change = Change("nondeterminism", subject, kind)
        return Finding(change, "possible", tuple(self.comparison.chain(pair)))

    def _stretch_around(self, pair: Pair, split: Split) -> None:
        if pair.any.kind != "scope":
            self._around(split.stretch, split.until_a, split.until_b)
        elif pair.parent is not None and pair.a is not None and pair.b is not None:
            self._around(pair.parent, pair.a.started, pair.b.started)

    def _around(self, pair: Pair, until_a: float, until_b: float) -> None:
        """Judge what the enclosing function did by itself so far; and what came into it, if that
        differs or, as with an `@scope` function, was not recorded."""
        self._factors(pair, until_a, until_b)
        self._unwatched_reads(pair)
        if pair.parent is None or pair.a is None or pair.b is None:
            return
        drawn = [name for name, before, _after in advanced(pair) if before]
        drawn_apart = [name for name in drawn if self._began_apart(pair, name, pair.parent)]
        self._add_generators(drawn_apart, pair)
        if pair.any.kind == "scope" or differing_inputs(pair) or drawn != drawn_apart:
            self._around(pair.parent, pair.a.started, pair.b.started)

    def _factors(self, pair: Pair, until_a: float, until_b: float) -> None:
        """Add what differs in a call's own part: config reads, code, files, environment."""
        chain = self.comparison.chain(pair)
        sides = self.comparison.sides(pair, until_a, until_b)
        for key in self._differing_reads(*sides):
            self._add_key(key, chain)
        for change, path in self._differing_code(*sides):
            self._add_told(change, _joined(chain, path))
        for name in dict.fromkeys(file.path for side in sides for file in side.files()):
            file = self.changes.data.get(name)
            if file is not None and file.kind == "opened":
                self._opened.append((file, chain))
            elif file is not None:
                self.causes.weak = self.causes.weak or file.kind == "listing"
                self._add_told(file, chain)
            elif name in self.changes.undigested:
                self.causes.weak = True
        for change in self._differing_environment(*(side.roots() for side in sides)):
            self.causes.add(self.changes.setters.get(change.subject, change), chain)

    def _add_told(self, change: Change, via: list[str]) -> None:
        """Add a change of code or data, told as the config keys that it is the origin of."""
        keys = self.changes.as_config.get((change.factor, change.subject))
        for told in [change] if keys is None else [self.changes.config[key] for key in keys]:
            self.causes.add(told, via)

    def _unwatched_reads(self, pair: Pair) -> None:
        """Add the changed keys that may have been read in a stretch without a trace."""
        keys = [
            key
            for key in self.changes.config
            if key in self.changes.unwatched and ("config", key) not in self.causes.found
        ]
        if len(keys) > 1:  # those that the code names come first
            words = set(_TAIL.findall(self.comparison.text(pair)))
            keys.sort(key=lambda key: _TAIL.findall(key)[-1] not in words)
        for key in keys:
            self.causes.weak = True
            self._add_key(key, self.comparison.chain(pair))

    def _differing_reads(self, a: Side, b: Side) -> list[str]:
        reads_a, reads_b = a.reads(), b.reads()
        found: list[str] = []
        for key in [*reads_a, *(key for key in reads_b if key not in reads_a)]:
            if reads_a.get(key) == reads_b.get(key):
                continue
            if key in self.changes.config:
                found.append(key)
            else:
                # A section that was looked for and is not there in one of the runs.
                found += self.changes.only_in_one(key)
        return found[::-1]  # the read nearest to the divergence first

    def _differing_code(self, a: Side, b: Side) -> Iterator[tuple[Change, list[str]]]:
        through = a.skipped() | b.skipped()
        roots_a, roots_b = a.roots(), b.roots()
        for side, roots, others in ((b, roots_b, roots_a), (a, roots_a, roots_b)):
            graph = side.run.graph
            reach = graph.reach(roots, through)
            for key in reach:
                if key not in self.changes.code:
                    continue
                before = self.changes.moved.get(key, key)
                mine, theirs = _units(roots, key), _units(others, before)
                if not theirs or not changed(mine, theirs):
                    continue
                found = self.changes.code[key], graph.path(reach, key)
                if any(self.comparison.may_have_run(each, key) for each in (a, b)):
                    yield found
                else:
                    self.not_run.append(found)

    def _differing_environment(self, a: list[Root], b: list[Root]) -> Iterator[Change]:
        for name, change in self.changes.machine.items():
            if name not in self.changes.named or any(has_literal(root, name) for root in (*a, *b)):
                yield change
        if not self.changes.distributions:
            return
        comparison = self.comparison
        names = comparison.distributions(comparison.a, a) | comparison.distributions(
            comparison.b, b
        )
        for name, change in self.changes.distributions.items():
            if name in names:
                yield change

    def _is_code(self, path: str) -> bool:
        """Whether an input is a global whose binding statement changed: code, never also input."""
        if not path.startswith("global:"):
            return False
        label = path.removeprefix("global:")
        names = {name for _module, name in self.changes.code}
        names |= {f"{module}.{name}" for module, name in self.changes.code}
        return any(label == name or label.startswith((f"{name}.", f"{name}[")) for name in names)

    # Randomness

    def _add_generators(self, names: Iterable[str], pair: Pair) -> None:
        for name in names:
            self.causes.add(self.changes.random[name], self.comparison.chain(pair))

    def _add_seed(self, name: str, pair: Pair, split: Split) -> bool:
        """Add what changed of the seed that a generator was given before the run opened, if the code
        around the call says so: it is the cause, and the state its symptom."""
        lines = entropy.seeding(self.comparison.text(split.stretch), name)
        if not lines:
            return False
        causes, self.causes = self.causes, Causes()
        self._stretch_around(pair, split)
        around, self.causes = self.causes, causes
        seeds = [
            key
            for key, change in around.found.items()
            if change.factor in ("config", "code", "data", "environment")
            and (
                _TAIL.findall(change.subject)[-1] in _TAIL.findall(lines)
                or _has_line(change, lines)
            )
        ]
        for key in seeds:
            self.causes.add(around.found[key], around.via[key])
        self.causes.weak = self.causes.weak or (bool(seeds) and around.weak)
        return bool(seeds)

    def _began_apart(self, pair: Pair, name: str, stretch: Pair) -> bool:
        """Whether a generator differed when the run began, and nothing has seeded it since."""
        if name not in self.changes.random:
            return False
        return self._untouched(pair, name) or not self._mentions(entropy.seeds, name, stretch)

    def _drawn_before(self, pair: Pair, stretch: Pair) -> None:
        """Add the generators that may have made the inputs of a call: unequal from the start,
        moved on before the call, and not seeded."""
        moved = [
            name
            for name in self.changes.random
            if self._moved_apart(pair, name) and not self._mentions(entropy.seeds, name, stretch)
        ]
        self._add_drawn(moved, pair, stretch)

    def _drawn_somewhere(self, stretch: Pair) -> None:
        """Add the generators that may have acted in a stretch: unequal from the start, drawn from
        during the run, and not seeded."""
        runs = [r for r in (self.comparison.top.a, self.comparison.top.b) if r is not None]
        moved = [
            name
            for name in self.changes.random
            if any(
                name in run.random and run.random[name].before != run.random[name].after
                for run in runs
            )
            and not self._mentions(entropy.seeds, name, stretch)
        ]
        if self._add_drawn(moved, stretch, stretch):
            # Drawn somewhere in the run; whether in this stretch is not known.
            self.causes.weak = True

    def _add_drawn(self, moved: list[str], pair: Pair, stretch: Pair) -> bool:
        """Add those that the project's own code draws from; the others, which a library may have
        moved on for reasons of its own, only where nothing else is left."""
        visible = [name for name in moved if self._mentions(entropy.draws, name, stretch)]
        chosen = visible or ([] if self.causes.found else moved)
        self._add_generators(chosen, pair)
        starts = (self.comparison.a.start, self.comparison.b.start)
        if not visible and any(name not in start for name in chosen for start in starts):
            # One that was made after the run began may stand as it was made, undrawn.
            self.causes.weak = True
        return bool(chosen)

    def _mentions(self, says: Callable[[str, str], bool], name: str, stretch: Pair) -> bool:
        return says(self.comparison.text(stretch), name)

    def _befores(self, pair: Pair, name: str) -> list[tuple[str | None, str | None]]:
        """A generator's state at the start of each run and before a call."""
        comparison = self.comparison
        return [
            (run.start.get(name), record.random[name].before)
            for record, run in ((pair.a, comparison.a), (pair.b, comparison.b))
            if record is not None and name in record.random
        ]

    def _untouched(self, pair: Pair, name: str) -> bool:
        """Whether a generator was neither drawn from nor seeded before a call, in either run."""
        states = self._befores(pair, name)
        return len(states) == 2 and all(start == before for start, before in states)

    def _moved_apart(self, pair: Pair, name: str) -> bool:
        """Whether a generator was moved on before a call, and stands differently there."""
        states = self._befores(pair, name)
        return (
            len(states) == 2
            and states[0][1] != states[1][1]
            and any(start != before for start, before in states)
        )

    def _entropy(self, pair: Pair) -> tuple[str, str]:
        """The function behind a call, and what in its own part may give another result each time."""
        graph = self.comparison.b.graph
        roots = graph.roots_of(pair.any)
        subject = ".".join(roots[0].key) if roots else pair.any.trace_id
        reach = graph.reach(roots, set(pair.any.skipped))
        return subject, entropy.source(unit.text for key in reach for unit in graph.units[key])


def _has_line(change: Change, lines: str) -> bool:
    """Whether one of the lines that an edit took away or put in is among `lines`."""
    whole = {line.strip() for line in lines.splitlines()}
    return any(line[2:].strip() in whole for line in (change.diff or "").splitlines())


def _only_order_differs(pair: Pair) -> bool:
    """Whether the arrays that came in, or else those that came out, differ in their order only."""
    if pair.a is None or pair.b is None:
        return False
    for a, b in ((pair.a.inputs, pair.b.inputs), (pair.a.output, pair.b.output)):
        arrays = [
            (left.order_free, right.order_free)
            for path, left in a.items()
            if left.order_free is not None
            and (right := b.get(path)) is not None
            and left.fingerprint != right.fingerprint
        ]
        if arrays:
            return all(left == right for left, right in arrays)
    return False


def _holds(run: Run, key: str, leaf: Leaf | None) -> bool:
    """Whether an input is the value of a config key."""
    entry = run.config.get(key)
    return entry is not None and leaf is not None and entry["fingerprint"] == leaf.fingerprint


def _units(roots: list[Root], key: Key) -> list[Unit]:
    return [root.units[key] for root in roots if key in root.units]


def _joined(chain: list[str], path: list[str]) -> list[str]:
    """Join the calls around a function with the units on the way to a change, without repeating."""
    names = [name.rsplit(".", 1)[-1] for name in path]
    if chain and names and names[0] == chain[-1]:
        names = names[1:]
    return [*chain, *names]
