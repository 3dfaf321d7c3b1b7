"""Every row of the tables of planted causes, asked as its user would ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from planted import Planted
from planted_everyday import EVERYDAY_CAUSES
from planted_shapes import SHAPED
from planted_torch import TORCH


@pytest.fixture(scope="session")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each program's first run is recorded, once for all of its rows."""
    return tmp_path_factory.mktemp("baselines")


@pytest.mark.parametrize(
    "row", (*SHAPED, *EVERYDAY_CAUSES), ids=lambda row: f"{row.program}: {row.name}"
)
def test_a_cause_in_a_program_of_any_shape(row: Planted, baselines: Path, tmp_path: Path) -> None:
    """Verdict, cause, evidence and kind are right, and what else changed is judged as it should be."""
    answer = row.ask(baselines, tmp_path / "project")
    assert row.faults(answer) == [], str(answer)


@pytest.mark.parametrize("row", TORCH, ids=lambda row: row.name)
def test_a_cause_in_the_torch_project(row: Planted, baselines: Path, tmp_path: Path) -> None:
    """Verdict, cause, evidence and kind are right, and what else changed is judged as it should be."""
    answer = row.ask(baselines, tmp_path / "project")
    assert row.faults(answer) == [], str(answer)


def test_the_table_is_as_long_as_it_should_be() -> None:
    """At least 140 causes are planted, each under a name of its own."""
    names = [(row.program, row.name) for row in (*SHAPED, *EVERYDAY_CAUSES, *TORCH)]
    assert len(names) == len(set(names)) >= 140
