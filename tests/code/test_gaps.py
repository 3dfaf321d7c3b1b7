"""Gaps: whatever cannot be followed is listed, and what can be followed is not."""

from __future__ import annotations

import py_compile
import shutil
import sys
import sysconfig
import types
from pathlib import Path

import pytest
from code_cases import PLACES, Answers, evaluate, same

from ato.code import fingerprint_code

EDITED = """
from pathlib import Path
p = Path(__file__).with_name("edited.py")
p.write_text("def g(x): return x\\n")
import edited
p.write_text("def g(x): return 1\\n")
def f(x): return edited.g(x)
"""

# What the function `f` of `train.py` does, and the gaps that its fingerprint lists.
GAPS: dict[str, tuple[dict[str, str] | str, list[str]]] = {
    "getattr with a computed name": (
        "import data\ndef f(n): return getattr(data, n)()\n",
        ["train.f: getattr() with a computed name"],
    ),
    "eval": ("def f(x): return eval(x)\n", ["train.f: eval() runs code that cannot be followed"]),
    "exec": ("def f(x): exec(x)\n", ["train.f: exec() runs code that cannot be followed"]),
    "compile": (
        "def f(x): return compile(x, 'x', 'eval')\n",
        ["train.f: compile() runs code that cannot be followed"],
    ),
    "globals": (
        "def f(n): return globals()[n]()\n",
        ["train.f: globals() may reach names that cannot be followed"],
    ),
    "an import with a computed name": (
        "import importlib\ndef f(n): return importlib.import_module(n)\n",
        ["train.f: importlib.import_module() with a computed name"],
    ),
    "__import__ with a computed name": (
        "def f(n): return __import__(n)\n",
        ["train.f: __import__() with a computed name"],
    ),
    "another program": (
        "import subprocess\ndef f(x): return subprocess.run(x)\n",
        ["train.f: subprocess.run() runs a program whose code is not followed"],
    ),
    "another script": (
        "import runpy\ndef f(x): return runpy.run_path(x)\n",
        ["train.f: runpy.run_path() runs a program whose code is not followed"],
    ),
    "a name that is bound nowhere": (
        "def f(x): return missing(x)\n",
        ["train.f: missing is bound nowhere in train"],
    ),
    "a module's __getattr__": (
        {
            "data.py": "def __getattr__(name):\n    if name.startswith('__'): raise AttributeError\n    return len\n",
            "train.py": "import data\ndef f(x): return data.g(x)\n",
        },
        ["train.f: what data.__getattr__() returns for 'g' cannot be followed"],
    ),
    "code without a source": (
        "made = {}\nexec('def g(x): return x', made)\ng = made['g']\ndef f(x): return g(x)\n",
        ["unknown.g: it has no source; fingerprinted by its bytecode"],
    ),
    "code that was edited": (
        EDITED,
        ["edited.g: edited.py was edited after it was imported; fingerprinted by its bytecode"],
    ),
    "a value that is too large": (
        "class A: pass\nL = [A() for _ in range(6000)]\ndef f(x): return L\n",
        ["train.L: too large to be searched for code"],
    ),
    "a helper's gap": (
        "def g(x): return eval(x)\ndef f(x): return g(x)\n",
        ["train.g: eval() runs code that cannot be followed"],
    ),
    "a gap in a nested function": (
        "def f(x):\n    def g(): return eval(x)\n    return g\n",
        ["train.f.<locals>.g: eval() runs code that cannot be followed"],
    ),
}

# What looks like it, and is followed.
NO_GAPS = {
    "getattr with a literal": "import data\ndef f(): return getattr(data, 'g')\n",
    "an import with a literal": "import importlib\ndef f(): return importlib.import_module('data').g\n",
    "a builtin": "def f(x): return len(x), print, __file__, __name__, ValueError\n",
    "a name that a function binds": "def g():\n    global made\n    made = 1\ndef f(): return made\n",
    "a name that is bound later": "def f(x): return g(x)\nif f is None:\n    def g(x): return x\n",
    "a star import": "from os.path import *\ndef f(x): return join(x, not_there)\n",
    "a class's own": "class A:\n    a = 1\n    def g(self): return __class__, self.a, self.b\ndef f(): return A().g()\n",
    "a library": "import numpy as np\ndef f(x): return np.sin(x)\n",
    "a logger": "import logging\nlog = logging.getLogger('a')\ndef f(x): log.info(x)\n",
}

if sys.version_info >= (3, 12):
    NO_GAPS["type parameters"] = "def f[T](x: T): return T\n"


def with_data(files: dict[str, str] | str) -> dict[str, str]:
    """The files of a project that has a module `data`."""
    given = files if isinstance(files, dict) else {"train.py": files}
    return {"data.py": "def g(): pass\n", **given}


CASES = {
    **{name: same(with_data(files), with_data(files)) for name, (files, _) in GAPS.items()},
    **{name: same(with_data(text), with_data(text)) for name, text in NO_GAPS.items()},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Answers:
    return evaluate(CASES, tmp_path_factory.mktemp("gaps"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", GAPS)
def test_every_kind_of_gap_is_listed(kind, place, answers):
    """What cannot be followed stands in the gaps, with the unit that has it."""
    before, _ = answers[kind, place]
    assert before.gaps == GAPS[kind][1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", NO_GAPS)
def test_what_is_followed_is_no_gap(kind, place, answers):
    """Code that is found by its literal name, builtins and libraries are no gaps."""
    before, _ = answers[kind, place]
    assert before.gaps == []


def imported(folder: Path, name: str, monkeypatch) -> types.ModuleType:
    """Import a module of a folder, which is forgotten after the test."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = __import__(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_a_compiled_function_of_the_project_is_a_gap(tmp_path, monkeypatch):
    """An extension module that lies in the project has no code to read, and says so."""
    from ato import _core

    shutil.copy(_core.__file__, tmp_path / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}")
    (tmp_path / "fast.py").write_text("import _core\ndef f(): return _core.simd_level()\n")
    module = imported(tmp_path, "_core", monkeypatch)
    monkeypatch.setattr(module.simd_level, "__module__", "_core", raising=False)
    code = fingerprint_code(imported(tmp_path, "fast", monkeypatch).f, roots=[tmp_path])
    assert code.gaps == ("_core.simd_level: it is not written in Python; it counts by its name",)


def test_a_module_that_is_compiled_to_bytecode_only_is_a_gap(tmp_path, monkeypatch):
    """A `.pyc` without its `.py` is fingerprinted by its bytecode."""
    source = tmp_path / "hidden.py"
    source.write_text("RATE = 1\ndef g(x): return x * RATE\n")
    py_compile.compile(str(source), cfile=str(tmp_path / "hidden.pyc"))
    source.unlink()
    (tmp_path / "shown.py").write_text("import hidden\ndef f(x): return hidden.g(x)\n")
    module = imported(tmp_path, "shown", monkeypatch)
    code = fingerprint_code(module.f, roots=[tmp_path])
    assert code.gaps == ("hidden.g: it has no source; fingerprinted by its bytecode",)
    assert {"hidden.g", "hidden.RATE"} <= {unit.subject for unit in code.units}


def test_a_function_that_is_written_in_c_is_a_gap():
    """A builtin counts by its name."""
    gap = "builtins.len: it is not written in Python; it counts by its name"
    assert fingerprint_code(len).gaps == (gap,)
