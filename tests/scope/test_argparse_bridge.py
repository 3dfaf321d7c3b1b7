"""The user's own argparse parser beside a scope: values, origins, words left over, and other parsers."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato import ADict, MultiScope, Scope
from ato.exceptions import CommandLineError, UnknownViewError

HERE = Path(__file__).parent
ORIGINALS = {
    name: vars(owner)[name]
    for owner, name in [
        (argparse._ActionsContainer, "add_argument"),
        (argparse.ArgumentParser, "_get_values"),
        (argparse.ArgumentParser, "parse_known_args"),
        (argparse.ArgumentParser, "parse_known_intermixed_args"),
    ]
}


def listened():
    """The names of argparse that are not as argparse made them."""
    return [
        name
        for name, original in ORIGINALS.items()
        if getattr(argparse.ArgumentParser, name) is not original
    ]


def made(**options):
    scope = Scope(use_external_parser=True, project_roots=[HERE], **options)

    @scope.observe(default=True)
    def defaults(config):
        config.epochs = 10

    @scope.observe()
    def high_lr(config):
        config.lr = 1.0

    return scope


def parser_with(*arguments, **options):
    parser = argparse.ArgumentParser(prog="train.py", **options)
    for flags, settings in arguments:
        parser.add_argument(*flags.split(), **settings)
    return parser


LR = ("--lr", {"type": float, "default": 0.1})
GPU = ("--gpu", {"type": int, "default": 0})


def test_defaults_enter_below_the_views_and_what_was_given_above_them():
    """Also where the given value equals the default."""
    scope = made()
    parser = parser_with(LR, GPU)
    line = sys._getframe().f_lineno - 1
    assert parser.parse_args([]) == argparse.Namespace(lr=0.1, gpu=0)
    assert scope.config == {"lr": 0.1, "gpu": 0, "epochs": 10}
    origin = scope.history("lr")[-1].origin
    assert (origin.kind, origin.text) == ("default", "argparse default of --lr")
    assert origin.file.endswith("test_argparse_bridge.py")
    assert origin.line < line
    parser.parse_args(["high_lr"])
    assert scope.config.lr == 1.0
    assert parser.parse_args(["high_lr", "--lr", "0.1"]) == argparse.Namespace(lr=0.1, gpu=0)
    assert scope.config.lr == 0.1
    assert [write.origin.text for write in scope.history("lr")] == [
        "argparse default of --lr",
        "high_lr",
        "--lr 0.1 (argument 2)",
    ]
    assert scope.history("lr")[-1].origin.kind == "cli"


def test_an_eager_view_reads_the_default_of_a_flag_that_was_given():
    """What is given comes after the views, for flags as for tokens; a lazy view sees it."""
    scope = made()
    seen = []
    scope.observe("eager", default=True)(lambda config: seen.append(config.lr))
    scope.observe("late", lazy=True, default=True)(lambda config: seen.append(config.lr))
    parser_with(("--lr", {"type": float, "default": "0.1"})).parse_args(["--lr", "3"])
    scope.apply()
    assert seen == [0.1, 3.0]


def test_the_scopes_words_are_left_to_it():
    """Views, values and what the shell split; the parser's namespace is what it always was."""
    scope = made()
    found = parser_with(LR, GPU).parse_args(
        ["--gpu", "1", "high_lr", "lr=0.01", "layers=[-1,", "-2]", "name=%a", "-b%"]
    )
    assert found == argparse.Namespace(lr=0.1, gpu=1)
    assert scope.config["lr", "gpu", "layers", "name"] == [0.01, 1, [-1, -2], "a -b"]
    assert scope.history("lr")[-1].origin.text == "lr=0.01 (argument 4)"
    assert scope.get_assigned_views() == {
        "config": ["defaults", "high_lr", "lr=0.01", "layers=[-1, -2]", "name=%a -b%"]
    }


def test_a_token_wins_over_a_flag_and_says_so(capsys):
    """Both were given; the scope's token is the later word, and the note names the flag that lost."""
    scope = made()
    parser_with(LR).parse_args(["--lr", "0.5", "lr=0.25"])
    assert scope.config.lr == 0.25
    assert "note: --lr 0.5 (argument 1) did not last: lr = 0.25 was set" in capsys.readouterr().err


def test_a_lazy_view_that_wins_over_a_flag_is_announced(capsys):
    """As it is for a token."""
    scope = made()
    scope.observe("late", lazy=True, default=True, config={"lr": 9.0})
    parser_with(LR).parse_args(["--lr", "0.5"])
    assert scope.config.lr == 9.0
    assert "--lr 0.5 (argument 1) did not last" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "argv", "key", "value", "origin"),
    [
        ([("--lr", {})], ["--lr=0.1"], "lr", "0.1", "--lr=0.1 (argument 1)"),
        ([("--learning-rate -l", {"type": float})], ["--learn", "2"], "learning_rate", 2.0, "--learn 2 (argument 1)"),
        ([("--learning-rate -l", {"type": float})], ["-l3"], "learning_rate", 3.0, "-l3 (argument 1)"),
        ([("--tags", {"nargs": "+"})], ["x", "--tags", "a", "b"], "tags", ["a", "b"], "--tags a b (argument 2)"),
        ([("--tag", {"action": "append"})], ["--tag", "a", "--tag", "b"], "tag", ["a", "b"], "--tag b (argument 3)"),
        ([("--fast", {"action": "store_true"})], ["a", "--fast"], "fast", True, "--fast (argument 2)"),
        ([("--no-fast", {"action": "store_false", "dest": "fast"})], ["--no-fast"], "fast", False, "--no-fast (argument 1)"),
        ([("--fast", {"action": argparse.BooleanOptionalAction})], ["--no-fast"], "fast", False, "--no-fast (argument 1)"),
        ([("-v", {"action": "count"}), ("-q", {"action": "store_true"})], ["-vqv"], "v", 2, "-vqv (argument 1)"),
        ([("--mode", {"choices": ["a", "b"]})], ["--mode", "b"], "mode", "b", "--mode b (argument 1)"),
        ([("data", {})], ["d.csv"], "data", "d.csv", "d.csv (argument 1)"),
        ([("data", {"nargs": "?", "default": "e"})], [], "data", "e", "argparse default of data"),
        ([("--resume", {"nargs": "?", "const": "last"})], ["--resume"], "resume", "last", "--resume (argument 1)"),
        ([("--model.depth", {"type": int, "default": 3})], ["--model.depth", "5"], "model.depth", 5, "--model.depth 5 (argument 1)"),
        ([("--config.lr", {"type": int})], ["--config.lr", "5"], "lr", 5, "--config.lr 5 (argument 1)"),
        ([("--x", {"default": None})], [], "x", None, "argparse default of --x"),
        ([("--name", {}), ("--lr", {})], ["--name", "lr", "--lr", "lr"], "lr", "lr", "--lr lr (argument 3)"),
        ([("--n", {"type": int})], ["--n", "-5"], "n", -5, "--n -5 (argument 1)"),
    ],
)  # fmt: skip
def test_every_kind_of_argument(arguments, argv, key, value, origin):
    """The value is the namespace's and the origin is what was typed, with its place."""
    scope = made()
    scope.observe("x", config={})
    scope.observe("a", config={})
    found = parser_with(*arguments).parse_args(argv)
    assert scope.config.get_value_by_name(key) == value
    assert str(scope.config.history(key)[-1].origin.text) == origin
    assert value in vars(found).values()


def test_what_was_suppressed_and_not_given_is_no_key():
    """`default=SUPPRESS` leaves the namespace, and so the config, without the key."""
    scope = made()
    parser = parser_with(("--x", {"default": argparse.SUPPRESS}))
    parser.parse_args([])
    assert "x" not in scope.config
    parser.parse_args(["--x", "1"])
    assert scope.config.x == "1"


def test_subcommands_groups_parents_and_set_defaults():
    """Whatever way an argument reaches the namespace, it reaches the scope."""
    scope = made()
    parent = parser_with(LR, add_help=False)
    parser = argparse.ArgumentParser(prog="train.py", parents=[parent])
    parser.add_mutually_exclusive_group().add_argument("--gpu", type=int, default=0)
    parser.add_argument_group("devices").add_argument("--tpu", type=int)
    parser.set_defaults(lr=0.3, extra="e")
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit")
    fit.add_argument("--depth", type=int, default=5)
    fit.set_defaults(run="fit it")
    line = sys._getframe().f_lineno + 1
    found = parser.parse_args(["--gpu", "2", "fit", "--depth", "7", "high_lr", "depth=8"])
    assert vars(found) == {
        "lr": 0.3, "gpu": 2, "tpu": None, "extra": "e", "command": "fit", "depth": 7, "run": "fit it",
    }  # fmt: skip
    assert scope.config == {**vars(found), "lr": 1.0, "depth": 8, "epochs": 10}
    assert scope.history("command")[-1].origin.text == "fit (argument 3)"
    assert scope.history("depth")[-2].origin.text == "--depth 7 (argument 4)"
    lr = scope.history("lr")[0].origin
    assert lr.text == "argparse default of --lr"
    # Not the line of add_argument, whose default it no longer is: that of parse_args.
    assert lr.line == line


def test_a_namespace_that_is_given_is_filled_and_read():
    """Also one that is no Namespace, and a class."""
    scope = made()

    class Holder:
        kept = 1

    before = argparse.Namespace(seed=7)
    assert parser_with(LR).parse_args(["--lr", "2"], namespace=before) is before
    assert scope.config == {"seed": 7, "lr": 2.0, "epochs": 10}
    assert parser_with(LR).parse_args([], namespace=Holder) is Holder
    assert scope.config == {"kept": 1, "lr": 0.1, "epochs": 10}
    own = ADict(seed=8)
    assert parser_with(LR).parse_args(["--lr", "3"], namespace=own) is own
    assert scope.config == {"seed": 8, "lr": 3.0, "epochs": 10}

    class Slots:
        __slots__ = ("lr",)

    assert parser_with(LR).parse_args([], namespace=Slots()).lr == 0.1
    assert scope.config == {"epochs": 10}


def test_the_very_objects_of_a_list_reach_the_namespace():
    """A text of a class of its own stays of that class, as argparse has it."""

    class Word(str):
        __slots__ = ()

    scope = made()
    found = parser_with(("--name", {}), ("data", {})).parse_args(["--name", Word("a"), Word("bc")])
    assert (type(found.name), type(found.data)) == (Word, Word)
    assert scope.config["name", "data"] == ["a", "bc"]


def test_a_first_parser_may_leave_the_rest_to_a_second(monkeypatch):
    """What either knows is no word of the scope's, and what the first was given stays given."""
    for explicit in (True, False):
        Scope.initialize_registry()
        scope = made()
        first = parser_with(("--file", {}), add_help=False)
        second = parser_with(LR, GPU, ("--file", {}))
        argv = ["--file", "f", "--gpu", "3", "high_lr"]
        monkeypatch.setattr(sys, "argv", ["/x/train.py", *argv])
        found, rest = first.parse_known_args(argv if explicit else None)
        assert (found, rest) == (argparse.Namespace(file="f"), ["--gpu", "3", "high_lr"])
        second.parse_args(rest)
        assert scope.config == {"file": "f", "lr": 1.0, "gpu": 3, "epochs": 10}
        assert scope.history("gpu")[-1].origin.text == "--gpu 3 (argument 3)"
        assert scope.get_assigned_views()["config"] == ["defaults", "high_lr"]


def test_a_parse_replaces_the_one_before():
    """A program that is called again in one process keeps nothing of its first command line."""
    scope = made()
    for argv, lr in ((["--lr", "3"], 3.0), ([], 0.1), (["high_lr"], 1.0), ([], 0.1)):
        parser_with(LR).parse_args(argv)
        assert scope.config.lr == lr


def test_parse_known_args_returns_what_it_always_does():
    """Options that nobody knows are no error then, nor is a word behind one."""
    scope = made()
    found = parser_with(LR).parse_known_args(["--foo", "bar", "high_lr", "x=1", "--lr", "2"])
    assert found == (argparse.Namespace(lr=2.0), ["--foo", "bar", "high_lr", "x=1"])
    assert scope.config == {"lr": 2.0, "epochs": 10, "x": 1}
    assert scope.get_assigned_views()["config"] == ["defaults", "high_lr", "x=1"]


def test_intermixed_parsing_and_files_of_arguments(tmp_path):
    """The other ways into a parser are heard too."""
    scope = made()
    parser = parser_with(LR, ("data", {"nargs": "*"}))
    assert parser.parse_intermixed_args(["a", "--lr", "2", "b"]).data == ["a", "b"]
    assert scope.config == {"lr": 2.0, "data": ["a", "b"], "epochs": 10}
    (tmp_path / "args.txt").write_text("--lr\n5\n")
    parser = parser_with(LR, fromfile_prefix_chars="@")
    parser.parse_args([f"@{tmp_path / 'args.txt'}"])
    assert scope.config.lr == 5.0
    assert scope.history("lr")[-1].origin.text == "--lr 5"


def test_a_flag_that_nobody_knows_is_the_parsers_own_error(capsys):
    """With its usage and status 2, and nothing of the scope is applied."""
    scope = made()
    parser = parser_with(LR)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["high_lr", "--foo", "--lr", "2"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert (
        said == "usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --foo\n"
    )
    assert scope.apply(argv=[]) == {"epochs": 10}


def test_errors_of_the_scopes_words():
    """They come when the scope is applied, with views that were defined by then."""
    scope = made()
    parser = parser_with(LR)
    parser.parse_args(["late_view"])
    scope.observe("late_view", config={"late": True})
    assert scope.config.late
    parser.parse_args(["hihg_lr"])
    with pytest.raises(UnknownViewError, match="did you mean 'high_lr'"):
        scope.apply()
    parser.parse_args(["x=[1,"])
    with pytest.raises(CommandLineError, match=r"x=\[1, \(argument 1\): the brackets do not close"):
        scope.apply()


def test_types_are_checked_against_the_line_of_the_argument():
    """For a token; a flag's own type is the parser's business, unless a view set another one."""
    scope = made()
    # In argparse a text that is a default goes through the type as well.
    parser = parser_with(
        LR, ("--n", {"default": "'auto'", "type": ast.literal_eval}), ("--epochs", {})
    )
    parser.parse_args(["lr=abc"])
    with pytest.raises(CommandLineError) as caught:
        scope.apply()
    assert "lr is a float (set by argparse default of --lr, " in str(caught.value)
    assert "test_argparse_bridge.py:" in str(caught.value)
    parser.parse_args(["--n", "5", "lr=2"])
    assert scope.config["n", "lr"] == [5, 2.0]
    parser.parse_args(["--epochs", "20"])
    with pytest.raises(CommandLineError) as caught:
        scope.apply()
    assert "--epochs 20 (argument 1): epochs is an int (set by view defaults, " in str(caught.value)
    assert "let add_argument(…, type=…) and the view agree" in str(caught.value)


def test_the_config_that_a_scope_was_given_is_more_than_a_default():
    """A default of the parser's fills what is missing; a flag that was given replaces it."""
    given = ADict(lr=0.5)
    scope = made(config=given)
    parser = parser_with(LR)
    parser.parse_args([])
    assert scope.config.lr == 0.5
    parser.parse_args(["--lr", "2"])
    assert scope.config is given
    assert given.lr == 2.0


def test_an_argument_below_a_value_is_an_error():
    """Two destinations that cannot stand in one config are named."""
    scope = made()
    parser_with(("--model", {"default": "a"}), ("--model.depth", {"default": 1})).parse_args([])
    with pytest.raises(
        CommandLineError, match="argparse default of --model.depth: nothing can be set"
    ):
        scope.apply()


def test_a_scope_that_was_applied_before_is_applied_anew():
    """`parse_args` may come after the first use, where the command line has no options."""
    scope = made()
    assert scope.config == {"epochs": 10}
    parser_with(LR).parse_args(["--lr", "2"])
    assert scope.config == {"lr": 2.0, "epochs": 10}


def test_only_scopes_that_asked_are_touched():
    """Of two scopes one takes flags; the words that the parser left are for both."""
    one = Scope(name="one", use_external_parser=True, project_roots=[HERE])
    two = Scope(name="two")
    both = MultiScope(one, two)
    parser_with(LR, ("--one.depth", {"type": int}), ("--two.depth", {"type": int})).parse_args(
        ["--lr", "2", "--one.depth", "3", "--two.depth", "4", "one.x=1", "two.y=2"]
    )
    assert both.apply() == {"one": {"lr": 2.0, "depth": 3, "x": 1}, "two": {"y": 2}}


def test_a_parser_that_the_project_does_not_call_is_left_alone(tmp_path):
    """A library that parses for itself is no business of the scope's."""
    (tmp_path / "library.py").write_text(
        "def parse(parser, argv):\n    return parser.parse_args(argv)\n"
    )
    spec = importlib.util.spec_from_file_location("library", tmp_path / "library.py")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    scope = made()
    assert library.parse(parser_with(LR), ["--lr", "2"]).lr == 2.0
    with pytest.raises(SystemExit):
        library.parse(parser_with(LR), ["high_lr"])
    assert scope.apply(argv=[]) == {"epochs": 10}


def test_methods_of_the_parser_are_the_parser():
    """A subclass that goes through `super()` is called by whoever calls the subclass."""

    class Parser(argparse.ArgumentParser):
        def parse_args(self, args=None, namespace=None):
            return super().parse_args(args, namespace)

    scope = made()
    parser = Parser()
    parser.add_argument("--lr", type=float)
    parser.parse_args(["--lr", "2", "high_lr"])
    assert scope.config.lr == 2.0


def test_argparse_is_touched_only_while_a_scope_asks():
    """Without such a scope nothing is replaced, and forgetting the scopes puts everything back."""
    Scope()
    assert listened() == []
    made(name="other")
    assert listened() == list(ORIGINALS)
    Scope.initialize_registry()
    assert listened() == []
    Scope.override(made())
    Scope.initialize_registry()
    assert listened() == []


def test_forgetting_the_scopes_leaves_the_listeners_of_others():
    """Who replaced a method of argparse after us keeps it, and it still answers."""
    first = made()
    Scope.initialize_registry()
    Scope.override(first)
    ours = argparse.ArgumentParser.parse_known_args
    theirs = lambda self, args=None, namespace=None: ours(self, args, namespace)
    argparse.ArgumentParser.parse_known_args = theirs
    parser = parser_with(LR)
    parser.parse_args(["high_lr"])
    assert first.config.lr == 1.0
    Scope.initialize_registry()
    assert argparse.ArgumentParser.parse_known_args is theirs
    assert parser.parse_args(["--lr", "2"]).lr == 2.0
    argparse.ArgumentParser.parse_known_args = ORIGINALS["parse_known_args"]


def test_without_a_parse_an_option_is_refused_with_what_to_do(monkeypatch, capsys):
    """The scope cannot know which words belong to options before the parser was called."""
    scope = made()
    monkeypatch.setattr(sys, "argv", ["/x/train.py", "--gpu", "1"])
    with pytest.raises(SystemExit) as ended:
        scope.apply()
    assert ended.value.code == 2
    assert "unknown option --gpu (argument 1): " in (said := capsys.readouterr().err)
    assert "parse_args() was not called yet; call it after" in said
    monkeypatch.setattr(sys, "argv", ["/x/train.py", "high_lr"])
    assert scope.config.lr == 1.0


KINDS = [
    ("--lr", {"type": float, "default": 0.1}),
    ("--fast", {"action": "store_true"}),
    ("-v", {"action": "count", "default": 0}),
    ("--tags", {"nargs": "*"}),
    ("--tag", {"action": "append"}),
    ("--resume", {"nargs": "?", "const": "c"}),
    ("data", {}),
    ("more", {"nargs": "*"}),
]
WORDS = ["--lr", "--lr=2", "--l", "1", "--fast", "-vv", "-v", "--tags", "--tag", "a", "--resume", "--", "-x", "k=v", "-1"]  # fmt: skip


@given(
    st.lists(st.sampled_from(KINDS), unique_by=lambda kind: kind[0]),
    st.lists(st.sampled_from(WORDS)),
)
def test_a_parser_answers_as_it_always_does(kinds, argv):
    """The same namespace and the same rest, for any arguments; nobody sees the listeners."""

    def answer():
        try:
            return parser_with(*kinds, add_help=False).parse_known_args(list(argv))
        except SystemExit as ended:
            return ended.code

    Scope.initialize_registry()
    expected = answer()
    scope = made()
    assert answer() == expected
    if not isinstance(expected, int):
        assert all(type(text) is str for text in expected[1])
        flat = {key: value for key, value in vars(expected[0]).items()}
        scope.assign([])
        config = scope.apply(argv=[])
        assert {key: config[key] for key in flat} == flat


SCRIPT = """
    import argparse
    from ato import Scope

    scope = Scope(use_external_parser=True)

    @scope.manual
    def docs(config):
        config.lr = "Learning rate"

    @scope
    def train(config):
        print("lr", config.lr)

    if __name__ == "__main__":
        parser = argparse.ArgumentParser()
        parser.add_argument("data")
        parser.add_argument("--lr", type=float, default=0.1)
        args = parser.parse_args()

        @scope.observe()
        def high_lr(config):
            config.lr = 1.0

        train()
        print(scope.explain("lr"))
"""

MANUAL = """\
--------------------------------------------------
[Scope "config"]
(The Applying Order of Views)
(CLI Inputs)

(User Manuals)
lr: Learning rate
--------------------------------------------------
"""


def test_a_script_with_a_parser_and_a_scope(script):
    """Flags, views that are defined after the parse, and values, from a real shell."""
    done = script(SCRIPT)("d.csv", "high_lr", "--lr", "0.1", "lr=0.01")
    assert done.stdout == (
        "lr 0.01\n"
        "lr = 0.01\n"
        "  set by the command line: lr=0.01 (argument 5)\n"
        "  over   0.1  command line: --lr 0.1 (argument 3)\n"
        "  over   1.0  view high_lr, train.py:23\n"
        "  over   0.1  argparse default of --lr, train.py:18\n"
    )
    assert done.returncode == 0


def test_help_shows_the_parsers_help_and_then_the_manual(script):
    """Status 0, also behind other arguments."""
    done = script(SCRIPT)("--lr", "3", "--help")
    assert done.stdout.startswith("usage: train.py [-h] [--lr LR] data\n")
    assert done.stdout.endswith(f"\n{MANUAL}")
    assert (done.returncode, done.stderr) == (0, "")


def test_manual_works_before_parsing(script):
    """Missing arguments do not stop it; where the parse succeeds, views that come later are shown."""
    run = script(SCRIPT)
    for arguments in (["manual"], ["--lr", "x", "manual"], ["manual", "--lr", "3"]):
        done = run(*arguments)
        assert (done.stdout, done.stderr, done.returncode) == (MANUAL, "", 0)
    later = run("d.csv", "manual").stdout
    assert "high_lr → (CLI Inputs)" in later
    assert run("manual", "lr").stdout == (
        "lr = 0.1\n  set by argparse default of --lr, train.py:18\n  manual: Learning rate\n"
    )


def test_a_complaint_of_the_parsers_is_its_own(script):
    """Usage and message on stderr, status 2, also where the word `manual` is a flag's value."""
    run = script(SCRIPT)
    for arguments in ([], ["--lr", "manual"]):
        done = run(*arguments)
        assert (done.stdout, done.returncode) == ("", 2)
        assert done.stderr.startswith("usage: train.py [-h] [--lr LR] data\ntrain.py: error: ")


def test_a_bad_word_ends_with_status_2_and_one_line(script):
    """The scope's error, once the parser has had its own."""
    done = script(SCRIPT)("d.csv", "lr=abc")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "train.py: error: lr=abc (argument 2): lr is a float (set by argparse default of --lr, "
        "train.py:18), and 'abc' is a str\n"
    )
