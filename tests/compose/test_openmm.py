"""OpenMMLab configs: values, and who wrote each."""

from __future__ import annotations

import textwrap

import pytest
from openmm_configs import BASE, READ_BASE, write

from ato import ADict, Scope


def load(folder, **files):
    """Write `main` and other files (`base` → base.py) and load the main one."""
    named = {f"{name}.py": textwrap.dedent(text) for name, text in files.items()}
    return ADict.from_mm_config(write(folder, named))


def origins(config, key):
    """The writes to a key, as value and place."""
    return [(write.value_text, write.origin.place) for write in config.history(key)]


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Files are shown relative to the working folder."""
    monkeypatch.chdir(tmp_path)


# -------------------------------------------------------------------- values


def test_a_file_says_what_differs_from_its_base(tmp_path):
    """What the file gives is merged deeply over its base."""
    config = load(
        tmp_path, base=BASE, main="_base_ = 'base.py'\nmodel = dict(backbone=dict(depth=101))"
    )
    assert config.model.backbone == {"depth": 101, "norm": {"type": "BN", "eps": 1e-5}}
    assert config.lr == 0.1


def test_a_mapping_of_indexes_changes_items_of_a_list(tmp_path):
    """Where the base has a list, a mapping with indexes as keys changes those items."""
    config = load(
        tmp_path,
        base="stages = [dict(width=1), dict(width=2, x=dict(y=1)), 3]\npair = (1, 2)",
        main="_base_ = 'base.py'\nstages = {'1': dict(x=dict(z=2)), 2: 4}\npair = {'0': 9}",
    )
    assert config.stages == [{"width": 1}, {"width": 2, "x": {"y": 1, "z": 2}}, 4]
    assert config.pair == (9, 2)
    assert origins(config, "stages")[-1][1] == "main.py:2"


def test_a_reference_reaches_into_lists_and_texts(tmp_path):
    """A reference is a value in code, in quotes, in a text, in an f-string and as a key."""
    config = load(
        tmp_path,
        base="b = dict(k=[1, 2, 3])\ns = 'str'",
        main="""\
        _base_ = 'base.py'
        item = {{_base_.b.k.1}}
        whole = '{{ _base_.b }}'
        text = 'pre-{{_base_.s}}-post'
        formatted = f'{item}-{{_base_.s}}'
        keyed = { {{_base_.s}}: {{_base_.b.k.0}} * 2 }
        """,
    )
    assert config.item == 2
    assert config.whole == {"k": [1, 2, 3]}
    assert config.text == "pre-str-post"
    assert config.formatted == "2-str"
    assert config.keyed == {"str": 2}


def test_references_in_data_files_keep_their_type(tmp_path):
    """In YAML and JSON a reference alone is the value, with quotes or without."""
    write(tmp_path, {"main.yaml": "b: {k: [1, 2]}\ns: text\n"}).rename(tmp_path / "base.yaml")
    main = write(
        tmp_path,
        {
            "main.json": '{"_base_": "base.yaml", "x": {{_base_.b.k}}, "y": "{{_base_.b}}",\n'
            ' "z": "a {{_base_.s}} {{ fileBasename }}", "{{_base_.s}}": 1}'
        },
    )
    config = ADict.from_mm_config(main)
    assert config.x == [1, 2]
    assert config.y == {"k": [1, 2]}
    assert config.z == "a text main.json"
    assert config["text"] == 1


def test_the_value_of_an_environment_variable_is_never_code(tmp_path, monkeypatch):
    """A value with a quote in it stays a text; without quotes a literal is read as one."""
    monkeypatch.setenv("ATO_TEST_VALUE", "a'; raise SystemExit; '")
    monkeypatch.setenv("ATO_TEST_NUMBER", "[1, 2.5]")
    config = load(
        tmp_path,
        main="""\
        quoted = '{{$ATO_TEST_VALUE:x}}'
        bare = {{$ATO_TEST_VALUE:x}}
        number = {{$ATO_TEST_NUMBER:0}}
        inner = {{'$ATO_TEST_NOT_THERE:8'}}
        word = {{$ATO_TEST_NOT_THERE:adam}}
        # {{$ATO_TEST_NOT_THERE}} in a comment is not asked for
        """,
    )
    assert config.quoted == config.bare == "a'; raise SystemExit; '"
    assert config.number == [1, 2.5]
    assert (config.inner, config.word) == (8, "adam")


def test_a_base_in_a_package_is_found_and_names_its_scope(tmp_path, monkeypatch):
    """`package::path` is a config of an installed package, whose typed parts get its scope."""
    write(
        tmp_path / "site",
        {
            "mmtest/__init__.py": "raise AssertionError('not imported')",
            "mmtest/.mim/configs/_base_/model.py": "model = dict(type='A', head=dict(type='B'))\n"
            "hooks = [dict(type='C'), 1]\nplain = dict(x=1)\n",
            "mmtest/.mim/configs/main.py": "_base_ = './_base_/model.py'\nplain = dict(y=2)\n",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    config = load(tmp_path, main="_base_ = 'mmtest::main.py'\nhooks = _base_.hooks[:1]")
    assert config.model == {"type": "A", "head": {"type": "B"}, "_scope_": "mmtest"}
    assert config.hooks == [{"type": "C", "_scope_": "mmtest"}]
    assert config.plain == {"x": 1, "y": 2}
    assert origins(config, "plain.y") == [("2", "site/mmtest/.mim/configs/main.py:2")]


def test_names_of_packages_are_not_imported_in_the_newer_style(tmp_path, monkeypatch):
    """What comes from a package is its dotted name; the standard library is imported."""
    config = load(
        tmp_path,
        base="lr = 4.0",
        main=READ_BASE
        + "import math\nfrom not_installed.nn import Conv\nimport not_installed as other\n"
        "model = dict(type=Conv, act=other.act.ReLU.inplace)\nroot = math.sqrt(lr)\n",
    )
    assert config == {
        "lr": 4.0,
        "model": {"type": "not_installed.nn.Conv", "act": "not_installed.act.ReLU.inplace"},
        "root": 2.0,
    }


def test_the_two_styles_mix(tmp_path):
    """A file of one style may have a base of the other."""
    config = load(
        tmp_path,
        root="from torch.nn import ReLU\nact = dict(type=ReLU)",
        base="_base_ = 'root.py'\nact = dict(x=1)",
        main=READ_BASE + "act.y = 2",
    )
    assert config.act == {"type": "torch.nn.ReLU", "x": 1, "y": 2}


def test_a_config_that_is_deprecated_warns(tmp_path):
    """`_deprecation_` is a warning that names the other file, and no value."""
    with pytest.warns(FutureWarning, match=r"main.py is deprecated; use new.py; see a page"):
        config = load(
            tmp_path, main="_deprecation_ = dict(expected='new.py', reference='a page')\nx = 1"
        )
    assert config == {"x": 1}


def test_a_config_merges_into_one_that_is_there(tmp_path):
    """`load_mm_config` keeps what the file does not say, and returns the config."""
    main = write(tmp_path, {"main.py": "model = dict(depth=50)\n"})
    config = ADict(model={"depth": 18, "width": 2}, seed=1)
    assert config.load_mm_config(main) is config
    assert config == {"model": {"depth": 50, "width": 2}, "seed": 1}
    assert [text for text, _ in origins(config, "model.depth")] == ["50"]
    config.model = 3
    config.load_mm_config(main)
    assert config.model == {"depth": 50}


def test_from_file_knows_no_bases(tmp_path):
    """`from_file` executes a Python file and takes its variables as they are."""
    main = write(tmp_path, {"main.py": "_base_ = 'nowhere.py'\nx = 1\n"})
    assert ADict.from_file(main) == {"_base_": "nowhere.py", "x": 1}


# -------------------------------------------------------------------- origins


def test_every_value_names_the_line_that_wrote_it(tmp_path):
    """A value names the line of its own key, and what it replaced comes before it."""
    config = load(
        tmp_path,
        base=BASE,
        main="""\
        _base_ = 'base.py'

        model = dict(
            backbone=dict(
                depth=101),
            neck={
                'type': 'FPN'})
        """,
    )
    assert origins(config, "model.backbone.depth") == [("50", "base.py:3"), ("101", "main.py:5")]
    assert origins(config, "model.backbone.norm.type") == [("'BN'", "base.py:3")]
    assert origins(config, "model.neck.type") == [("'FPN'", "main.py:7")]
    last = config.history("model.backbone.depth")[-1]
    assert (last.origin.kind, last.replaced_text) == ("file", "50")


def test_a_change_to_the_base_is_the_files_own(tmp_path):
    """What a config changes through `_base_` is attributed to its statement, the rest is not."""
    config = load(
        tmp_path,
        base=BASE,
        main="_base_ = 'base.py'\n_base_.model.backbone.depth = 18\n"
        "_base_.model.update(\n    dict(head=3))\nfor stage in _base_.stages:\n    stage.width = 9\n",
    )
    assert origins(config, "model.backbone.depth")[-1] == ("18", "main.py:2")
    assert origins(config, "model.head") == [("None", "base.py:4"), ("3", "main.py:4")]
    assert origins(config, "stages")[-1][1] == "main.py"
    assert origins(config, "lr") == [("0.1", "base.py:5")]


def test_names_of_the_newer_style_keep_who_wrote_them(tmp_path):
    """An imported name carries its base's lines under its new name; rebinding it is a write."""
    config = load(
        tmp_path,
        base="a = dict(\n    x=1,\n    y=2)\nb = 1",
        main="from mmengine.config import read_base\nwith read_base():\n"
        "    from .base import a as model, b\nmodel.x = 5\nb = 1\n",
    )
    assert origins(config, "model.x") == [("1", "base.py:2"), ("5", "main.py:4")]
    assert origins(config, "model.y") == [("2", "base.py:3")]
    assert origins(config, "b") == [("1", "base.py:4"), ("1", "main.py:5")]


def test_values_of_data_files_have_lines_too(tmp_path):
    """YAML and JSON give the line of the key."""
    write(tmp_path, {"main.yaml": "model:\n  depth: 50\n"}).rename(tmp_path / "base.yaml")
    main = write(tmp_path, {"main.json": '{"_base_": "base.yaml",\n"model":\n{"depth": 34}}'})
    config = ADict.from_mm_config(main)
    assert origins(config, "model.depth") == [("50", "base.yaml:2"), ("34", "main.json:3")]


def test_a_view_that_loads_a_config_is_named(tmp_path):
    """In a view, the origin says which view loaded the file."""
    main = write(tmp_path, {"base.py": "lr = 0.1", "main.py": "_base_ = 'base.py'\nlr = 0.2"})
    scope = Scope(ADict(lr=1.0))

    @scope.observe(default=True)
    def mm(config):
        config.load_mm_config(main)

    scope.apply(argv=[])
    origin = scope.config.history("lr")[-1].origin
    assert str(origin) == "main.py:2, loaded by view mm"


def test_a_value_set_over_a_loaded_one_shows_it(tmp_path):
    """What the user writes later stands over the file and its base."""
    config = load(tmp_path, base="lr = 0.1", main="_base_ = 'base.py'\nlr = 0.2")
    config.lr = 0.3
    assert [text for text, _ in origins(config, "lr")] == ["0.1", "0.2", "0.3"]


def test_a_branch_that_is_emptied_has_an_origin(tmp_path):
    """`_delete_` alone leaves an empty mapping, written by the line that has it."""
    base = "a = dict(x=1)\nb = [dict(x=1)]\n"
    main = "_base_ = 'base.py'\na = dict(_delete_=True)\nb = {'0': dict(_delete_=True)}\n"
    config = load(tmp_path, main=main, base=base)
    assert config == {"a": {}, "b": [{}]}
    assert origins(config, "a") == [("{}", "main.py:2")]
    assert ADict(a=1).load_mm_config("main.py") == config


def test_values_that_cannot_be_shown_are_values(tmp_path):
    """What has no module, or a `repr` that fails, stands in a config and in its history."""
    main = """
        class Shy:
            def __repr__(self):
                raise ValueError
        shy = Shy()
        numbers = (n for n in range(3))
    """
    config = load(tmp_path, main=main)
    assert [write.value_text for write in config.history("shy")] == ["Shy"]
    assert config.history("numbers")[0].value_text == "builtins.<genexpr>"


def test_an_order_to_merge_is_no_write(tmp_path):
    """A `_delete_` that a base kept as a value is not written by that of the file above it."""
    main = "_base_ = 'base.py'\na = dict(_delete_=False, y=2)\n"
    config = load(tmp_path, main=main, base="a = dict(_delete_=True, x=1)\n")
    assert config == {"a": {"_delete_": True, "x": 1, "y": 2}}
    assert origins(config, "a._delete_") == [("True", "base.py:1")]
