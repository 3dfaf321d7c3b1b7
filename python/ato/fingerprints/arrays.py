"""Digests of NumPy arrays and torch tensors, without copying what lies in memory as it is.

An array is what it is by dtype, shape and elements, not by how it lies in memory. Neither NumPy
nor torch is imported: where a process has not done so itself, no value can be one of theirs.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, Literal

from ato._core import digest_array, digest_arrays, digest_buffer, digest_memory
from ato.exceptions import UnsupportedValueError
from ato.fingerprints.types import ArrayDigest

__all__ = ["ArrayDigest", "array_hex", "digest_array", "digest_arrays", "digest_other", "memory_of"]

Algorithm = Literal["xxh3", "blake3"]

_USERS = 256  # NumPy numbers the dtypes that other packages add from here on


def array_hex(x: Any) -> str:
    """The hex of `digest_array(x)`."""
    return digest_array(x).hex


def digest_other(
    x: Any, algorithm: Algorithm, order_free: bool, summary: bool, sketch: bool, leaves: bool
) -> ArrayDigest:
    """Do for `digest_array` what is not a plain NumPy array of numbers, whose memory it reads itself."""
    wanted = {"order_free": order_free, "summary": summary, "sketch": sketch, "leaves": leaves}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(x, numpy.ndarray):
        return _digest_ndarray(numpy, x, algorithm, wanted)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return _digest_tensor(torch, x, algorithm, wanted)
    raise UnsupportedValueError(
        f"a <{type(x).__qualname__}> is not an array; pass a NumPy array or a torch tensor, or use "
        "ato.fingerprint for other values"
    )


def _digest_ndarray(
    numpy: Any, x: Any, algorithm: Algorithm, wanted: dict[str, bool]
) -> ArrayDigest:
    shape: tuple[int, ...] = x.shape
    name, stand_in = _named(x.dtype)
    if stand_in is not None:
        x = x.view(numpy.ndarray).view(stand_in)
    if not shape:
        # The buffer of an array without axes has no shape that could be read.
        x = x.reshape(1)
    return digest_buffer(x, algorithm=algorithm, dtype=name, shape=shape, **wanted)


@lru_cache(256)
def _named(dtype: Any) -> tuple[str, Any]:
    """The name of a dtype, and, if NumPy exports no buffer of it, one of the same size to read by.

    Kept by dtype: NumPy takes longer to spell its name than 1 KB takes to digest.
    """
    numpy: Any = sys.modules["numpy"]
    kind = dtype.kind
    if kind in "biufc" and dtype.char not in "gG" and dtype.num < _USERS:
        return dtype.name, None
    if kind == "U":
        return f"str{dtype.itemsize // 4}", None
    if kind == "S":
        return f"bytes{dtype.itemsize}", None
    if kind in "mM":
        return dtype.name, numpy.dtype(f"{dtype.byteorder}i8")
    if kind in "fV" and dtype.names is None and dtype.subdtype is None and dtype.char != "g":
        if dtype.type is numpy.void:
            return f"void{dtype.itemsize}", numpy.dtype(f"S{dtype.itemsize}")
        # The small floats that other packages add to NumPy (`ml_dtypes.bfloat16`).
        return dtype.name, numpy.dtype(f"u{dtype.itemsize}")
    raise UnsupportedValueError(
        f"cannot digest elements of dtype {dtype}; convert the array to numbers or fixed strings, "
        "or use ato.fingerprint, which takes objects and records apart"
    )


def _digest_tensor(
    torch: Any, x: Any, algorithm: Algorithm, wanted: dict[str, bool]
) -> ArrayDigest:
    if type(x) is not torch.Tensor and type(x) is not torch.nn.Parameter:
        # What a subclass makes of these calls is its own matter; the elements are asked for.
        with torch._C.DisableTorchFunctionSubclass():
            return _digest_storage(torch, x, algorithm, wanted)
    return _digest_storage(torch, x, algorithm, wanted)


def _digest_storage(
    torch: Any, x: Any, algorithm: Algorithm, wanted: dict[str, bool]
) -> ArrayDigest:
    _refuse_unreadable(torch, x)
    examined = wanted["order_free"] or wanted["summary"] or wanted["sketch"]
    if x.is_cuda and algorithm == "xxh3" and not examined:
        from ato.fingerprints import cuda  # it imports torch, which is there

        return cuda.digest_tensors([x], leaves=wanted["leaves"])[0]
    if algorithm not in ("xxh3", "blake3"):
        raise UnsupportedValueError(
            f"there is no algorithm {algorithm!r} for arrays; use 'xxh3' or 'blake3'"
        )
    try:
        *memory, _keep = _storage(torch, x)
        read: Any = digest_memory  # which of its arguments the list holds, mypy cannot count
        found: ArrayDigest = read(*memory, algorithm=algorithm, **wanted)
        return found
    except (RuntimeError, ValueError) as error:
        # Zero tensors and freed storages look like others until they are read.
        raise UnsupportedValueError(
            f"cannot fingerprint a <{type(x).__qualname__}> without readable memory ({error}); "
            "pass a tensor that holds its elements"
        ) from error


def memory_of(x: Any) -> tuple[Any, ...] | None:
    """For `digest_arrays`: where a plain torch tensor lies; `None` for what `digest_other` takes."""
    torch = sys.modules.get("torch")
    if torch is None or type(x) not in (torch.Tensor, torch.nn.Parameter) or x.is_cuda:
        return None
    try:
        _refuse_unreadable(torch, x)
        return _storage(torch, x)
    except (RuntimeError, UnsupportedValueError):
        return None  # it is refused when its turn comes


def _storage(torch: Any, x: Any) -> tuple[Any, ...]:
    """The arguments of `digest_memory`, and the tensor that holds the memory."""
    if x.is_conj() or x.is_neg():
        x = x.detach().resolve_conj().resolve_neg()
    if not x.is_cpu:
        x = x.detach().cpu()
    storage = x.untyped_storage()
    item = x.element_size()
    return (
        storage.data_ptr(),
        storage.nbytes(),
        x.storage_offset(),
        _dtype_name(x.dtype),
        item,
        item // 2 if x.is_complex() else item,
        x.shape,
        x.stride(),
        x,
    )


@lru_cache(64)
def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


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
