"""Ray Tune searches, Ato explains: a tracked function inside of a Tuner.

    pip install 'ato-rs[demo]' 'ray[tune]'
    python in_ray_tune.py

Tune chooses the values and the trials to stop; every trial is a run of one store, with config,
code and calls, so that `ato why` says why one trial beat another.
"""

import os

import ato
from ato import ADict, SQLLogger
from digits import accuracy, new_network, split, train_epoch
from ray import tune

STORE = os.path.abspath("runs.db")  # a trial works in a folder of its own


def train(values):
    config = ADict(lr=values["lr"], width=values["width"], batch=32, seed=0)
    config.experiment = {"project_name": "tune", "sql": {"db_path": STORE}}
    with SQLLogger(config) as logger:
        logger.run(name=tune.get_context().get_trial_name(), tags=["ray-tune"])
        network, data = new_network(config.width, config.seed), split()
        for epoch in range(8):
            train_epoch(network, config.lr, config.batch, data, seed=epoch)
            result = accuracy(network, data)
            logger.log_metric("accuracy", result, epoch)
            tune.report({"accuracy": result})


if __name__ == "__main__":
    ato.SQLLogger({"experiment": {"sql": {"db_path": STORE}}}).get_or_create_project()
    tuner = tune.Tuner(
        train,
        param_space={"lr": tune.loguniform(1e-3, 1.0), "width": tune.randint(4, 64)},
        tune_config=tune.TuneConfig(
            num_samples=4,
            metric="accuracy",
            mode="max",
            scheduler=tune.schedulers.ASHAScheduler(),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=os.path.abspath("ray"), verbose=0),
    )
    best = tuner.fit().get_best_result()
    print(f"{best.metrics['accuracy']:.4f} with {best.config}")
    finder = ato.SQLFinder({"experiment": {"project_name": "tune", "sql": {"db_path": STORE}}})
    for run in finder.get_runs_in_project("tune"):
        print(run.id, run.name, run.status, len(run.metrics))
