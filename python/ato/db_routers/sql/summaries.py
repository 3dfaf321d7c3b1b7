"""The summary row of each metric of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

__all__ = ["SUMMARISE", "summaries"]

# Merged in SQL, since the points of a run come from several processes, in any order.
SUMMARISE = text(
    """
    INSERT INTO metric_summaries
        (run_id, key_id, count, last, last_step, last_timestamp,
         minimum, minimum_step, maximum, maximum_step)
    VALUES
        (:run_id, :key_id, :count, :last, :last_step, :last_timestamp,
         :minimum, :minimum_step, :maximum, :maximum_step)
    ON CONFLICT (run_id, key_id) DO UPDATE SET
        count = metric_summaries.count + excluded.count,
        last = CASE
            WHEN excluded.last_timestamp >= metric_summaries.last_timestamp
            THEN excluded.last ELSE metric_summaries.last END,
        last_step = CASE
            WHEN excluded.last_timestamp >= metric_summaries.last_timestamp
            THEN excluded.last_step ELSE metric_summaries.last_step END,
        last_timestamp = CASE
            WHEN excluded.last_timestamp >= metric_summaries.last_timestamp
            THEN excluded.last_timestamp ELSE metric_summaries.last_timestamp END,
        minimum_step = CASE
            WHEN metric_summaries.minimum IS NULL OR excluded.minimum < metric_summaries.minimum
            THEN excluded.minimum_step ELSE metric_summaries.minimum_step END,
        minimum = CASE
            WHEN metric_summaries.minimum IS NULL OR excluded.minimum < metric_summaries.minimum
            THEN excluded.minimum ELSE metric_summaries.minimum END,
        maximum_step = CASE
            WHEN metric_summaries.maximum IS NULL OR excluded.maximum > metric_summaries.maximum
            THEN excluded.maximum_step ELSE metric_summaries.maximum_step END,
        maximum = CASE
            WHEN metric_summaries.maximum IS NULL OR excluded.maximum > metric_summaries.maximum
            THEN excluded.maximum ELSE metric_summaries.maximum END
    """
)


def summaries(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """One row for `SUMMARISE` per key, from rows of `metrics` of one process, in order."""
    # A list per key, since a mapping would cost half of what the insertion does: number of points,
    # last row, and value and step of the lowest and of the highest number.
    found: dict[int, list[Any]] = {}
    for row in rows:
        number = row[6]
        state = found.get(row[5])
        if state is None:
            state = found[row[5]] = [0, row, None, None, None, None]
        state[0] += 1
        state[1] = row
        if number is not None:
            if state[2] is None or number < state[2]:
                state[2], state[3] = number, row[7]
            if state[4] is None or number > state[4]:
                state[4], state[5] = number, row[7]
    return [
        {
            "run_id": last[0],
            "key_id": key_id,
            "count": count,
            "last": last[6],
            "last_step": last[7],
            "last_timestamp": last[8],
            "minimum": lowest,
            # Where every value is NaN there is no minimum, and no step of one.
            "minimum_step": lowest_step,
            "maximum": highest,
            "maximum_step": highest_step,
        }
        for key_id, (count, last, lowest, lowest_step, highest, highest_step) in sorted(
            found.items()
        )
    ]
