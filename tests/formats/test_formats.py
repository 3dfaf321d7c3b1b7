"""JSON, YAML and TOML as plain values with the line of each key."""

from __future__ import annotations

import math

import pytest
import yaml
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


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = {b = 1, c = {d = 2}}\n", {"a": 1, "a.b": 1, "a.c": 1, "a.c.d": 1}),
        (
            "[[t]]\nx = 1 # ]\n[[t]]\nx = 2\n[t.sub]\ny = 3\n[[t.s]]\nz = '''\n'''\n",
            {
                "t": 1, "t.0": 1, "t.0.x": 2, "t.1": 3, "t.1.x": 4, "t.1.sub": 5, "t.1.sub.y": 6,
                "t.1.s": 7, "t.1.s.0": 7, "t.1.s.0.z": 8,
            },
        ),
        (
            'v = [ # [\n {k = "}", l = [{m = 1},\n {m = "\\"]"}]},\n {k = 2},\n]\nw = 1\n',
            {"v": 1, "v.0.k": 2, "v.0.l": 2, "v.0.l.0.m": 2, "v.0.l.1.m": 3, "v.1.k": 4, "w": 6},
        ),
        ("d = 1979-05-27 07:32:00\ne . f=1e3\n", {"d": 1, "e": 2, "e.f": 2}),
        ('"" = 1\n', {"": 1}),
    ],
)  # fmt: skip
def test_toml_lines_in_tables_of_every_kind(text, lines):
    """Inline tables, arrays of tables and what stands below them: each key has its own line."""
    assert read_toml(text, "x").lines == {
        tuple(path.split(".")): line for path, line in lines.items()
    }


def test_yaml_lines_of_what_is_taken_in():
    """A merged key has the line on which the value that won stands."""
    text = (
        "a: &a\n  x: 1\n  n: {p: 1}\nb: &b\n  x: 2\n  y: 3\n"
        "c:\n  <<: [*a, *b]\n  n:\n    p: 4\nd:\n- *a\n"
    )
    loaded = read_yaml(text, "x")
    assert loaded.value["c"] == {"x": 1, "y": 3, "n": {"p": 4}}
    lines = {".".join(path): line for path, line in loaded.lines.items() if path[0] in "cd"}
    assert lines == {
        "c": 7, "c.x": 2, "c.y": 6, "c.n": 9, "c.n.p": 10,
        "d": 11, "d.0.x": 2, "d.0.n": 3, "d.0.n.p": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}",
        "a: &x {b: 1}\nb: &y {b: 2, c: 3}\nd: {<<: [*x, *y], z: 1}\ne: {z: 1, <<: *y}",
        "d: &a {x: &c {k: 1}}\ne:\n  <<: *a\n  <<: {x: 3}\n  w: *c",
        "a: !!set {x}\nb: !!omap [{x: 1}]\nc: !!pairs [{x: 1}]\nd: !!binary aGk=",
        "a: 2001-12-14t21:59:43.10-05:00\n2020-01-01: 1\n~: 2\nyes: 3\n=: 4\n1.5: 5",
        "a: !!str 1\nb: !!int '3'\nc: !!float 1\nd: !!map {a: 1}\ne: !!seq [1]\nf: |\n  x\n  y\n",
        "a: 0o14\nb: 014\nc: 0x1F\nd: 1_000\ne: .inf\nf: -.INF\ng: 12:30:45\nh: [x, ~, {b: [y]}]",
    ],
)
def test_yaml_means_what_pyyaml_says(text):
    """Values, types and order of keys are those of PyYAML's safe loader."""
    assert repr(read_yaml(text, "x").value) == repr(yaml.safe_load(text))


@given(mappings(numbers | words | st.none()))
def test_yaml_is_read_as_pyyaml_reads_it(value):
    """On whatever can be written, our reader and PyYAML's agree."""
    text = dump_yaml(value)
    assert same(read_yaml(text, "x").value, yaml.safe_load(text))


def test_a_key_without_line_has_that_of_the_nearest_above():
    """An item of a list has the line of the list."""
    loaded = read_toml("\na = [1,\n 2]\n", "x")
    assert loaded.line(("a", "1")) == 2
    assert loaded.line(("q",)) is None


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_json, '{"a":1,\n"a":2}', "f:2: the key 'a' stands twice, first on line 1"),
        (read_json, '{"a":}', "f:1: not JSON"),
        (read_yaml, "a: 1\nb: 2\na: 3", "f:3: the key 'a' stands twice"),
        (read_yaml, "a: [1", "f:2: not plain YAML"),
        (read_yaml, "a: 2024-13-45", "f:1: not plain YAML: month must be in 1..12"),
        (read_yaml, "a: &x {b: *x}", "f: not plain YAML: nested too deeply"),
        (read_yaml, "a: 1\nyes: 1\non: 2", "f:3: the key True stands twice"),
        (read_yaml, "0x1: a\n1: b", "f:2: the key 1 stands twice"),
        (read_yaml, "? [1]\n: 2", "f:1: a key is a text, a number or a date"),
        (read_yaml, "a: 1\n<<: 3", "f:2: << takes in a mapping"),
        (read_yaml, "a: 1\nb: !!int x", "f:2: not plain YAML: invalid literal"),
        (read_yaml, "a: !!str [1]", "f:1: not plain YAML: expected a scalar"),
        (read_json, "[" * 100_000, "f: nested too deeply"),
        (read_json, "1" * 5000, "f: not JSON: Exceeds the limit"),
        (read_toml, "a = " + "[" * 100_000, "f: nested too deeply"),
        (read_toml, "a = " + "1" * 5000, "f: not TOML: Exceeds the limit"),
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
