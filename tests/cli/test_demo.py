"""The project of `ato demo`."""

from __future__ import annotations

from pathlib import Path

import pytest

import ato

PACKAGED = Path(ato.__file__).parent / "examples" / "digits"
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.checkout
def test_the_package_holds_the_example_whole() -> None:
    """Every file of `examples/digits` is in the package (a link to it), and nothing else."""
    example = {file.name: file.read_text() for file in (ROOT / "examples" / "digits").glob("*.*")}
    packaged = {file.name: file.read_text() for file in PACKAGED.glob("*.*")}
    assert packaged == example
    assert {"train.py", "data.py"} <= example.keys()
