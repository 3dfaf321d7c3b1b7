"""How many configs train for how long: the arithmetic of successive halving, in whole numbers.

A floating logarithm is too small by one at R = 243 (`math.log(243, 3)` is 4.999…), which would lose
a bracket; nothing here is a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from ato.exceptions import SearchOptionError

__all__ = [
    "Bracket",
    "Rung",
    "Variant",
    "deepest_halving",
    "exact_rate",
    "halving_bracket",
    "halving_sizes",
    "halving_steps",
    "hyperband_brackets",
    "rung_budgets",
    "schedule_text",
    "total_budget",
]

Variant = Literal["paper", "reference"]


class Rung(NamedTuple):
    """So many configs, each trained to this budget in all; `None` where budgets are the user's."""

    configs: int
    budget: int | None


Bracket = list[Rung]


def deepest_halving(max_budget: int, eta: int) -> int:
    """The largest s with eta^s <= max_budget: how often a budget of 1 can be multiplied."""
    depth = 0
    while eta ** (depth + 1) <= max_budget:
        depth += 1
    return depth


def rung_budgets(max_budget: int, eta: int, depth: int) -> list[int]:
    """The budgets of a bracket that begins `depth` divisions below `max_budget`, rounded down."""
    return [max_budget // eta ** (depth - rung) for rung in range(depth + 1)]


def hyperband_brackets(max_budget: int, eta: int = 3, variant: Variant = "paper") -> list[Bracket]:
    """The brackets of Hyperband, the one with the most configs first.

    Args:
        max_budget: R, what one config may train at most.
        eta: one in `eta` configs survives a rung.
        variant: `paper` is Algorithm 1 of Li et al. 2018 (JMLR 18:185): bracket s begins with
            ceil((s_max + 1) eta^s / (s + 1)) configs. `reference` is the authors' published code,
            which rounds (s_max + 1) / (s + 1) down before it multiplies.
    """
    most = deepest_halving(max_budget, eta)
    brackets = []
    for depth in range(most, -1, -1):
        if variant == "paper":
            configs = -(-(most + 1) * eta**depth // (depth + 1))
        else:
            configs = (most + 1) // (depth + 1) * eta**depth
        brackets.append(_bracket(configs, max_budget, eta, depth))
    return brackets


def halving_bracket(configs: int, max_budget: int, eta: int = 3) -> Bracket:
    """One bracket of successive halving: `configs` at the least budget, `max_budget` at the end.

    It is no deeper than the configs allow, so that at least one is left at the end.
    """
    depth = min(deepest_halving(max_budget, eta), deepest_halving(configs, eta))
    return _bracket(configs, max_budget, eta, depth)


def _bracket(configs: int, max_budget: int, eta: int, depth: int) -> Bracket:
    budgets = rung_budgets(max_budget, eta, depth)
    return [Rung(configs // eta**rung, budget) for rung, budget in enumerate(budgets)]


def exact_rate(rate: float | Fraction) -> Fraction:
    """A rate as the number that was written: 0.3 is 3/10, not the float next to it.

    Raises:
        SearchOptionError: it is no number between 0 and 1, both excluded.
    """
    number = isinstance(rate, (int, float, Fraction)) and not isinstance(rate, bool)
    if not number or not 0 < rate < 1:
        raise SearchOptionError(
            f"halving_rate is the part of the configs that survives a generation, between 0 and 1 "
            f"(0.3, say), not {rate!r:.80}"
        )
    return rate if isinstance(rate, Fraction) else Fraction(repr(float(rate)))


def halving_sizes(configs: int, rate: Fraction, minimum: int) -> list[int]:
    """How many configs each generation has, until fewer than `minimum` would survive."""
    sizes = [configs]
    while True:
        survivors = sizes[-1] * rate.numerator // rate.denominator
        if survivors < minimum:
            return sizes
        sizes.append(survivors)


def halving_steps(generations: int, rate: Fraction, max_steps: int) -> list[int]:
    """How many steps each generation trains: the last `max_steps`, each `rate` of the next, rounded up."""
    steps = [max_steps]
    for _ in range(generations - 1):
        steps.append(-(-steps[-1] * rate.numerator // rate.denominator))
    return steps[::-1]


def total_budget(brackets: Sequence[Bracket], *, checkpoints: bool) -> int:
    """The sum of what all trials train; with checkpoints, survivors train only what is missing."""
    total = 0
    for bracket in brackets:
        before = 0
        for configs, budget in bracket:
            if budget is not None:
                total += configs * (budget - before)
                before = budget if checkpoints else 0
    return total


def schedule_text(brackets: Sequence[Bracket]) -> str:
    """Show brackets, trials and total budget, from scratch and with checkpoints."""
    rows = []
    for number, bracket in enumerate(brackets):
        rungs = "  ".join(
            f"{configs}" if budget is None else f"{configs}@{budget}" for configs, budget in bracket
        )
        rows.append((f"bracket {number}", rungs))
    width = max((len(rungs) for _, rungs in rows), default=0)
    lines = [f"{name}  {rungs:<{width}}".rstrip() for name, rungs in rows]
    trials = sum(bracket[0].configs for bracket in brackets)
    trainings = sum(rung.configs for bracket in brackets for rung in bracket)
    lines.append(f"{trials:,} configs in {trainings:,} trainings")
    if any(rung.budget is not None for bracket in brackets for rung in bracket):
        scratch = total_budget(brackets, checkpoints=False)
        continued = total_budget(brackets, checkpoints=True)
        lines.append(
            f"total budget {scratch:,} from scratch, {continued:,} where survivors continue from "
            "their checkpoints"
        )
    return "\n".join(lines)
