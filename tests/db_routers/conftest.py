"""Runs of these tests record what the test emits, in stores of their own."""

from __future__ import annotations

import pytest
import servers

from ato import events

if "postgresql" not in servers.databases():
    collect_ignore = ["sql/test_postgresql.py"]


def pytest_generate_tests(metafunc):
    """A test that has a store has it in a file and on a server, unless it is about the file."""
    about_file = metafunc.definition.get_closest_marker("file") is not None
    if "path" in metafunc.fixturenames:
        databases = ["sqlite"] if about_file else servers.databases()
        metafunc.parametrize("path", databases, indirect=True)


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch, tmp_path_factory):
    """No tracer speaks up when a run opens, and caches and keys lie in a temporary folder."""
    monkeypatch.setattr(events, "_openers", [])
    monkeypatch.setattr(events, "_process_run", None)
    monkeypatch.setattr(events, "_reported", set())
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("ATO_STATE_DIR", str(folder / "state"))
    monkeypatch.delenv("ATO_DB", raising=False)


@pytest.fixture
def path(request, tmp_path):
    """Where a store is: a file's path, still without the file, or the URL of an empty store."""
    if request.param == "postgresql":
        return servers.server().new_store()
    return tmp_path / "runs.db"
