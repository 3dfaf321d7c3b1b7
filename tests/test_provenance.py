"""Origins, writes and the text that says who set a key."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from ato.adict import ADict
from ato.adict.tree import place
from ato.provenance import MISSING, History, Origin, Source, Write, dotted, explain, value_text


def recorded(*mappings):
    config = ADict(*mappings)
    place(config, "", History())
    return config


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (Origin("view", "high_lr", "train.py", 18), "view high_lr, train.py:18"),
        (Origin("lazy", "late", "train.py", 20), "lazy view late, train.py:20"),
        (Origin("cli", "lr=0.01 (argument 3)"), "command line: lr=0.01 (argument 3)"),
        (Origin("file", "", "base.yaml", 3), "base.yaml:3"),
        (Origin("file", "view a", "base.yaml", 3), "base.yaml:3, loaded by view a"),
        (Origin("code", "main", "train.py", 9), "train.py:9, in main"),
        (Origin("code", "", "train.py", 9), "train.py:9"),
        (Origin("default", "given to the scope", "train.py", 2), "given to the scope, train.py:2"),
    ],
)
def test_an_origin_reads_as_a_place(origin, text):
    """Every kind of origin has a short text, and survives JSON."""
    assert str(origin) == text
    assert Origin.from_json(origin.to_json()) == origin


def test_a_write_survives_json():
    """A write with everything in it comes back equal."""
    write = Write("0.1", "float", Origin("view", "a", "t.py", 3), "0.2", ("steps",))
    assert Write.from_json(write.to_json()) == write


def test_plain_code_is_named_by_its_function_and_line():
    """A write outside of any scope names the line of the user's code, not of Ato's."""
    config = recorded({"lr": 1})
    line = test_plain_code_is_named_by_its_function_and_line.__code__.co_firstlineno + 4
    config.lr = 2
    config.update(lr=3)
    first, second = config.history("lr")
    assert first.origin.text == "test_plain_code_is_named_by_its_function_and_line"
    assert (first.origin.line, second.origin.line) == (line, line + 1)
    assert first.origin.file.endswith("test_provenance.py")
    assert (first.value_text, first.replaced_text, second.replaced_text) == ("2", "1", "2")


def test_what_a_view_read_before_a_write_is_its_derivation():
    """A write is derived from the keys read before it, in order, without the key itself."""
    config = recorded({"steps": 10, "lr": 0.1, "later": 1})
    source = Source("view", "v")
    with state_history(config).writing(source):
        config.warmup = config.steps // 2
        config.lr = config.lr * config.later
    assert config.history("warmup")[-1].derived_from == ("steps",)
    assert config.history("lr")[-1].derived_from == ("steps", "later")


def state_history(config):
    return config._ato_state.history


def test_a_branch_that_comes_or_goes_is_recorded_leaf_by_leaf():
    """Replacing a branch deletes the leaves that are gone and replaces those that stay."""
    config = recorded()
    config.model = {"depth": 1, "act": "relu"}
    config.model = {"depth": 2}
    assert [write.value_text for write in config.history("model.depth")] == ["1", "2"]
    gone = config.history("model.act")[-1]
    assert (gone.type, gone.value_text, gone.replaced_text) == ("deleted", "(deleted)", "'relu'")
    del config.model
    assert config.history("model.depth")[-1].type == "deleted"


def test_a_value_that_changes_later_is_shown_as_it_was_written():
    """A list that is appended to does not change what the history says."""
    config = recorded()
    config.layers = [1, 2]
    config.layers.append(3)
    assert config.history("layers")[0].value_text == "[1, 2]"


def test_a_loop_does_not_fill_the_memory():
    """A key that code writes in every step keeps its first writes and the last one."""
    config = recorded()
    for step in range(1000):
        config.step = step
        config.other = step
    texts = [write.value_text for write in config.history("step")]
    assert (len(texts), texts[0], texts[-1]) == (100, "0", "999")


@pytest.mark.parametrize("copy", [lambda c: c.clone(), lambda c: pickle.loads(pickle.dumps(c))])
def test_history_survives_copies_and_goes_its_own_way(copy):
    """A copy has the same writes, and later writes to either are its own."""
    config = recorded()
    config.model = {"depth": 1}
    other = copy(config)
    assert other.history("model.depth") == config.history("model.depth")
    other.model.depth = 2
    assert len(other.model.history("depth")) == 2
    assert len(config.history("model.depth")) == 1


def test_a_config_put_into_another_brings_its_history_along():
    """Values keep their origin when a config with a history becomes a branch."""
    inner = recorded()
    inner.batch = 8
    outer = recorded()
    outer.data = inner
    assert outer.history("data.batch")[-1].origin == inner.history("batch")[-1].origin


def test_explain_lists_the_winner_and_what_lost():
    """The last write comes first, and the others are aligned below it."""
    writes = [
        Write("0.001", "float", Origin("view", "defaults", "train.py", 12)),
        Write("0.1", "float", Origin("view", "high_lr", "train.py", 18), "0.001", ("epochs",)),
        Write("0.01", "float", Origin("cli", "lr=0.01 (argument 3)"), "0.1"),
    ]
    assert explain("lr", writes) == (
        "lr = 0.01\n"
        "  set by the command line: lr=0.01 (argument 3)\n"
        "  over   0.1    view high_lr, train.py:18; derived from epochs\n"
        "  over   0.001  view defaults, train.py:12"
    )


def test_explain_reads_well_where_much_happened():
    """Long values, loops, deletions and many sources each take one readable line."""
    loop = Origin("code", "main", "train.py", 33)
    layers = value_text(["layer"] * 20)
    writes = [
        Write("[1, 2]", "list", Origin("view", "defaults", "train.py", 12), "None"),
        Write(layers, "list", Origin("view", "big", "train.py", 18), "[1, 2]", tuple("abcdefgh")),
        *(Write(str(step), "int", loop) for step in range(100)),
        Write("(deleted)", "deleted", Origin("code", "main", "train.py", 40), "99"),
    ]
    assert explain("x", writes).splitlines() == [
        "x = (deleted)",
        "  deleted by train.py:40, in main",
        "  over   99 … 0                                   train.py:33, in main (100 writes)",
        (
            "  over   ['layer', 'layer', 'layer', 'layer', …]  view big, train.py:18; "
            "derived from a, b, c, d, e, f and 2 more"
        ),
        "  over   [1, 2]                                   view defaults, train.py:12",
        "  over   None                                     before that was recorded",
    ]
    assert explain("x", []) == "x: no write is recorded"


def test_long_values_are_cut_between_their_items_and_closed():
    """A cut text still shows what kind of value it was."""
    shown = value_text([f"item {number}" for number in range(50)])
    assert len(shown) <= 200
    assert (shown[:9], shown[-4:]) == ("['item 0'", ", …]")
    assert value_text("x" * 500).endswith("x…'")


def test_a_join_keeps_the_histories_of_both_sides(tmp_path, monkeypatch):
    """`|` and a config made of another one tell which file set a key, and what it replaced."""
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("lr: 1\nm:\n  d: 2\n")
    Path("b.toml").write_text("lr = 3\n[m]\ne = 4\n")
    a, b = ADict.from_file("a.yaml"), ADict.from_file("b.toml")
    joined = a | b
    assert joined == {"lr": 3, "m": {"e": 4}}
    assert explain("lr", joined.history("lr")) == "lr = 3\n  set by b.toml:1\n  over   1  a.yaml:1"
    assert [str(write.origin) for write in joined.history("m.e")] == ["b.toml:3"]
    assert joined.history("m.d")[-1].type == "deleted"
    assert ADict(a, x=1).history("m.d") == a.history("m.d") == ({"z": 1} | a).history("m.d")
    assert len(a.history("lr")) == 1


FILES = {
    "c.yaml": "m:\n  data:\n    - {p: 1,\n       q: [1]}\n    - r:\n        s: 3\n",
    "c.json": '{"m": {\n"data":\n[{"p": 1,\n"q": [1]},\n{"r": {\n"s": 3}}]}}',
    "c.toml": "[m]\n\n[[m.data]]\np = 1\nq = [1]\n[[m.data]]\nr.s = 3\n",
    "c.xyz": "m:\n    data:\n        0)\n            p: 1\n            q:\n"
    "                0) 1\n        1)\n            r:\n                s: 3\n",
}
LINES = {"c.yaml": (3, 4, 6), "c.json": (3, 4, 6), "c.toml": (4, 5, 7), "c.xyz": (4, 5, 9)}


@pytest.mark.parametrize("name", FILES)
def test_keys_of_mappings_in_lists_have_their_own_line(tmp_path, monkeypatch, name):
    """The history of such a key survives copies, and ends when the list is replaced."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(FILES[name])
    config = ADict.from_file(name)
    keys = ("m.data[0].p", "m.data[0].q", "m.data[1].r.s")
    for other in (config, config.clone(), copy.copy(config), pickle.loads(pickle.dumps(config))):
        places = [other.history(key)[-1].origin.place for key in keys]
        assert places == [f"{name}:{line}" for line in LINES[name]]
    config.m.data[0].p = 5
    assert [write.value_text for write in config.history("m.data[0].p")] == ["1", "5"]
    config.m.data = [{"p": 7}]
    assert [write.value_text for write in config.history("m.data[0].p")] == ["1", "5", "7"]
    assert config.history("m.data[1].r.s")[-1].type == "deleted"
    assert len(config.history("m.data")) == 2


class Silent:
    pass


class Loud:
    def __repr__(self):
        raise RuntimeError("no")


def test_values_are_shown_without_addresses():
    """No rendering holds an address, and a set's does not depend on its order."""
    assert value_text({"b", "a"}) == "{'a', 'b'}"
    assert value_text((1,)) == "(1,)"
    assert "0x" not in value_text(Silent()) + value_text(lambda: 0) + value_text([Silent()])
    assert len(value_text("x" * 10_000)) == 200


def test_an_integer_of_any_size_is_shown():
    """One that Python refuses to spell out is shown by its size."""
    config = recorded()
    config.big = 2**50_000
    assert config.history("big")[0].value_text == "int of 50001 bits"
    assert value_text([2**50_000]) == "[int of 50001 bits]"


def test_a_broken_repr_does_not_break_a_write():
    """A value whose `__repr__` raises is shown by its type."""
    config = recorded()
    config.loud = Loud()
    assert config.history("loud")[0].value_text == "Loud"


def test_missing_is_one_object_everywhere():
    """A pickled absence is the same object again."""
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING


def test_dotted_paths_of_different_keys_differ():
    """A key with a dot in it is no path of two keys, and an int is no text."""
    paths = {dotted("a", "b"), dotted("", "a.b"), dotted("a", 0), dotted("a", "0"), dotted("a", "")}
    assert len(paths) == 5


def test_a_write_that_no_line_of_code_calls_has_no_place(tmp_path):
    """The interpreter may call a method of a config by itself, as it does at exit."""
    (tmp_path / "c.json").write_text('{"a": 1}')
    script = (
        "import atexit\nfrom ato import ADict\n"
        "config = ADict.from_file('c.json')\n"
        "atexit.register(lambda: print(config.a, repr(config.history('a')[-1].origin.place)))\n"
        "atexit.register(config.__setitem__, 'a', 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("2 ''\n", "")
