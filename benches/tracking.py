"""Tracking: what a log call costs, what a run adds to a script, what a query takes.

Other trackers do the same work beside it, each in an environment of its own (`tracking_rivals.py`):
all of them are open at once and take turns.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ato.db_routers.sql.drain import _write_points
from ato.db_routers.sql.engine import open_store, write
from ato.db_routers.sql.manager import SQLFinder, SQLLogger
from ato.db_routers.sql.opening import _writer, describe_run, same_surroundings
from ato.db_routers.sql.run_rows import write_run
from ato.db_routers.sql.snapshot import snapshot
from benches.measure import Row, interleaved
from benches.rivals import install

SCRIPT = Path(__file__).with_name("tracking_rivals.py")
RIVALS = {
    "mlflow": ("mlflow==3.17.2", "import mlflow"),
    "wandb": ("wandb==0.31.0", "import wandb"),
    "trackio": ("trackio==0.43.0", "import trackio"),
    "tensorboardX": ("tensorboardX==2.6.5", "import tensorboardX"),
    "sacred": ("sacred==0.8.7 setuptools<81", "import sacred"),
    "ato": ("ato==2.2.1", "import ato.db_routers.sql.manager"),
}
TURNS = 7
CALLS = 100  # of each kind, a turn
STEPS = 100  # of 2 ms, a turn
SLOW = {"mlflow", "ato"}  # take milliseconds a call, and are asked for a fifth
RUNS, POINTS, MANY = 1_000, 20_000, 2_000_000


def rows() -> Iterator[Row]:
    """All rows."""
    yield from _beside()
    yield from _starting()
    yield _drained()
    yield from _read()


class Contestant:
    """A process that logs when it is asked to, and says how long that took."""

    def __init__(self, name: str, interpreter: Path | str) -> None:
        self._process = subprocess.Popen(
            [interpreter, SCRIPT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.works = self._line() == "ready"

    def ask(self, work: str, count: int) -> list[float]:
        """Seconds, one for each call; of a loop one for each round, without and with logging in turn."""
        assert self._process.stdin is not None
        print(json.dumps({"work": work, "count": count}), file=self._process.stdin, flush=True)
        found: list[float] = json.loads(self._line())
        return found

    def close(self) -> None:
        """Let it finish its run."""
        self._process.communicate(timeout=120)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _beside() -> Iterator[Row]:
    contestants: dict[str, Contestant] = {}
    for name in ("ours", "sqlite3", *RIVALS):
        pinned, check = RIVALS.get(name, (name, ""))
        interpreter = sys.executable if name not in RIVALS else install(pinned, check)
        contestant = Contestant(name, interpreter) if Path(interpreter).exists() else None
        if contestant is None or not contestant.works:
            why = f"not installed: {interpreter}" if contestant is None else "does not start"
            yield Row(f"beside {pinned}", None, "", "", note=why)
        else:
            contestants[name] = contestant
    single: dict[str, list[float]] = {name: [] for name in contestants}
    many: dict[str, list[float]] = {name: [] for name in contestants}
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for turn in range(TURNS + 1):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            each = contestants[name]
            part = 5 if name in SLOW else 1
            one, some = each.ask("log", CALLS // part), each.ask("many", CALLS // part)
            loop = each.ask("loop", STEPS // part)
            if turn:  # the first is for warming up
                single[name] += one
                many[name] += some
                rounds[name] += loop
    for contestant in contestants.values():
        contestant.close()
    yield from _own(single["ours"], many["ours"], rounds["ours"])
    for name in order[1:]:
        pinned = RIVALS.get(name, ("sqlite3 (a commit each)", ""))[0].partition(" setup")[0]
        yield from _of_rival(pinned, name, single, many, rounds[name])


def _own(single: list[float], many: list[float], rounds: list[float]) -> Iterator[Row]:
    tail = statistics.quantiles(single, n=100)[-1]
    yield Row("log_metric, p50", _micro(single), "µs", "durable on return", 2)
    yield Row("log_metric, p99", tail * 1e6, "µs", "durable on return", 10)
    yield Row("log_metrics of 20 values", _micro(many), "µs", "durable on return", 10)
    yield Row("loop of 2 ms steps, 5 values", _slower(rounds), "%", "slower than without", 1)


def _of_rival(
    pinned: str,
    name: str,
    single: dict[str, list[float]],
    many: dict[str, list[float]],
    rounds: list[float],
) -> Iterator[Row]:
    for work, times in (("log_metric", single), ("log_metrics of 20 values", many)):
        ratio = statistics.median(times[name]) / statistics.median(times["ours"])
        note = f"{_micro(times['ours']):,.1f} µs to {_micro(times[name]):,.1f} µs"
        aim = 1000 if name == "mlflow" and work == "log_metric" else None
        against = f"the speed of {pinned}"
        yield Row(work, ratio, "×", against, aim, at_least=True, note=note)
    yield Row("loop of 2 ms steps, 5 values", _slower(rounds), "%", f"slower with {pinned}")


def _micro(times: list[float]) -> float:
    return statistics.median(times) * 1e6


def _slower(rounds: list[float]) -> float:
    """By how many percent rounds with logging take longer than those without."""
    bare, logged = statistics.median(rounds[::2]), statistics.median(rounds[1::2])
    return (logged / bare - 1) * 100


OPENING = """
import sys, time
import sqlalchemy.orm, sqlalchemy.dialects.sqlite.pysqlite
import ato.trace
from ato.db_routers.sql import queries, opening, recorder
from ato.db_routers.sql.manager import SQLLogger
logger = SQLLogger({"lr": 0.1, "experiment": {"sql": {"db_path": sys.argv[1]}}})
begin = time.perf_counter()
logger.run()
print(time.perf_counter() - begin)
"""


def _starting() -> Iterator[Row]:
    code = "import time; b = time.perf_counter(); import {}; print(time.perf_counter() - b)"
    taken: dict[str, list[float]] = {"import": [], "run": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(9):
            imported = _printed(code.format("ato.db_routers.sql.manager"))
            opened = _printed(OPENING, f"{folder}/runs.db")
            if turn:  # the first fills the caches
                taken["import"].append(imported)
                taken["run"].append(opened)
    found = {name: statistics.median(times) * 1e3 for name, times in taken.items()}
    yield Row("import ato.db_routers.sql.manager", found["import"], "ms", "", 60)
    yield Row("run(), the first of a process", found["run"], "ms", "SQLAlchemy loaded", 15)


def _printed(code: str, *arguments: str) -> float:
    command = [sys.executable, "-c", code, *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _drained() -> Row:
    rates = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            logger = SQLLogger({"experiment": {"sql": {"db_path": f"{folder}/runs.db"}}})
            logger.run()
            for step in range(100_000):
                logger.log_metric("loss", step * 0.5, step)
            begin = time.perf_counter()
            logger.finish()
            rates.append(100_000 / (time.perf_counter() - begin))
            logger.engine.dispose()
    found = statistics.median(rates)
    return Row("finish, 100,000 records", found, "records/s", "", 100_000, at_least=True)


def _read() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_store(f"{folder}/runs.db", must_exist=False)
        big = _fill(engine)
        finder = SQLFinder(f"{folder}/runs.db")
        assert len(finder.get_metrics(big, "loss").values) == POINTS
        assert len(finder.get_runs_in_project("many")) == RUNS

        def series() -> Any:
            return finder.get_metrics(big, "loss")

        found = interleaved(
            {
                "series": series,
                "list": lambda: finder.get_runs_in_project("many"),
                "best": lambda: finder.find_best_run("many", "loss"),
                "compare": lambda: finder.compare([3, RUNS - 3]),
            },
            clock="processor",  # none of them waits for anything
        )
        _log(engine, big, [f"other/{number}" for number in range(20)], MANY // 20)
        after = interleaved({"series": series}, clock="processor")["series"]
        finder.engine.dispose()
        engine.dispose()
    kinds = (
        (f"reading a metric of {POINTS:,} points", "series", 15),
        (f"listing {RUNS:,} runs with 50 keys each", "list", 30),
        (f"find_best_run among {RUNS:,} runs", "best", 1),
        ("compare of two runs", "compare", 2),
    )
    for work, name, limit in kinds:
        yield Row(work, found[name] * 1e3, "ms", "", limit)
    beside = f"with {MANY:,} points in the file"
    yield Row(kinds[0][0], after * 1e3, "ms", beside, 15)


def _fill(engine: Engine) -> int:
    """A project of many runs, and one run with a long metric, whose id is given."""
    numbers = random.Random(0)
    with same_surroundings():
        for number in range(RUNS):
            config = {f"key{index}": 50 * number + index for index in range(50)}
            run = _new(engine, "many", config)
            _log(engine, run, ["loss", "accuracy"], 3, numbers)
        big = _new(engine, "long", {"lr": 0.1})
    _log(engine, big, ["loss"], POINTS, numbers)
    return big


def _new(engine: Engine, project: str, config: dict[str, Any]) -> int:
    described = describe_run(snapshot(config), project, tags=None, name=None, notes=None)
    return write(engine, lambda connection: write_run(connection, described))


def _log(
    engine: Engine, run: int, names: list[str], count: int, numbers: random.Random | None = None
) -> None:
    draw = (numbers or random.Random(1)).random
    points = [
        (step, index, draw(), step, float(step), 0, step)
        for index in range(len(names))
        for step in range(count)
    ]
    writer = _writer(run, 0, 0.0)
    for start in range(0, len(points), 100_000):
        some = points[start : start + 100_000]
        write(engine, lambda connection, some=some: _write_points(connection, writer, some, names))
