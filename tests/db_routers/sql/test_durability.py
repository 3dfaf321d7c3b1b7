"""What is acknowledged is kept, whatever happens to the process, and however many there are."""

from __future__ import annotations

import random
import time

import pytest
from stores import ask, finder_for, kill, start_script

LOGGING = """
import os, sys
from ato.db_routers.sql.manager import SQLLogger
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
logger.run(name=sys.argv[1])
for step in range(int(sys.argv[2])):
    logger.log_metrics({"loss": step, "acc": -step}, step)
    os.write(1, b"%d\\n" % step)
"""


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_metrics_outlive_sigkill(tmp_path, seed):
    """A process killed at a random moment loses no point that a log call has returned from."""
    with start_script(tmp_path, LOGGING, "killed", "1000000") as process:
        assert process.stdout.readline() == "0\n"
        time.sleep(random.Random(seed).uniform(0.0, 0.2))
        kill(process)
        acknowledged = 1 + len(process.stdout.read().split("\n")[:-1])
    path = tmp_path / "runs.db"
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    finder = finder_for(path)
    run = finder.find_run(1)
    assert run.status == "crashed"
    assert run.end_time is None
    losses = [p.value for p in run.metrics if p.key == "loss"]
    assert acknowledged <= len(losses) <= acknowledged + 1
    assert losses == list(range(len(losses)))
    finder.engine.dispose()


def test_eight_processes_start_on_a_fresh_file(tmp_path):
    """Eight processes may start at once where there is no database: none fails, no row is lost."""
    folders = [tmp_path / str(number) for number in range(8)]
    for folder in folders:
        folder.mkdir()
    path = tmp_path / "shared.db"
    processes = [
        start_script(folder, LOGGING, folder.name, "25", DB=str(path)) for folder in folders
    ]
    for process in processes:
        with process:
            _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    assert ask(path, "SELECT count(*), count(DISTINCT name) FROM experiments") == [(8, 8)]
    assert ask(path, "SELECT count(*) FROM metrics") == [(8 * 25 * 2,)]
    assert ask(path, "SELECT DISTINCT status FROM experiments") == [("completed",)]
    assert ask(path, "SELECT count(*) FROM projects") == [(1,)]


def test_two_writers_lose_no_row(tmp_path):
    """Two runs that log into one file at the same time both keep every point in order."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    path = tmp_path / "shared.db"
    processes = [
        start_script(folder, LOGGING, folder.name, "300", DB=str(path)) for folder in folders
    ]
    for process in processes:
        with process:
            _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    finder = finder_for(path)
    for run_id in (1, 2):
        assert finder.get_metrics(run_id, "loss").values.tolist() == list(range(300))
    finder.engine.dispose()
