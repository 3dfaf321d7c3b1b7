from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ato.db_routers.sql.metric_values import as_key, as_number, as_step
from ato.exceptions import MetricTypeError


@given(st.floats() | st.integers(-(2**70), 2**70) | st.booleans())
def test_python_numbers_are_metrics(value):
    """A Python number is the float64 of it."""
    found = as_number("loss", value)
    assert type(found) is float
    assert found == float(value) or math.isnan(value)


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.5),
        np.float32(0.5),
        np.float16(0.5),
        np.longdouble(0.5),
        np.array(0.5),
        np.array(0.5, dtype=">f4"),
    ],
)
def test_numpy_scalars_are_metrics(value):
    """NumPy's scalars and 0-d arrays are taken, whatever their width or byte order."""
    found = as_number("loss", value)
    assert type(found) is float
    assert found == 0.5


def test_numpy_integers_and_booleans_are_metrics():
    """Integers and truth values count as their number."""
    assert [as_number("n", v) for v in (np.int8(-3), np.uint64(2**63), np.bool_(True))] == [
        -3.0,
        2.0**63,
        1.0,
    ]


def test_torch_scalars_are_metrics():
    """A 0-d tensor is taken, also one that carries a gradient."""
    import torch

    assert as_number("loss", torch.tensor(0.5, requires_grad=True)) == 0.5
    assert as_number("loss", torch.tensor(2, dtype=torch.int32)) == 2.0
    assert as_number("loss", torch.tensor(0.5, dtype=torch.bfloat16)) == 0.5


@pytest.mark.parametrize(
    "value",
    [
        None,
        "0.5",
        1j,
        [0.5],
        {},
        Decimal(1),
        np.array([0.5]),
        np.array("0.5"),
        np.complex64(1),
        np.datetime64("2020-01-01"),
        10**400,
        object(),
    ],
)
def test_anything_else_is_a_type_error_that_names_it(value):
    """What is no real scalar is refused with the metric's name and the value's type."""
    with pytest.raises(TypeError, match="'val_loss'") as caught:
        as_number("val_loss", value)
    assert isinstance(caught.value, MetricTypeError)


def test_the_error_names_the_shape():
    """For an array the message says its shape and what to log instead."""
    with pytest.raises(MetricTypeError, match=r"of shape \(2, 3\); log one element or a mean"):
        as_number("loss", np.zeros((2, 3)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_steps_are_integers_of_64_bits(step):
    """Any integer that the databases can hold is a step."""
    assert as_step("loss", step) == step


@pytest.mark.parametrize("step", [None, 1.0, "1", 2**63, -(2**63) - 1, np.array([1])])
def test_other_steps_are_refused(step):
    """A step that is no integer, or too large, is refused by the metric's name."""
    with pytest.raises(MetricTypeError, match="'loss'"):
        as_step("loss", step)


def test_numpy_integers_are_steps():
    """A step may come from NumPy or torch."""
    assert as_step("loss", np.int64(7)) == 7
    assert as_step("loss", np.array(7)) == 7


def test_names_are_text():
    """A metric's name is text; odd bytes are written out."""
    assert as_key("loss/train é") == "loss/train é"
    assert as_key("a\0\udcff") == "a\\0\\udcff"
    with pytest.raises(MetricTypeError, match="is a text"):
        as_key(3)
