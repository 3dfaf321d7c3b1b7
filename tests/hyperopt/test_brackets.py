from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.exceptions import SearchOptionError
from ato.hyperopt.brackets import (
    deepest_halving,
    exact_rate,
    halving_bracket,
    halving_sizes,
    halving_steps,
    hyperband_brackets,
    schedule_text,
    total_budget,
)

# max_budget, eta, variant: the first rung of each bracket, configs, budget from scratch.
TABLES = [
    (81, 3, "paper", [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)], 143, 1902),
    (81, 3, "reference", [(81, 1), (27, 3), (9, 9), (6, 27), (5, 81)], 128, 1701),
    (243, 3, "paper", [(243, 1), (98, 3), (41, 9), (18, 27), (9, 81), (6, 243)], 415, 8457),
    (243, 3, "reference", [(243, 1), (81, 3), (27, 9), (18, 27), (9, 81), (6, 243)], 384, 8019),
    (
        1000,
        3,
        "paper",
        [(729, 1), (284, 4), (114, 12), (48, 37), (21, 111), (11, 333), (7, 1000)],
        1214,
        46170,
    ),
    (
        1000,
        3,
        "reference",
        [(729, 1), (243, 4), (81, 12), (27, 37), (18, 111), (9, 333), (7, 1000)],
        1114,
        40570,
    ),
    (81, 10, "paper", [(10, 8), (2, 81)], 12, 323),
    (81, 10, "reference", [(10, 8), (2, 81)], 12, 323),
    (243, 10, "paper", [(100, 2), (15, 24), (3, 243)], 118, 2015),
    (243, 10, "reference", [(100, 2), (10, 24), (3, 243)], 113, 1895),
    (1000, 10, "paper", [(1000, 1), (134, 10), (20, 100), (4, 1000)], 1158, 15640),
    (1000, 10, "reference", [(1000, 1), (100, 10), (20, 100), (4, 1000)], 1124, 15000),
]


@pytest.mark.parametrize(("budget", "eta", "variant", "firsts", "configs", "units"), TABLES)
def test_hyperband_brackets_are_those_of_the_tables(budget, eta, variant, firsts, configs, units):
    """Brackets, number of configs and total budget for R = 81, 243, 1000 and eta = 3, 10."""
    brackets = hyperband_brackets(budget, eta, variant)
    assert [tuple(bracket[0]) for bracket in brackets] == firsts
    assert sum(bracket[0].configs for bracket in brackets) == configs
    assert total_budget(brackets, checkpoints=False) == units
    assert all(bracket[-1].budget == budget for bracket in brackets)


def test_algorithm_1_for_81_is_the_paper_s_table():
    """Each rung of the five brackets of R = 81, eta = 3 is the one that Li et al. print."""
    printed = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    assert [[tuple(rung) for rung in bracket] for bracket in hyperband_brackets(81)] == printed


@given(st.integers(1, 10**9), st.integers(2, 20))
def test_the_logarithm_is_exact(budget, eta):
    """eta^s <= R < eta^(s+1), also where a floating logarithm is off by one (R = 243)."""
    depth = deepest_halving(budget, eta)
    assert eta**depth <= budget < eta ** (depth + 1)
    assert deepest_halving(243, 3) == 5


@given(st.integers(1, 5000), st.integers(1, 2000), st.integers(2, 10))
def test_one_bracket_ends_with_a_config_at_the_full_budget(configs, budget, eta):
    """Successive halving begins with all configs, never grows, and trains the last in full."""
    bracket = halving_bracket(configs, budget, eta)
    assert bracket[0].configs == configs
    assert bracket[-1].budget == budget
    assert bracket[-1].configs >= 1
    sizes = [rung.configs for rung in bracket]
    budgets = [rung.budget for rung in bracket]
    assert sizes == sorted(sizes, reverse=True)
    assert budgets == sorted(budgets)
    assert budgets[0] >= 1


def test_the_rate_is_the_number_that_was_written():
    """0.3 of 10 configs is 3 and 0.29 of 100 is 29, where floats say 2 and 28."""
    assert exact_rate(0.3) == Fraction(3, 10)
    assert halving_sizes(10, exact_rate(0.3), 3) == [10, 3]
    assert halving_sizes(100, exact_rate(0.29), 20) == [100, 29]
    assert int(0.29 * 100) == 28
    assert exact_rate(Fraction(1, 3)) == Fraction(1, 3)


@pytest.mark.parametrize("rate", [0, 1, -0.5, 2, "0.3", None, True, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    """A rate that lies not between 0 and 1 is a SearchOptionError that shows it."""
    with pytest.raises(SearchOptionError, match="halving_rate"):
        exact_rate(rate)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("minimum", [1, 3, 10])
def test_steps_have_one_entry_a_generation_for_every_grid_size(rate, minimum):
    """For grids of 1 to 300 the list of steps is as long as the generations that run."""
    exact = exact_rate(rate)
    for configs in range(1, 301):
        sizes = halving_sizes(configs, exact, minimum)
        steps = halving_steps(len(sizes), exact, 1000)
        assert len(steps) == len(sizes)
        assert steps[-1] == 1000
        assert all(size >= minimum for size in sizes[1:])
        assert sizes[-1] * exact.numerator // exact.denominator < minimum
        for now, after in zip(steps, steps[1:], strict=False):
            assert now - 1 < after * exact <= now


def test_steps_of_eight_generations():
    """The steps for 8 generations, rate 0.3 and 120,000 steps, to the last digit."""
    expected = [27, 88, 292, 972, 3240, 10800, 36000, 120000]
    assert halving_steps(8, exact_rate(0.3), 120_000) == expected


def test_the_schedule_names_brackets_trials_and_budgets():
    """What is printed before a search says how much will be trained, with and without checkpoints."""
    text = schedule_text(hyperband_brackets(81))
    assert "81@1  27@3  9@9  3@27  1@81" in text
    assert "143 configs in 206 trainings" in text
    assert "1,902 from scratch, 1,581 where survivors continue" in text
