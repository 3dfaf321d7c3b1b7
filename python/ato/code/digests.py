"""The digests of code, under their schemes."""

from __future__ import annotations

from typing import NoReturn

from ato._core import digest_value
from ato.exceptions import UnsupportedValueError

__all__ = ["deep_digest", "logic_digest", "plain_digest"]


def logic_digest(encoding: object) -> str:
    """Digest a normalised encoding: nested tuples of plain values."""
    return digest_value(encoding, "ato code-logic v1", _refuse)


def deep_digest(encoding: object) -> str:
    """Digest a node of the graph of code with the digests of what it refers to."""
    return digest_value(encoding, "ato code-deep v1", _refuse)


def plain_digest(value: object) -> str:
    """Digest a plain immutable value."""
    return digest_value(value, "ato value v1", _refuse)


def _refuse(value: object) -> NoReturn:
    raise UnsupportedValueError(
        f"cannot fingerprint a {type(value).__qualname__} as code; only plain values are encoded"
    )
