"""Fingerprints of values, and what code costs to fingerprint."""

from __future__ import annotations

import importlib.util
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ato import ADict, fingerprint, fingerprint_code
from benches.measure import Row, interleaved


def rows() -> Iterator[Row]:
    """All rows."""
    yield from _configs()
    yield from _functions()
    yield from _generator_states()


def config(leaves: int = 200) -> dict[str, object]:
    """A config of 20 branches, with leaves of every plain type."""
    rng = random.Random(0)
    makers = (rng.random, lambda: rng.randrange(100), lambda: str(rng.random()), lambda: True)
    branches = leaves // 10
    return {
        f"branch_{number}": {f"key_{key}": makers[key % 4]() for key in range(10)}
        for number in range(branches)
    }


def _configs() -> Iterator[Row]:
    plain = config()
    wrapped, other = ADict(plain), ADict({**plain, "branch_0": {"key_0": 1}})
    assert wrapped.get_structural_hash() != other.get_structural_hash()
    assert fingerprint(wrapped) == fingerprint(plain) != fingerprint(other)
    taken = interleaved(
        {"structure": wrapped.get_structural_hash, "value": lambda: fingerprint(wrapped)}, turns=31
    )
    for name, work in (("structure", "structural hash"), ("value", "value fingerprint")):
        yield Row(f"{work}, config of 200 leaves", taken[name] * 1e6, "µs", "", 25)


def _generator_states() -> Iterator[Row]:
    from ato.fingerprints.generators import states

    before = states()
    random.random()
    assert states()["random"] != before["random"]

    def drawn() -> None:
        random.random()
        states()

    taken = interleaved({"same": states, "drawn": drawn}, turns=31)
    note = f"{taken['drawn'] * 1e6:.2f} µs after a draw from one"
    yield Row(
        "states of random and NumPy",
        taken["same"] * 1e6,
        "µs",
        "before and after a call",
        3,
        note=note,
    )


_LINE = """    total_{0} = sum(value * {0} for value in values if value > {0}) + scale
"""


def _source(number: int, lines: int = 50) -> str:
    body = "".join(_LINE.format(number * lines + line) for line in range(lines - 2))
    return f"def train(values, scale=1.0):\n{body}    return total_{number * lines}\n"


def _functions() -> Iterator[Row]:
    """Each first time is that of a new file; the parser takes turns on the same text."""
    import libcst

    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATO_CACHE_DIR"] = str(Path(folder, "cache"))
        sys.path.insert(0, folder)
        os.chdir(folder)  # what lies under the current folder is the project's own code
        modules = [_module(Path(folder, f"bench_{number}.py"), number) for number in range(10)]
        first, parsed, logic = [], [], set()
        for number, module in enumerate(modules):
            begin = time.perf_counter()
            logic.add(fingerprint_code(module.train).logic)
            first.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            libcst.parse_module(_source(number)).visit(libcst.CSTVisitor())
            parsed.append(time.perf_counter() - begin)
        assert len(logic) == len(modules)
        # The first one imported libcst, in part.
        ratio = statistics.median(first[1:]) / statistics.median(parsed[1:])
        yield Row(
            "logic of a function of 50 lines, first time",
            ratio,
            "×",
            "the time of libcst's parse and an empty visit",
            1.5,
            note=f"{statistics.median(first[1:]) * 1e3:.1f} ms",
        )
        train = modules[0].train
        cached = interleaved({"cached": lambda: fingerprint_code(train)}, turns=15)["cached"]
        yield Row("the same, cached", cached * 1e3, "ms", "", 0.2)


def _module(path: Path, number: int) -> ModuleType:
    path.write_text(_source(number))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
