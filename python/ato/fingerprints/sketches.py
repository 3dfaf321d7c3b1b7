"""Sketches of arrays, and the distance of two arrays from their sketches alone."""

from __future__ import annotations

import binascii
import math
import struct
from dataclasses import dataclass

from ato.exceptions import SketchError

__all__ = ["Sketch", "relative_distance"]

_BUCKETS = 64
_SCHEME = "ato sketch v1"
_EPSILON = 2.0**-53  # the largest relative error of one addition
_FIXED = struct.Struct(f"<QQd{_BUCKETS}d")
_MOST_AXES = 64  # NumPy's and torch's limit


@dataclass(frozen=True, slots=True)
class Sketch:
    """64 sums of an array's numbers with random signs; `relative_distance` compares two.

    Attributes:
        sums: the sums, binary64.
        shape: the sizes of the array's axes.
        count: its numbers; a complex element is two.
        excluded: numbers among them that are NaN or infinite, and were taken for 0.
        norm: the L2 norm of the others.
    """

    sums: tuple[float, ...]
    shape: tuple[int, ...]
    count: int
    excluded: int
    norm: float

    @property
    def scheme(self) -> str:
        """Kind and version; a text of another one is refused."""
        return _SCHEME

    def to_text(self) -> str:
        """The sketch as about 730 characters of ASCII, for a column or JSON."""
        fixed = _FIXED.pack(self.count, self.excluded, self.norm, *self.sums)
        axes = struct.pack(f"<{len(self.shape)}Q", *self.shape)
        return f"{_SCHEME}:{binascii.b2a_base64(fixed + axes, newline=False).decode()}"

    @classmethod
    def from_text(cls, text: str) -> Sketch:
        """The sketch that `to_text` wrote, to the bit.

        Raises:
            SketchError: the text is no sketch, or one of another version.
        """
        scheme, _, encoded = text.partition(":")
        if scheme != _SCHEME:
            raise SketchError(
                f"{text[:40]!r} is no sketch of {_SCHEME!r}; sketches of another version cannot "
                "be compared, so record both runs with one version of ato"
            )
        try:
            data = binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            data = b""
        axes, rest = divmod(len(data) - _FIXED.size, 8)
        if rest or not 0 <= axes <= _MOST_AXES:
            raise SketchError(
                f"a sketch of {len(encoded)} characters is cut off or altered; digest the array again"
            )
        count, excluded, norm, *sums = _FIXED.unpack_from(data)
        shape = struct.unpack_from(f"<{axes}Q", data, _FIXED.size)
        return cls(tuple(sums), shape, count, excluded, norm)


def relative_distance(sketch_a: Sketch, sketch_b: Sketch) -> tuple[float, float]:
    """Estimate ‖a-b‖ ÷ ‖a‖ (L2) from the sketches of two arrays of one shape.

    With *Δ* the 64 differences of the sums, the expectation of ‖Δ‖² is ‖a-b‖² (Charikar, Chen and
    Farach-Colton 2002; as an estimate of a norm, Alon, Matias and Szegedy 1996). Its variance is
    twice the sum, over pairs of numbers that meet in a bucket, of the products of their squared
    differences, which a chance of 1/64 to meet bounds by (2/64) ‖a-b‖⁴. So ‖Δ‖ has, to first order,
    a relative standard error of at most √(2/64) ÷ 2 = 1/√128, 8.8 %. A difference in one number is
    exact. ‖a‖ is exact too, as part of the sketch; where squares over- or underflow it is estimated
    in the same way, and its error added. The rounding of the sums themselves limits what can be
    seen: *m* additions in a row leave an error of √m · 2⁻⁵³ of their size, which is part of the
    standard error, so that equal sketches do not claim equal arrays.

    Numbers that are NaN or infinite count as 0 on their side; `excluded` says how many there are.
    The dtypes may differ (an array and its copy in bfloat16): numbers are compared, not bytes.

    Returns:
        The estimate and its standard error. Both are 0 for two arrays of zeros, both infinite where
        only `a` is zero, and both NaN where the sums are beyond binary64.

    Raises:
        SketchError: the shapes differ, one array is complex and the other is not, or one of the two
            is no sketch.
    """
    for sketch in (sketch_a, sketch_b):
        if not isinstance(sketch, Sketch):
            raise SketchError(
                f"a <{type(sketch).__qualname__}> is no sketch; pass what "
                "ato.digest_array(x, sketch=True).sketch holds, or Sketch.from_text of a stored one"
            )
    if (sketch_a.shape, sketch_a.count) != (sketch_b.shape, sketch_b.count):
        raise SketchError(
            f"the sketches are of arrays of shapes {sketch_a.shape} ({sketch_a.count} numbers) and "
            f"{sketch_b.shape} ({sketch_b.count} numbers); only equal shapes have a distance"
        )
    distance = math.dist(sketch_a.sums, sketch_b.sums)
    size, other_size = _size(sketch_a), _size(sketch_b)
    if not (math.isfinite(distance) and math.isfinite(size) and math.isfinite(other_size)):
        return math.nan, math.nan
    if size == 0:
        return (0.0, 0.0) if distance == 0 and other_size == 0 else (math.inf, math.inf)
    estimate = distance / size
    spread = 1 / math.sqrt(2 * _BUCKETS)
    estimated_norms = 1 if size == sketch_a.norm else 2
    chance = estimate * spread * math.sqrt(estimated_norms)
    additions = max(1.0, sketch_a.count / _BUCKETS)
    rounding = _EPSILON * math.sqrt(additions) * (1 + other_size / size)
    return estimate, math.hypot(chance, rounding)


def _size(sketch: Sketch) -> float:
    """The norm, from the sums where squares left the range of binary64."""
    if 1e-140 < sketch.norm < math.inf:
        return sketch.norm
    return math.hypot(*sketch.sums)
