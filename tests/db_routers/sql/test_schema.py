from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import databases, server
from sqlalchemy import Column, MetaData, Table, create_engine, delete, insert, select
from stores import ask, logger_for

from ato.db_routers.sql import schema
from ato.db_routers.sql.engine import open_store, store_url
from ato.db_routers.sql.migrations import upgrade


def test_a_new_file_has_the_schema_that_all_migrations_lead_to(tmp_path):
    """A new file has the same tables, columns, constraints and indices as one that was migrated."""
    open_store(tmp_path / "new.db", must_exist=False).dispose()
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with migrated.begin() as connection:
        upgrade(connection)
    migrated.dispose()
    assert _definitions(tmp_path / "new.db") == _definitions(tmp_path / "migrated.db")


def _definitions(path):
    rows = ask(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    # The order in which a table's constraints are listed means nothing.
    return {
        name: sorted(line.strip(" \t,") for line in sql.splitlines() if line.strip())
        for name, sql in rows
        if name != "alembic_version"
    }


def test_public_tables_are_named_as_ever():
    """The five classes that code written against the store imports are there."""
    names = {"Project", "Experiment", "Metric", "Artifact", "Fingerprint"}
    assert names <= set(schema.__all__)


@pytest.mark.parametrize("url", databases(), indirect=True)
def test_every_float_comes_back(url):
    """NaN, infinities, subnormals and all others come back from a database as they went in."""
    engine = create_engine(url)
    table = Table("t", MetaData(), Column("value", schema.Real))
    with engine.begin() as connection:
        table.create(connection)

        @given(st.floats())
        def check(value):
            connection.execute(delete(table))
            connection.execute(insert(table), {"value": value})
            found = connection.scalars(select(table.c.value)).one()
            assert math.isnan(found) if math.isnan(value) else found == value

        check()
    engine.dispose()


@pytest.fixture
def url(request):
    if request.param == "sqlite":
        return "sqlite://"
    return store_url(server().new_database())


def test_runs_share_what_is_equal(path):
    """Two runs with one config and one environment have one row of each."""
    logger = logger_for(path, lr=0.1)
    for _ in range(2):
        logger.run()
        logger.finish()
    logger.engine.dispose()
    counts = [ask(path, f"SELECT count(*) FROM {t}") for t in ("configs", "environments")]
    assert counts == [[(1,)], [(1,)]]
    assert ask(path, "SELECT count(*) FROM experiments") == [(2,)]


def test_ids_of_deleted_runs_are_not_given_again(path):
    """The id of a run names that run forever."""
    logger = logger_for(path)
    logger.run()
    logger.finish()
    with logger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM calls")
        connection.exec_driver_sql("DELETE FROM experiments")
    assert logger.run() == 2
    logger.finish()
    logger.engine.dispose()
