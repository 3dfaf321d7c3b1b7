"""The values of a config in which texts refer to other keys, as OmegaConf resolves them."""

from __future__ import annotations

import os
import string
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ato.compose.interpolation import evaluate, evaluate_element, is_interpolation, split_key
from ato.compose.keys import did_you_mean, list_index
from ato.exceptions import ConfigError, ConfigFileError, ConfigValueError, UnknownKeyError
from ato.provenance import dotted

__all__ = [
    "MANDATORY",
    "Path",
    "Resolution",
    "dotted_path",
    "is_mandatory",
    "own_key",
    "unknown_path",
]

# What OmegaConf writes for a value that must be given and was not yet.
MANDATORY = "???"

# Keys, and indexes of list items.
Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a key refers to: a place in the config, so that relative keys there start from it."""

    path: Path


class Resolution:
    """Resolves the interpolations of a config of plain dicts, lists and scalars.

    Args:
        root: the config; it is not changed.
        place: gives file and line of a path, for messages.
    """

    def __init__(self, root: dict[Any, Any], place: Callable[[Path], str]) -> None:
        self.root = root
        self.place = place
        # For each path with an interpolation, the keys that it referred to.
        self.references: dict[Path, list[str]] = {}
        self._values: dict[Path, Any] = {}
        self._open: list[tuple[str, Path]] = []

    def value(self, path: Path = ()) -> Any:
        """Return the value at `path`, every interpolation below resolved.

        Raises:
            UnknownKeyError: an interpolation refers to a key that is not there.
            ConfigFileError: it cannot be read, names an unknown resolver, or refers to itself.
        """
        if path in self._values:
            return self._values[path]
        raw = self._raw(path)
        # Apart from reading the text: below what it leads to, it may be referred to.
        target = self.follow(path) if is_interpolation(raw) else None
        with self._entered(path, "value"):
            if is_interpolation(raw):
                found: Any = self.plain(target)
            elif isinstance(raw, dict):
                found = {key: self.value((*path, key)) for key in raw}
            elif isinstance(raw, list):
                found = [self.value((*path, index)) for index in range(len(raw))]
            else:
                found = raw
        self._values[path] = found
        return found

    def follow(self, path: Path) -> Any:
        """Return the place (`_Found`) that `path` stands for, or a value that has no place."""
        raw = self._raw(path)
        if not is_interpolation(raw):
            return _Found(path)
        with self._entered(path, "text"):
            found = self._evaluated(path, raw)
            return self.follow(found.path) if isinstance(found, _Found) else found

    def target(self, path: Path) -> Any:
        """Return the unresolved value that the interpolation at `path` leads to, or None."""
        try:
            found = self.follow(path)
        except ConfigError:
            return None
        return self._raw(found.path) if isinstance(found, _Found) else found

    def plain(self, found: Any) -> Any:
        """Return the resolved value of what `follow` gave."""
        return self.value(found.path) if isinstance(found, _Found) else found

    def locate(self, start: Path, keys: Sequence[str]) -> Any:
        """Return what stands at `keys` below `start`; raise `LookupError` where nothing does."""
        found: Any = _Found(start)
        for key in keys:
            if isinstance(found, _Found):
                found = self.follow(found.path)
            container = self._raw(found.path) if isinstance(found, _Found) else found
            name = own_key(container, key)
            found = _Found((*found.path, name)) if isinstance(found, _Found) else container[name]
        return found

    def _raw(self, path: Path) -> Any:
        value: Any = self.root
        for key in path:
            value = value[key]
        return value

    def _evaluated(self, path: Path, text: str) -> Any:
        try:
            return evaluate(text, _At(self, path))
        except ConfigValueError as error:
            if isinstance(error, ConfigFileError):
                raise
            raise ConfigFileError(f"{self.place(path)}: {error}") from None
        except RecursionError:
            raise ConfigFileError(
                f"{self.place(path)}: {text[:80]!r}: too many interpolations, one in or behind the "
                "other; give one of them a value"
            ) from None

    @contextmanager
    def _entered(self, path: Path, what: str) -> Iterator[None]:
        step = what, path
        if step in self._open:
            circle = [place for _, place in self._open[self._open.index(step) :]]
            chain = " → ".join(map(dotted_path, [*dict.fromkeys(circle), path]))
            raise ConfigFileError(
                f"{self.place(path)}: an interpolation refers to itself: {chain}; "
                "give one of them a value"
            )
        self._open.append(step)
        try:
            yield
        finally:
            self._open.pop()


class _At:
    """The config as an expression at `path` sees it."""

    def __init__(self, resolution: Resolution, path: Path) -> None:
        self.resolution = resolution
        self.path = path

    @property
    def place(self) -> str:
        return self.resolution.place(self.path)

    def plain(self, value: Any) -> Any:
        return self.resolution.plain(value)

    def key(self, up: int, keys: Sequence[str]) -> Any:
        text = "." * up + ".".join(keys)
        found = self.found(up, keys)
        if isinstance(found, ConfigError):
            raise found
        if self._is_mandatory(found):
            raise ConfigFileError(
                f"{self.place}: ${{{text}}} refers to a value that is still {MANDATORY}; give it one"
            )
        return found

    def found(self, up: int, keys: Sequence[str]) -> Any:
        """Return what stands there, or the error where nothing does."""
        start = self.path[:-up] if up else ()
        text = "." * up + ".".join(keys)
        if up > len(self.path):
            return ConfigFileError(f"{self.place}: ${{{text}}} leads out of the config")
        try:
            found = self.resolution.locate(start, keys)
        except LookupError as error:
            if isinstance(error, ConfigError):
                raise
            full = ".".join(map(str, (*start, *keys)))
            return unknown_path(self.resolution.root, full, f"{self.place}: ${{{text}}}: ")
        reference = dotted_path(found.path) if isinstance(found, _Found) else text
        references = self.resolution.references.setdefault(self.path, [])
        if reference not in references:
            references.append(reference)
        return found

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        resolver = _RESOLVERS.get(name)
        if resolver is None:
            hint = did_you_mean(name, _RESOLVERS)
            if name == "hydra":
                hint = "; only a Hydra program knows it: pass its config to ADict.from_omegaconf"
            raise ConfigFileError(
                f"{self.place}: no resolver {name!r}; there is {', '.join(_RESOLVERS)}{hint}"
            )
        try:
            return resolver(self, *map(self.plain, arguments))
        except TypeError as error:
            raise ConfigFileError(f"{self.place}: ${{{name}:…}}: {error}") from None

    # ---------------------------------------------------------------- resolvers

    def env(self, name: Any, *default: Any) -> Any:
        if len(default) > 1:
            raise TypeError("takes a variable and a default")
        found = os.environ.get(str(name))
        if found is not None:
            return found
        if not default:
            raise ConfigFileError(
                f"{self.place}: the environment variable {name!r} is not set; set it, or write "
                f"${{oc.env:{name},default}}"
            )
        return None if default[0] is None else str(default[0])

    def select(self, key: Any, *default: Any) -> Any:
        if len(default) > 1:
            raise TypeError("takes a key and a default")
        found = self.found(*split_key(str(key)))
        if isinstance(found, ConfigError) or self._is_mandatory(found):
            return default[0] if default else None
        return found

    def decode(self, text: Any) -> Any:
        if text is None:
            return None
        if not isinstance(text, str):
            raise TypeError(f"takes a text, not a {type(text).__name__}")
        return evaluate_element(text, self)

    def create(self, value: Any) -> Any:
        return value

    def deprecated(
        self, key: Any, message: str = "'$OLD_KEY' is deprecated; use '$NEW_KEY'"
    ) -> Any:
        found = self.key(*split_key(str(key)))
        names = {"OLD_KEY": dotted_path(self.path), "NEW_KEY": str(key)}
        text = f"{self.place}: {string.Template(message).safe_substitute(names)}"
        warnings.warn(text, UserWarning, stacklevel=2)
        return found

    def dict_keys(self, key: Any) -> Any:
        return list(self._mapping(key))

    def dict_values(self, key: Any) -> Any:
        return list(self._mapping(key).values())

    def _mapping(self, key: Any) -> dict[Any, Any]:
        found = self.plain(self.key(*split_key(str(key))))
        if not isinstance(found, dict):
            raise TypeError(f"{key!r} is no mapping")
        return found

    def _is_mandatory(self, found: Any) -> bool:
        # Unresolved: to resolve all that stands below here could lead back to this very place.
        return isinstance(found, _Found) and is_mandatory(self.resolution._raw(found.path))


# Those that OmegaConf brings along.
_RESOLVERS: dict[str, Callable[..., Any]] = {
    "oc.env": _At.env,
    "oc.select": _At.select,
    "oc.decode": _At.decode,
    "oc.create": _At.create,
    "oc.deprecated": _At.deprecated,
    "oc.dict.keys": _At.dict_keys,
    "oc.dict.values": _At.dict_values,
}


def is_mandatory(value: object) -> bool:
    """Whether a value is the mark that it must still be given."""
    return isinstance(value, str) and value == MANDATORY


def dotted_path(path: Path) -> str:
    """Return a path as text: `a.b[0]`."""
    text = ""
    for key in path:
        text = f"{text}[{key}]" if isinstance(key, int) else dotted(text, key)
    return text


def unknown_path(root: dict[Any, Any], path: str, before: str = "") -> UnknownKeyError:
    """Make the error for a dotted path that is not there; it says how far the path goes."""
    value: Any = root
    walked: list[str] = []
    for key in path.split("."):
        try:
            value = value[own_key(value, key)]
        except LookupError:
            where = f" in {'.'.join(walked)!r}" if walked else ""
            names = [str(name) for name in value] if isinstance(value, dict) else []
            hint = did_you_mean(key, names)
            there = f"; there is {', '.join(names)}" if names and not hint else ""
            return UnknownKeyError(f"{before}no key {key!r:.80}{where}{hint}{there}")
        walked.append(key)
    return UnknownKeyError(f"{before}no key {path!r}")


def own_key(container: Any, key: str) -> Any:
    """Return a dict's key or a list's index that is written as `key`."""
    if isinstance(container, dict):
        for name in (key,) if key in container else container:
            if str(name) == key:
                return name
    elif isinstance(container, list):
        index = list_index(key, len(container))
        if index is not None:
            return index
    raise KeyError(key)
