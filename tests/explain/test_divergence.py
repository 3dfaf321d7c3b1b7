"""The first point at which two runs part, and how what differs there differs."""

from __future__ import annotations

import numpy as np
import pytest

from ato.db_routers.sql.calls import calls_of
from ato.events import CallRecord, Draw, Leaf
from ato.explain.align import Alignment, align
from ato.explain.divergence import Difference, advanced, pair_difference
from ato.fingerprints.observe import observe

KNOWN = {("call", "step")}


def leaf(value: object) -> Leaf:
    """What a traced call keeps of a value that it gave."""
    (found,) = observe(value, "output").leaves.values()
    return found


def aligned(a: dict[str, object], b: dict[str, object]) -> Alignment:
    """Two runs of one call each, with these fields."""
    runs = (
        [
            CallRecord("call", "step", 1, 0, 0, 0, 0, **fields),  # type: ignore[arg-type]
            CallRecord("run", "run", 0, None, 0, 1, 0),
        ]
        for fields in (a, b)
    )
    first, second = map(calls_of, runs)
    return align(first, second, KNOWN)


def difference(a: object, b: object) -> Difference | None:
    """How the outputs of one call in two runs differ."""
    found = aligned({"output": {"output['w']": leaf(a)}}, {"output": {"output['w']": leaf(b)}})
    (pair,) = found.top.children
    return pair_difference(pair)


ROWS = np.arange(12.0).reshape(4, 3)
WITH_NAN = np.where(ROWS == 5, np.nan, ROWS)


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        (ROWS, ROWS[::-1].copy(), "order"),
        (ROWS, ROWS + 1, "values"),
        (ROWS, ROWS[:2], "shape"),
        (ROWS, ROWS.astype("float32"), "dtype"),
        (ROWS, WITH_NAN, "nan"),
        (WITH_NAN, WITH_NAN[::-1].copy(), "order"),
        (1.0, float("nan"), "nan"),
        (1.0, 2.0, "values"),
        (1, 1.0, "dtype"),
    ],
    ids=["order", "values", "shape", "dtype", "nan", "nan and order", "nan", "number", "type"],
)
def test_how_two_values_differ(a: object, b: object, kind: str) -> None:
    """Order, shape, dtype and NaN are told apart from other values, with the path of the leaf."""
    found = difference(a, b)
    assert found is not None
    assert (found.kind, found.path) == (kind, "output['w']")


def test_equal_values_do_not_differ() -> None:
    """The same array in another place is the same."""
    assert difference(ROWS, ROWS.copy()) is None


def test_the_distance_of_numbers_is_exact() -> None:
    """Of scalars |a - b| / |a| is known without an error."""
    found = difference(2.0, 2.5)
    assert found is not None
    assert (found.distance, found.error) == (0.25, 0.0)


def test_the_distance_of_arrays_is_estimated() -> None:
    """Of arrays it comes from their sketches, with its standard error: rounding is tiny."""
    array = np.random.default_rng(0).standard_normal((64, 64))
    near, far = difference(array, array * (1 + 1e-9)), difference(array, array * 1.5)
    assert near is not None
    assert far is not None
    assert near.distance == pytest.approx(1e-9, rel=0.4)
    assert far.distance == pytest.approx(0.5, rel=0.4)
    assert 0 < far.error < 0.1


def test_an_outcome_is_another_result() -> None:
    """A call that raised in one run differs in how it ended."""
    found = aligned({}, {"outcome": "raised", "error": "ValueError: no"})
    assert pair_difference(found.top.children[0]) == Difference("outcome")


def test_an_input_that_ends_up_the_same_is_no_difference() -> None:
    """What both runs leave in a mutable input counts, not which of them had to change it."""
    one, two = leaf(1.0), leaf(2.0)
    found = aligned({"inputs": {"x": one}}, {"inputs": {"x": two}, "mutated": {"x": one}})
    (pair,) = found.top.children
    assert list(found.differing()) == [pair.rows]  # the digests differ, the leaves do not
    assert pair_difference(pair) is None


def test_a_draw_that_only_one_run_makes() -> None:
    """A generator that stands elsewhere after a call, and not before it, is a difference."""
    found = aligned({"random": {"torch": Draw("s", "s")}}, {"random": {"torch": Draw("s", "t")}})
    (pair,) = found.top.children
    assert list(advanced(pair)) == [("torch", False, True)]
    assert pair_difference(pair) == Difference("values", "state of torch after the call")
