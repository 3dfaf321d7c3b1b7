"""What a search shows while it runs, and when it is done; in a terminal only."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from ato.hyperopt.base import Mode
from ato.hyperopt.brackets import Bracket, total_budget

if TYPE_CHECKING:
    from ato.hyperopt.result import Best
    from ato.hyperopt.search import Search
    from ato.hyperopt.trial import Result

__all__ = ["Progress", "result_table"]

_PAUSE = 0.1  # seconds between two drawings
_MOST_ROWS = 10


class Progress:
    """A line on a terminal: rung, running, best so far, remaining budget."""

    def __init__(self, name: str, brackets: Sequence[Bracket], mode: Mode, stream: TextIO) -> None:
        self._name = name
        self._mode = mode
        self._trainings = sum(rung.configs for bracket in brackets for rung in bracket)
        self._budget = total_budget(brackets, checkpoints=False)
        self._status: Any = None
        self._drawn = -math.inf
        self._console: Any = None
        if stream is not None and stream.isatty():
            from rich.console import Console  # loads for terminals only

            self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def __enter__(self) -> Self:
        if self._console is not None:
            self._status = self._console.status(self._name)
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, search: Search) -> None:
        """Draw where the search stands."""
        if self._status is not None and time.monotonic() - self._drawn >= _PAUSE:
            self._drawn = time.monotonic()
            self._status.update(self.line(search))

    def line(self, search: Search) -> str:
        """Where the search stands, in one line."""
        parts = [
            f"{self._name}: rung {len(search.rungs)}",
            f"{search.trained}/{self._trainings} trained",
            f"{search.running} running",
        ]
        if search.best is not None:
            parts.append(f"best {search.best.outcome.metric:.6g} (trial {search.best.job.trial})")
        if self._budget:
            parts.append(f"budget left {max(0, self._budget - search.spent):,}")
        return " · ".join(parts)

    def end(self, best: Best) -> None:
        """Print the table of the best trials."""
        if self._console is not None:
            self._console.print(result_table(best))
            if best.interrupted:
                self._console.print("interrupted; this is the best that is known")


def result_table(best: Best) -> Any:
    """The best trials with their values, as a table for the terminal."""
    from rich.table import Table  # loads for terminals only

    results = [result for rung in best.rungs for result in rung if result.succeeded]
    furthest: dict[int, Result] = {}
    for result in results:
        known = furthest.get(result.job.trial)
        if known is None or result.job.rung > known.job.rung:
            furthest[result.job.trial] = result
    sign = -1 if best.mode == "max" else 1
    rows = sorted(
        furthest.values(),
        key=lambda r: (-(r.job.budget or r.job.rung), sign * r.outcome.metric, r.job.trial),
    )
    keys = list(dict.fromkeys(key for result in results for key in result.job.values))
    table = Table(title=f"{best.name}: {len(furthest)} trials", box=None, header_style="bold")
    for title in ("trial", "rung", "budget", "metric", *keys):
        table.add_column(title, justify="right")
    for result in rows[:_MOST_ROWS]:
        job = result.job
        values = (_shown(job.values.get(key, "")) for key in keys)
        budget = "" if job.budget is None else str(job.budget)
        metric = f"{result.outcome.metric:.6g}"
        table.add_row(str(job.trial), str(job.rung), budget, metric, *values)
    return table


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
