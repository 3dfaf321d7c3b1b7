"""The first point at which two runs part: a call, a missing call, an outcome or a metric point."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ato.events import CallRecord, Leaf
from ato.explain.align import Pair
from ato.explain.load import MetricPoint, Run

__all__ = ["Difference", "Split", "advanced", "differing_inputs", "first_split", "pair_difference"]

_END = math.inf


@dataclass(frozen=True)
class Difference:
    """How two values differ: `kind` as in the JSON answer, the leaf, and |a − b| / |a|."""

    kind: str
    path: str | None = None
    distance: float | None = None


@dataclass(frozen=True)
class Split:
    """Where the runs part, and how far the stretch of the enclosing call reached by then.

    `call` is the pair of calls that differs, if one does; `stretch` the enclosing pair, judged up
    to position `until_a` of the first run and `until_b` of the second.
    """

    difference: Difference
    order: float
    stretch: Pair
    until_a: float
    until_b: float
    call: Pair | None = None
    metric: str | None = None


def first_split(top: Pair, a: Run, b: Run) -> Split | None:
    """Find the first divergence in completion order; `None` if nothing that was watched differs."""
    splits = list(_call_splits(top))
    differing = any(split.difference.kind != "missing" for split in splits)
    splits += _metric_splits(top, a, b, values=not differing)
    if not splits and (a.label.status, a.label.error) != (b.label.status, b.label.error):
        return Split(Difference("outcome"), _END, top, _END, _END)
    return min(splits, key=lambda split: split.order, default=None)


def differing_inputs(pair: Pair) -> list[str]:
    """The input leaves that differ when the call begins."""
    if pair.a is None or pair.b is None:
        return []
    return list(_differing_leaves(pair.a.inputs, pair.b.inputs))


def advanced(pair: Pair) -> Iterator[tuple[str, bool, bool]]:
    """Each generator that the call advanced in either run: its name, and whether the states before
    and after the call differ between the runs."""
    if pair.a is None or pair.b is None:
        return
    for name in sorted(pair.a.random.keys() | pair.b.random.keys()):
        left, right = pair.a.random.get(name), pair.b.random.get(name)
        if any(draw is not None and draw.before != draw.after for draw in (left, right)):
            yield (
                name,
                left is None or right is None or left.before != right.before,
                left is None or right is None or left.after != right.after,
            )


def _call_splits(top: Pair) -> Iterator[Split]:
    for parent in top.walk():
        missing = False
        for place, pair in enumerate(parent.children):
            if pair.a is not None and pair.b is not None:
                split = _split_of(pair, parent)
            elif missing or parent.a is None or parent.b is None:
                continue  # one missing call says all: what follows it stands elsewhere
            else:
                missing = True
                until = _missing_at(pair, parent.children[place + 1 :])
                split = Split(Difference("missing"), pair.order, parent, *until, pair)
            if split is not None:
                yield split


def pair_difference(pair: Pair) -> Difference | None:
    """How a call that both runs have differs: its outcome, output, mutated inputs, random draws."""
    assert pair.a is not None
    assert pair.b is not None
    return _difference(pair.a, pair.b) or _draw_difference(pair)


def _split_of(pair: Pair, parent: Pair) -> Split | None:
    assert pair.a is not None
    assert pair.b is not None
    difference = pair_difference(pair)
    if difference is None:
        return None
    if pair.any.kind == "scope":
        # An `@scope` function has no output of its own: how it ended is its own stretch.
        return Split(difference, pair.order, pair, _END, _END)
    return Split(difference, pair.order, parent, pair.a.started, pair.b.started, pair)


def _missing_at(pair: Pair, after: list[Pair]) -> tuple[float, float]:
    """The positions at which a call that only one run has would stand in each of them."""
    begun = float(pair.any.started)
    other = _END
    for sibling in after:
        record = sibling.b if pair.a is not None else sibling.a
        if record is not None:
            other = record.started
            break
    return (begun, other) if pair.a is not None else (other, begun)


def _difference(a: CallRecord, b: CallRecord) -> Difference | None:
    if (a.outcome, a.error) != (b.outcome, b.error):
        return Difference("outcome")
    for path in _differing_leaves(a.output, b.output):
        return _leaf_difference(path, a.output.get(path), b.output.get(path))
    if a.mutated or b.mutated:
        final_a, final_b = {**a.inputs, **a.mutated}, {**b.inputs, **b.mutated}
        touched = a.mutated.keys() | b.mutated.keys()
        for path in _differing_leaves(final_a, final_b):
            if path in touched:
                return _leaf_difference(path, final_a.get(path), final_b.get(path))
    return None


def _draw_difference(pair: Pair) -> Difference | None:
    for name, before_differs, after_differs in advanced(pair):
        if after_differs and not before_differs:
            return Difference("values", f"state of {name} after the call")
    return None


def _differing_leaves(a: dict[str, Leaf], b: dict[str, Leaf]) -> Iterator[str]:
    for path in [*a, *(path for path in b if path not in a)]:
        left, right = a.get(path), b.get(path)
        if left is None or right is None or left.fingerprint != right.fingerprint:
            yield path


def _leaf_difference(path: str, left: Leaf | None, right: Leaf | None) -> Difference:
    if left is None or right is None:
        return Difference("missing", path)
    if left.shape != right.shape:
        return Difference("shape", path)
    if left.dtype != right.dtype or left.type != right.type:
        return Difference("dtype", path)
    if _nans(left) != _nans(right):
        return Difference("nan", path)
    if left.order_free is not None and left.order_free == right.order_free:
        return Difference("order", path)
    return Difference("values", path, _relative_distance(left, right))


def _nans(leaf: Leaf) -> float:
    if leaf.summary is not None:
        return leaf.summary.get("nan", 0)
    return float(leaf.text == "nan")


def _relative_distance(left: Leaf, right: Leaf) -> float | None:
    """|a − b| / |a| of two scalars, from their text; of arrays nothing is known here."""
    if left.type not in _NUMBERS or left.text is None or right.text is None:
        return None
    try:
        a, b = float(left.text), float(right.text)
    except ValueError:
        return None
    distance = abs(a - b)
    ratio = distance / abs(a) if a else _END
    return ratio if math.isfinite(ratio) else None


# The types, of Python and NumPy, whose text is the number.
_NUMBERS = frozenset(
    {"int", "float", "float16", "float32", "float64", "int8", "int16", "int32", "int64"}
    | {"uint8", "uint16", "uint32", "uint64"}
)


def _metric_splits(top: Pair, a: Run, b: Run, *, values: bool) -> Iterator[Split]:
    """Metric points that only one run has and, if no call differs, points whose values differ."""
    pairs = {pair.a.ident: pair for pair in top.walk() if pair.a is not None}
    others = {pair.b.ident: pair for pair in top.walk() if pair.b is not None}
    points_a, points_b = _by_key(a.metrics), _by_key(b.metrics)
    for key in [*points_a, *(key for key in points_b if key not in points_a)]:
        left, right = points_a.get(key, []), points_b.get(key, [])
        for one, two in zip(left, right, strict=False):
            if values and not _same(one.value, two.value):
                difference = Difference("values", key, _ratio(one.value, two.value))
                yield _metric_split(difference, one, two, pairs.get(one.ident, top))
                break
        common = min(len(left), len(right))
        if len(left) > common:
            extra = left[common]
            yield _metric_split(
                Difference("missing", key), extra, None, pairs.get(extra.ident, top)
            )
        elif len(right) > common:
            extra = right[common]
            yield _metric_split(
                Difference("missing", key), None, extra, others.get(extra.ident, top)
            )


def _metric_split(
    difference: Difference, a: MetricPoint | None, b: MetricPoint | None, stretch: Pair
) -> Split:
    until_a = _END if a is None else a.position
    until_b = _END if b is None else b.position
    order = until_a if a is not None else _END
    return Split(difference, order - 0.25, stretch, until_a, until_b, None, difference.path)


def _by_key(points: Iterable[MetricPoint]) -> dict[str, list[MetricPoint]]:
    found: dict[str, list[MetricPoint]] = defaultdict(list)
    for point in points:
        found[point.key].append(point)
    return found


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _ratio(a: float, b: float) -> float | None:
    if not a or not math.isfinite(a) or not math.isfinite(b):
        return None
    return abs(a - b) / abs(a)
