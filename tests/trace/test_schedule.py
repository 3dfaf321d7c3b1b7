"""Which calls are recorded."""

from __future__ import annotations

import pytest

from ato.trace.schedule import is_scheduled


def test_the_first_calls_are_all_recorded() -> None:
    """Calls 0 to 63 are recorded, every one."""
    assert all(is_scheduled(index, None) for index in range(64))


@pytest.mark.parametrize("low", [32, 64, 128, 1024, 65536])
def test_each_doubling_has_thirty_two_calls(low: int) -> None:
    """Between a power of two and the next, 32 evenly spaced calls are recorded."""
    recorded = [index for index in range(low, 2 * low) if is_scheduled(index, None)]
    assert recorded == list(range(low, 2 * low, low // 32))


def test_every_n_records_each_nth_call() -> None:
    """`every=5` records calls 0, 5, 10 and so on."""
    assert [index for index in range(12) if is_scheduled(index, 5)] == [0, 5, 10]
