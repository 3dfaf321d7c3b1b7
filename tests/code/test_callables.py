"""Every kind of callable has a fingerprint, and says where it has no source."""

from __future__ import annotations

import asyncio
import functools
import linecache
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from ato.code import CodeFingerprint, fingerprint_code
from ato.exceptions import UnsupportedValueError

RATE = 3

pair = [lambda x: x + RATE, lambda x: x - RATE]


def wrapped_by(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def inner(*args: Any) -> Any:
        return fn(*args)

    return inner


class Sample:
    def plain(self, x: int) -> int:
        return x + RATE

    @classmethod
    def of_class(cls, x: int) -> int:
        return x + RATE

    @staticmethod
    def static(x: int) -> int:
        return x + RATE

    @property
    def width(self) -> int:
        return RATE

    @functools.cached_property
    def height(self) -> int:
        return RATE

    def __call__(self, x: int) -> int:
        return x + RATE


@wrapped_by
def decorated(x: int) -> int:
    return x + RATE


@wrapped_by
@functools.lru_cache
def decorated_twice(x: int) -> int:
    return x + RATE


@functools.singledispatch
def dispatched(x: object) -> int:
    return RATE


async def waits(x: int) -> int:
    await asyncio.sleep(0)
    return x + RATE


def yields(x: int):
    yield x + RATE


async def yields_and_waits(x: int):
    yield x + RATE


def makes() -> Callable[[int], int]:
    def nested(x: int) -> int:
        return x + RATE

    return nested


def from_text(text: str, **names: object) -> dict[str, Any]:
    """Run text as a program that has no file."""
    namespace: dict[str, Any] = {"__name__": "__main__", "RATE": RATE, **names}
    exec(compile(text, "<string>", "exec"), namespace)
    return namespace


CALLABLES: dict[str, tuple[Any, str]] = {
    "a function": (from_text, "from_text"),
    "the first lambda of a line": (pair[0], "pair"),
    "a nested function": (makes(), "makes.<locals>.nested"),
    "a method": (Sample.plain, "Sample.plain"),
    "a bound method": (Sample().plain, "Sample.plain"),
    "a class method": (Sample.of_class, "Sample.of_class"),
    "a bare class method": (vars(Sample)["of_class"], "Sample.of_class"),
    "a static method": (vars(Sample)["static"], "Sample.static"),
    "a property": (vars(Sample)["width"], "Sample.width"),
    "a cached property": (vars(Sample)["height"], "Sample.height"),
    "a class": (Sample, "Sample"),
    "an instance that is called": (Sample(), "Sample"),
    "a partial": (functools.partial(makes), "makes"),
    "a partial of a method": (functools.partial(Sample().plain, 1), "Sample.plain"),
    "a decorated function": (decorated, "decorated"),
    "a function decorated twice": (decorated_twice, "decorated_twice"),
    "a dispatched function": (dispatched, "dispatched"),
    "an async function": (waits, "waits"),
    "a generator": (yields, "yields"),
    "an async generator": (yields_and_waits, "yields_and_waits"),
}


@pytest.mark.parametrize("kind", CALLABLES)
def test_every_kind_of_callable_has_a_fingerprint(kind):
    """The first unit is the function itself, with source, and `RATE` is reached."""
    value, name = CALLABLES[kind]
    code = fingerprint_code(value)
    assert code.units[0].name in (name, "<lambda>")
    assert code.bytecode is None
    assert len(code.logic) == len(code.deep) == 64
    assert code == fingerprint_code(value)
    if kind not in ("a function", "a partial"):
        assert "RATE" in {unit.name for unit in code.units}


def test_lambdas_of_a_line_differ():
    """Two lambdas of one statement have logics and texts of their own."""
    first, second = (fingerprint_code(fn) for fn in pair)
    assert first.logic != second.logic
    assert [code.text for code in (first, second)] == ["lambda x: x + RATE", "lambda x: x - RATE"]


MADE = {
    "a function": "def f(x):\n    return x + RATE\n",
    "a lambda": "f = lambda x: x + RATE\n",
    "an async function": "async def f(x):\n    return x + RATE\n",
    "a generator": "def f(x):\n    yield x + RATE\n",
    "a nested function": "def make():\n    def f(x):\n        return x + RATE\n    return f\nf = make()\n",
}


@pytest.mark.parametrize("kind", MADE)
def test_code_without_a_file_is_told_by_its_bytecode(kind):
    """Of what `exec` made, the bytecode counts, a gap says so, and what it reads is followed."""
    codes = [
        fingerprint_code(from_text(text)["f"])
        for text in (MADE[kind], "\n" + MADE[kind], MADE[kind].replace("+", "-"))
    ]
    assert all(code.bytecode for code in codes)
    assert all("fingerprinted by its bytecode" in gap for code in codes for gap in code.gaps)
    assert codes[0].gaps
    assert codes[0].logic == codes[1].logic != codes[2].logic
    assert codes[0].deep != fingerprint_code(from_text(MADE[kind], RATE=4)["f"]).deep or (
        from_text(MADE[kind])["RATE"] == 4
    )


def cell(number: int, text: str, monkeypatch, namespace: dict[str, Any]) -> None:
    """Run text as a notebook does: under a name that only linecache knows."""
    name = f"<ipython-input-{number}-0123456789ab>"
    monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(True), name))
    exec(compile(text, name, "exec"), namespace)


def test_cells_of_a_notebook_have_source(monkeypatch):
    """A function of one cell that calls one of another is followed there, by its text."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cell(1, "SCALE = 2\ndef helper(x):\n    return x * SCALE  # so\n", monkeypatch, namespace)
    cell(2, "def f(x):\n    return helper(x)\n", monkeypatch, namespace)
    before = fingerprint_code(namespace["f"])
    assert {unit.name for unit in before.units} == {"f", "helper", "SCALE"}
    assert not before.bytecode
    assert not before.gaps
    cell(3, "def helper(x):\n    return x + SCALE\n", monkeypatch, namespace)
    after = fingerprint_code(namespace["f"])
    assert (before.logic == after.logic, before.deep == after.deep) == (True, False)


def test_a_prompt_s_function_has_a_fingerprint(tmp_path):
    """What is typed at the interpreter's prompt is fingerprinted, with or without its text."""
    typed = (
        "RATE = 3\n"
        "def f(x):\n    return x + RATE\n\n"
        "from ato.code import fingerprint_code\n"
        "code = fingerprint_code(f)\n"
        "print(sorted(u.name for u in code.units), bool(code.bytecode) == bool(code.gaps))\n"
    )
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=typed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "['RATE', 'f'] True" in done.stdout


def test_a_reloaded_function_is_its_new_text(tmp_path, monkeypatch):
    """After an edit and a reload, old and new function each have the text that they were made of."""
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "again.py").write_text("def f(x):\n    return x + 1\n")
    module: types.ModuleType = __import__("again")
    monkeypatch.setitem(sys.modules, "again", module)
    old = module.f
    first: CodeFingerprint = fingerprint_code(old, roots=[tmp_path])
    (tmp_path / "again.py").write_text("def f(x):\n    return x + 1000\n")
    import importlib

    importlib.reload(module)
    second = fingerprint_code(module.f, roots=[tmp_path])
    assert "1000" in second.text
    assert fingerprint_code(old, roots=[tmp_path]).logic == first.logic != second.logic


def test_what_is_no_code_names_what_to_pass():
    """A value is refused, with the kinds that are taken."""
    with pytest.raises(UnsupportedValueError, match="pass a function"):
        fingerprint_code([1])
