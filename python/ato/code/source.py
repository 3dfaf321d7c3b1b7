"""The text of the files that functions come from, as it was when they were loaded."""

from __future__ import annotations

import hashlib
import linecache
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from types import CodeType
from typing import Any

from ato.code import cache
from ato.code.bytecode import INTERPRETER, compiled_digests, digest_code, qualified_name
from ato.code.definitions import Definition, FileDefinitions

__all__ = ["Source", "capture_source", "find_definition", "source_of_file"]


@dataclass(eq=False)
class Source:
    """One version of a file's text, with what it defines; parsed when first asked."""

    path: str
    text: str
    stamp: tuple[int, int] | None
    key: str = ""
    _definitions: FileDefinitions | None = None
    _parsed: bool = False
    _lines: list[str] = field(default_factory=list)
    # The code object is kept beside what was found for it: an address alone may be used again.
    _found: dict[int, tuple[CodeType, Definition]] = field(default_factory=dict)
    _places: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    _compiled: dict[str, list[str]] | None = None

    def __post_init__(self) -> None:
        self.key = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def definitions(self) -> FileDefinitions | None:
        """What the file defines; `None` if the text cannot be parsed."""
        if not self._parsed:
            self._read()
        return self._definitions

    def lines(self, definition: Definition) -> str:
        """The source of a definition as written: whole lines, of a lambda no more than itself."""
        if definition.kind == "module":
            return self.text
        if not self._lines:
            self._lines = self.text.split("\n")
        lines = self._lines
        parts = ["\n".join(lines[first - 1 : last]) for first, last in definition.spans]
        if definition.column is not None and len(definition.spans) == 1:
            first, last = definition.spans[0]
            return _cut(lines[first - 1 : last], definition.column, definition.end_column)
        return "\n".join(parts)

    def find(self, code: CodeType, trusted: bool) -> Definition | None:
        """The definition that `code` was compiled from; `None` if the text holds no such code.

        With `trusted` the place is enough: where an import hook rewrites modules, the code that runs
        is never what the text compiles to.
        """
        known = self._found.get(id(code))
        if known is not None:
            return known[1]
        definition = self._compare(code, trusted)
        if definition is not None:
            self._found[id(code)] = (code, definition)
        return definition

    def _compare(self, code: CodeType, trusted: bool) -> Definition | None:
        definitions = self.definitions
        if definitions is None:
            return None
        name = qualified_name(code)
        places = self._places.get((name, code.co_firstlineno), [])
        if not places:
            return None
        compiled = None if trusted else self._digests()
        if compiled is None:
            found = [definitions.definitions[place] for place in places]
            return found[0] if len(found) == 1 else _at_columns(code, found)
        digests = compiled.get(f"{name}:{code.co_firstlineno}", [])
        digest = digest_code(code)
        if digest not in digests:
            return None
        # Several lambdas of one line come in the same order in the source and in the code.
        at = digests.index(digest)
        return definitions.definitions[places[at if at < len(places) else 0]]

    def _read(self) -> None:
        self._parsed = True
        entry = cache.load(self.key)
        if entry is not None:
            try:
                self._definitions = FileDefinitions.from_json(entry["definitions"])
                self._compiled = entry["bytecode"].get(INTERPRETER)
            except (KeyError, TypeError, AttributeError):
                self._definitions = None
        if self._definitions is None:
            from ato.code.normalise import define  # libcst: only where the cache has no answer

            try:
                self._definitions = define(self.text)
            except (SyntaxError, RecursionError, ValueError):
                return  # the bytecode is fingerprinted instead, and a gap says so
            self._keep(entry=None)
        for index, definition in enumerate(self._definitions.definitions):
            if definition.kind in ("function", "lambda"):
                self._places.setdefault((definition.name, definition.line), []).append(index)

    def _digests(self) -> dict[str, list[str]] | None:
        if self._compiled is None:
            self._keep(cache.load(self.key))
        return self._compiled

    def _keep(self, entry: dict[str, Any] | None) -> None:
        """Write what is known of this text, with the code of this interpreter, into the cache."""
        try:
            self._compiled = compiled_digests(self.text, self.path)
        except (SyntaxError, ValueError):
            self._compiled = None
        if self._definitions is None:
            return
        known = entry.get("bytecode", {}) if entry else {}
        if self._compiled is not None:
            known[INTERPRETER] = self._compiled
        cache.store(self.key, {"definitions": self._definitions.to_json(), "bytecode": known})


# Every version of a file's text that was seen, the newest last.
_seen: dict[str, list[Source]] = {}
# By file, the spec under which its module was executed last, and the text that was executed.
_executed: dict[str, tuple[object, Source]] = {}


def capture_source(fn: Callable[..., Any]) -> None:
    """Keep the text of the file that `fn` is written in, as it stands now."""
    function = _unwrapped(fn)
    code = getattr(function, "__code__", None)
    if code is not None:
        source_of_file(code.co_filename, getattr(function, "__globals__", None))


def find_definition(fn: Any) -> tuple[Source, Definition] | str:
    """The source and definition of a function, or the reason why there is none."""
    code: CodeType = fn.__code__
    versions = _versions(code.co_filename, fn.__globals__)
    if not versions:
        return "it has no source"
    loader = fn.__globals__.get("__loader__")
    rewritten = loader is not None and type(loader) is not SourceFileLoader
    for source in reversed(versions):
        definition = source.find(code, trusted=rewritten or versions[0].stamp is None)
        if definition is not None:
            return source, definition
    if all(source.definitions is None for source in versions):
        return f"{Path(code.co_filename).name} cannot be parsed"
    if code.co_filename.startswith("<"):
        return "it has no source"
    return f"{Path(code.co_filename).name} was edited after it was imported"


def source_of_file(path: str, namespace: dict[str, Any] | None) -> Source | None:
    """The text of a module's file as it was when it was first seen since the module was executed.

    A module that is executed again (`importlib.reload`, a notebook's `%autoreload`) has another spec.
    """
    versions = _versions(path)
    if not versions:
        return None
    spec = None if namespace is None else namespace.get("__spec__")
    if spec is None or namespace is None or namespace.get("__file__") != path:
        return _executed[path][1] if path in _executed else versions[0]
    known = _executed.get(path)
    if known is None:
        known = _executed[path] = spec, versions[0]
    elif known[0] is not spec:
        known = _executed[path] = spec, versions[-1]
    return known[1]


def _versions(path: str, namespace: dict[str, Any] | None = None) -> list[Source]:
    known = _seen.setdefault(path, [])
    try:
        status = os.stat(path)  # noqa: PTH116 (asked for every function: three times as fast)
    except OSError:
        return known or _from_memory(path, namespace)
    stamp = (status.st_mtime_ns, status.st_size)
    if not known or known[-1].stamp != stamp:
        try:
            text = decode_source(Path(path).read_bytes())
        except (OSError, UnicodeDecodeError, SyntaxError):
            return known
        known.append(Source(path, text, stamp))
    return known


def _from_memory(path: str, namespace: dict[str, Any] | None) -> list[Source]:
    """Text that was never a file: a notebook's cell, the prompt, a module in a zip archive."""
    text = "".join(linecache.getlines(path, namespace))
    if not text:
        return []
    known = _seen[path]
    if not known or known[-1].text != text:
        known.append(Source(path, text, None))
    return known


def _at_columns(code: CodeType, found: list[Definition]) -> Definition:
    """Of several lambdas of one line the one inside of which the code stands; else the first."""
    columns = [
        start
        for line, _, start, end in code.co_positions()
        if line == code.co_firstlineno and start is not None and end is not None and end > start
    ]
    for definition in found:
        last = definition.end_column if len(set(definition.spans[0])) == 1 else None
        if definition.column is not None and all(
            definition.column <= column and (last is None or column < last) for column in columns
        ):
            return definition
    return found[0]


def _unwrapped(fn: Any) -> Any:
    seen = set()
    while hasattr(fn, "__wrapped__") and id(fn) not in seen:
        seen.add(id(fn))
        fn = fn.__wrapped__
    return getattr(fn, "__func__", fn)


def _cut(lines: list[str], first: int, last: int | None) -> str:
    """Columns count UTF-8 bytes, as the parser does."""
    raw = [line.encode() for line in lines]
    raw[-1] = raw[-1][:last]
    raw[0] = raw[0][first:]
    return b"\n".join(raw).decode()
