"""Rules of attribution that no planted cause of the other files shows.

Where the rules of `docs/attribution.md` are shown:

| rule | tests |
|---|---|
| inputs, globals and closures; mutated ones count as output | `test_more_causes`, `test_verdicts` |
| code: innermost unit, closures, decorators, constants, derived values | `test_more_causes_code`, `planted_shapes` |
| code: cosmetic edits and renames | `test_planted_causes`, here |
| reads: leaf keys, sections, deleted and retyped keys, several scopes | `test_config_causes`, `test_more_causes` |
| randomness: seeds, unseeded generators, draws before the run | `test_planted_causes`, here |
| environment: reached distributions, thread counts, variables | `test_verdicts`, here |
| data: content, order of rows | `planted_torch`, `planted_shapes`, `test_data_causes`, here |
| executed units: what did not run, what no static rule reaches | here |
| alignment, missing calls, threads | `test_align`, `planted_shapes` |
| incoming state first, the stretch | `test_planted_causes`, `planted_torch` |
| one cause counts once: defaults, files, views, derived keys | `test_config_causes` |
| several causes and the runs that separate them | here |
| ruled out, later, cosmetic | `test_planted_causes`, `planted_torch` |
| verdicts; runs without runtime traces | `test_verdicts`, `planted_shapes` |
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from explained_pages import Page, page_of
from projects import TrainingProject, aside, script_project

BRANCHES = """
import importlib

from ato import Scope, SQLLogger

scope = Scope()


def common(x):
    return x * 2


def rare(x):
    return x * 3


@scope.runtime_trace
def step(x):
    return rare(x) if x > 100 else common(x)


@scope.runtime_trace
def dispatch(x):
    return getattr(importlib.import_module("parts"), "han" + "dle")(x)


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    for number in range(3):
        logger.log_metric("y", step(number) + dispatch(number), number)
    logger.finish()


train()
"""

ROWS = """
import numpy as np

from ato import Scope, SQLLogger

scope = Scope()


@scope.runtime_trace
def load(path):
    return np.loadtxt(path, delimiter=",")


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    logger.log_input("rows.csv")
    table = load("rows.csv")
    logger.log_metric("sum", float((table[:, 0] * np.arange(len(table))).sum()), 0)
    logger.finish()


train()
"""

TWO_KEYS = """
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.5
    config.name = "a b"


def scaled(x):
    return x * 2


@scope.runtime_trace
def step(x, config):
    return scaled(x) * config.lr * len(config.name)


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    logger.log_metric("y", step(3.0, config), 0)
    logger.finish()


train()
"""


def causes(project: TrainingProject, a: int = 1, b: int = 2) -> list[tuple[str, str, str]]:
    """Factor, subject and evidence of each cause."""
    found = project.why(a, b).causes
    return [(f.change.factor, f.change.subject, f.evidence) for f in found]


def branches(folder: Path) -> TrainingProject:
    """The project of `BRANCHES` with its first run recorded."""
    made = script_project(folder, BRANCHES)
    (folder / "parts.py").write_text("def handle(x):\n    return x + 1\n", encoding="utf-8")
    made.run()
    return made


def test_a_changed_function_that_did_not_run(tmp_path: Path) -> None:
    """Of two edited functions that a call reaches, the one that did not run in it is no cause."""
    made = branches(tmp_path)
    made.edit("train.py", "x * 2", "x * 2 + 1")
    made.edit("train.py", "x * 3", "x * 4")
    made.run()
    assert causes(made) == [("code", "train.common", "proven")], str(made.why())
    assert aside(made.why(), "train.rare").evidence in ("ruled_out", "later")


def test_a_function_that_no_static_rule_reaches(tmp_path: Path) -> None:
    """A function that `getattr` with a computed name led to is the cause, since it ran."""
    made = branches(tmp_path)
    made.edit("parts.py", "x + 1", "x + 2")
    made.run()
    assert causes(made) == [("code", "parts.handle", "proven")], str(made.why())


def test_a_renamed_helper_is_no_cause(tmp_path: Path) -> None:
    """A helper under another name, and its caller that says so, are cosmetic."""
    made = branches(tmp_path)
    text = (tmp_path / "train.py").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(text.replace("common", "usual"), encoding="utf-8")
    made.run()
    answer = made.why()
    assert answer.verdict == "identical", str(answer)
    renamed = aside(answer, "train.usual")
    assert (renamed.evidence, renamed.change.kind) == ("cosmetic", "rename")
    assert aside(answer, "train.step").change.kind == "rename"


def test_the_same_rows_in_another_order(tmp_path: Path) -> None:
    """A file whose rows were shuffled is a cause of kind `order`, and so is the divergence."""
    made = script_project(tmp_path, ROWS, ("numpy",))
    (tmp_path / "rows.csv").write_text("1,2\n3,4\n5,6\n", encoding="utf-8")
    made.run()
    (tmp_path / "rows.csv").write_text("3,4\n1,2\n5,6\n", encoding="utf-8")
    made.run()
    answer = made.why()
    assert causes(made) == [("data", "rows.csv", "proven")], str(answer)
    assert answer.causes[0].change.kind == "order"
    assert answer.first_divergence is not None
    assert answer.first_divergence.kind == "order"


def test_the_run_that_separates_two_keys(tmp_path: Path) -> None:
    """It is the first run's own command line with one key as in the second."""
    made = script_project(tmp_path, TWO_KEYS)
    made.run("name=x y")
    made.run("lr=0.25", "name=other")
    answer = made.why()
    assert answer.verdict == "ambiguous"
    (test,) = answer.tests
    assert test.run.startswith("run 1 with config ")
    assert "python" in test.run
    assert test.run.endswith(("train.py 'name=x y' lr=0.25", "train.py name=other"))
    assert test.run in str(answer)


def test_the_run_that_separates_a_key_from_code(tmp_path: Path) -> None:
    """Where code is among the causes, it is the second run again, whose code stands, with one key back."""
    made = script_project(tmp_path, TWO_KEYS)
    made.run()
    made.edit("train.py", "x * 2", "x * 5")
    made.run("lr=0.25")
    answer = made.why()
    (test,) = answer.tests
    assert (test.hold, test.change) == (("code train.scaled",), ("config lr",))
    assert test.run.startswith("run 2 with config lr as in run 1: ")
    assert test.run.endswith("train.py lr=0.5")


def test_code_under_another_name_is_shown_beside_what_it_was(tmp_path: Path) -> None:
    """The page and `ato diff` set a function that was renamed or moved beside its old text."""
    project = branches(tmp_path)
    text = (tmp_path / "train.py").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(re.sub(r"\bcommon\b", "usual", text), encoding="utf-8")
    project.run()
    answer, text = page_of(tmp_path / "experiments.db")
    shown = " ".join(Page(text).sections["code"].split())
    assert aside(answer, "train.usual").evidence == "cosmetic"
    assert "train.usual" in shown
    assert "return x * 2" in shown


def test_a_variable_counts_where_code_names_it(tmp_path: Path) -> None:
    """A variable that only later calls name is later, and one that no call's code names is ruled out."""
    script = """
import os

from ato import SQLLogger
from ato.trace import runtime_trace


@runtime_trace
def first(x):
    return x * float(os.environ["SCALE"])


@runtime_trace
def second(x):
    return x + float(os.environ["OFFSET"])


def unused():
    return os.getenv("LEVEL")


logger = SQLLogger({"experiment": {"project_name": "variables"}})
logger.run()
logger.log_metric("y", second(first(1.0)), 0)
logger.finish()
"""
    project = script_project(tmp_path, script)
    project.run(SCALE="1", OFFSET="1", LEVEL="1")
    project.run(SCALE="2", OFFSET="2", LEVEL="2")
    answer = project.why()
    assert causes(project) == [("environment", "SCALE", "proven")], str(answer)
    assert aside(answer, "OFFSET").evidence == "later"
    assert aside(answer, "LEVEL").evidence == "ruled_out"


def test_a_thread_count_follows_from_its_variable(tmp_path: Path) -> None:
    """The variable and what torch makes of it are one cause; so is a flag that only torch knows."""
    script = """
import os

import torch

from ato import SQLLogger
from ato.trace import runtime_trace

torch.use_deterministic_algorithms(bool(int(os.environ["MY_FLAG"])))


@runtime_trace
def threads(x):
    return x + torch.get_num_threads()


@runtime_trace
def flagged(x):
    return x + torch.are_deterministic_algorithms_enabled()


logger = SQLLogger({"experiment": {"project_name": "threads"}})
logger.run()
logger.log_metric("y", threads(1) + flagged(1), 0)
logger.finish()
"""
    project = script_project(tmp_path, script)
    project.run(OMP_NUM_THREADS="1", MY_FLAG="0")
    project.run(OMP_NUM_THREADS="2", MY_FLAG="0")
    project.run(OMP_NUM_THREADS="2", MY_FLAG="1")
    assert causes(project) == [("environment", "OMP_NUM_THREADS", "proven")], str(project.why())
    follows = aside(project.why(), "torch.num_threads")
    assert follows.reason == "follows from OMP_NUM_THREADS"
    flag = ("environment", "torch.use_deterministic_algorithms", "proven")
    assert causes(project, 2, 3) == [flag], str(project.why(2, 3))


SAYS = """
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.text = "abc"
    config.extra = False


def helper(x):
    return x + 1


@scope.runtime_trace
def first(letters):
    return next(letters)


@scope.runtime_trace
def step(x, config):
    return helper(x) if config.extra else x


@scope
def train(config):
    logger = SQLLogger(config)
    logger.run()
    first(letter for letter in config.text)
    logger.log_metric("y", min(step(3, config), 3), 0)
    logger.finish()


train()
"""


def test_an_input_without_fingerprint_counts_like_one_that_may_differ(tmp_path: Path) -> None:
    """Where nothing else differs at the call, the stretch is judged, and its causes are possible; that
    the result is the same all the same is said beside it."""
    made = script_project(tmp_path, SAYS)
    made.run()
    made.run("text=xyz")
    assert causes(made) == [("config", "text", "possible")], str(made.why())
    assert "The metric is the same" in str(made.why())
    assert any("letters" in gap for gap in made.why().unwatched)


def test_that_a_function_ran_in_one_run_only_is_an_effect(tmp_path: Path) -> None:
    """The key that led there is the cause; the function that ran besides is not named."""
    made = script_project(tmp_path, SAYS)
    made.run()
    made.run("extra=True")
    answer = made.why()
    assert causes(made) == [("config", "extra", "proven")], str(answer)
    assert {f.change.factor for f in answer.also_changed} <= {"config"}


def test_where_and_how_a_run_was_started_is_no_factor(tmp_path: Path) -> None:
    """Another commit, folder, process and order of the same arguments change nothing."""
    (tmp_path / "here").mkdir()
    made = script_project(tmp_path / "here", SAYS)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], cwd=made.folder, check=True)
    made.run("text=abc", "extra=False")
    there = made.copy(tmp_path / "there")
    (there.folder / "notes.txt").write_text("nothing that runs")
    subprocess.run([*git, "add", "."], cwd=there.folder, check=True)
    subprocess.run([*git, "commit", "-qm", "more"], cwd=there.folder, check=True)
    there.run("extra=False", "text=abc")
    answer = there.why()
    assert answer.verdict == "identical"
    assert answer.also_changed == ()
