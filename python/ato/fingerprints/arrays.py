"""Digests of NumPy arrays and torch tensors, without copying what lies in memory as it is.

An array is what it is by dtype, shape and elements, not by how it lies in memory. Neither NumPy
nor torch is imported: where a process has not done so itself, no value can be one of theirs.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ato._core import digest_buffer, digest_memory
from ato.exceptions import UnsupportedValueError

__all__ = ["ArrayDigest", "array_hex", "digest_array"]

Algorithm = Literal["xxh3", "blake3"]

_SCHEMES = {"xxh3": "ato tensor v1", "blake3": "ato tensor-blake3 v1"}
_NUMBERS = ("count", "nan", "posinf", "neginf", "min", "max", "mean", "norm")


class ArrayDigest(NamedTuple):
    """The digest of an array.

    Attributes:
        hex: 64 hexadecimal digits.
        scheme: kind and version of the digest, by its algorithm.
        dtype: the name of the element type, `"float32"`, the same for NumPy and torch.
        shape: the sizes of the axes.
        leaves: where asked for, 16 bytes for each 16 KiB of the elements in C order; two lists of
            leaves show which region differs. `None` for the algorithm `"blake3"`, which has none.
        summary: where asked for, and for real numbers, `count`, `nan`, `posinf`, `neginf` of all
            elements, and `min`, `max`, `mean` and `norm` (L2) of the finite ones, NaN if there are
            none.
    """

    hex: str
    scheme: str
    dtype: str
    shape: tuple[int, ...]
    leaves: bytes | None = None
    summary: dict[str, float] | None = None


def digest_array(
    x: Any, *, algorithm: Algorithm = "xxh3", leaves: bool = False, summary: bool = False
) -> ArrayDigest:
    """Digest the dtype, shape and elements of a NumPy array or torch tensor.

    The digest does not depend on the memory layout: a view, an array in Fortran order, one of the
    other byte order, and the torch tensor on the same memory all have the same one. The class of
    `x`, and what a subclass adds, does not count. Elements count by their bytes: -0.0 differs from
    0.0, and one NaN from another.

    Args:
        x: an array of numbers, truth values, dates or fixed strings.
        algorithm: `"xxh3"` for speed, `"blake3"` where an adversary matters.
        leaves: whether to return the digests of the leaves.
        summary: whether to summarise the numbers.

    Raises:
        UnsupportedValueError: `x` is no array, or its elements are Python objects, records or long
            doubles (whose bytes hold padding that nobody sets), or it has no memory of its own to
            read (a `meta` tensor, a sparse one).
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(x, numpy.ndarray):
        name, shape, found = _digest_ndarray(x, algorithm, summary)
    else:
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(x, torch.Tensor):
            raise UnsupportedValueError(
                f"a <{type(x).__qualname__}> is not an array; pass a NumPy array or a torch "
                "tensor, or use ato.fingerprint for other values"
            )
        name, shape, found = _digest_tensor(torch, x, algorithm, summary)
    numbers = found[2]
    return ArrayDigest(
        found[0],
        _SCHEMES[algorithm],
        name,
        shape,
        found[1] if leaves and algorithm == "xxh3" else None,
        None if numbers is None else dict(zip(_NUMBERS, numbers, strict=True)),
    )


_Found = tuple[str, bytes, "tuple[float, ...] | None"]


def array_hex(x: Any) -> str:
    """The hex of `digest_array(x)`, for a plain NumPy array whose other properties nobody asks for."""
    return _digest_ndarray(x, "xxh3", False)[2][0]


def _digest_ndarray(
    x: Any, algorithm: Algorithm, summary: bool
) -> tuple[str, tuple[int, ...], _Found]:
    shape: tuple[int, ...] = x.shape
    name, stand_in = _named(x.dtype)
    if stand_in is not None:
        x = x.view(sys.modules["numpy"].ndarray).view(stand_in)
    if not shape:
        # The buffer of an array without axes has no shape that could be read.
        return name, shape, digest_buffer(x.reshape(1), algorithm, summary, name, shape)
    return name, shape, digest_buffer(x, algorithm, summary, name)


@lru_cache(256)
def _named(dtype: Any) -> tuple[str, Any]:
    """The name of a dtype, and, if NumPy exports no buffer of it, one of the same size to read by.

    Kept by dtype: NumPy takes longer to spell its name than 1 KB takes to digest.
    """
    numpy: Any = sys.modules["numpy"]
    kind = dtype.kind
    if kind in "biufc" and dtype.char not in "gG":
        return dtype.name, None
    if kind == "U":
        return f"str{dtype.itemsize // 4}", None
    if kind == "S":
        return f"bytes{dtype.itemsize}", None
    if kind in "mM":
        return dtype.name, numpy.dtype(f"{dtype.byteorder}i8")
    if kind == "V" and dtype.names is None and dtype.subdtype is None:
        if dtype.type is numpy.void:
            return f"void{dtype.itemsize}", numpy.dtype(f"S{dtype.itemsize}")
        # The small floats that other packages add to NumPy (`ml_dtypes.bfloat16`).
        return dtype.name, numpy.dtype(f"u{dtype.itemsize}")
    raise UnsupportedValueError(
        f"cannot digest elements of dtype {dtype}; convert the array to numbers or fixed strings, "
        "or use ato.fingerprint, which takes objects and records apart"
    )


def _digest_tensor(
    torch: Any, x: Any, algorithm: Algorithm, summary: bool
) -> tuple[str, tuple[int, ...], _Found]:
    if type(x) is not torch.Tensor and type(x) is not torch.nn.Parameter:
        # What a subclass makes of these calls is its own matter; the elements are asked for.
        with torch._C.DisableTorchFunctionSubclass():
            return _digest_storage(torch, x, algorithm, summary)
    return _digest_storage(torch, x, algorithm, summary)


def _digest_storage(
    torch: Any, x: Any, algorithm: Algorithm, summary: bool
) -> tuple[str, tuple[int, ...], _Found]:
    _refuse_unreadable(torch, x)
    if x.is_conj() or x.is_neg():
        x = x.detach().resolve_conj().resolve_neg()
    if not x.is_cpu:
        x = x.detach().cpu()
    dtype = str(x.dtype).removeprefix("torch.")
    shape = tuple(x.shape)
    storage = x.untyped_storage()
    item = x.element_size()
    try:
        found = digest_memory(
            storage.data_ptr(),
            storage.nbytes(),
            x.storage_offset(),
            dtype,
            item,
            item // 2 if x.is_complex() else item,
            shape,
            x.stride(),
            algorithm,
            summary,
        )
    except (RuntimeError, ValueError) as error:
        # Zero tensors and freed storages look like others until they are read.
        raise UnsupportedValueError(
            f"cannot fingerprint a <{type(x).__qualname__}> without readable memory ({error}); "
            "pass a tensor that holds its elements"
        ) from error
    return dtype, shape, found


def _refuse_unreadable(torch: Any, x: Any) -> None:
    """Raise for tensors that have no elements to read, or not as one block of memory."""
    if x.layout is not torch.strided:
        what = f"{str(x.layout).removeprefix('torch.')} tensor; pass its parts or x.to_dense()"
    elif x.is_quantized:
        what = "quantised tensor; pass x.int_repr() and its scale and zero point"
    elif torch._C._functorch.is_functorch_wrapped_tensor(x):
        what = "tensor inside a functorch transform; pass one from outside of it"
    elif x.untyped_storage().device.type == "meta":
        # A fake tensor names a real device; its storage does not.
        what = "meta tensor, which has no elements; pass one on a real device"
    else:
        return
    raise UnsupportedValueError(f"cannot fingerprint a {what}")
