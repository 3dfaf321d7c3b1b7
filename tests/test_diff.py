"""What differs between two configs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.adict import ADict
from ato.diff import Change, diff
from ato.exceptions import ConfigTypeError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, -0.0, 1.0, float("nan")])
    | st.sampled_from(["", "a", "1"])
    | st.lists(st.integers(0, 2), max_size=2)
    | st.lists(st.sampled_from([0.0, -0.0, float("nan"), True, 1, (1,), [1]]), max_size=2)
    | st.lists(st.dictionaries(st.sampled_from(["a", 1]), st.sampled_from([1, 1.0]), max_size=1))
)
keys = st.sampled_from(["a", "b", "a.b", "", "[0]", "[1]", 0, 1, 1.0, True, None, (1, "a")])
mappings = st.dictionaries(
    keys,
    st.recursive(leaves, lambda v: st.dictionaries(keys, v, max_size=3), max_leaves=6),
    max_size=4,
)


def spelled(value):
    """A text that two values share only if they are the same in type and value."""
    if isinstance(value, dict):
        return sorted((repr(key), str(spelled(item))) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__} {[spelled(item) for item in value]}"
    return f"{type(value).__name__} {value!r}"


@given(mappings, mappings)
def test_different_is_reported_and_equal_is_silent(a, b):
    """A diff is empty exactly where the two are the same in every type and value."""
    assert bool(diff(a, b)) == (spelled(a) != spelled(b))


@given(mappings)
def test_nothing_differs_from_its_copy(a):
    """A copy is silent, as a plain dict or as a config."""
    assert not diff(a, copy.deepcopy(a))
    assert not diff(ADict(a), a)


def test_every_path_is_named():
    """Added, removed and changed leaves are named by dotted path."""
    found = diff(
        {"lr": 0.1, "model": {"depth": 1, "old": 2}}, {"lr": 1, "model": {"depth": 2, "new": 3}}
    )
    assert found.added == {"model.new": 3}
    assert found.removed == {"model.old": 2}
    assert found.changed == {
        "lr": Change(0.1, 1, "type"),
        "model.depth": Change(1, 2, "value"),
    }
    assert str(found) == (
        "- model.old  2\n+ model.new  3\n~ lr  0.1 → 1  (float → int)\n~ model.depth  1 → 2"
    )


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [(True, 1, "type"), (0.0, -0.0, "value"), ([1], (1,), "type"), ({}, None, "type")],
)
def test_look_alikes_differ(a, b, kind):
    """What Python calls equal, and is not the same, differs."""
    assert diff({"x": a}, {"x": b}).changed["x"].kind == kind


def test_arrays_compare_by_content():
    """Equal arrays are silent, whatever their layout; other contents or types are reported."""
    x = np.arange(6.0).reshape(2, 3)
    assert not diff({"x": x}, {"x": np.asfortranarray(x.copy())})
    assert diff({"x": x}, {"x": x.astype(np.float32)})
    assert diff({"x": x}, {"x": x + 1})


class Alike:
    """Keys that differ and look the same."""

    def __repr__(self):
        return "same"


def test_keys_that_look_the_same_are_not_mixed_up():
    """A difference is reported even where two keys have one text."""
    one, two = Alike(), Alike()
    assert not diff({one: 1, two: 2}, {one: 1, two: 2})
    for other in ({one: 1, two: 3}, {one: 3, two: 2}, {one: 1}):
        assert diff({one: 1, two: 2}, other)
        assert diff(other, {one: 1, two: 2})


def test_numbers_of_numpy_are_no_python_numbers():
    """A NumPy scalar differs from the number that it equals, and NaN equals NaN."""
    assert diff({"x": np.float64(1.0)}, {"x": 1.0}).changed["x"].kind == "type"
    assert diff({"x": np.float64(0.0)}, {"x": np.float64(-0.0)})
    assert not diff({"x": np.float64("nan")}, {"x": np.float64("nan")})
    assert diff({"x": np.int64(1)}, {"x": np.int32(1)})


def test_only_mappings_have_a_diff():
    """Anything else is a TypeError."""
    with pytest.raises(ConfigTypeError, match="a diff is of two mappings, not of 3"):
        diff({}, 3)


def test_what_has_no_fingerprint_is_reported():
    """A value that cannot be compared is named as changed, unless it is the same object."""
    one, two = (i for i in ()), (i for i in ())
    assert diff({"x": one}, {"x": two}).changed
    assert not diff({"x": one}, {"x": one})
