"""The command line's grammar, and what a bad one says."""

from __future__ import annotations

import logging
import math
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ato import ADict, MultiScope, Scope
from ato.exceptions import CommandLineError, ConfigTypeError, UnknownViewError
from ato.scope.command_line import parse


def made(**options):
    scope = Scope(**options)

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.1
        config.epochs = 10
        config.name = "run"
        config.flag = True
        config.layers = [1]
        config.nothing = None
        config.model = {"depth": 50}

    @scope.observe()
    def high_lr(config):
        config.lr = 1.0

    return scope


@pytest.mark.parametrize(
    ("argv", "key", "value"),
    [
        (["lr=0.01"], "lr", 0.01),
        (["lr=3"], "lr", 3.0),
        (["lr=-1e-3"], "lr", -0.001),
        (["lr=inf"], "lr", math.inf),
        (["lr=-inf"], "lr", -math.inf),
        (["name=resnet50"], "name", "resnet50"),
        (["name=%resnet 101%"], "name", "resnet 101"),
        (["name=%Hello", "big", "World%"], "name", "Hello big World"),
        (["name:=50"], "name", "50"),
        (["name:=[1,"], "name", "[1,"),
        (["name:="], "name", ""),
        (["name=a=b"], "name", "a=b"),
        (["name=2024-01-01"], "name", "2024-01-01"),
        (["name='quoted'"], "name", "quoted"),
        (["name=50%"], "name", "50%"),
        (["layers=[64,128]"], "layers", [64, 128]),
        (["layers=[64,", "128,", "[1]]"], "layers", [64, 128, [1]]),
        (["layers=[relu,", "gelu]"], "layers", ["relu", "gelu"]),
        (["layers=[']',", "'[']"], "layers", ["]", "["]),
        (["nothing=(1,", "2)"], "nothing", (1, 2)),
        (["nothing={a:", "1}"], "nothing", {"a": 1}),
        (["nothing=word"], "nothing", "word"),
        (["nothing=None"], "nothing", None),
        (["model.depth=101"], "model.depth", 101),
        (["model={'depth': 3}"], "model.depth", 3),
        (["a.b.c=1"], "a.b.c", 1),
        (["lr=5", "lr=6"], "lr", 6.0),
    ],
)
def test_values(argv, key, value):
    """Literals, texts, split brackets, nested keys, widening."""
    found = made().apply(argv=argv).get_value_by_name(key)
    assert found == value
    assert type(found) in (type(value), ADict)


def test_views_and_values_may_stand_in_any_order():
    """Values win over views, wherever they stand."""
    assert made().apply(argv=["lr=5.5", "high_lr"]).lr == 5.5
    assert made(name="other").apply(argv=["high_lr"]).lr == 1.0


BAD = [
    (["hihg_lr"], UnknownViewError, "there is no view hihg_lr (argument 1); did you mean 'high_lr'? views: "),
    (["zzz"], UnknownViewError, "there is no view zzz (argument 1); views: defaults, high_lr; a value is"),
    (["lr=abc"], CommandLineError, "lr=abc (argument 1): lr is a float (set by view defaults, "),
    (["epochs=1.5"], CommandLineError, "epochs is an int"),
    (["epochs=None"], CommandLineError, "epochs is an int"),
    (["epochs=True"], CommandLineError, "True is a bool"),
    (["flag=1"], CommandLineError, "write True or False"),
    (["name=50"], CommandLineError, "as a text it is written name:=50"),
    (["epochs=1e3"], CommandLineError, "1000.0 is a float; write 1000"),
    (["layers=(1,2)"], CommandLineError, "layers is a list (set by view defaults, "),
    (["layers=1,2"], CommandLineError, "(1, 2) is a tuple; write [1, 2]"),
    (["model=3"], CommandLineError, "model is a section (set by view defaults, "),
    (["model=3"], CommandLineError, "its keys are set one by one, with a dot"),
    (["model.depth.x=3"], CommandLineError, "nothing can be set below 'model.depth', which holds 50"),
    (["layers.0=3"], CommandLineError, "; write it whole: layers=VALUE"),
    (["layers[0]=3"], CommandLineError, "layers[0]=3 (argument 1): nothing can be set below 'layers'"),
    (["layers[0].x=3"], CommandLineError, "nothing can be set below 'layers'"),
    (["model.depth[0]=3"], CommandLineError, "nothing can be set below 'model.depth'"),
    (["model['depth']=3"], CommandLineError, "a key below 'model' is written model.depth=VALUE"),
    (["lr="], CommandLineError, "a value is missing; an empty text is written lr:="),
    (["high_lr", "layers=[1,2"], CommandLineError, "layers=[1,2 (argument 2): the brackets do not close"),
    (["name=(draft"], CommandLineError, "as a text it is written name:=(draft"),
    (["layers=[1,2]]"], CommandLineError, "layers=[1,2]] (argument 1): cannot read the value: unmatched ']'"),
    (["name=%abc"], CommandLineError, "name=%abc (argument 1): the percent signs do not close"),
    (["layers=[a-b c]"], CommandLineError, "need quotes"),
    (["--lr=3"], CommandLineError, "write lr=3"),
    (["-v"], CommandLineError, "unknown option -v (argument 1); a view is written v"),
    ([".lr=3"], CommandLineError, "'.lr' is no key; write lr=3"),
    (["=3"], CommandLineError, "=3 (argument 1): a key is missing; a value is written KEY=3"),
    ([":=3"], CommandLineError, ":=3 (argument 1): a key is missing; a value is written KEY:=3"),
    (["high_lr", "=", "3"], CommandLineError, "a value is written KEY=VALUE, without blanks"),
    (["a b=3"], CommandLineError, "a b=3 (argument 1): 'a b' is no key; a key has no blanks"),
    (["--"], CommandLineError, "-- (argument 1): this names nothing; a view is written by its name"),
    ([""], CommandLineError, "'' (argument 1): this names nothing"),
    (["lr=" + "1" * 400], CommandLineError, "too large for a float"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "error", "message"), BAD, ids=[" ".join(row[0])[:20] for row in BAD]
)
def test_a_bad_token_is_shown_with_what_to_do(argv, error, message):
    """The message has the token, its place and the way out; nothing is applied."""
    given = ADict(mark=1)
    scope = made(config=given)
    with pytest.raises(error) as caught:
        scope.apply(argv=argv)
    assert message in str(caught.value)
    assert given == {"mark": 1}


def test_an_unknown_key_is_set_and_said(capsys):
    """A key that no view set is announced with the nearest one, and taken."""
    config = made().apply(argv=["lrr=0.5", "model.dept=3"])
    assert (config.lrr, config.model.dept) == (0.5, 3)
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith(
        "note: no view sets 'lrr'; did you mean 'lr'? It is set nevertheless: lrr=0.5 (argument 1)"
    )
    assert "did you mean 'model.depth'?" in said[1]


@pytest.mark.parametrize("token", ["nothing=false", "fresh=FALSE"])
def test_a_word_of_another_language_is_noted(token, capsys):
    """No type refuses `false` there, and as a text it would count as true."""
    made().apply(argv=[token])
    key, _, word = token.partition("=")
    note = f"{token} (argument 1) is the text {word!r}; the value is written {key}=False\n"
    assert capsys.readouterr().err.endswith(note)


@pytest.mark.parametrize("token", ["nothing:=false", "nothing=False", "name=false", "nothing=word"])
def test_a_word_that_is_meant_is_not_noted(token, capsys):
    """Texts that are written as texts, and those that replace a text."""
    made().apply(argv=[token])
    assert capsys.readouterr().err == ""


def test_capitals_do_not_hide_the_nearest_key(capsys):
    """`LR` is near to `lr`, though no letter of it is the same."""
    made().apply(argv=["LR=0.5"])
    assert "did you mean 'lr'?" in capsys.readouterr().err


def test_a_value_for_a_views_name_is_noted(capsys):
    """A view's name is no key that a view sets; the note says what it is."""
    made().apply(argv=["high_lr=3"])
    assert "high_lr is a view; did you mean the view?" in capsys.readouterr().err


def test_the_hint_of_an_unknown_view_has_its_scope():
    """With several scopes the form that the message shows is one that would be read."""
    with pytest.raises(UnknownViewError, match=r"a value is written a\.bv=VALUE"):
        parse(["a.bv"], {"a": ["base"], "b": []})


def test_a_strict_scope_refuses_unknown_keys():
    """With `strict=True` the note is an error."""
    with pytest.raises(CommandLineError, match="no view sets 'lrr'; did you mean 'lr'"):
        made(strict=True).apply(argv=["lrr=0.5"])


HOSTILE = [
    "x=__import__('os').system('touch hacked')",
    "x=(lambda: 1)()",
    "x=[c for c in ()]",
    "x=open",
]


@pytest.mark.parametrize("token", HOSTILE)
def test_nothing_is_ever_executed(token, tmp_path, monkeypatch):
    """Code is a text or an error, and never runs."""
    monkeypatch.chdir(tmp_path)
    try:
        value = made().apply(argv=[token]).x
    except CommandLineError:
        value = ""
    assert isinstance(value, str)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text(max_size=12), max_size=4))
@example(["x=" + "[" * 10_000])
@example(["x=" + "-" * 10_000 + "1"])
@example(["x=1if 0else"])
@example(["x=\0"])
def test_any_command_line_is_read_or_refused(argv):
    """Whatever stands on the command line, the answer is a value or one of two errors."""
    try:
        parse(argv, {"config": ["a"]})
    except (CommandLineError, UnknownViewError) as error:
        assert str(error)


@given(
    st.integers()
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.lists(st.integers() | st.text(max_size=5))
)
def test_a_literal_is_read_as_python_reads_it(value):
    """What `repr` writes comes back, also when the shell split it at blanks."""
    line = parse(f"x={value!r}".split(" "), {"config": []})
    found = line.assignments["config"][0].value
    # `inf` is no literal: it is a text until the key's type says otherwise.
    assert found == value or found == repr(value)


def test_a_section_is_checked_leaf_by_leaf():
    """A mapping replaces a section, and its values have the types that the keys had."""
    scope = Scope(config={"model": {"rate": 0.5, "name": "a", "free": None}})
    assert scope.apply(argv=["model={'rate': 2, 'free': 3, 'new': [1]}"]) == {
        "model": {"rate": 2.0, "free": 3, "new": [1]}
    }
    assert type(scope.config.model.rate) is float
    with pytest.raises(
        CommandLineError, match=r"model\.name is a str \(set by the config given to the scope, "
    ):
        scope.apply(argv=["model={'name': 3}"])


def test_with_several_scopes_messages_have_names_that_can_be_copied():
    """The key and the way out carry the scope's name, and `assign` takes tokens with it or without."""
    scope = made()
    other = Scope(name="other")
    with pytest.raises(CommandLineError) as caught:
        scope.apply(argv=["config.name=50"])
    assert "config.name is a str (set by" in str(caught.value)
    assert str(caught.value).endswith("as a text it is written config.name:=50")
    other.assign(["other.x=1", "y=2"])
    assert other.config == {"x": 1, "y": 2}


@pytest.mark.parametrize("argv", ["lr=3", ["lr=3", 4], 5, None])
def test_arguments_are_a_list_of_texts(argv):
    """A single text would be read letter by letter; `assign` alone takes one."""
    scope = made()
    message = r"arguments are a list of texts, as \['lr=0.1'\], not "
    if argv is not None:
        with pytest.raises(ConfigTypeError, match=message):
            scope.apply(argv=argv)
        with pytest.raises(ConfigTypeError, match=message):
            MultiScope(scope).apply(argv=argv)
    if not isinstance(argv, str):
        with pytest.raises(ConfigTypeError, match=message):
            scope.assign(argv)
    assert scope.apply(argv=[]).lr == 0.1


def test_a_path_stays_a_path():
    """No literal is a path, so that a text becomes one; other classes have no form at all."""
    config = {"root": PurePosixPath("/data"), "level": logging.Filter()}
    scope = Scope(config=config)
    assert scope.apply(argv=["root=/scratch/x"]).root == PurePosixPath("/scratch/x")
    with pytest.raises(CommandLineError, match="has no form for that: set it in a view"):
        scope.apply(argv=["level=high"])
    with pytest.raises(CommandLineError, match="3 is an int"):
        scope.apply(argv=["root=3"])


def test_assign_speaks_the_same_language():
    """`assign` takes views and values; what it sets names the line that called it."""
    scope = made()
    scope.assign("high_lr")
    scope.assign(["epochs=3", "name:=x"])
    assert scope.config["lr", "epochs", "name"] == [1.0, 3, "x"]
    assert scope.get_assigned_views() == {"config": ["defaults", "high_lr", "epochs=3", "name:=x"]}
    origin = scope.history("epochs")[-1].origin
    assert origin.text == "assign('epochs=3')"
    assert origin.file.endswith("test_command_line.py")
    scope.assign("nope")
    with pytest.raises(UnknownViewError, match="there is no view nope"):
        scope.apply()


SCRIPT = """
    from ato import Scope

    scope = Scope()

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.001

    @scope.observe()
    def high_lr(config):
        config.lr = 0.1

    @scope.observe(lazy=True)
    def late(config):
        config.lr = 5.0

    @scope
    def train(config):
        print("lr", config.lr)

    if __name__ == "__main__":
        train()
        print(scope.explain("lr"))
"""


def test_a_script_reads_its_own_command_line(script):
    """Views, values and the origin of each, from a real shell."""
    done = script(SCRIPT)("high_lr", "lr=0.01")
    assert done.returncode == 0
    assert done.stdout == (
        "lr 0.01\n"
        "lr = 0.01\n"
        "  set by the command line: lr=0.01 (argument 2)\n"
        "  over   0.1    view high_lr, train.py:12\n"
        "  over   0.001  view defaults, train.py:8\n"
    )
    assert done.stderr == ""


def test_an_override_that_lost_is_said(script):
    """A lazy view that sets a key after the command line is named on stderr."""
    done = script(SCRIPT)("late", "lr=0.01")
    assert done.stdout.startswith("lr 5.0\n")
    assert done.stderr == (
        "train.py: note: lr=0.01 (argument 2) did not last: lr = 5.0 was set after it "
        "by lazy view late, train.py:16\n"
    )


def test_a_bad_command_line_ends_with_status_2_and_one_line(script):
    """No traceback."""
    run = script(SCRIPT)
    for argument in ("hgih_lr", "lr=abc", "lr=", "lr=[1", "--lr"):
        done = run(argument)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("train.py: error: ")
        assert done.stderr.count("\n") == 1


def test_the_command_line_of_a_test_runner_is_not_read(monkeypatch):
    """Under pytest, a kernel or a prompt the arguments are not the script's."""
    for first in (
        "/x/bin/pytest",
        "/x/site-packages/pytest/__main__.py",
        "ipykernel_launcher.py",
        "/x/bin/python3.11 -m unittest",
        "/x/lib/python3.11/unittest/__main__.py",
        "",
    ):
        monkeypatch.setattr("sys.argv", [first, "nonsense"])
        scope = made(enable_override=True)
        assert scope.config.lr == 0.1
    monkeypatch.setattr("sys.argv", ["/x/train.py", "lr=7"])
    assert made(enable_override=True).config.lr == 7.0


def test_a_broken_chain_ends_the_program_in_one_line(script):
    """A view named on the command line whose chain is broken: one message with the chain, exit 2."""
    run = script("""
        from ato import Scope

        scope = Scope()

        @scope.observe(chain_with="missing")
        def broken(config):
            config.lr = 1.0

        @scope
        def train(config):
            print(config)

        train()
    """)
    done = run("broken")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "train.py: error: chain_with asks for a view that is not there: "
        "broken → missing (train.py:6)\n"
    )
