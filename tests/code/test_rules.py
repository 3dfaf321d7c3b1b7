"""The rules of what counts: every line of the four lists, wherever the function lives."""

from __future__ import annotations

import pytest
from code_cases import PLACES, Answers, Case, check, evaluate, logic, other, same

SAME_LOGIC = {
    "comments": same(
        "def f(x):\n    return x + 1\n",
        "# above\ndef f(x):  # beside\n    # inside\n    return x + 1  # after\n    # below\n",
    ),
    "docstring added": same(
        "def f(x):\n    return x\n", 'def f(x):\n    """Say.\n\n    More.\n    """\n    return x\n'
    ),
    "docstring edited": same(
        'def f(x):\n    "Say."\n    return x\n', 'def f(x):\n    """Tell."""\n    return x\n'
    ),
    "docstring of a class": same(
        "class f:\n    def g(self):\n        return 1\n",
        'class f:\n    """Say."""\n\n    def g(self):\n        "Tell."\n        return 1\n',
    ),
    "docstring that is all": same('def f(x):\n    """Say."""\n', "def f(x):\n    pass\n"),
    "blank lines": same(
        "def f(x):\n    y = x\n    return y\n", "\n\n\ndef f(x):\n\n    y = x\n\n\n    return y\n\n"
    ),
    "wrapping": same(
        "def f(x):\n    return max(x, 1, key=abs)\n",
        "def f(\n    x,\n):\n    return max(\n        x,\n        1,\n        key=abs,\n    )\n",
    ),
    "wrapping with a backslash": same(
        "def f(x):\n    assert x\n    return x + 1\n",
        "def f(x):\n    assert \\\n      x\n    return x \\\n        + 1\n",
    ),
    "indentation by tabs": same(
        "def f(x):\n    if x:\n        return 1\n", "def f(x):\n\tif x:\n\t\treturn 1\n"
    ),
    "redundant parentheses": same(
        "def f(x):\n    return x * 2 + 1 if x else -x\n",
        "def f(x):\n    return (((x * 2) + (1)) if (x) else (-(x)))\n",
    ),
    "parentheses in statements": same(
        "def f(x):\n    for i in x: del x[i]\n    assert x\n    a, b = x\n    return a, b\n",
        "def f(x):\n    for (i) in (x): del (x[i])\n    assert (x)\n    (a, b) = (x)\n    return (a, b)\n",
    ),
    "parentheses of an empty base": same("class f:\n    a = 1\n", "class f():\n    a = 1\n"),
    "parentheses in with": same(
        "def f(x):\n    with x as a, x as b:\n        return a, b\n",
        "def f(x):\n    with (x as a, x as b):\n        return a, b\n",
    ),
    "parentheses in an import": same(
        "def f(x):\n    from os.path import join, split\n    return join, split\n",
        "def f(x):\n    from os.path import (\n        join,\n        split,\n    )\n    return join, split\n",
    ),
    "a suite on one line": same(
        "def f(x):\n    if x:\n        return 1\n    else:\n        return 2\n",
        "def f(x):\n    if x: return 1\n    else: return 2\n",
    ),
    "a function on one line": same("def f(x):\n    return x\n", "def f(x): return x\n"),
    "loops on one line": same(
        "def f(x):\n    for i in x:\n        print(i)\n    while x:\n        x.pop()\n",
        "def f(x):\n    for i in x: print(i)\n    while x: x.pop()\n",
    ),
    "semicolons": same("def f(x):\n    y = x\n    return y\n", "def f(x):\n    y = x; return y;\n"),
    "adjacent literals": same(
        "def f(x):\n    return 'abc', b'de'\n",
        "def f(x):\n    return 'a' \"b\" r'c', (b'd'\n        b'e')\n",
    ),
    "adjacent f-strings": same(
        "def f(x):\n    return f'a{x}b{x:>3}'\n", "def f(x):\n    return 'a' f'{x}' 'b' f'{x:>3}'\n"
    ),
    "quotes": same(
        "def f(x):\n    return 'a', 'it\\'s', f'{x}'\n",
        'def f(x):\n    return "a", """it\'s""", f"""{x}"""\n',
    ),
    "escapes": same(
        "def f(x):\n    return '\\x41\\t', r'\\d', b'\\x00'\n",
        "def f(x):\n    return 'A	', '\\\\d', b'\\0'\n",
    ),
    "a prefix that says nothing": same(
        "def f(x):\n    return 'a', r'b', f'{x}', b'c'\n",
        "def f(x):\n    return u'a', 'b', rf'{x}', Rb'c'\n",
    ),
    "number spelling": same(
        "def f(x):\n    return 1000, 255, 5, 8, 1.0, 1000.0, 2j, 0\n",
        "def f(x):\n    return 1_000, 0xFF, 0b101, 0o10, 1.0e0, 1E3, 2.0J, 0_0\n",
    ),
    "type hints": same(
        "def f(x, y=1, *a, k=2, **b):\n    z = x\n    return z\n",
        "from typing import Any\ndef f(x: int, y: 'Any' = 1, *a: int, k: float = 2, **b: str) -> list[int]:\n"
        "    z: Any = x\n    return z\n",
    ),
    "a hint without a value": same(
        "def f(x):\n    z = x\n    return z\n", "def f(x):\n    z: int\n    z = x\n    return z\n"
    ),
    "hints of a lambda's neighbour": same(
        "def f(x):\n    def g(y): return y\n    return g(x)\n",
        "def f(x):\n    def g(y: int) -> int: return y\n    return g(x)\n",
    ),
    "renamed": same("def f(x):\n    return x\n", "def g(x):\n    return x\n", target_after="g"),
    "renamed and recursive": same(
        "def f(n):\n    return n and f(n - 1)\n",
        "def g(n):\n    return n and g(n - 1)\n",
        target_after="g",
    ),
    "a renamed method": same(
        "class A:\n    def f(self, n):\n        return n and self.f(n - 1)\n",
        "class A:\n    def g(self, n):\n        return n and self.g(n - 1)\n",
        "A.f",
        "A.g",
    ),
    "renamed locals": same(
        "def f(x):\n    a = x\n    b = a + 1\n    return a * b\n",
        "def f(x):\n    b = x\n    a = b + 1\n    return b * a\n",
    ),
    "renamed locals of every kind": same(
        "def f(x):\n    for a, (b, *c) in x:\n        with a as d:\n            try:\n                e = [g for g in b if g]\n"
        "            except ValueError as h:\n                return h, (i := c), {j: k for j, k in d}\n"
        "            match x:\n                case {'q': l, **m} | [l, *m]:\n                    return l, m\n"
        "                case str() as n:\n                    return n, e, i\n",
        "def f(x):\n    for a1, (b1, *c1) in x:\n        with a1 as d1:\n            try:\n                e1 = [g1 for g1 in b1 if g1]\n"
        "            except ValueError as h1:\n                return h1, (i1 := c1), {j1: k1 for j1, k1 in d1}\n"
        "            match x:\n                case {'q': l1, **m1} | [l1, *m1]:\n                    return l1, m1\n"
        "                case str() as n1:\n                    return n1, e1, i1\n",
    ),
    "a renamed local that a closure takes": same(
        "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += x\n        return n\n    return g, lambda: n\n",
        "def f(x):\n    m = 0\n    def h():\n        nonlocal m\n        m += x\n        return m\n    return h, lambda: m\n",
    ),
    "a renamed import inside": same(
        "def f(x):\n    import os.path as p\n    from os import sep as s\n    return p.join(x, s)\n",
        "def f(x):\n    import os.path as q\n    from os import sep as t\n    return q.join(x, t)\n",
    ),
    "reordered names of an import": same(
        "def f(x):\n    from os import sep, linesep\n    return sep + linesep\n",
        "def f(x):\n    from os import linesep, sep\n    return sep + linesep\n",
    ),
    "reordered names of an import above": same(
        {
            "train.py": "from data import a, b\ndef f(x):\n    return a(b(x))\n",
            "data.py": "def a(x): return x\ndef b(x): return x + 1\n",
        },
        {
            "train.py": "from data import b, a\ndef f(x):\n    return a(b(x))\n",
            "data.py": "def a(x): return x\ndef b(x): return x + 1\n",
        },
    ),
    "a future import": same(
        "def f(x):\n    return x\n", "from __future__ import annotations\ndef f(x):\n    return x\n"
    ),
}


def body(old: str, new: str) -> Case:
    """Two bodies of one function."""
    return logic(f"def f(x, y=None):\n    {old}\n", f"def f(x, y=None):\n    {new}\n")


OTHER_LOGIC = {
    "an integer": body("return x + 1", "return x + 2"),
    "a float": body("return x + 0.1", "return x + 0.2"),
    "an integer or a float": body("return x + 1", "return x + 1.0"),
    "a truth value": body("return True", "return False"),
    "true or one": body("return True", "return 1"),
    "none or nothing": body("return x, None", "return x, ..."),
    "a string": body("return 'a'", "return 'b'"),
    "a space in a string": body("return 'a b'", "return 'a  b'"),
    "a string or bytes": body("return 'a'", "return b'a'"),
    "a string in the middle": body("x.a()\n    'a'\n    return x", "x.a()\n    return 'a'"),
    "an f-string's text": body("return f'a{x}'", "return f'b{x}'"),
    "an f-string's format": body("return f'{x:.2f}'", "return f'{x:.3f}'"),
    "an f-string's conversion": body("return f'{x}'", "return f'{x!r}'"),
    "an f-string's value": body("return f'{x}'", "return f'{y}'"),
    "an f-string's nested format": body("return f'{x:{y}}'", "return f'{x:{x}}'"),
    "the sign of zero": body("return 0.0", "return -0.0"),
    "an operator": body("return x + y", "return x - y"),
    "an operator in place": body("x += y", "x -= y"),
    "a comparison": body("return x < y", "return x <= y"),
    "a comparison's chain": body("return x < y < 3", "return x < y and x < 3"),
    "is or equal": body("return x is y", "return x == y"),
    "in or not in": body("return x in y", "return x not in y"),
    "and or or": body("return x and y", "return x or y"),
    "not": body("return x", "return not x"),
    "a unary sign": body("return x", "return -x"),
    "matrix product": body("return x @ y", "return x * y"),
    "floor division": body("return x // y", "return x / y"),
    "order of operands": body("return x - y", "return y - x"),
    "grouping": body("return (x + y) * 2", "return x + y * 2"),
    "grouping of a sum": body("return x + (y + 1)", "return x + y + 1"),
    "a call": body("return min(x)", "return max(x)"),
    "a call or a name": body("return x()", "return x"),
    "an argument": body("return min(x)", "return min(x, 1)"),
    "a star argument": body("return min(x)", "return min(*x)"),
    "double stars": body("return dict(**x)", "return dict(*x)"),
    "a keyword argument": body("return x(a=1)", "return x(b=1)"),
    "order of keyword arguments": body("return x(a=1, b=2)", "return x(b=2, a=1)"),
    "a method": body("return x.a()", "return x.b()"),
    "an attribute": body("return x.a", "return x.a.a"),
    "a subscript": body("return x[0]", "return x[1]"),
    "a slice": body("return x[1:]", "return x[:1]"),
    "a slice's step": body("return x[::2]", "return x[::3]"),
    "a tuple of one": body("return (x)", "return (x,)"),
    "a subscript of one": body("return x[1]", "return x[1,]"),
    "a list or a tuple": body("return [x]", "return (x,)"),
    "a set or a list": body("return {x}", "return [x]"),
    "order of a list": body("return [x, y]", "return [y, x]"),
    "order of a dict": body("return {'a': 1, 'b': 2}", "return {'b': 2, 'a': 1}"),
    "order of a set": body("return {x(), y()}", "return {y(), x()}"),
    "order of statements": body("x.a()\n    x.b()", "x.b()\n    x.a()"),
    "a statement less": body("x.a()\n    return x", "return x"),
    "a return less": body("return x", "x"),
    "a return or a yield": body("return x", "yield x"),
    "yield from": body("yield x", "yield from x"),
    "control flow": body("if x: return 1\n    return 2", "return 1 if x else 2"),
    "a condition": body("if x: return 1", "if y: return 1"),
    "a branch": body("if x: y()\n    else: y(1)", "if x: y()\n    y(1)"),
    "elif or if": body("if x: y()\n    elif y: y(1)", "if x: y()\n    if y: y(1)"),
    "for or while": body("for i in x: y()", "while x: y()"),
    "a loop's else": body("for i in x: y()\n    y(1)", "for i in x: y()\n    else: y(1)"),
    "break or continue": body("for i in x: break", "for i in x: continue"),
    "indentation": body("if x:\n        y()\n    x()", "if x:\n        y()\n        x()"),
    "an exception": body(
        "try: y()\n    except KeyError: x()", "try: y()\n    except ValueError: x()"
    ),
    "finally": body(
        "try: y()\n    except KeyError: x()\n    x(1)",
        "try: y()\n    except KeyError: x()\n    finally: x(1)",
    ),
    "except star": body(
        "try: y()\n    except KeyError: x()", "try: y()\n    except* KeyError: x()"
    ),
    "raise from": body("raise x from y", "raise x"),
    "an assertion": body("assert x", "assert x, y"),
    "a deletion": body("del x[0]", "del x[1]"),
    "a pattern": body("match x:\n        case 1: return y", "match x:\n        case 2: return y"),
    "a pattern's guard": body(
        "match x:\n        case 1 if y: return y", "match x:\n        case 1: return y"
    ),
    "a pattern's class": body(
        "match x:\n        case int(): return y", "match x:\n        case str(): return y"
    ),
    "a pattern's keyword": body(
        "match x:\n        case y(a=1): return y", "match x:\n        case y(b=1): return y"
    ),
    "which local": body("a = x; b = y\n    return a", "a = x; b = y\n    return b"),
    "a local or a global": body("a = x\n    return a", "a = x\n    return b"),
    "a global statement": body("global c\n    c = x", "c = x"),
    "a comprehension's test": body("return [i for i in x if i]", "return [i for i in x]"),
    "a comprehension's kind": body("return [i for i in x]", "return (i for i in x)"),
    "a comprehension's order": body(
        "return [i for i in x for j in y]", "return [i for j in y for i in x]"
    ),
    "a walrus": body("return (a := x)", "return x"),
    "a lambda": body("return lambda: x", "return lambda: y"),
    "a lambda's default": body("return lambda a=1: a", "return lambda a=2: a"),
    "a nested function": body(
        "def g(): return x\n    return g", "def g(): return -x\n    return g"
    ),
    "a nested class": body(
        "class A:\n        a = 1\n    return A", "class A:\n        a = 2\n    return A"
    ),
    "a nested decorator": body(
        "@staticmethod\n    def g(): return x\n    return g", "def g(): return x\n    return g"
    ),
    "an imported name": body(
        "from os import sep\n    return sep", "from os import linesep as sep\n    return sep"
    ),
    "an imported module": body(
        "import json as m\n    return m", "import pickle as m\n    return m"
    ),
    "an await": logic("async def f(x):\n    return await x\n", "async def f(x):\n    return x\n"),
    "an async with": logic(
        "async def f(x):\n    async with x: pass\n", "async def f(x):\n    with x: pass\n"
    ),
    "an async for": logic(
        "async def f(x):\n    async for i in x: pass\n", "async def f(x):\n    for i in x: pass\n"
    ),
    "async": logic("async def f(x):\n    return x\n", "def f(x):\n    return x\n"),
    "a default": logic("def f(x=1): return x\n", "def f(x=2): return x\n"),
    "a default more": logic("def f(x): return x\n", "def f(x=1): return x\n"),
    "a keyword-only default": logic("def f(*, x=1): return x\n", "def f(*, x=2): return x\n"),
    "a default that is called": logic("def f(x=int(1)): return x\n", "def f(x=int(2)): return x\n"),
    "a renamed parameter": logic("def f(x): return x\n", "def f(y): return y\n"),
    "a renamed keyword-only parameter": logic("def f(*, x): return x\n", "def f(*, y): return y\n"),
    "a renamed rest": logic("def f(*x): return x\n", "def f(*y): return y\n"),
    "keyword-only": logic("def f(x, y): return x\n", "def f(x, *, y): return x\n"),
    "positional-only": logic("def f(x, y): return x\n", "def f(x, /, y): return x\n"),
    "order of parameters": logic("def f(x, y): return x\n", "def f(y, x): return x\n"),
    "a parameter more": logic("def f(x): return x\n", "def f(x, y=1): return x\n"),
    "a lambda of its own": logic("f = lambda x: x + 1\n", "f = lambda x: x + 2\n"),
    "a method's body": logic(
        "class A:\n    def f(self): return 1\n", "class A:\n    def f(self): return 2\n", "A.f"
    ),
    "a class method's body": logic(
        "class A:\n    @classmethod\n    def f(cls): return 1\n",
        "class A:\n    @classmethod\n    def f(cls): return 2\n",
        "A.f",
    ),
    "a property's body": logic(
        "class A:\n    @property\n    def f(self): return 1\n",
        "class A:\n    @property\n    def f(self): return 2\n",
        "A.f",
    ),
}

HELPER = {"train.py": "from data import g\ndef f(x):\n    return g(x)\n"}


def reached(text: str, old: str, new: str, *charged: str, own: str = "") -> Case:
    """An edit of the module `data`, whose `g` the function calls."""
    return other({"train.py": own or HELPER["train.py"], "data.py": text}, old, new, *charged)


OTHER_DEEP = {
    "a helper": other(
        "def g(x): return x\ndef f(x): return g(x)\n", "return x\n", "return -x\n", "train.g"
    ),
    "a helper below": other(
        "def f(x): return g(x)\ndef g(x): return x\n", ": return x\n", ": return -x\n", "train.g"
    ),
    "a helper's helper": other(
        "def h(x): return x + 1\ndef g(x): return h(x)\ndef f(x): return g(x)\n",
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a helper's default": other(
        "def g(x=1): return x\ndef f(): return g()\n", "x=1", "x=2", "train.g"
    ),
    "a helper's keyword-only default": other(
        "def g(*, x=1): return x\ndef f(): return g()\n", "x=1", "x=2", "train.g"
    ),
    "a helper in another module": reached("def g(x): return x + 1\n", "x + 1", "x + 2", "data.g"),
    "a helper's helper in another module": reached(
        "def h(x): return x + 1\ndef g(x): return h(x)\n", "x + 1", "x + 2", "data.h"
    ),
    "a helper by its module": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="import data\ndef f(x): return data.g(x)\n",
    ),
    "a helper by a renamed module": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="import data as d\ndef f(x): return d.g(x)\n",
    ),
    "a helper by another name": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="from data import g as h\ndef f(x): return h(x)\n",
    ),
    "a helper by a star import": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="from data import *\ndef f(x): return g(x)\n",
    ),
    "a helper in a package": other(
        {
            "train.py": "from pkg.deep import tools\ndef f(x): return tools.g(x)\n",
            "pkg/__init__.py": "",
            "pkg/deep/__init__.py": "",
            "pkg/deep/tools.py": "def g(x): return x + 1\n",
        },
        "x + 1",
        "x + 2",
        "pkg.deep.tools.g",
    ),
    "a global": other("RATE = 0.1\ndef f(x): return x * RATE\n", "0.1", "0.2", "train.RATE"),
    "a global tuple": other(
        "SIZES = (1, (2, 3))\ndef f(x): return SIZES\n", "2, 3", "2, 4", "train.SIZES"
    ),
    "a global string": other("MODE = 'a'\ndef f(x): return MODE\n", "'a'", "'b'", "train.MODE"),
    "a global of another module": reached(
        "RATE = 1\ndef g(x): return x * RATE\n", "RATE = 1", "RATE = 2", "data.RATE"
    ),
    "an imported global": reached(
        "g = 1\n", "g = 1", "g = 2", "data.g", own="from data import g\ndef f(): return g\n"
    ),
    "a global by its module": reached(
        "g = 1\n", "g = 1", "g = 2", "data.g", own="import data\ndef f(): return data.g\n"
    ),
    "a class constant": other(
        "class A:\n    RATE = 1\ndef f(x): return x * A.RATE\n",
        "RATE = 1",
        "RATE = 2",
        "train.A.RATE",
    ),
    "a class constant through self": other(
        "class A:\n    RATE = 1\n    def f(self): return self.RATE\n",
        "RATE = 1",
        "RATE = 2",
        "train.A.RATE",
        target="A.f",
    ),
    "a class constant of an instance": other(
        "class A:\n    RATE = 1\n    def run(self): return self.RATE\ndef f(): return A().run()\n",
        "RATE = 1",
        "RATE = 2",
        "train.A.RATE",
    ),
    "an annotated class constant": other(
        "class A:\n    RATE: int = 1\ndef f(x): return x * A.RATE\n", "= 1", "= 2", "train.A.RATE"
    ),
    "a closure's value": other(
        "def make(n):\n    def f(x): return x + n\n    return f\nf = make(1)\n",
        "make(1)",
        "make(2)",
        "train.make.<locals>.f",
    ),
    "a closure's value, called": other(
        "def make(n):\n    def g(x): return x + n\n    return g\ng = make(1)\ndef f(x): return g(x)\n",
        "make(1)",
        "make(2)",
        "train.make.<locals>.g",
    ),
    "a closure's function": other(
        "def h(x): return x + 1\ndef make(n):\n    def g(x): return n(x)\n    return g\ng = make(h)\ndef f(x): return g(x)\n",
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a decorator's argument": other(
        "import functools\ndef times(n):\n    def wrap(fn):\n        @functools.wraps(fn)\n        def inner(x): return fn(x) * n\n"
        "        return inner\n    return wrap\n@times(2)\ndef f(x): return x\n",
        "@times(2)",
        "@times(3)",
        "train.times.<locals>.wrap.<locals>.inner",
    ),
    "a decorator's argument, without wraps": other(
        "def times(n):\n    def wrap(fn):\n        def inner(x): return fn(x) * n\n"
        "        return inner\n    return wrap\n@times(2)\ndef g(x): return x\ndef f(x): return g(x)\n",
        "@times(2)",
        "@times(3)",
        "train.times.<locals>.wrap.<locals>.inner",
    ),
    "a decorator's body": other(
        "import functools\ndef twice(fn):\n    @functools.wraps(fn)\n    def inner(x): return fn(x) * 2\n    return inner\n"
        "@twice\ndef f(x): return x\n",
        "fn(x) * 2",
        "fn(x) * 3",
        "train.twice.<locals>.inner",
    ),
    "a method of a class that is used": other(
        "class A:\n    def run(self): return 1\ndef f(): return A().run()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a constructor": other(
        "class A:\n    def __init__(self): self.a = 1\ndef f(): return A().a\n",
        "self.a = 1",
        "self.a = 2",
        "train.A.__init__",
    ),
    "an inherited method": other(
        "class B:\n    def run(self): return 1\nclass A(B): pass\ndef f(): return A().run()\n",
        "return 1",
        "return 2",
        "train.B.run",
    ),
    "an inherited method in another module": other(
        {
            "train.py": "from data import B\nclass A(B):\n    def f(self): return self.run()\n",
            "data.py": "class B:\n    def run(self): return 1\n",
        },
        "return 1",
        "return 2",
        "data.B.run",
        target="A.f",
    ),
    "a method through super": other(
        "class B:\n    def run(self): return 1\nclass A(B):\n    def f(self): return super().run()\n",
        "return 1",
        "return 2",
        "train.B.run",
        target="A.f",
    ),
    "a class's base": other(
        "class B: pass\nclass C: pass\nclass A(B): pass\ndef f(): return A()\n",
        "A(B)",
        "A(C)",
        "train.A",
    ),
    "the statement of an array": other(
        "import numpy as np\nTABLE = np.array([1, 2])\ndef f(x): return TABLE[x]\n",
        "[1, 2]",
        "[1, 3]",
        "train.TABLE",
    ),
    "the statement of an instance": other(
        "class Net:\n    def __init__(self, n): self.n = n\nnet = Net(1)\ndef f(x): return net.n\n",
        "Net(1)",
        "Net(2)",
        "train.net",
    ),
    "the statement of a list": other(
        "SIZES = [1, 2]\ndef f(x): return SIZES\n", "[1, 2]", "[1, 3]", "train.SIZES"
    ),
    "the statement of an array in another module": reached(
        "import numpy as np\nTABLE = np.array([1, 2])\ndef g(x): return TABLE[x]\n",
        "[1, 2]",
        "[1, 3]",
        "data.TABLE",
    ),
    "a partial's argument": other(
        "import functools\ndef g(x, n): return x * n\nh = functools.partial(g, n=2)\ndef f(x): return h(x)\n",
        "n=2",
        "n=3",
        "train.h",
    ),
    "a partial's function": other(
        "import functools\ndef g(x, n): return x * n\nh = functools.partial(g, n=2)\ndef f(x): return h(x)\n",
        "x * n",
        "x + n",
        "train.g",
    ),
    "an entry of a dispatch dict": other(
        "def g(x): return x + 1\nOPS = {'g': g}\ndef f(x): return OPS['g'](x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "which entry of a dispatch dict": other(
        "def g(x): return x\ndef h(x): return -x\nOPS = {'a': g, 'b': h}\ndef f(x): return OPS['a'](x)\n",
        "'a': g, 'b': h",
        "'a': h, 'b': g",
        "train.OPS",
    ),
    "a lambda of a dispatch dict": other(
        "OPS = {'g': lambda x: x + 1}\ndef f(x): return OPS['g'](x)\n",
        "x + 1",
        "x + 2",
        "train.OPS",
    ),
    "a function imported inside": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="def f(x):\n    from data import g\n    return g(x)\n",
    ),
    "a module imported inside": reached(
        "def g(x): return x + 1\n",
        "x + 1",
        "x + 2",
        "data.g",
        own="def f(x):\n    import data as d\n    return d.g(x)\n",
    ),
}

NOT_OTHER_DEEP = {
    "an unrelated function": other(
        "def h(x): return x + 1\ndef f(x): return x\n", "x + 1", "x + 2"
    ),
    "an unrelated function in a module that is used": reached(
        "def h(x): return x + 1\ndef g(x): return x\n", "x + 1", "x + 2"
    ),
    "an unrelated global": reached("A = 1\ndef g(x): return x\n", "A = 1", "A = 2"),
    "an unrelated class": reached("class A:\n    a = 1\ndef g(x): return x\n", "a = 1", "a = 2"),
    "an unrelated import": reached(
        "import os\ndef g(x): return x\n", "import os\n", "import os, json\n"
    ),
    "an unrelated statement": reached(
        "def g(x): return x\nprint('a', end='', file=open('/dev/null', 'w'))\n", "'a'", "'b'"
    ),
    "a comment in a helper": reached("def g(x):\n    return x  # so\n", "# so", "# and so on"),
    "a comment in a class": other(
        "class A:\n    a = 1  # so\n    def run(self): return self.a\ndef f(): return A().run()\n",
        "# so",
        "# and so on",
    ),
    "a comment at a global": other("A = 1  # so\ndef f(): return A\n", "# so", "# and so on"),
    "a helper's docstring": reached("def g(x):\n    'Say.'\n    return x\n", "Say", "Tell"),
    "a helper's layout": reached(
        "def g(x): return x + 1\n", "return x + 1", "\n    return (x +\n        1)"
    ),
    "a helper's local": reached(
        "def g(x):\n    a = x\n    return a\n", "a = x\n    return a", "b = x\n    return b"
    ),
    "a global's spelling": other("A = 1000\ndef f(): return A\n", "1000", "1_000"),
    "a moved function": same(
        "A = 1\ndef g(x): return x + A\ndef h(): pass\ndef f(x): return g(x)\n",
        "import os\ndef f(x): return g(x)\n\n\ndef h(): pass\ndef g(x): return x + A\nA = 1\n",
    ),
    "a moved helper in another module": same(
        {**HELPER, "data.py": "def a(x): return x\ndef g(x): return a(x)\n"},
        {
            **HELPER,
            "data.py": "import os\n\n\ndef g(x): return a(x)\ndef b(): pass\ndef a(x): return x\n",
        },
    ),
    "a moved method": same(
        "class A:\n    def a(self): return self.b()\n    def b(self): return 1\ndef f(): return A().a()\n",
        "class A:\n    def b(self): return 1\n    def a(self): return self.b()\ndef f(): return A().a()\n",
    ),
    "a moved project": same(
        {**HELPER, "data.py": "R = [1]\ndef g(x): return x, R\n", "data.txt": "a"},
        {**HELPER, "data.py": "R = [1]\ndef g(x): return x, R\n", "more.py": "b = 1\n"},
    ),
}

LISTS = {
    "same logic": SAME_LOGIC,
    "other logic": OTHER_LOGIC,
    "other deep": OTHER_DEEP,
    "not other deep": NOT_OTHER_DEEP,
}
CASES = {f"{kind}: {name}": case for kind, cases in LISTS.items() for name, case in cases.items()}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Answers:
    return evaluate(CASES, tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CASES)
def test_what_counts_and_what_does_not(name, place, answers):
    """Each edit of the lists changes logic, deep alone or nothing, in a module and in a script."""
    check(CASES[name], place, *answers[name, place])


@pytest.mark.parametrize("name", CASES)
def test_a_script_and_a_module_have_the_same_fingerprints(name, answers):
    """A function has one fingerprint, whether its file is imported or run."""
    for imported, script in zip(*(answers[name, place] for place in PLACES), strict=True):
        assert (imported.logic, imported.units) == (script.logic, script.units)
        assert imported.deep == script.deep
