from __future__ import annotations

import pytest
import search_places
from search_places import report

from ato import HyperBand


def here(processes=None):
    search = HyperBand(
        search_places.scope, search_places.SPACES, max_budget=9, seed=1, processes=processes
    )
    return search.main(search_places.metric_of)().digest


def test_two_processes_give_the_result_of_one():
    """Trials, budgets, metrics and their order are one digest, inline and in two processes."""
    assert here() == here(processes=2)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("ray", "digest"),
        ("dask", "digest"),
        ("dask", "stored"),
        ("torchrun-2", "data"),
        ("torchrun-2", "trials"),
        ("torchrun-3", "data"),
        ("torchrun-3", "trials"),
    ],
)
def test_every_engine_gives_the_result_of_this_process(place, kind):
    """Two Ray workers, Dask's workers, and two and three ranks of gloo give the inline digest."""
    expected = here()
    assert [found[kind] for found in report(place)] == [expected] * len(report(place))
