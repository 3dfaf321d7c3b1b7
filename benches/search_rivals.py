"""One search by a rival, in an environment of its own: `search_rivals.py WHAT SEEDS`, JSON on stdout.

Replays the digits curves: what a trial trains is looked up, and epochs are counted until the first
config reaches the target. Where a rival continues a trial, only new epochs count.
"""

from __future__ import annotations

import functools
import json
import logging
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

EPOCHS, TARGET = 81, 0.93
GRID, CURVES = [], {}


class Count:
    """Counts epochs over all trials of one search."""

    def __init__(self):
        self.epochs = 0
        self.reached = None

    def train(self, config, begin, end):
        """Train from epoch `begin` to `end`; give the accuracy there."""
        curve = CURVES[config]
        for epoch in range(begin, end):
            self.epochs += 1
            if self.reached is None and curve[epoch] >= TARGET:
                self.reached = self.epochs
        return curve[end - 1]


def load(file):
    """The table of curves, by config."""
    data = json.loads(Path(file).read_text())
    GRID.extend(map(tuple, data["grid"]))
    CURVES.update(zip(GRID, data["curves"], strict=True))


def columns():
    return [sorted({config[place] for config in GRID}) for place in range(4)]


def optuna_hyperband(seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    count = Count()
    choices = columns()

    def objective(trial):
        config = tuple(trial.suggest_categorical(str(i), c) for i, c in enumerate(choices))
        for epoch in range(EPOCHS):
            accuracy = count.train(config, epoch, epoch + 1)
            if count.reached:
                trial.study.stop()
                return accuracy
            trial.report(accuracy, epoch + 1)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    pruner = optuna.pruners.HyperbandPruner(1, EPOCHS, 3)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=sampler)
    study.optimize(objective, n_trials=2000)
    return count.reached


def optuna_overhead(storage):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/optuna.db" if storage == "sqlite" else None
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(storage=url, sampler=sampler)
        number = 100 if url else 1000
        begin = time.process_time()
        study.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1, log=True), n_trials=number)
        return (time.process_time() - begin) / number


def ray_asha(seed):
    """Tune's own ASHA scheduler, driven as Tune's controller drives it with one trial at a time."""
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    scheduler = ASHAScheduler("training_iteration", "accuracy", "max", EPOCHS, 1, 3)
    rng, count = random.Random(seed), Count()
    while count.reached is None:
        config = rng.choice(GRID)
        trial = Trial("digits", stub=True)
        scheduler.on_trial_add(None, trial)
        for epoch in range(EPOCHS):
            accuracy = count.train(config, epoch, epoch + 1)
            result = {"training_iteration": epoch + 1, "accuracy": accuracy}
            if scheduler.on_trial_result(None, trial, result) != TrialScheduler.CONTINUE:
                break
        else:
            scheduler.on_trial_complete(None, trial, result)
    return count.reached


def ray_overhead():
    import ray
    from ray import tune

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    number = 20
    space = {"lr": tune.loguniform(1e-4, 1)}
    with tempfile.TemporaryDirectory() as folder:
        run = tune.RunConfig(storage_path=folder, verbose=0)
        options = tune.TuneConfig(num_samples=number, reuse_actors=True)
        tuner = tune.Tuner(
            lambda c: {"m": c["lr"]}, param_space=space, tune_config=options, run_config=run
        )
        begin = time.perf_counter()  # it works in several processes
        tuner.fit()
        return (time.perf_counter() - begin) / number


@functools.cache
def ato_scope():
    """A scope's name is that of the parameter that gets its config, and two may not share it."""
    from ato.scope import Scope

    return Scope()


def ato_halving(seed):
    from ato.adict import ADict
    from ato.hyperopt.hyperband import HyperBand

    count, rng = Count(), random.Random(seed)
    order = rng.sample(GRID, len(GRID))
    spaces = ADict(number={"param_type": "CATEGORY", "categories": list(range(len(GRID)))})
    scope = ato_scope()
    search = HyperBand(scope, spaces, 1 / 3, 1, mode="max")
    steps = search.compute_optimized_initial_training_steps(EPOCHS)

    @search.main
    def train(config):
        return count.train(
            order[config.number], 0, int(steps[min(config["__num_halved__"], len(steps) - 1)])
        )

    train()
    return count.reached


def ato_overhead(storage):
    from ato.adict import ADict
    from ato.db_routers.sql.manager import SQLLogger
    from ato.hyperopt.hyperband import HyperBand

    number = 100 if storage == "sqlite" else 1000
    spaces = ADict(
        lr={"param_type": "INTEGER", "param_range": (0, number - 1), "num_samples": number}
    )
    scope = ato_scope()
    search = HyperBand(scope, spaces, 0.3, 3)
    calls = []
    with tempfile.TemporaryDirectory() as folder:
        store = {"db_path": f"sqlite:///{folder}/ato.db"}

        @search.main
        def train(config):
            calls.append(1)
            if storage == "sqlite":
                # Its search stores nothing: each trial opens a run of its own, as its README does.
                config.experiment = ADict(project_name="overhead", sql=ADict(store))
                logger = SQLLogger(config)
                logger.run()
                logger.log_metric("metric", config.lr, 0)
                logger.finish()
            return config.lr

        begin = time.process_time()
        train()
        return (time.process_time() - begin) / len(calls)


SEARCHES = {"optuna": optuna_hyperband, "ray": ray_asha, "ato": ato_halving}


def main(what, file, seeds):
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    load(file)
    found = {}
    if what in SEARCHES:
        reached = [SEARCHES[what](seed) for seed in range(int(seeds))]
        found["epochs"] = statistics.median(r if r is not None else 10**9 for r in reached)
    elif what == "overhead-optuna":
        found = {kind: optuna_overhead(kind) for kind in ("memory", "sqlite")}
    elif what == "overhead-ray":
        found["memory"] = ray_overhead()
    else:
        found = {kind: ato_overhead(kind) for kind in ("memory", "sqlite")}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:4])
