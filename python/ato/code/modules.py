"""The project's modules as code sees them: what is loaded, and what their files define."""

from __future__ import annotations

import functools
import importlib.machinery
import sys
from pathlib import Path
from typing import Any

from ato.code.definitions import Binding, Definition, FileDefinitions
from ato.code.project import Origin, Roots, origin_of
from ato.code.seen import Seen
from ato.code.source import Source, source_of_file

__all__ = ["MISSING", "Module", "Modules", "display_name"]


_COMPILED = (*importlib.machinery.EXTENSION_SUFFIXES, ".pyc", ".so", ".pyd")


class _Missing:
    """A name that is not bound; `None` is a value like any other."""


MISSING = _Missing()


def display_name(name: str, namespace: dict[str, Any] | None) -> str:
    """The name of a file's module: that of the entry script is its file's stem."""
    if name != "__main__" or namespace is None:
        return name
    spec = namespace.get("__spec__")
    if spec is not None:
        return str(spec.name)  # `python -m package.module` knows its name
    file = namespace.get("__file__")
    return Path(file).stem if file else name


class Module:
    """A module: its namespace if it is loaded, its file's definitions if there is a file."""

    def __init__(
        self,
        name: str,
        namespace: dict[str, Any] | None,
        path: str | None,
        package: str,
        seen: Seen,
    ) -> None:
        self.name = display_name(name, namespace)
        self.namespace = namespace
        self.path = path
        self.package = package
        self._seen = seen

    @functools.cached_property
    def source(self) -> Source | None:
        """The file's text as it was executed; asked of the file once in a walk."""
        if self.path is None or self.path.endswith(_COMPILED):
            return None
        return source_of_file(self.path, self.namespace)

    @property
    def definitions(self) -> FileDefinitions | None:
        """What the file defines; `None` without source."""
        source = self.source
        return None if source is None else source.definitions

    def value(self, name: str) -> Any:
        """What a name is bound to now, or `MISSING`."""
        if self.namespace is None:
            return MISSING
        self._seen.name(self.namespace, name)
        return self.namespace.get(name, MISSING)

    def lookup(self, qualified: str) -> Any:
        """What a qualified name is bound to now, or `MISSING`; no descriptor is called."""
        first, *rest = qualified.split(".")
        value = self.value(first)
        for name in rest:
            if not isinstance(value, type) or name not in vars(value):
                return MISSING
            value = vars(value)[name]
        return value

    def binding(self, name: str) -> Binding:
        """How the file binds a name."""
        definitions = self.definitions
        found = None if definitions is None else definitions.bindings.get(name)
        return found if found is not None else Binding()

    def rebinds(self, name: str) -> bool:
        """Whether a function of the file declares a name `global`, to bind it anew."""
        definitions = self.definitions
        return definitions is not None and name in definitions.rebound

    def knows(self, name: str) -> bool:
        """Whether the module has such a name, now or by its file."""
        binding = self.binding(name)
        return (
            self.value(name) is not MISSING
            or bool(binding.definitions or binding.imports)
            or binding.value is not None
        )

    def definition_named(self, qualified: str) -> Definition | None:
        """The last function or class of that qualified name in the file."""
        definitions = self.definitions
        if definitions is None:
            return None
        for definition in reversed(definitions.definitions):
            if definition.name == qualified and definition.kind in ("function", "class"):
                return definition
        return None

    def absolute(self, level: int, module: str) -> str:
        """The full name of an imported module: `..a` from inside `p.q.r` is `p.a`."""
        if level == 0:
            return module
        base = self.package.split(".")
        base = base[: len(base) - level + 1]
        return ".".join([*base, module] if module else base)


class Modules:
    """The modules met in one walk."""

    def __init__(self, roots: Roots, seen: Seen) -> None:
        self.roots = roots
        self._seen = seen
        self._named: dict[str, Module | None] = {}
        self._by_namespace: dict[int, Module] = {}

    def of_namespace(self, namespace: dict[str, Any], path: str) -> Module:
        """The module whose globals a function has; `path` is the file its code comes from."""
        module = self._by_namespace.get(id(namespace))
        if module is None:
            name = namespace.get("__name__") or "unknown"
            file = namespace.get("__file__") or path
            module = Module(name, namespace, file, _package(name, namespace), self._seen)
            self._by_namespace[id(namespace)] = module
        return module

    def named(self, name: str) -> Module | None:
        """A module by its import name: loaded, or found on the path without being imported."""
        self._seen.name(sys.modules, name)
        if name not in self._named:
            self._named[name] = self._find(name)
        return self._named[name]

    def origin(self, name: str) -> Origin:
        """Whose the module is that would be imported under this name."""
        self._seen.name(sys.modules, name)
        loaded = sys.modules.get(name)
        if loaded is not None:
            return origin_of(name, _file_of(loaded), self.roots)
        module = self.named(name)
        return origin_of(name, None if module is None else module.path, self.roots)

    def _find(self, name: str) -> Module | None:
        loaded = sys.modules.get(name)
        if loaded is not None:
            return self.of_namespace(vars(loaded), getattr(loaded, "__file__", None) or "")
        spec = _find_spec(name)
        if spec is None or spec.origin is None:
            return None
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        path = spec.origin if spec.has_location else None
        return Module(name, None, path, package, self._seen)


def _package(name: str, namespace: dict[str, Any]) -> str:
    package = namespace.get("__package__")
    if package:
        return str(package)
    return name if "__path__" in namespace else name.rpartition(".")[0]


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    if file:
        return str(file)
    # A namespace package has folders only; a file that would lie in the first stands for it.
    for folder in getattr(module, "__path__", ()):
        return str(Path(folder, "__init__.py"))
    return None


def _find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Look a module up level by level: `importlib.util.find_spec` would import the packages."""
    path: Any = None
    spec = None
    parts = name.split(".")
    for at in range(len(parts)):
        try:
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: at + 1]), path)
        except (ImportError, AttributeError, TypeError, ValueError):
            return None
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec
