"""One search at many places: here, in processes, in clusters, on the ranks of torchrun.

Run as a script, `search_places.py PLACE FOLDER`, it searches at one place and writes what came of it
to FOLDER; tests ask for that with `report(PLACE)`. Each place is started once, in an interpreter of
its own: starting Ray takes seconds, and what such libraries warn about is none of these tests'.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ato.db_routers.sql.manager import SQLLogger
from ato.exceptions import AtoError
from ato.hyperopt.hyperband import DistributedHyperBand, HyperBand
from ato.scope import Scope

SPACES = {
    "optim.lr": {"param_type": "FLOAT", "param_range": (1e-4, 1.0), "space_type": "LOG"},
    "depth": {"param_type": "INTEGER", "param_range": (1, 9)},
    "kind": {"param_type": "CATEGORY", "categories": ["small", "large"]},
}
PLACES = ("ray", "dask", "torchrun-2", "torchrun-3")

scope = Scope(name="search_places")


@scope.observe(default=True)
def defaults(config):
    config.scale = 1.0
    config.dies = -1


def metric_of(config, trial):
    """What a training gives; rung after rung the checkpoint must have what the rung before wrote."""
    file = trial.checkpoint_dir / "trained"
    if trial.previous_budget:
        assert file.read_text() == str(trial.previous_budget)
    file.write_text(str(trial.budget))
    size = 2 if config.kind == "large" else 1
    return config.scale * config.optim.lr * size / config.depth - 1 / trial.budget


hyperband = HyperBand(scope, SPACES, max_budget=9, seed=1)


@hyperband.main
def train(config, trial):
    if config["__trial__"] == config.dies:
        os._exit(3)
    return metric_of(config, trial)


def in_ray() -> dict[str, Any]:
    """Two workers of a cluster that one executor starts and another one joins."""
    import ray

    from ato.hyperopt.ray_executor import RayExecutor

    found: dict[str, Any] = {}
    owner = RayExecutor()
    found["own"] = owner.submit(pow, 2, 5).result()
    half = owner.num_workers / 2
    with RayExecutor(num_cpus=half) as executor:
        found["workers"] = executor.num_workers
        hyperband.executor = executor
        found["digest"] = train().digest
        scope.config.dies = 4
        best = train()
        found["died"] = [(each.job.trial, each.outcome.status) for each in best.failures]
        found["error"] = repr(executor.submit(int, "x").exception())
        waiting = [executor.submit(time.sleep, 30) for _ in range(3)]
        found["cancelled"] = waiting[2].cancel()
        executor.shutdown(wait=False, cancel_futures=True)
        try:
            executor.submit(int, "1")
        except RuntimeError as error:
            found["closed"] = str(error)
    found["joined"] = ray.is_initialized()
    owner.shutdown()
    found["stopped"] = not ray.is_initialized()
    return found


def in_dask(folder: Path) -> dict[str, Any]:
    """Two workers of two threads each: trials share processes there."""
    from distributed import Client, LocalCluster

    found: dict[str, Any] = {}
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        hyperband.executor = client.get_executor()
        found["digest"] = train().digest
        hyperband.tracker = SQLLogger(located(f"sqlite:///{folder / 'store.db'}"))
        best = train()
        found["stored"] = best.digest
        found["runs"] = len({each.outcome.run_id for rung in best.rungs for each in rung})
        found["trainings"] = sum(len(rung) for rung in best.rungs)
    return found


def on_ranks(folder: Path) -> None:
    """All that ranks do together, in one start of torchrun."""
    import torch
    from torch import distributed

    import ato.hyperopt.distributed

    distributed.init_process_group("gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()

    def together() -> None:
        counted = torch.ones(1)
        distributed.all_reduce(counted)
        assert counted.item() == world

    def search(function, **options):
        search = DistributedHyperBand(
            scope, SPACES, max_budget=9, seed=1, rank=rank, world_size=world, **options
        )
        return search.main(function)()

    def lockstep(config, trial):
        together()
        metric = metric_of(config, trial) if rank == 0 else None
        together()
        return metric

    found: dict[str, Any] = {"data": search(lockstep).digest}
    trained: list[int] = []

    def apart(config, trial):
        trained.append(trial.number)
        return metric_of(config, trial)

    found["trials"] = search(apart, mode_parallel="trials").digest
    found["trained"] = len(trained)

    for name, parallel in (("wrong_data", "data"), ("wrong_trials", "trials")):
        try:
            search(lambda config: "nothing", mode_parallel=parallel)
        except AtoError as error:
            found[name] = type(error).__name__

    store = f"sqlite:///{folder / 'store.db'}"
    for parallel, function in (("data", lockstep), ("trials", apart)):
        begun: list[int] = []

        def interrupted(config, trial, parallel=parallel, function=function, begun=begun):
            # A terminal's Ctrl-C reaches every rank; a signal may reach one.
            begun.append(trial.number)
            if len(begun) == 4 and (rank == 0 or parallel == "data"):
                raise KeyboardInterrupt
            if rank and parallel == "trials":
                time.sleep(0.5)  # rank 0 draws most of them
            return function(config, trial)

        options = {
            "tracker": SQLLogger(located(store)),
            "mode_parallel": parallel,
            "name": parallel,
        }
        best = search(interrupted, **options)
        found[f"interrupted_{parallel}"] = best.interrupted
        found[f"resumed_{parallel}"] = search(function, resume=True, **options).digest

    spaces = {**SPACES} if rank == 0 else {"depth": {"param_type": "CATEGORY", "categories": []}}
    try:
        DistributedHyperBand(scope, SPACES, max_budget=9).main(metric_of)
        other = DistributedHyperBand(scope, SPACES, max_budget=9)
        other.search_spaces = spaces
        other.main(metric_of)()
    except AtoError as error:
        found["left"] = f"{type(error).__name__}: {str(error)[:60]}"
    mixed = DistributedHyperBand(scope, SPACES, max_budget=9)
    found["gathered"] = mixed.all_gather_object(rank * 10)
    found["broadcast"] = mixed.broadcast_object_from_root(f"of rank {rank}")
    found["who"] = [mixed.rank, mixed.world_size, mixed.is_root]
    try:
        _ = DistributedHyperBand(scope, SPACES, max_budget=9, world_size=world + 1).world_size
    except AtoError as error:
        found["wrong_world"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if world == 2:
        search(lambda config: None if rank else abs(config.depth), mode_parallel="data")

        def fails_alone(config, trial):
            if trial.number == 2 and rank:
                raise ValueError("only here")
            together()
            return metric_of(config, trial)

        # Rank 0 waits in a collective, for ever: the job must end, and the trial be known.
        ato.hyperopt.distributed._GRACE = 0.5
        search(fails_alone, tracker=SQLLogger(located(store)), name="alone")
    # A rank that is killed ends the job; nobody may wait for it.
    search(lambda config: os.kill(os.getpid(), 9) if rank else 1.0)


def located(url: str) -> dict[str, Any]:
    """A config that names a store."""
    return {"experiment": {"project_name": "search", "sql": {"db_path": url}}}


@functools.cache
def report(place: str) -> list[dict[str, Any]]:
    """What came of searching there, by rank; each place is started once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable]
        if place.startswith("torchrun"):
            command += ["-m", "torch.distributed.run", "--standalone"]
            command += ["--nproc-per-node", place[-1]]
        done = subprocess.run(
            [*command, __file__, place, name],
            env={
                **os.environ,
                "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
                "RAY_AUTH_MODE": "disabled",
                "RAY_raylet_start_wait_time_s": "180",
                "RAY_USAGE_STATS_ENABLED": "0",
                "OMP_NUM_THREADS": "1",
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
        files = sorted(folder.glob("*.json"))
        assert files, done.stdout + done.stderr
        more = {"status": done.returncode, "stored_failures": stored_failures(folder)}
        return [{**json.loads(file.read_text()), **more} for file in files]


def stored_failures(folder: Path) -> list[tuple[int, str]]:
    """The trials that failed in the search that a lonely failure ended."""
    from ato.db_routers.sql.searches import last_search, search_trials

    logger = SQLLogger(located(f"sqlite:///{folder / 'store.db'}"))
    last = last_search(logger.engine, "search", "alone")
    records = [] if last is None else search_trials(logger.engine, last.id)
    logger.engine.dispose()
    return [(each.trial, each.error) for each in records if each.error]


def main(place: str, folder: Path) -> None:
    if place.startswith("torchrun"):
        on_ranks(folder)
        return
    found = in_ray() if place == "ray" else in_dask(folder)
    (folder / "0.json").write_text(json.dumps(found))


if __name__ == "__main__":
    asked, there = sys.argv[1:3]
    del sys.argv[1:]
    main(asked, Path(there))
