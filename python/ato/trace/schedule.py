"""Which calls of a traced function are recorded: the same ones in every run."""

from __future__ import annotations

from ato.exceptions import ScheduleError

_DENSE_CALLS = 32


def is_scheduled(index: int, every: int | None) -> bool:
    """Say whether call number `index` (from 0) is recorded.

    With `every`, each multiple of it. Without, the first 32 calls, then 32 in each doubling:
    every call up to 63, every second one up to 127, every fourth up to 255, and so on.
    """
    if every is not None:
        return index % every == 0
    if index < 2 * _DENSE_CALLS:
        return True
    step = 1 << (index.bit_length() - _DENSE_CALLS.bit_length())
    return index & (step - 1) == 0


def check_every(where: str, every: int | None) -> None:
    """Refuse a number of calls that says nothing.

    Raises:
        ScheduleError: `every` is less than 1.
    """
    if every is not None and every < 1:
        raise ScheduleError(f"{where}(every={every}): record each N-th call with N of 1 or more")
