"""The value encoding of the core, beside the reference encoder and the golden digests."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ato._core import digest_value
from ato.adict import ADict
from ato.exceptions import DepthError, UnsupportedValueError
from reference_encoder import LENGTHS, SCHEMES, encode, no_reduce, value_digest

GOLDEN = json.loads((Path(__file__).parent / "golden" / "digests_format_1.json").read_text("utf-8"))

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(codec=None, categories=None), max_size=20)
    | st.binary(max_size=20)
)
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=4)
        | st.binary(max_size=8).map(bytearray)
        | st.binary(max_size=8).map(memoryview)
    ),
    max_leaves=20,
)


class Thing:
    """Something that is not plain."""

    def __init__(self, content: object) -> None:
        self.content = content


def reduce(thing: Thing) -> tuple[str, object]:
    """Take a `Thing` apart, and nothing else."""
    if type(thing) is not Thing:
        raise UnsupportedValueError(f"cannot fingerprint a <{type(thing).__name__}>")
    return "thing", thing.content


def digest(value: object, **keywords: object) -> str:
    return digest_value(value, "ato value v1", reduce, **keywords)


@given(values)
@settings(max_examples=400)
def test_every_value_has_the_digest_of_the_reference(value: object) -> None:
    """Nested plain values of every type are encoded as the reference encodes them."""
    assert digest_value(value, "ato value v1", no_reduce) == value_digest(value)


@given(values, values)
def test_digests_are_equal_exactly_where_encodings_are(one: object, other: object) -> None:
    """Two values share a digest if and only if they share an encoding."""
    assert (digest(one) == digest(other)) == (encode(one) == encode(other))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_a_context_of_its_own(scheme: str) -> None:
    """A digest is derived under the scheme that was named."""
    assert digest_value([1], scheme, no_reduce) == value_digest([1], scheme=scheme)


def test_an_unknown_scheme_is_refused() -> None:
    """A scheme that the format does not have is an error that names it."""
    with pytest.raises(ValueError, match="ato value v9"):
        digest_value(1, "ato value v9", no_reduce)


@pytest.mark.parametrize("text", GOLDEN["ato value v1"])
def test_golden_digests_of_values_hold(text: str) -> None:
    """The digests of format 1 are what they were when it was released."""
    assert digest_value(eval(text), "ato value v1", no_reduce) == GOLDEN["ato value v1"][text]


@pytest.mark.parametrize("length", LENGTHS)
def test_long_bytes_and_text_are_fed_in_whole(length: int) -> None:
    """Content around every buffer size gives the reference's digest, alone and nested."""
    data = random.Random(length).randbytes(length)
    assert digest([data, data.hex()]) == value_digest([data, data.hex()])
    assert digest({"a": {data}}) == value_digest({"a": {data}})


def test_types_that_look_alike_differ() -> None:
    """Truth values, numbers, text, bytes and containers of the same content are all different."""
    groups = [[True, 1, 1.0, 1 + 0j, "1", b"1"], [[], (), set(), frozenset(), {}, "", b"", None]]
    for group in groups:
        assert len({digest(value) for value in group}) == len(group)


def test_bytes_bytearray_and_memoryview_are_one_kind() -> None:
    """What holds the bytes does not count, nor how a memoryview lies in memory."""
    strided = memoryview(b"a.b.c.")[::2]
    empty = memoryview(b"ab")[:0]
    assert digest(b"abc") == digest(bytearray(b"abc")) == digest(memoryview(b"abc"))
    assert digest(b"abc") == digest(strided)
    assert digest(b"") == digest(empty)


def test_every_nan_is_one_and_zeros_keep_their_sign() -> None:
    """NaN has one digest whatever its bits; -0.0 and 0.0 differ."""
    assert digest(math.nan) == digest(-math.nan)
    assert digest(0.0) != digest(-0.0)


def test_order_does_not_count() -> None:
    """Neither the order of a dict nor that of a set is part of the value."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"x", "y", 3}) == digest({3, "y", "x"})


def test_keys_with_one_encoding_are_ordered_by_their_values() -> None:
    """Two NaN keys are unequal in Python and one in the encoding: the order still does not count."""
    one, other = float("nan"), float("nan")
    assert digest({one: 1, other: 2}) == digest({one: 2, other: 1})
    assert digest({one: 1, other: 2}) == value_digest({one: 1, other: 2})
    assert digest({one: 1, other: 1}) != digest({one: 1})


def test_a_config_has_the_digest_of_the_equal_dict() -> None:
    """`ADict` is a plain mapping at any depth; a dict of another class is not."""

    class Special(dict):
        pass

    plain = {"lr": 0.1, "model": {"depth": 3, "layers": [{"n": 1}]}}
    assert digest(ADict(plain)) == digest(plain)
    assert digest([ADict(plain)]) == digest([plain])
    with pytest.raises(UnsupportedValueError, match="Special"):
        digest(Special())


def test_an_object_is_its_kind_and_its_content() -> None:
    """What `reduce` returns is encoded; the kind keeps it apart from the plain content."""
    assert digest(Thing([1])) == value_digest(Thing([1]), reduce)
    assert digest(Thing([1])) != digest([1])
    assert digest(Thing(Thing(1))) != digest(Thing(1))


def test_an_empty_kind_puts_the_content_in_its_place() -> None:
    """A value that is reduced with an empty kind has the digest of the content."""

    def stand_in(thing: Thing) -> tuple[str, object]:
        return "", thing.content

    value = {"a": [Thing({"b": Thing(2)})]}
    assert digest_value(value, "ato value v1", stand_in) == digest({"a": [{"b": 2}]})


def test_cycles_are_references_to_the_ancestor() -> None:
    """A value inside itself is encoded by the ancestor's depth, through objects too."""
    looped: list[object] = [1]
    looped.append({"again": looped})
    again: list[object] = [1]
    again.append({"again": again})
    assert digest(looped) == digest(again) == value_digest(looped)
    thing = Thing(None)
    thing.content = [thing]
    assert digest(thing) == value_digest(thing, reduce)
    longer = [1, {"again": [1, {"again": looped}]}]
    assert digest(longer) != digest(looped)


def test_a_cycle_through_an_empty_kind_is_that_of_the_content() -> None:
    """Where contents stand in the object's place, a cycle is encoded as in the plain value."""

    def stand_in(thing: Thing) -> tuple[str, object]:
        return "", thing.content

    thing = Thing(None)
    thing.content = [thing]
    plain: list[object] = []
    plain.append(plain)
    assert digest_value(thing, "ato value v1", stand_in) == digest(plain)


def test_the_same_object_twice_is_no_cycle() -> None:
    """Only ancestors are references: a shared value counts as often as it occurs."""
    shared = [1]
    assert digest([shared, shared]) == digest([[1], [1]])


def test_a_thousand_levels_are_the_limit() -> None:
    """1,000 levels have a digest, one more is an error with a path that stays readable."""
    value: object = 0
    for _ in range(1000):
        value = [value]
    assert digest(value) == digest(value)
    with pytest.raises(DepthError, match=r"^value\[0\]\[0\].*more than 1,000 levels") as caught:
        digest([value])
    assert len(str(caught.value)) < 300


def test_a_reduction_without_end_is_an_error() -> None:
    """Contents that stand in each other's place for ever are stopped as too deep."""
    with pytest.raises(DepthError):
        digest_value(Thing(0), "ato value v1", lambda thing: ("", Thing(thing)))


def test_the_limit_holds_in_a_thread() -> None:
    """The stack of a thread is enough for 1,000 levels of objects and dicts."""
    code = (
        "import threading\nfrom ato._core import digest_value, digest_structure\n"
        "class T: pass\n"
        "value = 0\n"
        "for _ in range(499):\n    thing = T(); thing.c = {'k': value}; value = thing\n"
        "reduce = lambda thing: ('t', thing.c)\n"
        "def work():\n"
        "    digest_value(value, 'ato value v1', reduce); digest_structure(value, reduce)\n"
        "    print('done')\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"model": {"act": range}}, "value.model.act"),
        ({"a b": [1, range]}, "value['a b'][1]"),
        ({1: (range,)}, "value[1][0]"),
        ({"x": {range}}, "value.x{…}"),
        ({range: 1}, "value.keys()"),
        ({"x": Thing({"y": range})}, "value.x.y"),
    ],
)
def test_what_cannot_be_fingerprinted_is_named_by_its_path(value: object, path: str) -> None:
    """The error of `reduce` is raised again with the path in front and the first one as cause."""
    with pytest.raises(UnsupportedValueError) as caught:
        digest(value)
    assert str(caught.value) == f"{path}: cannot fingerprint a <type>"
    assert isinstance(caught.value.__cause__, UnsupportedValueError)


def test_the_root_of_a_path_can_be_named() -> None:
    """`path` is what messages call the value."""
    with pytest.raises(UnsupportedValueError, match=r"^config\.act: "):
        digest({"act": range}, path="config")


def test_other_errors_of_reduce_pass_unchanged() -> None:
    """An error that says nothing about fingerprints is not dressed up as one."""

    def broken(value: object) -> tuple[str, object]:
        raise LookupError("mine")

    with pytest.raises(LookupError, match=r"^'?mine'?$"):
        digest_value([range], "ato value v1", broken)


def test_a_list_that_changes_meanwhile_is_an_error() -> None:
    """A value that its own code changes while it is read has no digest."""
    items: list[object] = [Thing(1), 2]

    def shrink(thing: Thing) -> tuple[str, object]:
        items.clear()
        return "thing", thing.content

    with pytest.raises(UnsupportedValueError, match="changed while it was being fingerprinted"):
        digest_value(items, "ato value v1", shrink)


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    """Processes with other hash seeds, and so other orders of sets, give one digest."""
    code = (
        "from ato._core import digest_value\n"
        "print(digest_value([{'a', 'b', 'c', 'dd'}, {'x': 1, 'y': {'p', 'q'}}], 'ato value v1', None))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(found) == 1
