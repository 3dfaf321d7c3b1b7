"""A folder of config files as one config: groups, choices, defaults lists, interpolations."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ato.compose.defaults import Choices, Source, Step, checked_choice, read_defaults
from ato.compose.layers import Layers, OriginOf
from ato.compose.reading import EXTENSIONS, as_path, is_file, read_data_file, read_text
from ato.compose.resolution import MANDATORY, dotted_path, is_mandatory, own_key, unknown_path
from ato.exceptions import (
    ConfigError,
    ConfigFileError,
    ConfigTypeError,
    ConfigValueError,
    MissingFileError,
    UnknownKeyError,
)
from ato.formats import Loaded
from ato.provenance import MISSING, Origin, Write, caller, shown_path

__all__ = ["OnMissing", "compose_folder"]

OnMissing = Literal["error", "warn", "ignore"]

_HEADER = re.compile(r"\s*#\s*@package\s+(\S+)\s*$")
_PACKAGE_KEY = "@package"
_EXTENSIONS_TEXT = " ".join(EXTENSIONS)
_ITEM = re.compile(r"(\s*)-(?=\s)")


def compose_folder(
    root: str | Path,
    config_filename: str,
    select: Mapping[str, str | Sequence[str] | None],
    overrides: Mapping[str, Any],
    required: Iterable[str],
    on_missing: OnMissing,
) -> tuple[dict[Any, Any], dict[tuple[str, ...], list[Write]]]:
    """Compose a folder of config files; see `ADict.compose_hierarchy`.

    Returns:
        the plain values, and for the path of each leaf the writes to it, oldest first.
    """
    if on_missing not in get_args(OnMissing):
        raise ConfigValueError(f"on_missing is 'error', 'warn' or 'ignore', not {on_missing!r}")
    here = caller()
    folder = _Folder(as_path(root), on_missing, Origin("code", "", *here))
    required = _checked_arguments(config_filename, select, overrides, required)
    if not folder.root.is_dir():
        folder.report(MissingFileError(f"{folder.place}: no such folder: {folder.root}"))
    layers = Layers()
    for step in folder.steps(config_filename, select):
        file = folder.load(step.path, step.by.place)
        if file is not None:
            layers.merge(file.values, file.origins(step), _keys(step.package))
    # What configures Hydra itself is no part of the program's config.
    layers.delete(("hydra",))
    for name, value in overrides.items():
        _override(layers, name, value, Origin("code", "overrides", *here))
    for path in layers.mandatory():
        place, name = layers.place(path), dotted_path(path)
        folder.report(
            ConfigValueError(
                f"{place}: {name} is {MANDATORY} and was not given: overrides={{{name!r}: …}}"
            )
        )
    values, writes = layers.resolved()
    for name in required:
        value = _at(values, name)
        if value is MISSING or is_mandatory(value):
            before = f"{folder.place}: the required key {name!r} is missing: "
            still = UnknownKeyError(f"{before}it is {MANDATORY}")
            folder.report(unknown_path(values, name, before) if value is MISSING else still)
    return values, writes


def _checked_arguments(
    config_filename: object, select: object, overrides: object, required: Any
) -> list[str]:
    """Return the required keys; raise `ConfigTypeError` where an argument is of another kind."""
    if not isinstance(config_filename, str):
        raise ConfigTypeError(f"config_filename is a text, not {config_filename!r:.80}")
    if not isinstance(select, Mapping) or not all(isinstance(key, str) for key in select):
        raise ConfigTypeError(
            f"select is a mapping, {{'group': 'choice'}}, with texts as its keys, not {select!r:.80}"
        )
    if not isinstance(overrides, Mapping):
        raise ConfigTypeError(
            f"overrides is a mapping, {{'model.lr': 0.01}}, not {overrides!r:.80}"
        )
    names = list(required) if isinstance(required, Iterable) else [required]
    if isinstance(required, str) or not all(isinstance(n, str) and _keys(n) for n in names):
        raise ConfigTypeError(f"required is a list of dotted keys, not {required!r:.80}")
    return names


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the folder as it was read."""

    name: str
    values: dict[Any, Any]
    loaded: Loaded
    source: Source

    def origins(self, step: Step) -> OriginOf:
        """Return what gives the origin of each path: the line, and the entry that chose the file."""
        by = "" if step.primary else f"{step.by.shown} ({step.by.place})"
        loaded, name = self.loaded, self.name
        return lambda path: Origin("file", by, name, loaded.line(path))


class _Folder:
    """The files below a root, each read once."""

    def __init__(self, root: Path, on_missing: OnMissing, origin: Origin) -> None:
        self.root = root
        self.on_missing = on_missing
        self.origin = origin
        self.place = origin.place
        self._files: dict[str, _File | None] = {}
        self._groups: list[str] | None = None

    def steps(self, primary: str, select: Mapping[str, str | Sequence[str] | None]) -> list[Step]:
        """Return the files to merge. A selection that no defaults list has comes after them all."""
        selected: dict[str, str | list[str] | None] = {}
        deleted: dict[str, str | None] = {}
        for key, given in select.items():
            choice = checked_choice(key, given, self.place)
            if key.startswith("~"):
                deleted[key[1:]] = choice if isinstance(choice, str) else None
            else:
                selected[key.lstrip("+")] = choice
        primary = self._stem(primary)
        appended: list[str] = []
        while True:
            choices = Choices(self, selected, self.place, deleted, appended)
            steps = choices.steps(primary)
            unused = choices.unused()
            if not unused:
                return steps
            appended += unused

    def source(self, path: str, place: str) -> Source | None:
        """Return a file's defaults list and header, or None where there is no such file."""
        file = self.load(path, place)
        return None if file is None else file.source

    def load(self, path: str, place: str) -> _File | None:
        """Read the file at `path` below the root, given without its extension.

        Raises:
            ConfigFileError: it leaves the root, stands there in two formats, or cannot be read.
        """
        path = self._stem(path)
        if path not in self._files:
            found = self._find(path, place)
            self._files[path] = None if found is None else self._read(found)
        return self._files[path]

    def options(self, group: str) -> list[str]:
        """Return the names of the files in a group."""
        folder = self.root / group
        if not folder.is_dir():
            return []
        return sorted({file.stem for file in folder.iterdir() if file.suffix in EXTENSIONS})

    def groups(self) -> list[str]:
        """Return the names of all groups, nested ones as `a/b`."""
        if self._groups is None:
            folders = (path for path in self.root.rglob("*") if path.is_dir())
            self._groups = sorted(path.relative_to(self.root).as_posix() for path in folders)
        return self._groups

    def missing(self, message: str) -> None:
        """Report a missing file."""
        self.report(MissingFileError(f"{message}; looked in {self.root} for {_EXTENSIONS_TEXT}"))

    def report(self, error: ConfigError) -> None:
        """Raise, warn or pass over what is missing, as `on_missing` says."""
        if self.on_missing == "error":
            raise error
        if self.on_missing == "warn":
            file, line = self.origin.file or "<ato>", self.origin.line or 0
            warnings.warn_explicit(str(error), UserWarning, file, line)

    def _stem(self, path: str) -> str:
        """Drop the extension of a name that is written with it."""
        stem, dot, suffix = path.rpartition(".")
        return stem if f"{dot}{suffix}" in EXTENSIONS else path

    def _find(self, path: str, place: str) -> Path | None:
        if "\0" in path:
            raise ConfigFileError(f"{place}: {path!r} is no name of a file; remove the NUL")
        stem = self.root / path
        found = [
            file
            for file in (stem.with_name(stem.name + suffix) for suffix in EXTENSIONS)
            if is_file(file)
        ]
        inside = self.root.resolve()
        if ".." in Path(path).parts or not all(
            file.resolve().is_relative_to(inside) for file in [stem, *found]
        ):
            raise ConfigFileError(
                f"{place}: {path!r} leaves the folder {self.root}; a config is composed of files "
                "inside it"
            )
        if len(found) > 1:
            names = " and ".join(str(file) for file in found)
            raise ConfigFileError(f"{place}: {path!r} is ambiguous: {names}; remove all but one")
        return found[0] if found else None

    def _read(self, file: Path) -> _File:
        loaded = read_data_file(file)
        values = dict(loaded.value)
        name = shown_path(str(file.absolute()))
        lines = read_text(file, name).splitlines()
        header = _header(file, lines)
        header = values.pop(_PACKAGE_KEY, header)
        if header is not None and not isinstance(header, str):
            line = loaded.line((_PACKAGE_KEY,))
            raise ConfigFileError(f"{name}:{line}: {_PACKAGE_KEY} is a text, not {header!r:.80}")

        def place(index: int | None) -> str:
            line = loaded.line(("defaults",)) or 1
            if index is not None:
                line = loaded.lines.get(("defaults", str(index)), None) or _item_line(
                    lines, line, index
                )
            return f"{name}:{line}"

        defaults = values.pop("defaults", [])
        return _File(name, values, loaded, Source(read_defaults(defaults, place), header))


def _header(file: Path, lines: list[str]) -> str | None:
    """Return what `# @package …` at the top of a file asks for."""
    if file.suffix == ".json":
        return None
    for line in lines:
        match = _HEADER.match(line)
        if match is not None:
            return match[1]
        # Hydra's rule: below any other line it is a comment like others.
        if line.strip():
            break
    return None


def _item_line(lines: list[str], start: int, index: int) -> int:
    """Find the line of a YAML list's item; that of the list where it is written in another way."""
    indent, found = None, -1
    for number, line in enumerate(lines[start:], start + 1):
        match = _ITEM.match(line)
        if match is None:
            continue
        indent = match[1] if indent is None else indent
        found += match[1] == indent
        if found == index:
            return number
    return start


def _override(layers: Layers, name: str, value: Any, origin: Origin) -> None:
    if not isinstance(name, str) or not _keys(name.lstrip("+~")):
        raise ConfigTypeError(f"{origin.place}: an override's key is a dotted text, not {name!r}")
    if name.startswith("~"):
        layers.delete(_keys(name[1:]), origin)
        return
    layers.set(_keys(name.lstrip("+")), value, origin)


def _keys(dotted_name: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[.\[\]]+", dotted_name) if part)


def _at(values: Any, dotted_name: str) -> Any:
    """Return what stands at a dotted path, or `MISSING`."""
    for key in _keys(dotted_name):
        try:
            values = values[own_key(values, key)]
        except LookupError:
            return MISSING
    return values
