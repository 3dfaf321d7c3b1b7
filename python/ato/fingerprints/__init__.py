"""Fingerprints of values, arrays and files, and what a value looked like at a call.

A fingerprint says whether two things are the same: it is equal for equal values in every process
and on every platform, and it differs where they differ. NumPy and torch are never imported from
here; their values are known by the modules that the process has loaded.
"""

from __future__ import annotations

from typing import Any, Literal

from ato.exceptions import UnsupportedValueError
from ato.fingerprints.arrays import ArrayDigest, digest_array, digest_arrays
from ato.fingerprints.batch import Batch
from ato.fingerprints.files import fingerprint_file
from ato.fingerprints.observe import Observation, observe
from ato.fingerprints.sketches import Sketch, relative_distance
from ato.fingerprints.types import Fingerprint
from ato.fingerprints.values import SCHEME, digest, is_array, reduce, register

__all__ = [
    "ArrayDigest",
    "Fingerprint",
    "Observation",
    "Sketch",
    "digest_array",
    "digest_arrays",
    "fingerprint",
    "fingerprint_file",
    "observe",
    "reduce",
    "register",
    "relative_distance",
    "value_hex",
]

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, list, tuple, dict})


def fingerprint(obj: Any, *, algorithm: Literal["xxh3", "blake3"] = "xxh3") -> Fingerprint:
    """Fingerprint any value.

    An array or tensor is fingerprinted by what it is (dtype, shape, elements), however it lies in
    memory; `algorithm` chooses between speed and, with `"blake3"`, resistance to an adversary, and
    applies to arrays only. Everything else, down to instances of any Python class, is encoded item
    by item. A class can answer for its instances with a method `__ato_fingerprint__()` that returns
    a plainer value.

    Raises:
        UnsupportedValueError: the value, or one inside it, has no meaning outside the process (a
            generator, a lock, an open file); the message has the path to it.
        DepthError: values are nested more than 1,000 levels deep.
    """
    if algorithm not in ("xxh3", "blake3"):
        raise UnsupportedValueError(
            f"there is no algorithm {algorithm!r} for arrays; use 'xxh3' or 'blake3'"
        )
    if type(obj) not in _PLAIN and is_array(obj):
        found = digest_array(obj, algorithm=algorithm)
        return Fingerprint(found.hex, found.scheme)
    if isinstance(obj, (dict, list, tuple)):
        batch = Batch(obj)
        return Fingerprint(digest(obj, batch.hexes), SCHEME)
    return Fingerprint(digest(obj), SCHEME)


def value_hex(obj: Any) -> str:
    """The hex of `fingerprint(obj)`."""
    if type(obj) in _PLAIN:
        return digest(obj)
    return fingerprint(obj).hex
