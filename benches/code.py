"""What fingerprints of code cost: the first time, from the cache, and after an edit."""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import libcst as cst

from ato.code import fingerprint_code, source
from benches.measure import Row, interleaved

FILES = 10
FUNCTIONS = 20

# Twenty lines with a call, a loop, a constant and a few expressions, as functions have them.
_FUNCTION = '''
def step_{file}_{number}(x, scale=2):
    """Do what a step does."""
    total = 0
    for index in range({number} + 1):
        value = x * index + LIMIT
        if value > scale:
            total += value - scale
        else:
            total -= abs(value)
    table = {{"one": total, "two": [total, scale]}}
    first, *rest = sorted(table["two"], key=lambda item: -item)
    text = f"{{first:.2f}} of {{len(rest)}}"
    # The next one is called with what is left.
    while total > 100 and rest:
        total = total // 2 + len(text)
    pairs = [(a, b) for a in rest for b in range(3) if a != b]
    return {call} + len(pairs)
'''
_TIMED = """
import sys, time
import train
from ato.code import fingerprint_code
begin = time.process_time()
code = fingerprint_code(train.train)
print(time.process_time() - begin, len(code.units))
"""


def rows() -> Iterator[Row]:
    """All rows."""
    yield from _one_function()
    yield from _whole_project()


def _one_function() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATO_CACHE_DIR"] = str(Path(folder, "cache"))
        text = _FUNCTION.format(file=0, number=3, call="abs(x)").replace("    return abs", _MIDDLE)
        assert text.count("\n") == 51
        Path(folder, "single.py").write_text(f"LIMIT = 3{text}", encoding="utf-8")
        sys.path.insert(0, folder)
        fn = importlib.import_module("single").step_0_3
        sys.path.remove(folder)
        known = fingerprint_code(fn, roots=[folder]).logic
        turn = iter(range(10**9))

        def first() -> None:
            os.environ["ATO_CACHE_DIR"] = str(Path(folder, f"cache {next(turn)}"))
            source._seen.clear()
            assert fingerprint_code(fn, roots=[folder]).logic == known

        whole = Path(folder, "single.py").read_text(encoding="utf-8")
        taken = interleaved(
            {
                "libcst": lambda: cst.parse_module(whole).visit(cst.CSTVisitor()),
                "first": first,
            },
            turns=21,
            clock="processor",
        )
        cached = interleaved(
            {"cached": lambda: fingerprint_code(fn, roots=[folder])}, turns=21, clock="processor"
        )
        del os.environ["ATO_CACHE_DIR"]
    ratio = taken["first"] / taken["libcst"]
    note = f"{taken['first'] * 1e3:.1f} ms"
    yield Row("function of 50 lines, first", ratio, "×", "libcst's parse and visit", 1.5, note=note)
    yield Row("function of 50 lines, cached", cached["cached"] * 1e3, "ms", "", 0.2)


_MIDDLE = (
    "    values = {}\n"
    + "".join(f"    values[{n}] = [x + {n}, x * {n}, max(x, {n})][{n} % 3]\n" for n in range(32))
    + "    return abs"
)


def _whole_project() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        lines = _write_project(Path(folder))
        assert 3_600 <= lines <= 4_400
        note = f"{FILES * FUNCTIONS} functions, {lines:,} lines"
        first = [_timed(folder, cache=f"cache {n}") for n in range(3)]
        cached = [_timed(folder, cache="cache 0") for _ in range(7)]
        edited = []
        for turn in range(3):
            part = Path(folder, "part_4.py")
            text = part.read_text(encoding="utf-8").replace("x * index", f"x * index + {turn}")
            part.write_text(text, encoding="utf-8")
            edited.append(_timed(folder, cache="cache 0"))
    yield Row("deep, first", statistics.median(first), "s", "", 3, note=note)
    yield Row("deep, cached", statistics.median(cached) * 1e3, "ms", "", 50, note=note)
    yield Row("deep, one file edited", statistics.median(edited), "s", "", 0.5, note=note)


def _write_project(folder: Path) -> int:
    """Functions that call one another through ten modules; gives the number of lines."""
    lines = 0
    for file in range(FILES):
        text = "" if file + 1 == FILES else f"from part_{file + 1} import step_{file + 1}_0\n"
        text += "LIMIT = 3\n"
        for number in range(FUNCTIONS):
            following = f"step_{file}_{number + 1}"
            if number + 1 == FUNCTIONS:
                following = "abs" if file + 1 == FILES else f"step_{file + 1}_0"
            text += _FUNCTION.format(file=file, number=number, call=f"{following}(x)") + "\n"
        lines += text.count("\n")
        (folder / f"part_{file}.py").write_text(text, encoding="utf-8")
    entry = "from part_0 import step_0_0\ndef train(x): return step_0_0(x)\n"
    (folder / "train.py").write_text(entry, encoding="utf-8")
    (folder / "timed.py").write_text(_TIMED, encoding="utf-8")
    return lines


def _timed(folder: str, cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "timed.py"],
        check=True,
        cwd=folder,
        env={**os.environ, "ATO_CACHE_DIR": str(Path(folder, cache))},
        capture_output=True,
        text=True,
    )
    seconds, units = done.stdout.split()
    # Each function has a lambda; each file has a constant and is imported from; one is the entry.
    assert int(units) == 2 * FILES * FUNCTIONS + 2 * FILES + 1, units
    return float(seconds)
