"""Stores of every schema, kept as they were written, still open and still give their answers."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

import ato
from ato import SQLFinder

GOLDEN = sorted((Path(__file__).parent.parent.parent / "golden").glob("store_schema_*.db"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_kept_store_opens_with_its_data_intact(file: Path, tmp_path: Path) -> None:
    """Runs, configs with their history, metrics, inputs, artifacts and code come back."""
    store = tmp_path / "experiments.db"
    shutil.copy(file, store)
    first, second = SQLFinder(str(store)).get_runs_in_project("default")
    assert (first.name, second.name) == ("lr-0.5", "lr-0.25")
    assert second.config.lr == 0.25
    assert "lr=0.25" in str(second.history("lr")[-1].origin)
    assert [p.value for p in first.metrics if p.key == "weight"] == [0.5, 0.25, 0.125]
    assert all(math.isnan(p.value) for p in first.metrics if p.key == "nan")
    assert set(first.fingerprints) >= {"train.step"}
    assert [artifact.path for artifact in first.artifacts] == ["train.py"]


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_kept_store_is_still_explained(file: Path, tmp_path: Path) -> None:
    """The two runs of a kept store have the answer they had when they were recorded."""
    store = tmp_path / "experiments.db"
    shutil.copy(file, store)
    answer = ato.why(1, 2, db=str(store))
    assert [(f.change.subject, f.evidence) for f in answer.causes] == [("lr", "proven")]


def test_there_is_a_kept_store() -> None:
    """The schema of this version has its file."""
    assert [file.name for file in GOLDEN] == ["store_schema_1.db"]
