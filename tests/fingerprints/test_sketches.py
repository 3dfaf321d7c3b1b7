"""Order-free digests and sketches: the same rows elsewhere, and how far two arrays are apart."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from golden.make_digests import ROWS, SKETCHED, wave
from hypothesis import given, settings
from hypothesis import strategies as st

import ato
from ato.exceptions import SketchError
from ato.fingerprints import Sketch, digest_array, relative_distance
from reference_encoder import rows_digest, sketch

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "digests_format_1.json").read_text("utf-8")
)
ERROR = 1 / math.sqrt(128)  # the standard error, relative to the estimate


def order_free(x: object) -> str:
    """The order-free digest."""
    found = digest_array(x, order_free=True).order_free
    assert found is not None
    return found


def sketched(x: object) -> Sketch:
    """The sketch."""
    found = digest_array(x, sketch=True).sketch
    assert found is not None
    return found


@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_order_free_digests_are_the_golden_ones(shape: tuple[int, ...]) -> None:
    """The order-free digests of format 1 are what they were when it was released."""
    x = np.array(wave(math.prod(shape))).reshape(shape)
    assert order_free(x) == GOLDEN["ato rows v1"][str(shape)]


@pytest.mark.parametrize("count", SKETCHED)
def test_sketches_are_the_golden_ones_to_the_bit(count: int) -> None:
    """The sums of format 1 are what they were when it was released, in any layout."""
    x = np.array(wave(count))
    expected = GOLDEN["ato sketch v1"][str(count)]
    for layout in (x, np.repeat(x, 2)[::2], x.astype(">f8"), torch.from_numpy(x)):
        assert struct.pack("<64d", *sketched(layout).sums).hex() == expected


@pytest.mark.parametrize(
    "shape", [(1,), (5000,), (3, 7), (40_000, 3), (700, 900), (3, 200_000), (0, 4), (4, 0), ()]
)
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<c16", "S3"])
def test_the_order_of_rows_does_not_count_and_everything_else_does(
    shape: tuple[int, ...], dtype: str
) -> None:
    """A permutation of the rows has the same order-free digest, in any layout, as the reference says."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 100, (*shape, np.dtype(dtype).itemsize), np.uint8).view(dtype)[..., 0]
    little = x.astype(x.dtype.newbyteorder("<"))
    found = order_free(x)
    assert found == rows_digest(digest_array(x).dtype, shape, little.tobytes())
    if x.ndim and len(x) > 1 and x.size:
        mixed = np.roll(rng.permutation(x[1:]), 1, axis=0)
        mixed = np.concatenate([mixed, x[:1]])
        assert found == order_free(np.asfortranarray(x))
        assert order_free(mixed) == found
        assert order_free(np.asfortranarray(mixed)) == found
        assert order_free(np.repeat(mixed, 2, axis=-1)[..., ::2]) == found
        assert digest_array(mixed).hex != digest_array(x).hex
        mixed.reshape(-1).view(np.uint8)[0] ^= 1
        assert order_free(mixed) != found


def test_order_free_digests_bind_dtype_shape_and_count() -> None:
    """Equal bytes cut otherwise, another dtype, and more rows of zeros are other multisets."""
    x = np.zeros(12, np.float32)
    others = [x, x.view(np.int32), x.reshape(3, 4), x.reshape(4, 3), x[:11], x[:0], x[:0, None]]
    assert len({order_free(other) for other in others}) == len(others)
    assert digest_array(x).order_free is None
    assert digest_array(x, order_free=True, algorithm="blake3").order_free == order_free(x)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12), st.randoms())
@settings(max_examples=100)
def test_multisets_of_rows_are_equal_exactly_where_their_digests_are(
    rows: list[tuple[int, int]], random: object
) -> None:
    """Duplicates count: two arrays agree if and only if each row is there as often."""
    x = np.array(rows, np.uint8).reshape(-1, 2)
    other = np.random.default_rng(random.randint(0, 2**32)).integers(0, 4, x.shape, np.uint8)  # type: ignore[attr-defined]
    same = sorted(x.tolist()) == sorted(other.tolist())
    assert (order_free(x) == order_free(other)) is same
    assert order_free(x[::-1]) == order_free(x)


def numbers(x: np.ndarray) -> list[float]:
    """The numbers of an array, as Python has them."""
    x = np.ascontiguousarray(x)
    if x.dtype.kind == "c":
        x = x.view(f"f{x.itemsize // 2}")
    return [float(value) for value in x.reshape(-1)]


@pytest.mark.parametrize(
    "dtype",
    [
        *"bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64".split(),
        *"complex64 complex128 bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz".split(),
        *"float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu".split(),
    ],
)
def test_every_numeric_dtype_is_sketched_exactly(dtype: str) -> None:
    """Each bit pattern counts as the number that it is; the sums are the reference's to the bit."""
    scalar = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    data = np.random.default_rng(3).integers(0, 256, (9000, scalar.itemsize), np.uint8)
    if dtype == "bool":
        data &= 1
    x = data.view(scalar)[:, 0]
    found = sketched(x)
    with np.errstate(invalid="ignore"):
        values = numbers(x)
    size = scalar.itemsize // (2 if scalar.kind == "c" else 1)
    assert list(found.sums) == sketch(values, size)
    finite = [value for value in values if math.isfinite(value)]
    assert (found.count, found.excluded) == (len(values), len(values) - len(finite))
    summary = digest_array(x, summary=True).summary
    if scalar.kind == "c":
        assert summary is None
    else:
        assert summary is not None
        assert (summary["min"], summary["max"]) == (min(finite), max(finite))
        assert found.norm == summary["norm"]


def test_what_has_no_numbers_has_no_sketch() -> None:
    """Strings and dates are digested, and not sketched."""
    for x in (np.array(["a"]), np.array(["2024-01-01"], "M8[D]"), np.array([b"ab"], "V2")):
        found = digest_array(x, sketch=True, summary=True, order_free=True)
        assert (found.sketch, found.summary) == (None, None)
        assert found.order_free


@pytest.mark.parametrize("shape", [(3, 5), (300, 500), (512, 1024, 3)])
def test_one_walk_answers_as_several_do(shape: tuple[int, ...]) -> None:
    """Asked for together or alone, of NumPy or torch, contiguous or not: the answers are the same."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    together = digest_array(x, order_free=True, summary=True, sketch=True, leaves=True)
    assert together.hex == digest_array(x).hex
    assert together.leaves == digest_array(x, leaves=True).leaves
    assert together.summary == digest_array(x, summary=True).summary
    assert together.order_free == order_free(x)
    assert together.sketch == sketched(x)
    for layout in (np.asfortranarray(x), torch.from_numpy(x), np.repeat(x, 2, 1)[:, ::2]):
        found = digest_array(layout, order_free=True, summary=True, sketch=True, leaves=True)
        assert found == together
    strong = digest_array(x, algorithm="blake3", order_free=True, summary=True, sketch=True)
    assert strong[5:] == together[5:]
    assert strong.hex == digest_array(x, algorithm="blake3").hex


def test_sketches_do_not_depend_on_the_number_of_threads() -> None:
    """A process that is bound to one processor finds the same bits."""
    code = (
        "import os, sys, numpy as np\n"
        "if sys.argv[1] == 'one' and hasattr(os, 'sched_setaffinity'):\n"
        "    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
        "from ato import digest_array\n"
        "x = np.random.default_rng(0).standard_normal((1300, 1003))\n"
        "found = digest_array(x, sketch=True, summary=True, order_free=True)\n"
        "print(found.sketch.to_text(), found.summary, found.order_free)\n"
    )
    told = {
        subprocess.run([sys.executable, "-c", code, n], capture_output=True, check=True).stdout
        for n in ("one", "all")
    }
    assert len(told) == 1


def z_score(a: np.ndarray, b: np.ndarray) -> float:
    """By how many standard errors the estimate misses the distance.

    The error is a share of the estimate; of the true distance it is free of the skew that an estimate
    which is too small makes its own error too small as well.
    """
    distance = float(np.linalg.norm((a.astype(float) - b.astype(float)).ravel()))
    true = distance / float(np.linalg.norm(a.astype(float).ravel()))
    estimate, error = relative_distance(sketched(a), sketched(b))
    return (estimate - true) / (error * true / estimate)


def test_the_error_of_random_pairs_is_the_stated_one() -> None:
    """Of 1,000 pairs at distances from 1e-8 to 10, the misses are spread as one standard error says."""
    rng = np.random.default_rng(0)
    misses = []
    for trial in range(1000):
        a = rng.standard_normal(rng.integers(300, 6000)) * 10.0 ** rng.integers(-6, 7)
        noise = rng.standard_normal(a.size)
        if trial % 3 == 0:
            noise *= rng.random(a.size) < 0.1
        scale = 10 ** rng.uniform(-8, 1)
        b = a + noise * (scale * np.linalg.norm(a) / max(np.linalg.norm(noise), 1e-300))
        misses.append(z_score(a, b))
    spread = math.sqrt(sum(miss**2 for miss in misses) / len(misses))
    assert 0.85 < spread < 1.1
    assert max(map(abs, misses)) < 4.5
    assert abs(sum(misses) / len(misses)) < 0.15
    assert sum(abs(miss) < 1 for miss in misses) > 650


STRUCTURED = {
    "one column": lambda d: d[:, 5:6],
    "the last column": lambda d: d[:, -1:],
    "every 64th column": lambda d: d[:, ::64],
    "one row": lambda d: d[17:18],
    "every 16th row": lambda d: d[::16],
    "a block": lambda d: d[10:30, 30:50],
    "the diagonal": lambda d: np.einsum("ii->i", d[: min(d.shape), : min(d.shape)]),
    "everything": lambda d: d,
    "half": lambda d: d[: len(d) // 2],
}


@pytest.mark.parametrize("name", STRUCTURED)
@pytest.mark.parametrize("columns", [64, 100, 256])
@pytest.mark.parametrize("change", ["shift", "noise", "alternating"])
def test_structured_differences_have_the_stated_error_too(
    name: str, columns: int, change: str
) -> None:
    """Columns, rows and blocks whose numbers lie at regular distances meet no regular buckets."""
    rng = np.random.default_rng(columns)
    a = rng.standard_normal((16 * 40, columns))
    misses = []
    for first in range(0, len(a), 40):  # each stretch has buckets and signs of its own
        b = a.copy()
        part = STRUCTURED[name](b[first : first + 40])
        if change == "shift":
            part += 0.01
        elif change == "noise":
            part += rng.standard_normal(part.shape) * 1e-5
        else:
            part += 0.01 * (-1) ** np.arange(part.size).reshape(part.shape)
        misses.append(z_score(a, b))
    assert max(map(abs, misses)) < 4.5
    assert math.sqrt(sum(miss**2 for miss in misses) / len(misses)) < 1.6


def test_a_difference_in_one_element_is_exact() -> None:
    """One number lies in one bucket, alone, up to the rounding of the sums."""
    a = np.random.default_rng(0).standard_normal((100, 100))
    for place in (0, 63, 64, 4097, 9999):
        for change in (1e-8, 1.0, 1e3):
            b = a.copy()
            b.flat[place] += change
            estimate, _ = relative_distance(sketched(a), sketched(b))
            assert estimate * np.linalg.norm(a) == pytest.approx(change, rel=1e-5)


def test_a_cast_is_a_small_distance_and_another_result_a_large_one() -> None:
    """Sketches of one shape are compared whatever the dtypes are."""
    rng = np.random.default_rng(1)
    a, other = rng.standard_normal((2, 64, 100))
    rounded, error = relative_distance(sketched(a), sketched(a.astype(np.float32)))
    assert 1e-8 < rounded < 1e-7
    assert error == pytest.approx(ERROR * rounded, rel=1e-3)
    far, error = ato.relative_distance(sketched(a), sketched(torch.from_numpy(other)))
    assert far == pytest.approx(math.sqrt(2), abs=4 * error)


def test_equal_sketches_do_not_claim_equal_arrays() -> None:
    """The error of two equal sketches is the rounding of their sums, not nothing."""
    a = np.random.default_rng(2).standard_normal(200_000)
    estimate, error = relative_distance(sketched(a), sketched(a.copy()))
    assert estimate == 0
    assert 0 < error < 1e-13


def test_zeros_nan_and_infinity_have_defined_distances() -> None:
    """What is not finite counts as zero and is counted; zeros have no relative distance but to zeros."""
    a = np.array([3.0, np.nan, 4.0, np.inf])
    b = np.array([3.0, 1.0, 4.0, -np.inf])
    first, second = sketched(a), sketched(b)
    assert (first.excluded, second.excluded, first.norm) == (2, 1, 5.0)
    assert relative_distance(first, second)[0] == pytest.approx(0.2)
    zeros, ones = sketched(np.zeros(4)), sketched(np.ones(4))
    assert relative_distance(zeros, zeros) == (0, 0)
    assert relative_distance(zeros, ones) == (math.inf, math.inf)
    assert relative_distance(ones, zeros)[0] == pytest.approx(1)
    empty = sketched(np.zeros((0, 3)))
    assert relative_distance(empty, empty) == (0, 0)


def test_numbers_whose_squares_leave_binary64_have_distances() -> None:
    """The norm is then estimated from the sums, and the error says so."""
    a = np.random.default_rng(0).standard_normal(5000)
    for scale in (1e200, 1e-200):
        estimate, error = relative_distance(sketched(a * scale), sketched(a * scale * 1.01))
        assert estimate == pytest.approx(0.01, abs=4 * error)
        assert error == pytest.approx(estimate * ERROR * math.sqrt(2), rel=1e-6)
    beyond = sketched(np.full(50_000, 1.7e308))
    assert all(map(math.isnan, relative_distance(beyond, beyond)))


def test_sketches_of_other_shapes_are_not_compared() -> None:
    """The error names both shapes; a complex array is not a real one of its shape."""
    a = np.arange(12.0)
    for other in (a[:11], a.reshape(3, 4), a + 0j):
        with pytest.raises(SketchError, match="shapes"):
            relative_distance(sketched(a), sketched(other))


def test_what_is_no_sketch_has_no_distance() -> None:
    """A digest without a sketch, an array or a text is refused with what to pass."""
    found = sketched(np.ones(3))
    for wrong in (None, np.ones(3), found.to_text()):
        for pair in ((found, wrong), (wrong, found)):
            with pytest.raises(SketchError, match="is no sketch; pass"):
                relative_distance(*pair)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 4)])
def test_a_sketch_is_kept_as_text_to_the_bit(shape: tuple[int, ...]) -> None:
    """What is stored and read again is equal, and fits JSON."""
    found = sketched(np.random.default_rng(0).standard_normal(shape))
    text = json.loads(json.dumps(found.to_text()))
    assert Sketch.from_text(text) == found
    assert len(text) < 800
    assert found.scheme == "ato sketch v1"


def test_a_text_that_is_no_sketch_is_an_error() -> None:
    """Another version, a cut-off text and other characters are refused."""
    text = sketched(np.ones(3)).to_text()
    for wrong in ("", "ato sketch v2" + text[13:], text[:-8], text[:-1], text + "Δ", text[:20]):
        with pytest.raises(SketchError):
            Sketch.from_text(wrong)
