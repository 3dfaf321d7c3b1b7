"""The digests of code, under their schemes."""

from __future__ import annotations

from typing import Any, NoReturn

from ato._core import digest_value
from ato.exceptions import UnsupportedValueError

__all__ = ["bytecode_digest", "deep_digest", "logic_digest", "plain_digest"]


def logic_digest(encoding: object) -> str:
    """Digest a normalised encoding: nested tuples of plain values."""
    return digest_value(encoding, "ato code-logic v1", _refuse)


def deep_digest(encoding: object) -> str:
    """Digest a node of the graph of code with the digests of what it refers to."""
    return digest_value(encoding, "ato code-deep v1", _refuse)


def bytecode_digest(encoding: object) -> str:
    """Digest the canonical encoding of a code object."""
    return digest_value(encoding, "ato bytecode v1", _reduce_constant)


def plain_digest(value: object) -> str:
    """Digest a plain immutable value."""
    return digest_value(value, "ato value v1", _refuse)


def _refuse(value: object) -> NoReturn:
    raise UnsupportedValueError(
        f"cannot fingerprint a {type(value).__qualname__} as code; only plain values are encoded"
    )


def _reduce_constant(value: object) -> tuple[str, Any]:
    # The compiler makes two constants that are no plain values: `...` and, in newer Pythons, slices.
    if value is ...:
        return "ellipsis", None
    if type(value) is slice:
        return "slice", (value.start, value.stop, value.step)
    _refuse(value)
