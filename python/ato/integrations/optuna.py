"""Ato's search spaces in studies of Optuna's; and what `sampler=` of a search does with its samplers.

An Optuna study that trains an Ato scope, with the spaces of a `HyperBand`:

    def objective(trial):
        config = scope.config.clone()
        for key, value in suggest(trial, spaces).items():
            config[key] = value
        with scope.using(config):
            return train()

The other way round a search takes a sampler: `HyperBand(…, sampler=optuna.samplers.TPESampler())`.
"""

from ato.hyperopt.optuna_bridge import OptunaSampler, distributions, suggest

__all__ = ["OptunaSampler", "distributions", "suggest"]
