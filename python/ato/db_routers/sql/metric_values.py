"""What may be logged as a metric: a number, from Python, NumPy or torch, and a step."""

from __future__ import annotations

import operator
from typing import Any

from ato.db_routers.sql.text import as_text
from ato.exceptions import MetricTypeError

__all__ = ["as_key", "as_number", "as_step"]

_STEP_LIMIT = 2**63  # the databases' largest integer


def as_key(key: object) -> str:
    """The name of a metric.

    Raises:
        MetricTypeError: it is no text.
    """
    if not isinstance(key, str):
        raise MetricTypeError(f"the name of a metric is a text, not {key!r} ({type(key).__name__})")
    return as_text(key)


def as_number(key: str, value: Any) -> float:
    """The value of a metric as a float64, NaN and infinities included.

    Raises:
        MetricTypeError: it is no real scalar; the message names key and value.
    """
    plain = _scalar(value)
    if isinstance(plain, (int, float)):
        try:
            return float(plain)
        except OverflowError:
            raise MetricTypeError(
                f"metric {key!r}: {str(plain)[:40]}… is too large for a float"
            ) from None
    shape = getattr(value, "shape", None)
    hint = f" of shape {tuple(shape)}; log one element or a mean" if shape else ""
    raise MetricTypeError(
        f"metric {key!r} must be a real number (int, float, or a NumPy or torch scalar), "
        f"not {_short(value)} ({type(value).__name__}){hint}"
    )


def as_step(key: str, step: Any) -> int:
    """The step of a metric.

    Raises:
        MetricTypeError: it is no integer of 64 bits.
    """
    try:
        number = operator.index(step.item() if getattr(step, "ndim", None) == 0 else step)
    except TypeError:
        number = _STEP_LIMIT
    if not -_STEP_LIMIT <= number < _STEP_LIMIT:
        raise MetricTypeError(
            f"metric {key!r}: a step is an integer of 64 bits, not {_short(step)} "
            f"({type(step).__name__})"
        )
    return number


def _scalar(value: Any) -> Any:
    """The Python number in a scalar of NumPy or torch; anything else as it is."""
    if isinstance(value, (int, float)) or getattr(value, "ndim", None) != 0:
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", "f")
    if kind not in "fiub":  # complex, dates, text and objects of NumPy
        return value
    item = value.item() if hasattr(value, "item") else value
    # NumPy's long double has no Python counterpart and stays what it is.
    return float(item) if type(item) is type(value) else item


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (a broken __repr__ must not hide the message)
        return "a value"
    return text if len(text) <= 80 else text[:79] + "…"
