"""Pairing the calls of two runs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ato.db_routers.sql.calls import calls_of
from ato.events import CallRecord, Leaf
from ato.explain import align as alignment
from ato.explain.align import Pair

NAMES = st.lists(st.sampled_from(["load", "step", "evaluate"]), max_size=30)
KNOWN = {("call", name) for name in ("load", "step", "evaluate", "outer")}


def align(a: list[CallRecord], b: list[CallRecord], known: set[tuple[str, str]]) -> Pair:
    """Pair the calls of two runs that are in memory."""
    return alignment.align(calls_of(a), calls_of(b), known).top


def flat_run(names: list[str]) -> list[CallRecord]:
    """A run whose calls follow one another, the run's own record last."""
    calls = [
        CallRecord("call", name, number + 1, 0, 0, number, number)
        for number, name in enumerate(names)
    ]
    return [*calls, CallRecord("run", "run", 0, None, 0, len(names), 0)]


def shape(pair: Pair) -> list[tuple[str | None, str | None]]:
    return [
        (child.a.trace_id if child.a else None, child.b.trace_id if child.b else None)
        for child in pair.children
    ]


@given(NAMES)
def test_equal_sequences_pair_one_to_one(names: list[str]) -> None:
    """Two runs with the same calls pair each call with its like."""
    top = align(flat_run(names), flat_run(names), KNOWN)
    assert shape(top) == [(name, name) for name in names]
    assert [child.order for child in top.children] == list(range(len(names)))


@given(NAMES, NAMES)
def test_every_call_stands_in_exactly_one_pair(a: list[str], b: list[str]) -> None:
    """No call is lost or used twice, order is kept, and only like calls are paired."""
    top = align(flat_run(a), flat_run(b), KNOWN)
    assert [left for left, _ in shape(top) if left] == a
    assert [right for _, right in shape(top) if right] == b
    assert all(left == right for left, right in shape(top) if left and right)


def test_an_inserted_call_does_not_shift_the_rest() -> None:
    """A call that one run has more stands alone, and those after it still pair up."""
    top = align(
        flat_run(["load", "step", "step"]), flat_run(["load", "evaluate", "step", "step"]), KNOWN
    )
    assert shape(top) == [
        ("load", "load"),
        (None, "evaluate"),
        ("step", "step"),
        ("step", "step"),
    ]
    # It stands before the call that follows it in both runs.
    assert top.children[0].order < top.children[1].order < top.children[2].order


def test_calls_that_only_one_run_could_record_leave_their_children_to_their_parent() -> None:
    """Tracing one more function is no difference between the runs."""
    plain = flat_run(["step"])
    wrapped = [
        CallRecord("call", "step", 2, 1, 0, 0, 0),
        CallRecord("call", "outer", 1, 0, 0, 1, 0),
        CallRecord("run", "run", 0, None, 0, 2, 0),
    ]
    top = align(plain, wrapped, {("call", "step")})
    assert shape(top) == [("step", "step")]


def test_a_run_that_died_is_paired_through_the_other_runs_functions() -> None:
    """Calls inside a function that never returned pair with those of the run that finished."""
    whole = [
        CallRecord("call", "step", 2, 1, 0, 0, 0),
        CallRecord("call", "step", 3, 1, 1, 1, 1),
        CallRecord("scope", "outer", 1, 0, 0, 2, 0),
        CallRecord("run", "run", 0, None, 0, 3, 0),
    ]
    top = align(whole, whole[:1], {("call", "step"), ("scope", "outer")})
    (outer,) = top.children
    assert shape(outer) == [("step", "step"), ("step", None)]


def test_a_damaged_store_leads_in_no_circle() -> None:
    """A call that claims to be its own parent is taken for one of the run's."""
    calls = [
        CallRecord("call", "outer", 1, 1, 0, 0, 0),
        CallRecord("call", "step", 2, 2, 0, 1, 1),
        CallRecord("run", "run", 0, None, 0, 2, 0),
    ]
    assert shape(align(calls, calls, {("call", "step")})) == [("step", "step")]


def inserted(every: int, names: list[str], extra: str) -> list[str]:
    """The names with one more after every so many."""
    return [
        each
        for n, name in enumerate(names, 1)
        for each in ([name, extra] if n % every == 0 else [name])
    ]


def pooled(items: list[int]) -> list[CallRecord]:
    """A run in which a pool makes one call for each item, in this order."""
    calls = [
        CallRecord(
            "call", "step", n + 1, 0, n, n, n, "pool-_",
            inputs={"item": Leaf(str(item), "int")}, output={"output": Leaf(str(item), "int")},
        )
        for n, item in enumerate(items)
    ]  # fmt: skip
    return [*calls, CallRecord("run", "run", 0, None, 0, len(items), 0)]


def test_insertions_all_along_leave_the_rest_paired() -> None:
    """A call that one run has more at every tenth place costs none of the others its partner."""
    names = ["load", "step", "evaluate"] * 3000
    other = inserted(10, names, "step")
    top = align(flat_run(names), flat_run(other), KNOWN)
    assert sum(left is not None and right is not None for left, right in shape(top)) == len(names)


@given(st.permutations(range(12)))
def test_a_pool_may_begin_its_calls_in_any_order(items: list[int]) -> None:
    """Calls of a pool are paired by what went into them, so that no order is a difference."""
    found = alignment.align(calls_of(pooled(list(range(12)))), calls_of(pooled(items)), KNOWN)
    assert all(pair.a.inputs == pair.b.inputs for pair in found.top.children if pair.a and pair.b)
    assert not list(found.differing())
    assert not found.missing


def test_what_a_pool_was_given_differently_is_paired_by_order() -> None:
    """Calls with other inputs are no missing calls."""
    top = align(pooled([1, 2, 3]), pooled([3, 7, 1]), KNOWN)
    pairs = [(pair.a.inputs["item"].fingerprint, pair.b.inputs["item"].fingerprint) for pair in top.children if pair.a and pair.b]  # fmt: skip
    assert sorted(pairs) == [("1", "1"), ("2", "7"), ("3", "3")]


def test_calls_within_calls_a_thousand_deep() -> None:
    """Recursion is walked without recursion, and its innermost call has all others around it."""
    depth = 1000
    calls = [
        CallRecord("call", "step", n, n - 1, n - 1, depth - n, 0, output={"o": Leaf(str(n), "int")})
        for n in range(depth, 0, -1)
    ]
    whole = [*calls, CallRecord("run", "run", 0, None, 0, depth, 0)]
    other = [replace(whole[0], output={"o": Leaf("other", "int")}), *whole[1:]]
    found = alignment.align(calls_of(whole), calls_of(other), KNOWN)
    ((row, _),) = found.differing()
    step, above = found.pair(row, row).parent, 0
    while step is not None:
        step, above = step.parent, above + 1
    assert above == depth
