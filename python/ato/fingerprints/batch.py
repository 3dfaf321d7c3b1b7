"""The arrays of a state dict, digested together before the value that holds them is encoded.

One after the other, arrays of less than a mebibyte would each be hashed on one thread.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

from ato.fingerprints.arrays import digest_arrays
from ato.fingerprints.values import is_array

__all__ = ["Batch"]

_TOGETHER = 2**20  # bytes from which on threads are worth waking, as in the core


class Batch:
    """The digests of arrays that a mapping or list holds, by identity; it keeps the arrays alive."""

    def __init__(self, obj: object) -> None:
        self._arrays = list(_arrays(obj, _classes()))
        large = sum(array.nbytes for array in self._arrays) >= _TOGETHER
        if len(self._arrays) < 2 or not large:
            self._arrays = []
        digests = digest_arrays(self._arrays)
        pairs = zip(self._arrays, digests, strict=True)
        self.hexes = {id(array): digest.hex for array, digest in pairs}


def _classes() -> frozenset[type]:
    """The classes of plain arrays that this process can have."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found = [getattr(numpy, "ndarray", None), getattr(torch, "Tensor", None)]
    if hasattr(torch, "nn"):
        found.append(getattr(torch.nn, "Parameter", None))  # type: ignore[union-attr]
    return frozenset(cls for cls in found if cls is not None)


def _arrays(obj: Any, classes: frozenset[type]) -> list[Any]:
    """The arrays among the items of `obj`, and of the state dicts among them (a checkpoint)."""
    if isinstance(obj, dict):
        items = list(dict.values(obj))
    elif isinstance(obj, (list, tuple)):
        items = list(obj)
    else:
        return []
    found = [item for item in items if type(item) in classes and is_array(item)]
    for item in items:
        if type(item) is OrderedDict:
            found += [each for each in item.values() if type(each) in classes and is_array(each)]
    return found
