"""Searches of these tests vary the config of a scope of their own."""

from __future__ import annotations

import sys

import pytest

from ato.scope import Scope


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch, tmp_path_factory):
    """No scope is left from another test, no argument from pytest's own command line."""
    monkeypatch.setattr(sys, "argv", ["train.py"])
    folder = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("ATO_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("ATO_STATE_DIR", str(folder / "state"))
    Scope.initialize_registry()
    yield
    Scope.initialize_registry()


@pytest.fixture
def scope():
    """A scope with a learning rate, a depth, and a section."""
    scope = Scope()

    @scope.observe(default=True)
    def defaults(config):
        config.lr = 0.5
        config.depth = 2
        config.optim = {"name": "sgd", "decay": 0.0}

    return scope


@pytest.fixture
def spaces():
    """A learning rate on a logarithmic scale and a depth: a grid of 5 × 4."""
    return {
        "lr": {
            "param_type": "FLOAT",
            "param_range": (1e-4, 1e-1),
            "num_samples": 5,
            "space_type": "LOG",
        },
        "depth": {"param_type": "INTEGER", "param_range": (1, 4)},
    }
