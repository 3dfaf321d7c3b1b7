"""Bytecode: equal where only the writing differs, different where the logic does."""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from pathlib import Path
from types import CodeType

import pytest
from code_texts import STATEMENTS
from hypothesis import given
from reference_bytecode import bytecode_digest

from ato._core import digest_bytecode
from ato.code.bytecode import INTERPRETER, digest_code, qualified_name

GOLDEN = Path(__file__).parent.parent / "golden"


def compiled(text: str, name: str = "f") -> CodeType:
    """The code object of a function in a text."""
    found = [
        c for c in codes(compile(textwrap.dedent(text), "<text>", "exec")) if c.co_name == name
    ]
    return found[0]


def codes(code: CodeType) -> list[CodeType]:
    """A code object and all inside it."""
    inside = [c for c in code.co_consts if isinstance(c, CodeType)]
    return [code, *(found for nested in inside for found in codes(nested))]


SAME = {
    "comments and blank lines": (
        "def f(x):\n    return x + 1\n",
        "def f(x):\n\n    # so\n    return x + 1\n",
    ),
    "a docstring": ("def f(x):\n    g(x)\n", 'def f(x):\n    """Say."""\n    g(x)\n'),
    "a docstring that is a constant": (
        "def f(x):\n    return 'a'\n",
        "def f(x):\n    'a'\n    return 'a'\n",
    ),
    "a class's docstring": (
        "def f():\n    class A:\n        a = g\n    return A\n",
        "def f():\n    class A:\n        'Say.'\n        a = g\n    return A\n",
    ),
    "a class's place": (
        "def f():\n    class A:\n        a = 1\n    return A\n",
        "def f():\n\n\n    class A:\n        a = 1\n    return A\n",
    ),
    "wrapping": (
        "def f(x):\n    return g(x, 1, [x, 2], a=x)\n",
        "def f(x):\n    return g(\n        x,\n        1,\n        [\n            x,\n            2,\n        ],\n        a=x,\n    )\n",
    ),
    "a suite on one line": (
        "def f(x):\n    if x:\n        pass\n    while x: x = g(x)\n    return x\n",
        "def f(x):\n    if x: pass\n    while x:\n        x = g(x)\n    return x\n",
    ),
    "statements on one line": (
        "def f(x):\n    a = x; b = x; return a + b\n",
        "def f(x):\n    a = x\n    b = x\n    return a + b\n",
    ),
    "statements that do nothing": (
        "def f(x):\n    for i in x:\n        g(i)\n    return x\n",
        "def f(x):\n    pass\n    for i in x:\n        pass\n        g(i)\n    pass\n    return x\n",
    ),
    "locals": (
        "def f(x):\n    a = x\n    b = a\n    return a - b\n",
        "def f(x):\n    q = x\n    p = q\n    return q - p\n",
    ),
    "locals that a closure takes": (
        "def f(x):\n    a = x; b = g(x)\n    return lambda: (a - b, x)\n",
        "def f(x):\n    z = x; b = g(x)\n    return lambda: (z - b, x)\n",
    ),
    "locals that closures hand on": (
        "def f(x):\n    a = x; b = g(x)\n    def h():\n        c = a\n        return lambda: (a, b, c)\n    return h\n",
        "def f(x):\n    z = x; y = g(x)\n    def h():\n        a = z\n        return lambda: (z, y, a)\n    return h\n",
    ),
    "a name of a nested function": (
        "def f(x):\n    def g(): return x\n    return g\n",
        "def f(x):\n    def h(): return x\n    return h\n",
    ),
    "the name": ("def f(x):\n    return lambda: x\n", "def f(x):\n    return (lambda: x)\n"),
    "hints": (
        "def f(x):\n    y = x\n    return y\n",
        "def f(x: int) -> int:\n    y: int = x\n    return y\n",
    ),
    "a future import": (
        "def f(x):\n    return x\n",
        "from __future__ import annotations\ndef f(x):\n    return x\n",
    ),
    "try": (
        "def f(x):\n    try:\n        g(x)\n    except E as e:\n        h(e)\n    finally:\n        i()\n",
        "def f(x):\n    try:\n        pass\n        g(\n            x\n        )\n    except E as error:\n        h(error)\n    finally:\n        pass\n        i()\n",
    ),
    "numbers and quotes": (
        "def f(x):\n    return 1_000, 'a'\n",
        'def f(x):\n    return 1000, "a"\n',
    ),
}

OTHER = {
    "a constant": ("def f(x): return x + 1\n", "def f(x): return x + 2\n"),
    "a constant's type": ("def f(x): return x + 1\n", "def f(x): return x + 1.0\n"),
    "the sign of zero": ("def f(x): return x + 0.0\n", "def f(x): return x + -0.0\n"),
    "an operator": ("def f(x): return x + 1\n", "def f(x): return x - 1\n"),
    "a global": ("def f(x): return a\n", "def f(x): return b\n"),
    "an attribute": ("def f(x): return x.a\n", "def f(x): return x.b\n"),
    "which local": (
        "def f(x):\n    a = x; b = x\n    return a\n",
        "def f(x):\n    a = x; b = x\n    return b\n",
    ),
    "which captured": (
        "def f(x):\n    a = 1; b = 2\n    return lambda: (a, b)\n",
        "def f(x):\n    a = 1; b = 2\n    return lambda: (b, a)\n",
    ),
    "which captured, one of two": (
        "def f(x):\n    a = g(); b = h()\n    return lambda: a, b\n",
        "def f(x):\n    a = g(); b = h()\n    return lambda: b, a\n",
    ),
    "a parameter's name": ("def f(x): return x\n", "def f(y): return y\n"),
    "a parameter's kind": ("def f(x, y): return x\n", "def f(x, *, y): return x\n"),
    "positional-only": ("def f(x, y): return x\n", "def f(x, /, y): return x\n"),
    "rest": ("def f(*x): return x\n", "def f(**x): return x\n"),
    "a string statement or a value": (
        "def f(x):\n    'a'\n    return x\n",
        "def f(x):\n    return 'a'\n",
    ),
    "a jump": ("def f(x):\n    while x: g()\n    h()\n", "def f(x):\n    if x: g()\n    h()\n"),
    "break or continue": (
        "def f(x):\n    for i in x:\n        if i: break\n        g()\n",
        "def f(x):\n    for i in x:\n        if i: continue\n        g()\n",
    ),
    "a handler": (
        "def f(x):\n    try: g()\n    except E: h()\n    i()\n",
        "def f(x):\n    try:\n        g()\n        i()\n    except E: h()\n",
    ),
    "async": ("async def f(x): return x\n", "def f(x): return x\n"),
    "a generator": ("def f(x): return x\n", "def f(x): yield x\n"),
    "a nested function": ("def f(x): return lambda: x + 1\n", "def f(x): return lambda: x + 2\n"),
    "a nested class": (
        "def f():\n    class A:\n        a = 1\n    return A\n",
        "def f():\n    class A:\n        a = 2\n    return A\n",
    ),
    "a large offset": (
        "def f(x):\n" + "    x = x + a\n" * 300 + "    return x\n",
        "def f(x):\n" + "    x = x + a\n" * 301 + "    return x\n",
    ),
    "a slice": ("def f(x): return x[1:2]\n", "def f(x): return x[1:3]\n"),
    "an ellipsis": ("def f(x): return x[...]\n", "def f(x): return x[None]\n"),
}


@pytest.mark.parametrize("case", SAME)
def test_the_writing_is_no_bytecode(case):
    """Two ways to write one function have one digest."""
    first, second = (compiled(text) for text in SAME[case])
    assert digest_code(first) == digest_code(second)


@pytest.mark.parametrize("case", OTHER)
def test_what_a_function_computes_is_bytecode(case):
    """What changes the computation changes the digest."""
    first, second = (compiled(text) for text in OTHER[case])
    assert digest_code(first) != digest_code(second)


@pytest.mark.parametrize(
    "module", ["argparse", "dataclasses", "asyncio.tasks", "typing", "decimal", "ast", "enum"]
)
def test_the_reference_encoder_agrees(module):
    """Every function of large modules has the digest that the slow encoder gives."""
    file = importlib.import_module(module).__file__
    assert file is not None
    if module == "decimal":
        file = file.replace("decimal.py", "_pydecimal.py")
    text = Path(file).read_text(encoding="utf-8")
    found = codes(compile(text, file, "exec", dont_inherit=True))
    assert len(found) > 50
    for code in found:
        assert digest_code(code) == bytecode_digest(code, INTERPRETER), code


@pytest.mark.parametrize("case", [*SAME, *OTHER])
def test_the_reference_encoder_agrees_on_small_functions(case):
    """The cases of this file have the digests that the slow encoder gives."""
    for text in {**SAME, **OTHER}[case]:
        code = compiled(text)
        assert digest_code(code) == bytecode_digest(code, INTERPRETER)


@given(STATEMENTS)
def test_reformatting_changes_no_bytecode(statements):
    """Whatever line breaks are put into a function, its digest stays."""
    text = "def f(x):\n    " + "\n    ".join(statements) + "\n"
    spread = text.replace("(", "(\n    ").replace(", ", " ,\n  ")
    assert digest_code(compiled(text)) == digest_code(compiled(spread))


@given(STATEMENTS, STATEMENTS)
def test_equal_bytecode_means_equal_instructions(a, b):
    """Functions that the compiler makes different code of have different digests."""
    first, second = (compiled("def f(x):\n    " + "\n    ".join(part) + "\n") for part in (a, b))
    if digest_code(first) == digest_code(second):
        assert first.co_names == second.co_names
        assert len(first.co_code) == len(second.co_code)


def test_the_interpreter_counts():
    """Bytecode of two versions is never equal."""
    code = compiled("def f(x): return x\n")
    kinds = bytes(256)
    one, two = (digest_bytecode(code, name, kinds, kinds, b"", repr) for name in ("a", "b"))
    assert one != two


def test_impossible_tables_are_refused():
    """Tables of opcodes that do not fit are an error that says so."""
    code = compiled("def f(x): return x\n")
    with pytest.raises(ValueError, match="256 entries"):
        digest_bytecode(code, INTERPRETER, bytes(3), bytes(256), b"", repr)
    with pytest.raises(ValueError, match="no such kind"):
        digest_bytecode(code, INTERPRETER, bytes([99] * 256), bytes(256), b"", repr)


def test_the_bytecode_of_format_1_stays():
    """The digests that were released for this interpreter are those of today."""
    golden = json.loads((GOLDEN / "bytecode.json").read_text(encoding="utf-8"))
    text = (GOLDEN / "code_sample.txt").read_text(encoding="utf-8")
    assert set(golden) >= {"cpython-311-0", "cpython-312-0", "cpython-313-0"}
    found = [
        f"{qualified_name(code)} {digest_code(code)}"
        for code in codes(compile(text, "<sample>", "exec", dont_inherit=True))[1:]
    ]
    # An interpreter that is not released yet may still change what it compiles to.
    assert golden.get(INTERPRETER, found) == found
    assert sys.flags.optimize == 0
