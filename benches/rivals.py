"""The package `ato` 2.2.1, as its users run it, beside this one.

It is installed from the package index into a virtual environment of its own, since both have one
import name, and is driven through its public names by `ato_2_2_1.py`. The two take turns.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ato import ADict, events, fingerprint
from ato.trace import runtime_trace
from benches.calls import Last, loss
from benches.measure import Row, floats, timed
from benches.values import config

PINNED = "ato==2.2.1"
SCRIPT = Path(__file__).with_name("ato_2_2_1.py")
TURNS = 11


class Rival:
    """A process that does one piece of work at a time when asked, and says how long it took."""

    def __init__(self, interpreter: Path) -> None:
        self._process = subprocess.Popen(
            [interpreter, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, work: str, **options: Any) -> float:
        """Seconds that one piece of `work` took."""
        assert self._process.stdin is not None
        print(json.dumps({"work": work, **options}), file=self._process.stdin, flush=True)
        assert self._process.stdout is not None
        return float(_line(self._process.stdout))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def _line(stream: IO[str]) -> str:
    line = stream.readline()
    if not line:
        raise RuntimeError("the other version ended without an answer")
    return line


def rows() -> Iterator[Row]:
    """All rows; one that says why where the other version cannot be had."""
    interpreter = install()
    if isinstance(interpreter, str):
        yield Row(f"beside {PINNED}", None, "", "", note=f"could not be installed: {interpreter}")
        return
    rival = Rival(interpreter)
    try:
        yield from _beside(rival)
    finally:
        rival.close()
    yield _import(interpreter)


def _beside(rival: Rival) -> Iterator[Row]:
    data = floats((16 * 10**6,))
    run = events.open_run(Last())
    recorded = runtime_trace(loss, trace_id="recorded", every=1)
    wrapped = ADict(config())
    recorder = run.recorder
    assert recorded(1.0, 0.5, 2.0) == 1.0
    assert isinstance(recorder, Last)
    assert recorder.call is not None
    works: list[tuple[str, str, dict[str, Any], int, Callable[[], object], str]] = [
        (
            "fingerprint of a result of 64 MB",
            "result",
            {"size": data.size},
            1,
            lambda: fingerprint(data),
            "what runtime_trace does there to a result",
        ),
        (
            "traced call, scalars",
            "call",
            {},
            500,
            lambda: recorded(1.0, 0.5, 2.0),
            "result only; here arguments, generators and reads too",
        ),
        (
            "structural hash, 200 leaves",
            "structure",
            {"config": config()},
            50,
            wrapped.get_structural_hash,
            "",
        ),
    ]
    for work, asked, options, repeats, ours, note in works:
        mine, theirs = [], []
        for _ in range(TURNS):
            mine.append(timed(ours, repeats))
            theirs.append(rival.ask(asked, repeats=repeats, **options))
        own, other = statistics.median(mine), statistics.median(theirs)
        times = f"{own * 1e6:,.1f} µs to {other * 1e6:,.1f} µs"
        yield Row(work, other / own, "×", f"the speed of {PINNED}", note=f"{times} {note}".strip())
    events.close_run(run)


def _import(interpreter: Path) -> Row:
    """Its package imports nothing by itself, so the two names that everybody uses are imported."""
    code = (
        "import time; begin = time.perf_counter(); from ato.scope import Scope; "
        "from ato.adict import ADict; print(time.perf_counter() - begin)"
    )
    taken: dict[Path, list[float]] = {Path(sys.executable): [], interpreter: []}
    for _ in range(7):
        for python, times in taken.items():
            done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
            times.append(float(done.stdout))
    own, other = (statistics.median(times) for times in taken.values())
    note = f"{own * 1e3:.0f} ms to {other * 1e3:.0f} ms"
    return Row("import of Scope and ADict", other / own, "×", f"the speed of {PINNED}", note=note)


def install(pinned: str = PINNED, check: str = "import ato.scope, ato.adict") -> Path | str:
    """The interpreter of an environment that holds a rival, or why there is none."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir())
    folder = base / f"ato-benches-{_named(pinned)}-py{sys.version_info.minor}"
    interpreter = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if interpreter.exists() and _works(interpreter, check):
        return interpreter
    uv = shutil.which("uv")
    if uv:
        steps = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(interpreter), *pinned.split()],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(interpreter), "-m", "pip", "install", "--quiet", *pinned.split()],
        ]
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else step[1]
    return interpreter if _works(interpreter, check) else "it does not import"


def _named(pinned: str) -> str:
    return "".join(each if each.isalnum() or each in ".-" else "-" for each in pinned)


def _works(interpreter: Path, code: str) -> bool:
    return (
        subprocess.run([interpreter, "-c", code], check=False, capture_output=True).returncode == 0
    )
