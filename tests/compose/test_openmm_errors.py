"""OpenMMLab configs: what is refused, and what the message says."""

from __future__ import annotations

import re

import pytest
from openmm_configs import BASE, READ_BASE, write

from ato import ADict
from ato.exceptions import (
    ConfigFileError,
    ConfigTypeError,
    ConfigValueError,
    FrozenConfigError,
    MissingFileError,
    UnknownKeyError,
)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Files are shown relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATO_TEST_UNSET", raising=False)


ON_BASE = "_base_ = 'base.py'\n"
REFUSED = [
    # files
    (
        {"main.py": "\n_base_ = 'bsae.py'", "base.py": ""},
        MissingFileError,
        "main.py:2: no such config file: .*bsae.py; did you mean .*base.py",
    ),
    (
        {"main.yaml": "x: 1\n_base_: [no.yaml]"},
        MissingFileError,
        "main.yaml:2: no such config file",
    ),
    (
        {"main.py": "_base_ = 'mmnowhere::a.py'"},
        MissingFileError,
        "main.py:1: the package 'mmnowhere' is not installed; install mmnowhere",
    ),
    ({"main.py": "_base_ = 'mmseg::a.py'"}, MissingFileError, "install mmsegmentation"),
    ({"main.py": "_base_ = 'a b::a.py'"}, MissingFileError, "main.py:1: the package 'a b'"),
    ({"main.toml": "x = 1"}, ConfigFileError, "cannot read a .toml; use .py .yaml .yml .json"),
    ({"main.yaml": "- 1"}, ConfigFileError, "main.yaml: holds a list"),
    # bases
    (
        {"main.py": "_base_ = 'base.py'", "base.py": "_base_ = 'main.py'"},
        ConfigFileError,
        "base.py:1: the bases form a cycle: main.py → base.py → main.py",
    ),
    ({"main.py": "_base_ = 'main.py'"}, ConfigFileError, "cycle: main.py → main.py"),
    (
        {"main.py": "_base_ = ['a.py', 'b.py']", "a.py": "\nx = 1", "b.py": "x = 1"},
        ConfigFileError,
        "main.py:1: the key 'x' stands in two bases, a.py:2 and b.py:1",
    ),
    (
        {"main.py": "_base_ = 3"},
        ConfigFileError,
        "main.py:1: _base_ is 3; write a text or a list of texts",
    ),
    ({"main.yaml": "_base_: {a: 1}"}, ConfigFileError, "main.yaml:1: _base_ is {'a': 1}"),
    (
        {"main.py": "x = 'a'\n_base_ = x + '.py'"},
        ConfigFileError,
        "main.py:2: _base_ is read before the file is executed",
    ),
    ({"main.py": "_base_ = []\n_base_ = []"}, ConfigFileError, "main.py:2: _base_ stands twice"),
    (
        {"main.py": "if True:\n    _base_ = []"},
        ConfigFileError,
        "main.py:2: _base_ is set inside another statement",
    ),
    (
        {"main.py": "_base_ = 'base.py'\n" + READ_BASE, "base.py": ""},
        ConfigFileError,
        "main.py: has both _base_ and read_base",
    ),
    # merging
    (
        {"main.py": ON_BASE + "lr = dict(x=1)", "base.py": BASE},
        ConfigFileError,
        "main.py:2: lr is a mapping here and a float in base.py:5; write _delete_=True",
    ),
    (
        {"main.py": ON_BASE + "model = dict(head=dict(x=1))", "base.py": BASE},
        ConfigFileError,
        "main.py:2: model.head is a mapping here and None in base.py:4",
    ),
    (
        {"main.py": ON_BASE + "steps = dict(x=1)", "base.py": BASE},
        ConfigFileError,
        "main.py:2: steps is a mapping here and a list in base.py:6",
    ),
    (
        {"main.py": ON_BASE + "steps = {'2': 3}", "base.py": BASE},
        ConfigFileError,
        "main.py:2: steps has no item 2; the list in base.py:6 has 2",
    ),
    # references
    (
        {"main.py": ON_BASE + "x = _base_.model.backbnoe", "base.py": BASE},
        UnknownKeyError,
        "main.py:2: no key 'backbnoe'; did you mean 'backbone'",
    ),
    (
        {"main.py": ON_BASE + "x = _base_['lrr']", "base.py": BASE},
        UnknownKeyError,
        "main.py:2: no key 'lrr'; did you mean 'lr'",
    ),
    (
        {"main.py": ON_BASE + "del _base_.lrr", "base.py": BASE},
        UnknownKeyError,
        "main.py:2: no key 'lrr'",
    ),
    (
        {"main.py": ON_BASE + "x = {{_base_.model.hed}}", "base.py": BASE},
        UnknownKeyError,
        "main.py:2: _base_.model.hed: no key 'hed'; did you mean 'head'",
    ),
    (
        {"main.py": ON_BASE + "x = {{_base_.steps.5}}", "base.py": BASE},
        UnknownKeyError,
        "main.py:2: _base_.steps.5: no item 5; the list has 2",
    ),
    (
        {"main.py": ON_BASE + "x = {{_base_.lr.x}}", "base.py": BASE},
        UnknownKeyError,
        "no key 'x': a float has no keys",
    ),
    (
        {"main.py": "x = {{_base_.lr}}"},
        ConfigFileError,
        r"main.py:1: {{_base_.lr}} in a file without a _base_",
    ),
    (
        {"main.yaml": "a: 1\nx: '{{_base_.lr}}'"},
        ConfigFileError,
        r"main.yaml:2: {{_base_.lr}} in a file without a _base_",
    ),
    # environment variables
    (
        {"main.py": "\nx = '{{$ATO_TEST_UNSET}}'"},
        ConfigFileError,
        "main.py:2: the environment variable 'ATO_TEST_UNSET' is not set; set it, or write {{.ATO_TEST_UNSET:default}}",
    ),
    (
        {"main.yaml": "a: 1\nx: {{ $ATO_TEST_UNSET: }}"},
        ConfigFileError,
        "main.yaml:2: the environment variable",
    ),
    # code
    (
        {"main.py": "x = 1\ny = (\n"},
        ConfigFileError,
        "main.py:2: not Python: '\\(' was never closed",
    ),
    (
        {"main.py": "x = 1\n\ny = x / 0"},
        ConfigFileError,
        "main.py:3: ZeroDivisionError: division by zero",
    ),
    ({"main.py": "def f():\n    return x\ny = f()"}, ConfigFileError, "main.py:2: NameError"),
    (
        {"main.py": "_base_ = []\nimport not_installed_at_all"},
        ConfigFileError,
        "main.py:2: ModuleNotFoundError",
    ),
    ({"main.py": "x = 1\nreturn x"}, ConfigFileError, "main.py:2: SyntaxError: 'return' outside"),
    ({"main.py": "import sys\nsys.exit(3)"}, ConfigFileError, "main.py:2: SystemExit: 3"),
    (
        {"main.py": "x = []\nx.append(x)"},
        ConfigFileError,
        "main.py: a value is nested too deeply, or contains itself",
    ),
    ({"main.py": ON_BASE, "base.py": "x = 1 / 0"}, ConfigFileError, "base.py:1: ZeroDivisionError"),
    ({"main.yaml": "a: 1\nb: ]"}, ConfigFileError, "main.yaml:2: not plain YAML"),
    # the newer style
    ({"main.py": READ_BASE}, MissingFileError, "main.py:3: no such config file: .*base.py"),
    (
        {"main.py": READ_BASE.replace("import *", "import lrr"), "base.py": BASE},
        UnknownKeyError,
        "main.py:3: base: no key 'lrr'; did you mean 'lr'",
    ),
    (
        {"main.py": READ_BASE.replace("from .base import *", "import base"), "base.py": BASE},
        ConfigFileError,
        "main.py:3: only `from file import name`",
    ),
    (
        {"main.py": READ_BASE.replace("from .base", "from not_installed.base")},
        MissingFileError,
        "main.py:3: the package 'not_installed' is not installed",
    ),
    (
        {
            "main.py": "if True:\n    with read_base():\n        from .base import *",
            "base.py": BASE,
        },
        ConfigFileError,
        "main.py:2: `with read_base\\(\\):` stands inside another statement",
    ),
    (
        {"main.py": "from torch.nn import *"},
        ConfigFileError,
        "main.py:1: `from torch.nn import …` stands outside",
    ),
    (
        {"main.py": "from torch import tensor\nfrom .base import lr", "base.py": BASE},
        ConfigFileError,
        "main.py:2: `from .base import …` stands outside",
    ),
    (
        {"main.py": "from torch import tensor\nx = tensor(3)"},
        ConfigTypeError,
        "main.py:2: torch.tensor is not imported while the config is read",
    ),
    (
        {"main.py": READ_BASE + "model.merge(dict(head=dict(x=1)))", "base.py": BASE},
        ConfigFileError,
        "main.py:4: .*head is a mapping here and None",
    ),
]


@pytest.mark.parametrize(
    ("files", "error", "message"), REFUSED, ids=[message[:50] for _, _, message in REFUSED]
)
def test_what_is_wrong_is_said_with_file_and_line(files, error, message, tmp_path):
    """Each bad config is refused with the file, the line and what to do."""
    main = write(tmp_path, files)
    with pytest.raises(error) as caught:
        ADict.from_mm_config(main)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_failed_load_changes_nothing(tmp_path):
    """A config keeps its values and its history where a file cannot be loaded."""
    main = write(tmp_path, {"base.py": "a = 2\n", "main.py": ON_BASE + "b = 3\nc = 1 / 0\n"})
    config = ADict(a=1)
    with pytest.raises(ConfigFileError):
        config.load_mm_config(main)
    assert config == {"a": 1}
    assert config.history("a") == []


def test_a_frozen_part_refuses_the_whole_file(tmp_path):
    """Where a part of the config is frozen, nothing of the file enters."""
    main = write(tmp_path, {"main.py": "a = 2\nb = dict(x=3)\n"})
    config = ADict(a=1, b={"x": 1})
    config.b.freeze()
    with pytest.raises(FrozenConfigError):
        config.load_mm_config(main)
    assert config == {"a": 1, "b": {"x": 1}}


@pytest.mark.parametrize(
    "files",
    [
        {"main.py": "raise AssertionError"},
        {"base.py": "raise AssertionError", "main.yaml": "_base_: base.py"},
        {"base.py": "raise AssertionError", "main.json": '{"_base_": ["base.py"]}'},
    ],
)
def test_safe_executes_nothing(files, tmp_path):
    """With `safe` a Python file is refused, as a base too, before it is executed."""
    with pytest.raises(ConfigFileError, match="is executed, and safe=True executes nothing"):
        ADict.from_mm_config(write(tmp_path, files), safe=True)


def test_safe_reads_data_files(tmp_path):
    """With `safe` YAML and JSON with bases are read as ever."""
    write(tmp_path, {"main.json": '{"a": {"x": 1}}'}).rename(tmp_path / "base.json")
    main = write(tmp_path, {"main.yaml": "_base_: base.json\na: {y: 2}\n"})
    assert ADict().load_mm_config(main, safe=True) == {"a": {"x": 1, "y": 2}}


LONG_INDEX = "9" * 5000


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (
            {"main.py": f"{ON_BASE}a = {{'{LONG_INDEX}': 1}}", "base.py": "a = [1]"},
            ConfigFileError,
            "main.py:2: a has no item 999",
        ),
        (
            {"main.py": f"{ON_BASE}b = '{{{{_base_.a.{LONG_INDEX}}}}}'", "base.py": "a = [1]"},
            UnknownKeyError,
            "main.py:2: .*no item 999",
        ),
        (
            {"main.py": "_base_ = 'b0.py'"}
            | {f"b{i}.py": f"_base_ = 'b{i + 1}.py'" for i in range(400)}
            | {"b400.py": "a = 1"},
            ConfigFileError,
            "main.py: too many bases one upon the other",
        ),
    ],
    ids=["index", "reference", "bases"],
)
def test_what_has_no_end_is_refused(files, error, message, tmp_path):
    """Numbers that Python refuses to read and endless chains of bases are errors of Ato's."""
    test_what_is_wrong_is_said_with_file_and_line(files, error, message, tmp_path)


def test_tuples_as_keys_are_refused_before_anything_is_merged(tmp_path):
    """A tuple names several keys of a config: it cannot be one that is merged in."""
    main = write(tmp_path, {"main.py": "a = 2\nb = {(1, 2): 3}\n"})
    for load in (ADict.load_mm_config, ADict.load):
        config = ADict(a=1)
        with pytest.raises(ConfigValueError, match=r"the key \(1, 2\) is a tuple"):
            load(config, main)
        assert config == {"a": 1}


@pytest.mark.parametrize("load", [ADict.from_mm_config, ADict.from_file])
def test_paths_that_lead_to_no_text_are_refused(load, tmp_path):
    """No path, a name too long for any file, a link to nothing, and a file that cannot be read."""
    with pytest.raises(ConfigTypeError, match="a path is a text or a Path, not None"):
        load(None)
    with pytest.raises(MissingFileError, match="no such config file"):
        load("a" * 5000 + ".yaml")
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    with pytest.raises(MissingFileError, match=r"circle\.yaml is a link that leads to no file"):
        load("circle.yaml")
    (tmp_path / "memory.yaml").symlink_to("/proc/self/mem")
    with pytest.raises(ConfigFileError, match=r"memory\.yaml: cannot be read"):
        load("memory.yaml")
