"""Group `why`, its speed: two runs of 100,000 and of 1,000,000 calls, answered.

The stores are written through the recorder's own encoding; no training runs. The second run has
another learning rate, so that all of its calls differ from the first one on (or none does, or one is
missing). Each answer has a process of its own, whose peak memory counts what Python and SQLAlchemy take
as well; the time is that of `ato.why` once they are loaded.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from benches.measure import Row

# Calls, seconds and MB of each size.
SIZES = ((100_000, 1.0, 300), (1_000_000, 8.0, None))
KINDS = {
    "values": "another value from the first call on",
    "equal": "nothing differs",
    "inserted": "one more call at every tenth",
    "threads": "a pool in another order",
}
_AT_ONCE = 20_000

_ASK = """
import json, resource, sys, time
import ato, ato.explain, ato.explain.answer, ato.db_routers.sql.reading
begin, used = time.perf_counter(), time.process_time()
answer = ato.why(1, 2, db=sys.argv[1])
seconds, used = time.perf_counter() - begin, time.process_time() - used
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
split = answer.first_divergence
found = [answer.verdict, split and split.kind, [c.change.subject for c in answer.causes]]
print(json.dumps([seconds, used, peak, found]))
"""

_EXPECTED = {
    "values": ["explained", "values", ["lr"]],
    "equal": ["identical", None, []],
    "inserted": ["ambiguous", "missing", ["lr"]],
    "threads": ["identical", None, []],
}


def rows() -> Iterator[Row]:
    """Measure each kind of difference; the large runs with the first two."""
    for count, seconds, memory in SIZES:
        for kind in KINDS if count == SIZES[0][0] else ("values", "inserted"):
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "runs.db")
                write_store(path, count, kind)
                taken, used, peak, found = ask(path)
            if found != _EXPECTED[kind]:
                raise AssertionError(f"{kind}: the answer is {found}, not {_EXPECTED[kind]}")
            work = f"why, two runs of {count:,} calls, {KINDS[kind]}"
            yield Row(
                work, taken, "s", "", seconds, note=f"{used:.2f} s of processor, peak {peak:.0f} MB"
            )
            if memory is not None:
                yield Row(work, peak, "MB", "", memory)


def ask(path: str) -> tuple[float, float, float, list[object]]:
    """Seconds, processor seconds, peak MB and the gist of the answer about runs 1 and 2, in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, path], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, used, peak, found = json.loads(done.stdout)
    return seconds, used, peak, found


def write_store(path: str, count: int, kind: str) -> None:
    """A store with two runs of `count` calls each."""
    from ato import SQLLogger, events
    from ato.db_routers.sql.engine import write
    from ato.db_routers.sql.rows import call_cells, write_calls

    for number in (1, 2):
        lr = 0.1 if number == 1 or kind in ("equal", "threads") else 0.2
        sql = {"db_path": f"sqlite:///{path}"}
        config = {"lr": lr, "experiment": {"project_name": "bench", "sql": sql}}
        logger = SQLLogger(config)
        run_id = logger.run(name=f"run-{number}")
        run = events.current_run()
        assert run is not None
        _register(run)
        logger.log_metric("loss", 1.0, 0)
        cells = map(call_cells, _records(count, lr, kind, second=number == 2))
        while some := list(islice(cells, _AT_ONCE)):
            write(logger.engine, partial(write_calls, key=(run_id, 0, 0, 0), calls=some))
        run.root.ident, run.position = 0, 2 * count
        logger.finish()
        logger.engine.dispose()


def _register(run: object) -> None:
    """The traced functions, as a script would have them."""
    from ato.code import fingerprint_code
    from ato.events import CodeRecord

    for function in (step, extra):
        code = fingerprint_code(function)
        run.recorder.on_code(CodeRecord(f"train.{function.__name__}", "runtime", code))  # type: ignore[attr-defined]


def step(weight: float, lr: float) -> float:
    """What the calls of these runs are taken to be."""
    return weight * lr


def extra(weight: float) -> float:
    """What the second run may call besides."""
    return weight


def _records(count: int, lr: float, kind: str, *, second: bool) -> Iterator[object]:
    from ato.events import CallRecord, Draw, Leaf, Read

    order = list(range(count))
    if kind == "threads" and second:
        for start in range(0, count - 4, 4):
            order[start : start + 4] = order[start : start + 4][::-1]
    sketch = "A" * 700
    read = hashlib.sha256(str(lr).encode()).hexdigest()
    number = 0
    for place, item in enumerate(order):
        if kind == "inserted" and second and place % 10 == 5:
            yield CallRecord("call", "train.extra", number + 1, 0, place // 10, number, number)
            number += 1
        start = _digest(item)
        made = _digest((item, lr) if kind == "values" else item)
        yield CallRecord(
            "call",
            "train.step",
            number + 1,
            0,
            place,
            number,
            number,
            "main" if kind != "threads" else "ThreadPoolExecutor-_",
            "deep",
            inputs={
                "weight": Leaf(start, "Tensor", "float32", (128, 128)),
                "lr": Leaf(read, "float", None, None, str(lr)),
            },
            reads=[Read("lr", read, number)],
            random={"torch": Draw(start, made)} if item % 10 == 0 else {},
            output={
                "output": Leaf(made, "Tensor", "float32", (128, 128), None, None, None, sketch)
            },
        )
        number += 1


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
