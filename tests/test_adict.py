"""ADict: access, conversion, hashes, files, reads."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato import events, fingerprint
from ato.adict import ADict
from ato.adict.tree import place
from ato.exceptions import (
    ConfigFileError,
    ConfigTypeError,
    ConfigValueError,
    FrozenConfigError,
    MissingFileError,
    UnknownKeyError,
)
from ato.provenance import History

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)
mappings = st.dictionaries(st.text(max_size=3), trees, max_size=4)


class Pair(NamedTuple):
    first: object
    second: object


# ------------------------------------------------------------------ building and access


@given(mappings)
def test_a_config_equals_what_it_was_made_of(mapping):
    """Building, cloning, pickling and converting back lose nothing."""
    config = ADict(mapping)
    assert config == mapping
    assert config.to_dict() == mapping
    assert type(config.to_dict()) is dict
    assert config.clone() == copy.copy(config) == pickle.loads(pickle.dumps(config)) == mapping


class Own(ADict):
    """A config with a method of its own."""

    def double(self):
        return 2 * self.a


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_keep_what_a_config_is(protocol):
    """Class, flags, one object in two places, and an object that leads back to its config."""
    config = ADict(m={"d": 1}, l=[{"x": 2}], default=5).freeze()
    again, branch = pickle.loads(pickle.dumps((config, config.m), protocol))
    assert again == config
    assert again.m is branch
    assert (again.frozen, again.l[0].frozen, again.absent) == (True, True, 5)
    own = pickle.loads(pickle.dumps(Own(a=3), protocol))
    assert (type(own), own.double()) == (Own, 6)
    ring = ADict(holder=Holder())
    ring.holder.config = ring
    again = pickle.loads(pickle.dumps(ring, protocol))
    assert again.holder.config is again


class Holder:
    """An object that keeps a config."""


def test_mappings_are_converted_wherever_they_stand():
    """Mappings inside lists, tuples and named tuples have attributes too."""
    config = ADict(
        {"a": {"b": [{"c": 1}], "t": ({"d": 2}, 3), "p": Pair({"e": 4}, 5)}}, [("x", {"y": 6})]
    )
    config.later = OrderedDict(z=7)
    assert (config.a.b[0].c, config.a.t[0].d, config.a.p.first.e) == (1, 2, 4)
    assert (config.x.y, config.later.z, type(config.a.p)) == (6, 7, Pair)


@pytest.mark.parametrize("wrong", [3, "ab", ["ab"], [1, 2], None, [(1, 2, 3)]])
def test_only_mappings_and_pairs_make_a_config(wrong):
    """Anything else is a TypeError."""
    with pytest.raises(ConfigTypeError, match="made of mappings and pairs"):
        ADict(wrong)


def test_several_keys_at_once():
    """A tuple of keys reads a list and takes a list of as many values."""
    config = ADict(a=1, b=2)
    assert config["a", "b"] == [1, 2]
    config["a", "c"] = [3, 4]
    assert config == {"a": 3, "b": 2, "c": 4}
    with pytest.raises(ConfigValueError, match="2 keys take a list"):
        config["a", "b"] = [1]
    del config["a", "b"]
    assert config == {"c": 4}


def test_a_missing_key_names_the_nearest():
    """The error is a KeyError and an AttributeError, and knows the branch."""
    config = ADict(lr=0.1, model={"depth": 1})
    for error, read in (
        (AttributeError, lambda: config.lrr),
        (KeyError, lambda: config["lrr"]),
        (UnknownKeyError, lambda: config.pop("lrr")),
    ):
        with pytest.raises(error) as caught:
            read()
        assert str(caught.value) == "no key 'lrr'; did you mean 'lr'?"
    with pytest.raises(KeyError, match="no key 'dept' in 'model'; did you mean 'depth'"):
        config.model.dept
    with pytest.raises(UnknownKeyError):
        del config.lrr
    assert getattr(config, "lrr", 5) == config.get("lrr", 5) == config.pop("lrr", 5) == 5


def test_method_names_are_keys_by_item_only():
    """Setting a method's name as an attribute is an error that says how to write it."""
    config = ADict()
    config["items"] = 3
    assert list(config.items()) == [("items", 3)]
    with pytest.raises(ConfigTypeError, match=r"config\['update'\]"):
        config.update = 3


def test_dunder_keys_work_as_attributes():
    """A key such as `__num_halved__` is a key like others; a missing one is an AttributeError."""
    config = ADict.auto()
    config.__num_halved__ = 3
    assert config == {"__num_halved__": 3}
    assert config.__num_halved__ == 3
    assert not hasattr(config, "__array__")


def test_auto_leaves_nothing_behind_when_read():
    """Missing keys become nested configs when they are written through, and only then."""
    config = ADict.auto()
    assert config.a.b.c == {}
    assert config == {}
    config.a.b.c = 1
    config["x"].y = 2
    assert config == {"a": {"b": {"c": 1}}, "x": {"y": 2}}
    first, second = config.p, config.p
    first.q = 1
    second.r = 2
    assert config.p == {"q": 1, "r": 2}


def test_defaults_are_stored_if_they_are_made():
    """A callable's result is stored on first read; a plain value is not."""
    config = ADict(default=list)
    config.seen.append(1)
    assert config == {"seen": [1]}
    config = ADict(default=7)
    assert config.anything == 7
    assert config == {}
    assert config.get("anything") is None
    config.set_default(8)
    assert (config.x, config.get_default()) == (8, 8)
    config.remove_default()
    with pytest.raises(UnknownKeyError):
        config.x
    with pytest.raises(ConfigValueError):
        config.get_default()


def test_values_by_dotted_name():
    """A dotted path reaches a nested value, and an error says where it ends."""
    config = ADict(a={"b": 1})
    assert config.get_value_by_name("a.b") == 1
    with pytest.raises(UnknownKeyError, match="what stands before 'c' has no keys"):
        config.get_value_by_name("a.b.c")


def test_raw_passes_by_default_and_record():
    """`raw` gives key and value, and counts as no read."""
    config = ADict(a=1, default=5)
    assert config.raw("a") == {"key": "a", "value": 1}
    assert config.raw("b").value is None
    assert config.accessed_keys == set()


def test_a_node_has_one_place():
    """A free config is taken in as it is; one that stands somewhere already is copied."""
    branch = ADict(depth=1)
    config = ADict(model=branch)
    branch.depth = 2
    assert config.model.depth == 2
    other = ADict(model=config.model)
    other.model.depth = 3
    assert config.model.depth == 2
    with pytest.raises(ConfigValueError, match="cannot contain itself"):
        config.me = config


def test_lists_that_are_put_in_are_copied():
    """Appending to the config's list leaves the caller's alone."""
    layers = [1]
    config = ADict(layers=layers)
    config.layers.append(2)
    assert layers == [1]


# ------------------------------------------------------------------ changes


def test_merging():
    """`update` replaces branches, or merges into them with `recurrent`."""
    config = ADict(a={"b": 1, "c": 2}, x=1)
    config.update({"a": {"b": 3}}, recurrent=True, x=2)
    assert config == {"a": {"b": 3, "c": 2}, "x": 2}
    config.update_if_absent({"a": {"b": 9, "d": 4}, "y": 5}, recurrent=True)
    assert config == {"a": {"b": 3, "c": 2, "d": 4}, "x": 2, "y": 5}
    config.update_if_absent(a={"q": 1})
    assert "q" not in config.a
    config.update(a={"b": 1})
    assert config.a == {"b": 1}


def test_mm_like_update_honours_delete():
    """A deep merge in which `_delete_` replaces the branch."""
    config = ADict(model={"type": "A", "depth": 1}, opt={"lr": 1})
    config.mm_like_update(model={"_delete_": True, "type": "B"}, opt={"wd": 2}, new={"x": {"y": 1}})
    assert config == {"model": {"type": "B"}, "opt": {"lr": 1, "wd": 2}, "new": {"x": {"y": 1}}}


def test_filter_rename_and_the_mapping_methods():
    """The other ways to change a config."""
    config = ADict(a=1, b=2, c=3)
    config.filter(lambda key, value: value > 1)
    config.replace_keys(["b"], ["d"])
    assert config == {"c": 3, "d": 2}
    assert config.setdefault("e", 4) == 4
    assert config.popitem() == ("e", 4)
    with pytest.raises(UnknownKeyError):
        config.replace_keys(["zz"], ["y"])
    assert (config | {"x": 1}) == {"c": 3, "d": 2, "x": 1}
    assert ({"x": 1} | config) == {"x": 1, "c": 3, "d": 2}
    config |= {"c": 5}
    assert config == {"c": 5, "d": 2}
    config.clear()
    assert config == {}


WRITES = {
    "attribute": lambda c: setattr(c, "a", 1),
    "item": lambda c: c.__setitem__("a", 1),
    "nested": lambda c: setattr(c.b, "c", 1),
    "in a list": lambda c: setattr(c.l[0], "d", 1),
    "delete": lambda c: c.__delitem__("a"),
    "update": lambda c: c.update(a=2),
    "pop": lambda c: c.pop("a"),
    "popitem": lambda c: c.popitem(),
    "clear": lambda c: c.clear(),
    "setdefault": lambda c: c.setdefault("z", 1),
    "or": lambda c: c.__ior__({"a": 2}),
    "filter": lambda c: c.filter(lambda k, v: False),
    "rename": lambda c: c.replace_keys(["a"], ["z"]),
    "load": lambda c: c.mm_like_update(a=3),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_frozen_config_refuses_every_write(write):
    """No write is ignored in silence; after `defrost` it works; `clone` is free."""
    config = ADict(a=1, b={"c": 2}, l=[{"d": 3}])
    before = config.to_dict()
    config.freeze()
    assert config.frozen
    with pytest.raises(FrozenConfigError, match="frozen; defrost"):
        write(config)
    assert config == before
    write(config.clone())
    config.defrost()
    write(config)
    config.convert_to_immutable()
    with pytest.raises(FrozenConfigError):
        config.defrost()
    with pytest.raises(TypeError):
        config.x = 1


def test_an_error_leaves_the_config_as_it_was():
    """Nothing is half applied: not of several keys, of a merge into a frozen branch, of a renaming."""
    config = ADict(a=1, b={"c": 2}, d=3)
    config.b.freeze()
    before = config.to_dict()
    for wrong in (
        lambda: config.__delitem__(("a", "zz")),
        lambda: config.update({"a": 9, "b": {"c": 9}}, recurrent=True),
        lambda: config.update({"a": 9}, [("b",)]),
        lambda: config.update_if_absent({"x": 9, "b": {"q": 9}}, recurrent=True),
        lambda: config.mm_like_update(a=9, b={"c": 9}),
        lambda: config.replace_keys(["a", "a"], ["x", "y"]),
        lambda: config.replace_keys(["a", "d"], ["x", "x"]),
        lambda: config.replace_keys(["a"], ["x", "y"]),
    ):
        with pytest.raises((FrozenConfigError, UnknownKeyError, ConfigTypeError, ConfigValueError)):
            wrong()
        assert config == before
    config.defrost().freeze()
    for wrong in (config.clear, lambda: config.filter(lambda key, value: key == "a")):
        with pytest.raises(FrozenConfigError):
            wrong()
        assert config == before


def test_a_config_inside_of_itself_is_refused_before_anything_changes():
    """However deep it is wrapped; the config still stands where it stood."""
    config = ADict(a={"b": {}}, x=1)
    for wrong in (
        lambda: config.__setitem__("me", {"x": [config]}),
        lambda: config.a.b.__setitem__("me", config),
        lambda: config.a.b.update(me={"x": config}),
    ):
        with pytest.raises(ConfigValueError, match="cannot contain itself"):
            wrong()
        assert config == {"a": {"b": {}}, "x": 1}
        assert config.accessed_keys <= {"x", "a.b"}
    assert (config.x, config.accessed_keys) == (1, {"x"})


def test_a_mapping_that_contains_itself_is_refused():
    """The error says so, instead of what Python says of its stack."""
    endless = {}
    endless["x"] = endless
    with pytest.raises(ConfigValueError, match="does a mapping contain itself"):
        ADict(endless)
    config = ADict(a=1)
    with pytest.raises(ConfigValueError):
        config.update(b=endless)
    assert config == {"a": 1}


def test_what_is_immutable_stays_so():
    """`freeze` takes nothing back, and what was appended to a list is no write to the config."""
    config = ADict(a=1, layers=[1]).convert_to_immutable()
    config.freeze()
    with pytest.raises(FrozenConfigError, match="immutable"):
        config.a = 2
    with pytest.raises(FrozenConfigError):
        config.defrost()
    config.layers.append(2)
    assert config.layers == [1, 2]


def test_an_auto_node_is_attached_by_whatever_changes_it(tmp_path):
    """Loading into it, updating it and giving it a default leave it in its parent."""
    (tmp_path / "c.yaml").write_text("depth: 1\n")
    config = ADict.auto()
    config.a.load(tmp_path / "c.yaml")
    config.b.update(x=1)
    config.c.set_default(5)
    config.d.mm_like_update(e={"f": 1})
    assert config == {"a": {"depth": 1}, "b": {"x": 1}, "c": {}, "d": {"e": {"f": 1}}}
    assert config.c.anything == 5


def test_merging_like_openmmlab_takes_any_key():
    """Number keys are merged too, and `_delete_` never becomes a key."""
    config = ADict(m={1: {"a": 1}, 2: 3})
    config.mm_like_update(
        m={1: {"_delete_": False, "b": 2}}, n={"_delete_": True, "x": {"_delete_": True}}
    )
    assert config == {"m": {1: {"a": 1, "b": 2}, 2: 3}, "n": {"x": {}}}


@given(mappings, mappings)
def test_merges_are_what_they_are_said_to_be(a, b):
    """Deep and shallow merges agree with the plain loop over the keys, recorded or not."""

    def merged(a, b, deep):
        found = dict(a)
        for key, value in b.items():
            both = deep and isinstance(value, dict) and isinstance(found.get(key), dict)
            found[key] = merged(found[key], value, deep) if both else value
        return found

    def added(a, b, deep):
        found = dict(a)
        for key, value in b.items():
            if key not in found:
                found[key] = value
            elif deep and isinstance(value, dict) and isinstance(found[key], dict):
                found[key] = added(found[key], value, deep)
        return found

    for deep in (False, True):
        for make in (ADict, lambda given: ADict(given) | with_history()):
            assert make(a).update(b, recurrent=deep).to_dict() == merged(a, b, deep)
            assert make(a).update_if_absent(b, recurrent=deep).to_dict() == added(a, b, deep)
    assert list(ADict(a).update(b).to_dict()) == list(merged(a, b, False))


def with_history():
    """An empty config that records, as one that comes from a file does."""
    config = ADict()
    place(config, "", History())
    return config


# ------------------------------------------------------------------ identity


SHAPES = [
    {}, {"a": {}}, {"a": None}, {"a": True}, {"a": 1}, {"a": 1.0}, {"a": "x"}, {"a": [1]},
    {"a": (1,)}, {"a": []}, {"a": ()}, {"a": [1, "a"]}, {"a": ["a", 1]}, {"a": [{"b": 1}]},
    {"a": {"b": 1}}, {"a.b": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": {"b": 1, "c": 1}},
    {"a": [[1], 1]}, {"a': int, 'b": 1}, {1: 1}, {"1": 1},
]  # fmt: skip


def test_structures_that_differ_have_other_hashes():
    """Types, containers, keys and crafted keys are told apart, in hash and text."""
    hashes = [ADict(shape).get_structural_hash() for shape in SHAPES]
    texts = [ADict(shape).get_structural_repr() for shape in SHAPES]
    assert len(set(hashes)) == len(set(texts)) == len(SHAPES)


def shape(value):
    """The structure, spelled out: two values have the same one only if their shapes are equal."""
    if isinstance(value, dict):
        return ("mapping", {(type(key).__name__, key): shape(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        shapes = [shape(item) for item in value]
        runs = [item for at, item in enumerate(shapes) if at == 0 or item != shapes[at - 1]]
        return (type(value).__name__, runs)
    return type(value).__name__


alike = st.recursive(
    st.sampled_from([None, True, 1, 2, 1.0, "a", "b", np.float64(1.0), b"a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "b", "a.b", "", "0", 0, True]), inner, max_size=2)
    ),
    max_leaves=5,
)
like_mappings = st.dictionaries(st.sampled_from(["a", "b", "a.b", 1]), alike, max_size=2)


@given(like_mappings, like_mappings)
def test_equal_structure_is_equal_hash(a, b):
    """The hashes of two configs are equal exactly where their structures are."""
    same = shape(a) == shape(b)
    assert (ADict(a).get_structural_hash() == ADict(b).get_structural_hash()) == same
    assert (ADict(a).get_structural_repr() == ADict(b).get_structural_repr()) == same


@given(like_mappings, st.randoms())
def test_the_order_of_keys_does_not_count(mapping, random):
    """The same keys in another order, at every level, have the same hash."""

    def shuffled(value):
        if isinstance(value, dict):
            items = [(key, shuffled(item)) for key, item in value.items()]
            random.shuffle(items)
            return dict(items)
        if isinstance(value, (list, tuple)):
            return type(value)(map(shuffled, value))
        return value

    other = ADict(shuffled(mapping))
    assert other.get_structural_hash() == ADict(mapping).get_structural_hash()


def test_structures_that_agree_have_one_hash():
    """Values, key order and the number of like neighbours do not count."""
    a, b = ADict(x=1, y=[1, 2, 3]), ADict(y=[7], x=2)
    assert a.get_structural_hash() == b.get_structural_hash()
    assert a.get_structural_repr() == b.get_structural_repr()
    assert len(a.get_structural_hash()) == 64


def test_the_value_hash_is_the_fingerprint():
    """Everything counts, and a plain dict of the same content has the same one."""
    config = ADict(x=1, y={"z": [1, {"w": 2}]})
    assert config.get_value_hash() == fingerprint(config).hex == fingerprint(config.to_dict()).hex
    assert config.get_value_hash() != ADict(config, x=2).get_value_hash()


# ------------------------------------------------------------------ files


@pytest.mark.parametrize("extension", ["json", "yaml", "yml", "toml", "xyz"])
def test_files_of_every_format_come_back_with_their_lines(tmp_path, monkeypatch, extension):
    """A dumped config is read back equal, and each key knows file and line."""
    monkeypatch.chdir(tmp_path)
    config = ADict(lr=0.1, model={"depth": 50, "layers": [1, 2]}, name="x")
    config.dump(f"conf/c.{extension}")
    loaded = ADict.from_file(f"conf/c.{extension}")
    assert loaded == config
    text = (tmp_path / f"conf/c.{extension}").read_text()
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "depth" in line)
    origin = loaded.history("model.depth")[0].origin
    assert (origin.kind, origin.file, origin.line) == ("file", f"conf/c.{extension}", line)


def test_loading_merges_deeply_and_the_later_file_wins(tmp_path):
    """Keys that a file does not name stay, and the history says what was replaced."""
    (tmp_path / "a.yaml").write_text("model:\n  depth: 1\n  act: relu\n")
    (tmp_path / "b.toml").write_text("[model]\ndepth = 2\n")
    config = ADict.from_file(tmp_path / "a.yaml").load(tmp_path / "b.toml")
    assert config == {"model": {"depth": 2, "act": "relu"}}
    assert [write.value_text for write in config.history("model.depth")] == ["1", "2"]


def test_a_python_file_is_executed(tmp_path):
    """Its variables are the config; modules, functions and classes are not."""
    file = tmp_path / "c.py"
    file.write_text("import math\nlr = 10 ** -1\ndef f(): ...\nmodel = dict(depth=1)\n")
    config = ADict.from_file(file)
    assert config == {"lr": 0.1, "model": {"depth": 1}}
    assert config.history("model.depth")[0].origin.line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na b\n", "c.py:2: invalid syntax"),
        ("a = 1\nraise ValueError('no')\n", "c.py:2: ValueError: no"),
        ("def f():\n    1 / 0\nf()\n", "c.py:2: ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", "c.py:2: SystemExit: 3"),
    ],
)
def test_a_python_file_that_fails_names_its_line(tmp_path, text, message):
    """Whatever it raises, the error says in which line of the config."""
    (tmp_path / "c.py").write_text(text)
    with pytest.raises(ConfigFileError) as caught:
        ADict.from_file(tmp_path / "c.py")
    assert message in str(caught.value)


def test_loading_into_a_frozen_part_changes_nothing(tmp_path):
    """The file's other keys are not taken over either."""
    (tmp_path / "c.yaml").write_text("a: 9\nb:\n  c: 9\n")
    config = ADict(a=1, b={"c": 2})
    config.b.freeze()
    with pytest.raises(FrozenConfigError, match=r"cannot write 'b\.c'"):
        config.load(tmp_path / "c.yaml")
    assert config == {"a": 1, "b": {"c": 2}}


def test_what_yaml_gives_yaml_takes(tmp_path):
    """Number keys, dates and bytes of a YAML file can be written to one again."""
    (tmp_path / "c.yaml").write_text("a: {1: x, 2.5: y, no: z}\nd: 2024-01-02\nb: !!binary aGk=\n")
    config = ADict.from_file(tmp_path / "c.yaml")
    assert config.a == {1: "x", 2.5: "y", False: "z"}
    config.dump(tmp_path / "d.yaml")
    assert ADict.from_file(tmp_path / "d.yaml") == config
    with pytest.raises(ConfigTypeError, match="a: JSON keys are texts"):
        config.json()


file_mappings = st.dictionaries(
    st.text("ab.# :\"'[", max_size=4),
    st.recursive(
        st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "1", "a: b", "# c", ""]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("ab.", max_size=2), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.mark.parametrize("extension", ["json", "yaml", "toml", "xyz"])
@given(mapping=file_mappings)
def test_every_leaf_of_a_file_has_its_line(tmp_path_factory, extension, mapping):
    """What is dumped comes back equal, and the line of each leaf shows its key and value."""
    path = tmp_path_factory.getbasetemp() / f"lines.{extension}"
    ADict(mapping).dump(path)
    config = ADict.from_file(path)
    assert config == mapping
    lines = path.read_text().splitlines()
    for name, value in config.to_flat().items():
        (write,) = config.history(name)
        assert (write.origin.kind, write.type) == (
            "file",
            type(value).__name__.replace("ADict", "dict"),
        )
        if type(value) in (int, bool):
            shown = lines[write.origin.line - 1].replace("'", '"')
            assert str(value).lower() in shown.lower()


def test_files_that_cannot_be_read_or_written(tmp_path):
    """Wrong extension, missing file, wrong content: each has its message."""
    (tmp_path / "base.yaml").write_text("- 1")
    (tmp_path / "bad.json").write_bytes(b"\xff")
    with pytest.raises(
        FileNotFoundError, match=r"no such config file: .*; did you mean '.*base.yaml'"
    ):
        ADict.from_file(tmp_path / "bass.yaml")
    with pytest.raises(MissingFileError):
        ADict.from_file(tmp_path / "none" / "zzz.py")
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(MissingFileError, match=r"folder.yaml is a folder"):
        ADict.from_file(tmp_path / "folder.yaml")
    with pytest.raises(ConfigFileError, match="holds a list"):
        ADict.from_file(tmp_path / "base.yaml")
    with pytest.raises(ConfigFileError, match="not UTF-8"):
        ADict.from_file(tmp_path / "bad.json")
    with pytest.raises(ConfigFileError, match=r"cannot read a \.ini; use \.json"):
        ADict.from_file(tmp_path / "c.ini")
    with pytest.raises(ConfigFileError, match=r"cannot write a \.py"):
        ADict(a=1).dump(tmp_path / "c.py")


def test_a_failing_dump_leaves_the_old_file(tmp_path):
    """A file is written whole or not at all."""
    file = tmp_path / "c.json"
    ADict(a=1).dump(file)
    with pytest.raises(ConfigTypeError, match="a: JSON has no form"):
        ADict(a=object()).dump(file)
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_json_and_xyz_texts():
    """The two text forms of a config."""
    config = ADict(a={"b": 1})
    assert json.loads(config.json()) == {"a": {"b": 1}}
    assert config.to_xyz() == "a:\n    b: 1"


# ------------------------------------------------------------------ reads


class Recorder:
    def on_code(self, record):
        """Not looked at here."""

    def on_call(self, record):
        """Not looked at here."""

    def on_start_state(self, states):
        """Not looked at here."""

    def on_file(self, record):
        """Not looked at here."""


@pytest.fixture
def reads():
    """Run a function and return the keys that an open run saw it read."""
    with events.recording_in_context(Recorder()) as run:

        def during(function):
            run.root.reads.clear()
            run.root._seen.clear()
            function()
            return sorted(read.key for read in run.root.reads)

        yield during


def star(**given):
    return given


BELOW = ["model.d", "model.l", "model.sub.z"]
READERS = {
    "unpack": lambda c: star(**c.model),
    "unpack into a dict": lambda c: {**c.model},
    "unpack keys": lambda c: [*c.model],
    "dict": lambda c: dict(c.model),
    "dict update": lambda c: {}.update(c.model),
    "or": lambda c: {} | c.model,
    "iterate": lambda c: list(c.model),
    "reversed": lambda c: list(reversed(c.model)),
    "sorted": lambda c: sorted(c.model),
    "items": lambda c: list(c.model.items()),
    "values": lambda c: list(c.model.values()),
    "equal": lambda c: c.model == {},
    "not equal": lambda c: c.model != {},
    "json": lambda c: json.dumps(c.model),
    "json, indented": lambda c: json.dumps(c.model, indent=1),
    "own json": lambda c: c.model.json(),
    "to_dict": lambda c: c.model.to_dict(),
    "to_xyz": lambda c: c.model.to_xyz(),
    "pickle": lambda c: pickle.dumps(c.model),
    "into another config": lambda c: ADict(c.model),
}
SILENT = {
    "passing through": lambda c: c.model.sub,
    "repr": repr,
    "hashes": lambda c: (c.get_structural_hash(), c.get_value_hash(), fingerprint(c)),
    "clone": lambda c: c.clone(),
    "copy": copy.copy,
    "diff": lambda c: ADict.diff(c, {}),
    "flat": lambda c: c.to_flat(),
    "raw": lambda c: c.raw("lr"),
    "write": lambda c: setattr(c, "lr", 1),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_whatever_hands_out_a_branch_reads_every_leaf_below(reads, reader):
    """No way around: unpacking, iterating, comparing and dumping see the whole branch."""
    config = ADict(lr=0.1, model={"d": 1, "l": [{"a": 1}], "sub": {"z": 2}})
    assert reads(lambda: reader(config)) == BELOW
    assert config.accessed_keys == set(BELOW)


@pytest.mark.parametrize("reader", SILENT.values(), ids=SILENT)
def test_what_reads_nothing(reads, reader):
    """Passing through a branch, copying, hashing and rendering are no reads."""
    config = ADict(lr=0.1, model={"d": 1, "l": [{"a": 1}], "sub": {"z": 2}})
    assert reads(lambda: reader(config)) == []
    assert config.accessed_keys == set()


def test_a_leaf_is_read_by_its_dotted_path(reads):
    """Reading through a list reads the list; what is looked for and missing is a read too."""
    config = ADict(lr=0.1, model={"l": [{"a": 1}]}, **{"a.b": 1})
    assert reads(lambda: config.model.l[0].a) == ["model.l"]
    assert reads(lambda: config["a.b"]) == ["['a.b']"]
    assert reads(lambda: ("lr" in config, "zz" in config, config.get("yy"))) == ["lr", "yy", "zz"]


def test_reads_of_clones_and_pickles_keep_their_path(reads):
    """A branch that was copied still says where it stood."""
    config = ADict(model={"d": 1})
    for other in (config.model.clone(), pickle.loads(pickle.dumps(config.model))):
        assert reads(lambda other=other: other.d) == ["model.d"]


def test_quiet_reads_count_nowhere(reads):
    """Ato's own reads are neither the run's nor the config's."""
    config = ADict(model={"d": 1})

    def quietly():
        with events.quiet_reads():
            dict(config.model)
            list(config.items())

    assert reads(quietly) == []


def test_asking_for_a_key_is_reading_it():
    """A program that finds a key with `in` finds it in the minimal config too."""
    config = ADict(a={"b": 1, "c": 2}, d=3)
    assert "b" in config.a
    assert (config.accessed_keys, config.get_minimal_config()) == ({"a.b"}, {"a": {"b": 1}})


def test_the_minimal_config_is_what_was_read():
    """Only read leaves stay, at their place."""
    config = ADict(lr=0.1, model={"depth": 1, "act": "relu"}, unused=1)
    assert (config.lr, config.model.depth) == (0.1, 1)
    assert config.get_minimal_config() == {"lr": 0.1, "model": {"depth": 1}}
    assert config.accessed_keys == {"lr", "model.depth"}
