"""`manual`, `manual KEY` and `print`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ato import MultiScope, Scope
from ato.exceptions import CommandLineError, UnknownKeyError
from ato.scope.manual import config_text


def made(name="config"):
    scope = Scope(name=name)

    @scope.observe(default=True, priority=1)
    def defaults(config):
        config.lr = 0.1
        config.model = {"depth": 50, "act": len}
        config.layers = [1, 2]
        config.text = "1"

    @scope.observe(lazy=True)
    def late(config):
        config.lr = 1.0

    @scope.observe(default=True)
    def base(config):
        config.lr = 0.5

    @scope.observe()
    def high(config):
        raise AssertionError("`manual` runs no view")

    @scope.manual
    def docs(config):
        config.lr = "Learning rate: how fast"
        config.model.depth = "50 or 101"

    return scope


def shown(scope, capsys, *argv):
    with pytest.raises(SystemExit) as ended:
        scope.apply(argv=argv)
    assert ended.value.code == 0
    return capsys.readouterr().out


MANUAL = """\
--------------------------------------------------
[Scope "config"]
(The Applying Order of Views)
base → defaults → high → (CLI Inputs) → late

(User Manuals)
lr: Learning rate: how fast
model:
    depth: 50 or 101
--------------------------------------------------
"""


@pytest.mark.parametrize(
    "argv", [["manual"], ["--help"], ["-h"], ["high", "manual"], ["lr=1", "-h"]]
)
def test_manual_prints_order_and_documentation(capsys, argv):
    """Exactly this text, whatever else is asked, and no view runs."""
    assert shown(made(), capsys, *argv) == MANUAL


def test_manual_of_several_scopes(capsys, script):
    """Each scope has its part, between rules."""
    done = script("""
        from ato import Scope
        a, b = Scope(name="a"), Scope(name="b")
        a.config
    """)("manual")
    rule = "-" * 50
    part = (
        '{rule}\n[Scope "{name}"]\n(The Applying Order of Views)\n(CLI Inputs)\n\n(User Manuals)\n'
    )
    expected = "".join(part.format(rule=rule, name=name) for name in "ab") + rule + "\n"
    assert (done.stdout, done.returncode) == (expected, 0)


def test_manual_key_shows_the_history(capsys):
    """The scope is applied first; a section shows every key below."""
    text = shown(made(), capsys, "manual", "lr", "lr=0.3", "late")
    assert text.splitlines()[0] == "lr = 1.0"
    assert "  over   0.3  command line: lr=0.3 (argument 3)" in text
    assert text.splitlines()[-1] == "  manual: Learning rate: how fast"
    section = shown(made("b"), capsys, "manual", "model")
    assert "  manual:" not in section
    assert "model.depth = 50" in section
    assert "model.act = builtins.len" in section


def test_manual_of_an_unknown_key(capsys):
    """The error names the nearest key."""
    with pytest.raises(CommandLineError, match="sets the key 'lrr'; did you mean 'lr'"):
        made().apply(argv=["manual", "lrr"])
    capsys.readouterr()


def test_explaining_an_unknown_key():
    """Where a program asks, the error is that of a missing key."""
    scope = made()
    scope.apply(argv=[])
    with pytest.raises(UnknownKeyError, match="sets the key 'lrr'; did you mean 'lr'"):
        scope.explain("lrr")


def test_manual_of_what_is_a_view_and_a_key(capsys):
    """The word behind `manual` is the key; a view's name alone shows the manual."""
    scope = made()

    @scope.observe
    def lr(config):
        config.lr = 7.0

    assert shown(scope, capsys, "lr", "manual", "lr").startswith("lr = 7.0\n  set by view lr, ")
    assert shown(scope, capsys, "manual", "high").startswith("-" * 50)


def test_manual_of_a_scope():
    """With several scopes, the message says how a key of one is written."""
    both = MultiScope(made("a"), made("b"))
    with pytest.raises(CommandLineError, match="manual b: b is a scope; write manual b.KEY"):
        both.apply(argv=["manual", "b"])
    with pytest.raises(CommandLineError, match="sets the key 'b.lrr'; did you mean 'b.lr'"):
        both.apply(argv=["manual", "b.lrr"])


def test_a_change_in_place_is_told():
    """A list says nobody who changed it; what is shown is what it holds, with the gap named."""
    scope = made()

    @scope.observe(default=True, priority=2)
    def changing(config):
        config.layers.append(3)
        config.blocks = [{"width": 1}, {"width": 2}]

    @scope.observe(default=True, priority=3)
    def wider(config):
        config.blocks[1].width = 4

    config = scope.apply(argv=[])
    assert "layers:  # a change in place, unrecorded\n    0) 1\n" in config_text(config)
    first, second, third = scope.explain("layers").splitlines()
    assert first == "layers = [1, 2, 3]"
    assert second == "  set by a change in place, unrecorded"
    assert third.startswith("  over   [1, 2]  view defaults, ")
    assert scope.explain("blocks").splitlines()[:2] == [
        "blocks = [{'width': 1}, {'width': 4}]",
        "  set by writes to its items: blocks[1].width",
    ]
    assert config.history("layers")[-1].value_text == "[1, 2]"


def test_a_section_that_was_empty_is_told_by_its_keys():
    """What is shown is what it holds."""
    scope = Scope(config={"options": {}})
    config = scope.apply(argv=[])
    assert scope.explain("options").startswith("options = {}\n")
    config.options.verbose = True
    assert scope.explain("options").startswith("options.verbose = True\n")


def test_print_shows_the_config_with_origins(capsys):
    """Every value has its origin as a comment."""
    lines = shown(made(), capsys, "print", "lr=0.3").splitlines()
    assert lines[0] == "lr: 0.3  # command line: lr=0.3 (argument 2)"
    assert lines[1] == "model:"
    assert lines[2].startswith("    depth: 50  # view defaults, ")
    assert lines[3].startswith("    act: builtins.len  # view defaults, ")
    assert lines[4].startswith("layers:  # view defaults, ")
    assert lines[5] == "    0) 1"
    assert lines[7].startswith('text: "1"  # view')


TERMINAL = """
    from ato import Scope

    scope = Scope()

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.1

    @scope.manual
    def docs(config):
        config.lr = "Learning rate"

    scope.config
"""


@pytest.mark.skipif("sys.platform == 'win32'")
@pytest.mark.parametrize("argument", ["manual", "print", "manual lr"])
def test_colours_are_for_terminals_only(script, tmp_path, argument):
    """A terminal gets them unless `NO_COLOR` is set; without them the text is that of a pipe."""
    plain = script(TERMINAL)(*argument.split()).stdout
    assert "\x1b" not in plain
    assert in_terminal(tmp_path, argument, {"NO_COLOR": "1"}) == plain
    coloured = in_terminal(tmp_path, argument, {"TERM": "xterm-256color"})
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def in_terminal(folder, argument, environment):
    """Run the script with a pseudo-terminal, narrower than any line, as its stdout."""
    import pty

    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    try:
        subprocess.run(
            [sys.executable, "train.py", *argument.split()],
            cwd=folder,
            env={**variables, "COLUMNS": "20", **environment},
            stdout=theirs,
            check=True,
        )
        return os.read(ours, 100_000).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(theirs)
