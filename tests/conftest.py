"""Settings of the whole suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Machines are shared and noisy, so that no example has a deadline. `fast` looks at the same examples
# each time, so that a test that passed here passes there; `slow` is for looking further.
settings.register_profile("fast", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("slow", deadline=None, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the store that the developer's shell points at."""
    monkeypatch.delenv("ATO_DB", raising=False)
