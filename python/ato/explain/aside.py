"""What else changed: ruled out, acting later, or cosmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from ato.db_routers.sql.calls import Form
from ato.explain.comparison import Comparison
from ato.explain.explanation import Change, Finding
from ato.explain.graph import Key, Root, has_literal
from ato.explain.load import Run

__all__ = ["also_changed"]

_BEFORE = "only by calls before the divergence, whose outputs were equal"
_AFTER = "acts after the first divergence; its contribution is not separated"


def also_changed(comparison: Comparison, causes: set[tuple[str, str]]) -> Iterator[Finding]:
    """Judge every change that is not among `causes` (factor, subject) by the calls it acted in."""
    changes, actors = comparison.changes, _Actors(comparison)
    for key, change in changes.config.items():
        sources = [source for source in changes.source_keys(key) if source != key]
        if ("config", key) in causes:
            continue
        if sources:
            supposed = "no flag, file or default set it; " if key in changes.supposed else ""
            reason = f"{supposed}follows from {', '.join(sources)}"
            yield Finding(change, "ruled_out", reason=reason)
        else:
            acting = [False] if key in changes.unwatched else actors.acting_by(key)
            yield _judged(comparison, change, acting, "read by no call")
    causes = causes | changes.as_config.keys()
    for unit, change in changes.code.items():
        if ("code", change.subject) in causes:
            continue
        if comparison.ran_in_no_call(unit):
            yield Finding(change, "ruled_out", reason="executed by no call of either run")
        else:
            yield _judged(
                comparison, change, actors.reaching(unit), "reached by no call of either run"
            )
    for path, change in changes.data.items():
        if ("data", path) not in causes and change.kind == "opened":
            yield Finding(change, "ruled_out", reason="read by one of the runs only: an effect")
        elif ("data", path) not in causes:
            yield _judged(comparison, change, actors.opening(path), "read by no call of either run")
    for name, change in changes.distributions.items():
        if ("environment", name) not in causes:
            yield _judged(comparison, change, actors.importing(name), "reached by no traced call")
    for name, change in changes.machine.items():
        if name in changes.setters:
            reason = f"follows from {changes.setters[name].subject}"
            yield Finding(change, "ruled_out", reason=reason)
        elif ("environment", name) not in causes:
            acting = actors.naming(name) if name in changes.named else [False]
            yield _judged(comparison, change, acting, "named by no code that a call reaches")
    for change in changes.cosmetic.values():
        renamed = "renamed; " if change.kind == "rename" else ""
        yield Finding(change, "cosmetic", reason=f"{renamed}the logic is the same")


def _judged(comparison: Comparison, change: Change, actors: list[bool], unseen: str) -> Finding:
    """Judge a change that is no cause by whether the calls that it could have acted in were over."""
    if not actors:
        return Finding(change, "ruled_out", reason=unseen)
    if comparison.split is None:
        return Finding(change, "ruled_out", reason="no output and no metric differs")
    if all(actors):
        return Finding(change, "ruled_out", reason=_BEFORE)
    return Finding(change, "later", reason=_AFTER)


class _Actors:
    """In which calls each recorded thing could have acted: for each kind of them, whether they were
    over when the runs parted, with equal outputs."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._reads: dict[str, list[bool]] = {}
        self._kinds: dict[tuple[str, str], list[tuple[Run, Form, bool]]] = {}
        for run, form, before in comparison.acting:
            for key in {key for key, _digest, _offset in form.reads}:
                self._reads.setdefault(key, []).append(before)
            self._kinds.setdefault((form.kind, form.trace_id), []).append((run, form, before))

    def reading(self, key: str) -> list[bool]:
        """The calls that read a key, or looked for a section that only one of the runs has."""
        found = self._reads.get(key, [])
        for end in (index for index, character in enumerate(key) if character == "."):
            if key in self._comparison.changes.only_in_one(key[:end]):
                found = found + self._reads.get(key[:end], [])
        return found

    def acting_by(self, key: str) -> list[bool]:
        """The calls that read a key, or reach the code or open the file that is its origin."""
        changes = self._comparison.changes
        found = self.reading(key)
        for (factor, subject), keys in changes.as_config.items():
            if key not in keys:
                continue
            if factor == "data":
                found = found + self.opening(subject)
            else:
                units = (unit for unit, c in changes.code.items() if c.subject == subject)
                found = [*found, *(each for unit in units for each in self.reaching(unit))]
        return found

    def opening(self, path: str) -> list[bool]:
        idents_a = {f.ident for f in self._comparison.a.inputs if f.path == path}
        idents_b = {f.ident for f in self._comparison.b.inputs if f.path == path}
        return self._comparison.were_over(idents_a, idents_b)

    def reaching(self, unit: Key) -> list[bool]:
        return self._of_kinds(unit in reach for reach in self._closures)

    def importing(self, distribution: str) -> list[bool]:
        return self._of_kinds(distribution in names for names in self._imports)

    def naming(self, variable: str) -> list[bool]:
        return self._of_kinds(
            any(has_literal(root, variable) for _run, roots in self._roots(found) for root in roots)
            for found in self._kinds.values()
        )

    def _of_kinds(self, chosen: Iterable[bool]) -> list[bool]:
        """The calls of the kinds that are chosen, in the order of `_kinds`."""
        kinds = zip(self._kinds.values(), chosen, strict=True)
        return [before for found, hit in kinds if hit for _run, _form, before in found]

    @cached_property
    def _closures(self) -> list[set[Key]]:
        """For each kind of call, the units its own part reaches in either run."""
        return [
            {key for run, roots in self._roots(found) for key in run.graph.reach(roots, set())}
            for found in self._kinds.values()
        ]

    @cached_property
    def _imports(self) -> list[set[str]]:
        return [
            {
                name
                for run, roots in self._roots(found)
                for name in self._comparison.distributions(run, roots)
            }
            for found in self._kinds.values()
        ]

    def _roots(self, found: list[tuple[Run, Form, bool]]) -> Iterator[tuple[Run, list[Root]]]:
        # Calls of one function differ in code only by what was passed in.
        distinct = {
            (run.label.id, form.code, tuple(form.passed)): (run, form)
            for run, form, _before in found
        }
        for run, form in distinct.values():
            yield run, run.graph.roots_of(form)
