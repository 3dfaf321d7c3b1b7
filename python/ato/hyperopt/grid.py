"""A grid of configs: a mutable sequence whose points are made when they are asked for."""

from __future__ import annotations

import random
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from math import prod
from typing import Any, overload

from ato.adict import ADict
from ato.adict.state import state_of
from ato.hyperopt.spaces import Space

__all__ = ["Grid", "Points", "grid_of"]

_WHOLE = 1_000  # a grid of at most so many points is a plain list

_SHUFFLE = random.Random.shuffle.__code__


class Points(Sequence[dict[str, Any]]):
    """The values of each point of a grid; computed from the number of the point."""

    def __init__(self, space: Space, base: ADict | None) -> None:
        self._keys = list(space.entries)
        self._listed: list[dict[str, Any]] | None = None
        if space.is_conditional:
            # How many points lie below a value is known only by asking.
            self._listed = list(space.grid(base))
            self._length = len(self._listed)
        else:
            self._columns = space.columns()
            self._length = prod(map(len, self._columns))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(self._length))]
        number = range(self._length)[number]
        if self._listed is not None:
            return dict(self._listed[number])
        values = []
        for column in reversed(self._columns):
            number, place = divmod(number, len(column))
            values.append(column[place])
        return dict(zip(self._keys, reversed(values), strict=True))


class _Unseen:
    """Stands for a point while `random.shuffle` swaps it with another."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


class Grid(MutableSequence[ADict]):
    """The points of a grid as configs, in any order; a point is made when it is first asked for.

    A point that was handed out by its index, or changed, stays the same object from then on.
    """

    def __init__(self, points: Sequence[Any], make: Callable[[Any], ADict]) -> None:
        self._points = points
        self._make = make
        # What stands at each place: the number of a point, or from len(points) on, of an own item.
        self._order: range | array[int] = range(len(points))
        self._own: dict[int, ADict] = {}
        self._codes: dict[int, int] = {}
        self._next = len(points)

    def __len__(self) -> int:
        return len(self._order)

    def __repr__(self) -> str:
        return f"Grid of {len(self)} configs"

    @overload
    def __getitem__(self, index: int) -> ADict: ...
    @overload
    def __getitem__(self, index: slice) -> list[ADict]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._kept(code) for code in self._order[index]]
        code = self._order[index]
        if sys._getframe(1).f_code is _SHUFFLE:
            # It never looks at what it swaps; to make two configs a swap would take a minute for
            # 10^6 points, and keep them all.
            return _Unseen(code)
        return self._kept(code)

    def __iter__(self) -> Iterator[ADict]:
        for code in self._order:
            known = self._own.get(code)
            if known is not None:
                yield known
                continue
            config = self._make(self._points[code])
            yield config
            if (
                state_of(config).notes
                or config.to_flat() != self._make(self._points[code]).to_flat()
            ):
                self._keep(code, config)

    @overload
    def __setitem__(self, index: int, value: ADict) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[ADict]) -> None: ...

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self._writable()[index] = array("q", [self._code(each) for each in value])
        else:
            self._writable()[index] = self._code(value)

    def __delitem__(self, index: int | slice) -> None:
        del self._writable()[index]

    def insert(self, index: int, value: ADict) -> None:
        """Put a config before the one at `index`."""
        self._writable().insert(index, self._code(value))

    def _kept(self, code: int) -> ADict:
        config = self._own.get(code)
        if config is None:
            config = self._make(self._points[code])
            self._keep(code, config)
        return config

    def _code(self, value: Any) -> int:
        if isinstance(value, _Unseen):
            return value.code
        code = self._codes.get(id(value))
        if code is None:
            code, self._next = self._next, self._next + 1
            self._keep(code, value)
        return code

    def _keep(self, code: int, config: ADict) -> None:
        self._own[code] = config
        self._codes[id(config)] = code

    def _writable(self) -> array[int]:
        if isinstance(self._order, range):
            self._order = array("q", self._order)
        return self._order


def grid_of(
    space: Space, base: ADict, make: Callable[[dict[str, Any]], ADict]
) -> MutableSequence[ADict]:
    """The grid of a space: a list where it is small, else lazy.

    Raises:
        SpaceError: a range of floats has no number of points.
    """
    points = Points(space, base)
    if len(points) <= _WHOLE:
        return [make(values) for values in points]
    return Grid(points, make)
