"""What a call took in or gave back is told leaf by leaf, and telling it never fails."""

from __future__ import annotations

import functools
import logging
import random
import sys
import threading
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.adict import ADict
from ato.fingerprints import fingerprint, observe, value_hex
from ato.fingerprints.sketches import Sketch, relative_distance

ADVICE = "pass a part of it or implement __ato_fingerprint__"


@dataclass
class Batch:
    x: object
    y: object


class Model:
    def __init__(self, **parts):
        self.__dict__.update(parts)

    def forward(self, x):
        return x


class Stubborn:
    def __ato_fingerprint__(self):
        raise RuntimeError("not today")


Pair = namedtuple("Pair", "loss accuracy")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 3), inner, max_size=5)
        | st.builds(Batch, inner, inner)
    ),
    max_leaves=20,
)


def prints(value, **options):
    """The fingerprints of the leaves of a value, by path."""
    return {path: leaf.fingerprint for path, leaf in observe(value, "v", **options).leaves.items()}


@given(values, values, st.integers(1, 30))
def test_an_observation_differs_exactly_where_the_values_do(first, second, limit):
    """Two values have the same leaves if and only if they have the same fingerprint."""
    same = value_hex(first) == value_hex(second)
    assert (prints(first, limit=limit) == prints(second, limit=limit)) == same


@given(values, st.integers(1, 30))
def test_an_observation_keeps_its_limit(value, limit):
    """There is at least one leaf and never more of them than the limit."""
    assert 1 <= len(observe(value, "v", limit=limit).leaves) <= limit


def test_a_scalar_is_one_leaf_with_its_text():
    """A float is one leaf under the given path, with type and text."""
    (leaf,) = observe(0.5, "lr").leaves.values()
    assert (leaf.type, leaf.text, leaf.fingerprint) == ("float", "0.5", value_hex(0.5))


@pytest.mark.parametrize(
    "value",
    ["x" * 1000, b"x" * 1000, 10**5000, -(10**5000), Path("a" * 500)],
    ids=["str", "bytes", "large", "negative", "path"],
)
def test_a_text_is_short(value):
    """No leaf's text is longer than 80 characters, however long the value."""
    (leaf,) = observe(value, "v").leaves.values()
    assert 1 <= len(leaf.text) <= 80


def test_nesting_is_opened_by_path():
    """Paths read like the Python that reaches the leaf."""
    value = {"x": [1, {"y": 2}], "model": Model(w=np.zeros(2), pair=Pair(0.1, 0.9))}
    assert list(observe(value, "batch").leaves) == [
        "batch['x'][0]",
        "batch['x'][1]['y']",
        "batch['model']",
        "batch['model'].w",
        "batch['model'].pair",
        "batch['model'].pair.loss",
        "batch['model'].pair.accuracy",
    ]


def test_one_changed_leaf_is_the_only_change():
    """A change deep inside changes the leaf that it is in, and no other."""
    first = prints({"a": [1, Batch(np.arange(3), 2)], "b": 3})
    second = prints({"a": [1, Batch(np.array([0, 1, 9]), 2)], "b": 3})
    assert {path for path in first if first[path] != second[path]} == {"v['a'][1].x"}


def test_an_array_leaf_tells_dtype_shape_and_summary():
    """An array of numbers has its digest, dtype, shape and a summary of its elements."""
    value = np.array([[3.0, -4.0], [np.nan, np.inf]], dtype=np.float32)
    (leaf,) = observe(value, "x").leaves.values()
    assert (leaf.type, leaf.dtype, leaf.shape) == ("ndarray", "float32", (2, 2))
    assert leaf.fingerprint == fingerprint(value).hex
    expected = {"count": 4, "nan": 1, "posinf": 1, "neginf": 0, "min": -4, "max": 3, "mean": -0.5}
    assert leaf.summary == pytest.approx({**expected, "norm": 5.0})


def test_beyond_the_limit_the_rest_of_a_branch_is_one_leaf():
    """A mapping of many arrays names the first ones; a change in the rest is still a change."""
    first = {f"layer{number:03}": np.full(2, number) for number in range(200)}
    second = {**first, "layer150": np.zeros(2)}
    assert len(prints(first)) == 64
    changed = {path for path, digest in prints(first).items() if prints(second)[path] != digest}
    assert changed == {"v[…]"}


def test_the_order_of_keys_does_not_count_beyond_the_limit():
    """Two dicts of equal items in another order name the same leaves."""
    first = {f"key{number}": [number] for number in range(100)}
    assert prints(first) == prints(dict(reversed(first.items())))


def test_many_scalars_are_one_leaf():
    """A long list of numbers is one leaf with its length, not one for each number."""
    (leaf,) = observe(list(range(1000)), "history").leaves.values()
    assert leaf.text == "1000 scalars"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], ()),
        ([1], (1,)),
        ([1], {0: 1}),
        ({}, []),
        ({}, Model()),
        ({"x": 1}, Model(x=1)),
        (Batch(1, 2), Model(x=1, y=2)),
        ({"a": 1}, OrderedDict(a=1)),
        (defaultdict(int), defaultdict(list)),
        (Pair(1, 2), (1, 2)),
        ({1: 2}, {"1": 2}),
        ({1: 2}, {True: 2}),
        ({(1, 2): 3}, {(1, 3): 3}),
    ],
)
def test_containers_of_other_kinds_differ(first, second):
    """What kind a container is counts, also where paths and leaves are the same."""
    assert prints(first) != prints(second)


def test_what_cannot_be_fingerprinted_is_a_gap_with_its_path():
    """A lock, logger or failing object is a gap; its neighbours are leaves all the same."""
    value = {"lock": threading.Lock(), "log": logging.getLogger("a"), "n": 1, "bad": Stubborn()}
    seen = observe(value, "state")
    assert list(seen.leaves) == ["state['n']"]
    assert seen.gaps == [
        f"state['lock']: cannot fingerprint a <lock>; {ADVICE}",
        f"state['log']: cannot fingerprint a <Logger>; {ADVICE}",
        "state['bad']: RuntimeError: not today",
    ]


def test_a_gap_inside_one_leaf_leaves_the_rest_of_it_watched():
    """Where a branch is one leaf, what can be seen of it counts and what cannot is a gap."""

    def leaf(number):
        return observe({"lock": threading.Lock(), "n": number}, "state", limit=1)

    assert leaf(1).leaves != leaf(2).leaves
    assert leaf(1).gaps == [f"state: partly unwatched: cannot fingerprint a <lock>; {ADVICE}"]


@pytest.mark.parametrize("depth", [50, 150, 5000])
def test_deep_nesting_never_raises(depth):
    """A value is observed at every depth; beyond a thousand levels there is a gap."""
    value = []
    for _ in range(depth):
        value = [value]
    seen = observe(value, "deep")
    assert bool(seen.leaves) == (depth < 1000)
    assert bool(seen.gaps) == (depth > 1000)


def test_a_cycle_ends():
    """A value that holds itself has a leaf at the place where it comes round again."""
    value = Model(n=1)
    value.me = value
    assert list(observe(value, "v").leaves) == ["v", "v.n", "v.me"]


def test_code_is_listed_and_is_no_leaf():
    """Functions and the classes of instances are listed; the project's own are no leaves."""

    def step(x):
        return x

    seen = observe({"step": step, "model": Model(n=1), "again": Model(n=2), "cls": Batch}, "v")
    assert seen.code == [step, Model, Batch]
    assert list(seen.leaves) == ["v['model']", "v['model'].n", "v['again']", "v['again'].n"]


def test_installed_code_is_told_by_name():
    """Another built-in function is another leaf: nobody fingerprints its code."""
    assert prints({"act": len}) != prints({"act": sum})
    assert prints({"ufunc": np.sin}) != prints({"ufunc": np.cos})


def test_a_bound_method_and_a_partial_show_what_they_carry():
    """The function is listed, and the instance or the arguments are observed."""
    seen = observe(Model(n=1).forward, "f")
    assert seen.code == [Model.forward, Model]
    assert "f.__self__.n" in seen.leaves
    seen = observe(functools.partial(Model.forward, 1, x=2), "f")
    assert seen.code == [Model.forward]
    assert {"f.args[0]", "f.keywords['x']"} <= set(seen.leaves)


def test_a_config_is_passed_over():
    """What is read of a config counts, so a config is no leaf, wherever it stands."""
    config = ADict(lr=0.1)
    assert observe(config, "config") == ({}, [], [])
    assert list(observe([config, 1], "v").leaves) == ["v[1]"]
    one_leaf = {"config": config, "n": [1]}
    assert prints(one_leaf, limit=1) == prints({**one_leaf, "config": ADict(lr=0.2)}, limit=1)


def test_observing_changes_nothing():
    """No random number is drawn, no attribute is set, and the value is not kept alive."""
    generator, twin = np.random.default_rng(0), np.random.default_rng(0)
    model = Model(generator=generator, rng=random.Random(0))
    observe(model, "model")
    assert generator.random() == twin.random()
    assert model.rng.random() == random.Random(0).random()
    assert set(vars(model)) == {"generator", "rng"}


def test_arrays_have_what_tells_how_they_differ():
    """An array's leaf has its order-free digest and its sketch, whose distance is an estimate."""
    array = np.arange(12.0).reshape(4, 3)
    first, second, third = (
        observe(value, "x").leaves["x"] for value in (array, array[::-1], array * 1.5)
    )
    assert first.fingerprint != second.fingerprint
    assert first.order_free == second.order_free != third.order_free
    estimate, error = relative_distance(
        Sketch.from_text(first.sketch), Sketch.from_text(third.sketch)
    )
    assert abs(estimate - 0.5) <= 4 * error + 1e-12
    assert observe(array, "x", sketch=False).leaves["x"].sketch is None


def test_large_arrays_are_not_looked_at_more_closely(monkeypatch):
    """Beyond a size there is a digest only."""
    monkeypatch.setattr(sys.modules["ato.fingerprints.observe"], "_SUMMARY_BYTES", 8)
    leaf = observe(np.arange(3.0), "x").leaves["x"]
    assert (leaf.summary, leaf.order_free, leaf.sketch) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(0.5), "0.5"),
        (np.float32(0.1), "0.1"),
        (np.int8(-3), "-3"),
        (np.bool_(True), "True"),
        (np.datetime64("2024-01-02"), "np.datetime64('2024-01-02')"),
    ],
)
def test_a_numpy_scalar_shows_its_number(value, text):
    """The text of a NumPy number is the number, as of a Python one."""
    assert observe(value, "x").leaves["x"].text == text
