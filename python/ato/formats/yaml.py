"""YAML, by PyYAML's C loader, with the line of each key.

The safe schema, with one rule of YAML 1.2 added: `1e-3` is a number. Under YAML 1.1 it is a text,
which in a config file is never what was meant.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ato.exceptions import ConfigFileError
from ato.formats._plain import SCALARS, TIMES, Loaded, plain

__all__ = ["dump_yaml", "read_yaml"]

_TAG = "tag:yaml.org,2002:"
_TEXT, _MAPPING, _SEQUENCE = f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq"
_FLOAT, _MERGE, _VALUE = f"{_TAG}float", f"{_TAG}merge", f"{_TAG}value"
_WORDS = (f"{_TAG}null", f"{_TAG}bool", f"{_TAG}int", _FLOAT)
_EXPONENT = re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")
_FIRST = list("-+0123456789.")
_MOST_NODES = 1_000_000


def read_yaml(text: str, name: str) -> Loaded:
    """Read a YAML document; a key that stands twice in one mapping is an error.

    Raises:
        ConfigFileError: with `name` and the line; a Python tag is one of the errors.
    """
    import yaml  # loads on first use: `import ato.adict` stays cheap

    loader = _loader_class()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Loaded(None, {})
        reader = _Reader(loader, name)
        return Loaded(reader.value(node, (), False), reader.lines)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigFileError(f"{where}: not plain YAML: {problem}") from None
    except RecursionError:
        raise ConfigFileError(f"{name}: not plain YAML: nested too deeply") from None
    finally:
        loader.dispose()


def dump_yaml(value: object) -> str:
    """Render a value as YAML, keys in their order."""
    import yaml  # loads on first use

    found = plain(value, "YAML", (*TIMES, bytes), keys=(*SCALARS, *TIMES))
    text: str = yaml.dump(
        found, Dumper=_dumper_class(), sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Reader:
    """Makes values of a document's nodes as PyYAML's safe constructor does, and notes key lines.

    One walk does both: that is no slower than the constructor alone, which asks more of each node.
    """

    def __init__(self, loader: Any, name: str) -> None:
        self.loader = loader
        self.name = name
        self.lines: dict[tuple[str, ...], int] = {}
        self.visited = 0
        self.words = {tag: loader.yaml_constructors[tag] for tag in _WORDS}

    def value(self, node: Any, path: tuple[str, ...], merged: bool) -> Any:
        """Make the value of a node; lines that are known stay where it is `merged` in by `<<`."""
        tag = node.tag
        if tag == _TEXT and node.id == "scalar":
            return node.value
        # `id` is a class attribute of PyYAML's nodes; asking for it is cheaper than isinstance.
        if tag == _MAPPING and node.id == "mapping":
            return self.mapping(node, path, merged)
        if tag == _SEQUENCE and node.id == "sequence":
            self.count(node)
            return [
                self.value(item, (*path, str(index)), merged)
                for index, item in enumerate(node.value)
            ]
        make = self.words.get(tag)
        if make is None:
            make = type(self.loader).construct_document
        try:
            return make(self.loader, node)
        except ValueError as error:
            # An impossible date (2024-13-45) is a plain ValueError in PyYAML.
            raise self.error(node, f"not plain YAML: {error}") from None

    def mapping(self, node: Any, path: tuple[str, ...], merged: bool) -> dict[Any, Any]:
        self.count(node)
        found: dict[Any, Any] = {}
        bases: list[Any] = []
        for key_node, value_node in node.value:
            key: Any = key_node.value
            if key_node.tag != _TEXT:
                if key_node.tag == _MERGE:
                    bases += self.merged(value_node)
                    continue
                key = self.key(key_node)
            if key in found:
                raise self.error(key_node, f"the key {key!r} stands twice")
            place = (*path, key if type(key) is str else str(key))
            if not merged or place not in self.lines:
                self.lines[place] = key_node.start_mark.line + 1
            value = value_node.value
            if type(value) is not str or value_node.tag != _TEXT:
                value = self.value(value_node, place, merged)
            found[key] = value
        if not bases:
            return found
        # What stands in the mapping itself wins over what it takes in, but comes behind it. The
        # strongest is read first: it says on which line a key stands.
        taken: dict[Any, Any] = {}
        for given in [self.mapping(base, path, True) for base in bases[::-1]][::-1]:
            taken.update(given)
        return taken | found

    def merged(self, node: Any) -> list[Any]:
        """Return the mappings that `<<` takes in, the strongest last."""
        bases = node.value[::-1] if node.id == "sequence" else [node]
        for base in bases:
            if base.id != "mapping":
                raise self.error(base, "<< takes in a mapping or a list of mappings")
        return bases

    def key(self, node: Any) -> Any:
        if node.tag == _VALUE:
            return node.value  # `=`, which nobody means as YAML 1.1 does
        key = self.value(node, (), True)
        if isinstance(key, (list, dict, set)):
            raise self.error(node, "a key is a text, a number or a date, not a list or mapping")
        return key

    def count(self, node: Any) -> None:
        self.visited += 1 + len(node.value)
        if self.visited > _MOST_NODES:
            raise ConfigFileError(
                f"{self.name}: its aliases expand to more than {_MOST_NODES:,} values"
            )

    def error(self, node: Any, message: str) -> ConfigFileError:
        return ConfigFileError(f"{self.name}:{node.start_mark.line + 1}: {message}")


@cache
def _loader_class() -> Any:
    import yaml  # loads on first use

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("AtoSafeLoader", (base,), {})
    loader.add_implicit_resolver(_FLOAT, _EXPONENT, _FIRST)
    return loader


@cache
def _dumper_class() -> Any:
    import yaml  # loads on first use

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    # A text that looks like `1e-3` must be quoted, or it would be read back as a number. Aliases
    # are for graphs; a config is a tree, and two equal lists are written twice.
    dumper: Any = type("AtoSafeDumper", (base,), {"ignore_aliases": lambda self, data: True})  # noqa: ARG005
    dumper.add_implicit_resolver(_FLOAT, _EXPONENT, _FIRST)
    return dumper
