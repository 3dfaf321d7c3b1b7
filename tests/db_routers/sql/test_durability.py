"""What is acknowledged is kept, whatever happens to the process, and however many there are."""

from __future__ import annotations

import os

import pytest
from stores import ask, finder_for, logger_for, run_script, start_script

LOGGING = """
import os, sys
from ato.db_routers.sql.manager import SQLLogger
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
logger.run(name=sys.argv[1])
for step in range(int(sys.argv[2])):
    logger.log_metrics({"loss": step, "acc": -step}, step)
"""


KILLED = """
import os, random, signal, sys, time
from ato.db_routers.sql.manager import SQLLogger
pause = float(sys.argv[2])
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
import sqlalchemy, ato.db_routers.sql.opening, ato.db_routers.sql.recorder
for number in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        logger.run(name=str(number))
        acknowledged = os.open(f"{number}.txt", os.O_CREAT | os.O_WRONLY)
        for step in range(1_000_000):
            logger.log_metrics({"loss": step, "acc": -step}, step)
            os.write(acknowledged, b"x")
            time.sleep(pause) if pause else None
    while not os.path.exists(f"{number}.txt"):
        time.sleep(0.001)
    time.sleep(random.Random(number).uniform(0.0, 0.05 + 5 * pause))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

# All that was asked for once is 200; see `test_acknowledged_metrics_outlive_sigkill`.
KILLS = int(os.environ.get("ATO_TEST_KILLS", "12"))


@pytest.mark.file
@pytest.mark.parametrize("pause", ["0", "0.2"], ids=["full speed", "5 a second"])
def test_acknowledged_metrics_outlive_sigkill(tmp_path, pause):
    """Processes killed at random moments lose no point that a log call has returned from."""
    kills = KILLS if pause == "0" else max(1, KILLS // 6)
    code, _, errors = run_script(tmp_path, KILLED, str(kills), pause, timeout=590)
    assert (code, errors) == (0, "")
    path = tmp_path / "runs.db"
    finder = finder_for(path)
    for number in range(kills):
        run = finder.find_run(number + 1)
        acknowledged = (tmp_path / f"{number}.txt").stat().st_size
        assert (run.status, run.end_time, run.name) == ("crashed", None, str(number))
        losses = [p.value for p in run.metrics if p.key == "loss"]
        assert acknowledged <= len(losses) <= acknowledged + 1
        assert losses == list(range(len(losses)))
        assert [p.value for p in run.metrics if p.key == "acc"] == [-loss for loss in losses]
    finder.engine.dispose()
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    assert not (tmp_path / "runs.db.journals").exists()
    logger = logger_for(path)
    assert logger.run(resume=kills) == kills
    logger.finish()
    logger.engine.dispose()


def test_sixty_four_processes_start_on_a_fresh_file(tmp_path):
    """Sixty-four processes may start at once where there is no database, and all log into it."""
    code, _, errors = run_script(
        tmp_path,
        """
        import os
        from ato.db_routers.sql.manager import SQLLogger
        import sqlalchemy, ato.db_routers.sql.opening, ato.db_routers.sql.recorder
        begin, go = os.pipe()
        children = []
        for number in range(64):
            child = os.fork()
            if child == 0:
                os.close(go)
                os.read(begin, 1)  # ends for all of them at once
                logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
                logger.run(name=str(number))
                for step in range(10):
                    logger.log_metrics({"loss": step, "acc": -step}, step)
                logger.finish()
                os._exit(0)
            children.append(child)
        os.close(go)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 64
        """,
        timeout=300,
    )
    assert (code, errors) == (0, "")
    path = tmp_path / "runs.db"
    assert ask(path, "SELECT count(*), count(DISTINCT name) FROM experiments") == [(64, 64)]
    assert ask(path, "SELECT count(*) FROM metrics") == [(64 * 10 * 2,)]
    assert ask(path, "SELECT DISTINCT status FROM experiments") == [("completed",)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


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
