"""Runs that are written at once: what enters the store is what any other run brings there."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from stores import ask, config_for

from ato import HyperBand, Scope, SQLLogger, events
from ato.db_routers.sql import brief
from ato.db_routers.sql.brief import BriefRuns
from ato.fingerprints import fingerprint_file
from ato.trace import runtime_trace

# Columns that tell when something was, or in which process.
PASSING = {"start_time", "end_time", "duration", "timestamp", "last_timestamp", "created_at"}
REFERRING = {"config_id", "environment_id", "form_id", "root_unit_id", "closure_id", "key_id"}
TABLES = (
    "experiments",
    "configs",
    "fingerprints",
    "calls",
    "call_values",
    "metrics",
    "metric_summaries",
    "inputs",
    "search_trials",
    "projects",
    "code_closures",
    "code_units",
    "metric_keys",
)
OPENERS = list(events._openers)  # the tracers, which other tests of this folder silence
RATE = 2.0
READING = """
from ato import HyperBand, SQLLogger, Scope

scope = Scope()
tracker = SQLLogger({"experiment": {"sql": {"db_path": "runs.db"}}})
spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.1, 1.0)}}

@HyperBand(scope, spaces, max_budget=3, tracker=tracker).main
def train(config):
    with open("data.bin", "rb") as file:
        return config.lr * len(file.read())

train()
"""


@runtime_trace
def loss(lr, scale):
    return lr * RATE * scale


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Run a search of nine trials into a store; returns its best and the store's path."""
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(events, "_openers", OPENERS)
    loggers = []

    def run(name, train, **options):
        Scope.initialize_registry()
        scope = Scope()

        @scope.observe(default=True)
        def defaults(config):
            config.scale = 3
            config.seed = 5

        tracker = SQLLogger(config_for(tmp_path / name))
        loggers.append(tracker)
        spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.1, 1.0)}}
        options = {"max_budget": 9, "scheduler": "halving", "name": "s", **options}
        return HyperBand(scope, spaces, tracker=tracker, **options).main(train)(), tmp_path / name

    yield run
    for logger in loggers:
        logger.engine.dispose()
    Scope.initialize_registry()


def rows_of(path, table):
    """The rows of a table as mappings, without what differs from one time to the next."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
        names = {row["id"]: row["digest"] for row in connection.execute("SELECT * FROM configs")}
    connection.close()
    for row in rows:
        if "config_id" in row:
            row["config"] = names[row["config_id"]]
    left_out = PASSING | REFERRING | ({"id"} if table in {"configs", "code_units"} else set())
    kept = [{key: value for key, value in row.items() if key not in left_out} for row in rows]
    return sorted(kept, key=repr)


def train(config, trial):
    for step in range(trial.budget):
        trial.report(step, math.nan if step == 1 else loss(config.lr, config.scale) * step)
    if trial.number == 4:
        raise ValueError("diverged")
    return loss(config.lr, config.scale)


def test_a_brief_run_has_the_rows_of_any_other(search, monkeypatch):
    """Run, config, code, calls, values, metrics and result are the same, written at once or not."""
    at_once, path = search("at_once.db", train)
    with monkeypatch.context() as patch:
        patch.setattr(BriefRuns, "expects", lambda self, amount: False)
        opened, other = search("opened.db", train)
    assert at_once.digest == opened.digest
    for table in TABLES:
        assert rows_of(path, table) == rows_of(other, table), table
    assert ask(path, "SELECT count(*) FROM journals") == [(0,)]
    assert not list(path.parent.glob("*.journals"))


def test_a_brief_run_is_one_transaction(search, monkeypatch):
    """From the second brief run on each result is one transaction, and the driver alone writes it."""
    written = []
    plain = brief.LikeRuns._insert

    def counted(self, *args):
        written.append(1)
        return plain(self, *args)

    monkeypatch.setattr(brief.LikeRuns, "_insert", counted)
    begun = []

    def looked_at(config):
        [(count,)] = ask(paths[0], "SELECT count(*) FROM experiments WHERE status = 'running'")
        begun.append(count)
        return config.lr

    paths = [None]

    def first(config):
        return config.lr

    _, paths[0] = search("runs.db", first)
    assert len(written) == 1
    search("runs.db", looked_at)
    assert begun[0] == 1  # of the first trial nobody knows how long it takes
    assert set(begun[1:]) == {0}


def test_what_another_process_changes_is_looked_up_again(search):
    """Ids that were known are not relied on once anyone else has written to the store."""
    changed = []

    def meddled(config, trial):
        if trial.number % 3 == 2 and not trial.rung:
            with sqlite3.connect(paths[0]) as connection:
                connection.execute("UPDATE projects SET created_at = created_at + 1")
            connection.close()
            changed.append(trial.number)
        return config.lr

    _, store = search("runs.db", lambda config: config.lr, max_budget=1, n_samples=2)
    paths = [store]
    best, _ = search("runs.db", meddled)
    assert changed
    runs = {each.outcome.run_id for rung in best.rungs for each in rung}
    assert len(runs) == sum(map(len, best.rungs))
    assert ask(store, "PRAGMA foreign_key_check") == []


def test_every_database_takes_brief_runs(path, monkeypatch):
    """A file and a server have the same results, runs and metrics of a search."""
    monkeypatch.setattr("sys.argv", ["train.py"])
    Scope.initialize_registry()
    tracker = SQLLogger(config_for(path))
    spaces = {"lr": {"param_type": "FLOAT", "param_range": (0.1, 1.0)}}

    def failing(config, trial):
        trial.report(0, 0.5)
        if trial.number == 2:
            raise ValueError("diverged")
        return float("inf") if trial.number == 3 else config.lr

    best = HyperBand(Scope(), spaces, max_budget=3, tracker=tracker, name="s").main(failing)()
    trainings = sum(map(len, best.rungs))
    results = ask(path, "SELECT trial, rung, status, run_id FROM search_trials")
    runs = dict(ask(path, "SELECT id, name FROM experiments"))
    assert len(results) == len(runs) == trainings
    assert all(runs[run_id] == f"s-1/{trial}.{rung}" for trial, rung, _, run_id in results)
    assert {status for trial, _, status, _ in results if trial == 2} == {"failed"}
    [(error,)] = ask(path, "SELECT error FROM experiments WHERE name = 's-1/2.0'")
    assert "diverged" in error
    counts = ask(path, "SELECT count(*), sum(count) FROM metric_summaries")
    assert counts == [(trainings, 2 * trainings - 1)]
    tracker.engine.dispose()


def test_a_run_that_lasts_is_opened(search, monkeypatch):
    """One that takes longer than expected is in the store, running, from its next record on."""
    monkeypatch.setattr(brief, "LASTING", 0.2)
    seen = []

    def slow(config, trial):
        if trial.number == 5 and not trial.rung:
            time.sleep(0.25)
            trial.report(0, 0.5)
            seen.extend(
                ask(paths[0], "SELECT name, status FROM experiments WHERE name = 's-2/5.0'")
            )
            trial.report(1, 0.75)
        return config.lr

    _, store = search("runs.db", lambda config: config.lr, max_budget=1, n_samples=2)
    paths = [store]
    search("runs.db", slow)
    assert seen == [("s-2/5.0", "running")]
    assert ask(store, "SELECT status FROM experiments WHERE name = 's-2/5.0'") == [("completed",)]
    points = ask(
        store,
        "SELECT step, value FROM metrics JOIN experiments ON id = run_id "
        "WHERE name = 's-2/5.0' ORDER BY sequence",
    )
    assert points[:2] == [(0, 0.5), (1, 0.75)]
    assert len(points) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_worker_that_is_forked_logs_to_its_run(search):
    """Before a fork the run gets its row, so that what a child reports is found there."""

    def forking(config, trial):
        if trial.number == 3 and not trial.rung:
            child = os.fork()
            if child == 0:
                trial.report(7, 0.125)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        return config.lr

    _, store = search("runs.db", forking)
    points = ask(
        store,
        "SELECT step, value FROM metrics JOIN experiments ON id = run_id "
        "WHERE name = 's-1/3.0' AND process <> 0",
    )
    assert points == [(7, 0.125)]


def test_files_that_a_brief_run_reads_are_noticed(tmp_path):
    """A data file is in each run's inputs with its digest, although no journal was kept."""
    (tmp_path / "data.bin").write_bytes(b"digits")
    (tmp_path / "sweep.py").write_text(READING)
    subprocess.run([sys.executable, "sweep.py"], cwd=tmp_path, check=True, timeout=120)
    store = tmp_path / "runs.db"
    found = ask(store, "SELECT DISTINCT run_id, digest FROM inputs WHERE digest IS NOT NULL")
    assert {digest for _, digest in found} == {fingerprint_file(tmp_path / "data.bin").hex}
    assert len(found) == ask(store, "SELECT count(*) FROM experiments")[0][0]


def test_a_constant_that_a_trial_changes_is_seen_in_the_next(search, monkeypatch):
    """The code of trials is read once, and again where what it reads by name is another value."""

    def changing(config, trial):
        result = loss(config.lr, config.scale)
        if trial.number == 6 and not trial.rung:
            monkeypatch.setattr(sys.modules[__name__], "RATE", 4.0)
        return result

    _, store = search("runs.db", changing)
    deep = ask(
        store,
        "SELECT name, deep FROM fingerprints f JOIN experiments e ON e.id = run_id "
        "WHERE trace_id LIKE '%loss' ORDER BY e.id",
    )
    first = deep[0][1]
    assert {digest for name, digest in deep[:7]} == {first}
    assert {digest for name, digest in deep[7:]} == {deep[7][1]} != {first}


def test_a_store_that_cannot_be_written_ends_the_search_with_its_error(search, tmp_path):
    """A result that cannot be kept is a StoreError, whichever way it is written."""
    from ato.exceptions import StoreError

    def dropping(config, trial):
        if trial.number == 5:
            with sqlite3.connect(tmp_path / "runs.db") as connection:
                connection.execute("DROP TABLE search_trials")
            connection.close()
        return config.lr

    with pytest.raises(StoreError, match="no such table"):
        search("runs.db", dropping)
