from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from ato.scope import Scope


@pytest.fixture(autouse=True)
def fresh_registry():
    """Every test begins without scopes."""
    Scope.initialize_registry()
    yield
    Scope.initialize_registry()


@pytest.fixture
def script(tmp_path):
    """Write `train.py` and return a function that runs it with arguments, as a shell would."""

    def write(source):
        (tmp_path / "train.py").write_text(textwrap.dedent(source))

        def run(*arguments):
            return subprocess.run(
                [sys.executable, "train.py", *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONWARNINGS": "error"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        return run

    return write


@pytest.fixture(autouse=True)
def started_by_pytest(monkeypatch):
    """The program is a test runner also where a worker of pytest-xdist runs the test."""
    monkeypatch.setattr(sys, "argv", ["pytest", *sys.argv[1:]])
