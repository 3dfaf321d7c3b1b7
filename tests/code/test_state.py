"""State: the mutable values that code reads, where nobody passes them in."""

from __future__ import annotations

import gc
import sys
import types
from pathlib import Path

import pytest
from code_projects import write_files

from ato.code import CodeFingerprint, fingerprint_code

# A file, and the state that its function `f` reads.
STATE = {
    "a global": ("CACHE = {}\ndef f(): return CACHE\n", ["global:CACHE"]),
    "a global of a helper": (
        "CACHE = {}\ndef g(): return CACHE\ndef f(): return g()\n",
        ["global:CACHE"],
    ),
    "a global that is rebound": ("n = 0\ndef f():\n    global n\n    n += 1\n", ["global:n"]),
    "a closure": (
        "def make(seen):\n    def f(): return seen\n    return f\nf = make([])\n",
        ["closure:seen"],
    ),
    "a closure of a helper": (
        "def make(seen):\n    def g(): return seen\n    return g\ng = make([])\ndef f(): return g()\n",
        ["closure:state.make.<locals>.g.seen"],
    ),
    "a default": ("def f(x, seen=[]): return seen\n", ["default:seen"]),
    "a keyword-only default": ("def f(*, x=1, seen={}): return seen\n", ["default:seen"]),
    "a helper's default": (
        "def g(seen=[]): return seen\ndef f(): return g()\n",
        ["default:state.g.seen"],
    ),
    "a class's attribute": (
        "class A:\n    seen = []\n    def run(self): return self.seen\ndef f(): return A().run()\n",
        ["global:A.seen"],
    ),
    "a class's attribute through self": (
        "class A:\n    seen = []\n    def run(self): return self.seen\nf = A.run\n",
        ["global:A.seen"],
    ),
    "a private attribute": (
        "class A:\n    __seen = []\n    def run(self): return self.__seen\ndef f(): return A().run()\n",
        ["global:A.__seen"],
    ),
    "a function's attribute": ("def f(): return f.seen\nf.seen = []\n", ["global:f.seen"]),
    "an instance": ("class A: pass\nnet = A()\ndef f(): return net\n", ["global:net"]),
    "what cannot change": (
        "RATE = (1, (2, 'a'))\nclass A:\n    rate = 1\ndef f(x=(1,), *, y=None): return RATE, A.rate\n",
        [],
    ),
    "code": ("OPS = {'a': len}\ndef g(): pass\ndef f(x=g): return x, OPS\n", []),
}


def code_of(folder: Path, text: str, monkeypatch) -> tuple[types.ModuleType, CodeFingerprint]:
    """Import the module `state` with that text, and fingerprint its `f`."""
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder / "cache"))
    monkeypatch.syspath_prepend(str(write_files(folder / "project", {"state.py": text})))
    monkeypatch.delitem(sys.modules, "state", raising=False)
    module = __import__("state")
    monkeypatch.setitem(sys.modules, "state", module)
    return module, fingerprint_code(module.f, roots=[folder])


@pytest.mark.parametrize("kind", STATE)
def test_mutable_values_that_are_read_are_state(kind, tmp_path, monkeypatch):
    """Globals, closures, defaults and class attributes count where they can change."""
    text, labels = STATE[kind]
    _, code = code_of(tmp_path, text, monkeypatch)
    assert [ref.label for ref in code.state] == labels
    for ref in code.state:
        assert ref.get() in ([], {}, 0) or ref.label == "global:net"


def test_state_that_is_gone_is_a_lookup_error(tmp_path, monkeypatch):
    """A value that is not bound any more cannot be read, whatever held it."""
    text = "class A:\n    seen = []\ndef g(x=[]): return A.seen, x\ndef f(): return g(), CACHE\nCACHE = {}\n"
    module, code = code_of(tmp_path, text, monkeypatch)
    assert len(code.state) == 3
    del module.A.seen, module.CACHE
    module.g.__defaults__ = None
    for ref in code.state:
        with pytest.raises(LookupError):
            ref.get()


def test_state_keeps_nothing_alive(tmp_path, monkeypatch):
    """A function or class that is gone takes its defaults and attributes along."""
    text = "class A:\n    seen = []\ndef g(x=[]): return A.seen, x\ndef f(): return g()\n"
    module, code = code_of(tmp_path, text, monkeypatch)
    assert [ref.label for ref in code.state] == ["default:state.g.x", "global:A.seen"]
    del module.g, module.A
    gc.collect()
    for ref in code.state:
        with pytest.raises(LookupError, match="gone"):
            ref.get()
