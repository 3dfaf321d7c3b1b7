from __future__ import annotations

import stat

import numpy as np
import pandas as pd
import polars as pl
import pytest
from stores import logger_for

from ato.db_routers.sql.keeping import folder_of, kept_path, restore
from ato.db_routers.sql.keeping import verify as verify_artifacts
from ato.db_routers.sql.manager import SQLFinder
from ato.exceptions import NoActiveRunError, StoreError, UnknownRunError


@pytest.fixture
def logger(path):
    logger = logger_for(path)
    logger.run()
    yield logger
    logger.finish()
    logger.engine.dispose()


def _artifacts(logger):
    finder = SQLFinder(logger.engine.url)
    found = finder.find_run(1).artifacts
    finder.engine.dispose()
    return found


def test_a_copy_outlives_its_file(logger, tmp_path):
    """With `copy=True` the bytes are kept once, whatever becomes of the file, and can be had back."""
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    logger.log_artifact(1, file, copy=True)
    (tmp_path / "same.pt").write_bytes(b"weights")
    logger.log_artifact(1, tmp_path / "same.pt", copy=True)
    file.write_bytes(b"other weights")
    first, second = _artifacts(logger)
    assert first.kept and first.digest == second.digest
    kept = kept_path(logger.engine, first.digest)
    assert [path for path in folder_of(logger.engine).rglob("*") if path.is_file()] == [kept]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    restore(logger.engine, first, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == b"weights"


def test_a_folder_is_kept_and_restored(logger, tmp_path):
    """A directory's files are kept one by one and come back under their names."""
    folder = tmp_path / "checkpoint"
    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "b").write_bytes(b"2")
    (folder / "a").write_bytes(b"1")
    logger.log_artifact(1, folder, copy=True)
    (artifact,) = _artifacts(logger)
    restore(logger.engine, artifact, tmp_path / "again")
    assert (tmp_path / "again" / "shards" / "b").read_bytes() == b"2"
    assert (tmp_path / "again" / "a").read_bytes() == b"1"


def test_what_was_not_kept_cannot_be_restored(logger, tmp_path):
    """An artifact without a copy, or whose copy is gone, says so."""
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    logger.log_artifact(1, file)
    logger.log_artifact(1, file, copy=True)
    plain, kept = _artifacts(logger)
    with pytest.raises(StoreError, match="were not kept"):
        restore(logger.engine, plain, tmp_path / "again")
    kept_path(logger.engine, kept.digest).unlink()
    with pytest.raises(StoreError, match="are gone"):
        restore(logger.engine, kept, tmp_path / "again")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
def test_paths_do_not_leave_the_folder(logger, tmp_path, name):
    """A tree that someone wrote into the database to lead elsewhere is refused, nothing written."""
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"1")
    logger.log_artifact(1, tmp_path / "d", copy=True)
    (artifact,) = _artifacts(logger)
    artifact.tree = {name: artifact.tree["f"]}
    with pytest.raises(StoreError, match="outside of"):
        restore(logger.engine, artifact, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    for digest in ("../../etc/passwd", "A" * 64, "", "0" * 63):
        with pytest.raises(StoreError, match="no BLAKE3 digest"):
            kept_path(logger.engine, digest)


def test_verifying_says_what_is_no_longer_what_it_was(logger, tmp_path):
    """Files are digested again where they were and where they are kept; references never were."""
    for name in ("same", "changed", "missing"):
        (tmp_path / name).write_bytes(name.encode())
        logger.log_artifact(1, tmp_path / name, copy=name == "changed")
    with pytest.warns(RuntimeWarning, match="without digest"):
        logger.log_artifact(1, "s3://bucket/model.pt")
    (tmp_path / "changed").write_bytes(b"another")
    (tmp_path / "missing").unlink()
    found = [(item.kept, item.state) for item in verify_artifacts(logger.engine, 1)]
    assert found == [
        (False, "same"),
        (False, "changed"),
        (True, "same"),
        (False, "missing"),
        (False, "reference"),
    ]
    with pytest.raises(UnknownRunError):
        verify_artifacts(logger.engine, "nothing")


def test_relative_paths_have_a_root(logger, tmp_path, monkeypatch):
    """A path that was relative when it was logged is looked for in the folder that is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"1")
    logger.log_artifact(1, "model.pt")
    monkeypatch.chdir("/")
    assert verify_artifacts(logger.engine, 1)[0].state == "missing"
    assert verify_artifacts(logger.engine, 1, tmp_path)[0].state == "same"


def test_tables_are_kept_as_csv(logger):
    """A frame of either library, columns and rows give one and the same artifact."""
    columns = {"epoch": [1, 2], "loss": [0.5, 0.25]}
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    for table in (pd.DataFrame(columns), pl.DataFrame(columns), columns, rows):
        logger.log_table("curve", table, {"split": "val"})
    found = _artifacts(logger)
    assert {(a.path, a.data_type, a.kept) for a in found} == {("curve.csv", "table", True)}
    contents = {kept_path(logger.engine, a.digest).read_text().replace("\r", "") for a in found}
    assert contents == {"epoch,loss\n1,0.5\n2,0.25\n"}
    assert [item.state for item in verify_artifacts(logger.engine, 1)] == ["same"] * 4
    for wrong in (3, {"a": [1], "b": [1, 2]}, [1, 2], {"a": 1}):
        with pytest.raises(StoreError, match="table"):
            logger.log_table("curve", wrong)
    logger.finish()
    with pytest.raises(NoActiveRunError):
        logger.log_table("curve", columns)


class Figure:
    """What log_figure needs of a figure."""

    def savefig(self, file, format):
        file.write(np.arange(3, dtype=np.uint8).tobytes() + format.encode())


def test_figures_are_kept_as_png(logger):
    """Whatever saves itself as matplotlib's figures do is kept as a PNG."""
    logger.log_figure("curve", Figure())
    (artifact,) = _artifacts(logger)
    assert (artifact.path, artifact.data_type) == ("curve.png", "figure")
    assert kept_path(logger.engine, artifact.digest).read_bytes() == b"\x00\x01\x02png"
    with pytest.raises(StoreError, match="has savefig"):
        logger.log_figure("curve", "curve.png")
