# ruff: noqa: PYI021 (this is where the extension is described: help() of it is brief)
"""The part of Ato that is written in Rust."""

from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "digest_buffer",
    "digest_file",
    "digest_memory",
    "digest_structure",
    "digest_value",
    "simd_level",
]

def digest_value(
    value: object,
    scheme: str,
    reduce: Callable[[Any], tuple[str, Any]],
    path: str = "value",
    configs: bool = True,
) -> str:
    """Fingerprint any value under `scheme`: 64 hexadecimal digits.

    Values of these exact types are walked as they are: None, bool, int, float, complex, str, bytes,
    bytearray, memoryview, list, tuple, set, frozenset, dict and `ato.adict.ADict`, which has the
    digest of the equal dict. The order of a dict or set does not count. Any other value is given to
    `reduce`, which returns its kind and a plainer content; both are encoded. Where the kind is
    empty, the content is encoded as if it stood in the value's place.

    Args:
        value: what to fingerprint.
        scheme: kind and version of the fingerprint, such as `"ato value v1"`.
        reduce: takes apart a value of another type by one level.
        path: how messages call `value`.
        configs: whether an `ADict` is walked; else it is given to `reduce`.

    Raises:
        ValueError: there is no such scheme.
        UnsupportedValueError: from `reduce`, with the path to the value in front.
        DepthError: values are nested more than 1,000 levels deep.
    """

def digest_structure(value: object, reduce: Callable[[Any], tuple[str, Any]]) -> str:
    """Fingerprint keys and types under `"ato config-structure v1"`: 64 hexadecimal digits.

    Any dict, of a subclass too, is a mapping. A list or tuple counts by the structures of its
    items, equal neighbours once; a set by its distinct structures. Of another value, the kind and
    the structure of the content that `reduce` gives count.

    Raises:
        UnsupportedValueError: from `reduce`, with the path to the value in front.
        DepthError: values are nested more than 1,000 levels deep.
    """

def digest_buffer(
    buffer: object,
    algorithm: str = "xxh3",
    summary: bool = False,
    dtype: str | None = None,
    shape: Sequence[int] | None = None,
) -> tuple[str, bytes, tuple[float, ...] | None]:
    """Digest an array of at least one axis that has the buffer protocol, whatever its strides.

    Args:
        buffer: its elements are numbers, truth values or fixed strings.
        algorithm: `"xxh3"` or `"blake3"`.
        summary: whether to summarise the elements.
        dtype: the name that counts, instead of that of the buffer's format.
        shape: the shape that counts, instead of the buffer's.

    Returns:
        64 hexadecimal digits; the leaves' digests, 16 bytes each (none for `"blake3"`); count, NaN,
        +inf, -inf, smallest, largest, mean and L2 norm, or `None`.

    Raises:
        ValueError: no such algorithm, or elements of a format without a dtype.
        BufferError: the object has no buffer to give.
    """

def digest_memory(
    address: int,
    size: int,
    origin: int,
    dtype: str,
    item: int,
    unit: int,
    shape: Sequence[int],
    strides: Sequence[int],
    algorithm: str,
    summary: bool,
) -> tuple[str, bytes, tuple[float, ...] | None]:
    """Digest elements in memory that the caller holds.

    The caller must see to it that the memory is readable until the call returns.

    Args:
        address: where the memory begins.
        size: its bytes; an element outside of it is an error.
        origin: where the first element lies, in elements.
        dtype: the name of the element type.
        item: bytes of an element.
        unit: bytes of its numbers: half an element for complex ones.
        shape: sizes of the axes.
        strides: distances along the axes, in elements.
        algorithm: `"xxh3"` or `"blake3"`.
        summary: whether to summarise the elements.

    Returns:
        As `digest_buffer`.

    Raises:
        ValueError: no such algorithm, or an element outside of the memory.
    """

def digest_file(path: str) -> str:
    """Digest a file: plain BLAKE3, as `b3sum` prints it, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be opened or read.
    """

def simd_level() -> str:
    """The instructions with which the leaves of arrays are hashed on this machine."""
