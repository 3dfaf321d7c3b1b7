"""Optuna's samplers for Ato's searches, through ask and tell; and Ato's spaces for Optuna's studies."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ato.adict import ADict
from ato.exceptions import SearchOptionError, SpaceError
from ato.hyperopt.spaces import Parameter, Space, parse_spaces
from ato.hyperopt.trial import Result

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

__all__ = ["OptunaSampler", "distributions", "suggest"]

_PLAIN = (type(None), bool, int, float, str)


def distributions(search_spaces: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Turn search spaces into Optuna's distributions, by dotted key.

    Categories that Optuna cannot store (it stores None, bool, int, float and str), or cannot tell
    apart (`1` and `True`), are given by their position.

    Raises:
        SpaceError: a space is wrong, or depends on other values (`suggest` knows those).
    """
    found = {}
    for key, entry in parse_spaces(search_spaces).entries.items():
        if not isinstance(entry, Parameter):
            raise SpaceError(
                f"search_spaces[{key!r}] depends on other values, which a distribution cannot; "
                "call ato.integrations.optuna.suggest(trial, search_spaces) in the objective"
            )
        found[key] = distribution_of(entry)
    return found


def distribution_of(parameter: Parameter) -> BaseDistribution:
    """The distribution of one parameter; its grid and its base do not matter to a sampler."""
    from optuna import distributions as kinds  # an optional dependency

    if parameter.kind == "FLOAT":
        return kinds.FloatDistribution(parameter.low, parameter.high, log=parameter.is_log)
    if parameter.kind == "INTEGER":
        return kinds.IntDistribution(parameter.low, parameter.high, log=parameter.is_log)
    if _by_position(parameter):
        return kinds.CategoricalDistribution(range(len(parameter.categories)))
    return kinds.CategoricalDistribution(parameter.categories)


def suggest(
    trial: Trial, search_spaces: Mapping[str, Any], config: ADict | None = None
) -> dict[str, Any]:
    """Let a trial of an Optuna study choose a value for each searched key.

    Args:
        trial: what an objective of Optuna receives.
        search_spaces: dotted key → space, as for `HyperBand`; conditional ones too.
        config: the config that conditions see, below the values chosen so far.

    Raises:
        SpaceError: a space is wrong; the message names parameter and field.
    """
    return suggest_from(trial, parse_spaces(search_spaces), config)


def suggest_from(trial: Trial, space: Space, base: ADict | None) -> dict[str, Any]:
    """A value for each parameter that the values before it leave in the space."""
    values: dict[str, Any] = {}
    for key, entry in space.entries.items():
        parameter = space._resolved(key, entry, base, values)
        if parameter is None:
            continue
        if parameter.kind == "FLOAT":
            value: Any = trial.suggest_float(
                key, parameter.low, parameter.high, log=parameter.is_log
            )
        elif parameter.kind == "INTEGER":
            value = trial.suggest_int(key, parameter.low, parameter.high, log=parameter.is_log)
        elif _by_position(parameter):
            chosen = trial.suggest_categorical(key, range(len(parameter.categories)))
            value = parameter.categories[chosen]
        else:
            value = trial.suggest_categorical(key, parameter.categories)
        values[key] = value
    return values


class OptunaSampler:
    """Asks a sampler of Optuna's for trials, and tells it what came of them.

    A trial that did not survive is told as pruned at its budget, which is how Optuna's samplers
    rank results of different budgets. The sampler is copied, and its generators are seeded from the
    search's `seed`, so that a search repeats itself and can go on after a break.
    """

    limit: int | None = None

    def __init__(
        self,
        sampler: BaseSampler,
        space: Space,
        base: ADict,
        seed: int,
        mode: str,
        max_budget: int | None,
    ) -> None:
        import optuna  # an optional dependency; whoever has its sampler has loaded it

        self._space = space
        self._base = base
        self._max_budget = max_budget
        self._state = optuna.trial.TrialState
        self._make_trial = optuna.trial.create_trial
        own = copy.deepcopy(sampler)
        _seed(own, seed)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study
        try:
            direction = "maximize" if mode == "max" else "minimize"
            self._study = optuna.create_study(sampler=own, direction=direction)
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._asked: dict[int, Trial] = {}
        self._furthest: dict[int, Result] = {}

    def ask(self, trial: int) -> Mapping[str, Any]:
        """Let the sampler choose, by all results that are known."""
        for number in list(self._furthest):
            self._close(number)
        asked = self._asked[trial] = self._study.ask()
        return suggest_from(asked, self._space, self._base)

    def tell(self, result: Result) -> None:
        """Keep a result until the sampler is asked again: by then the rung's survivors have gone on."""
        number = result.job.trial
        budget = result.job.budget or 0
        if number in self._asked:
            if result.succeeded:
                self._asked[number].report(result.outcome.metric, budget)
            self._furthest[number] = result
        elif result.succeeded:
            self._add_again(result, budget)

    def _close(self, number: int) -> None:
        result = self._furthest.pop(number)
        trial = self._asked.pop(number)
        if (
            not result.succeeded
            and not trial.storage.get_trial(trial._trial_id).intermediate_values
        ):
            self._study.tell(trial, state=self._state.FAIL)
        elif result.succeeded and result.job.budget == self._max_budget:
            self._study.tell(trial, result.outcome.metric)
        else:
            self._study.tell(trial, state=self._state.PRUNED)

    def _add_again(self, result: Result, budget: int) -> None:
        """ASHA promotes trials that the study has closed: another trial with the same values."""
        known = next(
            each
            for each in reversed(self._study.get_trials(deepcopy=False))
            if each.number == result.job.trial
        )
        finished = budget == self._max_budget
        self._study.add_trial(
            self._make_trial(
                state=self._state.COMPLETE if finished else self._state.PRUNED,
                value=result.outcome.metric,
                params=known.params,
                distributions=known.distributions,
                intermediate_values={**known.intermediate_values, budget: result.outcome.metric},
            )
        )


def is_optuna_sampler(value: object) -> bool:
    """Whether it is a sampler of Optuna's, without loading Optuna."""
    return any(
        kind.__name__ == "BaseSampler" and kind.__module__.partition(".")[0] == "optuna"
        for kind in type(value).__mro__
    )


def _by_position(parameter: Parameter) -> bool:
    plain = all(type(each) in _PLAIN for each in parameter.categories)
    if not plain or any(isinstance(e, float) and math.isnan(e) for e in parameter.categories):
        return True
    return len(set(parameter.categories)) < len(parameter.categories)


def _seed(sampler: Any, seed: int) -> None:
    """Seed the generators of a sampler, and of the samplers that it is made of.

    Optuna's own `reseed_rng` takes its seed from the operating system.
    """
    from numpy.random import RandomState  # Optuna needs it

    pending, seen = [sampler], set()
    while pending:
        part = pending.pop()
        if id(part) in seen or not hasattr(part, "__dict__"):
            continue
        seen.add(id(part))
        for value in vars(part).values():
            generator = getattr(value, "rng", None)
            if isinstance(generator, RandomState):
                # Parts of one sampler draw differently.
                generator.seed((seed + 0x9E3779B9 * len(seen)) % 2**32)
            elif is_optuna_sampler(value):
                pending.append(value)


def sampler_of(
    sampler: Any, space: Space, base: ADict, seed: int, mode: str, max_budget: int | None
) -> OptunaSampler:
    """The search's own copy of a sampler of Optuna's.

    Raises:
        SearchOptionError: it cannot be copied.
    """
    try:
        return OptunaSampler(sampler, space, base, seed, mode, max_budget)
    except (TypeError, AttributeError) as error:
        raise SearchOptionError(
            f"the sampler {type(sampler).__name__} cannot be used for a search: {error}"
        ) from error
