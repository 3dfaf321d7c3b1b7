"""Runs of these tests record what the test emits, in stores of their own."""

from __future__ import annotations

import pytest

from ato import events


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch, tmp_path_factory):
    """No tracer speaks up when a run opens, and caches and keys lie in a temporary folder."""
    monkeypatch.setattr(events, "_openers", [])
    monkeypatch.setattr(events, "_process_run", None)
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("ATO_STATE_DIR", str(folder / "state"))
    monkeypatch.delenv("ATO_DB", raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"
