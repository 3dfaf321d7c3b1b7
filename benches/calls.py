"""What tracing adds to a call, logging to a step, and `import ato` to a start."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ato import events
from ato.db_routers.sql.manager import SQLLogger
from ato.trace import runtime_trace, watch
from benches.measure import Row, interleaved

HEAVY = ("numpy", "torch", "libcst", "sqlalchemy", "yaml")


def rows() -> Iterator[Row]:
    """All rows."""
    yield from _calls()
    yield from _executed()
    yield from _watched()
    yield from _opened()
    yield from _metrics()
    yield from _imports()


class Last:
    """A recorder that keeps the last call only."""

    watch_files = True

    def __init__(self) -> None:
        self.call: events.CallRecord | None = None

    def on_code(self, record: events.CodeRecord) -> None:
        """Keep nothing."""

    def on_call(self, record: events.CallRecord) -> None:
        """Keep the record."""
        self.call = record

    def on_start_state(self, states: dict[str, str]) -> None:
        """Keep nothing."""

    def on_file(self, record: events.FileRecord) -> None:
        """Keep nothing."""


def loss(prediction: float, target: float, scale: float) -> float:
    """The function that is traced."""
    return (prediction - target) * scale


def _calls() -> Iterator[Row]:
    recorder = Last()
    run = events.open_run(recorder)
    recorded = runtime_trace(loss, trace_id="recorded", every=1)
    skipped = runtime_trace(loss, trace_id="skipped", every=10**9)
    assert recorded(1.0, 0.5, 2.0) == skipped(1.0, 0.5, 2.0) == 1.0
    assert recorder.call is not None
    assert list(recorder.call.inputs) == ["prediction", "target", "scale"]
    assert recorder.call.output["output"].text == "1.0"
    taken = interleaved(
        {
            "bare": lambda: loss(1.0, 0.5, 2.0),
            "recorded": lambda: recorded(1.0, 0.5, 2.0),
            "skipped": lambda: skipped(1.0, 0.5, 2.0),
        },
        turns=31,
    )
    events.close_run(run)
    closed = interleaved({"closed": lambda: recorded(1.0, 0.5, 2.0)}, turns=15)["closed"]
    note = "without torch; random and NumPy are watched" if "numpy" in sys.modules else ""
    for name, limit in (("recorded", 15), ("skipped", 1)):
        extra = (taken[name] - taken["bare"]) * 1e6
        yield Row(f"traced call, {name}", extra, "µs", "over the bare call", limit, note=note)
    extra = (closed - taken["bare"]) * 1e6
    yield Row("traced call, no run open", extra, "µs", "over the bare call")


def many() -> float:
    """A traced function that calls another one often."""
    return sum(loss(1.0, 0.5, 2.0) for _ in range(10_000))


def _executed() -> Iterator[Row]:
    """Which functions ran is watched in every run; on Python 3.11 in the first traced calls only."""
    bare = interleaved({"bare": many}, turns=15)["bare"]
    run = events.open_run(Last())
    first = []
    for number in range(9):
        traced = runtime_trace(many, trace_id=f"many {number}")
        begin = time.perf_counter()
        traced()
        first.append(time.perf_counter() - begin)
    later = interleaved({"later": many}, turns=15)["later"]
    events.close_run(run)
    assert "loss" in {unit.name for unit in run.executed}
    once = (statistics.median(first) - bare) * 1e3
    yield Row("executed units, first traced call", once, "ms", "over 10,000 bare calls")
    yield Row("executed units, afterwards", later / bare, "x", "bare calls", 1.1)


def _watched() -> Iterator[Row]:
    """What `ato.watch` adds to a forward pass that the schedule skips, and to one that it records."""
    if importlib.util.find_spec("torch") is None:
        yield Row("watched forward pass", None, "µs", "over the bare pass", note="needs torch")
        return
    import torch

    def model() -> torch.nn.Module:
        return torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(8)))

    x = torch.ones(16, 64)
    bare, recorded, skipped = model(), model(), model()
    run = events.open_run(Last())
    with watch(recorded, "recorded", every=1), watch(skipped, "skipped", every=10**9):
        taken = interleaved(
            {
                "bare": lambda: bare(x),
                "recorded": lambda: recorded(x),
                "skipped": lambda: skipped(x),
            }
        )
    events.close_run(run)
    for name in ("recorded", "skipped"):
        extra = (taken[name] - taken["bare"]) / 9 * 1e6
        yield Row(f"watched forward pass, {name}", extra, "µs", "a part, over the bare pass")


def _opened() -> Iterator[Row]:
    """What noticing data files adds to an `open`, the first time in a call and afterwards."""
    recorder = Last()
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, str(number))) for number in range(500)]
        for path in paths:
            Path(path).write_text("1")
        time.sleep(0.05)  # a file counts as the run's own work where its clock cannot tell
        taken: dict[str, list[float]] = {"bare": [], "first": [], "again": []}
        for _ in range(9):
            taken["bare"].append(_opening_bare(paths))
            run = events.open_run(recorder)
            taken["first"].append(_opening(paths))
            taken["again"].append(_opening(paths))
            assert len(run.files.files) == len(paths)
            events.close_run(run)
    bare, first, again = (statistics.median(times) for times in taken.values())
    yield Row("noticed file, first time", first - bare, "µs", "over the bare open", 5)
    yield Row("noticed file, again", again - bare, "µs", "over the bare open", 5)


def _opening_bare(paths: list[str]) -> float:
    """The same in a process without Ato: its hook cannot be taken back."""
    code = "\n".join(
        (
            "import statistics, sys, time",
            inspect.getsource(_opening),
            "print(_opening(sys.stdin.read().splitlines()))",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", f"from __future__ import annotations\n{code}"],
        input="\n".join(paths),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout)


def _opening(paths: list[str]) -> float:
    """The median time of an `open`, in microseconds."""
    times = []
    for path in paths:
        begin = time.perf_counter()
        file = open(path)  # noqa: SIM115 (it alone is timed)
        times.append(time.perf_counter() - begin)
        file.close()
    return statistics.median(times) * 1e6


def _metrics() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        place = {"sql": {"db_path": str(Path(folder, "bench.db"))}, "project_name": "bench"}
        logger = SQLLogger({"experiment": place})
        logger.run()
        times = []
        for step in range(2000):
            begin = time.perf_counter()
            logger.log_metric("loss", 0.5, step)
            times.append(time.perf_counter() - begin)
        logger.finish()
    times.sort()
    median, tail = times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6
    yield Row("log_metric, median", median, "µs", "durable on return", 2)
    yield Row("log_metric, 99th percentile", tail, "µs", "durable on return", 10)


def _imports() -> Iterator[Row]:
    loaded = subprocess.run(
        [sys.executable, "-c", f"import ato, sys; print([m for m in {HEAVY} if m in sys.modules])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert loaded == "[]", loaded
    taken: dict[str, list[float]] = {"pass": [], "import ato": []}
    for _ in range(21):
        for code, times in taken.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - begin)
    bare, ours = (statistics.median(times) for times in taken.values())
    yield Row("import ato", (ours - bare) * 1e3, "ms", "over the interpreter's start", 30)
