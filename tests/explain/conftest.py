"""The digits project, trained once; each test changes one thing and trains again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from projects import EXAMPLES, TrainingProject

# What is shown by a browser is looked at where there is one; `.ci/run` installs it.
collect_ignore = [] if shutil.which("chromium") else ["test_html_browser.py"]


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> TrainingProject:
    """The digits project with run 1 recorded."""
    project = TrainingProject(EXAMPLES / "digits", ("numpy",)).copy(
        tmp_path_factory.mktemp("trained") / "digits"
    )
    project.run("epochs=3")
    return project


@pytest.fixture
def digits(trained_digits: TrainingProject, tmp_path: Path) -> TrainingProject:
    """A copy of the trained digits project, at the folder's own place to change."""
    return trained_digits.copy(tmp_path / "digits")
