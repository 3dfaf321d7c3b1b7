"""Causes in code that several functions share: wrappers, closures, derived constants."""

from __future__ import annotations

from pathlib import Path

from projects import TrainingProject, script_project

SCRIPT = """
import functools

from ato import Scope, SQLLogger

scope = Scope()
SCALE = 2.0
LIMIT = SCALE * 10


def times(factor):
    def wrap(fn):
        @functools.wraps(fn)
        def inner(x):
            return fn(x) * factor
        return inner
    return wrap


@times(2)
def first(x):
    return x + 1


@times(3)
def second(x):
    return x + 2


@scope.runtime_trace
def one(x):
    return first(x)


@scope.runtime_trace
def two(x):
    return second(x)


@scope.runtime_trace
def three(x):
    return x * LIMIT


@scope.observe(default=True)
def defaults(config):
    config.x = 5.0


@scope
def train(config):
    SQLLogger(config).run()
    one(config.x)
    two(config.x)
    three(config.x)


train()
"""


def project(folder: Path) -> TrainingProject:
    made = script_project(folder, SCRIPT)
    made.run()
    return made


def test_an_argument_of_a_decorator_that_two_functions_share(tmp_path: Path) -> None:
    """The argument of one function's decorator is charged to what holds it, and proven."""
    made = project(tmp_path)
    made.edit("train.py", "@times(3)", "@times(4)")
    made.run()
    answer = made.why()
    assert answer.verdict == "explained", str(answer)
    (cause,) = answer.causes
    assert cause.change.factor == "code"
    assert cause.change.subject.startswith("train.times.<locals>.")
    assert answer.first_divergence is not None
    assert answer.first_divergence.trace_id == "train.two"


def test_a_constant_that_another_is_made_from(tmp_path: Path) -> None:
    """Where an edited constant changes a second one, the edited one is the cause, alone."""
    made = project(tmp_path)
    made.edit("train.py", "SCALE = 2.0", "SCALE = 1.0")
    made.run()
    answer = made.why()
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("train.SCALE", "proven")]


def test_one_more_function_under_a_shared_decorator(tmp_path: Path) -> None:
    """A wrapper that serves one more function is no change of its own: its user is the cause."""
    made = project(tmp_path)
    made.edit("train.py", "    return first(x)\n", "    return first(x) + second(x)\n")
    made.run()
    answer = made.why()
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("train.one", "proven")]


def test_a_class_that_uses_a_method_of_a_builtin(tmp_path: Path) -> None:
    """A method of a built-in class as a class attribute is followed like any built-in."""
    script = SCRIPT.replace(
        "SCALE = 2.0\n", "SCALE = 2.0\n\n\nclass Bag(dict):\n    __getattr__ = dict.__getitem__\n"
    ).replace("    return first(x)\n", "    return first(Bag(a=x).a)\n")
    made = script_project(tmp_path, script)
    assert "Warning" not in made.run()
    made.edit("train.py", "return x + 1", "return x + 3")
    made.run()
    answer = made.why()
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("train.first", "proven")]
