"""The calls of two runs as one tree, with equal branches folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from ato.explain.align import Pair
from ato.explain.divergence import pair_difference

__all__ = ["Branch", "call_tree"]

State = Literal["equal", "inside", "other", "only_a", "only_b"]

# Deeper than this, and wider, a page cannot be read (and a browser gives up).
_DEPTH = 40
_WIDTH = 200


@dataclass
class Branch:
    """A call, or several of one kind in a row, of both runs.

    `state`: `equal` with all below it, `inside` (equal, but something below is not), `other`
    output, or a call that only one run has. `first` marks the first divergence, `kind` how its
    output differs. `indices` are the call's index, or the first and last of several.
    """

    name: str
    what: str
    state: State
    indices: tuple[int, int]
    count: int
    total: int
    kind: str | None = None
    first: bool = False
    path: bool = False
    below: list[Branch] = field(default_factory=list)
    hidden: int = 0


def call_tree(top: Pair, first: Pair | None) -> Branch:
    """Fold the pairs of calls below `top`; `first` is the pair at which the runs part."""
    states = _states(top)
    on_path = set()
    step = first
    while step is not None:
        on_path.add(step)
        step = step.parent
    return _branch([top], states, first, on_path, 0)


def _states(top: Pair) -> dict[Pair, tuple[State, str | None, int]]:
    """For each pair its state, how it differs, and how many calls there are in it, itself too."""
    found: dict[Pair, tuple[State, str | None, int]] = {}
    for pair in reversed(list(top.walk())):
        below = [found[child] for child in pair.children]
        total = 1 + sum(count for _, _, count in below)
        if pair.a is None or pair.b is None:
            state: State = "only_b" if pair.a is None else "only_a"
            found[pair] = (state, None, total)
            continue
        other = pair_difference(pair)
        if other is not None:
            found[pair] = ("other", other.kind, total)
        else:
            same = all(state == "equal" for state, _, _ in below)
            found[pair] = ("equal" if same else "inside", None, total)
    return found


def _branch(
    pairs: Sequence[Pair],
    states: dict[Pair, tuple[State, str | None, int]],
    first: Pair | None,
    on_path: set[Pair],
    depth: int,
) -> Branch:
    head = pairs[0]
    state, kind, _ = states[head]
    branch = Branch(
        name=head.any.trace_id,
        what=head.any.kind,
        state=state,
        indices=(head.any.index, pairs[-1].any.index),
        count=len(pairs),
        total=sum(states[pair][2] for pair in pairs),
        kind=kind,
        first=head is first,
        path=head in on_path,
    )
    # Of several calls that are alike, the first shows what is inside.
    if state != "equal" and depth < _DEPTH:
        groups = list(_groups(head.children, states, on_path))
        shown = _around_path(groups, on_path)
        branch.below = [_branch(group, states, first, on_path, depth + 1) for group in shown]
        branch.hidden = sum(states[p][2] for g in groups for p in g) - sum(
            states[p][2] for g in shown for p in g
        )
    return branch


def _groups(
    children: Sequence[Pair],
    states: dict[Pair, tuple[State, str | None, int]],
    on_path: set[Pair],
) -> Iterator[list[Pair]]:
    """What leads to the divergence alone; before and after it, the calls of a function together.

    A loop calls its functions in turn: listed one by one, they would fill the page.
    """
    for _, pairs in groupby(children, lambda pair: id(pair) if pair in on_path else None):
        alike: dict[tuple[object, ...], list[Pair]] = {}
        for pair in pairs:
            record = pair.any
            key = (record.trace_id, record.kind, record.thread, *states[pair][:2])
            alike.setdefault(key, []).append(pair)
        yield from alike.values()


def _around_path(groups: list[list[Pair]], on_path: set[Pair]) -> list[list[Pair]]:
    """The groups that a page has room for: those around the way to the divergence."""
    if len(groups) <= _WIDTH:
        return groups
    middle = next((at for at, group in enumerate(groups) if group[0] in on_path), 0)
    start = max(0, min(middle - _WIDTH // 2, len(groups) - _WIDTH))
    return groups[start : start + _WIDTH]
