"""What every search is made of: a scope, spaces, and the grid of configs they span."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence
from typing import TYPE_CHECKING, Any, Literal

from ato.adict import ADict
from ato.adict.state import state_of
from ato.exceptions import CommandLineError, SearchOptionError
from ato.hyperopt.grid import grid_of
from ato.hyperopt.ranks import DistributedMixIn
from ato.hyperopt.spaces import parse_spaces, set_values
from ato.provenance import History, Origin
from ato.scope import Scope

if TYPE_CHECKING:
    from ato.db_routers.sql.manager import SQLLogger

__all__ = [
    "DistributedMixIn",
    "GridSpaceMixIn",
    "HyperOpt",
    "Mode",
    "check_command_line",
    "trial_config",
]

Mode = Literal["max", "min"]


class HyperOpt:
    """A search over the configs of a scope; a search of one's own derives from it.

    A subclass writes `main(self, func)`: a decorator for the function to be trained, which returns
    what is called instead of it.

    Args:
        scope: the scope whose config is varied; its views and the command line give what is not
            searched.
        search_spaces: dotted key → space, see `ato.hyperopt.hyperband.HyperBand`.
        tracker: the `SQLLogger` of the store that trials are recorded in; nothing is stored without.
        mode: whether the best metric is the largest (`max`) or the smallest (`min`).

    Raises:
        SpaceError: a space is wrong; the message names parameter and field.
        SearchOptionError: another argument is.
    """

    def __init__(
        self,
        scope: Scope,
        search_spaces: Mapping[str, Any],
        tracker: SQLLogger | None = None,
        mode: Mode = "max",
    ) -> None:
        if not isinstance(scope, Scope):
            raise SearchOptionError(
                f"a search varies the config of a Scope, not of {scope!r:.60}; of a MultiScope give "
                "the scope that has the searched keys"
            )
        if mode not in ("max", "min"):
            raise SearchOptionError(f"mode is 'max' or 'min', not {mode!r:.60}")
        if tracker is not None and not hasattr(tracker, "for_config"):
            raise SearchOptionError(f"tracker is an SQLLogger or None, not {tracker!r:.60}")
        parse_spaces(search_spaces)
        self.scope = scope
        self.search_spaces = search_spaces
        self.tracker = tracker
        self.mode: Mode = mode

    @property
    def config(self) -> ADict:
        """The scope's config, applied: what every trial has in common."""
        return self.scope.config

    def main(self, func: Callable[..., Any]) -> Any:
        """Decorate the function that trains a config and returns its metric.

        Raises:
            NotImplementedError: the subclass has none of its own.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method main(self, func)")


class GridSpaceMixIn:
    """Gives a search the grid of its spaces."""

    @classmethod
    def prepare_distributions(
        cls, config: Mapping[str, Any], search_spaces: Mapping[str, Any]
    ) -> MutableSequence[ADict]:
        """Make the grid: a config for each combination, the last parameter changing fastest.

        The result is a mutable sequence, a list where it is small; of a large one a point is made
        when it is asked for. What is searched stands above what the config says; a search may note
        `__metric__`, `__num_halved__`, `__budget__`, `__trial__` and `__checkpoint__` on a point,
        which then enter none of its fingerprints.

        Raises:
            SpaceError: a space is wrong; the message names parameter and field.
            CommandLineError: a searched key has a value from the command line.
        """
        space = parse_spaces(search_spaces)
        base = config if isinstance(config, ADict) else ADict(config)
        check_command_line(base, space.entries)
        origin = Origin("code", "search")
        return grid_of(space, base, lambda values: trial_config(base, values, origin))


def trial_config(base: ADict, values: Mapping[str, Any], origin: Origin) -> ADict:
    """Copy a config, set dotted keys as written by `origin`, and let notes be written on it.

    Raises:
        SpaceError: a key lies below a value that is no section.
    """
    config = base.clone()
    state = state_of(config)
    state.notes = {}
    if state.history is None:
        set_values(config, values)
        return config
    history: History = state.history
    with history.writing(origin):
        set_values(config, values)
    return config


def check_command_line(config: ADict, keys: Mapping[str, Any]) -> None:
    """Refuse a command line that gives what is searched; every trial would override it.

    Raises:
        CommandLineError: it does, naming the token.
    """
    history = state_of(config).history
    if history is None:
        return
    for known in history.keys():  # noqa: SIM118 (a history is no mapping)
        for key in keys:
            if known == key or known.startswith(f"{key}.") or key.startswith(f"{known}."):
                for write in history.writes(known):
                    if write.origin.kind == "cli":
                        raise CommandLineError(
                            f"{write.origin.text}: {key!r} is searched, and the search gives it "
                            "another value in every trial; leave it out of the command line or out "
                            "of search_spaces"
                        )
