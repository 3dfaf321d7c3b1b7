"""Folders of config files: where values come from, formats, what is missing and what is wrong."""

from __future__ import annotations

import inspect
import time
import warnings

import pytest

from ato.adict import ADict
from ato.exceptions import (
    ConfigFileError,
    ConfigTypeError,
    ConfigValueError,
    MissingFileError,
    UnknownKeyError,
)
from ato.scope import Scope
from hydra_trees import write_tree

FILES = {
    "config": "defaults:\n  - model: resnet50\n\nlr: 0.1\nrun: ${model.name}_${lr}\n",
    "model/resnet50": "name: resnet50\nbackbone: r50\nlr: 0.5\nnorm: {eps: 1}\n",
    "model/vit": "name: vit\nlr: 0.2\n",
    "aug/flip": "flip: true\np: 0.5\n",
    "aug/crop": "# @package _global_\ncrop: 32\n",
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_tree(tmp_path / "conf", FILES)


def test_every_value_names_its_file_and_line_and_what_chose_the_file(conf):
    """A value's origin is the line of its key, with the entry of the list that chose the file."""
    config = ADict.compose_hierarchy("conf")
    (write,) = config.history("model.norm.eps")
    assert (write.origin.kind, write.origin.place) == ("file", "conf/model/resnet50.yaml:4")
    assert str(write.origin) == (
        "conf/model/resnet50.yaml:4, loaded by model: resnet50 (conf/config.yaml:2)"
    )
    assert str(config.history("lr")[0].origin) == "conf/config.yaml:4"


def test_selections_and_overrides_name_the_line_of_the_caller(conf):
    """What Python code chose or set has its file and line; what it replaced stays in the history."""
    config = ADict.compose_hierarchy(
        "conf", select={"model": "vit", "aug": ["flip", "crop"]}, overrides={"model.lr": 0.01}
    )
    here = inspect.currentframe().f_lineno - 3
    assert config.to_dict() == {
        "model": {"name": "vit", "lr": 0.01},
        "lr": 0.1,
        "run": "vit_0.1",
        "aug": {"flip": True, "p": 0.5},
        "crop": 32,
    }
    before, now = config.history("model.lr")
    assert (before.value_text, before.origin.place) == ("0.2", "conf/model/vit.yaml:2")
    assert f"loaded by model: vit ({__file__}:" in str(before.origin)
    assert (now.value_text, now.replaced_text, now.origin.kind) == ("0.01", "0.2", "code")
    assert (now.origin.file, now.origin.text) == (__file__, "overrides")
    assert abs(now.origin.line - here) <= 2
    assert "loaded by aug/crop" in str(config.history("crop")[0].origin)


def test_an_interpolation_says_what_it_was_derived_from(conf):
    """The history of a resolved value names the keys that it refers to."""
    config = ADict.compose_hierarchy("conf")
    (write,) = config.history("run")
    assert write.value_text == "'resnet50_0.1'"
    assert write.derived_from == ("model.name", "lr")


def test_a_composed_config_is_a_scopes_config(conf):
    """A scope takes a composed config, and the history goes on from the files."""
    config = ADict.compose_hierarchy("conf")
    scope = Scope(config=config)

    @scope.observe(default=True)
    def own(config):
        config.lr = config.model.lr

    try:
        scope.apply(argv=["lr=0.9"])
    finally:
        Scope.initialize_registry()
    assert config.lr == 0.9
    assert [write.value_text for write in config.history("lr")] == ["0.1", "0.5", "0.9"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model/small.yml", "'@package': net\nwidth: 2\n"),
        ("model/small.json", '{"@package": "net", "width": 2}'),
        ("model/small.toml", "# @package net\nwidth = 2\n"),
        ("model/small.xyz", '"@package": net\nwidth: 2\n'),
    ],
)
def test_every_format_may_say_its_package(conf, name, text):
    """JSON, TOML, XYZ and .yml files are choices like YAML ones, with a header or a key for it."""
    write_tree(conf, {name: text, "config": "defaults:\n  - model: small\n"})
    config = ADict.compose_hierarchy(conf)
    assert config.net == {"width": 2}
    assert config.history("net.width")[0].origin.place.startswith(f"conf/{name}:")


def test_a_primary_config_in_toml_has_a_defaults_list(tmp_path):
    """A defaults list works in TOML too, and the primary config may be named with its extension."""
    root = write_tree(tmp_path / "conf", {**FILES, "main.toml": 'defaults = [{model = "vit"}]\n'})
    for name in ("main", "main.toml"):
        assert ADict.compose_hierarchy(root, name).model.name == "vit"


def test_a_name_that_two_files_have_is_an_error(conf):
    """Which of two formats is meant is not guessed."""
    write_tree(conf, {"model/vit.json": "{}"})
    with pytest.raises(ConfigFileError, match=r"vit\.json and .*vit\.yaml; remove all but one"):
        ADict.compose_hierarchy(conf, select={"model": "vit"})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"select": {"model": "resnet5"}},
            MissingFileError,
            "did you mean 'resnet50'.*resnet50, vit",
        ),
        ({"select": {"modle": "vit"}}, MissingFileError, "did you mean the group 'model'"),
        ({"config_filename": "confg"}, MissingFileError, "no primary config 'confg'; did you mean"),
        (
            {"required": ["model.bckbone"]},
            UnknownKeyError,
            "'model.bckbone' is missing.*'backbone'",
        ),
        ({"required": ["lr.x"]}, UnknownKeyError, "'lr.x' is missing"),
    ],
)
def test_what_is_missing_is_an_error_a_warning_or_nothing(conf, arguments, error, message):
    """`on_missing` governs files and required keys alike; the message names the nearest."""
    write_tree(conf, {"config": "defaults:\n  - model: resnet50\nlr: 1\n"})
    with pytest.raises(error, match=rf"test_folders\.py:\d+: .*{message}"):
        ADict.compose_hierarchy(conf, **arguments)
    with pytest.warns(UserWarning, match=message) as caught:
        warned = ADict.compose_hierarchy(conf, **arguments, on_missing="warn")
    assert caught[0].filename.endswith("test_folders.py")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ADict.compose_hierarchy(conf, **arguments, on_missing="ignore") == warned


def test_the_rest_is_composed_where_a_file_may_be_missing(conf):
    """Without a primary config the selected groups are the config."""
    config = ADict.compose_hierarchy(conf, "none", {"model": "vit"}, on_missing="ignore")
    assert config == {"model": {"name": "vit", "lr": 0.2}}


def test_a_value_that_is_still_to_be_given_is_missing(conf):
    """`???` that nothing replaced is an error with its line; so is a required one."""
    write_tree(conf, {"todo": "a: 1\nb:\n  c: ???\n"})
    with pytest.raises(ConfigValueError, match=r"todo\.yaml:3: b\.c is \?\?\?"):
        ADict.compose_hierarchy("conf", "todo")
    assert ADict.compose_hierarchy("conf", "todo", overrides={"b.c": 2}).b.c == 2
    with pytest.warns(UserWarning, match=r"b\.c"):
        config = ADict.compose_hierarchy("conf", "todo", required=["b.c"], on_missing="warn")
    assert config.b.c == "???"
    with pytest.raises(ConfigFileError, match=r"\$\{b\.c\} refers to a value that is still"):
        ADict.compose_hierarchy("conf", "todo", overrides={"d": "${b.c}"}, on_missing="ignore")


def test_a_required_key_may_be_none(conf):
    """A key whose value is None is there."""
    config = ADict.compose_hierarchy(conf, overrides={"lr": None}, required=["lr"])
    assert config.lr is None


@pytest.mark.parametrize("choice", ["../secret", "/../secret", "../../conf/model/vit"])
def test_a_path_that_leaves_the_folder_is_refused(conf, choice):
    """Neither a selection nor a defaults list reaches a file outside the root."""
    write_tree(conf.parent, {"secret": "a: 1\n"})
    with pytest.raises(ConfigFileError, match="leaves the folder"):
        ADict.compose_hierarchy(conf, select={"model": choice})
    write_tree(conf, {"config": f"defaults:\n  - model/{choice}\n"})
    with pytest.raises(ConfigFileError, match=r"config\.yaml:2: .* leaves the folder"):
        ADict.compose_hierarchy(conf)


def test_a_link_that_leaves_the_folder_is_refused(conf):
    """A symbolic link to a file outside the root is no file of the folder."""
    write_tree(conf.parent, {"secret": "a: 1\n"})
    (conf / "model" / "link.yaml").symlink_to(conf.parent / "secret.yaml")
    with pytest.raises(ConfigFileError, match="leaves the folder"):
        ADict.compose_hierarchy(conf, select={"model": "link"})


def test_a_circle_of_files_prints_the_chain(conf):
    """Defaults lists that include each other are an error with the way round."""
    write_tree(conf, {"a": "defaults:\n  - b\n", "b": "defaults:\n  - model/c\n"})
    write_tree(conf, {"model/c": "defaults:\n  - /a\n"})
    with pytest.raises(ConfigFileError, match=r"conf/model/c\.yaml:2: .*a → b → model/c → a"):
        ADict.compose_hierarchy("conf", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: ${modl.name}",
            r"config\.yaml:3: \$\{modl\.name\}: no key 'modl'; did you mean 'model'",
        ),
        ("a: ${model.nam}", r"no key 'nam' in 'model'; did you mean 'name'"),
        ("a: ${mul:2,3}", r"config\.yaml:3: no resolver 'mul'; there is oc\.env"),
        ("a: ${hydra:runtime.cwd}", r"config\.yaml:3: no resolver 'hydra'.*from_omegaconf"),
        ("a: {b: '${a.b}'}", r"config\.yaml:3: an interpolation refers to itself: a\.b → a\.b"),
        ("a: ${oc.select:}", r"config\.yaml:3: \$\{oc\.select:…\}"),
        ("a: [1, '${b']", r"config\.yaml:3: cannot read"),
    ],
)
def test_a_wrong_reference_names_its_line(conf, text, message):
    """An interpolation that cannot be resolved is an error with file, line and the nearest name."""
    write_tree(conf, {"config": f"defaults:\n  - model: vit\n{text}\n"})
    with pytest.raises((ConfigFileError, UnknownKeyError), match=message):
        ADict.compose_hierarchy("conf")


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ("[3]", r"config\.yaml:1: an entry of defaults is"),
        ("[{model: vit, aug: flip}]", r"config\.yaml:1: an entry of defaults is"),
        ("[{model: 3}]", r"config\.yaml:1: the choice of 'model' is a name"),
        ("[{obligatory model: vit}]", r"before a group stand `optional` and `override`"),
        ("[_self_@x]", r"_self_ takes no package"),
        ("model", r"config\.yaml:1: defaults is a list, not a str"),
    ],
)
def test_a_wrong_entry_names_its_line(conf, defaults, message):
    """A defaults list that says what none can say is an error with its line."""
    write_tree(conf, {"config": f"defaults: {defaults}\n"})
    with pytest.raises((ConfigFileError, ConfigTypeError), match=message):
        ADict.compose_hierarchy("conf")


def test_wrong_arguments_are_refused(conf):
    """Arguments that cannot be meant are errors that say what is."""
    with pytest.raises(ConfigValueError, match="on_missing is 'error', 'warn' or 'ignore'"):
        ADict.compose_hierarchy(conf, on_missing="skip")
    with pytest.raises(ConfigTypeError, match="required is a list"):
        ADict.compose_hierarchy(conf, required="lr")
    with pytest.raises(ConfigTypeError, match="the choice of 'model' is a name"):
        ADict.compose_hierarchy(conf, select={"model": 3})
    with pytest.raises(ConfigTypeError, match="override's key is a dotted text"):
        ADict.compose_hierarchy(conf, overrides={3: 4})
    with pytest.raises(UnknownKeyError, match="cannot delete: no key 'lrr'; did you mean 'lr'"):
        ADict.compose_hierarchy(conf, overrides={"~lrr": None})


def test_an_override_through_a_value_is_refused_with_both_places(conf):
    """What stands in the way of an override is named, with the line that put it there."""
    with pytest.raises(ConfigTypeError, match=r"cannot write below 'lr': it is 0\.1 \(conf/config"):
        ADict.compose_hierarchy("conf", overrides={"lr.x": 1})
    with pytest.raises(ConfigTypeError, match=r"a list cannot be merged into 'model\.norm'"):
        ADict.compose_hierarchy("conf", overrides={"model.norm": [1]})


def test_an_override_reaches_into_lists(conf):
    """An index is a key; one that is not there is an error."""
    write_tree(conf, {"lists": "a: [{b: 1}, 2]\n"})
    config = ADict.compose_hierarchy("conf", "lists", overrides={"a.0.b": 5, "a[1]": 6})
    assert config.a == [{"b": 5}, 6]
    assert [write.value_text for write in config.history("a")] == [
        "[{'b': 1}, 2]",
        "[{'b': 5}, 6]",
    ]
    with pytest.raises(UnknownKeyError, match=r"no item 7 in 'a' .*the list has 2"):
        ADict.compose_hierarchy("conf", "lists", overrides={"a.7": 5})


def test_an_ambiguous_selection_is_refused(conf):
    """A group that the lists have at another package only must be named with it."""
    write_tree(conf, {"config": "defaults:\n  - model@student: vit\n"})
    with pytest.raises(ConfigFileError, match="did you mean 'model@student'"):
        ADict.compose_hierarchy(conf, select={"model": "resnet50"})
    config = ADict.compose_hierarchy(conf, select={"model@student": "resnet50"})
    assert config.student.name == "resnet50"


def test_values_that_are_no_data_pass_through_overrides(conf):
    """An override may be any object, which the config holds as it is."""
    marker = object()
    assert ADict.compose_hierarchy(conf, overrides={"a.b": marker}).a.b is marker


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, "a path is a text or a Path, not None"),
        ({"config_filename": None}, "config_filename is a text"),
        ({"select": "model=vit"}, "select is a mapping"),
        ({"select": {1: "vit"}}, "select is a mapping"),
        ({"overrides": ["lr=1"]}, "overrides is a mapping"),
        ({"overrides": {"...": 1}}, "an override's key is a dotted text, not '...'"),
        ({"overrides": {"~.": 1}}, "an override's key is a dotted text, not '~.'"),
        ({"required": None}, "required is a list of dotted keys"),
        ({"required": [1]}, "required is a list of dotted keys"),
        ({"required": [""]}, "required is a list of dotted keys"),
    ],
)
def test_arguments_of_another_kind_are_refused(conf, arguments, message):
    """Each argument says what it takes."""
    with pytest.raises(ConfigTypeError, match=message):
        ADict.compose_hierarchy(**{"root": conf, **arguments})


LONG_INDEX = "9" * 5000


@pytest.mark.parametrize(
    ("config", "arguments", "error", "message"),
    [
        (f"a: [1]\nb: ${{a.{LONG_INDEX}}}", {}, UnknownKeyError, "config.yaml:2: .*no key '999"),
        (f"a: ${{oc.decode:'{LONG_INDEX}'}}", {}, ConfigFileError, "config.yaml:1: .*5000 digits"),
        ("a: [1]", {"overrides": {f"a.{LONG_INDEX}": 1}}, UnknownKeyError, "no item 999"),
        ("a: [1]", {"required": [f"a.{LONG_INDEX}"]}, UnknownKeyError, "no key '999"),
        (
            "\n".join(f"k{i}: ${{k{i + 1}}}" for i in range(2000)) + "\nk2000: 1",
            {},
            ConfigFileError,
            "config.yaml:[0-9]+: .*too many interpolations",
        ),
        (
            f"a: {'${oc.decode:' * 999}x{'}' * 999}",
            {},
            ConfigFileError,
            "config.yaml:1: .*too many interpolations",
        ),
        ("a: 1", {"config_filename": "a\0"}, ConfigFileError, "is no name of a file"),
        ("a: 1", {"config_filename": "a" * 3000}, MissingFileError, "no primary config"),
        ("a: [1]", {"overrides": {"~a.0": 1}}, UnknownKeyError, "cannot delete .*override 'a'"),
        ("a: 1", {"overrides": {"~b": 1}}, UnknownKeyError, "py:[0-9]+: cannot delete: no key 'b'"),
    ],
)
def test_what_no_config_can_mean_is_refused(conf, config, arguments, error, message):
    """Numbers, chains and names without end are errors of Ato's, with their place."""
    write_tree(conf, {"config": config + "\n"})
    with pytest.raises(error, match=message):
        ADict.compose_hierarchy(conf, **arguments)


def test_a_root_that_is_no_folder_is_said(conf):
    """The message is about the folder, not about the file in it; `ignore` gives an empty config."""
    with pytest.raises(MissingFileError, match=f"no such folder: {conf}x"):
        ADict.compose_hierarchy(f"{conf}x")
    assert ADict.compose_hierarchy(f"{conf}x", on_missing="ignore") == {}


def test_many_overrides_take_time_in_proportion(conf):
    """Four times as many new sections cost about four times as much, not sixteen."""

    def seconds(count):
        overrides = {f"n{i}.a": {"b": i} for i in range(count)}
        begun = time.process_time()
        ADict.compose_hierarchy(conf, overrides=overrides)
        return time.process_time() - begun

    assert min(seconds(2000) for _ in range(3)) < 10 * min(seconds(500) for _ in range(3))
