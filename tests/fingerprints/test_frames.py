"""Frames of pandas and polars: by what they hold, column by column, however they came to be."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.exceptions import UnsupportedValueError
from ato.fingerprints import fingerprint, observe

# All differ from one another.
PANDAS = [
    pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"a": [1, 3]}),
    pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"b": [1, 2]}),
    pd.DataFrame({"a": [1, 2]}, index=["x", "y"]),
    pd.DataFrame({"a": [1, 2], "b": [3, 4]}),
    pd.DataFrame({"b": [3, 4], "a": [1, 2]}),
    pd.DataFrame([[1, 2]], columns=["a", "a"]),
    pd.DataFrame([[1, 2]], columns=["a", 1]),
    pd.DataFrame([[1, 2]], columns=["index", "column 0"]),
    pd.DataFrame(),
    pd.Series([1, 2]),
    pd.Series([1, 2], name="a"),
    pd.Series([1, 2], index=[1, 2]),
    pd.Series([1, None], dtype="Int64"),
    pd.Series([1, 0], dtype="Int64"),
    pd.Series([True, None], dtype="boolean"),
    pd.Series(["a", None], dtype=object),
    pd.Series(["a", "None"], dtype=object),
    pd.Series(["a", None], dtype="string"),
    pd.Series(["a"], dtype="category"),
    pd.Series(["b"], dtype="category"),
    pd.Series(pd.Categorical(["a"], categories=["a", "b"])),
    pd.Series(pd.Categorical(["a"], categories=["b", "a"])),
    pd.Series(pd.Categorical(["a"], categories=["a", "b"], ordered=True)),
    pd.Series(pd.date_range("2024", periods=2)),
    pd.Series(pd.date_range("2024", periods=2, tz="UTC")),
    pd.Series(pd.date_range("2024", periods=2, tz="Europe/Berlin")),
    pd.Series(pd.timedelta_range("1s", periods=2)),
    pd.Series(pd.period_range("2024", periods=2, freq="M")),
    pd.Series(pd.period_range("2024", periods=2, freq="D")),
    pd.Series(pd.interval_range(0, 2)),
    pd.Series(pd.interval_range(0, 2, closed="left")),
    pd.Series(pd.arrays.SparseArray([0, 1])),
    pd.Series(pd.arrays.SparseArray([0, 2])),
    pd.Series(pd.arrays.SparseArray([0, 1], fill_value=1)),
    pd.RangeIndex(2),
    pd.Index([0, 1]),
    pd.Index([0, 1], name="n"),
    pd.MultiIndex.from_tuples([(1, 2)]),
    pd.MultiIndex.from_tuples([(1, 3)]),
    pd.CategoricalIndex(["a"]),
    pd.date_range("2024", periods=2, freq="2D"),
    pd.Timestamp("2024-01-01"),
    pd.Timestamp("2024-01-01").as_unit("ns"),
    pd.Timestamp("2024-01-01", tz="UTC"),
    pd.Timestamp("2024-01-02"),
    dt.datetime(2024, 1, 1),
    pd.Timedelta("1s"),
    pd.Timedelta("2s"),
    pd.Period("2024", "Y"),
    pd.Period("2024", "M"),
    pd.Interval(0, 1),
    pd.Interval(0, 1, closed="both"),
    pd.offsets.Day(1),
    pd.offsets.Day(2),
    pd.offsets.BusinessDay(2),
    pd.offsets.MonthEnd(1),
    pd.NaT,
    pd.NA,
    pd.Int64Dtype(),
    pd.CategoricalDtype(["a"]),
    pd.CategoricalDtype(["b"]),
    pd.DatetimeTZDtype("ns", "UTC"),
]
POLARS = [
    pl.DataFrame({"a": [1, 2]}),
    pl.DataFrame({"a": [1, 3]}),
    pl.DataFrame({"a": [1.0, 2.0]}),
    pl.DataFrame({"b": [1, 2]}),
    pl.DataFrame({"a": [1, None]}),
    pl.DataFrame({"a": [1, 0]}),
    pl.DataFrame({"a": [1, 2], "b": [3, 4]}),
    pl.DataFrame({"b": [3, 4], "a": [1, 2]}),
    pl.DataFrame({"a": [[1], [2]]}),
    pl.DataFrame({"a": [{"b": 1}]}),
    pl.DataFrame(),
    pl.Series([1, 2]),
    pl.Series("a", [1, 2]),
    pl.Series([1, 2], dtype=pl.Int32),
    pl.Series([True, None]),
    pl.Series([True, False]),
    pl.Series(["a", None]),
    pl.Series(["a", "b"]),
    pl.Series(["a"], dtype=pl.Categorical),
    pl.Series(["a"], dtype=pl.Enum(["a"])),
    pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
    pl.Series([dt.date(2024, 1, 1)]),
    pl.Series([dt.datetime(2024, 1, 1)]),
    pl.Series([dt.datetime(2024, 1, 1)], dtype=pl.Datetime("us", "UTC")),
    pl.Series([dt.datetime(2024, 1, 1)], dtype=pl.Datetime("ns")),
    pl.Series([dt.time(1)]),
    pl.Series([dt.timedelta(1)]),
    pl.Series([Decimal("1.0")]),
    pl.Series([b"a"]),
    pl.Series([None]),
    pl.Series([1.0, float("nan")]),
    pl.Series([1.0, None]),
    pl.Int64,
    pl.List(pl.Int64),
    pl.List(pl.Int32),
    pl.Enum(["a"]),
]


@pytest.mark.parametrize("values", [PANDAS, POLARS], ids=["pandas", "polars"])
def test_frames_that_differ_have_different_fingerprints(values) -> None:
    """No two of the values share a fingerprint, and each keeps its own as a copy."""
    seen = {}
    for value in values:
        digest = fingerprint(value).hex
        assert digest not in seen, (value, seen[digest])
        seen[digest] = value
        if hasattr(value, "copy") and not isinstance(value, type):
            assert fingerprint(value.copy()).hex == digest
        if isinstance(value, (pl.DataFrame, pl.Series)):
            assert fingerprint(value.clone()).hex == digest


columns = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3)
    | st.lists(st.floats(allow_nan=False), min_size=3, max_size=3)
    | st.lists(st.text(max_size=3), min_size=3, max_size=3),
    min_size=1,
    max_size=3,
)


@given(columns, columns)
def test_frames_are_equal_exactly_where_their_columns_are(first, second) -> None:
    """Two frames share a fingerprint if and only if names, order and values are the same."""
    same = repr(first) == repr(second)
    for make in (pd.DataFrame, pl.DataFrame):
        assert (fingerprint(make(first)) == fingerprint(make(second))) == same
        assert fingerprint(make(first)) == fingerprint(make(dict(first)))


def test_how_a_frame_lies_in_memory_does_not_count() -> None:
    """A frame put together from parts, sliced or in chunks equals the one made at once."""
    whole = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    parts = pd.concat([pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [3, 4]})], axis=1)
    sliced = pd.DataFrame(np.arange(12).reshape(2, 6)[:, ::3]).rename(columns={0: "a", 1: "b"})
    assert fingerprint(whole) == fingerprint(parts)
    twin = pd.DataFrame({"a": [0, 6], "b": [3, 9]})
    assert fingerprint(sliced) == fingerprint(twin)
    chunks = pl.concat([pl.Series([1, None]), pl.Series([2])], rechunk=False)
    assert chunks.n_chunks() == 2
    assert fingerprint(chunks) == fingerprint(pl.Series([1, None, 2]))


def test_what_lies_behind_a_missing_value_does_not_count() -> None:
    """A masked column counts by its mask and by the values that are there."""
    left = pd.arrays.IntegerArray(np.array([1, 5]), np.array([False, True]))
    right = pd.arrays.IntegerArray(np.array([1, 7]), np.array([False, True]))
    assert fingerprint(pd.Series(left)) == fingerprint(pd.Series(right))


def test_a_changed_column_is_named() -> None:
    """The leaves of a frame are its index and its columns, with dtype and summary."""
    frames = [pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, by]}) for by in (4.0, 5.0)]
    first, second = (observe(frame, "data").leaves for frame in frames)
    assert [p for p in first if first[p].fingerprint != second[p].fingerprint] == ["data.y"]
    assert (first["data.y"].dtype, first["data.y"].shape) == ("float64", (2,))
    assert first["data"].text == "2 rows x 2 columns"
    frames = [pl.DataFrame({"x": [1.0, 2.0], "y": [3.0, by]}) for by in (4.0, 5.0)]
    first, second = (observe(frame, "data").leaves for frame in frames)
    assert [p for p in first if first[p].fingerprint != second[p].fingerprint] == ["data.y"]


def test_a_frame_is_left_as_it_was() -> None:
    """Nothing is set or cached on a frame by its fingerprint."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    before = set(vars(frame))
    fingerprint(frame)
    observe(frame, "frame")
    assert set(vars(frame)) == before


def test_a_subclass_and_notes_count() -> None:
    """A frame of a subclass differs from the plain one, and so does one with `attrs`."""

    class Table(pd.DataFrame):
        _metadata = ["unit"]

    plain = pd.DataFrame({"a": [1]})
    metres, feet, noted = Table(plain), Table(plain), plain.copy()
    metres.unit, feet.unit = "m", "ft"
    noted.attrs["source"] = "x"
    assert len({fingerprint(f).hex for f in (plain, metres, feet, noted)}) == 4


@pytest.mark.parametrize("value", [pl.DataFrame({"a": [1]}).lazy(), pl.col("a")])
def test_what_was_not_computed_yet_is_refused(value) -> None:
    """A lazy frame and an expression are refused by name."""
    with pytest.raises(UnsupportedValueError, match=f"a <{type(value).__name__}>"):
        fingerprint(value)


def test_neither_library_is_loaded_for_other_values() -> None:
    """Fingerprints of other values import neither pandas nor polars."""
    script = (
        "import sys, ato\nato.fingerprint({'a': [1, object()]})\n"
        "print([name for name in ('pandas', 'polars', 'torch', 'numpy') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
