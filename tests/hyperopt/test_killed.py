"""Searches whose driver is killed, wherever their trials run, and that go on when started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stores import ask

SCRIPT = '''
import os, signal
from pathlib import Path
from ato import HyperBand, SQLLogger, Scope
from ato.hyperopt.hyperband import DistributedHyperBand

place = os.environ["PLACE"]
scope = Scope()
options = {
    "max_budget": 9,
    "seed": 4,
    "tracker": SQLLogger({"experiment": {"sql": {"db_path": "runs.db"}}}),
    "resume": True,
    "name": "sweep",
}
spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.0, 1.0)}}
if place in ("data", "trials"):
    search = DistributedHyperBand(scope, spaces, mode_parallel=place, **options)
else:
    search = HyperBand(scope, spaces, processes=2 if place == "processes" else None, **options)
driver, rank = os.getpid(), int(os.environ.get("RANK", 0))


def kill_at_every_tenth(config):
    """Once ten trainings more have begun than at the last kill, the driver is gone."""
    if place == "data" and rank:
        return
    with open("begun.txt", "a") as log:
        log.write(f"{config.__trial__}.{config.__num_halved__}\\n")
    begun = len(Path("begun.txt").read_text().split())
    killed = Path("killed.txt")
    before = len(killed.read_text()) if killed.exists() else 0
    if os.environ.get("KILL") and begun >= 10 * (before + 1):
        with killed.open("a") as log:
            log.write("x")
        os.kill(int(Path("driver.txt").read_text()), signal.SIGKILL)


@search.main
def train(config, trial):
    file = trial.checkpoint_dir / "sum.txt"
    # Of ranks that train together the first keeps the checkpoint; the others may come upon it while
    # it is written.
    keeps = rank == 0 or place == "trials"
    total = float(file.read_text()) if keeps and file.exists() else 0.0
    if trial.previous_budget:
        assert file.exists(), "the checkpoint of the rung before is there"
    kill_at_every_tenth(config)
    for step in range(trial.previous_budget, trial.budget):
        total += config.lr / (step + 1)
    if keeps:
        file.write_text(str(total))
    return total


if __name__ == "__main__":
    if rank == 0:
        Path("driver.txt").write_text(str(driver))
    if place in ("data", "trials"):
        from torch import distributed

        distributed.init_process_group("gloo")
    best = train()
    if rank == 0:
        Path("best.txt").write_text(f"{best.digest} {best.metric} {best.config.__trial__}")
    if place in ("data", "trials"):
        distributed.destroy_process_group()
'''


def run(folder: Path, place: str, **variables: str) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "sweep.py").write_text(SCRIPT)
    command = [sys.executable]
    if place in ("data", "trials"):
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "sweep.py"],
        cwd=folder,
        env={**os.environ, "PLACE": place, "OMP_NUM_THREADS": "1", **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 or "x" in killed(folder), done.stderr
    return done.returncode


def killed(folder: Path) -> str:
    marks = folder / "killed.txt"
    return marks.read_text() if marks.exists() else ""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a search that ran inline and was left alone."""
    folder = tmp_path_factory.mktemp("whole") / "inline"
    assert run(folder, "inline") == 0
    return folder


@pytest.mark.parametrize("place", ["inline", "processes", "trials", "data"])
def test_a_search_whose_driver_is_killed_at_every_tenth_training_ends_as_an_unbroken_one(
    tmp_path, place, unbroken
):
    """SIGKILL after each ten trainings, then again: same digest, results once each, none lost."""
    folder = tmp_path / place
    starts = 1
    while run(folder, place, KILL="1"):
        starts += 1
        assert starts < 5
    assert starts == len(killed(folder)) + 1 == 3
    assert (folder / "best.txt").read_text() == (unbroken / "best.txt").read_text()
    results = "SELECT trial, rung, metric, status FROM search_trials ORDER BY 1, 2"
    assert ask(folder / "runs.db", results) == ask(unbroken / "runs.db", results)
    # Each kill costs what was being trained: one training here, two in two processes or ranks.
    begun = (folder / "begun.txt").read_text().split()
    at_once = 1 if place in ("inline", "data") else 2
    assert len(begun) - len(set(begun)) <= 2 * at_once
    assert set(begun) == set((unbroken / "begun.txt").read_text().split())
    # The runs that the results name are there, and complete.
    odd = (
        "SELECT count(*) FROM search_trials t LEFT JOIN experiments e ON e.id = t.run_id "
        "WHERE e.status IS NOT 'completed'"
    )
    assert ask(folder / "runs.db", odd) == [(0,)]
