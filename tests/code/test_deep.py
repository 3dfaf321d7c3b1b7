"""Deep fingerprints: what a change reaches, and which unit is named for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from code_projects import Reported, changed_units, report, write_files

PROJECT = {
    "train.py": """
        import functools
        import data
        import pkg.layers
        from model import Net, scaled, shift
        from data import TABLE, pick as choose
        from registry import OPS, register

        LIMIT = 5
        model = Net(3)

        @register("train")
        def registered(x):
            return x

        @scaled(2.0)
        def step(x):
            return data.augment(model.forward(x))

        half = functools.partial(data.power, exponent=0.5)

        def closed(factor, state):
            def inner(x):
                state.append(x)
                return x * factor
            return inner

        inner = closed(3, [])

        def times(factor):
            def by(x):
                return x * factor
            return by

        tripled = times(3)

        def train(n):
            from late import lately
            total = 0
            for i in range(min(n, LIMIT)):
                total = total + step(i) + OPS["double"](i) + half(i) + lately(i)
                total = total + pkg.layers.layer(i) + choose(TABLE, i) + inner(i) + shift(tripled(i))
            return total

        class Recipe:
            rate = 0.1

            def run(self, n):
                return self.helper(n) * self.rate

            def helper(self, n):
                return n + 1

        async def waits(x):
            return step(x)

        def yields(x):
            yield step(x)

        small = lambda x: x + LIMIT
        """,
    "data.py": """
        CLIP = 1.5
        TABLE = [1, 2, 3]

        def augment(x, *, scale=4):
            return clip(x) * scale

        def clip(x):
            # keep it small
            return min(x, CLIP)

        def pick(table, i):
            return table[i % len(table)]

        def power(x, exponent):
            return x ** exponent

        def unrelated():
            return 7
        """,
    "model.py": """
        import functools

        def scaled(factor):
            def wrap(fn):
                @functools.wraps(fn)
                def inner(*args, **kwargs):
                    return fn(*args, **kwargs) * factor
                return inner
            return wrap

        class Base:
            bias = 1

            def add(self, x):
                return x + self.bias

        class Net(Base):
            temperature = 1.0

            def __init__(self, size):
                self.size = size

            def forward(self, x):
                return self.add(x) / self.temperature

            @property
            def width(self):
                return self.size

            @staticmethod
            def make(size):
                return Net(size)

        def plus_one(fn):
            return lambda x: fn(x) + 1

        @plus_one
        def shift(x):
            return x
        """,
    "registry.py": """
        OPS = {}

        def register(name):
            def keep(fn):
                OPS[name] = fn
                return fn
            return keep

        @register("double")
        def double(x):
            return x * 2
        """,
    "late.py": """
        def lately(x):
            return x - 1
        """,
    "pkg/__init__.py": "",
    "pkg/layers.py": """
        from . import tools
        from .tools import same as identity

        def layer(x):
            return identity(x) + tools.three()
        """,
    "pkg/tools.py": """
        def same(x):
            return x

        def three():
            return 3
        """,
}

# What is edited, and the unit that is charged with it.
DEEPER = {
    "a helper": ("data.py", "clip(x) * scale", "clip(x) * scale + 1", "data.augment"),
    "a helper's helper": ("data.py", "min(x, CLIP)", "max(x, CLIP)", "data.clip"),
    "a global constant": ("data.py", "CLIP = 1.5", "CLIP = 2.5", "data.CLIP"),
    "an imported list": ("data.py", "[1, 2, 3]", "[1, 2, 4]", "data.TABLE"),
    "a keyword-only default": ("data.py", "scale=4", "scale=5", "data.augment"),
    "a class constant": (
        "model.py",
        "temperature = 1.0",
        "temperature = 2.0",
        "model.Net.temperature",
    ),
    "an inherited constant": ("model.py", "bias = 1", "bias = 2", "model.Base.bias"),
    "an inherited method": ("model.py", "x + self.bias", "x - self.bias", "model.Base.add"),
    "a method": ("model.py", "self.add(x) /", "self.add(x) *", "model.Net.forward"),
    "a property": ("model.py", "return self.size", "return self.size + 1", "model.Net.width"),
    "a static method": ("model.py", "return Net(size)", "return Net(size + 1)", "model.Net.make"),
    "a constructor": ("model.py", "self.size = size", "self.size = size * 2", "model.Net.__init__"),
    "a decorator's body": (
        "model.py",
        "fn(*args, **kwargs) * factor",
        "fn(*args, **kwargs) + factor",
        "model.scaled.<locals>.wrap.<locals>.inner",
    ),
    "a decorator's argument": (
        "train.py",
        "@scaled(2.0)",
        "@scaled(3.0)",
        "model.scaled.<locals>.wrap.<locals>.inner",
    ),
    "a decorator without wraps": (
        "model.py",
        "fn(x) + 1",
        "fn(x) + 2",
        "model.plus_one.<locals>.<lambda>",
    ),
    "what it decorates": (
        "model.py",
        "def shift(x):\n    return x",
        "def shift(x):\n    return -x",
        "model.shift",
    ),
    "a dispatch entry": ("registry.py", "return x * 2", "return x * 3", "registry.double"),
    "a function imported inside": ("late.py", "x - 1", "x - 2", "late.lately"),
    "a helper in a package": ("pkg/tools.py", "return 3", "return 4", "pkg.tools.three"),
    "a renamed import": ("pkg/tools.py", "return x", "return x + 0", "pkg.tools.same"),
    "a partial's argument": ("train.py", "exponent=0.5", "exponent=0.25", "train.half"),
    "a partial's function": ("data.py", "x ** exponent", "x * exponent", "data.power"),
    "a closure's value": (
        "train.py",
        "tripled = times(3)",
        "tripled = times(4)",
        "train.times.<locals>.by",
    ),
    "the statement of an instance": ("train.py", "Net(3)", "Net(4)", "train.model"),
}

NOT_DEEPER = {
    "an unrelated function": ("data.py", "return 7", "return 8"),
    "a comment in a helper": ("data.py", "# keep it small", "# keep it quite small"),
    "a docstring": ("data.py", "# keep it small", '"""Keep it small."""'),
    "a local's name": ("train.py", "for i in range", "for index in range"),
    "its place": ("train.py", "LIMIT = 5", "def another():\n    return 0\n\nLIMIT = 5"),
    "an annotation": ("late.py", "def lately(x)", "def lately(x: int) -> int"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return write_files(tmp_path_factory.mktemp("deep") / "project", PROJECT)


@pytest.fixture(scope="module")
def base(project: Path) -> Reported:
    return report(project, "train")


def edited(project: Path, folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the project with one change."""
    copy = folder / "elsewhere" / "project"
    shutil.copytree(project, copy)
    text = (copy / file).read_text()
    assert text.count(old) == 1, f"{old!r} must stand once in {file}"
    (copy / file).write_text(text.replace(old, new))
    return copy


@pytest.mark.parametrize("case", DEEPER)
def test_what_is_reached_changes_deep_and_is_named(case, project, base, tmp_path):
    """A change that the function reaches changes deep alone, and one unit is charged with it."""
    file, old, new, subject = DEEPER[case]
    found = report(
        edited(project, tmp_path, file, old, new), "train", cache=project.parent / "cache"
    )
    assert found.logic == base.logic
    assert found.deep != base.deep
    expected = [subject]
    assert changed_units(base, found) == expected


@pytest.mark.parametrize("case", NOT_DEEPER)
def test_what_is_not_reached_changes_nothing(case, project, base, tmp_path):
    """Other functions, layout and a moved project folder leave deep as it was."""
    file, old, new = NOT_DEEPER[case]
    copy = edited(project, tmp_path, file, old, new)
    if case == "a local's name":
        text = (copy / file).read_text()
        for name in (
            "step(i)",
            '"](i)',
            "half(i)",
            "lately(i)",
            "layer(i)",
            "TABLE, i)",
            "inner(i)",
            "tripled(i)",
        ):
            text = text.replace(name, name.replace("i)", "index)"))
        (copy / file).write_text(text)
    found = report(copy, "train", cache=project.parent / "cache")
    assert (found.logic, found.deep) == (base.logic, base.deep)


def test_state_is_what_is_read_and_can_change(base):
    """Mutable globals and closures that a call reads are state; constants and code are not."""
    assert base.state == [
        "closure:train.closed.<locals>.inner.state",
        "global:data.TABLE",
        "global:model",
    ]


def test_a_constant_shows_its_value(base):
    """A plain module-level value is told with the unit."""
    assert base.units["data.CLIP"][2] == "1.5"
    assert base.units["data.TABLE"][2] is None


def test_an_unrelated_function_is_no_unit(base):
    """Only what is reached is listed."""
    assert "data.unrelated" not in base.units
    assert base.first == "train.train"
    assert base.files["pkg.tools.three"] == "pkg/tools.py"


def test_a_script_and_an_imported_module_have_the_same_code(project, base, tmp_path):
    """Run as `__main__` or imported, a function has the same names and digests."""
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    found = report(copy, "train", as_script=True)
    assert (found.logic, found.deep, found.units) == (base.logic, base.deep, base.units)


def test_a_known_text_needs_no_libcst(project, base):
    """The second process takes everything from the cache."""
    again = report(project, "train")
    assert not again.libcst
    assert again == Reported(**{**vars(base), "libcst": False})


@pytest.mark.parametrize(
    ("target", "old", "new"),
    [
        ("step", "data.augment(model", "data.clip(model"),
        ("Recipe", "rate = 0.1", "rate = 0.2"),
        ("Recipe.run", "n + 1", "n + 2"),
        ("waits", "return step(x)", "return step(x + 1)"),
        ("yields", "yield step(x)", "yield step(x + 1)"),
        ("small", "x + LIMIT", "x - LIMIT"),
        ("small", "LIMIT = 5", "LIMIT = 6"),
        ("half", "exponent=0.5", "exponent=0.25"),
        ("inner", "closed(3, [])", "closed(4, [])"),
        ("model.forward", "Net(3)", "Net(3) "),
        ("registered", '@register("train")', '@register("again")'),
    ],
)
def test_every_kind_of_callable_has_a_fingerprint(target, old, new, project, tmp_path):
    """Classes, methods, async functions, generators, lambdas, partials, closures and decorated ones."""
    cache = project.parent / "cache"
    before = report(project, target, cache=cache)
    after = report(edited(project, tmp_path, "train.py", old, new), target, cache=cache)
    assert (before.deep == after.deep) == (new.strip() == old.strip())
    assert before.bytecode is None


def test_another_function_of_the_same_decorator_is_not_reached(project, base, tmp_path):
    """Another use of a decorator, with another argument, leaves this function's code alone."""
    copy = edited(
        project,
        tmp_path,
        "train.py",
        "def train(n):",
        "@scaled(9.0)\ndef other(x):\n    return x\n\ndef train(n):",
    )
    assert report(copy, "train", cache=project.parent / "cache").deep == base.deep


def test_third_party_code_counts_by_the_distribution_s_name(tmp_path):
    """A library is named, not followed; the standard library is not even named."""
    files = {
        "train.py": """
            import json
            import numpy as np
            from yaml import safe_load as load

            def train(x):
                return np.mean(load(json.dumps(x)))
            """
    }
    found = report(write_files(tmp_path / "project", files), "train")
    assert found.distributions == ["PyYAML", "numpy"]
    assert "train.train" in found.units
    assert all(name.startswith("train.") for name in found.units)


def test_another_name_from_a_library_is_another_deep(tmp_path):
    """`from math import sin as act` edited to `cos` is charged to the name it binds."""
    files = {"train.py": "from math import sin as act\ndef train(x):\n    return act(x)\n"}
    folder = write_files(tmp_path / "project", files)
    before = report(folder, "train")
    write_files(folder, {"train.py": files["train.py"].replace("sin", "cos")})
    after = report(folder, "train")
    assert before.logic == after.logic
    assert changed_units(before, after) == ["train.act"]


def test_what_cannot_be_followed_is_a_gap(tmp_path):
    """Computed names and `eval` are listed, with the function that has them."""
    files = {
        "train.py": """
            import importlib

            def train(name):
                return getattr(importlib.import_module(name), name) or eval(name)
            """
    }
    found = report(write_files(tmp_path / "project", files), "train")
    assert found.gaps == [
        "train.train: eval() runs code that cannot be followed",
        "train.train: getattr() with a computed name",
        "train.train: importlib.import_module() with a computed name",
    ]


def test_an_unbound_name_counts_by_name(tmp_path):
    """A global that is bound nowhere is no error."""
    folder = write_files(tmp_path / "project", {"train.py": "def train(): return missing\n"})
    assert list(report(folder, "train").units) == ["train.train"]


def test_functions_that_call_each_other(tmp_path):
    """A cycle has one digest for each member, and a change inside it reaches all."""
    files = {
        "train.py": """
            def even(n):
                return n == 0 or odd(n - 1)

            def odd(n):
                return n != 0 and even(n - 1)

            def train(n):
                return even(n)
            """
    }
    folder = write_files(tmp_path / "project", files)
    before = report(folder, "train")
    even = report(folder, "even")
    text = (folder / "train.py").read_text().replace("n != 0", "n != 1")
    (folder / "train.py").write_text(text)
    after = report(folder, "train")
    assert changed_units(before, after) == ["train.odd"]
    assert before.deep != after.deep
    assert before.units["train.even"][3] == even.deep


def test_a_renamed_recursive_function_has_the_same_logic_and_deep(tmp_path):
    """The function's own name is no part of it."""
    text = "def train(n):\n    return n and train(n - 1)\n"
    folder = write_files(tmp_path / "project", {"train.py": text})
    before = report(folder, "train")
    write_files(folder, {"train.py": text.replace("train", "learn")})
    after = report(folder, "learn")
    assert (before.logic, before.deep) == (after.logic, after.deep)


def test_a_module_that_is_not_loaded_yet_is_read_from_its_file(tmp_path):
    """A function-local import is followed without importing the module."""
    files = {
        "train.py": """
            def train(x):
                from heavy.tools import run
                import heavy.more as more
                return run(x) + more.LEVEL
            """,
        "heavy/__init__.py": "raise RuntimeError('imported')\n",
        "heavy/tools.py": "from heavy.more import helper\ndef run(x):\n    return helper(x)\n",
        "heavy/more.py": "LEVEL = 3\ndef helper(x):\n    return x + LEVEL\n",
    }
    folder = write_files(tmp_path / "project", files)
    before = report(folder, "train")
    assert {"heavy.tools.run", "heavy.more.helper", "heavy.more.LEVEL"} <= before.units.keys()
    write_files(folder, {"heavy/more.py": files["heavy/more.py"].replace("x + LEVEL", "x - LEVEL")})
    assert changed_units(before, report(folder, "train")) == ["heavy.more.helper"]


def test_packages_inside_the_project_that_a_record_lists_are_not_its_own(tmp_path):
    """What `pip install --target` put into the project belongs to its distribution."""
    files = {
        "train.py": "import vendored\nimport own\ndef train(x): return vendored.run(own.run(x))\n",
        "vendored.py": "def run(x): return x\n",
        "own.py": "def run(x): return x\n",
        "vendored-1.0.dist-info/RECORD": "vendored.py,,\nvendored-1.0.dist-info/RECORD,,\n",
        "vendored-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vendored\nVersion: 1.0\n",
        "vendored-1.0.dist-info/top_level.txt": "vendored\n",
    }
    found = report(write_files(tmp_path / "project", files), "train")
    assert "own.run" in found.units
    assert "vendored.run" not in found.units
    assert found.distributions == ["vendored"]


def test_a_damaged_cache_is_computed_again(tmp_path):
    """An entry that cannot be read is replaced, and an unwritable cache is not used."""
    folder = write_files(tmp_path / "project", {"train.py": "def train(x): return x\n"})
    before = report(folder, "train")
    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text('{"definitions": {"definitions": 3}, "bytecode": []')
    again = report(folder, "train")
    assert again.libcst
    assert again.deep == before.deep
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    assert report(folder, "train", cache=blocked).deep == before.deep
