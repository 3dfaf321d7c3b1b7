from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from stores import ask, finder_for, logger_for, run_script

from ato.db_routers.sql import engine as engine_module
from ato.db_routers.sql.engine import REVISION, open_store, store_url
from ato.exceptions import NoDatabaseError, NotADatabaseError, SchemaVersionError, StoreError

pytestmark = pytest.mark.file


@pytest.fixture
def store(path):
    engine = open_store(path, must_exist=False)
    yield engine
    engine.dispose()


def test_a_path_and_its_url_name_one_store(tmp_path, monkeypatch):
    """A plain path is the SQLite URL of that path, made absolute at once."""
    monkeypatch.chdir(tmp_path)
    assert store_url("runs.db") == store_url("sqlite:///runs.db")
    assert store_url("runs.db").database == str(tmp_path / "runs.db")


def test_without_a_name_the_store_is_the_environments(tmp_path, monkeypatch):
    """Readers ask `ATO_DB`, then `experiments.db` in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert store_url(None).database == str(tmp_path / "experiments.db")
    monkeypatch.setenv("ATO_DB", str(tmp_path / "other.db"))
    assert store_url(None).database == str(tmp_path / "other.db")


def test_other_databases_are_refused():
    """An address of another database is answered by what there is, without its password."""
    with pytest.raises(StoreError, match=r"SQLite and PostgreSQL, and mysql://me:\*\*\*@host/runs"):
        open_store("mysql://me:hunter2@host/runs")


def test_what_is_no_url_is_refused():
    """An unreadable URL is an error that repeats it."""
    with pytest.raises(StoreError, match="neither a path nor a database URL"):
        store_url("://nothing")


def test_a_missing_database_is_named_with_its_place(path):
    """Reading where there is no database says where it looked, and creates nothing."""
    with pytest.raises(NoDatabaseError, match=str(path)):
        open_store(path)
    assert not path.exists()


def test_a_missing_folder_is_named(tmp_path):
    """A store in a folder that does not exist is refused with the folder's name."""
    with pytest.raises(NoDatabaseError, match="folder .*nowhere does not exist"):
        open_store(tmp_path / "nowhere" / "runs.db", must_exist=False)


def test_a_folder_is_no_database(tmp_path):
    """A folder's path is told apart from a file's."""
    with pytest.raises(NotADatabaseError, match="is a folder"):
        open_store(tmp_path)


@pytest.mark.parametrize("must_exist", [True, False])
def test_another_file_is_no_database(path, must_exist):
    """A file that is no database is refused and left as it is."""
    path.write_bytes(b"these are weights, not rows" * 100)
    with pytest.raises(NotADatabaseError, match="is not a database"):
        open_store(path, must_exist=must_exist)
    assert path.read_bytes() == b"these are weights, not rows" * 100


@pytest.mark.parametrize("must_exist", [True, False])
def test_another_programs_database_is_refused(path, must_exist):
    """An SQLite file of another program gets no tables of ours."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(NotADatabaseError, match="not one of Ato's"):
        open_store(path, must_exist=must_exist)
    assert ask(path, "SELECT name FROM sqlite_master") == [("bookmarks",)]


def test_another_alembic_database_is_refused(path):
    """A database that another program's migrations made is told by its revision."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('ab12cd34')")
        connection.commit()
    with pytest.raises(NotADatabaseError, match="'ab12cd34'"):
        open_store(path)


def test_a_damaged_database_is_told(path):
    """A database whose pages were overwritten is refused with a sentence, not a traceback of SQL."""
    open_store(path, must_exist=False).dispose()
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(content)
    with pytest.raises(NotADatabaseError, match="damaged"):
        open_store(path)


def test_an_empty_file_holds_no_runs(path):
    """An empty file is no store to read, and becomes one when it is written."""
    path.touch()
    with pytest.raises(NotADatabaseError, match="empty"):
        open_store(path)
    open_store(path, must_exist=False).dispose()
    open_store(path).dispose()


def test_a_newer_schema_is_refused(store, path):
    """A database of a newer Ato is refused with both revisions, and stays as it is."""
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for must_exist in (True, False):
        with pytest.raises(SchemaVersionError, match=f"schema 9999.*up to {REVISION}"):
            open_store(path, must_exist=must_exist)


def test_an_older_schema_is_upgraded_and_kept_beside(store, path):
    """A database of an older revision is upgraded on open; a copy of it lies beside it before."""
    with store.begin() as connection:
        for table in reversed(engine_module.Base.metadata.sorted_tables):
            table.drop(connection)
        connection.execute(text("DELETE FROM alembic_version"))
    store.dispose()
    open_store(path).dispose()
    assert ask(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    assert ask(path, "SELECT count(*) FROM experiments") == [(0,)]
    backup = path.with_name(f"runs.db.before-{REVISION}")
    assert ask(backup, "SELECT name FROM sqlite_master WHERE name LIKE '%version'") == [
        ("alembic_version",)
    ]


def test_settings_hold_on_every_connection(store):
    """WAL, foreign keys, the timeout and the sync level are as the table of settings says."""
    with store.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert found == {
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "synchronous": 1,
    }


def test_a_reader_does_not_wait_for_a_writer(store, path):
    """While a write transaction is open, finders answer at once and writers wait their turn."""
    with store.connect().execution_options(ato_write=True) as connection, connection.begin():
        connection.execute(text("INSERT INTO projects (name, created_at) VALUES ('p', 0)"))
        finder = finder_for(path)
        assert finder.find_project("p") is None
        finder.engine.dispose()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user")
def test_a_file_of_another_user_can_be_read():
    """Who may read the file but not write reads the runs, and is told so when writing."""
    # Not pytest's folder, which it keeps from other users.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with logger_for(folder / "runs.db") as logger:
            logger.run(name="baseline")
            logger.log_metric("loss", 0.5, 0)
        logger.engine.dispose()
        code, output, errors = run_script(folder, READ_AS_NOBODY)
        assert code == 0, errors
        assert output.splitlines()[0] == "0.5"
        assert "StoreError" in output and "read-only" in output
        folder.chmod(0o700)
        _, output, errors = run_script(folder, READ_AS_NOBODY)
        assert "StoreError: " in errors and "permission" in errors


READ_AS_NOBODY = """
    import os
    import sqlalchemy, sqlalchemy.dialects.sqlite.pysqlite
    from ato.db_routers.sql import queries, opening, recorder
    from ato.db_routers.sql.manager import SQLFinder, SQLLogger
    os.setuid(65534)
    finder = SQLFinder(os.environ["DB"])
    print(finder.find_run(1).metrics[0].value)
    try:
        config = {"experiment": {"sql": {"db_path": os.environ["DB"]}}}
        SQLLogger(config, on_error="raise").run()
    except Exception as error:
        print(type(error).__name__, error)
"""
