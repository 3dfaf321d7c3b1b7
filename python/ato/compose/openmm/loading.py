"""From a path to the layer of a config with all its bases."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

from ato.compose.openmm.execution import execute, execute_lazily
from ato.compose.openmm.layers import Layer, PathKeys, merged, revised, together, unknown
from ato.compose.openmm.lines import key_lines, stored_names
from ato.compose.openmm.parsing import PythonFile, base_imports, parse
from ato.compose.openmm.templates import Templates
from ato.compose.reading import as_path, read_text, require_file
from ato.exceptions import ConfigFileError, MissingFileError
from ato.formats import Loaded, read_json, read_yaml
from ato.provenance import Origin, shown_path

__all__ = ["load"]

_READERS: dict[str, Callable[[str, str], Loaded]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
}
_DEPRECATION = "_deprecation_"
_SCOPE = "_scope_"
# The packages whose import name is not the name under which they are installed.
_DISTRIBUTIONS = {"mmseg": "mmsegmentation", "mmaction": "mmaction2"}


def load(path: str | Path, safe: bool = False) -> Layer:
    """Load an OpenMMLab config with its bases. A `.py` file, a base too, executes code.

    Args:
        path: a .py, .yaml, .yml or .json file.
        safe: refuse to execute code: a `.py` file, wherever it comes up, is then an error.

    Returns:
        plain nested values, and the writes to each leaf, those of the bases first.

    Raises:
        MissingFileError: the file or a base is not there, or the package of a base is not.
        ConfigFileError: a file cannot be read or raised an error; bases that form a cycle, share
            a key or are not given as texts; a mapping that meets something else; an environment
            variable that is not set; a `.py` file with `safe`.
        UnknownKeyError: a reference to the base names no key of it.
    """
    file = as_path(path).expanduser()
    try:
        return _Loader(safe).file(file, (), "")
    except RecursionError:
        raise ConfigFileError(
            f"{file}: too many bases one upon the other, or values nested too deeply"
        ) from None


class _Loader:
    def __init__(self, safe: bool) -> None:
        self.safe = safe

    def file(self, file: Path, chain: tuple[Path, ...], place: str) -> Layer:
        """Load a file.

        Args:
            file: its path.
            chain: the files that lead to it.
            place: the `file:line` that names it as a base; empty for the first file.
        """
        # Without links resolved: a base stands relative to where its user sees the file.
        file = Path(os.path.abspath(file))  # noqa: PTH100
        before = f"{place}: " if place else ""
        try:
            require_file(file)
        except MissingFileError as error:
            raise MissingFileError(f"{before}{error}") from None
        if file in chain:
            cycle = (*chain[chain.index(file) :], file)
            names = " → ".join(shown_path(str(one)) for one in cycle)
            raise ConfigFileError(f"{before}the bases form a cycle: {names}")
        read = self.reader(file, before)
        return _without_deprecation(read(file, (*chain, file)), shown_path(str(file)))

    def reader(self, file: Path, before: str) -> Callable[[Path, tuple[Path, ...]], Layer]:
        """Return the method that reads a file, by its extension."""
        suffix = file.suffix.lower()
        if suffix == ".py" and self.safe:
            raise ConfigFileError(
                f"{before}{file} is executed, and safe=True executes nothing; load it without "
                "safe, or write it as .yaml or .json"
            )
        if suffix != ".py" and suffix not in _READERS:
            raise ConfigFileError(
                f"{before}{file}: cannot read a {suffix or 'file without extension'}; "
                f"use .py {' '.join(_READERS)}"
            )
        return self.python if suffix == ".py" else self.data

    # ---------------------------------------------------------------- one file

    def data(self, file: Path, chain: tuple[Path, ...]) -> Layer:
        name = shown_path(str(file))
        templates = Templates(read_text(file, name), file, name)
        loaded = _READERS[file.suffix.lower()](templates.text, name)
        values = {} if loaded.value is None else loaded.value
        if not isinstance(values, dict):
            raise ConfigFileError(
                f"{name}: holds a {type(values).__name__}; a config file holds a mapping"
            )
        base = None
        if "_base_" in values:
            named = templates.values_in(values.pop("_base_"), None)
            base = self.bases(named, f"{name}:{loaded.line(('_base_',))}", chain)
        values = templates.values_in(values, None if base is None else base.values)
        own = Layer.written(values, lambda path: Origin("file", "", name, loaded.line(path)))
        return own if base is None else merged(base, own)

    def python(self, file: Path, chain: tuple[Path, ...]) -> Layer:
        name = shown_path(str(file))
        config = parse(read_text(file, name), file, name)
        origin = _origins(config)
        if config.lazy:
            return self.lazy_python(config, chain)
        if config.base is None:
            own, _ = execute(config, None)
            return Layer.written(own, origin)
        named, line = config.base
        base = self.bases(named, f"{name}:{line}", chain)
        own, changed = execute(config, base.values)
        return merged(revised(base, changed, origin), Layer.written(own, origin))

    def lazy_python(self, config: PythonFile, chain: tuple[Path, ...]) -> Layer:
        inherited = Layer()
        for statement in base_imports(config):
            place = f"{config.name}:{statement.lineno}"
            base = self.file(_module_file(statement, config.file, place), chain, place)
            for name, seen_as in _wanted(statement, base, place):
                _take_over(inherited, base, name, seen_as)
        values, imports = execute_lazily(config, inherited.values, inherited.imports)
        layer = revised(inherited, values, _origins(config), stored_names(config.module))
        layer.imports = imports
        return layer

    # ---------------------------------------------------------------- its bases

    def bases(self, named: Any, place: str, chain: tuple[Path, ...]) -> Layer:
        names = [named] if isinstance(named, str) else named
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigFileError(f"{place}: _base_ is {named!r}; write a text or a list of texts")
        return together([self.base(name, place, chain) for name in names], place)

    def base(self, name: str, place: str, chain: tuple[Path, ...]) -> Layer:
        package, separator, path = name.partition("::")
        if not separator:
            return self.file(chain[-1].parent / Path(name).expanduser(), chain, place)
        file = _package_folder(package, place) / ".mim" / "configs" / path
        layer = self.file(file, chain, place)
        origin = Origin("file", "", shown_path(str(file)))
        return revised(layer, _scoped(layer.values, package), lambda _: origin)


def _origins(config: PythonFile) -> Callable[[PathKeys], Origin]:
    lines = Loaded(None, key_lines(config.module))
    return lambda path: Origin("file", "", config.name, lines.line(path))


def _without_deprecation(layer: Layer, name: str) -> Layer:
    """Warn of a config that says that it is deprecated, and drop what says so."""
    said = layer.values.pop(_DEPRECATION, None)
    if said is None:
        return layer
    layer.writes = {path: kept for path, kept in layer.writes.items() if path[0] != _DEPRECATION}
    said = said if isinstance(said, dict) else {}
    hints = [f"{word} {said[key]}" for key, word in _DEPRECATION_HINTS.items() if key in said]
    warnings.warn(f"{name} is deprecated{''.join(hints)}", FutureWarning, stacklevel=2)
    return layer


_DEPRECATION_HINTS = {"expected": "; use", "reference": "; see"}


def _scoped(value: Any, scope: str) -> Any:
    """Name the package in the outermost mappings that have a `type`, as OpenMMLab does."""
    if isinstance(value, dict):
        if "type" in value:
            return value if value.get(_SCOPE) else {**value, _SCOPE: scope}
        return {key: _scoped(item, scope) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_scoped(item, scope) for item in value)
    return value


def _package_folder(package: str, place: str) -> Path:
    try:
        found = util.find_spec(package) if package.isidentifier() else None
    except ValueError:
        found = None
    folders = None if found is None else found.submodule_search_locations
    if not folders:
        raise MissingFileError(
            f"{place}: the package {package!r} is not installed; install "
            f"{_DISTRIBUTIONS.get(package, package)}"
        )
    return Path(next(iter(folders)))


def _module_file(statement: ast.ImportFrom, file: Path, place: str) -> Path:
    parts = (statement.module or "").split(".")
    if statement.level:
        folder = file.parents[min(statement.level, len(file.parents)) - 1]
    else:
        folder = _package_folder(parts.pop(0), place)
    return folder.joinpath(*parts[:-1], f"{parts[-1]}.py") if parts else folder / "__init__.py"


def _wanted(statement: ast.ImportFrom, base: Layer, place: str) -> list[tuple[str, str]]:
    """Return the names that a statement imports from a base, each with its name here."""
    known = {**base.imports, **base.values}
    found: list[tuple[str, str]] = []
    for alias in statement.names:
        if alias.name == "*":
            found += [(name, name) for name in known]
        elif alias.name in known:
            found.append((alias.name, alias.asname or alias.name))
        else:
            raise unknown(alias.name, known, f"{place}: {statement.module}: ")
    return found


def _take_over(inherited: Layer, base: Layer, name: str, seen_as: str) -> None:
    if name in base.imports:
        inherited.imports[seen_as] = base.imports[name]
        return
    inherited.values[seen_as] = base.values[name]
    for path, writes in base.writes.items():
        if path[0] == name:
            inherited.writes[(seen_as, *path[1:])] = writes
