from __future__ import annotations

import pytest
import search_places
from search_places import report

from ato.exceptions import ExecutorError, SearchOptionError
from ato.hyperopt.base import DistributedMixIn
from ato.hyperopt.hyperband import DistributedHyperBand, HyperBand


@pytest.fixture(params=["torchrun-2", "torchrun-3"])
def ranks(request):
    """What each rank of a real torchrun job reports."""
    return report(request.param)


def test_ranks_share_out_the_trials_of_a_rung(ranks):
    """With mode_parallel="trials" each training runs on one rank, and more than one rank trains."""
    assert sum(found["trained"] for found in ranks) == 22
    assert sum(found["trained"] > 0 for found in ranks) > 1


def test_an_error_of_the_search_reaches_every_rank(ranks):
    """What rank 0 raises every rank raises, whichever way they share the work."""
    for found in ranks:
        assert found["wrong_data"] == found["wrong_trials"] == "TrialResultError"


def test_a_rank_that_leaves_is_an_error_on_the_others(ranks):
    """A rank whose spaces are wrong raises that; the others hear that it left, and wait for nothing."""
    first, *others = ranks
    assert first["left"].startswith(f"{ExecutorError.__name__}: rank ")
    assert all(found["left"].startswith(("SpaceError", "ExecutorError")) for found in others)


@pytest.mark.parametrize("parallel", ["data", "trials"])
def test_an_interrupted_search_ends_on_every_rank_and_goes_on(ranks, parallel):
    """After Ctrl-C every rank gets what is known, and resume gives the digest of an unbroken search."""
    for found in ranks:
        assert found[f"interrupted_{parallel}"]
        assert found[f"resumed_{parallel}"] == found["data"]


def test_ranks_broadcast_and_gather(ranks):
    """Rank and world size are the process group's; objects go from rank 0, and from all to all."""
    for rank, found in enumerate(ranks):
        assert found["who"] == [rank, len(ranks), rank == 0]
        assert found["broadcast"] == "of rank 0"
        assert found["gathered"] == [10 * each for each in range(len(ranks))]


def test_numbers_that_contradict_the_process_group_are_an_error(ranks):
    """A world_size that the process group does not have is refused with both numbers."""
    assert f"the process group says {len(ranks)}" in ranks[0]["wrong_world"]


def test_a_rank_that_fails_or_dies_alone_ends_the_job_and_leaves_its_trial(ranks):
    """Nobody waits in a collective for a rank that failed: the trial is recorded, the job ends."""
    assert ranks[0]["status"] != 0
    if len(ranks) == 2:
        [(trial, error)] = ranks[0]["stored_failures"]
        assert trial == 2
        assert "only here" in error
        assert "the job ends" in error


def test_without_a_process_group_a_search_runs_alone_and_says_so(spaces, scope):
    """Outside of torchrun there is one rank, a warning says so, and the result is HyperBand's."""
    search = DistributedHyperBand(scope, spaces, max_budget=9)
    train = search.main(lambda config, trial: config.lr * trial.budget)
    with pytest.warns(UserWarning, match="no process group is initialised"):
        best = train()
    alone = HyperBand(scope, spaces, max_budget=9).main(
        lambda config, trial: config.lr * trial.budget
    )
    assert best.digest == alone().digest
    assert (search.rank, search.world_size, search.is_root) == (0, 1, True)
    assert search.all_gather_object("mine") == ["mine"]
    assert search.broadcast_object_from_root("mine") == "mine"
    search.destroy()


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "mpi"},
        {"rank": 2, "world_size": 2},
        {"world_size": 0},
        {"mode_parallel": "both"},
        {"processes": 2},
        {"executor": object()},
        {"trial_timeout": 3.0},
    ],
)
def test_options_that_make_no_ranks_are_errors(scope, spaces, options):
    """Another backend, a rank beyond the world, and engines of other searches are refused."""
    with pytest.raises(SearchOptionError):
        DistributedHyperBand(scope, spaces, max_budget=9, **options)


def test_the_halving_form_takes_the_arguments_of_old(scope, spaces):
    """Rate, samples, tracker, mode, rank and world size may be given by position."""
    search = DistributedHyperBand(scope, spaces, 0.3, 2, None, "min", 0, 1, "pytorch")
    with pytest.warns(UserWarning, match="alone"):
        best = search.main(lambda config: config.lr)()
    assert best.metric == 1e-4
    assert isinstance(search, DistributedMixIn)
    assert search_places.scope is not scope
