"""Whatever stands on a command line: values arrive as they are, and nothing hostile does anything."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ato import Scope
from ato.exceptions import CommandLineError, UnknownViewError
from ato.scope.command_line import parse

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text() | st.text(alphabet="[](){}\"'\\%= ,:#\n\té🙂")
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.integers(), inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


def read(argv):
    line = parse(argv, {"config": []})
    (assignment,) = line.assignments["config"]
    return assignment.value


@given(VALUES)
@settings(max_examples=300)
def test_a_value_written_as_a_literal_arrives_as_itself(value):
    """Numbers, texts, lists, dicts and tuples, however nested, type and sign included."""
    assert repr(read([f"x={value!r}"])) == repr(value)


@given(VALUES.filter(lambda value: isinstance(value, (list, dict, tuple))))
@settings(max_examples=300)
def test_a_container_that_the_shell_split_arrives_as_itself(value):
    """At every blank, also inside of texts with brackets, quotes and further blanks."""
    assert repr(read(f"x={value!r}".split(" "))) == repr(value)


@given(st.text())
def test_a_text_behind_colon_equals_is_that_text(text):
    """`:=` takes what stands behind it, whatever it looks like."""
    assert read([f"x:={text}"]) == text


@given(TEXTS)
def test_a_text_between_percent_signs_is_that_text(text):
    """Also where it is split; only a percent sign before a blank would end it early."""
    assert read([f"x=%{text}%"]) == text
    if "% " not in text and not text.startswith(" "):
        assert read(f"x=%{text}%".split(" ")) == text


@given(st.text(min_size=1).filter(lambda text: text.isidentifier()))
def test_a_plain_word_is_a_text(word):
    """What is no literal is the text itself, but for the three words of Python that are."""
    assert read([f"x={word}"]) == {"None": None, "True": True, "False": False}.get(word, word)


HOSTILE = [
    "x=__import__('os').system('touch hacked')",
    "x=[__import__('os').system('touch hacked')]",
    "x=().__class__.__base__.__subclasses__()",
    "x=[].append",
    "x={}.__class__",
    "x=(lambda: 1)()",
    "x=lambda: open('hacked', 'w')",
    "x=[open('hacked', 'w') for _ in (1,)]",
    "x={open('hacked', 'w') for _ in (1,)}",
    "x=(y := 1)",
    "x=[y := open('hacked', 'w')]",
    "x=f\"{open('hacked', 'w')}\"",
    "x=[f\"{open('hacked', 'w')}\"]",
    "x=9**9**9**9",
    "x=[9**9**9**9]",
    "x='a'*10**12",
    "x=['a'*10**12]",
    "x=1<<10**12",
    "x=" + "9" * 10_000,
    "x=[" + "9" * 10_000 + "]",
    "x=0x" + "f" * 100_000,
    "x=1e999999999",
    "x=" + "[" * 100_000,
    "x=" + "[" * 100_000 + "]" * 100_000,
    "x=" + "{1:" * 50_000 + "1" + "}" * 50_000,
    "x=" + "(" * 100_000 + "1" + ")" * 100_000,
    "x=" + "-" * 100_000 + "1",
    "x=[" + "-" * 100_000 + "1]",
    "x=" + "~" * 100_000 + "1",
    "x=" + "not " * 50_000 + "1",
    "x=" + "+".join(["1"] * 50_000),
    "x=[" + "+".join(["1"] * 50_000) + "]",
    "x=" + "a." * 50_000 + "a",
    "x=[" + "a." * 50_000 + "a]",
    "x={[]: 1}",
    "x={{}}",
    "x=\0",
    "x=[\0]",
    "x=\ud800",
    "x=['\ud800']",
    "x=\x1b[31m",
    "x=[\x1b]2;title\x07]",
    "x='\\N{DOES NOT EXIST}'",
    "x='\\x'",
    "x=...",
    "x=b'\\xff'",
    "x=1if 0else",
    "x=*1,",
    "x=yield",
    "x=await y",
    "x=print",
    "x=;import os",
    "x=1;import os",
    "x=1\nimport os",
    "x=#",
    "x=[1, # ]",
    ".".join(["a"] * 100_000) + "=1",
    "__class__=1",
    "__dict__.x=1",
    "x.__class__.__init__=1",
    "items=1",
    "\x1b[31mred=1",
    "\x1b[31mred",
    "\ud800",
    "a" * 1_000_000,
    "a" * 1_000_000 + "=1",
    "=" * 100_000,
    "%" * 100_000,
    "x=" + "%" * 100_000,
]


@pytest.mark.parametrize("token", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_hostile_does_anything(token, tmp_path, monkeypatch, capsys):
    """It is a value, a text or one of two errors; soon, and without a file or a terminal touched."""
    monkeypatch.chdir(tmp_path)
    scope = Scope()
    began = time.process_time()
    try:
        config = scope.apply(argv=[token])
    except (CommandLineError, UnknownViewError) as error:
        assert len(str(error)) < 600
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in str(error))
    else:
        assert type(config) is type(scope.config)
    assert time.process_time() - began < 5
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().err
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in said.replace("\n", ""))


def test_many_arguments_are_read_in_one_pass():
    """A list that the shell split into a hundred thousand parts takes no longer than its length."""
    began = time.process_time()
    assert len(read(["x=[1,", *["1,"] * 100_000, "1]"])) == 100_002
    with pytest.raises(CommandLineError, match="brackets do not close"):
        read(["x=[1,", *["1,"] * 100_000])
    assert time.process_time() - began < 10


SCRIPT = """
    from ato import Scope

    scope = Scope()

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.1
        config.name = "x"

    scope.config
    print(scope.explain("name"))
"""


@pytest.mark.parametrize(
    "token",
    [
        "lr=\x1b[31mred",
        "name=\x1b[31m",
        "lr\x1b[31m",
        "lr=" + "[" * 90_000,
        "lr=" + "-" * 90_000 + "1",
        "lr=" + "9" * 90_000,
        "lr=__import__('os')",
        "lr=[lambda: 1]",
    ],
    ids=range(8),
)
def test_a_script_answers_with_one_message_and_no_traceback(script, token):
    """Status 2 or 0, one line on stderr at most, and no control character on either stream."""
    done = script(SCRIPT)(token)
    assert done.returncode == (0 if token.startswith("name=\x1b") else 2)
    assert done.stderr.count("\n") == (done.returncode == 2)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_bytes_that_are_no_text_can_be_shown(script, tmp_path):
    """An argument that is not UTF-8, and a stdout that knows no Unicode, end in no traceback."""
    run = script(SCRIPT)
    del run
    for argument in (b"name=\xff", b"x\xff=1", b"\xff"):
        done = subprocess.run(
            [sys.executable, "train.py", argument, "print"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode == (2 if argument == b"\xff" else 0)
    done = subprocess.run(
        [sys.executable, "train.py", "manual"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "defaults \\u2192 (CLI Inputs)" in done.stdout
    assert io.StringIO(done.stdout).readline() == "-" * 50 + "\n"
