"""A run that ended, or whose process died, goes on as a new attempt."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from sqlalchemy import text
from stores import finder_for, logger_for

from ato import events
from ato.db_routers.sql import journals
from ato.db_routers.sql import opening as opening_module
from ato.db_routers.sql.reading import load_run
from ato.exceptions import RunStillOpenError, UnknownRunError


@pytest.fixture
def finder(path):
    finder = finder_for(path)
    yield finder
    finder.engine.dispose()


def call(trace_id, number):
    run = events.current_run()
    run.recorder.on_call(
        events.CallRecord("call", trace_id, run.next_ident(), 0, number, run.next_sequence(), 0)
    )


def crash(path, **values):
    """Record a run in a process that dies in the middle of it."""
    child = os.fork()
    if child == 0:
        logger = logger_for(path, **values)
        logger.run(name="first", tags=["base"])
        for step in range(3):
            logger.log_metric("loss", 1.0 - step / 10, step)
            call("train.step", step)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_crashed_run_goes_on(path, finder):
    """The new attempt has its own config and calls; the metrics of both are read in order."""
    crash(path, lr=0.1)
    assert finder.find_run(1).status == "crashed"
    logger = logger_for(path, lr=0.05)
    assert logger.run(resume=1) == 1
    run = finder.find_run(1)
    assert (run.status, run.attempt, run.name, run.tags) == ("running", 1, "first", ["base"])
    logger.log_metric("loss", 0.5, 3)
    call("train.other", 0)
    logger.finish()
    run = finder.find_run(1)
    assert (run.status, run.config.lr) == ("completed", 0.05)
    assert [p.value for p in run.metrics] == [1.0, 0.9, 0.8, 0.5]
    assert [p.attempt for p in run.metrics] == [0, 0, 0, 1]
    assert finder.get_metrics(1, "loss").steps.tolist() == [0, 1, 2, 3]
    records = load_run(logger.engine, 1)
    assert [record.trace_id for record in records.calls] == ["train.other", "run"]
    assert set(run.runtime_fingerprints) == {"train.other"}
    with logger.engine.connect() as connection:
        kept = connection.execute(text("SELECT attempt, status, end_time FROM attempts")).all()
        count = connection.execute(text("SELECT count, last FROM metric_summaries")).one()
    assert [tuple(row) for row in kept] == [(0, "running", None)]
    assert tuple(count) == (4, 0.5)
    logger.engine.dispose()


def test_a_finished_run_goes_on_by_name_and_more_than_once(path, finder):
    """A run is resumed by id, name or place, as often as need be; what is given anew is changed."""
    logger = logger_for(path, lr=0.1)
    logger.run(name="long", notes="as it was")
    logger.finish("failed", "out of memory")
    for attempt, reference in enumerate(["long", "latest", "1"], 1):
        assert logger.run(resume=reference, notes=f"attempt {attempt}") == 1
        run = finder.find_run(1)
        assert (run.attempt, run.status, run.error) == (attempt, "running", None)
        assert (run.end_time, run.notes) == (None, f"attempt {attempt}")
        logger.log_metric("loss", attempt, 0)
    logger.finish()
    assert [p.value for p in finder.find_run(1).metrics] == [1.0, 2.0, 3.0]
    with logger.engine.connect() as connection:
        kept = connection.execute(text("SELECT status, error FROM attempts ORDER BY attempt")).all()
    assert [tuple(row) for row in kept] == [
        ("failed", "out of memory"),
        ("completed", None),
        ("completed", None),
    ]
    logger.engine.dispose()


def test_a_run_that_is_being_recorded_is_not_resumed(path, finder):
    """As long as its process lives a run has no second one; the message says which it is."""
    logger, other = logger_for(path), logger_for(path)
    logger.run()
    with pytest.raises(RunStillOpenError, match=f"run 1 is still .* process {os.getpid()} on"):
        other.run(resume=1)
    assert other.get_current_run_id() is None
    assert finder.find_run(1).attempt == 0
    logger.finish()
    assert other.run(resume=1) == 1
    other.finish()
    for each in (logger, other):
        each.engine.dispose()


def test_a_run_of_another_machine_is_resumed_when_it_is_silent(path, finder, monkeypatch):
    """Of a run elsewhere only what it wrote is known: lately, it may be alive; else it goes on."""
    crash(path)
    folder = journals.folder_of(finder.engine)
    for place in (opening_module, journals):
        monkeypatch.setattr(place, "host_name", lambda: "elsewhere")
    monkeypatch.setattr("ato.db_routers.sql.reading.host_name", lambda: "elsewhere")
    logger = logger_for(path)
    with pytest.raises(RunStillOpenError, match="end that process"):
        logger.run(resume=1)
    assert finder.find_run(1).status == "running"
    (journal,) = journals.journals_of(folder)
    long_ago = time.time() - 3600
    os.utime(journal, (long_ago, long_ago))
    assert logger.run(resume=1) == 1
    logger.finish()
    assert [p.value for p in finder.find_run(1).metrics] == [1.0, 0.9, 0.8]
    logger.engine.dispose()
    journal.unlink()


def test_what_an_earlier_attempt_still_says_does_not_change_the_run(path, finder):
    """The end of an attempt that was taken for dead is the attempt's, not the run's."""
    logger = logger_for(path)
    logger.run()
    late = logger._recorder
    logger.finish()
    logger.run(resume=1)
    late._finished.clear()
    late.update(status="failed", error="late", end_time=1.0)
    late.close()
    assert finder.find_run(1).status == "running"
    with logger.engine.connect() as connection:
        kept = connection.execute(text("SELECT status, error FROM attempts")).one()
    assert tuple(kept) == ("failed", "late")
    logger.finish()
    logger.engine.dispose()


def test_there_must_be_a_run_to_resume(path):
    """A reference that means no run is an error with the nearest, and opens none."""
    logger = logger_for(path)
    logger.run(name="base")
    logger.finish()
    with pytest.raises(UnknownRunError, match="no run 7; the nearest ids: 1"):
        logger.run(resume=7)
    assert logger.get_current_run_id() is None
    logger.engine.dispose()


def test_a_writer_is_its_header(tmp_path):
    """Whose a journal is stands in its header and in its name, which is never used again."""
    writer = journals.Writer(3, 1, 2, 0, 1.5, "a/strange host", 77)
    assert journals.Writer.from_header(writer.header()) == writer
    names = [journals.new_path(tmp_path, writer).name for _ in range(2)]
    assert names[0] != names[1]
    assert names[0].startswith("3-1-2-0-a_strange_host-77-")
    for name in names:
        (tmp_path / name).touch()
    other = journals.new_path(tmp_path, replace(writer, run_id=33))
    other.touch()
    assert [p.name for p in journals.journals_of(tmp_path, 3)] == names
    assert len(list(journals.journals_of(tmp_path))) == 3
