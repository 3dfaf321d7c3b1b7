"""Logic: what of a function's text counts and what does not."""

from __future__ import annotations

import ast
import json
import textwrap
from pathlib import Path

import pytest
from code_texts import STATEMENTS
from hypothesis import given, settings

from ato.code.bytecode import qualified_name
from ato.code.definitions import Definition, FileDefinitions
from ato.code.normalise import define


def definition(text: str, name: str = "f") -> Definition:
    """The last definition of that name in a text."""
    found = [d for d in define(textwrap.dedent(text)).definitions if d.name == name]
    assert found, f"no {name} in the text"
    return found[-1]


def logic(text: str, name: str = "f") -> str:
    return definition(text, name).own


SAME = {
    "comment": ("def f(x):\n    return x + 1\n", "def f(x):\n    # why\n    return x + 1  # so\n"),
    "docstring": ("def f(x):\n    return x\n", 'def f(x):\n    """Say."""\n    return x\n'),
    "docstring alone": ('def f(x):\n    """Say."""\n', "def f(x): pass\n"),
    "blank lines": (
        "def f(x):\n    y = x\n    return y\n",
        "def f(x):\n\n    y = x\n\n\n    return y\n",
    ),
    "wrapping": (
        "def f(x):\n    return g(x, 1)\n",
        "def f(\n    x,\n):\n    return g(\n        x,\n        1,\n    )\n",
    ),
    "backslash": ("def f(x):\n    return x + 1\n", "def f(x):\n    return x \\\n        + 1\n"),
    "parentheses": ("def f(x):\n    return x * 2 + 1\n", "def f(x):\n    return ((x * 2) + (1))\n"),
    "tuple": ("def f(x):\n    return x, 1\n", "def f(x):\n    return (x, 1)\n"),
    "subscript": ("def f(x):\n    return x[0, 1:2]\n", "def f(x):\n    return x[(0), 1:2]\n"),
    "one line": (
        "def f(x):\n    if x: return 1\n    return 2\n",
        "def f(x):\n    if x:\n        return 1\n    return 2\n",
    ),
    "semicolon": ("def f(x):\n    y = 1; return y\n", "def f(x):\n    y = 1\n    return y\n"),
    "quotes": ("def f(x):\n    return 'a' + \"b\"\n", "def f(x):\n    return \"a\" + 'b'\n"),
    "escapes": ("def f(x):\n    return '\\x41\\n'\n", 'def f(x):\n    return """A\n"""\n'),
    "raw": ("def f(x):\n    return r'\\d'\n", "def f(x):\n    return '\\\\d'\n"),
    "adjacent": ("def f(x):\n    return 'ab'\n", "def f(x):\n    return 'a' 'b'\n"),
    "adjacent f": ("def f(x):\n    return f'a{x}b'\n", "def f(x):\n    return 'a' f'{x}' 'b'\n"),
    "numbers": (
        "def f(x):\n    return 1_000 + 1e3 + 0x10\n",
        "def f(x):\n    return 1000 + 1000.0 + 16\n",
    ),
    "imaginary": ("def f(x):\n    return 1_0.0j\n", "def f(x):\n    return 10J\n"),
    "annotations": (
        "def f(x, y=1):\n    z = x\n    return z\n",
        "def f(x: int, y: 'str' = 1) -> int:\n    z: float = x\n    return z\n",
    ),
    "bare annotation": (
        "def f(x):\n    y = 1\n    return y\n",
        "def f(x):\n    y: int\n    y = 1\n    return y\n",
    ),
    "locals": (
        "def f(x):\n    a = x\n    b = a + 1\n    return a * b\n",
        "def f(x):\n    first = x\n    second = first + 1\n    return first * second\n",
    ),
    "comprehension": (
        "def f(x):\n    return [i for i in x if i]\n",
        "def f(x):\n    return [item for item in x if item]\n",
    ),
    "loop variable": (
        "def f(x):\n    for i in x:\n        g(i)\n",
        "def f(x):\n    for item in x:\n        g(item)\n",
    ),
    "with name": (
        "def f(x):\n    with x as a:\n        g(a)\n",
        "def f(x):\n    with x as b:\n        g(b)\n",
    ),
    "except name": (
        "def f(x):\n    try:\n        g()\n    except E as e:\n        g(e)\n",
        "def f(x):\n    try:\n        g()\n    except E as error:\n        g(error)\n",
    ),
    "walrus": ("def f(x):\n    if (a := x): return a\n", "def f(x):\n    if (b := x): return b\n"),
    "match": (
        "def f(x):\n    match x:\n        case [a, *b]: return a\n",
        "def f(x):\n    match x:\n        case [c, *d]: return c\n",
    ),
    "nested name": (
        "def f(x):\n    def g(): return x\n    return g\n",
        "def f(x):\n    def h(): return x\n    return h\n",
    ),
    "lambda captures": (
        "def f(x):\n    a = x\n    return lambda: a\n",
        "def f(x):\n    b = x\n    return lambda: b\n",
    ),
    "import order": (
        "def f(x):\n    from m import a, b\n    return a + b\n",
        "def f(x):\n    from m import b, a\n    return a + b\n",
    ),
    "import name": (
        "def f(x):\n    import m as a\n    return a.g(x)\n",
        "def f(x):\n    import m as b\n    return b.g(x)\n",
    ),
    "global unused": ("def f(x):\n    return x\n", "def f(x):\n    pass\n    return x\n"),
    "elif": (
        "def f(x):\n    if x: return 1\n    elif g(x): return 2\n",
        "def f(x):\n    if x:\n        return 1\n    elif (g(x)):\n        return 2\n",
    ),
}

OTHER = {
    "constant": ("return x + 1", "return x + 2"),
    "int or float": ("return x + 1", "return x + 1.0"),
    "true or one": ("return True", "return 1"),
    "zero's sign": ("return 0.0", "return -0.0"),
    "string or bytes": ("return 'a'", "return b'a'"),
    "space in a string": ("return 'a b'", "return 'a  b'"),
    "operator": ("return x + 1", "return x - 1"),
    "comparison": ("return x < 1", "return x <= 1"),
    "order of operands": ("return x - y", "return y - x"),
    "parentheses that matter": ("return (x + 1) * 2", "return x + 1 * 2"),
    "grouping of a sum": ("return x + (1 + y)", "return x + 1 + y"),
    "call": ("return g(x)", "return h(x)"),
    "argument": ("return g(x)", "return g(x, 1)"),
    "keyword order": ("return g(a=1, b=2)", "return g(b=2, a=1)"),
    "keyword or positional": ("return g(a=x)", "return g(x)"),
    "star": ("return g(x)", "return g(*x)"),
    "dict order": ("return {'a': 1, 'b': 2}", "return {'b': 2, 'a': 1}"),
    "statement order": ("g(x); h(x)", "h(x); g(x)"),
    "statement dropped": ("g(x)\n    return x", "return x"),
    "control flow": ("if x: return 1\n    return 2", "return 1 if x else 2"),
    "else": ("for i in x: g(i)\n    h()", "for i in x: g(i)\n    else: h()"),
    "indentation": ("if x:\n        g()\n    h()", "if x:\n        g()\n        h()"),
    "attribute": ("return x.a", "return x.b"),
    "which local": ("a = x; b = y\n    return a", "a = x; b = y\n    return b"),
    "which captured": ("a = x; b = y\n    return lambda: a", "a = x; b = y\n    return lambda: b"),
    "local or global": ("a = x\n    return a", "a = x\n    return b"),
    "f-string": ("return f'{x}'", "return f'{x!r}'"),
    "format": ("return f'{x:.2f}'", "return f'{x:.3f}'"),
    "name in an f-string": ("a = x\n    return f'{a=}'", "b = x\n    return f'{b=}'"),
    "f-string or string": ("return '{x}'", "return f'{x}'"),
    "trailing comma": ("return (x)", "return (x,)"),
    "index": ("return x[1]", "return x[1,]"),
    "slice": ("return x[1:]", "return x[:1]"),
    "await": ("return g(x)", "return (yield g(x))"),
    "global statement": ("global c\n    c = x", "c = x"),
    "exception": ("try: g()\n    except A: h()", "try: g()\n    except B: h()"),
    "imported name": ("from m import a\n    return a", "from m import b\n    return b"),
    "imported module": ("from m import a\n    return a", "from n import a\n    return a"),
    "comprehension's test": ("return [i for i in x if i]", "return [i for i in x]"),
    "comprehension's kind": ("return [i for i in x]", "return {i for i in x}"),
    "delete": ("del x[0]", "del x[1]"),
    "in place": ("x += 1", "x = x + 1"),
    "assertion": ("assert x", "assert x, 'message'"),
    "pattern": (
        "match x:\n        case {'a': b}: return b",
        "match x:\n        case {'c': b}: return b",
    ),
}

SIGNATURES = [
    ("(x)", "(y)"),
    ("(x=1)", "(x=2)"),
    ("(x)", "(x=None)"),
    ("(x, y)", "(x, *, y)"),
    ("(x, y)", "(x, /, y)"),
    ("(*x)", "(**x)"),
    ("(x, *, k=1)", "(x, *, k=2)"),
]


@pytest.mark.parametrize("case", SAME)
def test_layout_and_names_of_locals_are_no_logic(case):
    """Two ways of writing the same computation have one logic."""
    a, b = SAME[case]
    assert logic(a) == logic(b)
    assert [d.own for d in define(a).definitions if d.kind == "lambda"] == [
        d.own for d in define(b).definitions if d.kind == "lambda"
    ]


@pytest.mark.parametrize("case", OTHER)
def test_what_changes_the_computation_changes_the_logic(case):
    """Everything that can change what a function computes changes its logic."""
    a, b = (f"def f(x, y=None):\n    {body}\n" for body in OTHER[case])
    assert logic(a) != logic(b)


@pytest.mark.parametrize(("a", "b"), SIGNATURES)
def test_the_signature_is_logic(a, b):
    """Parameter names, kinds and defaults are the function's interface."""
    assert logic(f"def f{a}: pass\n") != logic(f"def f{b}: pass\n")


def test_a_function_does_not_count_its_own_name():
    """A renamed function has the same logic, also where it calls itself."""
    a = "def f(n):\n    return n and f(n - 1)\n"
    assert logic(a) == logic(a.replace("f(", "g("), "g")
    method = "class C:\n    def f(self, n):\n        return n and self.f(n - 1)\n"
    assert logic(method, "C.f") == logic(method.replace("f(", "g("), "C.g")


def test_calling_itself_differs_from_calling_another():
    """A recursive call is told from a call of any other function."""
    assert logic("def f(n):\n    return f(n)\n") != logic("def f(n):\n    return g(n)\n")


def test_async_is_logic():
    """An async function is another function."""
    assert logic("def f(): pass\n") != logic("async def f(): pass\n")


def test_a_nested_function_is_a_definition_of_its_own():
    """A changed inner function leaves the outer one's own part as it was."""
    a = "def f(x):\n    def inner(y):\n        return x + y\n    return inner\n"
    b = a.replace("x + y", "x - y")
    assert logic(a) == logic(b)
    assert logic(a, "f.<locals>.inner") != logic(b, "f.<locals>.inner")


def test_fields_of_a_class_count_with_their_annotations():
    """In a class body an annotation makes a field."""
    a = "class C:\n    x: int = 1\n"
    assert logic(a, "C.x") != logic(a.replace("int", "float"), "C.x")
    assert logic(a, "C") != logic(a + "    y: int\n", "C")


def test_a_method_may_move_within_its_class():
    """The order of methods is nothing, that of fields is the signature of a dataclass."""
    one, two = "    def a(self): pass\n", "    def b(self): pass\n"
    assert logic(f"class C:\n{one}{two}", "C") == logic(f"class C:\n{two}{one}", "C")
    assert logic("class C:\n    a = 1\n    b = 2\n", "C") != logic(
        "class C:\n    b = 2\n    a = 1\n", "C"
    )


def test_references_are_global_names_with_their_attributes():
    """Locals, parameters and names in annotations are no references."""
    found = definition("def f(x: Hidden):\n    y = np.random.rand(x)\n    return y.mean() + CLIP\n")
    assert found.references == ["np.random.rand", "CLIP"]


def test_getattr_with_a_literal_name_is_followed():
    """`getattr(data, "augment")` refers to `data.augment`; a computed name is a gap."""
    assert (
        "data.augment" in definition('def f():\n    return getattr(data, "augment")\n').references
    )
    assert definition("def f(n):\n    return getattr(data, n)\n").gaps


def test_one_of_several_assigned_names_is_charged():
    """A statement that binds several names is charged to the first; pairs are told apart."""
    a = define("x, y = load(1)\na, b = 1, 2\n")
    b = define("x, y = load(2)\na, b = 1, 3\n")
    assert _changed(a, b) == {"x", "b"}


def _changed(a: FileDefinitions, b: FileDefinitions) -> set[str]:
    owns = {d.name: d.own for d in a.definitions if d.kind == "value"}
    return {d.name for d in b.definitions if d.kind == "value" and owns[d.name] != d.own}


def test_module_statements_leave_names_and_functions_to_themselves():
    """A module's body is what it does besides binding names and defining functions."""
    text = "import os\nRATE = 1\ndef f(): pass\nprint(RATE)\n"
    body = logic(text, "<module>")
    assert body == logic(text.replace("RATE = 1", "RATE = 2"), "<module>")
    assert body == logic(text.replace("pass", "return 1"), "<module>")
    assert body != logic(text.replace("print(RATE)", "print(RATE, 1)"), "<module>")


def test_positions_are_those_of_the_code_objects():
    """Each function is found under the qualified name and line that its code object has."""
    text = textwrap.dedent('''
        def deco(f): return f
        @deco
        def f(a=lambda: 1):
            """Say."""
            return [lambda: i for i in range(3)], lambda x: (lambda: x)
        class C:
            @property
            def p(self): return 1
            @deco
            @deco
            class D:
                act = lambda self: 2
        x = {"a": lambda: 3}
        async def g():
            async with f() as y: yield y
    ''')
    places = {(d.name, d.line) for d in define(text).definitions}
    for name, line in _code_places(compile(text, "<text>", "exec")):
        if not name.endswith(("comp>", "genexpr>")):
            assert (name, line) in places


def _code_places(code):
    for constant in code.co_consts:
        if hasattr(constant, "co_qualname"):
            yield qualified_name(constant), constant.co_firstlineno
            yield from _code_places(constant)


def test_the_normalised_text_is_readable_and_without_comments():
    """The canonical text keeps the names and drops comments, docstrings and annotations."""
    found = definition('def f(x: int) -> int:\n    """Say."""\n    return (x+1)  # so\n')
    assert found.normalised == "def f(x):\n    return x + 1"


def test_a_long_sum_is_no_deep_encoding():
    """Hundreds of terms and branches are encoded without running into a depth limit."""
    total = " + ".join(["x"] * 900)
    branches = "".join(f"    elif x == {n}: return {n}\n" for n in range(300))
    assert logic(f"def f(x):\n    return {total}\n")
    assert logic(f"def f(x):\n    if x is None: return 0\n{branches}")


@settings(max_examples=60, deadline=None)
@given(STATEMENTS)
def test_reformatting_changes_no_logic(statements):
    """Whatever another formatter makes of a function, its logic stays."""
    text = "def f(x):\n    " + "\n    ".join(statements) + "\n"
    spread = text.replace("(", "(\n    ").replace(", ", " ,\n  ")
    rewritten = ast.unparse(ast.parse(text)).replace("'", '"')
    expected = _all_logic(text)
    assert _all_logic(spread) == expected
    assert _all_logic(rewritten) == expected


@settings(max_examples=60, deadline=None)
@given(STATEMENTS, STATEMENTS)
def test_equal_logic_means_equal_code(a, b):
    """Two functions have one logic only if they are the same up to the names of locals."""
    texts = ["def f(x):\n    " + "\n    ".join(part) + "\n" for part in (a, b)]
    same = ast.dump(ast.parse(texts[0])) == ast.dump(ast.parse(texts[1]))
    if _all_logic(texts[0]) == _all_logic(texts[1]):
        shapes = [_without_names(text) for text in texts]
        assert shapes[0] == shapes[1]
    else:
        assert not same


def _all_logic(text: str) -> list[str]:
    return [d.own for d in define(text).definitions if d.kind in ("function", "lambda")]


def _without_names(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("a", "b", "c"):
            node.id = "local"
    return ast.dump(tree)


def test_the_logic_of_format_1_stays():
    """Every kind of syntax has the digest that was released, whatever Python and libcst are."""
    golden = Path(__file__).parent.parent / "golden"
    text = (golden / "code_sample.txt").read_text(encoding="utf-8")
    expected = json.loads((golden / "code_logic.json").read_text(encoding="utf-8"))
    found = {f"{d.kind} {d.name}": [] for d in define(text).definitions}
    for d in define(text).definitions:
        found[f"{d.kind} {d.name}"].append(d.own)
        for decorator in d.decorators:
            found.setdefault(f"decorator {decorator.callee} of {d.name}", []).append(
                decorator.logic
            )
    assert found == expected
