"""Ranks of one launch record one run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from stores import ask, finder_for, logger_for, run_script, start_script

from ato.db_routers.sql import launches
from ato.db_routers.sql.reading import load_run
from ato.exceptions import RankTimeoutError

TRAINING = """
import os, sys
from ato.db_routers.sql.manager import SQLLogger
rank = int(os.environ["RANK"])
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
for number in range(2):
    run_id = logger.run(name=f"run {number}")
    for step in range(5):
        logger.log_metric("loss", 10 * number + rank + step / 10, step)
    logger.finish()
print(rank, run_id, flush=True)
"""


def test_torchrun_gives_one_run_with_rows_of_every_rank(tmp_path):
    """Under torchrun rank 0 opens each run, the others join it, and the rows carry the rank."""
    pytest.importorskip("torch")
    script = tmp_path / "train.py"
    script.write_text(TRAINING)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script)]
    for launch in range(2):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**_environment(), "DB": str(tmp_path / "runs.db")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.split("\n")[:2]) == [f"0 {2 * launch + 2}", f"1 {2 * launch + 2}"]
    path = tmp_path / "runs.db"
    assert ask(path, "SELECT name, status FROM experiments") == 2 * [
        ("run 0", "completed"),
        ("run 1", "completed"),
    ]
    assert ask(path, "SELECT run_id, rank, count(*) FROM metrics GROUP BY 1, 2") == [
        (run, rank, 5) for run in (1, 2, 3, 4) for rank in (0, 1)
    ]
    finder = finder_for(path)
    run = finder.find_run(2)
    assert [p.value for p in run.metrics if p.rank == 1] == [11.0, 11.1, 11.2, 11.3, 11.4]
    assert [record.trace_id for record in load_run(finder.engine, 2).calls] == ["run"]
    finder.engine.dispose()


def test_a_restart_is_another_launch(tmp_path):
    """After a restart of all ranks the others join what rank 0 opened then, not what it had before."""
    for restart in (0, 1):
        processes = [
            start_script(
                _folder(tmp_path, restart, rank),
                TRAINING,
                DB=str(tmp_path / "runs.db"),
                **_rank(rank, restart),
            )
            for rank in (1, 0)
        ]
        for process in processes:
            with process:
                output, errors = process.communicate(timeout=120)
            assert (process.returncode, errors) == (0, "")
            assert output.split()[1] == str(2 * restart + 2)


def test_a_rank_that_waits_in_vain_says_so(path, monkeypatch):
    """Where rank 0 opens no run, the others end with an error that says what to do."""
    logger = logger_for(path)
    logger.run()
    logger.finish()
    for name, value in _rank(3, 0).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launches, "WAIT", 0.2)
    with pytest.raises(RankTimeoutError, match="rank 3 waited .* call run\\(\\) on rank 0 too"):
        logger.run()
    assert logger.get_current_run_id() is None
    logger.engine.dispose()


def test_ranks_join_a_run_that_is_resumed(tmp_path):
    """With `resume` on every rank, the others are part of the attempt that rank 0 began."""
    code = TRAINING.replace('logger.run(name=f"run {number}")', "logger.run(resume=1)").replace(
        "range(2)", "range(1)"
    )
    logger = logger_for(tmp_path / "runs.db")
    logger.run()
    logger.finish()
    logger.engine.dispose()
    processes = [
        start_script(
            _folder(tmp_path, 0, rank), code, DB=str(tmp_path / "runs.db"), **_rank(rank, 0)
        )
        for rank in (1, 0)
    ]
    for process in processes:
        with process:
            _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    rows = ask(tmp_path / "runs.db", "SELECT DISTINCT run_id, attempt, rank FROM metrics")
    assert rows == [(1, 1, 0), (1, 1, 1)]


def test_without_torchrun_every_process_has_its_own_run(tmp_path):
    """A variable RANK alone, which other launchers set too, makes no rank."""
    code, output, errors = run_script(tmp_path, TRAINING, RANK="1")
    assert (code, output, errors) == (0, "1 2\n", "")


def _folder(tmp_path, restart, rank):
    folder = tmp_path / f"{restart}-{rank}"
    folder.mkdir()
    return folder


def _environment():
    ours = ("RANK", "WORLD_SIZE", "MASTER_", "TORCHELASTIC_", "LOCAL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _rank(rank, restart):
    return {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": str(restart),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "29500",
    }
