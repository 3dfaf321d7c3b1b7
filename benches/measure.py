"""Timing that compares: all contestants of a row take turns, and medians are divided."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

PAGE = 4096
# A contestant that is faster than this is called several times in a turn.
_TURN = 0.002


@dataclass
class Row:
    """One line of the table.

    `value` is in `unit`; the target is `value <= limit` or, where `at_least`, `value >= limit`.
    `reached` is `None` for a row that has no target or could not be measured.
    """

    work: str
    value: float | None
    unit: str
    against: str
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is met."""
        if self.limit is None or self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


Clock = Literal["wall", "processor"]


def interleaved(
    contestants: dict[str, Callable[[], object]], turns: int = 15, clock: Clock = "wall"
) -> dict[str, float]:
    """Seconds that one call takes, by contestant: medians of `turns` turns in rotating order."""
    repeats = {name: _repeats(call) for name, call in contestants.items()}
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    gc.collect()
    gc.disable()
    try:
        for turn in range(turns):
            start = turn % len(order)
            for name in order[start:] + order[:start]:
                taken[name].append(timed(contestants[name], repeats[name], clock))
    finally:
        gc.enable()
    return {name: statistics.median(times) for name, times in taken.items()}


def timed(call: Callable[[], object], repeats: int, clock: Clock = "wall") -> float:
    """Seconds of one call, as the mean of `repeats` calls."""
    now = time.process_time if clock == "processor" else time.perf_counter
    begin = now()
    for _ in range(repeats):
        call()
    return (now() - begin) / repeats


def _repeats(call: Callable[[], object]) -> int:
    call()
    once = timed(call, 1)
    return max(1, int(_TURN / max(once, 1e-7)))


def floats(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random float32 that begin at a random place inside a page, as a user's arrays do."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    memory = np.empty(4 * size + PAGE, dtype=np.uint8)
    offset = 4 * int(rng.integers(1, PAGE // 4))
    array = memory[offset : offset + 4 * size].view(np.float32).reshape(shape)
    rng.standard_normal(dtype=np.float32, out=array) if array.flags.c_contiguous else None
    return array


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gigabytes(size: int, seconds: float) -> str:
    """A rate as text."""
    return f"{size / seconds / 1e9:.1f} GB/s"
