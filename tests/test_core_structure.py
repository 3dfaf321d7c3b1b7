"""The structural hash of the core: keys and types, not values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ato._core import digest_structure
from ato.adict import ADict
from ato.exceptions import UnsupportedValueError
from reference_encoder import structure, structure_digest

GOLDEN = json.loads((Path(__file__).parent / "golden" / "digests_format_1.json").read_text("utf-8"))

# Few different items, so that runs of equal structures and equal configs come up often.
items = st.sampled_from([None, True, 1, 2, 1.5, "a", "b", b"x", 1j])
keys = st.sampled_from(["a", "b", "a.b", "c", 1, (1, "a"), None]) | st.text(max_size=3)
configs = st.recursive(
    items,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(items, max_size=4)
        | st.frozensets(items, max_size=4)
    ),
    max_leaves=20,
)


def refuse(value: object) -> tuple[str, object]:
    """Take nothing apart."""
    raise UnsupportedValueError(f"cannot fingerprint a <{type(value).__name__}>")


def digest(value: object) -> str:
    return digest_structure(value, refuse)


@given(configs)
@settings(max_examples=400)
def test_every_config_has_the_digest_of_the_reference(value: object) -> None:
    """Nested plain values have the structure that the reference gives them."""
    assert digest(value) == structure_digest(value)


@given(configs, configs)
def test_digests_are_equal_exactly_where_structures_are(one: object, other: object) -> None:
    """Two configs share a structural hash if and only if they share a structure."""
    assert (digest(one) == digest(other)) == (structure(one) == structure(other))


@pytest.mark.parametrize("text", GOLDEN["ato config-structure v1"])
def test_golden_digests_of_structures_hold(text: str) -> None:
    """The structural hashes of format 1 are what they were when it was released."""
    assert digest(eval(text)) == GOLDEN["ato config-structure v1"][text]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"lr": 0.1}, {"lr": 0.2}),
        ({"a": 1, "b": "x"}, {"b": "y", "a": 2}),
        ({"layers": [1, 2, 3]}, {"layers": [1]}),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 3}]}),
        ([[1], [2, 3], [4]], [[5]]),
        ((1, 2), (3,)),
        ({"a": {"x", "y"}}, {"a": {"z"}}),
        ({"a": {"b": 1}}, ADict(a={"b": 2})),
    ],
)
def test_values_do_not_count(one: object, other: object) -> None:
    """Other values, another order of keys, and longer runs of equal items are the same structure."""
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": True}, {"a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1.0}, {"a": "1.0"}),
        ({"a": "None"}, {"a": None}),
        ({"a": None}, {}),
        ({"a": [1]}, {"a": (1,)}),
        ({"a": {}}, {"a": []}),
        ({"a": {}}, {}),
        ({"a": []}, {"a": [1]}),
        ([1], [1, "a"]),
        ([1, "a"], [1, "a", 1]),
        ([1, "a"], ["a", 1]),
        ({"a": {"b": 1}}, {"a.b": 1}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 1}]}),
        ({1: 0}, {"1": 0}),
        ({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a": 1, "b": 2}, {"a\x0b": 1}),
    ],
)
def test_keys_types_and_nesting_count(one: object, other: object) -> None:
    """Other keys, other types, other nesting and empty containers are other structures."""
    assert digest(one) != digest(other)


def test_no_key_can_imitate_another_structure() -> None:
    """A key that holds the very bytes of an encoding does not become that encoding."""
    inner = structure({"b": 1})
    crafted = "a" + inner.decode("latin-1")
    assert digest({"a": {"b": 1}}) != digest({crafted: 1})


def test_dicts_of_any_class_are_mappings() -> None:
    """A subclass of dict counts by keys and types, without being reduced."""

    class Special(dict):
        pass

    assert digest({"a": Special(b=1)}) == digest({"a": {"b": 2}})


def test_objects_count_by_kind_and_the_structure_of_their_content() -> None:
    """What `reduce` returns is taken apart as far as it goes."""

    def reduce(value: object) -> tuple[str, object]:
        return type(value).__name__, [value.real, value.imag] if type(value) is not range else 1

    class Number(complex):
        pass

    assert digest_structure(Number(1), reduce) == digest_structure(Number(2, 3), reduce)
    assert digest_structure(Number(1), reduce) != digest_structure(range(2), reduce)
    with pytest.raises(
        UnsupportedValueError, match=r"^value\.a\[0\]: cannot fingerprint a <range>"
    ):
        digest({"a": [range(2)]})


def test_cycles_have_a_structure() -> None:
    """A config that contains itself is encoded by the ancestor's depth."""
    looped: dict[str, object] = {"n": 1}
    looped["self"] = looped
    other: dict[str, object] = {"n": 2}
    other["self"] = other
    assert digest(looped) == digest(other)
    assert digest(looped) != digest({"n": 1, "self": {}})
