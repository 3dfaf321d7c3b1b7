"""Searches: what a trial costs, and how many epochs of real training a search needs.

The digits curves (`benches.curves`) are replayed by this package and by its rivals, each in an
environment of its own (`search_rivals.py`). Epochs count until the first config reaches 0.93.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ato.db_routers.sql.manager import SQLLogger
from ato.hyperopt import HyperBand
from ato.scope import Scope
from benches.curves import BATCHES, EPOCHS, GRID, LEARNING_RATES, MOMENTA, WIDTHS, accuracies
from benches.measure import Row
from benches.rivals import install

SCRIPT = Path(__file__).with_name("search_rivals.py")
SEEDS = 100
TARGET = 0.93
NAMES = ("rate", "width", "batch", "momentum")
SPACES = {
    name: {"param_type": "CATEGORY", "categories": values}
    for name, values in zip(NAMES, (LEARNING_RATES, WIDTHS, BATCHES, MOMENTA), strict=True)
}
RIVALS = {
    "optuna": ("optuna==5.0.0", "import optuna"),
    "ray": ("ray[tune]==2.60.0", "from ray.tune.schedulers import ASHAScheduler"),
    "ato": ("ato==2.2.1", "import ato.hyperopt.hyperband"),
}


def rows() -> Iterator[Row]:
    """All rows."""
    sys.argv = sys.argv[:1]  # the scopes here would read it
    yield from _overhead()
    curves = accuracies()
    yield from _epochs(curves)
    yield _misled()
    yield _memory()
    yield from _rivals(curves)


def _epochs(curves: dict[Any, list[float]]) -> Iterator[Row]:
    for scheduler, limit, options in (
        ("hyperband", 220, {}),
        ("asha", 130, {"scheduler": "asha", "n_samples": len(GRID)}),
    ):
        found = statistics.median(_until(curves, seed, options) for seed in range(SEEDS))
        note = f"digits MLP, median of {SEEDS} seeds, survivors continue"
        yield Row(f"epochs until {TARGET}, {scheduler}", found, "epochs", "", limit, note=note)
    found = statistics.median(_at_random(curves, seed) for seed in range(SEEDS))
    yield Row(f"epochs until {TARGET}, at random", found, "epochs", "", note="each trained in full")


def _until(curves: dict[Any, list[float]], seed: int, options: dict[str, Any]) -> float:
    """Epochs of one search until a config reaches the target; infinite if none does."""
    spent, reached = 0, math.inf

    def train(config: Any, trial: Any) -> float:
        nonlocal spent, reached
        curve = curves[tuple(config[name] for name in NAMES)]
        for epoch in range(trial.previous_budget, trial.budget):
            spent += 1
            if curve[epoch] >= TARGET:
                reached = spent
                raise KeyboardInterrupt  # the rest of the search does not matter
        return curve[trial.budget - 1]

    scope = Scope(enable_override=True)
    with contextlib.suppress(KeyboardInterrupt):
        HyperBand(scope, SPACES, max_budget=EPOCHS, seed=seed, **options).main(train)()
    return reached


def _at_random(curves: dict[Any, list[float]], seed: int) -> int:
    generator, spent = random.Random(seed), 0
    while True:
        for accuracy in curves[generator.choice(GRID)]:
            spent += 1
            if accuracy >= TARGET:
                return spent


def _overhead() -> Iterator[Row]:
    spaces = {"lr": {"param_type": "FLOAT", "param_range": (1e-4, 1), "space_type": "LOG"}}

    def search(trials: int, **options: Any) -> float:
        search = HyperBand(
            Scope(enable_override=True),
            spaces,
            max_budget=1,
            scheduler="halving",
            n_samples=trials,
            **options,
        )
        train = search.main(lambda config: config.lr)
        # The processor's time, as in `search_rivals`: others may be at work on the machine.
        begin = time.process_time()
        train()
        return (time.process_time() - begin) / trials

    search(100)
    memory = statistics.median(search(1000) for _ in range(9))
    yield Row("a trial, in memory", memory * 1e6, "µs", "", 100)
    with tempfile.TemporaryDirectory() as folder:
        database = {"experiment": {"project_name": "b", "sql": {"db_path": f"{folder}/b.db"}}}
        tracker = SQLLogger(database)
        search(20, tracker=tracker)
        stored = statistics.median(search(200, tracker=tracker) for _ in range(5))
        tracker.engine.dispose()
    yield Row("a trial, with SQLite", stored * 1e3, "ms", "", 1, note="each is a run of the store")


_PEAKS = (
    (1.0, (3.0, 10.0, 30.0), (0.3689, 0.1170, 0.2673)),
    (1.2, (0.1, 10.0, 35.0), (0.4699, 0.4387, 0.7470)),
    (3.0, (3.0, 10.0, 30.0), (0.1091, 0.8732, 0.5547)),
    (3.2, (0.1, 10.0, 35.0), (0.0381, 0.5743, 0.8828)),
)


def hartmann(point: tuple[float, ...]) -> float:
    """Hartmann's function of three variables, to be maximised (its maximum is 3.86)."""
    return sum(
        height
        * math.exp(-sum(a * (x - p) ** 2 for a, x, p in zip(widths, point, place, strict=True)))
        for height, widths, place in _PEAKS
    )


def _misled() -> Row:
    """Hyperband where small budgets lead to the wrong place."""
    generator = random.Random(0)
    drawn = sorted(hartmann(tuple(generator.random() for _ in range(3))) for _ in range(10_000))
    good = drawn[9_000]
    spaces = {name: {"param_type": "FLOAT", "param_range": (0, 1)} for name in "xyz"}

    def train(config: Any, trial: Any) -> float:
        # The bias is the function seen in a mirror: at a budget of 1 it counts 1.8 times as much as
        # the function itself, at 81 one part in 4,000.
        point = config.x, config.y, config.z
        mirrored = hartmann((1 - config.x, 1 - config.y, 1 - config.z))
        return hartmann(point) + 2 * math.exp(-trial.budget / 9) * mirrored

    reached = 0
    for seed in range(20):
        best = HyperBand(Scope(enable_override=True), spaces, max_budget=81, seed=seed).main(
            train
        )()
        reached += hartmann((best.config.x, best.config.y, best.config.z)) >= good
    work = "Hartmann-3, early ranks mislead: seeds in the top 10 %"
    return Row(work, reached, "of 20", "", 20, at_least=True)


def _memory() -> Row:
    def peak(points: int) -> int:
        spaces = {
            name: {"param_type": "FLOAT", "param_range": (0, 1), "num_samples": points}
            for name in "xyz"
        }
        search = HyperBand(Scope(enable_override=True), spaces, max_budget=81, sampler="grid")
        train = search.main(lambda config: config.x)
        tracemalloc.start()
        train()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)
    small, large = peak(10), peak(100)
    note = f"{small / 1e6:.2f} MB and {large / 1e6:.2f} MB, traced"
    # What is more are the values of each parameter by itself, 100 instead of 10 of them.
    return Row("memory, 10⁶ beside 10³ grid points", (large - small) / 1e3, "kB", "", 32, note=note)


def _rivals(curves: dict[Any, list[float]]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "curves.json"
        file.write_text(json.dumps({"grid": GRID, "curves": [curves[config] for config in GRID]}))
        for name, (pinned, check) in RIVALS.items():
            interpreter = install(pinned, check)
            if isinstance(interpreter, str):
                yield Row(f"beside {pinned}", None, "", "", note=f"not installed: {interpreter}")
                continue

            def ask(what: str, seeds: int = 0, interpreter: Path = interpreter) -> Any:
                return _asked(interpreter, what, file, seeds)

            yield from _of(name, pinned, ask)


def _of(name: str, pinned: str, ask: Callable[..., Any]) -> Iterator[Row]:
    """The rows of one rival."""
    found = ask(name, 20 if name == "optuna" else SEEDS)
    kind = {"optuna": "TPE and Hyperband", "ray": "ASHA", "ato": "halving from scratch"}[name]
    epochs = found.get("epochs")
    if epochs is not None and epochs >= 10**9:
        found = {"error": "most seeds never reached it"}
        epochs = None
    note = found.get("error", kind)
    yield Row(f"epochs until {TARGET}, {pinned}", epochs, "epochs", "", note=note)
    overhead = ask(f"overhead-{name}")
    for where, seconds in overhead.items():
        if isinstance(seconds, float):
            yield Row(f"a trial, {where}, {pinned}", seconds * 1e6, "µs", "")
        else:
            yield Row(f"a trial, {pinned}", None, "", "", note=seconds)


def _asked(interpreter: Path, what: str, file: Path, seeds: int) -> Any:
    done = subprocess.run(
        # Without this folder on the path, where a file has the name of the standard library's `code`.
        [interpreter, "-P", SCRIPT, what, str(file), str(seeds)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1][:120]}
