"""Values of every covered type: equal ones share a fingerprint, different ones do not."""

from __future__ import annotations

import array
import ctypes
import datetime as dt
import enum
import functools
import io
import itertools
import logging
import operator
import os
import random
import re
import socket
import subprocess
import sys
import threading
import types
import uuid
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.adict import ADict
from ato.exceptions import UnsupportedValueError
from ato.fingerprints import fingerprint, reduce, register, value_hex
from ato.fingerprints.values import digest
from reference_encoder import value_digest


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.IntEnum):
    SMALL = 1


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclass
class Point:
    x: float
    y: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int
    y: int = 0


class Other:
    def __init__(self, x):
        self.x = x


class Named:
    __slots__ = ("__private", "left_out")

    def __init__(self, private):
        self.__private = private


class MyDict(dict):
    pass


class MyList(list):
    pass


class MyInt(int):
    pass


class MyText(str):
    __slots__ = ()


class MyPath(type(Path())):
    pass


class MyRandom(random.Random):
    pass


class Custom:
    def __init__(self, shown, hidden):
        self.shown, self.hidden = shown, hidden

    def __ato_fingerprint__(self):
        return self.shown


Pair = namedtuple("Pair", "a b")
Couple = namedtuple("Couple", "a c")


def triple(x, times=3):
    return x * times


def square(x):
    return x * x


identity = lambda x: x
increment = lambda x: x + 1


def moved(generator):
    generator.random()
    return generator


# Within one row all values differ; across rows too.
DIFFERENT = [
    [None, False, 0, 0.0, -0.0, 0j, "", b"", [], (), set(), frozenset(), {}],
    [1, 1.0, True, MyInt(1), Size.SMALL, np.int64(1), np.int32(1), np.float64(1), np.array(1)],
    ["a", b"a", MyText("a"), np.str_("a"), np.bytes_(b"a"), Path("a"), ["a"], ("a",), {"a"}],
    [Colour.RED, Colour.BLUE, Flags.A, Flags.B, Flags.A | Flags.B],
    [Point(1.0), Point(2.0), Point(1.0, [1]), Other(1.0), Slotted(1), Slotted(1, 1), {"x": 1.0}],
    [Named(1), Named(2)],
    [{"a": 1}, MyDict(a=1), OrderedDict(a=1), defaultdict(int, a=1), defaultdict(list, a=1)],
    [Counter("a"), deque([1]), deque([1], 3), MyList([1]), [1], types.SimpleNamespace(a=1)],
    [types.MappingProxyType({"a": 1})],
    [Pair(1, 2), Couple(1, 2), (1, 2), Pair(2, 1)],
    [dt.date(2024, 1, 2), dt.datetime(2024, 1, 2), dt.time(1, 2), dt.timedelta(1)],
    [
        dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 2, tzinfo=ZoneInfo("UTC")),
        dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        dt.datetime(2024, 1, 2, fold=1),
        dt.datetime(2024, 1, 2, microsecond=1),
    ],
    [Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Fraction(1, 2), Fraction(1, 3)],
    [uuid.UUID(int=1), uuid.UUID(int=2)],
    [Path("a/b"), PurePosixPath("a/b"), PureWindowsPath("a/b"), Path("/a/b"), MyPath("a/b")],
    [range(3), range(0, 3, 2), slice(3), slice(0, 3), ..., NotImplemented],
    [re.compile("a"), re.compile("a", re.IGNORECASE), re, os],
    [list[int], list[str], int | None],
    [operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a")],
    [array.array("d", [1]), array.array("f", [1])],
    [ValueError("x"), ValueError("y"), TypeError("x"), OSError(2, "x")],
    [Custom(1, 2), Custom(2, 2)],
    [random.Random(0), random.Random(1), moved(random.Random(0)), MyRandom(0)],
    [np.random.default_rng(0), np.random.default_rng(1), moved(np.random.default_rng(0))],
    [np.random.RandomState(0), np.random.RandomState(1), np.random.PCG64(0), np.random.Philox(0)],
    [np.random.SeedSequence(1), np.random.SeedSequence(2)],
    [len, str.lower, "a".join, "b".join, [].append, [1].append, np.sin, np.cos, int, dict],
    [triple, square, functools.partial(triple, times=2), functools.partial(triple, times=4)],
    [Point(1.0).__eq__, Point(2.0).__eq__, Point, Other, identity, increment],
]

REFUSED = [
    (x for x in ()),
    iter([]),
    map(len, []),
    itertools.count(),
    threading.Lock(),
    threading.RLock(),
    threading.Event(),
    threading.Thread(),
    logging.getLogger("ato"),
    sys.stdout,
    io.StringIO(),
    weakref.ref(Point),
    weakref.WeakKeyDictionary(),
    ctypes.pointer(ctypes.c_int(1)),
    sys._getframe(),
    triple.__code__,
    random.SystemRandom(),
]


def test_values_that_differ_have_different_fingerprints():
    """No two of the values that differ in type, class or content share a fingerprint."""
    seen = {}
    for value in itertools.chain.from_iterable(DIFFERENT):
        digest = fingerprint(value).hex
        assert digest not in seen, (value, seen[digest])
        seen[digest] = value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(1.5, [1, 2]),
        lambda: Slotted(3),
        lambda: Named("p"),
        lambda: MyDict(b=2, a=[Point(0.0)]),
        lambda: defaultdict(list, a=[1]),
        lambda: dt.datetime(2024, 5, 6, 7, tzinfo=ZoneInfo("Europe/Berlin")),
        lambda: Pair(1, Colour.RED),
        lambda: random.Random(3),
        lambda: np.random.default_rng(3),
        lambda: np.random.RandomState(3),
        lambda: ValueError("a", 1),
        lambda: np.array([1, "a", None], dtype=object),
        lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        lambda: np.ma.array([1, 2], mask=[True, False]),
        lambda: functools.partial(triple, 1, times=2),
        lambda: types.SimpleNamespace(a=1, b=object()),
        lambda: {Colour.RED: Path("x"), 3: {Fraction(1, 2)}},
    ],
)
def test_values_made_twice_have_one_fingerprint(make):
    """Two objects made in the same way have the same fingerprint, wherever they lie in memory."""
    first, second = make(), make()
    assert first is not second
    assert fingerprint(first) == fingerprint(second)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.builds(Point, inner, st.lists(st.integers(), max_size=2))
    ),
    max_leaves=12,
)


def written(value):
    """Spell a value out with its types, as an independent idea of being the same."""
    if type(value) is dict:
        return "dict", sorted((key, written(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value).__name__, [written(item) for item in value]
    if type(value) is Point:
        return "Point", [written(value.x), written(value.y)]
    return type(value).__name__, repr(value)


@given(plain, plain)
def test_the_fingerprint_is_equal_exactly_where_the_values_are(first, second):
    """Two nested values share a fingerprint if and only if they are spelled alike."""
    same = repr(written(first)) == repr(written(second))
    assert (fingerprint(first) == fingerprint(second)) == same


@given(plain)
def test_the_fingerprint_is_what_the_reference_encoder_gives(value):
    """A nested value has the digest that the slow encoder makes of it, type by type."""
    assert fingerprint(value).hex == value_digest(value, reduce)


def test_every_covered_type_is_encoded_as_the_reference_encoder_does():
    """Values of every type in the table have the slow encoder's digest."""
    for value in itertools.chain.from_iterable(DIFFERENT):
        assert digest(value) == value_digest(value, reduce), value


# Parts that invite mistakes: texts that hold what separates, lengths, types that print alike.
tricky = st.sampled_from(
    ["", "a", "b", "ab", "1", "None", "\0", "a\0", "[]", b"", b"a", b"ab", 0, 1, 256, -1, 2**64]
    + [None, True, False, 0.0, -0.0, 1.0, (), [], {}, set(), frozenset(), np.int8(1), np.uint8(1)]
)


@given(st.lists(tricky, min_size=2, max_size=6), st.data())
def test_values_that_are_nearly_alike_differ(parts, data):
    """The same parts grouped, joined, nested or typed in another way never share a fingerprint."""
    cut = data.draw(st.integers(1, len(parts) - 1))
    head, tail = parts[:cut], parts[cut:]
    texts = [part for part in parts if type(part) is str]
    near = [
        parts,
        tuple(parts),
        [parts],
        [head, tail],
        [head, *tail],
        [*head, tail],
        (head, tail),
        {"a": head, "b": tail},
        {"a": tail, "b": head},
        {"ab": parts},
        dict(enumerate(parts)),
        {str(number): part for number, part in enumerate(parts)},
        ["".join(texts), *parts],
        [*parts, "".join(texts)],
        Other(parts),
        types.SimpleNamespace(x=parts),
    ]
    spelled = {}
    for value in near:
        spelled.setdefault(spelling(value), value)
    digests = {fingerprint(value).hex for value in spelled.values()}
    assert len(digests) == len(spelled)


def spelling(value):
    """What a value is, written out with every type and length."""
    if type(value) in (list, tuple):
        return f"{type(value).__name__}{len(value)}({','.join(map(spelling, value))})"
    if type(value) is dict:
        items = sorted(f"{spelling(k)}:{spelling(v)}" for k, v in value.items())
        return f"dict{len(value)}({','.join(items)})"
    if type(value) in (Other, types.SimpleNamespace):
        return f"{type(value).__name__}({spelling(vars(value))})"
    return f"{type(value).__name__} {value!r}"


@given(
    st.binary(min_size=16, max_size=16),
    st.sampled_from([np.uint8, np.int8, np.uint16, np.float32, np.float64, np.int64, "S4", "S8"]),
    st.sampled_from([np.uint8, np.int8, np.uint16, np.float32, np.float64, np.int64, "S4", "S8"]),
)
def test_arrays_of_the_same_bytes_differ_by_dtype_and_shape(content, one, other):
    """Equal bytes under two dtypes or two shapes are two arrays."""
    first, second = (np.frombuffer(content, dtype=dtype) for dtype in (one, other))
    assert (fingerprint(first) == fingerprint(second)) == (first.dtype == second.dtype)
    assert fingerprint(first) != fingerprint(first.reshape(1, -1)) != fingerprint(first[:, None])


@given(st.dictionaries(st.text(), st.integers()), st.randoms())
def test_the_order_of_keys_does_not_count(mapping, shuffler):
    """A dict, a subclass of dict and an instance keep their fingerprint when keys are reordered."""
    items = list(mapping.items())
    shuffler.shuffle(items)
    for kind in (dict, MyDict, OrderedDict):
        assert fingerprint(kind(mapping)) == fingerprint(kind(items))


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_has_no_meaning_outside_the_process_is_refused(value):
    """A generator, lock, file, thread, logger or pointer is refused by the name of its type."""
    with pytest.raises(
        UnsupportedValueError, match=rf"cannot fingerprint a <{type(value).__name__}>"
    ):
        fingerprint(value)


def test_an_open_socket_is_refused():
    """A socket is refused, though its class is written in Python."""
    with socket.socket() as opened, pytest.raises(UnsupportedValueError, match="<socket>"):
        fingerprint(opened)


def test_the_error_names_the_path():
    """The error for a value deep inside names the way to it and says what to do."""
    model = types.SimpleNamespace(layers=[Other({"act": (x for x in ())})])
    with pytest.raises(UnsupportedValueError) as caught:
        fingerprint({"model": model, "other name": 1})
    assert str(caught.value) == (
        "value.model.layers[0].x.act: cannot fingerprint a <generator>; "
        "pass a part of it or implement __ato_fingerprint__"
    )


def test_a_class_answers_for_its_instances():
    """`__ato_fingerprint__` decides what of an instance counts."""
    assert fingerprint(Custom(1, 2)) == fingerprint(Custom(1, 3))


def test_a_registered_handler_answers_for_a_type_and_its_subclasses():
    """A handler given by name is imported when a value of the type, or of a subclass, is met."""

    class Lock:
        def __init__(self, name):
            self.name, self.lock = name, threading.Lock()

    class Special(Lock):
        pass

    with pytest.raises(UnsupportedValueError):
        fingerprint(Lock("a"))
    register(f"{__name__}.{Lock.__qualname__}", lambda lock: ("named lock", lock.name))
    assert fingerprint(Lock("a")) == fingerprint(Special("a")) != fingerprint(Lock("b"))


def test_an_instance_that_hides_state_in_c_is_refused():
    """A subclass of a type written in C with state of its own is refused, not taken by halves."""

    class Counted(itertools.count):
        pass

    with pytest.raises(UnsupportedValueError, match="Counted>"):
        fingerprint(Counted())


def test_cycles_have_a_fingerprint():
    """An instance that holds itself has a fingerprint, which tells how far up it points."""
    first, second = Other(1), Other(1)
    first.x, second.x = first, second
    assert fingerprint(first) == fingerprint(second)
    outer = Other(Other(None))
    outer.x.x = outer
    assert fingerprint(outer) != fingerprint(first)


def test_a_config_is_a_plain_mapping():
    """An ADict has the fingerprint of the dict that it holds, also where configs are nested."""
    plain_config = {"lr": 0.1, "model": {"depth": 3}, "tags": ["a"]}
    assert fingerprint(ADict(plain_config)) == fingerprint(plain_config)
    assert fingerprint([ADict(plain_config)]) == fingerprint([plain_config])


def test_numpy_scalars_count_by_dtype_and_bytes():
    """Every NumPy scalar has a fingerprint of its own type, and equals itself."""
    scalars = [np.dtype(code).type(1) for code in "?bBhHiIlLqQefdgFDG"]
    scalars += [np.datetime64(1, "s"), np.datetime64(1, "ms"), np.timedelta64(1, "s")]
    digests = {scalar.dtype: fingerprint(scalar).hex for scalar in scalars}
    assert len(set(digests.values())) == len(digests)
    assert all(fingerprint(scalar.copy()).hex == digests[scalar.dtype] for scalar in scalars)


def test_structured_and_object_arrays_count_field_by_field():
    """A change of one field or one element changes the fingerprint; so does the shape."""
    dtype = [("a", "i4"), ("b", "f8", (2,))]
    records = np.zeros(3, dtype=dtype)
    before = fingerprint(records)
    records["b"][2, 1] = 1
    objects = np.array([1, [2], "x"], dtype=object)
    reshaped = objects.reshape(3, 1)
    assert len({before, fingerprint(records), fingerprint(objects), fingerprint(reshaped)}) == 4
    assert fingerprint(records[0]) != fingerprint(records[2])
    assert fingerprint(np.dtype(dtype)) != fingerprint(np.dtype([("a", "i4"), ("c", "f8", (2,))]))


def test_long_doubles_count_by_their_number():
    """The padding in a long double does not count; its whole precision does."""
    first = np.array([1, 2], dtype=np.longdouble) / 3
    assert fingerprint(first) == fingerprint(first.copy()) != fingerprint(np.nextafter(first, 1))


def test_a_masked_value_counts_by_its_mask():
    """Masked arrays with one data and two masks differ."""
    first = np.ma.array([1, 2], mask=[True, False])
    second = np.ma.array([1, 2], mask=[False, False])
    assert fingerprint(first) != fingerprint(second) != fingerprint(np.array([1, 2]))


def test_fingerprinting_draws_no_random_number():
    """Generators continue after their fingerprint was taken as if it had not been."""
    for make in (random.Random, np.random.default_rng, np.random.RandomState):
        generator, twin = make(5), make(5)
        fingerprint(generator)
        assert generator.random() == twin.random()


def test_fingerprinting_sets_no_attribute():
    """An instance holds the same after its fingerprint was taken."""
    point = Point(1.0, [1])
    fingerprint(point)
    assert vars(point) == {"x": 1.0, "y": [1]}


def test_a_subclass_cannot_hide_what_it_stores():
    """What a subclass of dict or list overrides is not asked."""

    class Sly(dict):
        def items(self):
            return []

        def __iter__(self):
            return iter(())

        def keys(self):
            return []

        def __len__(self):
            return 0

    assert fingerprint(Sly(a=1)) != fingerprint(Sly(a=2))


def test_the_code_of_a_projects_class_counts(tmp_path):
    """Two classes of one name and state, with methods that differ, have other fingerprints."""
    digests = set()
    for body in ("return 1", "return 2", "return 2"):
        (tmp_path / "shape.py").write_text(
            f"class Shape:\n    def area(self):\n        {body}\n"
            "from ato.fingerprints import fingerprint\n"
            "if __name__ == '__main__':\n    print(fingerprint(Shape()))\n"
        )
        digests.add(run(tmp_path, "shape.py"))
    assert len(digests) == 2


def test_a_patched_class_is_another_class(tmp_path):
    """A method that is replaced between two fingerprints in one process counts in the second."""
    (tmp_path / "shape.py").write_text(
        "from ato.fingerprints import fingerprint\n"
        "class Shape:\n    def area(self):\n        return 1\n"
        "def larger(self):\n    return 2\n"
        "before = fingerprint([Shape(), Shape()])\n"
        "Shape.area = larger\n"
        "print(fingerprint([Shape(), Shape()]) == before)\n"
    )
    assert run(tmp_path, "shape.py") == "False"


def test_a_scripts_class_equals_the_imported_one(tmp_path):
    """An instance has one fingerprint, whether its module is run, run with -m, or imported."""
    (tmp_path / "shape.py").write_text(
        "class Shape:\n    side = 1\n"
        "if __name__ == '__main__':\n"
        "    from ato.fingerprints import fingerprint\n    print(fingerprint(Shape()))\n"
    )
    as_import = (
        "from shape import Shape; from ato.fingerprints import fingerprint; "
        "print(fingerprint(Shape()))"
    )
    ran = {run(tmp_path, "shape.py"), run(tmp_path, "-m", "shape"), run(tmp_path, "-c", as_import)}
    assert len(ran) == 1


def test_the_hash_seed_does_not_count(tmp_path):
    """Sets, dicts and instances have one fingerprint in processes with different hash seeds."""
    script = (
        "import enum, pathlib, collections, numpy as np\n"
        "from ato.fingerprints import fingerprint\n"
        "class Colour(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
        "value = [{'a', 'b', 'c', 1, None}, {'x': {2, 3}, 'y': frozenset('abcdef')},\n"
        "    {pathlib.Path('a'), pathlib.Path('b')}, {Colour.RED, Colour.BLUE}, np.arange(3),\n"
        "    collections.Counter('hello'), len, dict]\n"
        "print(fingerprint(value))\n"
    )
    (tmp_path / "script.py").write_text(script)
    assert len({run(tmp_path, "script.py", seed=seed) for seed in ("0", "1", "77")}) == 1


def test_value_hex_is_the_fingerprints_hex():
    """`value_hex` takes a shorter way to the same digest, for scalars, arrays and the rest."""
    for value in (1.5, "a", [1], np.arange(3), Point(1.0), None):
        assert value_hex(value) == fingerprint(value).hex == str(fingerprint(value))


def run(folder, *arguments, seed="random"):
    """Run Python in `folder` and return what it prints."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()
