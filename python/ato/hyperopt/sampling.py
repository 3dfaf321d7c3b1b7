"""Where the values of a new trial come from."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ato.adict import ADict
from ato.exceptions import SearchOptionError, SpaceError
from ato.hyperopt.grid import Points
from ato.hyperopt.optuna_bridge import is_optuna_sampler, sampler_of
from ato.hyperopt.spaces import Space
from ato.hyperopt.trial import Result

__all__ = [
    "CallableSampler",
    "GridInOrder",
    "GridSampler",
    "RandomSampler",
    "Sampler",
    "sampler_for",
]

Drawing = Callable[[int, random.Random], Mapping[str, Any]]


class Sampler(Protocol):
    """Gives the values of trial 0, 1, 2, …, and may learn from results."""

    limit: int | None
    """How many different trials there are; `None` for any number."""

    def ask(self, trial: int) -> Mapping[str, Any]:
        """The values of the searched keys of a trial; asked for once, in order."""

    def tell(self, result: Result) -> None:
        """Learn what came of a training; told in one order, whatever ran first."""


def generator_for(seed: int, trial: int) -> random.Random:
    """The generator of one trial.

    Each trial has its own, so that a search that goes on after a break needs no state of one, and
    the process's own generator is left alone.
    """
    return random.Random(f"ato search {seed} {trial}")  # noqa: S311 (nothing secret)


class RandomSampler:
    """Draws each trial at random, uniformly in each range or its logarithm."""

    limit: int | None = None

    def __init__(self, space: Space, base: ADict, seed: int) -> None:
        self._space = space
        self._base = base
        self._seed = seed

    def ask(self, trial: int) -> Mapping[str, Any]:
        """Draw from the trial's own generator."""
        return self._space.draw(generator_for(self._seed, trial), self._base)

    def tell(self, result: Result) -> None:
        """Nothing is learned."""


class GridSampler:
    """Goes through the grid in an order that the seed shuffles, and then again."""

    def __init__(self, space: Space, base: ADict, seed: int) -> None:
        self._points = Points(space, base)
        self.limit: int | None = len(self._points)
        if not self.limit:
            raise SpaceError("search_spaces: the grid is empty")
        self._order = _Permutation(self.limit, seed)

    def ask(self, trial: int) -> Mapping[str, Any]:
        """The next point."""
        assert self.limit is not None, "a grid has a length"
        values: Mapping[str, Any] = self._points[self._order[trial % self.limit]]
        return values

    def tell(self, result: Result) -> None:
        """Nothing is learned."""


class GridInOrder:
    """Goes through the grid from its first point to its last."""

    def __init__(self, space: Space, base: ADict) -> None:
        self._points = Points(space, base)
        self.limit: int | None = len(self._points)

    def ask(self, trial: int) -> Mapping[str, Any]:
        """The point of this number."""
        values: Mapping[str, Any] = self._points[trial]
        return values

    def tell(self, result: Result) -> None:
        """Nothing is learned."""


class CallableSampler:
    """Asks a function of the user's: (number of the trial, its own generator) → values by key."""

    limit: int | None = None

    def __init__(self, function: Drawing, space: Space, seed: int) -> None:
        self._function = function
        self._keys = space.entries.keys()
        self._conditional = space.is_conditional
        self._seed = seed

    def ask(self, trial: int) -> Mapping[str, Any]:
        """Call the function and check what it gives."""
        values = self._function(trial, generator_for(self._seed, trial))
        if not isinstance(values, Mapping):
            raise SpaceError(
                f"the sampler gave {values!r:.80} for trial {trial}; it gives a mapping from the "
                f"searched keys ({', '.join(self._keys)}) to values"
            )
        unknown = [key for key in values if key not in self._keys]
        missing = [] if self._conditional else [key for key in self._keys if key not in values]
        if unknown or missing:
            what = f"{unknown[0]!r}, which is not searched" if unknown else f"no {missing[0]!r}"
            raise SpaceError(f"the sampler gave {what} for trial {trial}")
        return dict(values)

    def tell(self, result: Result) -> None:
        """The function may have its own ways to learn."""


class _Permutation:
    """A pseudo-random order of 0 … n−1 that is computed, not kept: a Feistel network.

    Numbers outside the range are sent through again until they fall inside ("cycle walking").
    """

    _ROUNDS = 4

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._half = max(1, (max(length - 1, 1).bit_length() + 1) // 2)
        self._mask = (1 << self._half) - 1
        keys = random.Random(f"ato grid {seed}")  # noqa: S311 (nothing secret)
        self._keys = [keys.getrandbits(64) for _ in range(self._ROUNDS)]

    def __getitem__(self, index: int) -> int:
        number = self._mixed(index)
        while number >= self._length:
            number = self._mixed(number)
        return number

    def _mixed(self, number: int) -> int:
        left, right = number >> self._half, number & self._mask
        for key in self._keys:
            # The finaliser of SplitMix64: each bit of the half and the key moves each of the result.
            word = (right + key) & 0xFFFFFFFFFFFFFFFF
            word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
            word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
            left, right = right, left ^ ((word ^ (word >> 31)) & self._mask)
        return left << self._half | right


def sampler_for(
    sampler: Any,
    space: Space,
    base: ADict,
    seed: int,
    mode: str = "max",
    max_budget: int | None = None,
) -> Sampler:
    """The sampler that an option names.

    Raises:
        SearchOptionError: there is none of that name.
    """
    if sampler == "random":
        return RandomSampler(space, base, seed)
    if sampler == "grid":
        return GridSampler(space, base, seed)
    if is_optuna_sampler(sampler):
        return sampler_of(sampler, space, base, seed, mode, max_budget)
    if hasattr(sampler, "ask") and hasattr(sampler, "tell"):
        found: Sampler = sampler
        return found
    if callable(sampler) and not isinstance(sampler, type):
        return CallableSampler(sampler, space, seed)
    raise SearchOptionError(
        f"sampler is 'random', 'grid', a sampler of Optuna's (an object, not its class), or a function "
        f"of the number of the trial and a generator, not {sampler!r:.80}"
    )
