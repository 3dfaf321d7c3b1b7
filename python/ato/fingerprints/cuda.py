"""Digests of tensors on a CUDA device. Loaded when one is met: torch is in the process by then.

Where Triton is there, the leaves are made on the device by one kernel for a whole list of tensors,
and only they are copied: 16 bytes for each 16 KiB. Elsewhere the elements are copied, piece by
piece, into pinned memory. Work goes onto the current stream, and is waited for once.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import string_at
from typing import Any

import torch

from ato._core import digest_memory, digest_value
from ato.fingerprints.types import ArrayDigest

__all__ = ["digest_tensors", "on_host"]

_SCHEME = "ato tensor v1"
_LEAF = 16 * 1024
_DIGEST = 16
_PIECE = 256 * _LEAF  # 4 MiB: much longer to copy than to begin, and two of them are little memory
_ALIGNED = 16  # bytes; no element type needs more


class _Kernel:
    """The kernel, once it was asked for: `None` where Triton is not there or does not work."""

    asked = False
    module: Any = None


def digest_tensors(tensors: Sequence[torch.Tensor], *, leaves: bool = False) -> list[ArrayDigest]:
    """Digest tensors of any devices, dtypes and strides; equal to `digest_array` of their copies.

    One that does not lie in one piece is made contiguous on its device first.
    """
    content = [_elements(tensor) for tensor in tensors]
    found: list[bytes] = [b""] * len(content)
    for device in dict.fromkeys(flat.device for flat in content):
        places = [
            place for place, flat in enumerate(content) if flat.device == device and len(flat)
        ]
        made = _leaves([content[place] for place in places])
        for place, digests in zip(places, made, strict=True):
            found[place] = digests
    return [
        _root(tensor, len(flat), digests, leaves)
        for tensor, flat, digests in zip(tensors, content, found, strict=True)
    ]


def on_host(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Copies of small tensors in main memory, by one transfer for all of a device."""
    content = [_elements(tensor) for tensor in tensors]
    found: dict[int, torch.Tensor] = {}
    for device in dict.fromkeys(flat.device for flat in content):
        places = [place for place, flat in enumerate(content) if flat.device == device]
        padded = [
            torch.nn.functional.pad(content[place], (0, -len(content[place]) % _ALIGNED))
            for place in places
        ]
        copied = torch.cat(padded).cpu()
        for place, part in zip(places, copied.split([len(flat) for flat in padded]), strict=True):
            tensor = tensors[place]
            # A part of a shared storage, which `view` by another dtype takes as it is.
            elements = part[: len(content[place])].view(tensor.dtype)
            found[place] = elements.reshape(tensor.shape)
    return [found[place] for place in range(len(content))]


def _elements(tensor: torch.Tensor) -> torch.Tensor:
    """The element bytes of a tensor in C order, beginning where eight bytes can be read at once."""
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
        flat = plain.reshape(-1).view(torch.uint8)
        return flat if flat.data_ptr() % 8 == 0 else flat.clone()


def _root(tensor: torch.Tensor, size: int, digests: bytes, leaves: bool) -> ArrayDigest:
    dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
    # The header of `rust/core/src/tensor.rs`, which is a value like any other.
    digest = digest_value((dtype, shape, size, _LEAF, digests), _SCHEME, _no_objects)
    return ArrayDigest(digest, _SCHEME, dtype, shape, digests if leaves else None)


def _no_objects(value: object) -> tuple[str, Any]:
    raise AssertionError(value)  # a header holds texts, numbers and bytes


def _leaves(content: list[torch.Tensor]) -> list[bytes]:
    """The digests of the leaves of contents on one device, none of them empty."""
    kernel = _kernel()
    if kernel is not None:
        try:
            return _leaves_on_device(kernel, content)
        except Exception:  # noqa: BLE001 (no compiler, a device that Triton does not know: copy)
            _Kernel.module = None
    return [_leaves_of_copy(flat) for flat in content]


def _kernel() -> Any:
    if not _Kernel.asked:
        _Kernel.asked = True
        try:
            from ato.fingerprints import cuda_kernel  # it imports Triton

            _Kernel.module = cuda_kernel
        except ImportError:
            pass
    return _Kernel.module


def _leaves_on_device(kernel: Any, content: list[torch.Tensor]) -> list[bytes]:
    # Where a last leaf is too short for XXH3's long form, its few bytes are copied.
    rests = [len(flat) % _LEAF if len(flat) % _LEAF < kernel.SHORTEST else 0 for flat in content]
    bodies = [flat[: len(flat) - rest] for flat, rest in zip(content, rests, strict=True)]
    made = iter(
        kernel.leaves_of([body for body in bodies if len(body)]) if any(map(len, bodies)) else []
    )
    digests = [next(made) if len(body) else body for body in bodies]
    ends = [flat[len(flat) - rest :] for flat, rest in zip(content, rests, strict=True)]
    copied = torch.cat([*digests, *ends]).cpu()
    begin = copied.data_ptr()
    found = []
    for digest in digests:
        found.append(string_at(begin, len(digest)))
        begin += len(digest)
    for place, rest in enumerate(rests):
        if rest:
            found[place] += _leaves_at(begin, rest)
        begin += rest
    return found


def _leaves_of_copy(flat: torch.Tensor) -> bytes:
    """Copy the elements piece by piece: while one piece is digested, the next is on its way."""
    size = len(flat)
    pinned = flat.is_cuda
    buffers = [
        torch.empty(min(_PIECE, size), dtype=torch.uint8, pin_memory=pinned) for _ in range(2)
    ]
    found: list[bytes] = []
    waiting: tuple[torch.Tensor, Any] | None = None
    for number, start in enumerate(range(0, size, _PIECE)):
        piece = flat[start : start + _PIECE]
        copied = buffers[number % 2][: len(piece)].copy_(piece, non_blocking=True)
        arrived = None
        if pinned:
            arrived = torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(flat.device))
        if waiting is not None:
            found.append(_digest_piece(*waiting))
        waiting = copied, arrived
    if waiting is not None:
        found.append(_digest_piece(*waiting))
    return b"".join(found)


def _digest_piece(copied: torch.Tensor, arrived: Any) -> bytes:
    if arrived is not None:
        arrived.synchronize()
    return _leaves_at(copied.data_ptr(), len(copied))


def _leaves_at(address: int, size: int) -> bytes:
    """The digests of the leaves of main memory, which the caller holds."""
    found = digest_memory(address, size, 0, "uint8", 1, 1, (size,), (1,), leaves=True)
    assert found.leaves is not None
    assert len(found.leaves) == -(-size // _LEAF) * _DIGEST
    return found.leaves
