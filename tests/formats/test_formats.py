"""JSON, YAML and TOML as plain values with the line of each key."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.exceptions import ConfigFileError, ConfigTypeError, ConfigValueError
from ato.formats import dump_json, dump_toml, dump_yaml, read_json, read_toml, read_yaml

# TOML has no form for control characters in keys that its writer would not escape, and none for
# None; surrogates are no text in any of the three.
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
numbers = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
words = texts | st.sampled_from(["1e-3", "yes", "null", "~", "1_0", "0x1", "=", "<<", "2024-01-01"])


def mappings(leaves):
    inner = st.recursive(
        leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3)
    )
    return st.dictionaries(texts, inner, max_size=4)


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(mappings(numbers | words | st.none()))
def test_json_round_trip(value):
    """What JSON was given comes back with the same types."""
    assert same(read_json(dump_json(value), "x").value, value)


@given(mappings(numbers | words | st.none()))
def test_yaml_round_trip(value):
    """What YAML was given comes back with the same types, number-like texts included."""
    assert same(read_yaml(dump_yaml(value), "x").value, value)


@given(mappings(numbers | words))
def test_toml_round_trip(value):
    """What TOML was given comes back with the same types."""
    assert same(read_toml(dump_toml(value), "x").value, value)


@pytest.mark.parametrize(
    ("read", "text", "lines"),
    [
        (
            read_json,
            '{"a": {"b": [1, {"c": 2}],\n "d": "x{\\n"},\n"e": 1}',
            {("a",): 1, ("a", "b"): 1, ("a", "b", "1", "c"): 1, ("a", "d"): 2, ("e",): 3},
        ),
        (
            read_yaml,
            "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\n",
            {("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "b"): 2, ("c", "d"): 5},
        ),
        (
            read_toml,
            'a = 1\n[b.c]\nx = """\nq = 1\n""" # foo\ny = [1,\n 2 # ]\n]\n"z\\u0041"=3\n',
            {
                ("a",): 1,
                ("b",): 2,
                ("b", "c"): 2,
                ("b", "c", "x"): 3,
                ("b", "c", "y"): 6,
                ("b", "c", "zA"): 9,
            },
        ),
    ],
)
def test_every_key_has_its_line(read, text, lines):
    """Lines are right behind strings over several lines, comments, anchors and nested brackets."""
    assert read(text, "x").lines == lines


def test_a_key_without_line_has_that_of_the_nearest_above():
    """What stands in an inline table has the table's line."""
    loaded = read_toml("\na = {b = {c = 1}}\n", "x")
    assert loaded.line(("a", "b", "c")) == 2
    assert loaded.line(("q",)) is None


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_json, '{"a":1,\n"a":2}', "f:2: the key 'a' stands twice, first on line 1"),
        (read_json, '{"a":}', "f:1: not JSON"),
        (read_yaml, "a: 1\nb: 2\na: 3", "f:3: the key 'a' stands twice"),
        (read_yaml, "a: [1", "f:2: not plain YAML"),
        (read_yaml, "a: 2024-13-45", "f:1: not plain YAML: month must be in 1..12"),
        (read_yaml, "a: &x {b: *x}", "f: not plain YAML"),
        (read_toml, "a = 1\na = 2", "f:2: not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(read, text, message):
    """The message has file and line, and says what is wrong."""
    with pytest.raises(ConfigFileError) as caught:
        read(text, "f")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd"])
def test_yaml_runs_nothing(tag):
    """A document with Python tags is refused."""
    with pytest.raises(ConfigFileError, match="f:1: not plain YAML: could not determine"):
        read_yaml(f"a: {tag}", "f")


def test_yaml_aliases_that_explode_are_refused():
    """Nine levels of nine aliases are a billion values, and an error after a million."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(ConfigFileError, match="aliases expand to more than"):
        read_yaml("\n".join(levels), "f")


def test_yaml_exponents_are_numbers():
    """`1e-3` is a number, as everywhere else; quoted it is a text."""
    assert read_yaml("a: 1e-3\nb: '1e-3'\nc: .5e3\nd: 1.5", "x").value == {
        "a": 0.001, "b": "1e-3", "c": 500.0, "d": 1.5,
    }  # fmt: skip


def test_toml_has_no_none():
    """`None` is refused with its path, not dropped."""
    with pytest.raises(ConfigValueError, match=r"a\.b\[1\]: TOML has no form for None"):
        dump_toml({"a": {"b": [1, None]}})


@pytest.mark.parametrize("dump", [dump_json, dump_yaml, dump_toml])
def test_what_has_no_form_is_named_by_its_path(dump):
    """An object inside a list is refused with the path to it."""
    with pytest.raises(ConfigTypeError, match=r"a\[0\].b: \w+ has no form"):
        dump({"a": [{"b": object()}]})
    with pytest.raises(ConfigTypeError, match="a: .* keys are texts"):
        dump({"a": {(1,): 2}})


def test_special_floats_survive_everywhere():
    """NaN and infinity have a form in all three."""
    for dump, read in ((dump_json, read_json), (dump_yaml, read_yaml), (dump_toml, read_toml)):
        value = read(dump({"a": float("nan"), "b": float("-inf")}), "x").value
        assert math.isnan(value["a"])
        assert value["b"] == float("-inf")
