"""What identifies a thing across runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ato.fingerprints.sketches import Sketch

__all__ = ["ArrayDigest", "Fingerprint"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A digest and the scheme under which it was made; equal only where both are.

    `hex` has 64 hexadecimal digits, `scheme` names kind and version (`"ato value v1"`).
    """

    hex: str
    scheme: str

    def __str__(self) -> str:
        return self.hex


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
        order_free: where asked for, 64 hexadecimal digits under `"ato rows v1"` that do not depend
            on the order of the rows along axis 0. Two arrays whose digests differ and whose
            order-free digests are equal have the same rows in another order.
        sketch: where asked for, and for numbers, what `relative_distance` compares.
    """

    hex: str
    scheme: str
    dtype: str
    shape: tuple[int, ...]
    leaves: bytes | None = None
    summary: dict[str, float] | None = None
    order_free: str | None = None
    sketch: Sketch | None = None
