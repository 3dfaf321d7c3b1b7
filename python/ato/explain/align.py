"""Pairing the calls of two runs: by caller, thread role, trace id and order.

Calls are numbers of rows here, and a pair is two of them; objects are made of the few that are looked
at. What both runs have in common from the beginning is found by comparing columns, the rest is
walked once, from the runs down.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ato.db_routers.sql.calls import DIGEST, Call, Calls, Form

__all__ = ["Alignment", "Missing", "Pair", "align"]

# Where two sequences part, they are looked for a common stretch of so many calls (or all that is
# left), up to so far ahead; that makes the search linear.
_AHEAD = 32
_STRETCH = 8

_ALONE = -1  # the partner of a call that only one run has
_APART = -2  # the partner of a call that takes no part, since only one run could have recorded it
_MAIN = "main"

Known = set[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Missing:
    """The first call below a pair that only one of the runs has.

    It stands at `until_a` in the first run and at `until_b` in the second; `order` as in `Pair`.
    """

    pair: Pair
    order: float
    until_a: float
    until_b: float


class Pair:
    """The same call in both runs, or a call that only one of them has."""

    __slots__ = ("_alignment", "a", "b", "rows")

    def __init__(self, alignment: Alignment, rows: tuple[int, int]) -> None:
        self._alignment = alignment
        self.rows = rows
        self.a: Call | None = alignment.a[rows[0]] if rows[0] >= 0 else None
        self.b: Call | None = alignment.b[rows[1]] if rows[1] >= 0 else None

    def __repr__(self) -> str:
        return f"<{self.a} and {self.b}>"

    @property
    def any(self) -> Call:
        """The record of whichever run has it."""
        record = self.a or self.b
        assert record is not None
        return record

    @property
    def parent(self) -> Pair | None:
        """The pair of calls around it; `None` of the runs themselves."""
        return self._alignment.parent_of(self)

    @property
    def children(self) -> list[Pair]:
        """The calls directly inside, by thread role, in order."""
        return [self._alignment.pair(*rows) for rows in self._alignment.below[self.rows]]

    @property
    def scopes(self) -> list[Pair]:
        """The `@scope` functions directly inside."""
        return [self._alignment.pair(*rows) for rows in self._alignment.scopes_below[self.rows]]

    @property
    def order(self) -> float:
        """Its place among the calls of the first run in completion order.

        A call that is missing in one run stands where it would have begun.
        """
        return self._alignment.order_of(self.rows)

    def walk(self) -> Iterator[Pair]:
        """This pair and all below it."""
        stack = [self]
        while stack:
            pair = stack.pop()
            yield pair
            stack.extend(pair.children)


def align(a: Calls, b: Calls, known: Known) -> Alignment:
    """Pair the calls of two runs.

    Only calls whose (kind, trace id) is in `known`, those that both runs could have recorded, take
    part; the calls inside one that does not belong to its parent.
    """
    whole_a, whole_b = _with_unfinished(a, b), _with_unfinished(b, a)
    alignment = Alignment(whole_a, whole_b, known)
    alignment.fill()
    return alignment


class Alignment:
    """Which call of one run is which call of the other.

    `partner_a` and `partner_b` give the row in the other run for each row, or less than 0 if there
    is none. `missing` holds, for each pair of calls, the first below it that one of the runs lacks.
    """

    def __init__(self, a: Calls, b: Calls, known: Known) -> None:
        self.a = a
        self.b = b
        self._keys: dict[tuple[str, str, str], int] = {}
        self._side_a, self._side_b = _Side(a, known, self._keys), _Side(b, known, self._keys)
        self.partner_a = array("q", [_ALONE]) * len(a)
        self.partner_b = array("q", [_ALONE]) * len(b)
        self.missing: list[Missing] = []
        self._pairs: dict[tuple[int, int], Pair] = {}
        self._alike = 0
        self.top = self.pair(self._side_a.root, self._side_b.root)

    def pair(self, row_a: int, row_b: int) -> Pair:
        """The pair of two rows; there is one object of each."""
        found = self._pairs.get((row_a, row_b))
        if found is None:
            found = self._pairs[row_a, row_b] = Pair(self, (row_a, row_b))
        return found

    def at(self, ident: int, *, second: bool = False) -> Pair:
        """The pair of the call that has `ident` in the first run, or in the second; else of the runs."""
        side, partner = self._sides[second]
        row = side.rows.get(ident, side.root)
        if row == side.root or partner[row] == _APART:
            return self.top
        return self.pair(partner[row], row) if second else self.pair(row, partner[row])

    def differing(self) -> Iterator[tuple[int, int]]:
        """The pairs whose effects are not known to be equal, in the order in which the first run's
        calls completed."""
        a, b, partner, root = self.a, self.b, self.partner_a, self._side_a.root
        size, step = self._alike * DIGEST, 4096 * DIGEST
        for start in range(0, size, step):
            end = min(start + step, size)
            if a.effect[start:end] == b.effect[start:end]:
                continue
            for row in range(start // DIGEST, end // DIGEST):
                if row != root and partner[row] == row and a.effect_at(row) != b.effect_at(row):
                    yield row, row
        for row in range(self._alike, len(a)):
            other = partner[row]
            if other >= 0 and row != root and a.effect_at(row) != b.effect_at(other):
                yield row, other

    def latest(self) -> tuple[dict[int, float], dict[int, float]]:
        """When the last call of each form of either run was over, as an order; infinity where one of
        them has no partner or no output of its own. Forms that take no part are left out."""
        return self._latest_a, self._latest_b

    @cached_property
    def _latest_a(self) -> dict[int, float]:
        rows: dict[int, int] = dict(zip(self.a.form, range(len(self.a)), strict=True))
        alone = _less_than_all(self.a.form, self.partner_a, 0)
        return {
            form: self._finished(self.a, form, row, form in alone)
            for form, row in rows.items()
            if self.partner_a[row] != _APART
        }

    @cached_property
    def _latest_b(self) -> dict[int, float]:
        form, partner = self.b.form, self.partner_b
        alone = _less_than_all(form, partner, 0)
        if self._alike == len(self.b):
            rows = dict(zip(form, range(len(form)), strict=True))
        else:
            # Partners do not come in order where threads have taken turns differently.
            rows = {}
            for each, other in zip(form, partner, strict=True):
                if rows.setdefault(each, other) < other:
                    rows[each] = other
        gone = _less_than_all(form, partner, _ALONE)
        return {
            each: self._finished(self.b, each, row, each in alone)
            for each, row in rows.items()
            if each not in gone
        }

    def _finished(self, calls: Calls, form: int, row: int, alone: bool) -> float:
        if alone or calls.forms[form].kind != "call":
            return float("inf")
        return float(self.a.sequence[row])

    def order_of(self, rows: tuple[int, int]) -> float:
        """See `Pair.order`."""
        row_a, row_b = rows
        if rows == self.top.rows:
            return float("inf")
        if row_a >= 0:
            return self.a.sequence[row_a] if row_b >= 0 else self.a.started[row_a] - 0.5
        parent = self.parent_of(self.pair(*rows))
        assert parent is not None
        siblings = self.below[parent.rows]
        return self._ahead(siblings, siblings.index(rows), parent.rows) - 0.5

    def _ahead(
        self, siblings: Sequence[tuple[int, int]], place: int, parent: tuple[int, int]
    ) -> float:
        """Where the next call that the first run has begins; it would have come after a missing one."""
        for row_a, _row_b in siblings[place:]:
            if row_a >= 0:
                return self.a.started[row_a]
        return self.a.sequence[parent[0]] if parent[0] >= 0 else self.order_of(parent)

    def parent_of(self, pair: Pair) -> Pair | None:
        """See `Pair.parent`."""
        if pair.rows == self.top.rows:
            return None
        row_a, row_b = pair.rows
        if row_a >= 0:
            row = self._side_a.parent_row(row_a)
            return self.top if row == self._side_a.root else self.pair(row, self.partner_a[row])
        row = self._side_b.parent_row(row_b)
        return self.top if row == self._side_b.root else self.pair(self.partner_b[row], row)

    @cached_property
    def below(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """The pairs directly inside of each pair."""
        return self._grouped(None)

    @cached_property
    def scopes_below(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """The `@scope` functions directly inside of each pair."""
        return self._grouped("scope")

    @property
    def _sides(self) -> tuple[tuple[_Side, array[int]], tuple[_Side, array[int]]]:
        return (self._side_a, self.partner_a), (self._side_b, self.partner_b)

    def _grouped(self, kind: str | None) -> dict[tuple[int, int], list[tuple[int, int]]]:
        side_a, side_b = self._side_a, self._side_b
        found: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        alone: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for row in side_a.in_order(kind):
            other = self.partner_a[row]
            up = side_a.parent_row(row)
            above = self.top.rows if up == side_a.root else (up, self.partner_a[up])
            found[above].append((row, other))
        for row in side_b.in_order(kind):
            if self.partner_b[row] == _ALONE:
                up = side_b.parent_row(row)
                above = self.top.rows if up == side_b.root else (self.partner_b[up], up)
                alone[above].append((_ALONE, row))
        for above, rows in alone.items():
            found[above] = self._merged(found[above], rows)
        return found

    def _merged(
        self, kept: list[tuple[int, int]], alone: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Put what only the second run has before the paired call that it came before there."""
        ident = self.b.ident
        waiting = alone[::-1]
        result: list[tuple[int, int]] = []
        for pair in kept:
            while waiting and pair[1] >= 0 and ident[waiting[-1][1]] < ident[pair[1]]:
                result.append(waiting.pop())
            result.append(pair)
        return result + waiting[::-1]

    # Filling in the partners

    def fill(self) -> None:
        """Find the partner of each call."""
        side_a, side_b = self._side_a, self._side_b
        self._alike = alike = _alike(side_a, side_b)
        self.partner_a[:alike] = self.partner_b[:alike] = array("q", range(alike))
        for side, partner in self._sides:
            for row in side.apart:
                partner[row] = _APART
        if alike < max(len(self.a), len(self.b)):
            self._walk(side_a.below(alike), side_b.below(alike))
        self.partner_a[side_a.root], self.partner_b[side_b.root] = side_b.root, side_a.root

    def _walk(self, below_a: dict[int, list[int]], below_b: dict[int, list[int]]) -> None:
        ident_a, ident_b = self.a.ident, self.b.ident
        stack = [(self._side_a.root, self._side_b.root)]
        # Of what is alike already, the calls that go on are pairs as well.
        stack += [(row, row) for row in self._side_a.open(self._alike, below_a, below_b)]
        nothing: list[int] = []
        while stack:
            above = stack.pop()
            inside_a = below_a.get(ident_a[above[0]], nothing)
            inside_b = below_b.get(ident_b[above[1]], nothing)
            if not inside_a and not inside_b:
                continue
            lacking: list[list[tuple[int, int]]] = []
            for one, two in self._by_thread(inside_a, inside_b):
                pairs = self._matches(one, two)
                for row_a, row_b in pairs:
                    if row_a >= 0 and row_b >= 0:
                        self.partner_a[row_a], self.partner_b[row_b] = row_b, row_a
                        if ident_a[row_a] in below_a or ident_b[row_b] in below_b:
                            stack.append((row_a, row_b))
                if len(one) != len(two) or any(row_a < 0 for row_a, _ in pairs):
                    lacking.append(pairs)
            if lacking:
                self.missing.append(min((self._first(p, above) for p in lacking), key=_order))

    def _by_thread(self, a: list[int], b: list[int]) -> Iterable[tuple[list[int], list[int]]]:
        keys_a, keys_b = self._side_a.keys, self._side_b.keys
        threads = self._threads
        if (
            len(set(threads)) == 1
            or len({threads[k] for k in {*map(keys_a.__getitem__, a), *map(keys_b.__getitem__, b)}})
            == 1
        ):
            return [(a, b)]
        groups: dict[str, tuple[list[int], list[int]]] = {}
        for rows, keys, which in ((a, keys_a, 0), (b, keys_b, 1)):
            for row in rows:
                groups.setdefault(threads[keys[row]], ([], []))[which].append(row)
        return groups.values()

    @cached_property
    def _threads(self) -> list[str]:
        return [thread for _kind, _trace_id, thread in self._keys]

    def _matches(self, a: list[int], b: list[int]) -> list[tuple[int, int]]:
        keys_a = list(map(self._side_a.keys.__getitem__, a))
        keys_b = list(map(self._side_b.keys.__getitem__, b))
        if any(self._threads[key] != _MAIN for key in (*keys_a[:1], *keys_b[:1])):
            return self._by_content(a, b)
        if keys_a == keys_b:
            return list(zip(a, b, strict=True))
        return [
            (a[i] if i >= 0 else _ALONE, b[j] if j >= 0 else _ALONE)
            for i, j in _matched(keys_a, keys_b)
        ]

    def _by_content(self, a: list[int], b: list[int]) -> list[tuple[int, int]]:
        """Pair calls that a pool may have begun in any order: those with equal inputs first.

        Calls of one function with the same inputs are alike, whichever of them came first. What is
        left is paired by order.
        """
        taken: dict[int, int] = {}
        left_a, left_b = a, b
        for one, two in (
            (self._side_a.contents, self._side_b.contents),
            (self._side_a.keys, self._side_b.keys),
        ):
            waiting: dict[object, list[int]] = defaultdict(list)
            for row in reversed(left_b):
                waiting[two[row]].append(row)
            for row in left_a:
                same = waiting.get(one[row])
                if same:
                    taken[row] = same.pop()
            if len(taken) == len(a) == len(b):
                return list(taken.items()) if left_a is a else [(row, taken[row]) for row in a]
            used = set(taken.values())
            left_a = [row for row in a if row not in taken]
            left_b = [row for row in b if row not in used]
        return [(row, taken.get(row, _ALONE)) for row in a] + [(_ALONE, row) for row in left_b]

    def _first(self, pairs: list[tuple[int, int]], above: tuple[int, int]) -> Missing:
        """The first of pairs below another that only one run has."""
        place, (row_a, row_b) = next((n, p) for n, p in enumerate(pairs) if min(p) < 0)
        pair = self.pair(row_a, row_b)
        begun = float(pair.any.started)
        calls, which = (self.b, 1) if row_a >= 0 else (self.a, 0)
        others = (rows[which] for rows in pairs[place + 1 :] if rows[which] >= 0)
        other = float(next((calls.started[row] for row in others), float("inf")))
        if row_a >= 0:
            return Missing(pair, begun - 0.5, begun, other)
        return Missing(pair, self._ahead(pairs, place, above) - 0.5, other, begun)


def _less_than_all(forms: array[int], partner: array[int], limit: int) -> set[int]:
    """The forms that have a call whose partner is less than `limit`."""
    if min(partner) >= limit:
        return set()
    return {form for form, other in zip(forms, partner, strict=True) if other < limit}


def _order(missing: Missing) -> float:
    return missing.order


class _Side:
    """One run's calls as the alignment sees them: a number for what each is a call of, and its caller."""

    def __init__(self, calls: Calls, known: Known, keys: dict[tuple[str, str, str], int]) -> None:
        self.calls = calls
        numbers = {}
        apart = set()
        for number, form in calls.forms.items():
            key = (form.kind, form.trace_id, form.thread)
            numbers[number] = keys.setdefault(key, len(keys))
            if form.kind == "run" or key[:2] not in known:
                apart.add(number)
        self.keys = array("q", map(numbers.__getitem__, calls.form))
        # The run's own record is the last, unless a thread went on after its end.
        self.root = len(calls) - 1 if calls.ident[-1] == 0 else self.rows[0]
        if all(calls.forms[number].kind == "run" for number in apart):
            self.apart = [self.root]
        else:
            self.apart = [row for row, form in enumerate(calls.form) if form in apart]
        self._apart_rows = {self.root, *self.apart}

    @cached_property
    def rows(self) -> dict[int, int]:
        """The row of each ident."""
        return dict(zip(self.calls.ident, range(len(self.calls)), strict=True))

    @cached_property
    def contents(self) -> list[tuple[int, bytes]]:
        """What each call is a call of, and the digest of its inputs."""
        entries, width = bytes(_entries(self.calls)), DIGEST
        parts = [entries[at : at + width] for at in range(0, len(entries), width)]
        return list(zip(self.keys, parts, strict=True))

    def parent_row(self, row: int) -> int:
        """The row of the nearest call around this one that takes part."""
        ident, parent, rows = self.calls.ident, self.calls.parent, self.rows
        while True:
            # It opened earlier; anything else is damage, and would lead in a circle.
            up = rows.get(parent[row], self.root) if 0 <= parent[row] < ident[row] else self.root
            if up == self.root or up not in self._apart_rows:
                return up
            row = up

    def in_order(self, kind: str | None = None) -> list[int]:
        """The rows that take part, in the order in which the calls opened."""
        chosen = {n for n, form in self.calls.forms.items() if kind is None or form.kind == kind}
        apart = self._apart_rows
        rows = [r for r, f in enumerate(self.calls.form) if f in chosen and r not in apart]
        rows.sort(key=self.calls.ident.__getitem__)
        return rows

    def below(self, start: int) -> dict[int, list[int]]:
        """The rows from `start` on that take part, by the ident of their caller, as they opened."""
        calls, apart = self.calls, self._apart_rows
        ident, parent = calls.ident, calls.parent
        order = sorted(range(start, len(calls)), key=ident.__getitem__)
        # Callers without a record, damaged ones and those that take no part.
        odd = set(parent) - self.rows.keys()
        odd.update(ident[row] for row in apart if row != self.root)
        found: dict[int, list[int]] = defaultdict(list)
        for row in order:
            if row in apart:
                continue
            up = parent[row]
            if up in odd or up >= ident[row]:
                up = ident[self.parent_row(row)]
            found[up].append(row)
        return found

    def open(self, alike: int, *below: dict[int, list[int]]) -> Iterator[int]:
        """The rows before `alike` that calls after it belong to; there are some only in threads and
        coroutines, where a call may be over before one that it began."""
        for ident in {ident for each in below for ident in each}:
            row = self.rows.get(ident, self.root)
            if row < alike and row != self.root:
                yield row


def _alike(a: _Side, b: _Side) -> int:
    """How many rows, from the first, are the same calls in both runs."""
    columns = [
        (a.keys, b.keys),
        (a.calls.ident, b.calls.ident),
        (a.calls.parent, b.calls.parent),
        (_entries(a.calls), _entries(b.calls)),
    ]
    length = min(len(a.calls), len(b.calls))
    for one, two in columns:
        width = len(one) // len(a.calls)
        length = min(length, _common(one, two, length * width) // width)
    if length == len(a.calls) == len(b.calls):
        return length
    # The callers of these calls may be over later only; they have to be the same as well.
    callers = set(a.calls.parent[:length]).difference(a.calls.ident[:length], (-1, 0))
    while callers:
        ident = callers.pop()
        row_a, row_b = a.rows.get(ident), b.rows.get(ident)
        if row_a is None or row_b is None or a.keys[row_a] != b.keys[row_b]:
            return 0
        up = a.calls.parent[row_a]
        if up != b.calls.parent[row_b]:
            return 0
        if 0 < up < ident:
            callers.add(up)
    return length


def _entries(calls: Calls) -> bytearray:
    return calls.entry or bytearray(DIGEST * len(calls))


def _common(a: Sequence[int], b: Sequence[int], length: int) -> int:
    """How many items, from the first, are equal."""
    if a[:length] == b[:length]:
        return length
    low, high = 0, length
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _matched(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Pair the places of equal items without crossing; -1 stands for one that has no partner.

    Near by first: where the sequences part, the shortest way to a common stretch is taken. Where
    there is none near by, items are paired by number among their like.
    """
    pairs: list[tuple[int, int]] = []
    i, j = 0, 0
    only_a, only_b = set(a).difference(b), set(b).difference(a)
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            same = _run(a, b, i, j)
            pairs += zip(range(i, i + same), range(j, j + same), strict=True)
            i, j = i + same, j + same
        elif a[i] in only_a:
            pairs.append((i, _ALONE))
            i += 1
        elif b[j] in only_b:
            pairs.append((_ALONE, j))
            j += 1
        else:
            gap = _gap(a, b, i, j)
            if gap is None:
                break
            pairs += [(n, _ALONE) for n in range(i, i + gap[0])]
            pairs += [(_ALONE, n) for n in range(j, j + gap[1])]
            i, j = i + gap[0], j + gap[1]
    return pairs + _by_number(a, b, i, j)


def _run(a: list[int], b: list[int], i: int, j: int) -> int:
    """How many items are equal from two places on."""
    start, size = i, 64
    while a[i : i + size] == b[j : j + size] and i < len(a) and j < len(b):
        step = min(len(a) - i, len(b) - j, size)
        i, j, size = i + step, j + step, size * 2
    while i < len(a) and j < len(b) and a[i] == b[j]:
        i, j = i + 1, j + 1
    return i - start


def _gap(a: list[int], b: list[int], i: int, j: int) -> tuple[int, int] | None:
    """How many items to leave out of either sequence, so that they go on alike."""
    for out in range(1, _AHEAD + 1):
        for from_b in range(out + 1):
            from_a = out - from_b
            ahead = a[i + from_a : i + from_a + _STRETCH]
            if ahead and ahead == b[j + from_b : j + from_b + _STRETCH]:
                return from_a, from_b
    return None


def _by_number(a: list[int], b: list[int], i: int, j: int) -> list[tuple[int, int]]:
    """Pair what is left: the first with the first of each kind, and so on, as many as do not cross."""
    waiting: dict[int, list[int]] = defaultdict(list)
    for place in range(len(b) - 1, j - 1, -1):
        waiting[b[place]].append(place)
    found = [(n, waiting[a[n]].pop()) for n in range(i, len(a)) if waiting.get(a[n])]
    kept = _rising(found)
    pairs: list[tuple[int, int]] = []
    for one, two in [*kept, (len(a), len(b))]:
        pairs += [(n, _ALONE) for n in range(i, one)]
        pairs += [(_ALONE, n) for n in range(j, two)]
        if one < len(a):
            pairs.append((one, two))
        i, j = one + 1, two + 1
    return pairs


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of these whose second places rise, too (patience sorting)."""
    ends: list[int] = []
    heads: list[int] = []
    before: list[int] = []
    for number, (_one, two) in enumerate(pairs):
        pile = bisect_left(ends, two)
        before.append(heads[pile - 1] if pile else -1)
        if pile == len(ends):
            ends.append(two)
            heads.append(number)
        else:
            ends[pile], heads[pile] = two, number
    kept: list[tuple[int, int]] = []
    number = heads[-1] if heads else -1
    while number >= 0:
        kept.append(pairs[number])
        number = before[number]
    return kept[::-1]


def _with_unfinished(calls: Calls, others: Calls) -> Calls:
    """Stand in for calls that were running when their process died, and so have no record.

    Idents count calls as they open: until two runs part, the other run's record of the same ident
    says which function it was. The run's own record is the last one to be written.
    """
    absent: set[int] = set()
    if max(calls.ident, default=0) >= len(calls):  # else every ident has its record
        absent = set(calls.parent) - set(calls.ident) - {-1, 0}
    stand_ins = []
    if absent:
        for row, ident in enumerate(others.ident):
            if ident in absent:
                form = others.forms[others.form[row]]
                like = Form(form.kind, form.trace_id, form.thread)
                stand_ins.append((like, ident, others.parent[row], others.started[row]))
    if 0 not in calls.ident[-1:] and 0 not in calls.ident:
        stand_ins.append((Form("run", "run", _MAIN), 0, -1, 0))
    return calls.with_stand_ins(stand_ins)
