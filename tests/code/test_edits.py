"""Edits of real-looking code, as a user makes them: which are noticed, and who is charged."""

from __future__ import annotations

import sys

import pytest
from code_cases import PLACES, Answers, Case, check, evaluate, logic, other, same

WRAP = "import functools\ndef deco(n=1):\n    def wrap(fn):\n        @functools.wraps(fn)\n        def inner(*a, **k): return fn(*a, **k) * n\n        return inner\n    return wrap\n"


def package(**files: str) -> dict[str, str]:
    """Files by module name, `__` for a dot."""
    found = {}
    for name, text in files.items():
        stem, init, _ = name.partition("__init__")
        found[stem.replace("__", "/") + ("/__init__.py" if init else ".py")] = text
    return found


FUNCTIONS = {
    "comprehension over a helper": other(
        "def g(i): return i + 1\ndef f(x): return {g(i): [j for j in g(i)] for i in x}\n",
        "i + 1",
        "i + 2",
        "train.g",
    ),
    "comprehension that hides a global": other(
        "i = 1\ndef f(x): return [i for i in x]\n", "i = 1", "i = 2"
    ),
    "a global below a comprehension": other(
        "i = 1\ndef f(x): return [i for _ in x]\n", "i = 1", "i = 2", "train.i"
    ),
    "a name before it is local": logic(
        "def f(x):\n    y = i\n    return y\n", "def f(x):\n    y = j\n    return y\n"
    ),
    "walrus in a comprehension": same(
        "def f(x):\n    if any((hit := i) > 1 for i in x):\n        return hit\n",
        "def f(x):\n    if any((last := j) > 1 for j in x):\n        return last\n",
    ),
    "walrus that hides a global": other(
        "y = 1\ndef f(x):\n    if (y := x): return y\n", "y = 1\n", "y = 2\n"
    ),
    "match on a class": other(
        "class P:\n    __match_args__ = ('a',)\n    a = 1\ndef f(x):\n    match x:\n        case P(a=1): return 1\n",
        "a = 1\ndef",
        "a = 2\ndef",
        "train.P.a",
    ),
    "match on a dotted constant": other(
        "import enum\nclass M(enum.IntEnum):\n    A = 1\ndef f(x):\n    match x:\n        case M.A: return 1\n",
        "A = 1",
        "A = 2",
        "train.M.A",
    ),
    "except of a project's class": other(
        "class E(Exception):\n    code = 1\ndef f(x):\n    try: x()\n    except E as e: return e.code\n",
        "code = 1",
        "code = 2",
        "train.E.code",
    ),
    "except star": logic(
        "def f(x):\n    try: x()\n    except* ValueError as e: return_ = 1\n",
        "def f(x):\n    try: x()\n    except* ValueError as e: return_ = 2\n",
    ),
    "nonlocal": logic(
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n = 1\n    g()\n    return n\n",
        "def f():\n    n = 0\n    def g():\n        n = 1\n    g()\n    return n\n",
    ),
    "global statement in a helper": other(
        "n = 0\ndef g():\n    global n\n    n = n + 1\ndef f(x):\n    g()\n    return n\n",
        "n + 1",
        "n + 2",
        "train.g",
    ),
    "the start of a global that is rebound": other(
        "n = 0\ndef g():\n    global n\n    n = n + 1\ndef f(x):\n    g()\n    return n\n",
        "n = 0",
        "n = 5",
        "train.n",
    ),
    "star arguments": logic(
        "def f(a, b): return max(*a, *b)\n", "def f(a, b): return max(*b, *a)\n"
    ),
    "star expressions": logic("def f(a, b): return [*a, b]\n", "def f(a, b): return [a, *b]\n"),
    "unpacking targets": logic(
        "def f(x):\n    a, *b = x\n    return a\n", "def f(x):\n    *a, b = x\n    return a\n"
    ),
    "dict unpacking": logic("def f(a, b): return {**a, **b}\n", "def f(a, b): return {**b, **a}\n"),
    "a chain of assignments": logic(
        "def f(x):\n    a = b = x\n    return a\n", "def f(x):\n    a = b = -x\n    return a\n"
    ),
    "lambda in a default": other(
        "def g(x, key=lambda a: a + 1): return key(x)\ndef f(x): return g(x)\n",
        "a + 1",
        "a + 2",
        "train.g",
    ),
    "a helper in a default": other(
        "def h(a): return a + 1\ndef g(x, key=h): return key(x)\ndef f(x): return g(x)\n",
        "a + 1",
        "a + 2",
        "train.h",
    ),
    "a global in a default": other(
        "RATE = 1\ndef g(x=RATE): return x\ndef f(): return g()\n",
        "RATE = 1",
        "RATE = 2",
        "train.RATE",
    ),
    "a closure in a closure": other(
        "def a(p):\n    def b(q):\n        def c(r): return p + q + r\n        return c\n    return b\nh = a(1)(2)\ndef f(x): return h(x)\n",
        "a(1)(2)",
        "a(1)(3)",
        "train.a.<locals>.b.<locals>.c",
    ),
    "a body in a closure in a closure": other(
        "def a(p):\n    def b(q):\n        def c(r): return p + q + r\n        return c\n    return b\nh = a(1)(2)\ndef f(x): return h(x)\n",
        "q + r",
        "q - r",
        "train.a.<locals>.b.<locals>.c",
    ),
    "a closure's helper": other(
        "def g(x): return x + 1\ndef a():\n    def b(x): return g(x)\n    return b\nh = a()\ndef f(x): return h(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "recursion": other(
        "def g(n): return n and g(n - 1)\ndef f(x): return g(x)\n", "n - 1", "n - 2", "train.g"
    ),
    "mutual recursion": other(
        "def g(n): return n and h(n - 1)\ndef h(n): return g(n)\ndef f(x): return g(x)\n",
        "return g(n)",
        "return -g(n)",
        "train.h",
    ),
    "mutual recursion with the function": other(
        "def h(n): return f(n)\ndef f(x): return x and h(x - 1)\n",
        "return f(n)",
        "return -f(n)",
        "train.h",
    ),
    "async helper": other(
        "async def g(x): return x + 1\nasync def f(x): return await g(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "async generator": other(
        "async def g(x):\n    yield x + 1\nasync def f(x):\n    async for i in g(x): pass\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "generator": other(
        "def g(x):\n    yield x + 1\ndef f(x): return list(g(x))\n", "x + 1", "x + 2", "train.g"
    ),
    "yield from a helper": other(
        "def g(x):\n    yield x + 1\ndef f(x):\n    yield from g(x)\n", "x + 1", "x + 2", "train.g"
    ),
    "a helper in an f-string": other(
        "def g(x): return x + 1\ndef f(x): return f'{g(x)!r:>{g(2)}}'\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "a lambda in an f-string": logic(
        "def f(x): return f'{(lambda a: a + 1)(x)}'\n",
        "def f(x): return f'{(lambda a: a + 2)(x)}'\n",
    ),
    "implicit concatenation over lines": same(
        "def f(x):\n    return ('one '\n            'two')\n", "def f(x):\n    return 'one two'\n"
    ),
    "implicit concatenation or a tuple": logic(
        "def f(x): return ('a' 'b')\n", "def f(x): return ('a', 'b')\n"
    ),
    "a percent format": logic("def f(x): return '%d' % x\n", "def f(x): return '%s' % x\n"),
    "float spelling": same(
        "def f(x): return .5, 1., 1e-3\n", "def f(x): return 0.50, 1.0, 0.001\n"
    ),
    "a very large integer": logic(
        f"def f(x): return {10**40}\n", f"def f(x): return {10**40 + 1}\n"
    ),
    "a nan by arithmetic": logic("def f(x): return 1e999\n", "def f(x): return -1e999\n"),
    "a conditional definition": other(
        "import sys\nif sys.maxsize > 1:\n    def g(x): return x + 1\nelse:\n    def g(x): return x - 1\ndef f(x): return g(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "the branch of a definition that is not taken": other(
        "import sys\nif sys.maxsize > 1:\n    def g(x): return x + 1\nelse:\n    def g(x): return x - 1\ndef f(x): return g(x)\n",
        "x - 1",
        "x - 2",
    ),
    "a conditional global": other(
        "import sys\nif sys.maxsize > 1:\n    R = 1\nelse:\n    R = 2\ndef f(): return R\n",
        "R = 1",
        "R = 3",
        "train.R",
    ),
    "a later definition of the same name": other(
        "def g(x): return x + 1\ndef g(x): return x - 1\ndef f(x): return g(x)\n",
        "x - 1",
        "x - 2",
        "train.g",
    ),
    "an earlier definition of the same name": other(
        "def g(x): return x + 1\ndef g(x): return x - 1\ndef f(x): return g(x)\n", "x + 1", "x + 2"
    ),
    "a nested function's default": logic(
        "def f(x):\n    def g(a=1): return a\n    return g()\n",
        "def f(x):\n    def g(a=2): return a\n    return g()\n",
    ),
    "an assert's message": logic(
        "def f(x):\n    assert x, 'a'\n", "def f(x):\n    assert x, 'b'\n"
    ),
    "a slice of a global": other(
        "S = slice(1, 2)\ndef f(x): return x[S]\n", "1, 2", "1, 3", "train.S"
    ),
    "a range in a global": other(
        "S = range(3)\ndef f(x): return S\n", "range(3)", "range(4)", "train.S"
    ),
    "a global that another makes": other(
        "A = 1\nB = A + 1\ndef f(): return B\n", "A + 1", "A - 1", "train.B"
    ),
    "a value of a loop": other(
        "R = []\nfor i in (1, 2):\n    R.append(i)\ndef f(): return i\n",
        "(1, 2)",
        "(1, 3)",
        "train.i",
    ),
    "unpacked globals": other("A, B = 1, 2\ndef f(): return B\n", "1, 2", "1, 3", "train.B"),
    "an unpacked global that is not read": other(
        "A, B = 1, 2\ndef f(): return B\n", "1, 2", "3, 2"
    ),
    "a global in place": other("A = 1\nA += 1\ndef f(): return A\n", "+= 1", "+= 2", "train.A"),
    "an entry that is set": other(
        "T = {}\nT['a'] = 1\ndef f(): return T\n", "= 1", "= 2", "train.T"
    ),
    "a module-level walrus": other(
        "if (n := 10) > 5: pass\ndef f(): return n\n", "10", "11", "train.n"
    ),
    "a function's attribute": other(
        "def g(): return g.rate\ng.rate = 1\ndef f(): return g()\n",
        "rate = 1",
        "rate = 2",
        "train.g.rate",
    ),
    "an attribute of a class that is set outside": other(
        "class A:\n    pass\nA.rate = 1\ndef f(): return A().rate\n",
        "rate = 1",
        "rate = 2",
        "train.A.rate",
    ),
    "a method that is set outside": other(
        "class A:\n    def run(self): return 1\ndef run(self): return 2\nA.run = run\ndef f(): return A().run()\n",
        "return 2",
        "return 3",
        "train.run",
    ),
    "a lambda that is set outside": other(
        "class A:\n    pass\nA.run = lambda self: 2\ndef f(): return A().run()\n",
        "self: 2",
        "self: 3",
        "train.A.run",
    ),
    "a function from a list of lambdas": other(
        "L = [lambda x, i=i: x + i for i in range(3)]\ndef f(x): return L[0](x)\n",
        "x + i",
        "x - i",
        "train.L",
    ),
    "a vectorised function": other(
        "import numpy as np\ndef g(x): return x + 1\nv = np.vectorize(g)\ndef f(x): return v(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "another function of a library": other(
        "import numpy as np\nact = np.sin\ndef f(x): return act(x)\n",
        "np.sin",
        "np.cos",
        "train.act",
    ),
    "sorted by a helper": other(
        "def g(x): return -x\ndef f(x): return sorted(x, key=g)\n", "-x", "+x", "train.g"
    ),
    "a helper in a thread": other(
        "import threading\ndef g(): return 1\ndef f(): threading.Thread(target=g).start()\n",
        "return 1",
        "return 2",
        "train.g",
    ),
    "a string that looks like code": logic(
        "def f(x): return eval('x + 1')\n", "def f(x): return eval('x + 2')\n"
    ),
}

CLASSES = {
    "a dataclass's default": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: int = 1\ndef f(): return A()\n",
        "= 1",
        "= 2",
        "train.A.a",
    ),
    "a dataclass's type": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: int = 1\ndef f(): return A()\n",
        "a: int",
        "a: float",
        "train.A.a",
    ),
    "a dataclass's field more": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: int = 1\ndef f(): return A()\n",
        "= 1\n",
        "= 1\n    b: int = 2\n",
        "train.A",
    ),
    "a dataclass's option": other(
        "import dataclasses\n@dataclasses.dataclass(order=True)\nclass A:\n    a: int = 1\ndef f(): return A()\n",
        "order=True",
        "order=False",
        "train.A",
    ),
    "a dataclass's factory": other(
        "import dataclasses\ndef g(): return [1]\n@dataclasses.dataclass\nclass A:\n    a: list = dataclasses.field(default_factory=g)\ndef f(): return A()\n",
        "[1]",
        "[2]",
        "train.g",
    ),
    "a dataclass's lambda factory": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: list = dataclasses.field(default_factory=lambda: [1])\ndef f(): return A()\n",
        "[1]",
        "[2]",
        "train.A.a",
    ),
    "a dataclass's __post_init__": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: int = 1\n    def __post_init__(self): self.a += 1\ndef f(): return A()\n",
        "+= 1",
        "+= 2",
        "train.A.__post_init__",
    ),
    "an enum's member": other(
        "import enum\nclass M(enum.Enum):\n    A = 1\n    B = 2\ndef f(): return M.A.value\n",
        "A = 1",
        "A = 3",
        "train.M.A",
    ),
    "an enum's method": other(
        "import enum\nclass M(enum.Enum):\n    A = 1\n    def run(self): return 1\ndef f(): return M.A.run()\n",
        "return 1",
        "return 2",
        "train.M.run",
    ),
    "a named tuple": other(
        "import collections\nP = collections.namedtuple('P', 'a b', defaults=(1,))\ndef f(): return P(1)\n",
        "(1,)",
        "(2,)",
        "train.P",
    ),
    "a typed named tuple": other(
        "import typing\nclass P(typing.NamedTuple):\n    a: int = 1\ndef f(): return P()\n",
        "= 1",
        "= 2",
        "train.P.a",
    ),
    "a property": other(
        "class A:\n    @property\n    def a(self): return 1\ndef f(): return A().a\n",
        "return 1",
        "return 2",
        "train.A.a",
    ),
    "a property's setter": other(
        "class A:\n    @property\n    def a(self): return 1\n    @a.setter\n    def a(self, v): self.v = v + 1\ndef f(): A().a = 1\n",
        "v + 1",
        "v + 2",
        "train.A.a",
    ),
    "a property by hand": other(
        "class A:\n    def _get(self): return 1\n    a = property(_get)\ndef f(): return A().a\n",
        "return 1",
        "return 2",
        "train.A._get",
    ),
    "a cached property": other(
        "import functools\nclass A:\n    @functools.cached_property\n    def a(self): return 1\ndef f(): return A().a\n",
        "return 1",
        "return 2",
        "train.A.a",
    ),
    "a static method": other(
        "class A:\n    @staticmethod\n    def a(): return 1\ndef f(): return A.a()\n",
        "return 1",
        "return 2",
        "train.A.a",
    ),
    "a class method": other(
        "class A:\n    @classmethod\n    def a(cls): return 1\ndef f(): return A.a()\n",
        "return 1",
        "return 2",
        "train.A.a",
    ),
    "a descriptor": other(
        "class D:\n    def __get__(self, o, t): return 1\nclass A:\n    a = D()\ndef f(): return A().a\n",
        "return 1",
        "return 2",
        "train.D.__get__",
    ),
    "a descriptor's argument": other(
        "class D:\n    def __init__(self, n): self.n = n\n    def __get__(self, o, t): return self.n\nclass A:\n    a = D(1)\ndef f(): return A().a\n",
        "D(1)",
        "D(2)",
        "train.A.a",
    ),
    "a metaclass": other(
        "class M(type):\n    def __call__(cls): return 1\nclass A(metaclass=M): pass\ndef f(): return A()\n",
        "return 1",
        "return 2",
        "train.M.__call__",
    ),
    "a metaclass of a base": other(
        "class M(type):\n    def __call__(cls): return 1\nclass B(metaclass=M): pass\nclass A(B): pass\ndef f(): return A()\n",
        "return 1",
        "return 2",
        "train.M.__call__",
    ),
    "__init_subclass__": other(
        "class B:\n    def __init_subclass__(cls, n=0): cls.n = n + 1\nclass A(B, n=1): pass\ndef f(): return A.n\n",
        "n + 1",
        "n + 2",
        "train.B.__init_subclass__",
    ),
    "a keyword of a class": other(
        "class B:\n    def __init_subclass__(cls, n=0): cls.n = n\nclass A(B, n=1): pass\ndef f(): return A.n\n",
        "A(B, n=1)",
        "A(B, n=2)",
        "train.A",
    ),
    "super in a constructor": other(
        "class B:\n    def __init__(self): self.a = 1\nclass A(B):\n    def __init__(self): super().__init__()\ndef f(): return A().a\n",
        "self.a = 1",
        "self.a = 2",
        "train.B.__init__",
    ),
    "super with arguments": other(
        "class B:\n    def run(self): return 1\nclass A(B):\n    def f(self): return super(A, self).run()\n",
        "return 1",
        "return 2",
        "train.B.run",
        target="A.f",
    ),
    "a mixin": other(
        "class X:\n    def run(self): return 1\nclass Y:\n    def go(self): return self.run()\nclass A(Y, X): pass\ndef f(): return A().go()\n",
        "return 1",
        "return 2",
        "train.X.run",
    ),
    "order of bases": other(
        "class X:\n    a = 1\nclass Y:\n    a = 2\nclass A(X, Y): pass\ndef f(): return A.a\n",
        "A(X, Y)",
        "A(Y, X)",
        "train.A",
    ),
    "an abstract method's override": other(
        "import abc\nclass B(abc.ABC):\n    @abc.abstractmethod\n    def run(self): ...\n    def go(self): return self.run()\n"
        "class A(B):\n    def run(self): return 1\ndef f(): return A().go()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a class decorator's body": other(
        "def deco(cls):\n    cls.a = 1\n    return cls\n@deco\nclass A: pass\ndef f(): return A.a\n",
        "cls.a = 1",
        "cls.a = 2",
        "train.deco",
    ),
    "a class decorator's argument": other(
        "def deco(n):\n    def wrap(cls):\n        cls.a = n\n        return cls\n    return wrap\n@deco(1)\nclass A: pass\ndef f(): return A.a\n",
        "@deco(1)",
        "@deco(2)",
        "train.A",
    ),
    "a class attribute of a helper's result": other(
        "def g(): return 1\nclass A:\n    a = g()\ndef f(): return A.a\n",
        "return 1",
        "return 2",
        "train.A.a",
        "train.g",
    ),
    "a class attribute that is a function": other(
        "def g(self): return 1\nclass A:\n    a = g\ndef f(): return A().a()\n",
        "return 1",
        "return 2",
        "train.g",
    ),
    "a class attribute that is a lambda": other(
        "class A:\n    a = lambda self: 1\ndef f(): return A().a()\n",
        "self: 1",
        "self: 2",
        "train.A.a",
    ),
    "two class attributes at once": other(
        "class A:\n    a = b = 1\ndef f(): return A.b\n", "b = 1", "b = 2", "train.A"
    ),
    "an unpacked class attribute": other(
        "class A:\n    a, b = 1, 2\ndef f(): return A.b\n", "1, 2", "1, 3", "train.A"
    ),
    "a conditional method": other(
        "class A:\n    if 1:\n        def run(self): return 1\ndef f(): return A().run()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a loop in a class body": other(
        "class A:\n    t = {}\n    for i in range(3):\n        t[i] = i\ndef f(): return A.t\n",
        "range(3)",
        "range(4)",
        "train.A",
    ),
    "slots": other(
        "class A:\n    __slots__ = ('a',)\ndef f(): return A()\n",
        "('a',)",
        "('a', 'b')",
        "train.A.__slots__",
    ),
    "an operator's method": other(
        "class A:\n    def __add__(self, o): return 1\ndef f(): return A() + 1\n",
        "return 1",
        "return 2",
        "train.A.__add__",
    ),
    "an instance attribute": other(
        "class P:\n    def run(self): return 1\nclass A:\n    def __init__(self): self.x = P()\n    def go(self): return self.x.run()\ndef f(): return A().go()\n",
        "return 1",
        "return 2",
        "train.P.run",
    ),
    "what a constructor sets": other(
        "def g(x): return x + 1\nclass A:\n    def __init__(self): self.act = g\n    def f(self, x): return self.act(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
        target="A.f",
    ),
    "what a base's constructor sets": other(
        "class B:\n    def __init__(self): self.rate = 1\nclass A(B):\n    def f(self, x): return self.rate\n",
        "rate = 1",
        "rate = 2",
        "train.B.__init__",
        target="A.f",
    ),
    "a field without a default": other(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: int\n    def f(self): return self.a\n",
        "a: int",
        "a: float",
        "train.A.a",
        target="A.f",
    ),
    "a constructor that a static method does not reach": other(
        "class A:\n    def __init__(self): self.a = 1\n    @staticmethod\n    def f(x): return x\n",
        "self.a = 1",
        "self.a = 2",
        target="A.f",
    ),
    "an instance attribute's class": other(
        "class P: pass\nclass Q: pass\nclass A:\n    def __init__(self): self.x = P()\ndef f(): return A().x\n",
        "self.x = P()",
        "self.x = Q()",
        "train.A.__init__",
    ),
    "a global instance's method": other(
        "class A:\n    def run(self): return 1\na = A()\ndef f(): return a.run()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a global instance's part": other(
        "class P:\n    def run(self): return 1\nclass A:\n    def __init__(self, p): self.p = p\na = A(P())\ndef f(): return a.p.run()\n",
        "return 1",
        "return 2",
        "train.P.run",
    ),
    "instances in a list": other(
        "class A:\n    def run(self): return 1\nL = [A(), A()]\ndef f(): return [a.run() for a in L]\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "an instance that is called": other(
        "class A:\n    def __call__(self, x): return 1\ng = A()\ndef f(x): return g(x)\n",
        "return 1",
        "return 2",
        "train.A.__call__",
    ),
    "an override in a subclass": other(
        "class B:\n    def go(self): return self.run()\n    def run(self): return 1\nclass A(B):\n    def run(self): return 2\ndef f(): return A().go()\n",
        "return 2",
        "return 3",
        "train.A.run",
    ),
    "a subclass that nobody names": other(
        "class B:\n    def run(self): return 1\nclass A(B):\n    def run(self): return 2\ndef f(): return B().run()\n",
        "return 2",
        "return 3",
    ),
    "a class in a function": logic(
        "def f():\n    class A:\n        def run(self): return 1\n    return A().run()\n",
        "def f():\n    class A:\n        def run(self): return 2\n    return A().run()\n",
    ),
    "a nested class": other(
        "class A:\n    class B:\n        a = 1\ndef f(): return A.B.a\n",
        "a = 1",
        "a = 2",
        "train.A.B.a",
    ),
    "a private attribute": other(
        "class A:\n    __a = 1\n    def run(self): return self.__a\ndef f(): return A().run()\n",
        "__a = 1",
        "__a = 2",
        "train.A.__a",
    ),
    "a private method": other(
        "class A:\n    def __a(self): return 1\n    def f(self): return self.__a()\n",
        "return 1",
        "return 2",
        "train.A.__a",
        target="A.f",
    ),
    "a torch module's layer": other(
        "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.l = torch.nn.Linear(2, 3)\n"
        "    def forward(self, x): return self.l(x) * 2\nnet = Net()\ndef f(x): return net(x)\n",
        "x) * 2",
        "x) * 3",
        "train.Net.forward",
    ),
}

DECORATED = {
    "under a decorator": logic(
        f"{WRAP}@deco()\ndef f(x): return x\n", f"{WRAP}@deco()\ndef f(x): return -x\n"
    ),
    "a helper under a decorator": other(
        f"{WRAP}@deco()\ndef g(x): return x\ndef f(x): return g(x)\n",
        "g(x): return x",
        "g(x): return -x",
        "train.g",
    ),
    "two decorators in another order": other(
        f"{WRAP}def one(fn): return fn\n@deco(2)\n@one\ndef f(x): return x\n",
        "@deco(2)\n@one",
        "@one\n@deco(2)",
        "train.f",
    ),
    "a decorator's keyword": other(
        f"{WRAP}@deco(n=2)\ndef f(x): return x\n",
        "n=2)",
        "n=3)",
        "train.deco.<locals>.wrap.<locals>.inner",
    ),
    "a decorator's default": other(
        f"{WRAP}@deco()\ndef f(x): return x\n",
        "n=1",
        "n=2",
        "train.deco",
        "train.deco.<locals>.wrap.<locals>.inner",
    ),
    "a decorator that is added": same(f"{WRAP}def f(x): return x\n", f"{WRAP}def f(x): return x\n"),
    "a helper of a decorator": other(
        "import functools\ndef h(x): return x + 1\ndef deco(fn):\n    @functools.wraps(fn)\n    def inner(x): return h(fn(x))\n    return inner\n@deco\ndef f(x): return x\n",
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a decorator in another module": other(
        {"data.py": WRAP, "train.py": "import data\n@data.deco(2)\ndef f(x): return x\n"},
        "* n",
        "+ n",
        "data.deco.<locals>.wrap.<locals>.inner",
    ),
    "a cache's size": other(
        "import functools\n@functools.lru_cache(maxsize=1)\ndef f(x): return x\n",
        "maxsize=1",
        "maxsize=2",
        "train.f",
    ),
    "a cached helper": other(
        "import functools\n@functools.lru_cache\ndef g(x): return x + 1\ndef f(x): return g(x)\n",
        "x + 1",
        "x + 2",
        "train.g",
    ),
    "single dispatch's case": other(
        "import functools\n@functools.singledispatch\ndef g(x): return x\n@g.register\ndef _(x: int): return x + 1\ndef f(x): return g(x)\n",
        "x + 1",
        "x + 2",
        "train._",
    ),
    "a dispatched method": other(
        "import functools\nclass A:\n    @functools.singledispatchmethod\n    def g(self, x): return x\n    @g.register\n    def _(self, x: int): return x + 1\n"
        "def f(x): return A().g(x)\n",
        "x + 1",
        "x + 2",
        "train.A._",
    ),
    "total ordering": other(
        "import functools\n@functools.total_ordering\nclass A:\n    def __eq__(self, o): return True\n    def __lt__(self, o): return False\ndef f(): return A() >= A()\n",
        "return False",
        "return True",
        "train.A.__lt__",
    ),
    "a partial of a partial": other(
        "from functools import partial\ndef g(a, b, c): return a\nh = partial(partial(g, 1), 2)\ndef f(x): return h(x)\n",
        "(g, 1)",
        "(g, 3)",
        "train.h",
    ),
    "a partial's order of arguments": other(
        "from functools import partial\ndef g(a, b, c): return a\nh = partial(g, 1, 2)\ndef f(x): return h(x)\n",
        "1, 2",
        "2, 1",
        "train.h",
    ),
    "a partial of a helper in its argument": other(
        "from functools import partial\ndef k(x): return x + 1\ndef g(fn, x): return fn(x)\nh = partial(g, k)\ndef f(x): return h(x)\n",
        "x + 1",
        "x + 2",
        "train.k",
    ),
    "a registry in another module": other(
        {
            "reg.py": "OPS = {}\ndef register(fn):\n    OPS[fn.__name__] = fn\n    return fn\n",
            "ops.py": "from reg import register\n@register\ndef g(x): return x + 1\n",
            "train.py": "import ops\nfrom reg import OPS\ndef f(x): return OPS['g'](x)\n",
        },
        "x + 1",
        "x + 2",
        "ops.g",
    ),
    "a registry of classes": other(
        "OPS = {}\ndef register(cls):\n    OPS[cls.__name__] = cls\n    return cls\n@register\nclass A:\n    def run(self): return 1\ndef f(x): return OPS['A']().run()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a registry by subclass": other(
        "class B:\n    all = []\n    def __init_subclass__(cls): B.all.append(cls)\nclass A(B):\n    def run(self): return 1\ndef f(x): return B.all[0]().run()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a chain of dispatch": other(
        "def a(x): return x + 1\nL = {'a': [a, (a, {'b': a})]}\ndef f(x): return L['a'][1][1]['b'](x)\n",
        "x + 1",
        "x + 2",
        "train.a",
    ),
    "a method in a dispatch": other(
        "class A:\n    def run(self): return 1\na = A()\nT = {'r': a.run}\ndef f(x): return T['r']()\n",
        "return 1",
        "return 2",
        "train.A.run",
    ),
    "a context manager's class": other(
        "class C:\n    def __enter__(self): return 1\n    def __exit__(self, *a): pass\ndef f():\n    with C() as c: return c\n",
        "return 1",
        "return 2",
        "train.C.__enter__",
    ),
    "a context manager's generator": other(
        "import contextlib\n@contextlib.contextmanager\ndef c():\n    yield 1\ndef f():\n    with c() as a: return a\n",
        "yield 1",
        "yield 2",
        "train.c",
    ),
    "a wrapper instance's argument": other(
        "class W:\n    def __init__(self, fn, n): self.fn, self.n = fn, n\n    def __call__(self, x): return self.fn(x) * self.n\n"
        "def deco(n): return lambda fn: W(fn, n)\n@deco(2)\ndef g(x): return x\ndef f(x): return g(x)\n",
        "@deco(2)",
        "@deco(3)",
        "train.g",
    ),
    "a function under a wrapper instance": other(
        "class W:\n    def __init__(self, fn): self.fn = fn\n    def __call__(self, x): return self.fn(x)\n"
        "@W\ndef g(x): return x\ndef f(x): return g(x)\n",
        "g(x): return x",
        "g(x): return -x",
        "train.g",
    ),
}

IMPORTS = {
    "a fallback import that is taken": other(
        {
            "train.py": "try:\n    from fast import g\nexcept ImportError:\n    from slow import g\ndef f(x): return g(x)\n",
            "fast.py": "def g(x): return x + 1\n",
            "slow.py": "def g(x): return x - 1\n",
        },
        "x + 1",
        "x + 2",
        "fast.g",
    ),
    "a fallback import that is not taken": other(
        {
            "train.py": "try:\n    from fast import g\nexcept ImportError:\n    from slow import g\ndef f(x): return g(x)\n",
            "fast.py": "def g(x): return x + 1\n",
            "slow.py": "def g(x): return x - 1\n",
        },
        "x - 1",
        "x - 2",
    ),
    "a fallback constant": other(
        {
            "train.py": "try:\n    from fast import R\nexcept ImportError:\n    from slow import R\ndef f(x): return R\n",
            "fast.py": "R = 1\n",
            "slow.py": "R = 2\n",
        },
        "R = 1",
        "R = 3",
        "fast.R",
    ),
    "a fallback module": other(
        {
            "train.py": "try:\n    import missing as m\nexcept ImportError:\n    import slow as m\ndef f(x): return m.g(x)\n",
            "slow.py": "def g(x): return x - 1\n",
        },
        "x - 1",
        "x - 2",
        "slow.g",
    ),
    "a fallback definition": other(
        "try:\n    from missing import g\nexcept ImportError:\n    def g(x): return x - 1\ndef f(x): return g(x)\n",
        "x - 1",
        "x - 2",
        "train.g",
    ),
    "a module in a package, renamed": other(
        package(
            a__init__="",
            a__b="def g(x): return x + 1\n",
            train="import a.b as c\ndef f(x): return c.g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a module in a package, dotted": other(
        package(
            a__init__="",
            a__b="def g(x): return x + 1\n",
            train="import a.b\ndef f(x): return a.b.g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a module of a package": other(
        package(
            a__init__="",
            a__b="def g(x): return x + 1\n",
            train="from a import b\ndef f(x): return b.g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a namespace package": other(
        package(
            a__b="def g(x): return x + 1\n", train="from a import b\ndef f(x): return b.g(x)\n"
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a relative import": other(
        package(
            a__init__="",
            a__b="from .c import h\ndef g(x): return h(x)\n",
            a__c="def h(x): return x + 1\n",
            train="from a.b import g\ndef f(x): return g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.c.h",
    ),
    "a relative import of the parent": other(
        package(
            a__init__="R = 1\n",
            a__s__init__="",
            a__s__b="from .. import R\nfrom ..c import h\ndef g(x): return h(x) + R\n",
            a__c="def h(x): return x + 1\n",
            train="from a.s.b import g\ndef f(x): return g(x)\n",
        ),
        "R = 1",
        "R = 2",
        "a.R",
    ),
    "a re-export": other(
        package(
            a__init__="from .b import g\n",
            a__b="def g(x): return x + 1\n",
            train="from a import g\ndef f(x): return g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a re-export by its package": other(
        package(
            a__init__="from .b import g as h\n",
            a__b="def g(x): return x + 1\n",
            train="import a\ndef f(x): return a.h(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a re-exported constant": other(
        package(
            a__init__="from .b import R\n", a__b="R = 1\n", train="import a\ndef f(x): return a.R\n"
        ),
        "R = 1",
        "R = 2",
        "a.b.R",
    ),
    "a star re-export": other(
        package(
            a__init__="from .b import *\n",
            a__b="__all__ = ['g']\ndef g(x): return x + 1\n",
            train="from a import g\ndef f(x): return g(x)\n",
        ),
        "x + 1",
        "x + 2",
        "a.b.g",
    ),
    "a star re-exported constant": other(
        package(
            a__init__="from .b import *\n",
            a__b="R = 1\n",
            train="from a import R\ndef f(x): return R\n",
        ),
        "R = 1",
        "R = 2",
        "a.b.R",
    ),
    "a module's __getattr__": other(
        {
            "data.py": "def __getattr__(name):\n    if name == 'g': return 1\n    raise AttributeError(name)\n",
            "train.py": "import data\ndef f(x): return data.g\n",
        },
        "return 1",
        "return 2",
        "data.__getattr__",
    ),
    "a patched function": other(
        {
            "data.py": "def g(x): return x\n",
            "train.py": "import data\ndef h(x): return x + 1\ndata.g = h\ndef f(x): return data.g(x)\n",
        },
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a patched library": other(
        "import json\ndef h(x): return x + 1\njson.mine = h\ndef f(x): return json.mine(x)\n",
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a patched method of a library": other(
        "import json\ndef h(self, x): return x + 1\njson.JSONEncoder.mine = h\ndef f(x): return json.JSONEncoder.mine(None, x)\n",
        "x + 1",
        "x + 2",
        "train.h",
    ),
    "a patched constant": other(
        {
            "data.py": "R = 1\ndef g(x): return R\n",
            "train.py": "import data\ndata.R = 2\ndef f(x): return data.g(x)\n",
        },
        "data.R = 2",
        "data.R = 3",
        "data.R",
    ),
    "a module by its literal name": other(
        {
            "data.py": "def g(x): return x + 1\n",
            "train.py": "import importlib\ndef f(x): return importlib.import_module('data').g(x)\n",
        },
        "x + 1",
        "x + 2",
        "data.g",
    ),
    "a module by its literal name in a local": other(
        {
            "data.py": "def g(x): return x + 1\n",
            "train.py": "import importlib\ndef f(x):\n    m = importlib.import_module('data')\n    return m.g(x)\n",
        },
        "x + 1",
        "x + 2",
        "data.g",
    ),
    "a module by its literal name in a global": other(
        {
            "data.py": "def g(x): return x + 1\n",
            "train.py": "import importlib\nm = importlib.import_module('data')\ndef f(x): return m.g(x)\n",
        },
        "x + 1",
        "x + 2",
        "data.g",
    ),
    "an attribute by its literal name": other(
        {
            "data.py": "def g(x): return x + 1\n",
            "train.py": "import data\ndef f(x): return getattr(data, 'g')(x)\n",
        },
        "x + 1",
        "x + 2",
        "data.g",
    ),
    "a method by its literal name": other(
        "class A:\n    def run(self): return 1\n    def f(self): return getattr(self, 'run')()\n",
        "return 1",
        "return 2",
        "train.A.run",
        target="A.f",
    ),
    "a circular import": other(
        {
            "data.py": "import train\ndef g(x): return x + 1\n",
            "train.py": "def f(x):\n    import data\n    return data.g(x)\n",
        },
        "x + 1",
        "x + 2",
        "data.g",
    ),
    "another library's function, imported": other(
        "from math import sin as act\ndef f(x): return act(x)\n", "sin as", "cos as", "train.act"
    ),
    "another library": logic(
        "import numpy as np\ndef f(x): return np.sin(x)\n",
        "import numpy as np\ndef f(x): return np.cos(x)\n",
    ),
    "a helper class in another module": other(
        {
            "data.py": "class A:\n    R = 1\n    def run(self): return self.R\n",
            "train.py": "from data import A\ndef f(): return A().run()\n",
        },
        "R = 1",
        "R = 2",
        "data.A.R",
    ),
    "a module that is passed on": other(
        {
            "data.py": "def g(x): return x + 1\n",
            "train.py": "import data\ndef h(m): return m.g(1)\ndef f(x): return h(data)\n",
        },
        "x + 1",
        "x + 2",
    ),
    "a module below another one": other(
        {
            "data.py": "import more\n",
            "more.py": "def g(x): return x + 1\n",
            "train.py": "import data\ndef f(x): return data.more.g(x)\n",
        },
        "x + 1",
        "x + 2",
        "more.g",
    ),
}

KINDS = {"functions": FUNCTIONS, "classes": CLASSES, "decorated": DECORATED, "imports": IMPORTS}

if sys.version_info >= (3, 12):
    KINDS["syntax of 3.12"] = {
        "type parameters": same(
            "def f(x):\n    return x\n",
            "def f[T: (int, str), *Ts, **P](x: T) -> T:\n    return x\n",
        ),
        "a function with type parameters": logic(
            "def f[T](x: T) -> T: return x\n", "def f[T](x: T) -> T: return -x\n"
        ),
        "a helper with type parameters": other(
            "def g[T](x: T) -> T: return x\ndef f(x): return g(x)\n",
            "return x\n",
            "return -x\n",
            "train.g",
        ),
        "a class with type parameters": other(
            "class A[T]:\n    def run(self): return 1\ndef f(): return A[int]().run()\n",
            "return 1",
            "return 2",
            "train.A.run",
        ),
        "a decorated function with type parameters": other(
            f"{WRAP}@deco(2)\ndef f[T](x: T): return x\n",
            "@deco(2)",
            "@deco(3)",
            "train.deco.<locals>.wrap.<locals>.inner",
        ),
        "a default of a function with type parameters": logic(
            "def f[T](x=1): return x\n", "def f[T](x=2): return x\n"
        ),
        "a method of a class with type parameters": logic(
            "class A[T]:\n    def f[S](self, x: S): return x\n",
            "class A[T]:\n    def f[S](self, x: S): return -x\n",
            "A.f",
        ),
        "a type alias": other(
            "type X = int\ndef f(x): return isinstance(x, X.__value__)\n", "int", "str", "train.X"
        ),
        "quotes in an f-string": same(
            "def f(x): return f'{x[\"a\"]}'\n", "def f(x): return f'{x['a']}'\n"
        ),
        "a comprehension in a class body": other(
            "class A:\n    a = [i for i in (1, 2)]\ndef f(): return A.a\n",
            "(1, 2)",
            "(1, 3)",
            "train.A.a",
        ),
    }

CASES: dict[str, Case] = {
    f"{kind}: {name}": case for kind, cases in KINDS.items() for name, case in cases.items()
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> Answers:
    return evaluate(CASES, tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CASES)
def test_edits_are_noticed_and_charged_to_the_innermost_unit(name, place, answers):
    """An edit changes the fingerprint of what it reaches and no other, and names the unit."""
    check(CASES[name], place, *answers[name, place])
