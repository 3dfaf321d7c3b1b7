"""Verdicts and factors that the digits project does not show, on scripts of a few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from projects import TrainingProject, aside, script_project

TRACED = """
import os, random, time
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5
    config.steps = 3
    config.unread = 1


@scope.runtime_trace
def step(weight, lr):
    return weight * lr


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    weight = 1.0
    for number in range(config.steps):
        weight = step(weight, config.lr)
        logger.log_metric("weight", weight, number)


train()
"""


def test_a_metric_that_nothing_recorded_explains(tmp_path: Path) -> None:
    """Where calls are equal and a metric is not, what was not watched is the answer."""
    made = script_project(tmp_path, TRACED.replace('"weight", weight,', '"weight", time.time(),'))
    made.run()
    made.run()
    answer = made.why()
    assert answer.verdict == "untracked", str(answer)
    assert answer.causes == ()
    assert answer.unwatched


def test_a_distribution_that_the_call_reaches(tmp_path: Path) -> None:
    """Another version of a package that the call uses is the cause; one it cannot reach is not."""
    site = tmp_path / "site"
    for name, version in (("fastmath", "1.0"), ("formatter", "1.0")):
        install(site, name, version, "def double(x):\n    return x * 2\n")
    made = script_project(
        tmp_path,
        TRACED.replace("import os,", "import fastmath, os,").replace(
            "return weight * lr", "return fastmath.double(weight) * lr"
        ),
    )
    made.run(PYTHONPATH=str(site))
    install(site, "fastmath", "2.0", "def double(x):\n    return x + x + 1\n")
    install(site, "formatter", "3.0", "")
    made.run(PYTHONPATH=str(site))
    answer = made.why()
    named = [(f.change.factor, f.change.subject, f.evidence) for f in answer.causes]
    assert named == [("environment", "fastmath", "proven")], str(answer)
    assert (answer.causes[0].change.a, answer.causes[0].change.b) == ("1.0", "2.0")
    assert aside(answer, "formatter").evidence == "ruled_out"


def install(site: Path, name: str, version: str, code: str) -> None:
    """Lay a distribution out as an installer would."""
    for old in site.glob(f"{name}-*.dist-info/*"):
        old.unlink()
    for old in site.glob(f"{name}-*.dist-info"):
        old.rmdir()
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}.py,,\n{name}-{version}.dist-info/METADATA,,\n")


def test_a_thread_count(tmp_path: Path) -> None:
    """An environment variable that sets the number of threads is a factor of every call."""
    script = TRACED.replace(
        "return weight * lr", 'return weight * lr * int(os.environ["OMP_NUM_THREADS"])'
    )
    made = script_project(tmp_path, script)
    made.run(OMP_NUM_THREADS="1")
    made.run(OMP_NUM_THREADS="2")
    answer = made.why()
    assert answer.verdict == "explained", str(answer)
    (cause,) = answer.causes
    assert cause.change.factor == "environment"
    assert cause.change.subject == "OMP_NUM_THREADS"


def test_without_runtime_traces_one_change_is_possible_and_two_are_both(tmp_path: Path) -> None:
    """A run that traced nothing is one stretch, in which nothing is proven."""
    made = script_project(tmp_path, TRACED.replace("@scope.runtime_trace\n", ""))
    made.run()
    made.run("lr=0.25")
    made.run("lr=0.25", "steps=2")
    one, two = made.why(1, 2), made.why(1, 3)
    assert one.verdict == two.verdict == "ambiguous"
    assert [(f.change.subject, f.evidence) for f in one.causes] == [("lr", "possible")]
    assert one.causes[0].reason == "the only recorded change"
    assert {f.change.subject for f in two.causes} == {"lr", "steps"}
    assert any("none was traced" in gap for gap in one.unwatched)


def test_an_unread_key_is_ruled_out_without_runtime_traces(tmp_path: Path) -> None:
    """A key that the scope's function never read is no cause, traced calls or not."""
    made = script_project(tmp_path, TRACED.replace("@scope.runtime_trace\n", ""))
    made.run()
    made.run("lr=0.25", "unread=2")
    answer = made.why()
    assert [f.change.subject for f in answer.causes] == ["lr"]
    assert aside(answer, "unread").evidence == "ruled_out"


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    """A run whose process died is shown as crashed; up to there it is compared like any other."""
    dying = TRACED.replace(
        "        logger.log_metric",
        '        if number == 1 and "DIE" in os.environ:\n            os.kill(os.getpid(), 9)\n'
        "        logger.log_metric",
    )
    made = script_project(tmp_path, dying)
    made.run()
    made.run(status=-9, DIE="1")
    answer = made.why()
    assert answer.run_b.status == "crashed"
    assert answer.verdict == "untracked", str(answer)
    assert any("what ended run 2 (crashed)" in gap for gap in answer.unwatched)
    assert answer.first_divergence is not None
    assert answer.first_divergence.kind == "missing"


def test_code_without_source_is_compared_by_its_bytecode(tmp_path: Path) -> None:
    """A script from standard input has no source: its functions are compared, and the gap is said."""
    made = TrainingProject(tmp_path)
    for script in (TRACED, TRACED, TRACED.replace("weight * lr", "weight - lr")):
        subprocess.run(
            [sys.executable, "-"], input=script, text=True, cwd=tmp_path, check=True, timeout=60
        )
    assert made.why(1, 2).verdict == "identical"
    answer = made.why(2, 3)
    assert answer.verdict == "explained", str(answer)
    assert answer.causes[0].change.factor == "code"
    assert answer.causes[0].change.subject.endswith("step")
    assert any("no source" in gap for gap in answer.unwatched)
    assert "there is no source to show" in str(answer)


def test_a_derived_key_is_a_symptom_of_the_key_it_came_from(tmp_path: Path) -> None:
    """A key that a view made from another changed key is not a second cause."""
    script = TRACED.replace(
        "    config.unread = 1\n",
        "    config.unread = 1\n\n\n"
        "@scope.observe(default=True, lazy=True)\ndef scaled(config):\n"
        "    config.rate = config.lr * 2\n",
    ).replace("step(weight, config.lr)", "step(weight, config.rate)")
    made = script_project(tmp_path, script)
    made.run()
    made.run("lr=0.25")
    answer = made.why()
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("lr", "proven")]
    assert aside(answer, "rate").reason == "follows from lr"


@pytest.mark.parametrize("other", ["lr=1", "lr=True"])
def test_a_retyped_value_is_refused_before_the_run(tmp_path: Path, other: str) -> None:
    """An int for a float is widened; a bool is refused on the command line, and nothing runs."""
    made = script_project(tmp_path, TRACED)
    text = made.run(other, status=0 if other == "lr=1" else 2)
    assert ("lr is a float" in text) == (other == "lr=True")


def test_a_global_that_is_bound_late(tmp_path: Path) -> None:
    """State that a traced function binds for itself leads to the seed that it was drawn under."""
    script = (
        TRACED.replace("\n\n@scope.runtime_trace", "\nmemory = None\n\n\n@scope.runtime_trace")
        .replace(
            "    return weight * lr\n",
            "    global memory\n    if memory is None:\n        memory = [random.random()]\n"
            "        return weight\n    return weight * lr + memory[0]\n",
        )
        .replace("    weight = 1.0\n", "    random.seed(config.unread)\n    weight = 1.0\n")
    )
    made = script_project(tmp_path, script)
    made.run()
    made.run("unread=2")
    answer = made.why()
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("unread", "proven")], str(
        answer
    )


TIMED = """
import random, time
from ato import Scope, SQLLogger

scope = Scope()
START = time.time()


def set_seed(seed):
    SEEDING


class Trainer:
    def __init__(self, lr):
        self.start = time.time()
        self.lr = lr
        self.weight = 1.0

    @scope.runtime_trace
    def step(self):
        self.weight -= self.lr * random.random()
        self.seconds = time.time() - self.start
        return self.weight


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5
    config.seed = 0
    config.verbose = False


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    set_seed(config.seed)
    random.random()
    if config.verbose:
        print("hello")
    trainer = Trainer(config.lr)
    for number in range(3):
        logger.log_metric("weight", trainer.step(), number)
    print(time.time() - START)


train()
"""


def test_what_is_set_from_the_clock_is_no_difference(tmp_path: Path) -> None:
    """A start time in an object or a module makes two equal runs neither different nor changed."""
    made = script_project(tmp_path, TIMED.replace("SEEDING", "random.seed(seed)"))
    made.run()
    made.run("verbose=True")
    made.run("verbose=True", "lr=0.25")
    answer = made.why(1, 2)
    assert answer.verdict == "identical", str(answer)
    assert [f.change.subject for f in answer.also_changed] == ["verbose"]
    assert any("train.START" in gap for gap in answer.unwatched)
    assert any("named seconds" in gap for gap in answer.unwatched)
    named = [(f.change.subject, f.evidence) for f in made.why(2, 3).causes]
    assert named == [("lr", "proven")]


def test_a_function_named_set_seed_that_forgets_a_generator(tmp_path: Path) -> None:
    """A project's own `set_seed` is read, not believed: the generator that it forgets is the cause."""
    made = script_project(tmp_path, TIMED.replace("SEEDING", "pass"))
    made.run()
    made.run()
    named = [(f.change.factor, f.change.subject) for f in made.why().causes]
    assert named == [("randomness", "random")]
