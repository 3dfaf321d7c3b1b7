from __future__ import annotations

from search_places import report


def test_trials_in_threads_of_one_worker_are_runs_of_their_own():
    """Dask's workers train several trials in one process; each is its own run of the store."""
    [found] = report("dask")
    assert found["runs"] == found["trainings"] == 22
