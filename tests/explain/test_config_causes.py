"""A config value that changed is the cause, whoever set it, and is told with both its origins."""

from __future__ import annotations

import json
from pathlib import Path

from ato.explain import Explanation, Finding
from projects import TrainingProject, aside, script_project

VIEWS = """
from ato import ADict, Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5
    config.batch = 8
    config.momentum = 0.9
    config.workers = 1
    config.aug = {"flip": True}


@scope.observe
def fast(config):
    config.lr = 0.9


@scope.observe
def slow(config):
    config.lr = 0.1


@scope.observe
def same(config):
    config.lr = 0.5


@scope.observe
def bare(config):
    del config.aug.flip


@scope.observe
def text(config):
    config.lr = None
    config.lr = "0.5"


@scope.observe
def cropped(config):
    config.aug.crop = 3


@scope.observe
def from_file(config):
    config.load("config.yaml")


@scope.observe(lazy=True)
def capped(config):
    config.lr = min(config.lr, 0.3)


@scope.observe(lazy=True)
def mixed(config):
    config.mixed = {"bits": 16}


@scope.observe(lazy=True, default=True)
def derived(config):
    if "warmup" not in config:
        config.warmup = config.batch * 2


@scope.runtime_trace
def augment(x, aug):
    return x + len(dict(aug))


@scope.runtime_trace
def warm(x, config):
    return x + config.warmup


@scope.runtime_trace
def step(x, config):
    if "mixed" in config:
        x += 1
    return float(x) * float(config.lr)


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    x = augment(1.0, config.aug)
    x = warm(x, config)
    logger.log_metric("loss", step(x, config), 0)


train()
"""

ARGUMENTS = """
import argparse

from ato import SQLLogger
from ato.trace import runtime_trace


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument(
        "--batch-size", "-b", type=int, default=8
    )
    return parser.parse_args()


@runtime_trace
def step(x, lr):
    return x * lr


def main():
    args = arguments()
    logger = SQLLogger(vars(args))
    logger.run()
    logger.log_metric("loss", step(2.0, args.lr) + args.batch_size, 0)
    logger.finish()


main()
"""

FIELDS = """
from dataclasses import asdict, dataclass

from ato import SQLLogger
from ato.trace import runtime_trace


@dataclass
class Config:
    lr: float = 0.1
    steps: int = 2


@runtime_trace
def step(x, lr):
    return x * lr


def main():
    config = Config()
    logger = SQLLogger(asdict(config))
    logger.run()
    logger.log_metric("loss", step(2.0, config.lr), 0)
    logger.finish()


main()
"""

CONFIG_FILE = """
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def from_file(config):
    config.load("config.yaml")


@scope.runtime_trace
def step(x, config):
    return x * config.model.lr


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    logger.log_input("config.yaml")
    logger.log_metric("loss", step(2.0, config), 0)


train()
"""


def first_run(folder: Path, script: str, *tokens: str) -> TrainingProject:
    """A project of one script, with its first run recorded."""
    made = script_project(folder, script)
    made.run(*tokens)
    return made


def only_cause(answer: Explanation, subject: str) -> Finding:
    """Assert that one config key is the proven cause, and that it counts once."""
    named = [(f.change.factor, f.change.subject, f.evidence) for f in answer.causes]
    assert named == [("config", subject, "proven")], str(answer)
    others = [f.change.subject for f in answer.also_changed if f.change.factor != "config"]
    assert not others, str(answer)
    return answer.causes[0]


def origins(finding: Finding) -> tuple[str, str]:
    """Who set the value in each run."""
    return str(finding.change.origin_a), str(finding.change.origin_b)


def test_the_command_line_against_a_view(tmp_path: Path) -> None:
    """The origins of both runs stand in the text and in the JSON."""
    project = first_run(tmp_path, VIEWS, "fast")
    project.run("lr=0.2")
    answer = project.why()
    cause = only_cause(answer, "lr")
    assert origins(cause) == ("view fast, train.py:18", "command line: lr=0.2 (argument 1)")
    change = json.loads(json.dumps(answer.to_dict()))["causes"][0]["change"]
    assert (change["a"], change["b"]) == ("0.9", "0.2")
    assert (change["origin_a"], change["origin_b"]) == origins(cause)
    assert "was set by view fast, train.py:18" in str(answer)
    assert "now set by command line: lr=0.2 (argument 1)" in str(answer)


def test_a_lazy_view_that_overrides(tmp_path: Path) -> None:
    """A lazy view that wins over the command line is the origin."""
    project = first_run(tmp_path, VIEWS, "lr=0.7")
    project.run("lr=0.7", "capped")
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == (
        "command line: lr=0.7 (argument 1)",
        "lazy view capped, train.py:54",
    )


def test_the_order_of_overrides(tmp_path: Path) -> None:
    """The same views in another order: another winner, and both are named."""
    project = first_run(tmp_path, VIEWS, "fast", "slow")
    project.run("slow", "fast")
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == ("view slow, train.py:23", "view fast, train.py:18")
    assert (cause.change.a, cause.change.b) == ("0.1", "0.9")


def test_an_equal_value_of_another_origin(tmp_path: Path) -> None:
    """Who set a value is no change as long as the value is the same."""
    project = first_run(tmp_path, VIEWS)
    project.run("same")
    answer = project.why()
    assert answer.verdict == "identical"
    assert answer.causes == answer.also_changed == ()


def test_a_config_file_against_the_command_line(tmp_path: Path) -> None:
    """A key set by a file in one run and on the command line in the other."""
    (tmp_path / "config.yaml").write_text("# rates\nlr: 0.25\n")
    project = first_run(tmp_path, VIEWS, "from_file")
    project.run("lr=0.2")
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == (
        "config.yaml:2, loaded by view from_file",
        "command line: lr=0.2 (argument 1)",
    )


def test_keys_that_come_and_go(tmp_path: Path) -> None:
    """Added, deleted and retyped keys are causes where they are read, with who set or deleted them."""
    project = first_run(tmp_path, VIEWS)
    project.run("cropped")
    project.run("bare")
    project.run("text")
    added = only_cause(project.why(1, 2), "aug.crop")
    assert (added.change.kind, added.change.a, added.change.b) == ("structure", None, "3")
    assert origins(added) == ("None", "view cropped, train.py:44")
    deleted = project.why(1, 3)
    cause = only_cause(deleted, "aug.flip")
    assert (cause.change.a, cause.change.b) == ("True", None)
    assert origins(cause) == ("view defaults, train.py:13", "view bare, train.py:33")
    assert "now deleted by view bare, train.py:33" in str(deleted)
    removed = only_cause(project.why(2, 1), "aug.crop")
    assert (removed.change.b, removed.change.origin_b) == (None, None)
    retyped = project.why(1, 4).also_changed[0].change
    assert (retyped.subject, retyped.kind) == ("lr", "structure")
    assert (retyped.a, retyped.b) == ("0.5", "'0.5'")
    assert retyped.origin_b == "view text, train.py:39"


def test_a_section_that_is_only_looked_for(tmp_path: Path) -> None:
    """Whether a section is there at all is a fact that a call can depend on."""
    project = first_run(tmp_path, VIEWS)
    project.run("mixed")
    cause = only_cause(project.why(), "mixed.bits")
    assert origins(cause) == ("None", "lazy view mixed, train.py:59")


def test_a_derived_key(tmp_path: Path) -> None:
    """A key that a view derived from the one that was changed is its symptom."""
    project = first_run(tmp_path, VIEWS)
    project.run("batch=4")
    answer = project.why()
    cause = only_cause(answer, "batch")
    assert cause.change.origin_b == "command line: batch=4 (argument 1)"
    assert aside(answer, "warmup").reason == "follows from batch"


def test_a_derived_key_that_was_set_in_one_run(tmp_path: Path) -> None:
    """A key that one run has from the command line follows from nothing, whatever else changed."""
    project = first_run(tmp_path, VIEWS)
    project.run("batch=4", "warmup=3")
    answer = project.why()
    cause = only_cause(answer, "warmup")
    assert origins(cause) == (
        "lazy view derived, train.py:65",
        "command line: warmup=3 (argument 2)",
    )
    assert aside(answer, "batch").reason == "read by no call"


def test_a_key_derived_from_another_scopes_config(tmp_path: Path) -> None:
    """What a view reads of another scope's config is known, and the source is the cause."""
    script = """
from ato import MultiScope, Scope, SQLLogger

data, model = Scope(name="data"), Scope(name="model")
scopes = MultiScope(data, model)


@data.observe(default=True)
def data_defaults(data):
    data.batch = 8
    data.lr = 1.0


@model.observe(default=True)
def model_defaults(model):
    model.lr = 0.1 * data.config.batch
    model.batch = 1


@model.runtime_trace
def step(x, model):
    return x * model.lr


@scopes
def train(model):
    SQLLogger(model).run()
    step(2.0, model)


train()
"""
    project = first_run(tmp_path, script)
    project.run("data.batch=4")
    answer = project.why()
    only_cause(answer, "data.batch")
    assert aside(answer, "model.lr").reason == "follows from data.batch"


def test_a_dead_key(tmp_path: Path) -> None:
    """A key that was changed and that no call reads is ruled out, beside the cause."""
    project = first_run(tmp_path, VIEWS)
    project.run("workers=8", "lr=0.2")
    answer = project.why()
    only_cause(answer, "lr")
    dead = aside(answer, "workers")
    assert (dead.evidence, dead.reason) == ("ruled_out", "read by no call")
    assert dead.change.origin_b == "command line: workers=8 (argument 1)"


def test_an_edited_default_of_argparse(tmp_path: Path) -> None:
    """It is the key, with the line of the argument as origin, and not code besides."""
    project = first_run(tmp_path, ARGUMENTS)
    project.edit("train.py", "default=0.1", "default=0.3")
    project.run()
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == (
        "argparse default of --lr, train.py:10",
        "argparse default of --lr, train.py:10",
    )
    project.edit("train.py", "default=8", "default=16")
    project.run("--lr", "0.2")
    answer = project.why(2, 3)
    cause = only_cause(answer, "lr")
    assert cause.change.origin_b == "command line: --lr 0.2 (argument 1)"
    after = aside(answer, "batch_size")
    assert after.evidence == "later"
    assert after.change.origin_b == "argparse default of --batch-size, train.py:11"


def test_an_edited_default_beside_another_edit(tmp_path: Path) -> None:
    """Where the function differs in more than defaults, it is code as well."""
    project = first_run(tmp_path, ARGUMENTS)
    project.edit("train.py", "default=0.1)", "default=0.3).required = False")
    project.run()
    named = {(f.change.factor, f.change.subject) for f in project.why().causes}
    assert named == {("code", "train.arguments"), ("config", "lr")}


def test_an_edited_default_of_a_field(tmp_path: Path) -> None:
    """The default of a dataclass's field that went into the config is the key."""
    project = first_run(tmp_path, FIELDS)
    project.edit("train.py", "lr: float = 0.1", "lr: float = 0.3")
    project.run()
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == ("default of Config.lr, train.py:10",) * 2


def test_a_class_attribute_that_shares_a_keys_name(tmp_path: Path) -> None:
    """An attribute of a class that makes no fields stays code."""
    script = FIELDS.replace("@dataclass\n", "").replace("asdict(config)", '{"lr": config.lr}')
    project = first_run(tmp_path, script)
    project.edit("train.py", "lr: float = 0.1", "lr: float = 0.3")
    project.run()
    named = {(f.change.factor, f.change.subject) for f in project.why().causes}
    assert named == {("code", "train.Config.lr"), ("config", "lr")}


def test_an_edited_config_file(tmp_path: Path) -> None:
    """The key is the cause, with file and line, and not the file besides; a comment is no cause."""
    file = tmp_path / "config.yaml"
    file.write_text("model:\n  # rate\n  lr: 0.1\n  depth: 3\n")
    project = first_run(tmp_path, CONFIG_FILE)
    file.write_text("model:\n  lr: 0.4\n  depth: 3\n")
    project.run()
    cause = only_cause(project.why(), "model.lr")
    by = "loaded by view from_file"
    assert origins(cause) == (f"config.yaml:3, {by}", f"config.yaml:2, {by}")
    file.write_text("model:\n  lr: 0.4\n  depth: 4\n")
    project.run()
    answer = project.why(2, 3)
    assert answer.verdict == "identical"
    assert [f.change.subject for f in answer.also_changed] == ["model.depth"]


def test_an_edited_default_of_the_scopes_parser(tmp_path: Path) -> None:
    """With the bridge to argparse it is the key as well, also where the namespace itself is used."""
    script = """
import argparse

from ato import Scope, SQLLogger

scope = Scope(use_external_parser=True)


@scope.runtime_trace
def step(x, config):
    return x * config.lr


@scope.runtime_trace
def shifted(x):
    return x + args.shift


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    logger.log_metric("loss", shifted(step(2.0, config)), 0)


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--shift", type=float, default=1.0)
args = parser.parse_args()
train()
"""
    project = first_run(tmp_path, script)
    project.edit("train.py", "default=0.1", "default=0.3")
    project.run()
    cause = only_cause(project.why(), "lr")
    assert origins(cause) == (
        "argparse default of --lr, train.py:27",
        "argparse default of --lr, train.py:27",
    )
    project.edit("train.py", "default=1.0", "default=2.0")
    project.run()
    cause = only_cause(project.why(2, 3), "shift")
    assert cause.change.origin_b == "argparse default of --shift, train.py:28"
    project.run("--lr", "0.2")
    cause = only_cause(project.why(3, 4), "lr")
    assert cause.change.origin_b == "command line: --lr 0.2 (argument 1)"


def test_an_edited_default_of_a_field_of_the_scopes_config(tmp_path: Path) -> None:
    """Read through the config or from the dataclass itself, it is the key, once."""
    script = """
from dataclasses import dataclass, field

from ato import ADict, Scope, SQLLogger


@dataclass
class Model:
    depth: int = 3
    width: int = 8


@dataclass
class Config:
    lr: float = 0.1
    model: Model = field(default_factory=Model)


fields = Config()
scope = Scope(ADict.from_object(fields))


@scope.runtime_trace
def step(x, config):
    return x * config.lr * config.model.depth


@scope.runtime_trace
def widened(x):
    return x * fields.model.width


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    logger.log_metric("loss", widened(step(2.0, config)), 0)


train()
"""
    project = first_run(tmp_path, script)
    project.edit("train.py", "depth: int = 3", "depth: int = 4")
    project.run()
    cause = only_cause(project.why(), "model.depth")
    assert origins(cause) == ("default of Model.depth, train.py:9",) * 2
    project.edit("train.py", "width: int = 8", "width: int = 16")
    project.run()
    cause = only_cause(project.why(2, 3), "model.width")
    assert origins(cause) == ("default of Model.width, train.py:10",) * 2
    project.run("model.width=4")
    assert project.why(3, 4).verdict == "identical"
