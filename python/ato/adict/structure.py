"""The shape of a config: keys and types, without values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ato.provenance import PLAIN

__all__ = ["plain", "structure_hash", "structure_text"]

_SHORT = {type(None): "None", bool: "bool", int: "int", float: "float", str: "str"}


def plain(value: Any) -> Any:
    """Copy down to plain dicts, lists and tuples; other values are the same objects."""
    if isinstance(value, dict):
        return {
            key: item if type(item) in PLAIN else plain(item) for key, item in dict.items(value)
        }
    if type(value) is list:
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        items = [plain(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


def structure_hash(config: dict[Any, Any]) -> str:
    """Hash keys and types (scheme `ato config-structure v1`); hex text, 64 characters."""
    from ato._core import digest_structure  # loads on first use

    digest: str = digest_structure(config, _kind_only)
    return digest


def structure_text(value: Any) -> str:
    """Show keys, sorted, with their types; equal neighbours of a list stand once."""
    if isinstance(value, dict):
        inner = sorted((repr(key), structure_text(item)) for key, item in dict.items(value))
        return "{" + ", ".join(f"{key}: {text}" for key, text in inner) + "}"
    if isinstance(value, (list, tuple)):
        texts: list[str] = []
        for item in value:
            text = structure_text(item)
            if not texts or texts[-1] != text:
                texts.append(text)
        joined = ", ".join(texts)
        return f"[{joined}]" if isinstance(value, list) else f"({joined},)" if texts else "()"
    return _SHORT.get(type(value)) or _kind(value)


def _kind(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _kind_only(value: object) -> tuple[str, Any]:
    if isinstance(value, Mapping):
        return "", {key: plain(item) for key, item in value.items()}
    return _kind(value), None
