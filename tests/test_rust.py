"""The tests of the Rust core, run with the others."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not installed"),
]


def cargo(*arguments: str) -> None:
    """Run cargo in the checkout; its output is the message of a failure."""
    done = subprocess.run(
        ["cargo", *arguments],
        cwd=ROOT,
        env={**os.environ, "CARGO_TERM_COLOR": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_of_the_core_pass() -> None:
    """`cargo test` passes, with the checks of a debug build, and needs no Python."""
    cargo("test", "--locked", "--quiet")
