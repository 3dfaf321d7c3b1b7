from __future__ import annotations

import pytest
from search_places import report

from ato.exceptions import SearchOptionError
from ato.hyperopt.ray_executor import RayExecutor


@pytest.fixture
def found():
    """What came of searching in a Ray cluster of two processors."""
    return report("ray")[0]


def test_it_joins_the_cluster_that_is_there_and_leaves_it_running(found):
    """Two calls of half the cluster run at a time, and shutdown lets it live."""
    assert found["workers"] == 2
    assert found["joined"]


def test_without_a_cluster_it_starts_one_and_stops_it(found):
    """An executor that started Ray stops it when it is shut down."""
    assert found["own"] == 32
    assert found["stopped"]


def test_a_worker_that_dies_costs_one_trial(found):
    """The task is not tried again: its trial is killed, and the search goes on."""
    assert found["died"] == [[4, "killed"]]


def test_what_a_call_raises_comes_out_as_it_was(found):
    """The future holds the call's own exception, not Ray's wrapping of it."""
    assert found["error"].startswith("ValueError(")


def test_calls_can_be_cancelled_and_a_closed_executor_takes_none(found):
    """A waiting call is cancelled; after shutdown submit is an error."""
    assert found["cancelled"]
    assert "shut down" in found["closed"]


@pytest.mark.parametrize("needs", [{"num_cpus": -1}, {"num_cpus": 0}, {"num_gpus": "one"}])
def test_what_a_call_takes_is_a_number_above_nothing(needs):
    """Negative numbers, texts and calls that take nothing are refused before Ray starts."""
    with pytest.raises(SearchOptionError):
        RayExecutor(**needs)
