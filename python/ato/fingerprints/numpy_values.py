"""How NumPy's values are taken apart. Loaded when one is met: NumPy is in the process by then."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ato.fingerprints.arrays import array_hex
from ato.fingerprints.values import Reduced, instance_state, type_name


def array(obj: np.ndarray[Any, Any]) -> Reduced:
    """An array by its digest; object arrays go element by element, structured ones by field."""
    if type(obj) is not np.ndarray and not isinstance(obj, np.memmap):
        return "array subclass", (type_name(type(obj)), obj.view(np.ndarray), instance_state(obj))
    if obj.dtype.kind in "biufc" and obj.dtype.char not in "gG":
        return "array", array_hex(obj)
    if obj.dtype.char in "gG":
        # The bytes of a long double hold padding that nobody sets.
        return "long double array", (obj.dtype.str, obj.shape, list(map(str, obj.flat)))
    if obj.dtype.names is not None:
        fields = [(name, obj[name]) for name in obj.dtype.names]
        return "structured array", (obj.dtype, obj.shape, fields)
    if obj.dtype.hasobject:
        return "object array", (str(obj.dtype), obj.shape, obj.ravel().tolist())
    return "array", array_hex(obj)


def scalar(obj: np.generic) -> Reduced:
    """A scalar by dtype and little-endian bytes: it never equals a Python number."""
    dtype = obj.dtype
    if dtype.kind == "O" or dtype.names is not None:
        return "numpy scalar", np.asarray(obj)
    if dtype.char in "gG":
        return "numpy scalar", (dtype.str, str(obj))
    if sys.byteorder == "big":
        obj = obj.astype(dtype.newbyteorder("<"))
    return "numpy scalar", (dtype.newbyteorder("<").str, obj.tobytes())


def dtype(obj: np.dtype[Any]) -> Reduced:
    """A dtype; a structured one by names, types and offsets of its fields."""
    if obj.names is not None and obj.fields is not None:
        fields = [(name, *obj.fields[name][:2]) for name in obj.names]
        return "numpy dtype", (fields, obj.itemsize, obj.isalignedstruct)
    if obj.subdtype is not None:
        return "numpy dtype", (obj.base, obj.shape)
    return "numpy dtype", obj.str if obj.kind != "T" else str(obj)


def generator(obj: np.random.Generator) -> Reduced:
    """A `Generator`, by the state of its bit generator."""
    return "numpy generator", obj.bit_generator.state


def bit_generator(obj: np.random.BitGenerator) -> Reduced:
    """A bit generator, by its state."""
    return "numpy bit generator", obj.state


def random_state(obj: np.random.RandomState) -> Reduced:
    """A `RandomState`, by its state, the kept second normal number included."""
    return "numpy random state", obj.get_state(legacy=False)


def seed_sequence(obj: Any) -> Reduced:
    """A `SeedSequence`: entropy, place in the tree of seeds, and how often it spawned."""
    return "numpy seed sequence", obj.state
