"""The first point at which two runs part: a call, a missing call, an outcome or a metric point."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from ato.db_routers.sql.calls import Call
from ato.events import Leaf
from ato.exceptions import AtoError
from ato.explain.align import Alignment, Missing, Pair
from ato.explain.load import MetricPoint, Run

__all__ = ["Difference", "Split", "advanced", "differing_inputs", "first_split", "pair_difference"]

_END = math.inf


@dataclass(frozen=True)
class Difference:
    """How two values differ: `kind` as in the JSON answer, the leaf, and |a − b| / |a|.

    `error` is the standard error of `distance`: that of an estimate from sketches, 0 for scalars.
    """

    kind: str
    path: str | None = None
    distance: float | None = None
    error: float | None = None


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


def first_split(alignment: Alignment, a: Run, b: Run, rank: int = 0) -> Split | None:
    """Find the first divergence in completion order; `None` if nothing that was watched differs."""
    differing = next(_call_splits(alignment), None)
    splits = [] if differing is None else [differing]
    splits += [_missing_split(missing) for missing in alignment.missing]
    if rank == 0:
        splits += _metric_splits(alignment, a, b, values=differing is None)
    if not splits and (a.label.status, a.label.error) != (b.label.status, b.label.error):
        return Split(Difference("outcome"), _END, alignment.top, _END, _END)
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


def _call_splits(alignment: Alignment) -> Iterator[Split]:
    for rows in alignment.differing():
        pair = alignment.pair(*rows)
        parent = pair.parent
        assert parent is not None
        split = _split_of(pair, parent)
        if split is not None:
            yield split


def _missing_split(missing: Missing) -> Split:
    # One missing call says all: what follows it stands elsewhere.
    pair = missing.pair
    assert pair.parent is not None
    until = missing.until_a, missing.until_b
    return Split(Difference("missing"), missing.order, pair.parent, *until, pair)


def pair_difference(pair: Pair) -> Difference | None:
    """How a call that both runs have differs: its outcome, output, mutated inputs, random draws."""
    assert pair.a is not None
    assert pair.b is not None
    if pair.a.effect == pair.b.effect:
        return None
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


def _difference(a: Call, b: Call) -> Difference | None:
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
    if left.order_free is not None and left.order_free == right.order_free:
        return Difference("order", path, *_relative_distance(left, right))
    kind = "values" if _nans(left) == _nans(right) else "nan"
    return Difference(kind, path, *_relative_distance(left, right))


def _nans(leaf: Leaf) -> float:
    if leaf.summary is not None:
        return leaf.summary.get("nan", 0)
    return float(leaf.text == "nan")


def _relative_distance(left: Leaf, right: Leaf) -> tuple[float | None, float | None]:
    """|a − b| / |a| and its standard error: of scalars from their text, of arrays from their sketches."""
    if left.sketch is not None and right.sketch is not None:
        return _sketched_distance(left.sketch, right.sketch)
    if left.type not in _NUMBERS or left.text is None or right.text is None:
        return None, None
    try:
        ratio = _ratio(float(left.text), float(right.text))
    except ValueError:
        return None, None
    return ratio, None if ratio is None else 0.0


def _sketched_distance(left: str, right: str) -> tuple[float | None, float | None]:
    from ato.fingerprints import Sketch, relative_distance  # only where two arrays differ

    try:
        distance, error = relative_distance(Sketch.from_text(left), Sketch.from_text(right))
    except AtoError:
        return None, None  # of a run that was recorded otherwise
    if not (math.isfinite(distance) and math.isfinite(error)):
        return None, None
    return distance, error


# The types, of Python and NumPy, whose text is the number.
_NUMBERS = frozenset(
    {"int", "float", "float16", "float32", "float64", "int8", "int16", "int32", "int64"}
    | {"uint8", "uint16", "uint32", "uint64"}
)


def _metric_splits(alignment: Alignment, a: Run, b: Run, *, values: bool) -> Iterator[Split]:
    """Metric points that only one run has and, if no call differs, points whose values differ."""
    points_a, points_b = _by_key(a.metrics), _by_key(b.metrics)
    for key in [*points_a, *(key for key in points_b if key not in points_a)]:
        for one, two in _point_pairs(points_a.get(key, []), points_b.get(key, [])):
            if one is None or two is None:
                known = one or two
                assert known is not None
                stretch = alignment.at(known.ident, second=one is None)
                split = _metric_split(Difference("missing", key), one, two, stretch)
                later = (p for p in points_a.get(key, []) if one is None and _is_later(p, known))
                yield replace(split, order=min(split.order, *(p.position for p in later), _END))
                break
            if values and not _same(one.value, two.value):
                difference = _metric_difference(key, one.value, two.value)
                yield _metric_split(difference, one, two, alignment.at(one.ident))
                break


def _is_later(a: MetricPoint, b: MetricPoint) -> bool:
    return a.step is not None and b.step is not None and a.step > b.step


def _point_pairs(
    a: list[MetricPoint], b: list[MetricPoint]
) -> Iterable[tuple[MetricPoint | None, MetricPoint | None]]:
    """The points of one metric in both runs: those of a step, where each has steps of its own, so that
    a run that logs less often lacks points; else in order."""
    steps_a, steps_b = {p.step: p for p in a}, {p.step: p for p in b}
    if len(steps_a) < len(a) or len(steps_b) < len(b) or not steps_a.keys() & steps_b.keys():
        return zip_longest(a, b)
    steps = dict.fromkeys([*steps_a, *steps_b])
    if all(step is not None for step in steps):
        steps = dict.fromkeys(sorted(steps, key=lambda step: step or 0))
    return [(steps_a.get(step), steps_b.get(step)) for step in steps]


def _metric_difference(key: str, a: float, b: float) -> Difference:
    ratio = _ratio(a, b)
    kind = "nan" if math.isnan(a) != math.isnan(b) else "values"
    return Difference(kind, key, ratio, None if ratio is None else 0.0)


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
