"""What is searched: parameters with their ranges, as points of a grid and as random draws."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from ato.adict import ADict
from ato.adict.state import NOTES
from ato.exceptions import SpaceError

__all__ = ["Parameter", "Space", "parse_spaces", "set_values", "with_values"]

_KINDS = ("FLOAT", "INTEGER", "CATEGORY")
_FORMS = ("LINEAR", "LOG")
_FIELDS = {
    "FLOAT": ("param_type", "param_range", "num_samples", "space_type", "base"),
    "INTEGER": ("param_type", "param_range", "num_samples", "space_type", "base"),
    "CATEGORY": ("param_type", "categories"),
}
_Condition = Callable[[ADict], Any]
_Values = dict[str, Any]


class Parameter(NamedTuple):
    """One searched key: a range of floats or integers, or a list of categories."""

    key: str
    kind: str
    low: Any = None
    high: Any = None
    samples: int | None = None
    is_log: bool = False
    base: float = 10
    categories: tuple[Any, ...] = ()

    def points(self) -> Sequence[Any]:
        """The points of the grid, in order.

        Raises:
            SpaceError: a range of floats says nothing of how many.
        """
        if self.kind == "CATEGORY":
            return self.categories
        if self.kind == "INTEGER":
            return self._integers()
        if self.samples is None:
            raise SpaceError(
                f"search_spaces[{self.key!r}]: a grid needs num_samples, the number of its points"
            )
        return list(dict.fromkeys(self._spread(self.samples)))

    def draw(self, generator: random.Random) -> Any:
        """Draw a value: of floats and integers uniform in the range, or in its logarithm."""
        if self.kind == "CATEGORY":
            return self.categories[generator.randrange(len(self.categories))]
        if self.kind == "FLOAT":
            return self._between(generator.random())
        if not self.is_log:
            return generator.randint(self.low, self.high)
        # Half a step further at both ends, so that the first and the last integer get their share.
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        drawn = round(math.exp(low + generator.random() * (high - low)))
        return min(max(drawn, self.low), self.high)

    def _integers(self) -> Sequence[int]:
        width = self.high - self.low
        if self.samples is None or (not self.is_log and self.samples > width):
            return range(self.low, self.high + 1)
        if self.is_log:
            found: Iterable[int] = map(round, self._spread(self.samples))
        elif self.samples == 1:
            found = [self.low]
        else:
            # In whole numbers: above 2^53 floats have gaps. Halves are rounded to even, as `round`.
            gaps = self.samples - 1
            found = (self.low + _rounded(number * width, gaps) for number in range(self.samples))
        return sorted({min(max(value, self.low), self.high) for value in found})

    def _spread(self, count: int) -> Iterator[float]:
        for number in range(count):
            yield self._between(number, max(count - 1, 1))

    def _between(self, part: float, whole: int = 1) -> float:
        """The value at `part` of `whole` of the range; inside it, whatever rounding does."""
        low, high = self.low, self.high
        if part in (0, whole):
            return float(high if part else low)
        if self.is_log:
            start, end = _logarithm(low, self.base), _logarithm(high, self.base)
            try:
                # Divided last: three quarters of the way from 10^-4 to 1 is 10^-1 exactly.
                value = float(self.base) ** ((start * (whole - part) + end * part) / whole)
            except OverflowError:  # rounding led past the largest float
                return float(high)
        else:
            value = (low * (whole - part) + high * part) / whole
            if not math.isfinite(value):  # only the sum is too large for a float
                value = low * (1 - part / whole) + high * (part / whole)
        return float(min(max(value, low), high))


def _rounded(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2):
        return whole + 1
    return whole


def _logarithm(value: float, base: float) -> float:
    # Python's own logarithms to 2 and 10 are exact at the powers, so that these are grid points.
    if base == 2:
        return math.log2(value)
    return math.log10(value) if base == 10 else math.log(value) / math.log(base)


class Space:
    """All searched parameters, in order; some may depend on the values of those before them."""

    def __init__(self, entries: Mapping[str, Parameter | _Condition]) -> None:
        self.entries = dict(entries)
        self.is_conditional = not all(isinstance(e, Parameter) for e in self.entries.values())

    def draw(self, generator: random.Random, base: ADict | None) -> _Values:
        """Draw one value for each parameter.

        Args:
            generator: the numbers come from it alone.
            base: the config that conditions see, with the values drawn so far; needed by them only.
        """
        values: _Values = {}
        for key, entry in self.entries.items():
            parameter = self._resolved(key, entry, base, values)
            if parameter is not None:
                values[key] = parameter.draw(generator)
        return values

    def columns(self) -> list[Sequence[Any]]:
        """The points of each parameter, for a space without conditions."""
        return [entry.points() for entry in self.entries.values() if isinstance(entry, Parameter)]

    def grid(self, base: ADict | None) -> Iterator[_Values]:
        """Go through every point of the grid; the last parameter changes fastest."""
        if not self.is_conditional:
            for point in product(*self.columns()):
                yield dict(zip(self.entries, point, strict=True))
            return
        yield from self._below(list(self.entries.items()), {}, base)

    def _below(
        self,
        entries: Sequence[tuple[str, Parameter | _Condition]],
        values: _Values,
        base: ADict | None,
    ) -> Iterator[_Values]:
        if not entries:
            yield dict(values)
            return
        (key, entry), *rest = entries
        parameter = self._resolved(key, entry, base, values)
        if parameter is None:
            yield from self._below(rest, values, base)
            return
        for value in parameter.points():
            yield from self._below(rest, {**values, key: value}, base)

    def _resolved(
        self, key: str, entry: Parameter | _Condition, base: ADict | None, values: _Values
    ) -> Parameter | None:
        if isinstance(entry, Parameter):
            return entry
        partial = with_values(base if base is not None else ADict(), values)
        answer = entry(partial)
        return None if answer is None else _parameter(key, answer)


def with_values(base: ADict, values: Mapping[str, Any]) -> ADict:
    """Copy a config and set dotted keys in it, making the sections they stand in.

    Raises:
        SpaceError: a key lies below a value that is no section.
    """
    config = base.clone()
    set_values(config, values)
    return config


def set_values(config: ADict, values: Mapping[str, Any]) -> None:
    """Set dotted keys, making the sections they stand in.

    Raises:
        SpaceError: a key lies below a value that is no section.
    """
    for key, value in values.items():
        if "." not in key:
            config[key] = value
            continue
        node: Any = config
        *sections, last = key.split(".")
        for name in sections:
            below = dict.get(node, name)
            if below is None:
                node[name] = {}
                below = dict.get(node, name)
            if not isinstance(below, ADict):
                raise SpaceError(
                    f"search_spaces[{key!r}]: {name!r} holds {below!r:.60} in the config, and "
                    "nothing can be set below that"
                )
            node = below
        node[last] = value


def parse_spaces(spaces: object) -> Space:
    """Check search spaces: a mapping from dotted keys to spaces, or to callables that answer one.

    A callable receives the config with the values chosen so far and returns a space, or `None`
    where its key is not searched then.

    Raises:
        SpaceError: something is wrong; the message names parameter and field.
    """
    if not isinstance(spaces, Mapping):
        raise SpaceError(
            f"search_spaces is a mapping from keys to spaces, not {spaces!r:.80}; for example "
            "{'lr': {'param_type': 'FLOAT', 'param_range': (1e-4, 1e-1), 'num_samples': 5}}"
        )
    if not spaces:
        raise SpaceError("search_spaces is empty: there is nothing to search")
    entries: dict[str, Parameter | _Condition] = {}
    for key, space in spaces.items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise SpaceError(
                f"search_spaces: a key is a dotted text such as 'optim.lr', not {key!r}"
            )
        if key in NOTES:
            raise SpaceError(f"search_spaces: {key!r} is what a search notes by itself")
        entries[key] = space if callable(space) else _parameter(key, space)
    for key in entries:
        for other in entries:
            if other.startswith(f"{key}."):
                raise SpaceError(
                    f"search_spaces: {key!r} is a value, so {other!r} cannot be below it"
                )
    return Space(entries)


def _parameter(key: str, space: object) -> Parameter:
    if not isinstance(space, Mapping):
        raise SpaceError(
            f"search_spaces[{key!r}] is a mapping with param_type, or a callable that returns one "
            f"or None, not {space!r:.80}"
        )
    kind = space.get("param_type")
    if kind not in _KINDS:
        given = "is missing" if kind is None else f"is {kind!r:.60}"
        raise _wrong(key, "param_type", f"{given}; it is one of {', '.join(_KINDS)}")
    for field in space:
        if field not in _FIELDS[kind]:
            near = difflib.get_close_matches(str(field), _FIELDS[kind], 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; {', '.join(_FIELDS[kind])} are"
            raise _wrong(key, str(field), f"is no field of a {kind} space{hint}")
    if kind == "CATEGORY":
        return Parameter(key, kind, categories=_categories(key, space.get("categories")))
    form = space.get("space_type", "LINEAR")
    if form not in _FORMS:
        raise _wrong(key, "space_type", f"is {form!r:.60}; it is LINEAR or LOG")
    low, high = _range(key, kind, space.get("param_range"))
    base = space.get("base", 10)
    if not _is_number(base) or base <= 0 or base == 1:
        raise _wrong(
            key, "base", f"is the base of a logarithm, positive and not 1, not {base!r:.60}"
        )
    if form == "LOG" and low <= 0:
        raise _wrong(key, "param_range", f"begins at {low!r}; a LOG space lies above 0")
    count = space.get("num_samples")
    if count is not None and (type(count) is not int or count < 1):
        raise _wrong(key, "num_samples", f"is a number of points, 1 or more, not {count!r:.60}")
    return Parameter(key, kind, low, high, count, form == "LOG", base)


def _range(key: str, kind: str, given: Any) -> tuple[Any, Any]:
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        what = "is missing" if given is None else f"is {given!r:.60}"
        raise _wrong(key, "param_range", f"{what}; it is a pair (lowest, highest)")
    for end in given:
        if not _is_number(end):
            raise _wrong(key, "param_range", f"holds {end!r:.60}, which is no finite number")
    low, high = given
    if low > high:
        raise _wrong(key, "param_range", f"ends below its beginning: ({low!r}, {high!r})")
    if kind == "FLOAT":
        return float(low), float(high)
    if int(low) != low or int(high) != high:
        raise _wrong(key, "param_range", f"of integers has integer ends, not ({low!r}, {high!r})")
    return int(low), int(high)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False


def _categories(key: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, (Sequence, range)):
        what = "is missing" if given is None else f"is {given!r:.60}"
        raise _wrong(key, "categories", f"{what}; it is a list of the values to choose from")
    if not given:
        raise _wrong(key, "categories", "is empty; it is a list of the values to choose from")
    return tuple(given)


def _wrong(key: str, field: str, what: str) -> SpaceError:
    return SpaceError(f"search_spaces[{key!r}]: {field} {what}")
