"""What is a server's own: reaching it, its errors, its locks. Collected where a server is installed;
what a store does on it, the other tests here say of both databases."""

from __future__ import annotations

import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from servers import PASSWORD, Server, server
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stores import ask, finder_for, logger_for, start_script

from ato.db_routers.sql import engine as engine_module
from ato.db_routers.sql.engine import REVISION, explain_failure, open_store, store_url, write
from ato.db_routers.sql.manager import SQLFinder
from ato.db_routers.sql.migrations import upgrade
from ato.db_routers.sql.schema import Base
from ato.exceptions import NoDatabaseError, NotADatabaseError, SchemaVersionError, StoreError


@pytest.fixture
def store():
    engine = open_store(server().new_store())
    yield engine
    engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_the_driver_need_not_be_named(scheme):
    """The usual URLs of a server are taken, and the driver is the one that Ato comes with."""
    assert store_url(f"{scheme}://me@host/runs").drivername == "postgresql+psycopg"


def test_a_fresh_database_gets_its_tables():
    """A store is made in an empty database when a run is recorded, and only then."""
    url = server().new_database()
    with pytest.raises(NotADatabaseError, match="empty: it holds no runs"):
        open_store(url)
    with logger_for(url, lr=0.1) as logger:
        assert logger.run() == 1
        logger.log_metric("loss", 0.5, 0)
    logger.engine.dispose()
    assert ask(url, "SELECT version_num FROM alembic_version") == [(REVISION,)]
    assert ask(url, "SELECT count(*) FROM metrics") == [(1,)]


def test_the_tables_are_those_that_all_migrations_lead_to():
    """A migrated database has no difference from the schema as it is declared."""
    engine = engine_module._engine(store_url(server().new_database()))
    write(engine, upgrade)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_an_upgrade_happens_once_and_whole(store):
    """A database of an older revision is upgraded when it is opened, by one of those who open it."""
    with store.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            table.drop(connection)
        connection.execute(text("DELETE FROM alembic_version"))
    failures: list[Exception] = []

    def opened():
        try:
            open_store(store.url).dispose()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=opened) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.connect() as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [
            REVISION
        ]


def test_a_newer_schema_is_refused(store):
    """A database of a newer Ato is refused with both revisions."""
    with store.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaVersionError, match=f"schema 9999.*up to {REVISION}"):
        open_store(store.url)


def test_another_programs_database_is_refused():
    """A database with tables of another program gets none of ours."""
    url = server().new_database()
    engine = engine_module._engine(store_url(url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bookmarks (url TEXT)"))
    engine.dispose()
    with pytest.raises(NotADatabaseError, match="not one of Ato's"):
        open_store(url, must_exist=False)


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        (lambda s: s.url("absent"), NoDatabaseError, "does not exist on the server"),
        (lambda s: s.url("postgres", password="hunter2"), StoreError, "user and password"),
        (lambda s: s.url("postgres", user="nobody"), StoreError, "user and password"),
        (lambda s: "postgresql://me:hunter2@127.0.0.1:1/runs", StoreError, "no server answers"),
        (lambda s: "postgresql://me:hunter2@no.such.host.invalid/runs", StoreError, "no host"),
        (lambda s: "postgresql://me:hun/ter2@host:port/runs", StoreError, "neither"),
        (lambda s: "postgresql://me@host:port/runs?password=hunter2", StoreError, "neither"),
        (lambda s: "postgresql://me@127.0.0.1:1/runs?password=hunter2", StoreError, "no server"),
    ],
)
def test_a_store_that_cannot_be_opened(url, kind, said):
    """What is wrong is said in a sentence, and no password is in it or in what caused it."""
    with pytest.raises(kind, match=said) as caught:
        open_store(url(server()))
    shown: BaseException | None = caught.value
    while shown is not None:
        assert PASSWORD not in str(shown)
        assert "ter2" not in str(shown)
        shown = shown.__cause__


def test_a_server_that_went_away_is_waited_for():
    """When a server is gone a finder says so, and answers again once the server is back."""
    other = Server()
    url = other.new_store()
    with logger_for(url) as logger:
        logger.run()
    finder = finder_for(url)
    assert finder.find_run(1).status == "completed"
    other.stop()
    with pytest.raises((StoreError, DBAPIError)) as caught:
        finder.find_run(1)
    if isinstance(caught.value, DBAPIError):
        said = str(explain_failure(caught.value, finder.engine))
        assert "cannot be reached" in said or "was lost" in said
    other.start()
    assert finder.find_run(1).status == "completed"
    finder.engine.dispose()
    logger.engine.dispose()
    other.remove()


def test_writers_take_turns(store):
    """A writer waits until the one before it is done, and sees what that one wrote."""
    order: list[str] = []
    begun = threading.Event()

    def first(connection):
        connection.execute(text("INSERT INTO projects (name, created_at) VALUES ('p', 0)"))
        begun.set()
        time.sleep(0.2)
        order.append("first")

    def second(connection):
        order.append("second")
        return connection.scalar(text("SELECT count(*) FROM projects"))

    thread = threading.Thread(target=write, args=(store, first))
    thread.start()
    assert begun.wait(30)
    assert write(store, second) == 1
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_that_is_never_let_go_is_told(store, monkeypatch):
    """A writer that cannot get its turn says so after the timeout."""
    monkeypatch.setattr(engine_module, "BUSY_TIMEOUT", 0.1)
    with store.connect().execution_options(ato_write=True) as connection, connection.begin():
        connection.execute(text("SELECT 1"))
        with pytest.raises(DBAPIError) as caught:
            write(store, lambda other: other.execute(text("SELECT 1")))
    assert "was locked by another process all the time" in str(explain_failure(caught.value, store))


def test_a_reader_sees_one_moment(store):
    """All queries of a reading transaction see the store as it was when the first one began."""
    with store.connect() as reader:
        assert reader.scalar(text("SELECT count(*) FROM projects")) == 0
        write(
            store,
            lambda c: c.execute(text("INSERT INTO projects (name, created_at) VALUES ('p', 0)")),
        )
        assert reader.scalar(text("SELECT count(*) FROM projects")) == 0
    assert SQLFinder(store.url).find_project("p") is not None


LOGGING = """
import os
from ato.db_routers.sql.manager import SQLLogger
logger = SQLLogger({"experiment": {"sql": {"db_path": os.environ["DB"]}}})
logger.run()
for step in range(25):
    logger.log_metrics({"loss": step, "acc": -step}, step)
logger.finish()
"""


def test_several_processes_start_on_an_empty_database(tmp_path):
    """Processes may start at once on a database without tables: none fails, no row is lost."""
    url = server().new_database()
    processes = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        processes.append(start_script(tmp_path / str(number), LOGGING, DB=url))
    for process in processes:
        with process:
            _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    assert sorted(ask(url, "SELECT id, status FROM experiments")) == [
        (number, "completed") for number in (1, 2, 3)
    ]
    assert ask(url, "SELECT count(*) FROM metrics") == [(3 * 25 * 2,)]
    assert ask(url, "SELECT count(*) FROM projects") == [(1,)]
