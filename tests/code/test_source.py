"""Where the text of a function comes from, and what happens where there is none."""

from __future__ import annotations

import functools
import importlib
import linecache
import logging
import sys
import types
from pathlib import Path

import pytest
from code_projects import write_files

import ato
from ato.code import capture_source, fingerprint_code, is_project_object, module_body
from ato.exceptions import UnsupportedValueError

LIMIT = 3


def load(folder: Path, name: str, monkeypatch) -> types.ModuleType:
    """Import a module of a temporary project, and forget it after the test."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = __import__(name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("binding", ["T = lambda x: x + {}", "T = np.array([1, {}])"])
def test_a_reloaded_module_counts_by_its_new_statements(tmp_path, monkeypatch, binding):
    """After a reload, as in a notebook, a function is another if what it reaches was bound anew."""
    text = f"import numpy as np\n{binding}\ndef f(x):\n    return T\n"
    folder = write_files(tmp_path / "p", {"bound.py": text.format(2)})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = load(folder, "bound", monkeypatch)
    before = fingerprint_code(module.f)
    (folder / "bound.py").write_text(text.format(30))
    assert fingerprint_code(module.f).deep == before.deep, "it was not executed yet"
    importlib.reload(module)
    after = fingerprint_code(module.f)
    assert (after.logic, after.deep == before.deep) == (before.logic, False)


def test_a_file_that_is_edited_after_import_is_not_confused(tmp_path, monkeypatch):
    """With the source captured at decoration, the code that runs is the code that is told."""
    folder = write_files(tmp_path / "p", {"captured.py": "def f(x):\n    return x + 1\n"})
    module = load(folder, "captured", monkeypatch)
    capture_source(module.f)
    write_files(folder, {"captured.py": "def f(x):\n    return x + 22\n"})
    code = fingerprint_code(module.f, roots=[folder])
    assert code.text == "def f(x):\n    return x + 1"
    assert code.bytecode is None
    assert not code.gaps


def test_a_file_that_was_edited_before_it_was_seen_is_a_gap(tmp_path, monkeypatch):
    """Where only the edited text is left, the bytecode is fingerprinted and a gap says so."""
    folder = write_files(tmp_path / "p", {"edited.py": "def f(x):\n    return x + 1\n"})
    module = load(folder, "edited", monkeypatch)
    write_files(folder, {"edited.py": "def f(x):\n    return x + 22\n"})
    code = fingerprint_code(module.f, roots=[folder])
    assert code.bytecode is not None
    assert code.gaps == (
        "edited.f: edited.py was edited after it was imported; fingerprinted by its bytecode",
    )


def test_a_change_elsewhere_in_the_file_is_no_edit_of_the_function(tmp_path, monkeypatch):
    """A comment at the end of the file leaves the function above as it was."""
    folder = write_files(tmp_path / "p", {"longer.py": "def f(x):\n    return x + 1\n"})
    module = load(folder, "longer", monkeypatch)
    write_files(folder, {"longer.py": "def f(x):\n    return x + 1\n# more\n"})
    assert fingerprint_code(module.f, roots=[folder]).bytecode is None


def made_by_exec(text: str, **names: object) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "__main__", **names}
    exec(compile(text, "<string>", "exec"), namespace)
    return namespace


def test_functions_made_by_exec_are_told_by_their_bytecode():
    """Without source the bytecode counts, and what it reaches is followed."""
    text = "def helper(x): return x * {0}\ndef f(x):\n    {1}\n    y = x\n    return helper(y)\n"
    one = fingerprint_code(made_by_exec(text.format(2, "'''Say.'''"))["f"])
    two = fingerprint_code(made_by_exec(text.format(2, "'''Say more.'''").replace("y", "z"))["f"])
    three = fingerprint_code(made_by_exec(text.format(3, "'''Say.'''"))["f"])
    assert one.bytecode
    assert one.gaps[0].endswith("it has no source; fingerprinted by its bytecode")
    assert (one.logic, one.deep) == (two.logic, two.deep)
    assert one.logic == three.logic
    assert one.deep != three.deep


def test_a_notebook_s_cell_has_source(monkeypatch):
    """Text that only linecache knows, as of a notebook's cell, is source."""
    text = "def f(x):\n    return x + 1\n"
    name = "<ipython-input-1-abc>"
    monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(True), name))
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), namespace)
    code = fingerprint_code(namespace["f"])
    assert code.bytecode is None
    assert code.text == "def f(x):\n    return x + 1"


def test_lambdas_of_one_line_are_told_apart(tmp_path, monkeypatch):
    """Each of several lambdas on a line has its own text and logic."""
    folder = write_files(
        tmp_path / "p", {"lambdas.py": "pair = [lambda x: x + 1, lambda x: x - 1]\n"}
    )
    first, second = load(folder, "lambdas", monkeypatch).pair
    codes = [fingerprint_code(fn, roots=[folder]) for fn in (first, second)]
    assert [code.text for code in codes] == ["lambda x: x + 1", "lambda x: x - 1"]
    assert codes[0].logic != codes[1].logic


def test_rewritten_modules_are_trusted():
    """pytest rewrites assertions, so that the code is never what the text compiles to."""

    def inside(x):
        assert x
        return x + LIMIT

    code = fingerprint_code(inside)
    assert code.bytecode is None
    assert [unit.name for unit in code.units][1:] == ["LIMIT"]


def ato_wrapper(fn, trace_id: str, kind: str = "runtime"):
    """What Ato's tracers put around a function."""
    namespace: dict[str, object] = {"__name__": "ato.trace.made_for_a_test"}
    exec("def traced(*a, **k): pass", namespace)
    wrapper = functools.wraps(fn)(namespace["traced"])
    wrapper.__ato_trace_id__ = trace_id
    wrapper.__ato_kind__ = kind
    return wrapper


def test_ato_s_wrappers_are_seen_through(tmp_path, monkeypatch):
    """A runtime tracer's wrapper adds nothing but its trace id, also where another one copied it."""
    text = (
        "import functools\n"
        "def outer(fn):\n    @functools.wraps(fn)\n    def inner(x):\n        return fn(x)\n"
        "    return inner\n"
        "def step(x):\n    return x\ndef plain(x):\n    return x\n"
        "def train(x):\n    return step(x) + plain(x)\n"
    )
    module = load(write_files(tmp_path / "p", {"wrapped.py": text}), "wrapped", monkeypatch)
    bare = fingerprint_code(module.train, roots=[tmp_path])
    step = module.step
    module.step = ato_wrapper(step, "the step")
    seen = fingerprint_code(module.train, roots=[tmp_path])
    assert seen.deep == bare.deep
    assert {unit.name: unit.traced for unit in seen.units} == {
        "train": None,
        "step": "the step",
        "plain": None,
    }
    assert fingerprint_code(step, roots=[tmp_path]).units[0].traced == "the step"
    module.step = module.outer(module.step)
    decorated = fingerprint_code(module.train, roots=[tmp_path])
    assert {unit.name for unit in decorated.units} == {
        "train",
        "step",
        "plain",
        "outer.<locals>.inner",
    }
    assert {unit.name: unit.traced for unit in decorated.units}["step"] == "the step"


def test_ato_s_own_decorators_and_views_do_not_count(tmp_path, monkeypatch):
    """Neither the decorator of a traced function nor the views of a scope are code of it."""
    folder = tmp_path / "p"
    text = "import ato\n{0}def step(x):\n    return x\n@ato.record\ndef train(x):\n    return step(x), view\n"
    write_files(folder, {"decorated.py": text.format("")})
    monkeypatch.setattr(ato, "record", lambda fn: fn, raising=False)
    module = load(folder, "decorated", monkeypatch)
    module.view = ato_wrapper(module.step, "a view", kind="view")
    bare = fingerprint_code(module.train, roots=[folder])
    assert [unit.name for unit in bare.units] == ["train", "step"]
    assert bare.units[0].logic == bare.logic


def test_loggers_and_enum_members_are_no_state(tmp_path, monkeypatch):
    """State is what a run computes with and can change."""
    text = (
        "import enum, logging\nlog = logging.getLogger('x')\n"
        "class Mode(enum.Enum):\n    FAST = 1\n"
        "mode = Mode.FAST\nCACHE = {}\nORDER = (1, 2)\nOPS = {'a': len}\n"
        "def train():\n    log.info(mode); CACHE['x'] = ORDER, OPS\n"
    )
    module = load(write_files(tmp_path / "p", {"stateful.py": text}), "stateful", monkeypatch)
    assert isinstance(module.log, logging.Logger)
    code = fingerprint_code(module.train, roots=[tmp_path])
    (state,) = code.state
    assert state.label == "global:CACHE"
    assert state.get() is module.CACHE
    del module.CACHE
    with pytest.raises(LookupError):
        state.get()


def test_a_module_s_body_is_its_statements(tmp_path, monkeypatch):
    """The body of a script counts without its functions, and without values that it computed."""
    text = (
        "import time\nRATE = 2\nstart = time.time()\n"
        "def f(x):\n    return x * RATE\n"
        "if start:\n    result = f(3)\n    print(result)\n"
    )
    folder = write_files(tmp_path / "p", {"script.py": text})
    monkeypatch.chdir(folder)
    body = module_body(load(folder, "script", monkeypatch))
    assert body is not None
    assert (body.units[0].name, body.units[0].kind) == ("<module>", "module")
    assert {"f", "result", "start", "RATE"} <= {unit.name for unit in body.units}
    again = load(folder, "script", monkeypatch)
    again.start = 3.0
    second = module_body(again)
    assert second is not None
    assert second.deep == body.deep
    assert module_body(types.ModuleType("no_file")) is None


def test_a_class_made_anew_by_each_call_is_followed():
    """A class inside a function is known by its source."""

    class Local:
        rate = 1

        def run(self):
            return self.rate

    names = {unit.name.rpartition(".<locals>.")[2] for unit in fingerprint_code(Local).units}
    assert names == {"Local", "Local.run", "Local.rate"}


def test_a_bound_method_is_followed_in_the_class_of_its_instance():
    """`self.helper` of an inherited method is the subclass's."""

    class Parent:
        def run(self):
            return self.helper()

        def helper(self):
            return 1

    class Child(Parent):
        def helper(self):
            return 2

    names = {unit.name.rpartition(".<locals>.")[2] for unit in fingerprint_code(Child().run).units}
    assert {"Parent.run", "Child.helper"} <= names
    plain = {u.name.rpartition(".<locals>.")[2] for u in fingerprint_code(Parent.run).units}
    assert plain == {"Parent.run", "Parent.helper"}


def test_a_decorator_that_is_a_class_is_charged_with_its_argument(tmp_path, monkeypatch):
    """The argument that a wrapper's instance keeps counts as the decorator's class."""
    text = (
        "import functools\nclass Times:\n    def __init__(self, fn, factor):\n"
        "        functools.update_wrapper(self, fn); self.fn = fn; self.factor = factor\n"
        "    def __call__(self, x):\n        return self.fn(x) * self.factor\n"
        "def times(factor):\n    return lambda fn: Times(fn, factor)\n"
        "@times(2)\ndef step(x):\n    return x\ndef train(x):\n    return step(x)\n"
    )
    folder = tmp_path / "p"
    codes = []
    for name, factor in (("two", "2"), ("three", "3")):
        write_files(folder, {f"{name}.py": text.replace("times(2)", f"times({factor})")})
        codes.append(fingerprint_code(load(folder, name, monkeypatch).train, roots=[folder]))
    logic = [{unit.name: unit.logic for unit in code.units} for code in codes]
    assert codes[0].deep != codes[1].deep
    assert logic[0]["Times"] != logic[1]["Times"]


def test_what_is_written_in_c_counts_by_name():
    """A builtin has a fingerprint, and a gap says what it is worth."""
    code = fingerprint_code(len)
    assert code.deep != fingerprint_code(sum).deep
    assert code.gaps


def test_what_is_no_code_is_refused():
    """A value has no code; the error says what to pass."""
    with pytest.raises(UnsupportedValueError, match="pass a function"):
        fingerprint_code(3)


def test_project_objects_are_told_from_libraries():
    """A class or function is the project's by its file."""
    assert is_project_object(test_project_objects_are_told_from_libraries)
    assert not is_project_object(functools.wraps)
    assert not is_project_object(linecache.getlines)
    assert not is_project_object(fingerprint_code)


def test_a_large_value_is_searched_only_so_far(tmp_path, monkeypatch):
    """Code inside very large values is not searched without end; a gap says so."""
    text = "class Item:\n    pass\nITEMS = [Item() for _ in range(6000)]\ndef train():\n    return ITEMS\n"
    module = load(write_files(tmp_path / "p", {"large.py": text}), "large", monkeypatch)
    code = fingerprint_code(module.train, roots=[tmp_path])
    assert code.gaps == ("large.ITEMS: too large to be searched for code",)


def test_a_large_table_of_numbers_is_no_gap(tmp_path, monkeypatch):
    """A million numbers hold no code and are not searched one by one."""
    text = "TABLE = list(range(100_000))\ndef train():\n    return TABLE\n"
    module = load(write_files(tmp_path / "p", {"table.py": text}), "table", monkeypatch)
    code = fingerprint_code(module.train, roots=[tmp_path])
    assert not code.gaps
    assert [state.label for state in code.state] == ["global:TABLE"]


def test_what_a_dataclass_makes_is_told_by_its_fields(tmp_path, monkeypatch):
    """Methods that a class decorator makes from text are no units and no gaps."""
    text = (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Point:\n"
        "    x: int = 1\n    def twice(self):\n        return 2 * self.x\n"
    )
    module = load(write_files(tmp_path / "p", {"fields.py": text}), "fields", monkeypatch)
    code = fingerprint_code(module.Point, roots=[tmp_path])
    assert {unit.name for unit in code.units} == {"Point", "Point.x", "Point.twice"}
    assert not code.gaps


def test_wrappers_of_the_standard_library_are_seen_through(tmp_path, monkeypatch):
    """Caches, context managers and single dispatch lead to what they wrap."""
    text = (
        "import contextlib, functools\n"
        "@functools.lru_cache(maxsize=3)\ndef cached(x):\n    return one(x)\n"
        "@contextlib.contextmanager\ndef around():\n    yield two()\n"
        "@functools.singledispatch\ndef pick(x):\n    return x\n"
        "@pick.register(int)\ndef _(x):\n    return three()\n"
        "def one(x): return x\ndef two(): return 2\ndef three(): return 3\n"
        "def train():\n    with around():\n        return cached(pick(1))\n"
    )
    module = load(write_files(tmp_path / "p", {"wrappers.py": text}), "wrappers", monkeypatch)
    code = fingerprint_code(module.train, roots=[tmp_path])
    assert {unit.name for unit in code.units} == {
        "train",
        "cached",
        "around",
        "pick",
        "_",
        "one",
        "two",
        "three",
    }
    assert not code.gaps
