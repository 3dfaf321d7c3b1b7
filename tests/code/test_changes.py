"""Comparing two deep fingerprints: which units changed by themselves, and in what way."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from code_projects import write_files

from ato.code import CodeFingerprint, changed_units, fingerprint_code

# What stands once in the project, what it becomes, and the changes that are found.
EDITS: dict[str, tuple[str, str, list[str]]] = {
    "a comment": ("# keep it small", "# as is", ["cosmetic data.clip"]),
    "a local": (
        "total = x\n    return total",
        "summed = x\n    return summed",
        ["cosmetic data.added"],
    ),
    "a literal": ("x + 17", "x + 18", ["constant data.shift"]),
    "a default": ("scale=4", "scale=5", ["constant data.augment"]),
    "a module's constant": ("CLIP = 1.5", "CLIP = 2.5", ["constant data.CLIP"]),
    "a class's constant": ("rate = 0.5", "rate = 0.25", ["constant data.Net.rate"]),
    "a table": ("[1, 2, 3]", "[1, 2, 4]", ["constant data.TABLE"]),
    "what is made from a constant": ("BASE = 2", "BASE = 3", ["constant data.BASE"]),
    "how it is made": ("BASE * 10", "BASE + 10", ["logic data.DERIVED"]),
    "a closure's value": ("times(3)", "times(4)", ["constant data.times.<locals>.by"]),
    "a decorator's argument": (
        "@scaled(2)",
        "@scaled(7)",
        ["constant data.scaled.<locals>.wrap.<locals>.inner"],
    ),
    "an operator": ("min(x, CLIP)", "max(x, CLIP)", ["logic data.clip"]),
    "a method": ("x * self.rate", "x / self.rate", ["logic data.Net.run"]),
    "a nested function": (
        "return x * factor",
        "return x - factor",
        ["logic data.times.<locals>.by"],
    ),
    "a literal and a local": (
        "total = x\n    return total",
        "summed = x + 0\n    return summed",
        ["logic data.added"],
    ),
    "a base": (
        "class Net(Base)",
        "class Net(Other)",
        ["logic data.Net", "added data.Other", "added data.Other.width", "removed data.Base"],
    ),
    "an imported function": (
        "from math import sin as act",
        "from math import cos as act",
        ["dependency data.act"],
    ),
    "an import inside": (
        "from json import dumps",
        "from pickle import dumps",
        ["dependency data.added"],
    ),
    "a helper more": (
        "return clip(x) * scale",
        "return unused(clip(x)) * scale",
        ["logic data.augment", "added data.unused"],
    ),
    "another library": (
        "import yaml as reader",
        "import numpy as reader",
        ["dependency data.reader", "dependency PyYAML", "dependency numpy"],
    ),
    "nothing that is reached": ("return 'unused'", "return 'still unused'", []),
}

DATA = """
import functools
import yaml as reader
from math import sin as act

CLIP = 1.5
BASE = 2
DERIVED = BASE * 10
TABLE = [1, 2, 3]

def scaled(factor):
    def wrap(fn):
        @functools.wraps(fn)
        def inner(x):
            return fn(x) * factor
        return inner
    return wrap

def times(factor):
    def by(x):
        return x * factor
    return by

tripled = times(3)

class Base:
    pass

class Other:
    width = 1

class Net(Base):
    rate = 0.5

    def run(self, x):
        return x * self.rate

def clip(x):
    # keep it small
    return min(x, CLIP)

def augment(x, scale=4):
    return clip(x) * scale

def added(x):
    from json import dumps
    dumps(x)
    total = x
    return total

@scaled(2)
def shift(x):
    return x + 17

def unused(x):
    return 'unused'

def train(x):
    reader.load(TABLE)
    return augment(x) + added(x) + shift(x) + Net().run(x) + tripled(x) + act(x) + DERIVED
"""


def code_of(folder: Path, text: str, monkeypatch, target: str = "train") -> CodeFingerprint:
    """The fingerprint of `data.<target>` with `data.py` of that text."""
    write_files(folder, {"data.py": text})
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder.parent / "cache"))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "data", raising=False)
    module = importlib.import_module("data")
    monkeypatch.delitem(sys.modules, "data")
    monkeypatch.setitem(sys.modules, "data", module)
    code = fingerprint_code(getattr(module, target), roots=[folder])
    monkeypatch.delitem(sys.modules, "data")
    return code


def told(before: CodeFingerprint, after: CodeFingerprint) -> list[str]:
    return [f"{change.kind} {change.subject}" for change in changed_units(before, after)]


@pytest.mark.parametrize("case", EDITS)
def test_each_change_is_charged_and_classed(case, tmp_path, monkeypatch):
    """The innermost unit is named for an edit, with the way in which it differs."""
    old, new, expected = EDITS[case]
    assert DATA.count(old) == 1
    before = code_of(tmp_path / "before", DATA, monkeypatch)
    after = code_of(tmp_path / "after", DATA.replace(old, new), monkeypatch)
    assert told(before, after) == expected


def test_a_renamed_function_is_no_other_logic(tmp_path, monkeypatch):
    """A function that has another name is a rename, and so is the call of it."""
    before = code_of(tmp_path / "before", DATA, monkeypatch)
    after = code_of(tmp_path / "after", DATA.replace("clip(", "limit("), monkeypatch)
    assert told(before, after) == ["rename data.augment", "rename data.limit"]
    changes = {change.subject: change for change in changed_units(before, after)}
    limit = changes["data.limit"]
    assert limit.before is not None
    assert limit.after is not None
    assert (limit.before.name, limit.after.name) == ("clip", "limit")


def test_a_renamed_function_takes_what_is_inside_along(tmp_path, monkeypatch):
    """Functions inside a renamed one are not told again."""
    before = code_of(tmp_path / "before", DATA, monkeypatch)
    text = DATA.replace("def times(", "def thrice(").replace("= times(", "= thrice(")
    found = told(before, code_of(tmp_path / "after", text, monkeypatch))
    assert "rename data.thrice.<locals>.by" not in found
    assert "rename data.thrice" in found


def test_the_compared_functions_may_have_other_names(tmp_path, monkeypatch):
    """The two functions themselves are taken for one another."""
    before = code_of(tmp_path / "before", "def f(x): return x + 1\n", monkeypatch, "f")
    after = code_of(tmp_path / "after", "def g(x): return x + 1\n", monkeypatch, "g")
    assert told(before, after) == ["rename data.g"]


def test_equal_code_has_no_changes(tmp_path, monkeypatch):
    """The same project in another folder differs in nothing."""
    first, second = (code_of(tmp_path / name, DATA, monkeypatch) for name in ("one", "two"))
    assert changed_units(first, second) == ()
