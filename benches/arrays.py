"""Digests of arrays, beside hashing the same bytes in other ways."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import blake3
import joblib
import numpy as np
import torch
import xxhash

from ato import digest_array, fingerprint
from benches.measure import Row, floats, gigabytes, interleaved, threads, timed

LEAF = 16 * 1024
MEGA = 10**6


def rows() -> Iterator[Row]:
    """All rows, with as many threads as this process may use."""
    several = threads() > 1
    yield _bandwidth()
    for size in (64 * MEGA, 512 * MEGA):
        yield from _contiguous(size, several)
    yield from _many()
    if several:
        return
    yield from _strided()
    yield from _small()
    yield from _questions()


def _bandwidth() -> Row:
    """How fast memory can be read at all: the best of several sums over a slice for each thread."""
    data = floats((128 * MEGA,)).view(np.uint32)
    data = data[data.ctypes.data // 4 % 2 :][: 2 * (len(data) // 2) - 2].view(np.uint64)
    slices = np.array_split(data, threads())
    with ThreadPoolExecutor(threads()) as pool:
        works = [np.add.reduce, np.bitwise_or.reduce, np.max]
        best = min(
            timed(lambda work=work: list(pool.map(work, slices)), 1)
            for work in works
            for _ in range(5)
        )
    return Row(f"read bandwidth, {_cores()}", data.nbytes / best / 1e9, "GB/s", "the limit")


def _contiguous(size: int, several: bool) -> Iterator[Row]:
    data = floats((size // 4,))
    _assert_digests_leaves(data)
    raw = data.view(np.uint8)  # the blake3 package takes bytes only
    rivals = {
        "ato": lambda: digest_array(data),
        "ato blake3": lambda: digest_array(data, algorithm="blake3"),
        "xxh3": lambda: xxhash.xxh3_128_digest(data),
        "blake3": lambda: blake3.blake3(raw, max_threads=blake3.blake3.AUTO).digest(),
        "sha256(pickle)": lambda: hashlib.sha256(pickle.dumps(data)).digest(),
        "joblib.hash": lambda: joblib.hash(data),
    }
    taken = interleaved(rivals, turns=11 if size < 10**8 else 5)
    ours, work = taken["ato"], f"{size // MEGA} MB float32, {_cores()}"
    speed = gigabytes(size, ours)
    yield Row(
        f"digest of {work}",
        taken["xxh3"] / ours,
        "×",
        "the speed of xxhash.xxh3_128 (one thread)",
        1.2 if several else 0.9,
        at_least=True,
        note=f"{speed}, xxhash {gigabytes(size, taken['xxh3'])}",
    )
    yield Row(
        f"blake3 digest of {work}",
        taken["blake3"] / taken["ato blake3"],
        "×",
        f"the speed of the blake3 package, {_cores()}",
        1.0,
        at_least=True,
        note=gigabytes(size, taken["ato blake3"]),
    )
    yield Row(
        f"digest of {work}",
        taken["sha256(pickle)"] / ours,
        "×",
        "the speed of sha256(pickle.dumps(x))",
        60 if several else None,
        at_least=True,
        note=gigabytes(size, taken["sha256(pickle)"]),
    )
    yield Row(
        f"digest of {work}",
        taken["joblib.hash"] / ours,
        "×",
        "the speed of joblib.hash",
        note=gigabytes(size, taken["joblib.hash"]),
    )
    # By itself: torch's threads go on spinning for a while, on what the others need.
    tensor = torch.from_numpy(data)
    apart = {"ato": rivals["ato"], "hash_tensor": lambda: torch.hash_tensor(tensor)}
    taken = interleaved(apart, turns=5)
    yield Row(
        f"digest of {work}",
        taken["hash_tensor"] / taken["ato"],
        "×",
        "the speed of torch.hash_tensor",
        note=f"{gigabytes(size, taken['hash_tensor'])}; an XOR of the elements, blind to their order",
    )


def _strided() -> Iterator[Row]:
    wide = floats((4096, 8192))
    views = {"every second column": wide[:, ::2], "transposed": floats((4096, 4096)).T}
    for name, view in views.items():
        copy = np.ascontiguousarray(view)
        assert digest_array(view).hex == digest_array(copy).hex
        extra = _extra_memory(lambda view=view: digest_array(view))

        def copied(view: np.ndarray = view) -> bytes:
            return xxhash.xxh3_128_digest(np.ascontiguousarray(view))

        taken = interleaved({"ato": lambda view=view: digest_array(view), "copy": copied}, turns=9)
        yield Row(
            f"digest of 64 MiB, {name}",
            taken["copy"] / taken["ato"],
            "×",
            "the speed of np.ascontiguousarray, then xxh3_128",
            3,
            at_least=True,
            note=gigabytes(view.nbytes, taken["ato"]),
        )
        yield Row(f"extra memory for {name}", extra, "MiB", "what stood in memory before", 1)


def _small() -> Iterator[Row]:
    data = floats((256,))
    assert digest_array(data).leaves is None
    taken = interleaved(
        {
            "ato": lambda: digest_array(data),
            "xxh3": lambda: xxhash.xxh3_128_hexdigest(data),
            "summary": lambda: digest_array(data, summary=True),
        },
        turns=31,
    )
    yield Row(
        "digest of 1 KB",
        taken["ato"] / taken["xxh3"],
        "×",
        "the time of xxhash.xxh3_128",
        3,
        note=f"{taken['ato'] * 1e6:.2f} µs; with summary {taken['summary'] * 1e6:.2f} µs",
    )


def _questions() -> Iterator[Row]:
    data = floats((62_500, 256))
    asked = {"order_free": True, "summary": True, "sketch": True}
    found = digest_array(data, **asked)
    assert found.hex == digest_array(data).hex
    assert found.order_free == digest_array(data[::-1], order_free=True).order_free
    assert found.sketch == digest_array(np.asfortranarray(data), sketch=True).sketch
    taken = interleaved(
        {
            "all": lambda: digest_array(data, **asked),
            "digest": lambda: digest_array(data),
            "summary": lambda: digest_array(data, summary=True),
            "sketch": lambda: digest_array(data, sketch=True),
            "rows": lambda: digest_array(data, order_free=True),
        },
        turns=15,
    )
    speeds = [f"{name} {gigabytes(data.nbytes, seconds)}" for name, seconds in taken.items()]
    yield Row(
        "digest, summary, sketch and order-free of (62500, 256) float32",
        data.nbytes / taken["all"] / 1e9,
        "GB/s",
        "one thread",
        4,
        at_least=True,
        note=", ".join(speeds[1:]),
    )


def _many() -> Iterator[Row]:
    whole = floats((25 * MEGA,))
    rng = np.random.default_rng(1)
    cuts = np.sort(rng.choice(whole.size, 299, replace=False))
    state = {f"layer.{number}": part for number, part in enumerate(np.split(whole, cuts))}
    tensors = {name: torch.from_numpy(part) for name, part in state.items()}
    assert fingerprint(state) == fingerprint({name: part.copy() for name, part in state.items()})
    assert fingerprint(state) == fingerprint(tensors)
    taken = interleaved(
        {
            "arrays": lambda: fingerprint(state),
            "tensors": lambda: fingerprint(tensors),
            "one": lambda: fingerprint(whole),
        },
        turns=15,
    )
    for name in ("arrays", "tensors"):
        yield Row(
            f"dict of 300 {name}, 100 MB, {_cores()}",
            taken[name] / taken["one"],
            "×",
            "the time of one array of 100 MB",
            1.2,
        )


def _assert_digests_leaves(data: np.ndarray) -> None:
    """Check what is about to be timed: the leaves are XXH3-128, and a flipped bit shows."""
    digest = digest_array(data, leaves=True)
    assert digest.leaves is not None
    raw = data.view(np.uint8)
    for number in (0, 1, len(digest.leaves) // 16 - 1):
        leaf = xxhash.xxh3_128_digest(raw[number * LEAF : (number + 1) * LEAF])
        assert digest.leaves[16 * number : 16 * number + 16] == leaf
    raw[-1] ^= 1
    assert digest_array(data).hex != digest.hex
    raw[-1] ^= 1
    assert digest_array(data).hex == digest.hex


def _extra_memory(work: object) -> float | None:
    """MiB by which the process grew at most while it did `work`; Linux only."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return None

    def peak() -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1])

    try:
        clear.write_text("5")
    except OSError:
        return None
    before = peak()
    work()  # type: ignore[operator]
    return (peak() - before) / 1024


def _cores() -> str:
    return "one thread" if threads() == 1 else f"{threads()} threads"
