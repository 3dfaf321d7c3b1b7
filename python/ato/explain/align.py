"""Pairing the calls of two runs: by caller, thread, trace id and order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ato.events import CallRecord

__all__ = ["Pair", "align"]

# A SequenceMatcher may need time quadratic in what differs; beyond this many comparisons calls
# are paired by their order among the calls of one trace id.
_MATCHER_LIMIT = 250_000


@dataclass(eq=False)
class Pair:
    """The same call in both runs, or a call that only one of them has.

    `order` places it among the calls of the first run in completion order; a call that is missing
    in one run stands where it would have begun.
    """

    a: CallRecord | None
    b: CallRecord | None
    parent: Pair | None
    children: list[Pair] = field(default_factory=list)
    order: float = 0.0

    @property
    def any(self) -> CallRecord:
        """The record of whichever run has it."""
        record = self.a or self.b
        assert record is not None
        return record

    def walk(self) -> Iterator[Pair]:
        """This pair and all below it."""
        stack = [self]
        while stack:
            pair = stack.pop()
            yield pair
            stack.extend(pair.children)


def align(
    calls_a: Sequence[CallRecord], calls_b: Sequence[CallRecord], known: set[tuple[str, str]]
) -> Pair:
    """Pair the calls of two runs; returns the pair of the runs themselves, with all calls below.

    Only calls whose (kind, trace id) is in `known`, those that both runs could have recorded, take
    part; the calls inside one that does not belong to its parent.
    """
    tree_a, tree_b = _Tree(calls_a, calls_b, known), _Tree(calls_b, calls_a, known)
    top = Pair(tree_a.root, tree_b.root, None)
    top.order = float("inf")
    stack = [top]
    while stack:
        pair = stack.pop()
        below_a = tree_a.children(pair.a)
        below_b = tree_b.children(pair.b)
        for thread in dict.fromkeys([*below_a, *below_b]):
            pair.children += _pair_up(below_a.get(thread, []), below_b.get(thread, []), pair)
        stack.extend(pair.children)
    return top


class _Tree:
    """The calls of one run by parent and thread, in the order in which they opened."""

    def __init__(
        self,
        calls: Sequence[CallRecord],
        others: Sequence[CallRecord],
        known: set[tuple[str, str]],
    ) -> None:
        calls = [*calls, *_unfinished_parents(calls, others)]
        by_ident = {call.ident: call for call in calls}
        self.root = by_ident.get(0) or _unfinished_run(calls)
        self._below: dict[int, dict[str, list[CallRecord]]] = defaultdict(lambda: defaultdict(list))
        for call in sorted(calls, key=lambda call: call.ident):
            if call.ident == 0 or not _takes_part(call, known):
                continue
            parent = by_ident.get(_enclosing(call))
            while parent is not None and parent.ident and not _takes_part(parent, known):
                parent = by_ident.get(_enclosing(parent))
            self._below[parent.ident if parent else 0][call.thread].append(call)

    def children(self, call: CallRecord | None) -> dict[str, list[CallRecord]]:
        return {} if call is None else self._below.get(call.ident, {})


def _enclosing(call: CallRecord) -> int:
    """The ident of the call around this one. It opened earlier; anything else is damage, and would
    lead in a circle."""
    return call.parent if call.parent is not None and call.parent < call.ident else 0


def _takes_part(call: CallRecord, known: set[tuple[str, str]]) -> bool:
    return (call.kind, call.trace_id) in known


def _unfinished_parents(
    calls: Sequence[CallRecord], others: Sequence[CallRecord]
) -> list[CallRecord]:
    """Stand in for calls that were running when their process died, and so have no record.

    Idents count calls as they open: until two runs part, the other run's record of the same ident
    says which function it was.
    """
    idents = {call.ident for call in calls}
    absent = {call.parent for call in calls if call.parent} - idents
    last = max((call.sequence for call in calls), default=-1)
    return [
        CallRecord(
            call.kind, call.trace_id, call.ident, call.parent, call.index, last + 1, call.started
        )
        for call in others
        if call.ident in absent
    ]


def _unfinished_run(calls: Sequence[CallRecord]) -> CallRecord:
    """Stand in for the record of a run that never finished."""
    last = max((call.sequence for call in calls), default=-1)
    return CallRecord("run", "run", 0, None, 0, last + 1, 0)


def _pair_up(a: list[CallRecord], b: list[CallRecord], parent: Pair) -> list[Pair]:
    pairs = [Pair(left, right, parent) for left, right in _matches(a, b)]
    # A missing call gets the place of the next call that both runs have: it would have come before.
    ahead = parent.a.sequence if parent.a is not None else parent.order
    for pair in reversed(pairs):
        if pair.a is not None and pair.b is not None:
            pair.order = pair.a.sequence
            ahead = pair.a.started
        elif pair.a is not None:
            pair.order = pair.a.started - 0.5
            ahead = pair.a.started
        else:
            pair.order = ahead - 0.5
    return pairs


def _matches(
    a: list[CallRecord], b: list[CallRecord]
) -> list[tuple[CallRecord | None, CallRecord | None]]:
    keys_a = [(call.kind, call.trace_id) for call in a]
    keys_b = [(call.kind, call.trace_id) for call in b]
    if keys_a == keys_b:
        return list(zip(a, b, strict=True))
    head = 0
    while head < min(len(a), len(b)) and keys_a[head] == keys_b[head]:
        head += 1
    result: list[tuple[CallRecord | None, CallRecord | None]] = list(
        zip(a[:head], b[:head], strict=True)
    )
    rest_a, rest_b = a[head:], b[head:]
    if len(rest_a) * len(rest_b) > _MATCHER_LIMIT:
        return result + _by_order(rest_a, rest_b)
    matcher = SequenceMatcher(None, keys_a[head:], keys_b[head:], autojunk=False)
    for _tag, a0, a1, b0, b1 in matcher.get_opcodes():
        if _tag == "equal":
            result += zip(rest_a[a0:a1], rest_b[b0:b1], strict=True)
        else:
            result += [(call, None) for call in rest_a[a0:a1]]
            result += [(None, call) for call in rest_b[b0:b1]]
    return result


def _by_order(
    a: list[CallRecord], b: list[CallRecord]
) -> list[tuple[CallRecord | None, CallRecord | None]]:
    waiting: dict[tuple[str, str], list[CallRecord]] = defaultdict(list)
    for call in reversed(b):
        waiting[call.kind, call.trace_id].append(call)
    result: list[tuple[CallRecord | None, CallRecord | None]] = []
    for call in a:
        same = waiting[call.kind, call.trace_id]
        result.append((call, same.pop() if same else None))
    left = sorted((call for calls in waiting.values() for call in calls), key=lambda c: c.ident)
    return result + [(None, call) for call in left]
