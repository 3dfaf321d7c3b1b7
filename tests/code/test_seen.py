"""Code that is kept while nothing of what was looked at for it changes."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType

import pytest

from ato.code import KeptCode, fingerprint_code

SOURCE = """
RATE = 0.5
HISTORY = []
STEPS = {"first": None}


class Net:
    width = 8

    def forward(self, x):
        return x * self.width


def scale(x, by=2):
    return x * by * RATE


def closed(factor):
    def inner(x):
        return x * factor

    return inner


bound = closed(3)


class Times:
    def __init__(self, fn, factor):
        self.__wrapped__ = fn
        self.factor = factor

    def __call__(self, x):
        return self.factor * self.__wrapped__(x)


def half(x):
    return x / 2


halved = Times(half, 1)


def train(x):
    x = halved(x)
    HISTORY.append(x)
    for step in STEPS.values():
        x = step(x) if step else x
    return bound(scale(Net().forward(x)))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the project whose functions are loaded."""
    (tmp_path / "kept_module.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))
    sys.modules.pop("kept_module", None)
    import kept_module

    yield kept_module
    sys.modules.pop("kept_module", None)


def kept(module: ModuleType) -> KeptCode:
    return KeptCode(lambda seen: fingerprint_code(module.train, seen=seen))


def test_code_is_found_once_while_nothing_changes(module):
    """Asked again, the same fingerprint comes back without another walk; data that grows is no code."""
    code = kept(module)
    first = code.get()
    assert first.deep == fingerprint_code(module.train).deep
    module.train(1.0)
    module.HISTORY.extend(range(10))
    module.unrelated = object()
    code.get()
    module.HISTORY.append(3)
    assert code.is_current()
    assert code.get() is code.get()


def swap(name, value, module):
    setattr(module, name, value)


CHANGES = {
    "a constant": partial(swap, "RATE", 0.25),
    "a function": partial(swap, "scale", lambda x, by=2: x - by),
    "a default": lambda module: setattr(module.scale, "__defaults__", (3,)),
    "a class attribute": lambda module: setattr(module.Net, "width", 9),
    "a method": lambda module: setattr(module.Net, "forward", lambda self, x: x),
    "an argument of a decorator": lambda module: setattr(module.halved, "factor", 2),
    "a closure": lambda module: setattr(module.bound.__closure__[0], "cell_contents", 4),
    "an entry that is a function": lambda module: module.STEPS.update(second=module.closed(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_code_is_found_again_where_something_changed(module, change):
    """What the function reads by name, holds or finds in a container is another code when changed."""
    code = kept(module)
    code.get()
    assert code.is_current()
    CHANGES[change](module)
    assert not code.is_current()
    assert code.get().deep == fingerprint_code(module.train).deep
    assert code.is_current()


def test_code_is_found_again_in_another_folder(module, tmp_path, monkeypatch):
    """The project's folders depend on the current one, and so does whose code it is."""
    code = kept(module)
    code.get()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert not code.is_current()


def test_a_walk_that_looked_at_very_much_is_not_kept(module):
    """To compare thousands of objects would cost as much as to look at them anew."""
    module.STEPS.update({str(number): object() for number in range(3_000)})
    code = kept(module)
    first = code.get()
    assert not code.is_current()
    assert code.get().deep == first.deep


def test_nothing_is_kept_alive_once_it_is_forgotten(module):
    """What was looked at may be a model of gigabytes; outside of a search nothing holds on to it."""
    code = kept(module)
    code.get()
    code.forget()
    assert not code.is_current()
    assert vars(code)["_seen"] is None
