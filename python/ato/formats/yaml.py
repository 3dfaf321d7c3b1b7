"""YAML, by PyYAML's C loader, with the line of each key.

The safe schema, with one rule of YAML 1.2 added: `1e-3` is a number. Under YAML 1.1 it is a text,
which in a config file is never what was meant.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ato.exceptions import ConfigFileError
from ato.formats._plain import Loaded, plain

__all__ = ["dump_yaml", "read_yaml"]

_FLOAT_TAG = "tag:yaml.org,2002:float"
_MERGE_TAG = "tag:yaml.org,2002:merge"
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
    found = _KeyLines(name)
    try:
        node = loader.get_single_node()
        if node is None:
            return Loaded(None, {})
        found.walk(node, ())
        return Loaded(loader.construct_document(node), found.lines)
    except ConfigFileError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigFileError(f"{where}: not plain YAML: {problem}") from None
    except (ValueError, RecursionError) as error:
        # An impossible date (2024-13-45) is a plain ValueError in PyYAML.
        raise ConfigFileError(f"{name}: not plain YAML: {error}") from None
    finally:
        loader.dispose()


def dump_yaml(value: object) -> str:
    """Render a value as YAML, keys in their order."""
    import yaml  # loads on first use

    found = plain(value, "YAML", times=True)
    text: str = yaml.dump(
        found, Dumper=_dumper_class(), sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _KeyLines:
    """Walks a document's nodes before they become values, and notes the line of each key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[tuple[str, ...], int] = {}
        self.visited = 0

    def walk(self, node: Any, path: tuple[str, ...]) -> None:
        self.visited += 1
        if self.visited > _MOST_NODES:
            raise ConfigFileError(
                f"{self.name}: its aliases expand to more than {_MOST_NODES:,} values"
            )
        # `id` is a class attribute of PyYAML's nodes; asking for it is cheaper than isinstance.
        if node.id == "mapping":
            self.mapping(node, path)
        elif node.id == "sequence":
            for index, item in enumerate(node.value):
                if item.id != "scalar":
                    self.walk(item, (*path, str(index)))

    def mapping(self, node: Any, path: tuple[str, ...]) -> None:
        own: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_TAG:
                merged = value_node.value if value_node.id == "sequence" else [value_node]
                for other in merged:
                    self.walk(other, path)
                continue
            if key_node.id != "scalar":
                continue
            key = key_node.value
            line = key_node.start_mark.line + 1
            if key in own:
                raise ConfigFileError(f"{self.name}:{line}: the key {key!r} stands twice")
            own.add(key)
            place = (*path, key)
            self.lines[place] = line
            if value_node.id != "scalar":
                self.walk(value_node, place)


@cache
def _loader_class() -> Any:
    import yaml  # loads on first use

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("AtoSafeLoader", (base,), {})
    loader.add_implicit_resolver(_FLOAT_TAG, _EXPONENT, _FIRST)
    return loader


@cache
def _dumper_class() -> Any:
    import yaml  # loads on first use

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    # A text that looks like `1e-3` must be quoted, or it would be read back as a number. Aliases
    # are for graphs; a config is a tree, and two equal lists are written twice.
    dumper: Any = type("AtoSafeDumper", (base,), {"ignore_aliases": lambda self, data: True})  # noqa: ARG005
    dumper.add_implicit_resolver(_FLOAT_TAG, _EXPONENT, _FIRST)
    return dumper
