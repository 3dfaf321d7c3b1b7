from __future__ import annotations

import optuna
import pytest

from ato.exceptions import SpaceError
from ato.integrations.optuna import distributions, suggest
from ato.scope import Scope

SPACES = {
    "lr": {"param_type": "FLOAT", "param_range": (1e-4, 1e-1), "space_type": "LOG"},
    "optim.decay": {"param_type": "FLOAT", "param_range": (0, 1)},
    "depth": {"param_type": "INTEGER", "param_range": (1, 8), "space_type": "LOG"},
    "kind": {"param_type": "CATEGORY", "categories": ["small", None]},
    "shape": {"param_type": "CATEGORY", "categories": [(1,), (2, 3)]},
    "flag": {"param_type": "CATEGORY", "categories": [1, True]},
}


def test_spaces_become_distributions():
    """Ranges, logarithms and plain categories are Optuna's; other categories go by position."""
    kinds = optuna.distributions
    assert distributions(SPACES) == {
        "lr": kinds.FloatDistribution(1e-4, 1e-1, log=True),
        "optim.decay": kinds.FloatDistribution(0, 1),
        "depth": kinds.IntDistribution(1, 8, log=True),
        "kind": kinds.CategoricalDistribution(["small", None]),
        "shape": kinds.CategoricalDistribution([0, 1]),
        "flag": kinds.CategoricalDistribution([0, 1]),
    }


def test_a_study_of_optuna_trains_a_scope():
    """An objective suggests the values of the spaces, conditional ones too, below a scope's config."""
    scope = Scope(name="optuna_study")

    @scope
    def train(config):
        return config.lr * config.depth + ("extra" in config)

    def extra(config):
        return {"param_type": "INTEGER", "param_range": (1, 2)} if config.depth > 4 else None

    def objective(trial):
        config = scope.config.clone()
        values = suggest(trial, {**SPACES, "extra": extra}, config)
        assert values["shape"] in [(1,), (2, 3)]
        assert ("extra" in values) == (values["depth"] > 4)
        for key in ("lr", "depth"):
            config[key] = values[key]
        with scope.using(config):
            return train()

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=20)
    assert len(study.trials) == 20
    assert set(distributions(SPACES)) <= set(study.best_trial.distributions)


def test_a_condition_is_no_distribution():
    """A space that depends on other values is an error that says what to call instead."""
    with pytest.raises(SpaceError, match=r"suggest\(trial, search_spaces\)"):
        distributions({"lr": lambda config: SPACES["lr"]})
