"""Who wrote a config value: a view, the command line, a file, or a line of plain Python.

A `History` belongs to one config. Recording is on the path of every write, so an entry keeps raw
references (the code object and the instruction that wrote) and becomes text only when it is asked
for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal, NamedTuple

from ato.events import full_key

__all__ = [
    "DELETED",
    "MISSING",
    "PLAIN",
    "FileSource",
    "History",
    "Origin",
    "Source",
    "Write",
    "caller",
    "dotted",
    "explain",
    "printable",
    "shown_path",
    "value_text",
]

OriginKind = Literal["view", "cli", "lazy", "file", "code", "default"]

_SEARCH = "search trial "
_OWN = f"{__name__.partition('.')[0]}."
_ADDRESS = re.compile(r" (?:object )?at 0x[0-9A-Fa-f]+")
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_DEFAULT_REPR: Any = object.__repr__
_SPECIAL = frozenset(".[]")
_LONGEST_TEXT = 200
_LONGEST_CONTAINER = 50
_MOST_WRITES = 100
_WIDEST_COLUMN = 40
_MOST_NAMES = 6
_MOST_BITS = 10_000


class _Missing:
    """The absence of a value: what a new key replaces, and what a deleted key becomes."""

    def __repr__(self) -> str:
        return "(no value)"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING = _Missing()

DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    `text` is the view's name, the token with its position, or the function that wrote; `file` is
    relative to the working folder where it lies below it.
    """

    kind: OriginKind
    text: str
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """The `file:line`, or an empty text where there is none."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        place = self.place
        match self.kind:
            case "cli":
                return f"command line: {self.text}"
            case "file":
                return f"{place}, loaded by {self.text}" if self.text else place
            case "code":
                return f"{place}, in {self.text}" if self.text and place else place or self.text
            case "view" | "lazy":
                name = f"{'lazy ' if self.kind == 'lazy' else ''}view {self.text}"
            case _:
                name = self.text
        return f"{name}, {place}" if place else name

    @classmethod
    def search(cls, trial: object) -> Origin:
        """That of a value which a search chose for a trial."""
        return cls("code", f"{_SEARCH}{trial}")

    @property
    def is_search(self) -> bool:
        """Whether a search chose the value, so that no command line can set it."""
        return self.kind == "code" and self.text.startswith(_SEARCH)

    def to_json(self) -> dict[str, Any]:
        """Return the origin as a JSON object."""
        return {"kind": self.kind, "text": self.text, "file": self.file, "line": self.line}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Origin:
        """Read what `to_json` gave."""
        return cls(data["kind"], data["text"], data.get("file"), data.get("line"))


@dataclass(frozen=True, slots=True)
class Write:
    """One write to a config key.

    `value_text` and `type` describe the value, `replaced_text` the one before it (`None` for a new
    key). A deletion has the type `deleted`. `derived_from` are the other keys that the view had
    read by then.
    """

    value_text: str
    type: str
    origin: Origin
    replaced_text: str | None = None
    derived_from: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the write as a JSON object."""
        return {
            "value_text": self.value_text,
            "type": self.type,
            "origin": self.origin.to_json(),
            "replaced_text": self.replaced_text,
            "derived_from": list(self.derived_from),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Write:
        """Read what `to_json` gave."""
        return cls(
            data["value_text"],
            data["type"],
            Origin.from_json(data["origin"]),
            data.get("replaced_text"),
            tuple(data.get("derived_from", ())),
        )


class Source:
    """Who writes at present: a view that is running, with the keys that it has read so far.

    `reads` holds the name of the scope's config and the key of each read; those of other scopes'
    configs count as well. `config` is the name of the config that the view writes to.
    """

    __slots__ = ("config", "kind", "reads", "text")

    def __init__(self, kind: OriginKind, text: str, config: str | None = None) -> None:
        self.kind = kind
        self.text = text
        self.config = config
        self.reads: list[tuple[str | None, str]] = []


class FileSource:
    """A file that is being read; the lines of its keys are looked for when somebody asks."""

    __slots__ = ("_find", "_lines", "file", "text")

    def __init__(self, text: str, file: str, find: Callable[[], dict[str, int]]) -> None:
        self.text = text
        self.file = file
        self._find = find
        self._lines: dict[str, int] | None = None

    def origin(self, key: str) -> Origin:
        """Return the origin of a dotted key."""
        if self._lines is None:
            self._lines = self._find()
        return Origin("file", self.text, self.file, self._lines.get(key))


class _Shown(NamedTuple):
    """A value that may change after it was written, as it looked then."""

    text: str
    type: str


# What a write leaves behind: key, value, what it replaced, who wrote, the code object and its
# instruction, and how many keys the view had read. A plain tuple: a named one takes as long to make
# as all the rest of a write. A finished write, from a pickle or the store, is (key, Write).
_Writer = Source | Origin | FileSource | None
_Entry = tuple[str, object, object, _Writer, CodeType | None, int, int]
_Kept = _Entry | tuple[str, Write]


class History:
    """The writes to one config and everything below it, key by key, in order.

    `source` says who writes; `None` is plain Python code. `hint` is asked when a key is missing and
    may say who would have set it. `name` is that of the scope whose config this is the history of.
    """

    __slots__ = ("_writes", "hint", "name", "source")

    def __init__(self, name: str | None = None) -> None:
        self._writes: dict[str, list[_Kept]] = {}
        self.name = name
        self.source: _Writer = None
        self.hint: Callable[[str], str | None] | None = None

    def record(self, key: str, value: object, replaced: object) -> None:
        """Keep a write of `value` to the dotted `key`; `MISSING` stands for no value.

        A key that plain code writes more than a hundred times (`config.step = step` in a loop)
        keeps its first writes and the last one.
        """
        if type(value) not in PLAIN:
            value = _shown(value)
        if type(replaced) not in PLAIN:
            replaced = _shown(replaced)
        source = self.source
        entry: _Entry
        if source is not None and type(source) is not Source:
            entry = (key, value, replaced, source, None, 0, 0)
        else:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and _is_own(frame):
                frame = frame.f_back
            code, instruction = (None, 0) if frame is None else (frame.f_code, frame.f_lasti)
            reads = 0 if source is None else len(source.reads)
            entry = (key, value, replaced, source, code, instruction, reads)
        writes = self._writes.get(key)
        if writes is None:
            self._writes[key] = [entry]
        elif source is None and len(writes) >= _MOST_WRITES:
            writes[-1] = entry
        else:
            writes.append(entry)

    @contextmanager
    def writing(self, source: _Writer) -> Iterator[None]:
        """Attribute the writes inside the block to `source`."""
        before = self.source
        self.source = source
        try:
            yield
        finally:
            self.source = before

    def writes(self, key: str) -> list[Write]:
        """Return the writes to the dotted `key`, oldest first."""
        return [_write(entry) for entry in self._writes.get(key, ())]

    def last(self, key: str) -> Write | None:
        """Return the write that gave `key` the value it has."""
        writes = self._writes.get(key)
        return _write(writes[-1]) if writes else None

    def keys(self) -> list[str]:
        """Return every dotted key that was ever written, in the order of the first write."""
        return list(self._writes)

    def copy(self) -> History:
        """Return a history that goes its own way from here."""
        other = History(self.name)
        other._writes = {key: list(writes) for key, writes in self._writes.items()}
        return other

    def add(self, key: str, writes: Iterable[Write]) -> None:
        """Add finished writes, as they come from another history or the store."""
        self._writes.setdefault(key, []).extend((key, write) for write in writes)

    def __getstate__(self) -> tuple[str | None, dict[str, list[Write]]]:
        return self.name, {key: self.writes(key) for key in self._writes}

    def __setstate__(self, state: tuple[str | None, dict[str, list[Write]]]) -> None:
        name, kept = state
        self.__init__(name)  # type: ignore[misc]
        for key, writes in kept.items():
            self.add(key, writes)

    def __deepcopy__(self, memo: dict[int, Any]) -> History:
        copied: History | None = memo.get(id(self))
        if copied is None:
            copied = memo[id(self)] = self.copy()
        return copied


def value_text(value: object) -> str:
    """Render a value in one short line, without addresses and without touching a device."""
    if type(value) is int and value.bit_length() > _MOST_BITS:
        return f"int of {value.bit_length()} bits"  # Python may refuse to spell it out
    if type(value) in PLAIN:
        return _cut(repr(value))
    if value is MISSING:
        return "(deleted)"
    if type(value) in (list, tuple, set, frozenset) and len(value) <= _LONGEST_CONTAINER:  # type: ignore[arg-type]
        return _cut(_container_text(value))
    if isinstance(value, dict) and len(value) <= _LONGEST_CONTAINER:
        items = (f"{key!r}: {value_text(item)}" for key, item in dict.items(value))
        return _cut("{" + ", ".join(items) + "}")
    return _cut(_object_text(value))


def printable(text: str) -> str:
    """Escape what would steer a terminal; line breaks and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def caller() -> tuple[str | None, int | None]:
    """Return file and line of the innermost frame outside Ato."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_own(frame):
        frame = frame.f_back
    return (None, None) if frame is None else (shown_path(frame.f_code.co_filename), frame.f_lineno)


def _is_own(frame: FrameType) -> bool:
    """Whether a frame runs code of Ato's. To ask for its `f_code` would raise an audit event."""
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.startswith(_OWN)


def dotted(prefix: str, key: object) -> str:
    """Append a key to a dotted path; a key that is no plain text stands in brackets.

    So `{'a': {'b': 1}}` has the path `a.b`, and `{'a.b': 1}` has `['a.b']`.
    """
    if isinstance(key, str) and (key.isidentifier() or (key and _SPECIAL.isdisjoint(key))):
        return f"{prefix}.{key}" if prefix else key
    return f"{prefix}[{key!r}]"


def shown_path(filename: str) -> str:
    """Return a file's path relative to the working folder if it lies below it, else as given."""
    path = Path(filename)
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix() if path.is_absolute() else filename
    except (ValueError, OSError):
        return filename


def explain(key: str, writes: list[Write]) -> str:
    """Say in text who set `key`, and what lost.

    lr = 0.01
      set by the command line: lr=0.01 (argument 3)
      over   0.1    view high_lr, train.py:18
      over   0.001  view defaults, train.py:12
    """
    if not writes:
        return f"{key}: no write is recorded"
    last, earlier = writes[-1], writes[-2::-1]
    the = "the " if last.origin.kind == "cli" else ""
    verb = "deleted by" if last.type == DELETED else "set by"
    lines = [f"{key} = {last.value_text}", f"  {verb} {the}{last.origin}{_derived(last)}"]
    rows = [_over(list(run)) for _, run in groupby(earlier, lambda w: (w.origin, w.derived_from))]
    if writes[0].replaced_text is not None:
        rows.append(
            (_shortened(writes[0].replaced_text, _WIDEST_COLUMN), "before that was recorded")
        )
    width = max((len(text) for text, _ in rows), default=0)
    lines += [f"  over   {text:<{width}}  {who}" for text, who in rows]
    return "\n".join(lines)


def _over(run: list[Write]) -> tuple[str, str]:
    """What lost, and who had set it; writes of one line, as a loop makes them, are told together."""
    newest, oldest = run[0], run[-1]
    text = _shortened(newest.value_text, _WIDEST_COLUMN)
    who = f"{newest.origin}{_derived(newest)}"
    if len(run) < 3:
        return text, who
    return f"{text} … {_shortened(oldest.value_text, _WIDEST_COLUMN)}", f"{who} ({len(run)} writes)"


def _derived(write: Write) -> str:
    names = write.derived_from
    if not names:
        return ""
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"; derived from {shown}" + (f" and {more} more" if more > 0 else "")


def _container_text(value: Any) -> str:
    texts = [value_text(item) for item in value]
    match value:
        case list():
            return f"[{', '.join(texts)}]"
        case tuple():
            return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
        case _:
            # The order of a set differs between processes; the text must not.
            inner = f"{{{', '.join(sorted(texts))}}}" if texts else "set()"
            return inner if isinstance(value, set) else f"frozenset({inner})"


def _object_text(value: Any) -> str:
    kind = type(value)
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple):
        return f"{kind.__name__} {'' if dtype is None else f'{dtype} '}{tuple(shape)}"
    named = getattr(value, "__qualname__", None)
    if isinstance(named, str):
        return f"{getattr(value, '__module__', None) or kind.__module__}.{named}"
    text = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{kind.__name__} of {len(value)}"
    # A default repr holds an address; one that the class wrote is what its author wants shown.
    if kind.__repr__ is _DEFAULT_REPR:
        return text
    try:
        return _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 (the author's own code; to note a write must not fail)
        return kind.__name__


def _cut(text: str) -> str:
    return _shortened(text.replace("\n", "\\n"), _LONGEST_TEXT)


def _shortened(text: str, width: int) -> str:
    """Cut a text to `width`, between the items of a container, and close what was opened."""
    if len(text) <= width:
        return text
    closing = {"[": "]", "(": ")", "{": "}", "'": "'", '"': '"'}.get(text[0], "")
    kept = text[: width - 1 - len(closing)]
    if closing in ("]", ")", "}") and ", " in kept:
        kept = kept[: kept.rindex(", ") + 2]
    return f"{kept}…{closing}"


def _shown(value: object) -> object:
    if value is MISSING:
        return value
    name = "dict" if isinstance(value, dict) else type(value).__name__
    try:
        return _Shown(value_text(value), name)
    except Exception:  # noqa: BLE001 (a broken __repr__ of the user's must not break a write)
        return _Shown(name, name)


def _write(entry: _Kept) -> Write:
    if len(entry) == 2:
        return entry[1]
    key, value, old, source, code, instruction, read_count = entry
    text, kind = _described(value)
    replaced = None if old is MISSING else _described(old)[0]
    if isinstance(source, FileSource):
        source = source.origin(key)
    if isinstance(source, Origin):
        return Write(text, kind, source, replaced)
    file, line = None, None
    if code is not None:
        file, line = shown_path(code.co_filename), _line(code, instruction)
    if source is None:
        name = "" if code is None or code.co_name == "<module>" else code.co_name
        return Write(text, kind, Origin("code", name, file, line), replaced)
    own = (source.config, key)
    derived = dict.fromkeys(full_key(*read) for read in source.reads[:read_count] if read != own)
    return Write(text, kind, Origin(source.kind, source.text, file, line), replaced, tuple(derived))


def _described(value: object) -> tuple[str, str]:
    if isinstance(value, _Shown):
        return value.text, value.type
    if value is MISSING:
        return "(deleted)", DELETED
    return value_text(value), type(value).__name__


def _line(code: CodeType, instruction: int) -> int:
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end:
            return number if number is not None else line
        line = number if number is not None else line
    return line
