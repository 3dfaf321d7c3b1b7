"""How polars' values are taken apart. Loaded when one is met: polars is in the process by then."""

from __future__ import annotations

from typing import Any

import polars as pl

from ato.fingerprints.values import Description, Reduced, type_name


def frame(obj: Any) -> Description:
    """A `DataFrame`: its class, the names of its columns in order, and each column."""
    columns = {column.name: column for column in obj.get_columns()}
    rows, number = obj.shape
    header = (type_name(type(obj)), list(columns), rows)
    return Description("polars frame", header, columns, {}, f"{rows} rows x {number} columns")


def series(obj: Any) -> Reduced:
    """A `Series`: its class, name, type and values; how it is cut into chunks does not count."""
    header = (type_name(type(obj)), obj.name, obj.dtype, len(obj))
    return "polars series", (header, _contents(obj))


def dtype(obj: Any) -> Reduced:
    """A data type, or the class of one, as it prints: with its unit, zone, categories, fields."""
    if isinstance(obj, pl.Enum):
        return "polars dtype", ("Enum", obj.categories.to_list())
    return "polars dtype", repr(obj)


def _contents(obj: Any) -> Any:
    kind = obj.dtype
    if kind.is_temporal():
        obj = obj.to_physical()
        kind = obj.dtype
    if kind in (pl.Categorical, pl.Enum):
        return obj.cast(pl.String).to_list()  # the numbers of categories depend on the process
    fixed = kind.is_numeric() and not kind.is_decimal()
    if fixed and not obj.null_count():
        return obj.to_numpy()
    if fixed or kind == pl.Boolean:
        missing = obj.is_null()
        # What lies behind a missing value is left over from a calculation.
        filled = obj.fill_null(value=False if kind == pl.Boolean else 0)
        return filled.to_numpy(), missing.to_numpy()
    return obj.to_list()
