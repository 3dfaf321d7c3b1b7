"""Runs of ato 2.2.1, from a file that it wrote (`golden/make_ato_2_store.py`), in stores of ours."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest
from stores import ask, finder_for, logger_for

import ato
from ato.db_routers.sql.engine import open_store
from ato.db_routers.sql.importing import import_ato_2
from ato.exceptions import NoDatabaseError, NotADatabaseError

OLD = Path(__file__).parent.parent.parent / "golden" / "store_ato_2.db"


@pytest.fixture
def store(path):
    engine = open_store(path, must_exist=False)
    yield engine
    engine.dispose()


def test_everything_comes_over(store, path):
    """Projects, configs, tags, status, times, metrics, artifacts and fingerprints are as they were."""
    before = hashlib.sha256(OLD.read_bytes()).digest()
    assert import_ato_2(OLD, store) == [1, 2, 3]
    assert hashlib.sha256(OLD.read_bytes()).digest() == before
    finder = finder_for(path)
    first, second, third = finder.get_runs_in_project("digits")
    assert [run.status for run in (first, second, third)] == ["completed", "failed", "interrupted"]
    assert (first.tags, third.tags) == (["golden", "lr-0.5"], [])
    assert (first.config.lr, first.config.model.depth, second.config.lr) == (0.5, 3, 0.25)
    assert first.start_time.tzinfo is UTC
    assert first.start_time < first.end_time
    assert third.end_time is None
    assert [(p.value, p.step) for p in second.metrics if p.key == "weight"] == [
        (0.25, 0),
        (0.0625, 1),
        (0.015625, 2),
    ]
    assert finder.find_best_run("digits", "acc").id == 1
    (artifact,) = first.artifacts
    assert (artifact.path, artifact.kind, artifact.data_type) == ("model.pt", "reference", "model")
    assert artifact.details == {"epoch": 1}
    assert first.fingerprints == {"step": "5" * 64}
    assert finder.find_similar_runs(1)[0].id == 2
    assert [run.id for run in finder.find_similar_runs_by_trace(1, "step")] == [2]
    statistics = finder.get_trace_statistics("digits", "step")
    assert (statistics["static_trace_versions"], statistics["runtime_trace_versions"]) == (1, 2)
    finder.engine.dispose()


def test_a_secret_does_not_come_over(store, path):
    """What was stored in the open is masked on the way."""
    import_ato_2(OLD, store)
    texts = [content for (content,) in ask(path, "SELECT content FROM configs")]
    assert "api_key" in "".join(texts)
    assert "hunter2" not in "".join(texts)


def test_what_was_imported_is_not_imported_again(store, path):
    """Importing a file twice adds nothing; runs of this version go on beside the old ones."""
    assert len(import_ato_2(OLD, store)) == 3
    assert import_ato_2(OLD, store) == []
    with logger_for(path, lr=0.1) as logger:
        assert logger.run() == 4
    logger.engine.dispose()
    assert ask(path, "SELECT count(*) FROM projects") == [(1,)]


def test_imported_runs_are_compared(store, path):
    """Configs of old runs are compared; for a cause too little was recorded, which is said."""
    import_ato_2(OLD, store)
    finder = finder_for(path)
    assert finder.compare([1, 2])["config"] == {"lr": [0.5, 0.25]}
    finder.engine.dispose()
    assert "can't be compared" in str(ato.why(1, 2, db=str(path)))


@pytest.mark.file
def test_an_old_file_says_how_to_import_it(tmp_path):
    """Whoever opens a file of ato 2 as a store is told the command; the file stays as it is."""
    old = tmp_path / "old.db"
    shutil.copy(OLD, old)
    for must_exist in (True, False):
        with pytest.raises(NotADatabaseError, match=r"ato db import .*old\.db --db NEW\.db"):
            open_store(old, must_exist=must_exist)
    assert old.read_bytes() == OLD.read_bytes()


@pytest.mark.file
def test_other_files_are_not_imported(store, path, tmp_path):
    """A file that is missing, no database, another's or a store of ours is refused, and adds nothing."""
    with pytest.raises(NoDatabaseError, match=r"no file .*absent\.db"):
        import_ato_2(tmp_path / "absent.db", store)
    text = tmp_path / "text.db"
    text.write_text("no database at all" * 100)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    for file in (text, other, path):
        with pytest.raises(NotADatabaseError, match="database of ato 2"):
            import_ato_2(file, store)
    assert ask(path, "SELECT count(*) FROM experiments") == [(0,)]


@pytest.mark.file
def test_half_a_file_is_not_imported(store, path, tmp_path):
    """A row that cannot be read stops the import, and none of the rows before it stays."""
    broken = tmp_path / "broken.db"
    shutil.copy(OLD, broken)
    with closing(sqlite3.connect(broken)) as connection:
        connection.execute("UPDATE experiments SET config = '{' WHERE id = 3")
        connection.commit()
    with pytest.raises(NotADatabaseError, match="run 3"):
        import_ato_2(broken, store)
    assert ask(path, "SELECT count(*) FROM experiments") == [(0,)]
