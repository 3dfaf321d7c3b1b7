"""How pandas' values are taken apart. Loaded when one is met: pandas is in the process by then.

A frame goes column by column, so that a change is named to the column. What pandas keeps to be
faster (engines, cached items, how blocks lie in memory) is not read and not made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ato.fingerprints.values import Description, Reduced, type_name


def frame(obj: Any) -> Description:
    """A `DataFrame`: its class, the names of its columns in order, its index, and each column."""
    names = [part_name for part_name, _ in _columns(obj)]
    header = (type_name(type(obj)), names, obj.columns, _metadata(obj))
    parts = {"index": obj.index, **dict(_columns(obj))}
    rows, columns = obj.shape
    return Description("pandas frame", header, parts, {}, f"{rows} rows x {columns} columns")


def series(obj: Any) -> Description:
    """A `Series`: its class and name, its index and its values."""
    header = (type_name(type(obj)), str(obj.dtype), obj.name, _metadata(obj))
    parts = {"index": obj.index, "values": obj._values}
    return Description("pandas series", header, parts, {}, f"{len(obj)} values")


def index(obj: Any) -> Reduced:
    """An index: class, names and labels; several levels one by one."""
    header = (type_name(type(obj)), list(obj.names), getattr(obj, "freqstr", None))
    if isinstance(obj, pd.RangeIndex):
        return "pandas index", (header, (obj.start, obj.stop, obj.step))
    if isinstance(obj, pd.MultiIndex):
        levels = [obj._get_level_values(number) for number in range(obj.nlevels)]
        return "pandas index", (header, [level._values for level in levels])
    return "pandas index", (header, obj._values)


def array(obj: Any) -> Reduced:
    """A column of one of pandas' own types: its dtype, and its values without what lies behind NA."""
    return "pandas array", (type_name(type(obj)), obj.dtype, len(obj), _contents(obj))


def dtype(obj: Any) -> Reduced:
    """A dtype of pandas; a categorical one by its categories, in their order."""
    if isinstance(obj, pd.CategoricalDtype):
        return "pandas dtype", ("category", obj.categories, obj.ordered)
    # The class tells strings kept by Python from those kept by Arrow, which print alike.
    return "pandas dtype", (type_name(type(obj)), str(obj), getattr(obj, "storage", None))


def timestamp(obj: Any) -> Reduced:
    """A `Timestamp`: its count of units since 1970, the unit and the zone."""
    return "pandas timestamp", (int(obj._value), obj.unit, obj.tzinfo, obj.fold)


def timedelta(obj: Any) -> Reduced:
    """A `Timedelta`: its count of units, and the unit."""
    return "pandas timedelta", (int(obj._value), obj.unit)


def period(obj: Any) -> Reduced:
    """A `Period`: its number and its frequency."""
    return "pandas period", (obj.ordinal, obj.freqstr)


def interval(obj: Any) -> Reduced:
    """An `Interval`: its ends, and which of them belong to it."""
    return "pandas interval", (obj.left, obj.right, obj.closed)


def offset(obj: Any) -> Reduced:
    """An offset such as `BusinessDay(2)`: its class and what it was made with."""
    parts = {name: getattr(obj, name) for name in obj._attributes if name != "calendar"}
    return "pandas offset", (type_name(type(obj)), parts)


def missing(obj: object) -> Reduced:
    """`pd.NA` or `pd.NaT`."""
    return "pandas missing", repr(obj)


def _columns(obj: Any) -> Iterable[tuple[str, Any]]:
    """Each column under a name of its own: frames may have one name twice, or names of any type."""
    taken = {"index"}
    for number, (name, values) in enumerate(
        zip(obj.columns, obj._iter_column_arrays(), strict=True)
    ):
        plain = type(name) is str and name not in taken
        key = name if plain else f"column {number}"
        while key in taken:
            key += "'"
        taken.add(key)
        yield key, values


def _metadata(obj: Any) -> dict[str, Any]:
    """What a subclass declares as part of its value, and what the user noted on it."""
    found = {name: getattr(obj, name, None) for name in obj._metadata if name != "_name"}
    return {**found, **({"attrs": dict(obj.attrs)} if obj.attrs else {})}


def _contents(obj: Any) -> Any:
    kind = obj.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return obj.codes
    if isinstance(kind, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        return obj.asi8
    if isinstance(kind, pd.IntervalDtype):
        return obj.left, obj.right
    if isinstance(kind, pd.SparseDtype):
        return kind.fill_value, obj.sp_index.indices, obj.sp_values
    if hasattr(obj, "_mask") and isinstance(obj._data, np.ndarray):
        # What lies behind a missing value is left over from a calculation.
        return np.where(obj._mask, np.zeros((), obj._data.dtype), obj._data), obj._mask
    if isinstance(kind, np.dtype):
        return np.asarray(obj)
    return np.asarray(obj, dtype=object)
