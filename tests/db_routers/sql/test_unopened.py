"""A store that cannot be opened costs a warning: the run goes on, and enters the store later."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

import pytest
import servers
from stores import ask, config_for, finder_for, kill, logger_for, run_script, start_script

from ato.db_routers.sql.engine import REVISION, open_store
from ato.db_routers.sql.manager import SQLLogger
from ato.exceptions import NoActiveRunError, NoDatabaseError, SchemaVersionError, StoreError


class Missing:
    """A store in a folder that is not there yet."""

    said = "the folder .*nowhere does not exist"

    def __init__(self, folder):
        self.path = folder / "nowhere" / "runs.db"

    def mend(self):
        self.path.parent.mkdir()


class Corrupt:
    """A store whose file is something else; whoever mends it moves that away."""

    said = "is not a database"

    def __init__(self, folder):
        self.path = folder / "runs.db"
        self.path.write_bytes(b"these are weights, not rows" * 100)

    def mend(self):
        self.path.unlink()


class Newer:
    """A store of a newer version, which the next version can open."""

    said = f"schema 9999.*up to {REVISION}"

    def __init__(self, folder):
        self.path = folder / "runs.db"
        open_store(self.path, must_exist=False).dispose()
        self._set("9999")

    def _set(self, revision):
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            connection.commit()

    def mend(self):
        self._set(REVISION)


@pytest.fixture(params=[Missing, Corrupt, Newer])
def trouble(request, tmp_path):
    return request.param(tmp_path)


def test_a_run_of_a_store_that_cannot_be_opened_enters_it_later(trouble, tmp_path):
    """One warning, a run without an id, and all that it logged is in the store once that opens."""
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"abc")
    logger = logger_for(trouble.path, lr=0.1)
    with pytest.warns(RuntimeWarning, match=trouble.said + ".*The run goes on, without") as said:
        assert logger.run(name="first", tags=["a"], notes="odd") == 0
        logger.log_metric("loss", float("nan"), 0)
        logger.log_metrics({"loss": 0.5, "acc": 1.0}, 1)
        logger.log_input(weights)
        logger.log_artifact(0, weights, metadata={"epoch": 3})
        assert (logger.get_current_run_id(), logger.get_current_run()) == (0, None)
        logger.finish()
    assert len(said) == 1
    with pytest.raises(NoActiveRunError):
        logger.log_metric("loss", 0.5, 0)
    trouble.mend()
    with logger_for(trouble.path) as other:
        assert other.run() == 1
    run = finder_for(trouble.path).find_run(2)
    assert (run.name, run.status, run.tags, run.notes) == ("first", "completed", ["a"], "odd")
    assert run.config.lr == 0.1
    assert [(p.key, repr(p.value)) for p in run.metrics] == [
        ("loss", "nan"),
        ("loss", "0.5"),
        ("acc", "1.0"),
    ]
    assert [(a.path, a.details) for a in run.artifacts] == [(str(weights), {"epoch": 3})]
    assert ask(trouble.path, "SELECT path FROM inputs WHERE run_id = 2") == [(str(weights),)]
    assert list(Path(os.environ["ATO_STATE_DIR"]).glob("journals/*/*")) == []
    assert not trouble.path.with_name("runs.db.journals").exists()
    other.engine.dispose()


def test_a_store_that_opens_again_has_the_run_at_its_end(trouble):
    """What is mended while the run goes on has the run when it finishes, without another word."""
    logger = logger_for(trouble.path)
    with pytest.warns(RuntimeWarning, match="The run goes on, without an id"):
        logger.run()
    logger.log_metric("loss", 0.5, 0)
    trouble.mend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.finish()
    assert ask(trouble.path, "SELECT id, status FROM experiments") == [(1, "completed")]
    assert ask(trouble.path, "SELECT count(*) FROM metrics") == [(1,)]
    logger.engine.dispose()


def test_the_strict_get_the_error(trouble):
    """With `on_error="raise"` a store that cannot be opened is an error of `run()`."""
    logger = SQLLogger(config_for(trouble.path), on_error="raise")
    with pytest.raises((StoreError, NoDatabaseError, SchemaVersionError), match=trouble.said):
        logger.run()
    assert logger.get_current_run_id() is None


def test_a_wrong_address_is_an_error():
    """An address of no store is a mistake in the config, and no trouble with the store."""
    with pytest.raises(StoreError, match="SQLite and PostgreSQL"):
        logger_for("mysql://me:hunter2@host/runs").run()
    with pytest.raises(StoreError, match="neither a path nor a database URL"):
        logger_for("://nothing").run()


def test_a_killed_run_without_a_row_comes_in_as_crashed(tmp_path):
    """What a process logged before it was killed, workers included, is kept without a store too."""
    with start_script(
        tmp_path,
        """
        import os, time
        from ato.db_routers.sql.manager import SQLLogger
        logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
        assert logger.run(name="killed") == 0
        for step in range(10):
            logger.log_metric("loss", step / 4, step)
        if os.fork() == 0:
            logger.log_metric("loaded", 7, 0)
            os._exit(0)
        os.wait()
        print("logged", flush=True)
        time.sleep(60)
        """,
        DB=str(tmp_path / "later" / "runs.db"),
    ) as process:
        assert process.stdout.readline() == "logged\n"
        kill(process)
    (tmp_path / "later").mkdir()
    path = tmp_path / "later" / "runs.db"
    open_store(path, must_exist=False).dispose()
    finder = finder_for(path)
    (run,) = finder.get_runs_in_project("default")
    assert (run.id, run.name, run.status) == (1, "killed", "crashed")
    assert [p.value for p in run.metrics if p.key == "loss"] == [step / 4 for step in range(10)]
    assert [p.value for p in run.metrics if p.key == "loaded"] == [7.0]
    finder.engine.dispose()
    logger = logger_for(path)
    assert logger.run(resume="killed") == 1
    logger.finish()
    logger.engine.dispose()


def test_ranks_of_a_launch_are_one_run_there_too(tmp_path):
    """Whichever rank's journal is met first, the rows of all ranks enter the run of rank 0."""
    path = tmp_path / "later" / "runs.db"
    for rank in ("1", "0"):
        folder = tmp_path / rank
        folder.mkdir()
        code, output, errors = run_script(
            folder,
            """
            import os, warnings
            from ato.db_routers.sql.manager import SQLLogger
            warnings.simplefilter("ignore")
            logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
            print(logger.run(name="launched"))
            logger.log_metric("loss", int(os.environ["RANK"]), 0)
            logger.finish()
            """,
            DB=str(path),
            RANK=rank,
            TORCHELASTIC_RUN_ID="job 7",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT="29500",
        )
        assert (code, output, errors) == (0, "0\n", "")
        if rank == "1":
            path.parent.mkdir()
            open_store(path, must_exist=False).dispose()
            early = finder_for(path)
            assert early.get_runs_in_project("default") == []
            early.engine.dispose()
            path.parent.rename(tmp_path / "away")
    (tmp_path / "away").rename(path.parent)
    finder = finder_for(path)
    (run,) = finder.get_runs_in_project("default")
    assert (run.name, run.status) == ("launched", "completed")
    assert sorted((p.rank, p.value) for p in run.metrics) == [(0, 0.0), (1, 1.0)]
    finder.engine.dispose()


def test_one_to_resume_is_recorded_as_a_run_of_its_own(tmp_path):
    """Where the run to resume cannot be looked up, training goes on in a new one."""
    path = tmp_path / "absent" / "runs.db"
    logger = logger_for(path)
    with pytest.warns(RuntimeWarning, match="without an id"):
        assert logger.run(resume="latest") == 0
    logger.finish()
    path.parent.mkdir()
    open_store(path, must_exist=False).dispose()
    finder = finder_for(path)
    assert [run.status for run in finder.get_runs_in_project("digits")] == ["completed"]
    finder.engine.dispose()


def test_with_no_place_at_all_what_is_lost_is_counted(tmp_path, monkeypatch):
    """Where neither store nor journal can be written the run goes on, and its end says what it cost."""
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("ATO_STATE_DIR", str(blocked / "state"))
    logger = logger_for(tmp_path / "absent" / "runs.db")
    with pytest.warns(RuntimeWarning, match=r"waits in memory.*finish\(\) says") as said:
        assert logger.run() == 0
    for step in range(5):
        logger.log_metric("loss", step, step)
    assert len(said) == 1
    with pytest.warns(RuntimeWarning, match="8 records were not kept") as said:
        logger.finish()  # the points, the run's row, its end, and its own call record
    assert len(said) == 1


def test_what_waited_in_memory_enters_a_store_that_opens_again(tmp_path, monkeypatch):
    """Without a journal the records are written to the tables at the end, with the run's row."""
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("ATO_STATE_DIR", str(blocked / "state"))
    path = tmp_path / "absent" / "runs.db"
    logger = logger_for(path)
    with pytest.warns(RuntimeWarning, match="waits in memory"):
        logger.run(name="first")
    logger.log_metric("loss", 0.5, 0)
    path.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logger.finish()
    assert ask(path, "SELECT name, status FROM experiments") == [("first", "completed")]
    assert ask(path, "SELECT value FROM metrics") == [(0.5,)]
    logger.engine.dispose()


READ_ONLY = """
    import os, warnings
    from ato.db_routers.sql.manager import SQLFinder, SQLLogger
    with SQLLogger({"experiment": {"sql": {"db_path": "warm.db"}}}) as logger:
        logger.run()  # what is imported only then may be in a folder of root's
        logger.log_metric("loss", 0.25, 0)
    print(SQLFinder("warm.db").get_runs_in_project("default")[0].metrics[0].value)
    if os.geteuid() == 0:
        os.setuid(65534)
    logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run_id = logger.run(name="second")
        logger.log_metric("loss", 0.25, 0)
        logger.finish()
    print(run_id, len(said), said[0].message)
    finder = SQLFinder(os.environ["DB"])
    print([(run.name, run.metrics[0].value) for run in finder.get_runs_in_project("default")])
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are otherwise elsewhere")
def test_a_run_on_a_read_only_file_is_seen_there():
    """Who may only read the store still records, sees the run, and brings it in when allowed to."""
    # Not pytest's folder, which it keeps from other users.
    with tempfile.TemporaryDirectory() as name:
        folder, state = Path(name, "store"), Path(name, "state")
        Path(name).chmod(0o755)
        folder.mkdir()
        state.mkdir()
        state.chmod(0o777)
        logger = SQLLogger({"experiment": {"sql": {"db_path": str(folder / "runs.db")}}})
        with logger:
            logger.run(name="first")
            logger.log_metric("loss", 0.5, 0)
        logger.engine.dispose()
        (folder / "runs.db").chmod(0o444)
        folder.chmod(0o555)
        code, output, errors = run_script(
            Path(name), READ_ONLY, DB=str(folder / "runs.db"), ATO_STATE_DIR=str(state)
        )
        assert (code, errors) == (0, "")
        _, first, second = output.splitlines()
        assert first.startswith("0 1 ") and "is read-only" in first
        assert second == "[('first', 0.5), ('second', 0.25)]"
        folder.chmod(0o755)
        (folder / "runs.db").chmod(0o644)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ATO_STATE_DIR", str(state))
            finder = finder_for(folder / "runs.db")
            assert finder.find_run(2).name == "second"
            finder.engine.dispose()


if "postgresql" in servers.databases():

    def test_a_server_that_is_down_loses_nothing():
        """A run that begins while the server is down is in the database when it is up again."""
        server = servers.Server()
        url = server.new_store()
        server.stop()
        logger = logger_for(url, lr=0.1)
        with pytest.warns(RuntimeWarning, match="no server answers.*without an id") as said:
            assert logger.run(name="down") == 0
            logger.log_metric("loss", 0.5, 0)
            logger.finish()
        assert len(said) == 1
        server.start()
        run = finder_for(url).find_run(1)
        assert (run.name, run.status, run.config.lr) == ("down", "completed", 0.1)
        assert [p.value for p in run.metrics] == [0.5]
        run._engine.dispose()
        server.remove()
