"""Causes in scripts of other shapes: state in globals, draws in outer calls, runs that were killed."""

from __future__ import annotations

from pathlib import Path

from projects import TrainingProject, aside, script_project

MODULE_LEVEL = """
import random

from ato import Scope, SQLLogger

scope = Scope()


class Net:
    def __init__(self, rng):
        self.weight = rng.random()

    def __call__(self, x):
        return self.weight * x


@scope.runtime_trace
def step(x):
    net.weight -= 0.1 * (net(x) - x)
    cache.append(0)


SQLLogger({"experiment": {"project_name": "globals"}}).run()
net = Net(random.Random(0))
cache = []
for x in (1.0, 2.0, 3.0):
    step(x)
"""

NESTED = """
import os
import random
import signal

from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.seed = 0
    config.epochs = 3
    config.rate = 0.5


@scope.runtime_trace
def scale(x):
    return x * 2


@scope.runtime_trace
def epoch(config):
    return scale(random.random()) * config.rate


@scope
def prepare(config):
    random.seed(config.seed)


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    prepare()
    for number in range(config.epochs):
        logger.log_metric("loss", epoch(config), number)
        if os.environ.get("STOP") and number == 1:
            os.kill(os.getpid(), signal.SIGKILL)


train()
"""

TWO_SCOPES = """
from ato import MultiScope, Scope, SQLLogger

model_scope, data_scope = Scope(name="model"), Scope(name="data")
scopes = MultiScope(model_scope, data_scope)


@model_scope.observe(default=True)
def model_defaults(model):
    model.rate = 0.1


@data_scope.observe(default=True)
def data_defaults(data):
    data.rate = 0.5


@model_scope.runtime_trace
def step(x):
    return x + 1


@scopes
def train(model, data):
    SQLLogger(model).run()
    step(data.rate)
    step(model.rate)


train()
"""


def project(folder: Path, script: str) -> TrainingProject:
    """A project of one script, with its first run recorded."""
    made = script_project(folder, script)
    made.run()
    return made


def causes(project: TrainingProject, a: int = 1, b: int = 2) -> list[tuple[str, str, str]]:
    """Factor, subject and evidence of each cause."""
    found = project.why(a, b).causes
    return [(f.change.factor, f.change.subject, f.evidence) for f in found]


def test_a_model_in_a_global_that_is_bound_after_the_run_opened(tmp_path: Path) -> None:
    """A global that was not there when the run opened is an input, and how it was made the cause."""
    script = project(tmp_path, MODULE_LEVEL)
    script.edit("train.py", "Random(0)", "Random(1)")
    script.run()
    answer = script.why()
    assert causes(script) == [("code", "train.net", "proven")], str(answer)
    assert answer.first_divergence is not None
    assert answer.first_divergence.call == 0
    script.edit("train.py", "self.weight * x", "self.weight * x + 1")
    script.run()
    assert causes(script, 2, 3) == [("code", "train.Net.__call__", "proven")]


def test_a_seed_behind_a_draw_of_the_enclosing_traced_call(tmp_path: Path) -> None:
    """Where the enclosing call drew from a generator that came in differently, what set it counts."""
    script = project(tmp_path, NESTED)
    script.run("seed=1")
    assert causes(script) == [("config", "seed", "proven")], str(script.why())


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    """What ended a killed run may be all that calls are missing for: a changed key is not proven."""
    script = project(tmp_path, NESTED)
    script.run("epochs=4", STOP="1", status=-9)
    answer = script.why()
    assert causes(script) == [
        ("config", "epochs", "possible"),
        ("environment", "STOP", "possible"),
    ], str(answer)
    assert answer.verdict == "ambiguous"
    assert "what ended run 2 (crashed)" in answer.unwatched


def test_traces_in_one_run_only(tmp_path: Path) -> None:
    """Where no traced call can be compared, the only recorded change is not proven."""
    script = project(tmp_path, NESTED)
    text = (tmp_path / "train.py").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(text.replace("@scope.runtime_trace\n", ""), encoding="utf-8")
    script.run("rate=0.1")
    assert causes(script) == [("config", "rate", "possible")], str(script.why())


def test_a_key_of_a_scope_that_the_logger_was_not_given(tmp_path: Path) -> None:
    """Its key carries the scope's name, with the origins of both runs; its namesake stays apart."""
    script = project(tmp_path, TWO_SCOPES)
    script.run("data.rate=0.7")
    answer = script.why()
    assert causes(script) == [("config", "data.rate", "proven")], str(answer)
    change = answer.causes[0].change
    assert (change.a, change.b) == ("0.5", "0.7")
    assert str(change.origin_a).startswith("view data_defaults, train.py:")
    assert change.origin_b == "command line: data.rate=0.7 (argument 1)"
    assert not answer.also_changed


def test_a_changed_part_does_not_make_its_whole_cosmetic(tmp_path: Path) -> None:
    """A class of which a method changed is not also said to be written otherwise only."""
    script = project(tmp_path, MODULE_LEVEL)
    script.edit("train.py", "        return self.weight * x", "        return 2 * self.weight * x")
    script.edit("train.py", "0.1 * (net(x) - x)", "0.1 * (net(x) - x)  # down")
    script.run()
    answer = script.why()
    assert causes(script) == [("code", "train.Net.__call__", "proven")], str(answer)
    assert [f.change.subject for f in answer.also_changed] == ["train.step"]
    assert aside(answer, "train.step").evidence == "cosmetic"
