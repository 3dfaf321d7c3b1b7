from __future__ import annotations

import csv
import json

import polars as pl
import pytest
from sqlalchemy import text
from stores import logger_for

from ato.db_routers.sql.engine import open_store, write
from ato.db_routers.sql.journals import folder_of
from ato.db_routers.sql.keeping import kept_path
from ato.db_routers.sql.maintenance import EXPORT_FORMATS, check_store, export_store
from ato.exceptions import StoreError, UnknownRunError


@pytest.fixture
def store(path, tmp_path):
    for project, lr in (("digits", 0.1), ("digits", "auto"), ("other", 3)):
        with logger_for(path, project, lr=lr) as logger:
            run_id = logger.run()
            (tmp_path / "model.pt").write_text(f"weights {lr}")
            logger.log_artifact(run_id, tmp_path / "model.pt", copy=True)
            for step, value in enumerate([1.0, float("nan"), float("inf")]):
                logger.log_metric("loss", value, step)
        logger.engine.dispose()
    engine = open_store(path)
    yield engine
    engine.dispose()


def test_a_whole_store_has_no_faults(store):
    """Nothing is wrong with a store that was only used."""
    assert check_store(store) == []


def test_faults_are_named(store):
    """A wrong summary, a journal put aside and a kept file that is damaged or gone are each said."""
    write(store, lambda c: c.execute(text("DELETE FROM metrics WHERE run_id = 2 AND step = 1")))
    folder = folder_of(store)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / "1-0-0-0-x.journal.damaged"
    aside.write_bytes(b"?")
    with store.connect() as connection:
        digests = connection.scalars(text("SELECT digest FROM artifacts ORDER BY id")).all()
    kept = [kept_path(store, digest) for digest in digests]
    kept[0].unlink()
    kept[1].chmod(0o644)
    kept[1].write_bytes(b"other")
    faults = check_store(store)
    aside.unlink()
    assert "run 2: metric 'loss' has 2 points, its summary counts 3" in faults
    assert any("put aside" in fault for fault in faults)
    assert [fault.rpartition(" ")[2] for fault in faults if "artifact" in fault] == [
        "missing",
        "changed",
    ]


@pytest.mark.file
def test_a_row_that_refers_to_nothing_is_a_fault(store):
    """A reference to a row that is gone is found in a file, which checks none by itself."""
    with store.connect() as connection:
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA foreign_keys=0")
        raw.execute("DELETE FROM projects WHERE name = 'other'")
        raw.execute("PRAGMA foreign_keys=1")
    assert check_store(store) == [
        "database: row 3 of experiments refers to a row of projects that is gone"
    ]


def _read(path):
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("file_format", EXPORT_FORMATS)
def test_a_store_is_exported(store, tmp_path, file_format):
    """Runs and points are two files; every point is there, NaN and infinity included."""
    paths = export_store(store, tmp_path / "out", file_format)
    assert [path.name for path in paths] == [f"runs.{file_format}", f"metrics.{file_format}"]
    runs, points = map(_read, paths)
    assert [run["project"] for run in runs] == ["digits", "digits", "other"]
    assert [str(run["config.lr"]) for run in runs] == ["0.1", "auto", "3"]
    assert [str(run["metrics.loss"]).lower()[:3] for run in runs] == ["inf"] * 3
    assert [(int(p["run"]), p["key"], int(p["step"])) for p in points] == [
        (run, "loss", step) for run in (1, 2, 3) for step in (0, 1, 2)
    ]
    assert [str(p["value"]).lower()[:3] for p in points[:3]] == ["1.0", "nan", "inf"]
    only = export_store(store, tmp_path / "only", file_format, "other")
    assert len(_read(only[0])) == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)


def test_what_cannot_be_exported(store, tmp_path):
    """An unknown format or project, or a folder that cannot be made, is an error."""
    with pytest.raises(StoreError, match="not 'xlsx'"):
        export_store(store, tmp_path, "xlsx")
    with pytest.raises(UnknownRunError, match="no project 'digit'"):
        export_store(store, tmp_path, "csv", "digit")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        export_store(store, tmp_path / "file", "csv")
