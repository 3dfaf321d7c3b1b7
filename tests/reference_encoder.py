"""Format 1 once more, slow and plain: what the Rust core is compared with.

The rules stand in `rust/core/src/encode.rs`, `structure.rs`, `tensor.rs`,
`rows.rs` and `sketch.rs`. Nothing is shared with
the core but the packages `blake3` and `xxhash`, which are the originals' own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import blake3
import xxhash

TAGS = {
    name: bytes([number])
    for number, name in enumerate(
        "none bool int float complex str bytes list tuple set frozenset dict object ancestor".split()
    )
}
LEAF = 16 * 1024
SCHEMES = [
    "ato config-structure v1",
    "ato value v1",
    "ato tensor v1",
    "ato tensor-blake3 v1",
    "ato rows v1",
    "ato sketch v1",
    "ato code-logic v1",
    "ato code-deep v1",
    "ato bytecode v1",
]

# Lengths around every size at which something begins anew: XXH3's algorithms for short inputs (16,
# 128, 240 bytes), its stripes (64) and blocks (1,024), BLAKE3's chunks (1,024), leaves (16 KiB), the
# core's buffer (16 KiB), gathered blocks (256 KiB), and where threads begin to help (1 MiB).
LENGTHS = sorted(
    {0, 1, 2, 3}
    | {
        size + by
        for size in (
            4,
            8,
            16,
            64,
            128,
            240,
            256,
            1024,
            2048,
            LEAF,
            2 * LEAF,
            16 * LEAF,
            17 * LEAF,
            64 * LEAF,
        )
        for by in (-1, 0, 1)
    }
)

Reduce = Callable[[Any], tuple[str, Any]]


def no_reduce(value: object) -> tuple[str, Any]:
    """For values that consist of plain types only."""
    raise TypeError(type(value))


def derive(scheme: str, data: bytes) -> str:
    """BLAKE3's key derivation with the scheme as context."""
    return blake3.blake3(data, derive_key_context=scheme).hexdigest()


def item(tag: str, payload: bytes) -> bytes:
    """Tag, length and payload."""
    return TAGS[tag] + struct.pack("<Q", len(payload)) + payload


def container(tag: str, items: list[bytes]) -> bytes:
    """Tag, number of items and the items."""
    return TAGS[tag] + struct.pack("<Q", len(items)) + b"".join(items)


def number(value: float) -> bytes:
    """Binary64, with one NaN for all."""
    return bytes.fromhex("000000000000f87f") if math.isnan(value) else struct.pack("<d", value)


def encode(value: Any, reduce: Reduce = no_reduce) -> bytes:
    """The encoding of a value."""
    return _encode(value, reduce, ())


def _encode(
    value: Any, reduce: Reduce, above: tuple[tuple[Any, int], ...], depth: int = 0
) -> bytes:
    kind = type(value)
    if value is None:
        return item("none", b"")
    if kind is bool:
        return item("bool", bytes([value]))
    if kind is int:
        length = value.bit_length() // 8 + 1
        return item("int", value.to_bytes(length, "little", signed=True))
    if kind is float:
        return item("float", number(value))
    if kind is complex:
        return item("complex", number(value.real) + number(value.imag))
    if kind is str:
        return item("str", value.encode("utf-8", "surrogatepass"))
    if kind in (bytes, bytearray, memoryview):
        return item("bytes", bytes(value))
    for ancestor, its_depth in above:
        if ancestor is value:
            return item("ancestor", struct.pack("<Q", its_depth))
    above = (*above, (value, depth))

    def inside(content: Any) -> bytes:
        return _encode(content, reduce, above, depth + 1)

    if kind in (list, tuple):
        return container(kind.__name__, [inside(content) for content in value])
    if kind in (set, frozenset):
        return container(kind.__name__, sorted(inside(content) for content in value))
    if kind is dict:
        entries = sorted((inside(key), inside(content)) for key, content in value.items())
        return container("dict", [key + content for key, content in entries])
    name, content = reduce(value)
    if name == "":
        return _encode(content, reduce, above, depth)
    return item("object", name.encode()) + inside(content)


def value_digest(value: Any, reduce: Reduce = no_reduce, scheme: str = "ato value v1") -> str:
    """What `ato._core.digest_value` gives."""
    return derive(scheme, encode(value, reduce))


def structure(value: Any) -> bytes:
    """The structure of nested plain values without cycles."""
    kind = type(value).__name__
    if isinstance(value, dict):
        entries = sorted((encode(key), structure(content)) for key, content in value.items())
        return container("dict", [key + content for key, content in entries])
    if kind in ("list", "tuple"):
        found: list[bytes] = []
        for content in value:
            encoded = structure(content)
            if not found or found[-1] != encoded:
                found.append(encoded)
        return container(kind, found)
    if kind in ("set", "frozenset"):
        return container(kind, sorted({structure(content) for content in value}))
    kind = {"NoneType": "none", "bytearray": "bytes", "memoryview": "bytes"}.get(kind, kind)
    return item(kind, b"")


def structure_digest(value: Any) -> str:
    """What `ato._core.digest_structure` gives."""
    return derive("ato config-structure v1", structure(value))


def leaves(data: bytes) -> bytes:
    """The digests of the leaves of an array's bytes."""
    cut = [data[start : start + LEAF] for start in range(0, len(data), LEAF)]
    return b"".join(xxhash.xxh3_128_digest(leaf) for leaf in cut)


def tensor_digest(dtype: str, shape: Sequence[int], data: bytes, algorithm: str = "xxh3") -> str:
    """The digest of an array, given its elements in C order, little-endian."""
    if algorithm == "blake3":
        return derive("ato tensor-blake3 v1", encode((dtype, tuple(shape), len(data), data)))
    header = (dtype, tuple(shape), len(data), LEAF, leaves(data))
    return derive("ato tensor v1", encode(header))


def rows_digest(dtype: str, shape: Sequence[int], data: bytes) -> str:
    """The order-free digest of an array, given its elements in C order, little-endian."""
    count = shape[0] if shape else 1
    size = len(data) // count if count else 0
    rows = [data[index * size : (index + 1) * size] for index in range(count)]
    total = sum(xxhash.xxh3_128_intdigest(row) for row in rows) % 2**128
    header = (dtype, tuple(shape), len(data), total.to_bytes(16, "big"))
    return derive("ato rows v1", encode(header))


def mix(word: int) -> int:
    """The finaliser of SplitMix64."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


def sketch(numbers: Sequence[float], size: int) -> list[float]:
    """The 64 sums of a sketch, given the array's numbers and how many bytes one has in the array."""
    seeds = struct.unpack("<QQ", bytes.fromhex(derive("ato sketch v1", b""))[:16])
    in_leaf = LEAF // size
    total, span = [0.0] * 64, [0.0] * 64
    for leaf in range(math.ceil(len(numbers) / in_leaf)):
        classes = [[0.0] * 64 for _ in range(8)]
        for index in range(leaf * in_leaf, min((leaf + 1) * in_leaf, len(numbers))):
            group, lane = divmod(index, 64)
            step = (group + 1) * 0x9E3779B97F4A7C15
            signs, places = (mix((seed + step) % 2**64) for seed in seeds)
            value = numbers[index] if math.isfinite(numbers[index]) else 0.0
            place = places >> 58
            classes[place % 8][lane ^ place] += -value if signs >> lane & 1 else value
        for bucket in range(64):
            leaf_sum = 0.0
            for sums in classes:
                leaf_sum += sums[bucket]
            span[bucket] += leaf_sum
        if leaf % 64 == 63:
            total = [sum_ + more for sum_, more in zip(total, span, strict=True)]
            span = [0.0] * 64
    return [sum_ + more for sum_, more in zip(total, span, strict=True)]
