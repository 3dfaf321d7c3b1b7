"""Hyperband on a Ray cluster: each training is a Ray task, and a run of the store.

    pip install 'ato-rs[demo,ray]'
    python in_ray.py

It joins the cluster that `RAY_ADDRESS` or `ray start` names; without one it starts Ray here. On
several machines the store is a PostgreSQL server, and checkpoints lie where every machine reads
them. Run it again after an interruption: it goes on where it was.
"""

import numpy as np
from ato import HyperBand, Scope, SQLLogger
from ato.hyperopt.ray_executor import RayExecutor
from digits import accuracy, new_network, split, train_epoch

scope = Scope()


@scope.observe(default=True)
def defaults(config):
    config.lr = 0.1
    config.width = 32
    config.batch = 32
    config.seed = 0
    config.experiment = {"project_name": "digits", "sql": {"db_path": "runs.db"}}


hyperband = HyperBand(
    scope,
    {
        "lr": {"param_type": "FLOAT", "param_range": (1e-3, 3.0), "space_type": "LOG"},
        "width": {"param_type": "INTEGER", "param_range": (4, 64)},
        "batch": {"param_type": "CATEGORY", "categories": [16, 64, 256]},
    },
    max_budget=9,
    tracker=SQLLogger(scope.config),
    resume=True,
)


@hyperband.main
def train(config, trial):
    file = trial.checkpoint_dir / "network.npz"
    network = dict(np.load(file)) if file.exists() else new_network(config.width, config.seed)
    data = split()
    for epoch in range(trial.previous_budget, trial.budget):
        train_epoch(network, config.lr, config.batch, data, seed=epoch)
        trial.report(epoch, accuracy(network, data))
    np.savez(file, **network)
    return accuracy(network, data)


if __name__ == "__main__":
    with RayExecutor(num_cpus=1) as hyperband.executor:
        best = train()
    print(f"{best.metric:.4f} with {dict(best.rungs[-1][0].job.values)}")
    print(f"digest {best.digest}")
