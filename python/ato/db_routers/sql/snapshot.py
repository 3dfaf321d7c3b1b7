"""What a run starts from: its config with provenance, the git state, the command line."""

from __future__ import annotations

import getpass
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ato.adict import ADict
from ato.adict.state import ACTING_NOTES, state_of
from ato.adict.structure import plain
from ato.compose.omegaconf import is_omegaconf, plain_omegaconf
from ato.db_routers.sql.redaction import (
    MASK,
    holds_secret,
    is_secret_key,
    keyed_digest,
    mask_command,
    mask_origin,
    mask_write,
)
from ato.db_routers.sql.text import as_text
from ato.events import offered_configs, quiet_reads
from ato.exceptions import ConfigError, ConfigTypeError, FingerprintError
from ato.fingerprints import value_hex
from ato.provenance import DELETED, MISSING, Origin, Write, value_text

__all__ = [
    "ConfigSnapshot",
    "command_line",
    "git_state",
    "scope_name",
    "script_folder",
    "snapshot",
    "user_name",
]

_TEXT_LIMIT = 1000  # characters of a value that JSON has no form for
_DEPTH_LIMIT = 50  # a list nested deeper is kept as text; it may contain itself
_GIT_TIMEOUT = 10.0  # seconds
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_SEED_KEY = re.compile(r"(?<![a-z0-9])seeds?(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class ConfigSnapshot:
    """A config as it was at one moment: `content` as in `schema.Config`."""

    content: dict[str, dict[str, Any]]
    secret_keys: frozenset[str]
    seeds: dict[str, Any]
    structural_hash: str | None
    value_hash: str | None


def snapshot(config: Mapping[str, Any]) -> ConfigSnapshot:
    """Take down a config: every value, its fingerprint, and who wrote it.

    In a program with several scopes the config of each is taken, under the scope's name, whichever
    of them is given; what else a given mapping holds is taken beside them.

    Raises:
        ConfigTypeError: it is no mapping.
    """
    if not isinstance(config, Mapping):
        raise ConfigTypeError(
            f"a config is a mapping (ADict, dict, …), not a {type(config).__name__}; "
            "for other objects pass vars(config)"
        )
    if is_omegaconf(config):
        # A run may begin before all of a config is given: what is still `???` is noted as that.
        config = ADict.from_composed(*plain_omegaconf(config, None, mandatory_ok=True))
    with quiet_reads():
        notes = _acting_notes(config)
        config, leaves = _gathered(config)
        flat = {leaf.key: leaf for leaf in leaves}
        secret = frozenset(k for k, leaf in flat.items() if holds_secret(k, leaf.value))
        content = {key: _entry(leaf, key in secret) for key, leaf in flat.items()}
        structural, value_hash = _hashes(_masked(config, content) if secret else config)
        content.update(notes)
    values = {key: leaf.value for key, leaf in flat.items()}
    seeds = {k: v for k, v in values.items() if type(v) is int and _SEED_KEY.search(k.lower())}
    return ConfigSnapshot(content, secret, seeds, structural, value_hash)


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """The commit checked out in `folder` and whether a tracked file differs from it.

    `(None, None)` where there is no git or no repository.
    """
    try:
        answer = subprocess.run(
            # Optional locks would get into the way of a git command that the user runs meanwhile.
            ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "-uno"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            timeout=_GIT_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    commit, dirty = None, False
    for line in answer.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ").strip()
        elif not line.startswith("#"):
            dirty = True
    return (None if commit == "(initial)" else commit), dirty


def script_folder() -> Path:
    """The folder of the script that runs, else the current one."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(file).absolute().parent if file else Path.cwd()
    return folder if folder.is_dir() else Path.cwd()


def command_line() -> list[str]:
    """The command that started this process, secrets masked."""
    return mask_command([as_text(argument) for argument in sys.orig_argv])


def user_name() -> str | None:
    """The user's name, if the system knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no entry anywhere
        return None


class _Leaf(NamedTuple):
    """A value of a config, and who wrote it; `MISSING` for a key that was deleted."""

    key: str
    value: object
    writes: list[Write]


def _gathered(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[_Leaf]]:
    """What a run that is given `config` is made with, nested and as leaves.

    That is the config itself; where there are several scopes, the configs of all by name, and what
    the given one holds besides.
    """
    scopes: dict[str, Any] = dict(offered_configs())
    if not scopes:
        return config, list(_flat(config))
    whole = scope_name(config) in scopes
    for value in [config] if whole else config.values():
        name = scope_name(value)
        # What was handed over stands for its scope: it may be a copy that was changed since.
        if name in scopes and not state_of(value).prefix:
            scopes[str(name)] = value
    leaves = [leaf for name, branch in scopes.items() for leaf in _flat(branch, f"{name}.")]
    if whole:
        return scopes, leaves
    others = {name: value for name, value in config.items() if name not in scopes}
    own = (leaf for leaf in _flat(config) if leaf.key.partition(".")[0] in others)
    return {**others, **scopes}, [*own, *leaves]


def scope_name(value: object) -> str | None:
    """The name of the scope to which a config belongs."""
    history = state_of(value).history if isinstance(value, ADict) else None
    return None if history is None else history.name


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[_Leaf]:
    if isinstance(config, ADict):
        flat = config.to_flat()
        for key, value in [*flat.items(), *((key, MISSING) for key in _deleted(config, flat))]:
            whole = f"{prefix[:-1]}{key}" if prefix and key.startswith("[") else prefix + key
            yield _Leaf(whole, value, config.history(key))
        return
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        else:
            yield _Leaf(key, value, [])


def _acting_notes(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a search noted on a trial's config and the trial computes by.

    It is in no hash of the config: all trials of a space have one structure.
    """
    notes = state_of(config).notes if isinstance(config, ADict) else None
    if not notes:
        return {}
    origin = Origin.search(notes.get("__trial__", ""))
    return {
        key: _entry(
            _Leaf(key, value, [Write(value_text(value), type(value).__name__, origin)]),
            secret=False,
        )
        for key, value in notes.items()
        if key in ACTING_NOTES
    }


def _deleted(config: ADict, flat: Mapping[str, Any]) -> Iterator[str]:
    """The keys of a whole config that had a value once; who deleted them may be asked."""
    state = state_of(config)
    if state.history is not None and not state.prefix:
        for key in state.history.keys():  # noqa: SIM118 (a history is no mapping)
            last = state.history.last(key)
            if key not in flat and last is not None and last.type == DELETED:
                yield key


def _entry(leaf: _Leaf, secret: bool) -> dict[str, Any]:
    value = leaf.value
    entry: dict[str, Any] = {"type": DELETED}
    if value is not MISSING:
        entry = {"value": MASK if secret else _json_form(value), "type": type(value).__name__}
        try:
            fingerprint = value_hex(value)
            entry["fingerprint"] = keyed_digest(fingerprint) if secret else fingerprint
        except FingerprintError as error:
            entry["fingerprint"] = None
            entry["gap"] = str(error)
    writes = [write.to_json() for write in leaf.writes]
    # By the key alone: a secret that was set and is gone by now stands in the history as well.
    hidden = secret or is_secret_key(leaf.key)
    entry["history"] = [
        mask_write(write, leaf.key) if hidden else mask_origin(write) for write in writes
    ]
    if secret:
        entry["secret"] = True
    return entry


def _masked(config: Mapping[str, Any], content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A plain copy in which secrets are their keyed digests, so that no hash of it tells them."""

    def copied(branch: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for name, value in branch.items():
            key = f"{prefix}{name}"
            if isinstance(value, Mapping):
                copy[name] = copied(value, f"{key}.")
            else:
                secret = content.get(key, {}).get("secret", False)
                copy[name] = content[key]["fingerprint"] if secret else value
        return copy

    return copied(config, "")


def _hashes(config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Structural and value hash; `None` for what a value without fingerprint does not allow."""
    try:
        # A copy: an ADict inside a plain mapping would move into the new config.
        wrapped = config if isinstance(config, ADict) else ADict(plain(config))
    except (ConfigError, RecursionError):  # a plain mapping may hold what no ADict takes
        return None, None
    hashes: list[str | None] = []
    for method in (wrapped.get_structural_hash, wrapped.get_value_hash):
        try:
            hashes.append(method())
        except FingerprintError:  # the entry of that key says why
            hashes.append(None)
    return hashes[0], hashes[1]


def _json_form(value: object) -> Any:
    """The value itself where JSON has a form for it, else a text."""
    try:
        return _as_json(value, 0)
    except TypeError:
        return _rendered(value)


def _as_json(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    # A subclass (an enum's member, a NumPy float) is kept as what it is a kind of, whatever its own
    # conversion would say.
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if depth < _DEPTH_LIMIT:
        if type(value) in (list, tuple):
            return [_as_json(item, depth + 1) for item in value]  # type: ignore[attr-defined]
        if isinstance(value, dict) and all(type(key) is str for key in value):
            return {key: _as_json(item, depth + 1) for key, item in value.items()}
    raise TypeError


def _rendered(value: object) -> str:
    if isinstance(value, PurePath):
        return as_text(value)
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", None)
        if name:
            return f"{getattr(value, '__module__', '?')}.{name}"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (a broken __repr__ is no reason to lose the run)
        text = f"<{type(value).__name__}>"
    return _ADDRESS.sub("", text)[:_TEXT_LIMIT]
