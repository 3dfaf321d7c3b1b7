"""Digests of memory: leaves, roots and the walk over any strides, beside the reference."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ato._core import digest_buffer, digest_memory, simd_level
from reference_encoder import LEAF, LENGTHS, leaves, tensor_digest

GOLDEN = json.loads((Path(__file__).parent / "golden" / "digests_format_1.json").read_text("utf-8"))


def pattern(length: int) -> bytes:
    """The bytes of the golden digests."""
    return bytes(index * index % 251 for index in range(length))


def expected(array: np.ndarray, dtype: str, algorithm: str = "xxh3") -> str:
    """The reference's digest of what NumPy itself makes of the elements in C order."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return tensor_digest(dtype, array.shape, little.tobytes("C"), algorithm)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("offset", [0, 1, 13])
def test_lengths_around_every_size_have_the_digest_of_the_reference(
    length: int, offset: int
) -> None:
    """Leaves and roots are right wherever a buffer begins and ends."""
    data = random.Random(length).randbytes(length)
    buffer = memoryview(b"x" * offset + data)[offset:]
    found = digest_buffer(buffer, leaves=True)
    assert found.hex == tensor_digest("uint8", (length,), data)
    assert found.leaves == leaves(data)
    assert digest_buffer(buffer, algorithm="blake3").hex == tensor_digest(
        "uint8", (length,), data, "blake3"
    )


@pytest.mark.parametrize("case", GOLDEN["tensors"])
def test_golden_digests_of_tensors_hold(case: str) -> None:
    """The digests of format 1 are what they were when it was released."""
    dtype, rest = case.split(" ", 1)
    shape_text, algorithm = rest.rsplit(" ", 1)
    shape = tuple(int(size) for size in shape_text.strip("()").split(",") if size.strip())
    length = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    array = np.frombuffer(pattern(length), dtype).reshape(shape or (1,))
    found = digest_buffer(array, algorithm=algorithm, dtype=dtype, shape=shape).hex
    assert found == GOLDEN["tensors"][case]


@st.composite
def views(draw: st.DrawFn) -> np.ndarray:
    """Arrays of up to four axes that were transposed, sliced, reversed and broadcast."""
    shape = draw(st.lists(st.integers(0, 7), max_size=4))
    if draw(st.booleans()) and shape:
        shape[draw(st.integers(0, len(shape) - 1))] *= draw(st.sampled_from([17, 97, 300]))
    dtype = draw(
        st.sampled_from(["u1", "<i2", ">i2", "<f4", ">f4", "<f8", ">u8", ">c8", "<c16", "?"])
    )
    count = int(np.prod(shape, dtype=int))
    data = np.random.default_rng(count).integers(0, 2, count * 16, np.uint8)
    array = np.resize(data.view(dtype), count).reshape(shape)
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    cuts = [
        slice(draw(st.integers(0, 2)), None, draw(st.sampled_from([1, 2, 3, -1, -2])))
        for _ in shape
    ]
    array = array[tuple(cuts)]
    if array.ndim and draw(st.booleans()):
        axis = draw(st.integers(0, array.ndim))
        array = np.expand_dims(array, axis)
        array = np.broadcast_to(
            array, [*array.shape[:axis], draw(st.integers(1, 5)), *array.shape[axis + 1 :]]
        )
    return array if array.ndim else array.reshape(1)


@given(views(), st.sampled_from(["xxh3", "blake3"]))
@settings(max_examples=500, deadline=None)
def test_any_strides_give_the_digest_of_the_elements_in_c_order(
    array: np.ndarray, algorithm: str
) -> None:
    """Transposed, sliced, reversed, broadcast and byte-swapped views have their copy's digest."""
    found = digest_buffer(array, algorithm=algorithm).hex
    assert found == expected(array, array.dtype.newbyteorder("<").name, algorithm)


WALKS = {
    "transposed": lambda x: x.reshape(512, 1024).T,
    "short rows": lambda x: x.reshape(16, -1)[:, :20003].T,
    "rows across leaves": lambda x: x[: 97 * 5003].reshape(97, 5003).T,
    "long rows across leaves": lambda x: x[: 19 * 27011].reshape(27011, 19).T,
    "reversed and transposed": lambda x: x.reshape(512, 1024)[::-1, ::-1].T,
    "channels last": lambda x: x.reshape(4, 128, 32, 32).transpose(0, 2, 3, 1),
    "fortran": lambda x: x.reshape(64, 64, 128).transpose(2, 1, 0),
    "every second": lambda x: x[::2],
    "every second column": lambda x: x.reshape(512, 1024)[:, ::2],
    "few columns": lambda x: x.reshape(-1, 8)[:, 2:5],
    "broadcast": lambda x: np.broadcast_to(x[:1000, None], (1000, 700)),
    "sliding": lambda x: np.lib.stride_tricks.sliding_window_view(x[:2000], 300),
    "one column": lambda x: x.reshape(-1, 4)[:, 1],
}


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f4", "<f8", "<c16", "S3", ">U2"])
def test_large_walks_give_the_digest_of_the_copy(name: str, dtype: str) -> None:
    """Walks of many leaves, with and without threads, in every order that they know."""
    size = np.dtype(dtype).itemsize
    data = np.random.default_rng(0).integers(1, 100, (1 << 19, size // 4 or 1, 4), np.uint8)
    if dtype == ">U2":
        data[..., :3] = 0  # code points are less than 0x110000
    array = WALKS[name](np.ascontiguousarray(data.reshape(1 << 19, -1)[:, :size]).view(dtype)[:, 0])
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    found = digest_buffer(array, leaves=True)
    assert found == digest_buffer(little, leaves=True)
    assert found.leaves == leaves(little.tobytes())
    strong = digest_buffer(array, algorithm="blake3")
    assert strong == digest_buffer(little, algorithm="blake3")


def test_an_altered_element_alters_its_leaf_only() -> None:
    """Two lists of leaves show which region differs."""
    array = np.zeros(10 * LEAF, np.uint8)
    before = digest_buffer(array, leaves=True)
    array[3 * LEAF + 5] = 1
    after = digest_buffer(array, leaves=True)
    assert before.hex != after.hex
    pairs = enumerate(zip(_cut(before.leaves), _cut(after.leaves), strict=True))
    changed = [k for k, (one, other) in pairs if one != other]
    assert changed == [3]


def _cut(found: bytes | None) -> list[bytes]:
    assert found is not None
    return [found[at : at + 16] for at in range(0, len(found), 16)]


def test_dtype_shape_and_bytes_all_count() -> None:
    """The same bytes under another dtype or shape are another array."""
    data = np.zeros(12, np.float32)
    others = [data, data.view(np.int32), data.reshape(3, 4), data.reshape(4, 3), data[:11]]
    assert len({digest_buffer(other).hex for other in others}) == len(others)


def test_a_strided_array_takes_little_memory_beside_it() -> None:
    """No whole copy is made: the peak of the process rises by far less than the array."""
    code = (
        "import resource, numpy as np\nfrom ato._core import digest_buffer\n"
        "x = np.ones((4096, 4096), np.float32)\n"
        "digest_buffer(x[:1024, :1024].T)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "digest_buffer(x.T); digest_buffer(x[:, ::2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # In KiB; a mebibyte of buffers, the leaves' digests, and what the allocator keeps.
    assert int(done.stdout) < 4 * 1024


def test_memory_outside_of_what_was_given_is_never_read() -> None:
    """A layout that reaches out of its memory is an error, whichever side it leaves on."""
    data = np.arange(10, dtype=np.int32)
    address = data.ctypes.data

    def digest(size: int, origin: int, shape: list[int], strides: list[int]) -> str:
        return digest_memory(
            address,
            size,
            origin,
            "int32",
            4,
            4,
            shape,
            strides,
        ).hex

    assert digest(40, 0, [10], [1]) == digest_buffer(data).hex
    assert digest(40, 9, [10], [-1]) == digest_buffer(data[::-1]).hex
    for size, origin, shape, strides in [
        (40, 0, [11], [1]),
        (39, 0, [10], [1]),
        (40, 1, [10], [1]),
        (40, 8, [10], [-1]),
        (40, 0, [2, 2], [1]),
        (40, 0, [2], [2**62]),
        (40, 0, [2**40, 2**40], [0, 0]),
        (0, 0, [1], [1]),
    ]:
        with pytest.raises(ValueError, match="layout of an array is impossible"):
            digest(size, origin, shape, strides)
    with pytest.raises(ValueError, match="no memory"):
        digest_memory(0, 8, 0, "int64", 8, 8, [1], [1])


def test_what_has_no_dtype_is_refused() -> None:
    """An unknown format or algorithm and an object without a buffer are errors that say so."""
    with pytest.raises(ValueError, match="buffer format"):
        digest_buffer(np.zeros(3, "f4,i4"))
    with pytest.raises(ValueError, match="md5"):
        digest_buffer(b"abc", algorithm="md5")
    with pytest.raises((BufferError, TypeError)):
        digest_buffer("text")


def test_threads_may_digest_at_once() -> None:
    """Digests from many threads are those of one."""
    arrays = [np.full((700, 1100), k, np.float32) for k in range(4)]
    views = [view for array in arrays for view in (array, array.T)]
    alone = [digest_buffer(view).hex for view in views]
    found: dict[int, list[str]] = {}

    def work(index: int) -> None:
        found[index] = [digest_buffer(view).hex for view in views for _ in range(3)][::3]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [alone] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("processors", ["all", "one"])
def test_a_forked_child_digests_after_its_parent_did(processors: str) -> None:
    """The threads that a child does not inherit are not waited for, on one processor neither."""
    bind = "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
    code = (
        "import os, sys, numpy as np\nfrom ato._core import digest_buffer\n"
        f"{bind if processors == 'one' and hasattr(os, 'sched_setaffinity') else ''}"
        "x = np.ones(3_000_000); before = digest_buffer(x)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    same = digest_buffer(x) == before and digest_buffer(x, algorithm='blake3') is not None\n"
        "    os._exit(0 if same else 3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False)
    assert done.returncode == 0


def numbers(array: np.ndarray) -> tuple[float, ...] | None:
    """The summary of an array, without its names."""
    found = digest_buffer(array, summary=True).summary
    return None if found is None else tuple(found.values())


def test_the_summary_counts_what_is_not_finite_and_measures_the_rest() -> None:
    """NaN and infinities are counted; the other numbers have their extremes, mean and norm."""
    array = np.array([[3.0, np.nan, -4.0], [np.inf, -np.inf, 0.0]], np.float32)
    assert numbers(array) == (6, 1, 1, 1, -4.0, 3.0, -1 / 3, 5.0)
    assert numbers(array.T) == (6, 1, 1, 1, -4.0, 3.0, -1 / 3, 5.0)
    assert digest_buffer(array).summary is None
    assert numbers(array.astype("c8")) is None


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
)
@pytest.mark.parametrize("count", [1, 7, 5000, 400_000])
def test_the_summary_agrees_with_numpy(dtype: str, count: int) -> None:
    """Every real dtype is summarised as NumPy would, up to rounding, also strided."""
    array = (np.random.default_rng(count).standard_normal(2 * count) * 50).astype(dtype)
    for view in (array, array[::2], array[::-2]):
        wide = view.astype(np.float64)
        told = (len(wide), 0, 0, 0, wide.min(), wide.max(), wide.mean(), np.linalg.norm(wide))
        assert numbers(view) == pytest.approx(told, rel=1e-12, abs=1e-12)


def test_an_empty_array_has_a_summary_without_numbers() -> None:
    """Nothing has no extremes and no mean."""
    found = numbers(np.zeros(0))
    assert found is not None
    assert found[:4] == (0, 0, 0, 0)
    assert all(np.isnan(found[4:7]))
    assert found[7] == 0.0


def test_the_instructions_in_use_have_a_name() -> None:
    """`simd_level` names one of the levels that the core is built with."""
    assert simd_level() in {"avx512", "avx2", "sse2", "neon", "scalar"}
