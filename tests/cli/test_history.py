"""`ato history`: who set a config value of a recorded run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from ato import Scope, SQLLogger

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.001
    config.model = {"depth": 50, "name": "resnet"}
    config.old = 1
    del config.old


@scope.observe
def high_lr(config):
    config.lr = 0.1


@scope
def train(config):
    with SQLLogger(config) as logger:
        logger.run(name="first")


train()
"""

LR = """\
lr = 0.01
  set by the command line: lr=0.01 (argument 2)
  over   0.1    view high_lr, train.py:17
  over   0.001  view defaults, train.py:9
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one recorded run."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "train.py").write_text(SCRIPT)
    command = [sys.executable, "train.py", "high_lr", "lr=0.01"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def history(project: Path, *arguments: str, status: int = 0, **variables: str) -> str:
    """What `ato history` prints in a pipe."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ATO_DB", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "ato", "history", *arguments],
        cwd=project,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_key(project: Path) -> None:
    """The last write, what it replaced and what lost, without colour in a pipe."""
    assert history(project, "1", "lr") == history(project, "first", "lr") == LR


def test_a_section_and_a_deleted_key(project: Path) -> None:
    """A section shows every key below it; a key that is gone, who deleted it."""
    assert history(project, "latest", "model") == (
        "model.depth = 50\n  set by view defaults, train.py:10\n"
        "model.name = 'resnet'\n  set by view defaults, train.py:10\n"
    )
    assert history(project, "1", "old") == (
        "old = (deleted)\n"
        "  deleted by view defaults, train.py:12\n"
        "  over   1  view defaults, train.py:11\n"
    )


def test_as_json(project: Path) -> None:
    """`--json` gives the writes as data, oldest first."""
    shown = json.loads(history(project, "1", "lr", "--json"))
    assert shown["run"] == 1
    (entry,) = shown["keys"].values()
    assert (entry["value"], entry["type"]) == (0.01, "float")
    assert [write["value_text"] for write in entry["history"]] == ["0.001", "0.1", "0.01"]
    assert entry["history"][2]["origin"] == {
        "kind": "cli",
        "text": "lr=0.01 (argument 2)",
        "file": None,
        "line": None,
    }
    assert entry["history"][2]["replaced_text"] == "0.1"
    assert list(json.loads(history(project, "1", "model", "--json"))["keys"]) == [
        "model.depth",
        "model.name",
    ]


def test_what_is_not_there(project: Path) -> None:
    """An unknown key or run is one message with the nearest, and status 2."""
    error = history(project, "1", "lrr", status=2)
    assert error.startswith("ato: the config of run 1 has no key 'lrr'; there is 'lr'")
    assert "there is no run 7" in history(project, "7", "lr", status=2)
    assert "Missing argument 'KEY'" in history(project, "1", status=2)


def test_in_a_terminal(project: Path) -> None:
    """Where there are colours, the same text is coloured."""
    shown = history(project, "1", "lr", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1mlr = 0.01\x1b[0m" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == LR
