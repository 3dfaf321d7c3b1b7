"""The `{{ … }}` in a config's text: names of the file, environment variables, values of the base.

Each is replaced by a word that stands nowhere else in the file, before the file is parsed, and the
word by its value in what the parser gives. So a value is never read as code, and lines keep
their numbers.
"""

from __future__ import annotations

import ast
import copy
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ato.compose.openmm.layers import item_at
from ato.exceptions import ConfigFileError

__all__ = ["Templates"]

_BRACES = re.compile(r"\{\{([^{}\n]*)\}\}")
_BASE = "_base_."
_QUOTES = ("'", '"')


class _Template(NamedTuple):
    """One `{{ … }}`: a text that is known, or the path of a value in the base.

    `bare` is one that stands in a data file without quotes: `{{$GPUS:8}}` is the number 8 there.
    """

    line: int
    text: str | None
    base_path: str | None
    variable: str | None
    bare: bool


class Templates:
    """The templates of a file; `text` is the file with a word in the place of each."""

    def __init__(self, source: str, file: Path, name: str) -> None:
        self.name = name
        self._file = file
        self._word = "ato_template"
        while self._word in source:
            self._word += "_"
        self._is_json = file.suffix.lower() == ".json"
        self._pattern = re.compile(rf"{self._word}_(\d+)_")
        self._found: list[_Template] = []
        self.text = _BRACES.sub(self._replaced, source)

    def __contains__(self, text: str) -> bool:
        return self._word in text

    def needs_base(self, text: str) -> bool:
        """Whether a text has a template whose value the base has."""
        return any(
            self._found[int(match[1])].base_path is not None
            for match in self._pattern.finditer(text)
        )

    def value(self, text: str, base: Any) -> Any:
        """Return a text with its templates replaced; one that is a template alone may be any value.

        Args:
            text: of the parsed file.
            base: the values of the base, nested mappings, or None where there is no base.

        Raises:
            ConfigFileError: an environment variable is not set and has no default, or there is no
                base.
            UnknownKeyError: the base has no such key.
        """
        whole = self._pattern.fullmatch(text)
        if whole is None:
            return self._pattern.sub(lambda match: str(self._one(match, base)), text)
        found = self._one(whole, base)
        template = self._found[int(whole[1])]
        return literal(found) if template.bare and isinstance(found, str) else found

    def bare_value(self, word: str) -> Any:
        """Return the value of a template that stands in Python code without quotes."""
        match = self._pattern.fullmatch(word)
        assert match is not None, "asked only for words that are templates"
        return literal(self._one(match, None))

    def values_in(self, value: Any, base: Any) -> Any:
        """Return nested values, of a data file, with the templates in keys and texts replaced."""
        if isinstance(value, str):
            return self.value(value, base) if value in self else value
        if isinstance(value, dict):
            return {
                self.values_in(key, base): self.values_in(item, base) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.values_in(item, base) for item in value]
        return value

    def _replaced(self, match: re.Match[str]) -> str:
        source, start = match.string, match.start()
        inner = match[1].strip()
        if inner[:1] in _QUOTES and inner[-1:] == inner[:1]:
            inner = inner[1:-1].strip()
        text, base_path, variable = self._file_name(inner), None, None
        if inner.startswith(_BASE):
            base_path = inner.removeprefix(_BASE)
        elif inner.startswith("$"):
            variable, _, default = (part.strip() for part in inner[1:].partition(":"))
            text = default or None
        elif text is None:
            return match[0]
        if self._is_json:
            line_start = source.rfind("\n", 0, start) + 1
            bare = len(re.findall(r'(?<!\\)"', source[line_start:start])) % 2 == 0
        else:
            bare = source[start - 1 : start] not in _QUOTES
        line = source.count("\n", 0, start) + 1
        self._found.append(_Template(line, text, base_path, variable, bare))
        word = f"{self._word}_{len(self._found) - 1}_"
        return f'"{word}"' if self._is_json and bare else word

    def _file_name(self, name: str) -> str | None:
        file = self._file
        match name:
            case "fileDirname":
                return file.parent.as_posix()
            case "fileBasename":
                return file.name
            case "fileBasenameNoExtension":
                return file.stem
            case "fileExtname":
                return file.suffix
        return None

    def _one(self, match: re.Match[str], base: Any) -> Any:
        template = self._found[int(match[1])]
        place = f"{self.name}:{template.line}"
        if template.base_path is not None:
            if base is None:
                raise ConfigFileError(
                    f"{place}: {{{{_base_.{template.base_path}}}}} in a file without a _base_"
                )
            return copy.deepcopy(item_at(base, template.base_path, f"{place}: _base_"))
        if template.variable is not None:
            found = os.environ.get(template.variable, template.text)
            if found is None:
                raise ConfigFileError(
                    f"{place}: the environment variable {template.variable!r} is not set; set it, "
                    f"or write {{{{${template.variable}:default}}}}"
                )
            return found
        return template.text


def literal(text: str) -> Any:
    """Return the value that a text without quotes has: a literal of Python or YAML, or the text."""
    words = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
