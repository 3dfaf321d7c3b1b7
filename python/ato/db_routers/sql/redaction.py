"""Secrets: which config values are, and what is kept in their place.

A keyed digest says whether a secret changed, and nothing else: the key stays in the user's state
folder, so that a copy of the database is no help in guessing the value.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ato.events import Leaf

__all__ = [
    "MASK",
    "has_credentials",
    "holds_secret",
    "is_secret_key",
    "is_secret_leaf",
    "keyed_digest",
    "mask_command",
    "mask_leaves",
    "mask_origin",
    "mask_text",
    "mask_write",
    "state_folder",
    "without_credentials",
]

MASK = "<secret>"

# Whole words only: `hf_token` and `api-key` are secrets, `max_tokens` and `tokenizer` are not.
_SECRET_KEY = re.compile(
    r"(?<![a-z0-9])(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)(?![a-z0-9])"
)
# A name and what parts it from its value, inside of a longer text: `token=`, `'api-key': `.
_NAMED = re.compile(r"([\w.-]+)['\"]?\s*(?::=|[:=])\s*")
# `postgresql://me:hunter2@host/runs`: the password of a URL, wherever it stands.
_CREDENTIALS = re.compile(r"(?<=://)([^\s/:@'\"]*:)[^\s@'\"]+(?=@)")
_CLOSING = {"{": "}", "[": "]", "(": ")"}
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KEY_BYTES = 32
# What these look like is no secret: `token_ids` and the weights of a `token_embedding` are data.
_PLAIN_TYPES = frozenset({"NoneType", "bool", "int", "float", "complex"})


@lru_cache(8192)  # the paths of a call's leaves come again with every call
def is_secret_key(key: str) -> bool:
    """Whether a text value under this (dotted) key is a secret."""
    return _SECRET_KEY.search(_CAMEL_CASE.sub("_", key).lower()) is not None


def keyed_digest(fingerprint: str) -> str:
    """What is kept in place of the fingerprint of a secret.

    It begins with the name of the key, since digests under two keys say nothing about each other.
    """
    key = _key()
    name = hashlib.sha256(key).hexdigest()[:8]
    digest = hmac.new(key, fingerprint.encode("utf-8"), hashlib.sha256).hexdigest()
    return f"keyed {name} {digest}"


def mask_command(arguments: Sequence[str]) -> list[str]:
    """The command line without secrets: `token=x`, `--token=x`, `--token x`, `db={token:x}`."""
    masked: list[str] = []
    value_follows = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = is_secret_key(name.lstrip("-"))
        if value_follows and not argument.startswith("-"):
            masked.append(MASK)
        elif secret and equals:
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_text(argument))
        value_follows = secret and not equals and argument.startswith("-")
    return masked


def mask_text(text: str) -> str:
    """A text without the values behind a secret's name in it, `{token: x}`, and URLs' passwords."""
    text = without_credentials(text)
    kept: list[str] = []
    at = 0
    for match in _NAMED.finditer(text):
        if match.start() >= at and is_secret_key(match[1]):
            kept += [text[at : match.end()], MASK]
            at = _value_end(text, match.end())
    return "".join([*kept, text[at:]])


def without_credentials(text: str) -> str:
    """A text without the passwords of the URLs in it."""
    return _CREDENTIALS.sub(rf"\1{MASK}", text) if has_credentials(text) else text


def has_credentials(text: str) -> bool:
    """Whether a text has a URL with a password in it."""
    # Two plain searches first: this is asked of every text that a call takes or gives.
    return "://" in text and "@" in text and _CREDENTIALS.search(text) is not None


def _value_end(text: str, start: int) -> int:
    """Where a value ends: before the comma or bracket behind it that it did not open itself."""
    open_brackets: list[str] = []
    quote = ""
    for at in range(start, len(text)):
        mark = text[at]
        if quote:
            quote = "" if mark == quote else quote
        elif mark in "'\"":
            quote = mark
        elif mark in _CLOSING:
            open_brackets.append(_CLOSING[mark])
        elif open_brackets:
            if mark == open_brackets[-1]:
                open_brackets.pop()
        elif mark in ",}])":
            return at
    return len(text)


def holds_secret(key: str, value: object) -> bool:
    """Whether a config's value is a secret text or a URL with a password, or a list with one."""
    seen: set[int] = set()  # a list may contain itself
    left = [(key, value)]
    while left:
        name, item = left.pop()
        if isinstance(item, str):
            if is_secret_key(name) or has_credentials(item):
                return True
        elif isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            inside = item.items() if isinstance(item, Mapping) else (("", one) for one in item)
            left += [(f"{name}.{part}" if part != "" else name, one) for part, one in inside]
    return False


def mask_leaves(leaves: dict[str, Leaf]) -> dict[str, Leaf]:
    """What a call took or gave, without the secrets: texts under a secret's name, URLs' passwords."""
    return {
        path: _masked(leaf) if is_secret_leaf(path, leaf) else leaf for path, leaf in leaves.items()
    }


def is_secret_leaf(path: str, leaf: Leaf) -> bool:
    """Whether what a call took or gave is a secret."""
    return is_secret_key(path) or (leaf.text is not None and has_credentials(leaf.text))


def _masked(leaf: Leaf) -> Leaf:
    if leaf.dtype is not None or leaf.type in _PLAIN_TYPES:
        return leaf
    text = None if leaf.text is None else MASK
    return leaf._replace(fingerprint=keyed_digest(leaf.fingerprint), text=text)


def mask_origin(write: dict[str, Any]) -> dict[str, Any]:
    """A `provenance.Write` as JSON, of no secret; its argument may have written secrets as well.

    Nor may a value that it had before, or an argument, keep the password of a URL.
    """
    kept = dict(write)
    for name in ("value_text", "replaced_text"):
        if isinstance(kept.get(name), str):
            kept[name] = without_credentials(kept[name])
    origin = kept.get("origin")
    if isinstance(origin, dict) and isinstance(origin.get("text"), str):
        mask = mask_text if origin.get("kind") == "cli" else without_credentials
        kept["origin"] = {**origin, "text": mask(origin["text"])}
    return kept


def mask_write(write: dict[str, Any], key: str) -> dict[str, Any]:
    """A secret's `provenance.Write` as JSON: who wrote it and where, but not what."""
    kept = dict(write)
    for name in ("value_text", "replaced_text"):
        if kept.get(name) is not None:
            kept[name] = MASK
    origin = kept.get("origin")
    if isinstance(origin, dict) and "text" in origin and origin.get("kind") == "cli":
        # The text of such an origin repeats the argument.
        kept["origin"] = {**origin, "text": f"{key}={MASK}"}
    return kept


_kept_key: bytes | None = None


def _key() -> bytes:
    global _kept_key  # noqa: PLW0603 (one key for the process, read once)
    if _kept_key is None:
        _kept_key = _load_key(state_folder() / "secret-key")
    return _kept_key


def state_folder() -> Path:
    """Where what belongs to the user lies that no store and no project holds."""
    named = os.environ.get("ATO_STATE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ato"


def _load_key(path: Path) -> bytes:
    """Read the user's key, made on first use.

    Where the folder cannot be written the key lasts as long as the process: its secrets then
    compare with no other run's.
    """
    fresh = secrets.token_bytes(_KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Linked into place whole, so that no other process can read half a key.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(fresh)
        try:
            os.link(draft, path)
        except FileExistsError:
            return path.read_bytes()
        finally:
            draft.unlink()
    except OSError:
        return fresh
    return fresh
