"""What identifies a thing across runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Fingerprint"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A digest and the scheme under which it was made; equal only where both are.

    `hex` has 64 hexadecimal digits, `scheme` names kind and version (`"ato value v1"`).
    """

    hex: str
    scheme: str

    def __str__(self) -> str:
        return self.hex
