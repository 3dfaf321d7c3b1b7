"""The layer contract: a room imports only from rooms above it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.checkout
def test_every_room_imports_only_from_rooms_above_it() -> None:
    """The contract of pyproject.toml holds for the sources as they stand."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_ato_loads_nothing_heavy() -> None:
    """`import ato` loads none of NumPy, torch, libcst, SQLAlchemy and the other heavy packages."""
    code = (
        "import sys, ato; heavy = {'numpy', 'torch', 'libcst', 'sqlalchemy', 'alembic', 'yaml',"
        " 'rich', 'click', 'pandas'}; print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
