"""The examples of searches, run as their first lines say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stores import ask

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "search"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

pytestmark = pytest.mark.checkout


@pytest.fixture
def run(tmp_path):
    """Run an example in a folder of its own; returns its last lines and the store."""
    folder = tmp_path / "search"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def example(*command):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "RAY_AUTH_MODE": "disabled",
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_raylet_start_wait_time_s": "180",
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines(), folder / "runs.db"

    return example


def test_all_examples_are_run_here():
    """A new example needs a test of its own."""
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {"digits.py", "in_ray.py", "in_ray_tune.py", "on_ranks.py"}


def test_hyperband_on_ray(run):
    """22 trainings are Ray tasks and runs of the store."""
    lines, store = run("in_ray.py")
    assert float(lines[-2].split()[0]) > 0.9
    assert ask(store, "SELECT status, count(*) FROM experiments GROUP BY 1") == [("completed", 22)]


def test_hyperband_on_ranks(run):
    """Two ranks train one trial together, or share them out: the same best, up to rounding."""
    (*_, together), store = run(*TORCHRUN, "on_ranks.py", "data")
    (*_, shared), _ = run(*TORCHRUN, "on_ranks.py", "trials")
    assert together.partition(" with ")[2] == shared.partition(" with ")[2]
    assert float(shared.split()[0]) > 0.9
    assert ask(store, "SELECT name, status FROM searches ORDER BY id") == [
        ("data", "completed"),
        ("trials", "completed"),
    ]
    assert ask(store, "SELECT count(*) FROM experiments WHERE status = 'completed'") == [(44,)]


def test_a_tuner_of_ray_tune(run):
    """Each trial of a Tuner is a run with its config, code and metrics, whoever stopped it."""
    lines, store = run("in_ray_tune.py")
    assert len([line for line in lines if "completed" in line]) == 4
    assert ask(store, "SELECT count(*) FROM experiments WHERE status = 'completed'") == [(4,)]
    [(longest,)] = ask(store, "SELECT max(count) FROM metric_summaries")
    assert longest == 8
