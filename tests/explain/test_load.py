"""What an explanation takes of a run, and which run it takes where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import logger_for

import ato
from ato.db_routers.sql.calls import calls_of
from ato.db_routers.sql.reading import Point, RunRecords, load_run
from ato.events import CallRecord
from ato.exceptions import UnknownRunError
from ato.explain import nearest_earlier
from ato.explain.load import to_run


def recorded(path: Path, **config: object) -> None:
    """A run of this config, with one call."""
    logger = logger_for(path, **config)
    logger.run()
    logger.log_metric("loss", 0.5, 0)
    logger.finish()
    logger.engine.dispose()


def test_the_nearest_earlier_run_differs_least(tmp_path: Path) -> None:
    """It is the one with the fewest differing factors, and of equals the latest."""
    path = tmp_path / "runs.db"
    for values in ((1, 1), (2, 1), (2, 1), (3, 3), (2, 2)):
        recorded(path, lr=values[0], seed=values[1])
    assert nearest_earlier(5, db=str(path)) == 3
    assert nearest_earlier("latest~1", db=str(path)) == 3
    answer = ato.why(5, db=str(path))
    assert (answer.run_a.id, answer.run_b.id) == (3, 5)


def test_a_first_run_has_none_before_it(tmp_path: Path) -> None:
    """The error says what to do."""
    path = tmp_path / "runs.db"
    recorded(path, lr=1)
    with pytest.raises(UnknownRunError, match="run 1 is the first of its project"):
        ato.why(1, db=str(path))


def test_a_resumed_run_has_the_points_of_all_its_attempts(tmp_path: Path) -> None:
    """What an attempt logged beyond the step at which the next one took it up counts no more."""
    path = tmp_path / "runs.db"
    recorded(path, lr=1)
    logger = logger_for(path)
    records: RunRecords = load_run(logger.engine, 1)
    logger.engine.dispose()
    records.attempt = 1
    records.metrics = [
        *(Point("loss", float(step), step, 0.0, 0, 0, step, attempt=0) for step in range(5)),
        *(Point("loss", 10.0 + step, step, 0.0, 0, 0, step, attempt=1) for step in range(3, 6)),
    ]
    found = to_run(records).metrics
    assert [(p.step, p.value) for p in found] == [(0, 0), (1, 1), (2, 2), (3, 13), (4, 14), (5, 15)]
    assert [p.position for p in found] == [-1, -1, -1, 0, 0, 0]


def test_values_of_calls_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    """A run that is loaded holds columns; asking for one call's output reads it, and gives it back."""
    calls = calls_of(
        CallRecord("call", "step", n + 1, 0, n, n, n, gaps=[f"gap {n}"]) for n in range(300)
    )
    assert [call.gaps for call in calls[:2]] == [["gap 0"], ["gap 1"]]
    assert all(call.output == {} for call in calls)
    assert len(calls.used()) == 300
