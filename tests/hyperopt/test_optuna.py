from __future__ import annotations

import math

import optuna
import pytest
from stores import logger_for

from ato import HyperBand
from ato.exceptions import SearchOptionError


def far(config):
    return -abs(math.log10(config.lr) + 2.5) - abs(config.depth - 3) - 1 / config["__budget__"]


def search(scope, spaces, sampler=None, **options):
    sampler = optuna.samplers.TPESampler() if sampler is None else sampler
    return HyperBand(scope, spaces, max_budget=27, sampler=sampler, **options).main(far)()


@pytest.mark.parametrize("scheduler", ["hyperband", "halving", "asha"])
def test_the_seed_of_the_search_decides_what_an_optuna_sampler_draws(scope, spaces, scheduler):
    """An unseeded TPESampler gives the same search for the same seed, another for another."""
    first = search(scope, spaces, scheduler=scheduler)
    assert search(scope, spaces, scheduler=scheduler).digest == first.digest
    assert search(scope, spaces, scheduler=scheduler, seed=1).digest != first.digest


def test_tpe_learns_from_the_brackets_before(scope, spaces):
    """Later brackets of a search with TPE have better configs than random ones, told what came."""
    found = [
        [
            sum(far_of(result) for result in rung) / len(rung)
            for rung in search(scope, spaces, sampler=sampler, seed=seed).rungs
            if rung[0].job.rung == 0
        ][-1]
        for sampler in (optuna.samplers.TPESampler(), optuna.samplers.RandomSampler())
        for seed in range(5)
    ]
    assert sum(found[:5]) > sum(found[5:])


def far_of(result):
    values = result.job.values
    return -abs(math.log10(values["lr"]) + 2.5) - abs(values["depth"] - 3)


def test_the_sampler_that_is_given_and_the_verbosity_are_left_alone(scope, spaces):
    """The search has its own copy: the user's sampler stays as it was, and so does Optuna's log."""
    sampler = optuna.samplers.TPESampler(seed=3)
    verbosity = optuna.logging.get_verbosity()
    search(scope, spaces, sampler=sampler)
    assert optuna.logging.get_verbosity() == verbosity
    again = optuna.samplers.TPESampler(seed=3)
    assert sampler._rng.rng.random() == again._rng.rng.random()


def test_conditions_and_odd_categories_go_through_a_sampler(scope, spaces):
    """Categories that are no plain values come as themselves; conditions see what was chosen."""
    shapes = [(1, 2), (3,), {"deep": True}]
    spaces["shape"] = {"param_type": "CATEGORY", "categories": shapes}
    spaces["extra"] = lambda config: (
        {"param_type": "INTEGER", "param_range": (5, 6)} if config.depth > 2 else None
    )
    for rung in search(scope, spaces).rungs:
        for result in rung:
            assert result.job.values["shape"] in shapes
            assert ("extra" in result.job.values) == (result.job.values["depth"] > 2)


def test_a_search_with_a_sampler_goes_on_where_it_was(scope, spaces, tmp_path):
    """Interrupted and resumed, a search with TPE gives the digest of an unbroken one."""
    tracker = logger_for(tmp_path / "store.db")
    calls = []

    def breaks(config):
        calls.append(config)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return far(config)

    options = {"max_budget": 27, "sampler": optuna.samplers.TPESampler(), "tracker": tracker}
    assert HyperBand(scope, spaces, name="tpe", **options).main(breaks)().interrupted
    best = HyperBand(scope, spaces, name="tpe", resume=True, **options).main(far)()
    assert best.digest == search(scope, spaces).digest


def test_trials_that_fail_are_told_to_the_sampler(scope, spaces):
    """A failing region ends no search, and every trial has been closed."""

    def fails(config):
        if config.depth == 3:
            raise ValueError(config.depth)
        return far(config)

    options = {"max_budget": 9, "sampler": optuna.samplers.TPESampler()}
    best = HyperBand(scope, spaces, **options).main(fails)()
    assert best.failures
    assert best.config.depth != 3


def test_a_class_of_sampler_is_an_error(scope, spaces):
    """Given the class instead of an object, the message says so."""
    with pytest.raises(SearchOptionError, match="not its class"):
        search(scope, spaces, sampler=optuna.samplers.TPESampler)
