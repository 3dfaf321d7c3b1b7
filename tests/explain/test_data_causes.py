"""Data that is the cause: read by the script's body, kept by libraries, seen by their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ato.explain import Explanation
from projects import script_project

ARRAYS = """
import numpy as np

from ato import Scope, SQLLogger

scope = Scope()
DATA = np.load("data.npz")
X, Y = DATA["x"], DATA["y"]


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.1
    config.epochs = 3
    config.log_every = 1


@scope.runtime_trace
def step(weights, x, y, config):
    return weights - config.lr * 2 * x.T @ (x @ weights - y) / len(x)


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    weights = np.zeros(X.shape[1])
    for epoch in range(config.epochs):
        weights = step(weights, X, Y, config)
        if epoch % config.log_every == 0:
            logger.log_metric("loss", float(np.mean((X @ weights - Y) ** 2)), epoch)
    logger.finish()


train()
"""

CHECKPOINT = """
import torch
from torch import nn

from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.checkpoint = "base.pt"


@scope.runtime_trace
def score(model, x):
    with torch.no_grad():
        return model(x).mean().item()


@scope
def evaluate(config):
    logger = SQLLogger(config)
    logger.run()
    model = nn.Linear(3, 1)
    model.load_state_dict(torch.load(config.checkpoint, weights_only=True))
    logger.log_metric("score", score(model, torch.ones(2, 3)), 0)
    logger.finish()


evaluate()
"""


def write_arrays(folder: Path, seed: int, rows: int = 20, step: int = 1) -> None:
    """Write `data.npz` as its seed makes it, with `step` -1 in the opposite order."""
    x = np.random.default_rng(seed).normal(size=(rows, 3))[::step]
    np.savez(folder / "data.npz", x=x, y=x.sum(axis=1))


def write_checkpoint(path: Path, value: float) -> None:
    """Write weights that all have one value."""
    import torch  # takes a second; most tests of this file need none

    torch.save({"weight": torch.full((1, 3), value), "bias": torch.zeros(1)}, path)


def gist(answer: Explanation) -> list[tuple[str, str, str, str]]:
    """Factor, subject, kind and evidence of each cause."""
    return [(f.change.factor, f.change.subject, f.change.kind, f.evidence) for f in answer.causes]


@pytest.mark.parametrize(
    ("other", "kind"),
    [((1,), "content"), ((0, 21), "content"), ((0, 20, -1), "order")],
    ids=["other values", "a row more", "other order"],
)
def test_a_file_that_the_body_of_the_script_reads(
    tmp_path: Path, other: tuple[int, ...], kind: str
) -> None:
    """What a script reads before any function runs is data; rows in another order are told apart."""
    project = script_project(tmp_path, ARRAYS, ("numpy",))
    write_arrays(tmp_path, 0)
    project.run()
    write_arrays(tmp_path, *other)
    project.run()
    answer = project.why()
    assert gist(answer) == [("data", "data.npz", kind, "proven")], str(answer)


def test_a_metric_that_is_logged_at_other_steps(tmp_path: Path) -> None:
    """Points are compared step by step: one that a run did not log is missing, and no other value."""
    project = script_project(tmp_path, ARRAYS, ("numpy",))
    write_arrays(tmp_path, 0)
    project.run()
    project.run("log_every=2")
    answer = project.why()
    assert gist(answer) == [("config", "log_every", "value", "proven")], str(answer)
    split = answer.first_divergence
    assert split is not None
    assert split.kind == "missing"
    back = project.why(2, 1)
    assert gist(back) == [("config", "log_every", "value", "proven")], str(back)


def test_other_weights_in_a_checkpoint(tmp_path: Path) -> None:
    """The checkpoint's path is the cause; under another path it is the key, the file an effect."""
    project = script_project(tmp_path, CHECKPOINT, ("torch", "torch._dynamo"))
    write_checkpoint(tmp_path / "base.pt", 1.0)
    project.run()
    write_checkpoint(tmp_path / "base.pt", 2.0)
    project.run()
    answer = project.why()
    assert gist(answer) == [("data", "base.pt", "content", "proven")], str(answer)
    write_checkpoint(tmp_path / "other.pt", 3.0)
    project.run("checkpoint=other.pt")
    answer = project.why(2, 3)
    assert gist(answer) == [("config", "checkpoint", "value", "proven")], str(answer)
    aside = {f.change.subject: f.reason for f in answer.also_changed}
    assert aside["other.pt"] == "read by one of the runs only: an effect"


def test_data_that_lambdas_of_a_statement_read(tmp_path: Path) -> None:
    """A global that a lambda in a module-level statement reads is an input of the call."""
    script = """
import json

from ato import Scope, SQLLogger

scope = Scope()
RULES = json.load(open("rules.json"))
SCORES = {"double": lambda x: RULES["w"] * x}


@scope.runtime_trace
def step(x):
    return SCORES["double"](x)


@scope
def train(config):
    with SQLLogger(config) as logger:
        logger.run()
        logger.log_metric("y", step(3.0), 0)


train()
"""
    project = script_project(tmp_path, script)
    for weight in (2, 5):
        (tmp_path / "rules.json").write_text(f'{{"w": {weight}}}')
        project.run()
    answer = project.why()
    assert gist(answer) == [("data", "rules.json", "content", "proven")], str(answer)
