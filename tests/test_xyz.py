"""The XYZ text form."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato import xyz
from ato.exceptions import ConfigFileError, ConfigTypeError

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([2**2_500, -(2**2_500), 5e-324, -0.0, float("inf")])
    | st.sampled_from(["None", "true", "1e-3", "1", "[]", "{}", "a: b", "0) x", "a # b", "#", "-"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(values)
def test_every_json_like_value_survives(value):
    """What was written is read back equal, types, signs and order included."""
    assert same(xyz.loads(xyz.dumps(value)), value)


def test_integers_of_any_size_survive():
    """One that Python refuses to spell in decimal digits is written in hexadecimal ones."""
    for number in (2**20_000, -(2**20_000)):
        assert xyz.loads(xyz.dumps({"a": number})) == {"a": number}


def test_nan_survives():
    """NaN has a word, and so have the infinities."""
    assert math.isnan(xyz.loads(xyz.dumps({"a": float("nan")}))["a"])


def test_the_text_is_what_a_person_would_write():
    """Texts stand bare where they read as themselves, and nesting is indentation."""
    value = {"lr": 0.1, "name": "resnet50", "off": "False", "layers": [64, {"k": []}], "e": {}}
    assert xyz.dumps(value) == (
        'lr: 0.1\nname: resnet50\noff: "False"\nlayers:\n    0) 64\n    1)\n        k: []\ne: {}'
    )


def test_comments_and_empty_lines_are_skipped():
    """A hand-written file may hold both."""
    assert xyz.loads("# head\n\nlr: 0.1  # why\nm:  # section\n  d: 1\n") == {
        "lr": 0.1,
        "m": {"d": 1},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb", "<text>:2: expected 'key: value': b"),
        ("a:", "<text>:1: a value is missing"),
        ("a: 1\n  b: 2", "<text>:2: indented deeper"),
        ("a: 1\na: 2", "<text>:2: the key 'a' stands twice"),
        ("0) a\n2) b", "<text>:2: expected item '1) …'"),
        ('a: "x', "<text>:1: the quotes do not close"),
        ("a:\n    b: 1\n  c: 1", "<text>:3: indented deeper"),
        (r'a: "\q"', "<text>:1: Invalid"),
        (r'"\q": 1', "<text>:1: Invalid"),
        ("\n".join(" " * depth + "a:" for depth in range(5000)), "nested too deeply"),
    ],
)
def test_what_cannot_be_read_names_its_line(text, message):
    """A syntax error says where it is and shows the line."""
    with pytest.raises(ConfigFileError) as caught:
        xyz.loads(text)
    assert message in str(caught.value)


def test_what_has_no_form_is_named_by_its_path():
    """A value or key that XYZ cannot hold is refused with the path to it."""
    with pytest.raises(ConfigTypeError, match=r"a\.b: XYZ has no form for a value of type object"):
        xyz.dumps({"a": {"b": object()}})
    with pytest.raises(ConfigTypeError, match="1 at a is of type int"):
        xyz.dumps({"a": {1: 2}})


def test_files_are_written_whole(tmp_path):
    """A file round trip creates folders, and a failing dump leaves the old file alone."""
    path = tmp_path / "deep" / "config.xyz"
    xyz.dump({"a": 1}, path)
    with pytest.raises(ConfigTypeError):
        xyz.dump({"a": object()}, path)
    assert xyz.load(path) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["config.xyz"]
