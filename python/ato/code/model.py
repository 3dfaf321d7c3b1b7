"""What a code fingerprint is made of: units, the values that code reads, and how they hang together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["CodeFingerprint", "StateRef", "Unit", "UnitKind"]

UnitKind = Literal["function", "class", "value", "module"]


@dataclass(frozen=True)
class Unit:
    """A function, class, module-level name or module body of the project, as it is now.

    `module` is the name of the file's module (the entry script by its file's stem), `name` the
    qualified name of the code object, the name of a value, or `<module>`. `file` is relative to the
    project's root, in POSIX form. `text` is the source as written, `normalised` the same text in one
    fixed layout, without comments, docstrings and annotations: it is for reading and never hashed.
    `logic` is what this unit contributes by itself: its normalised code without that of the functions
    nested in it (they are units of their own), the decorators over it, the plain values that its
    closures hold. `deep` adds everything that it reaches. `value` shows a plain immutable
    module-level value; `traced` is the trace id if calls of this unit are recorded. `held` digests what
    each closure of this code holds: a wrapper has one for every function that it wraps.
    """

    module: str
    name: str
    kind: UnitKind
    file: str
    line: int
    text: str
    normalised: str
    logic: str
    deep: str
    value: str | None = None
    traced: str | None = None
    held: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """How an explanation names this unit: `data.augment`."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class StateRef:
    """A mutable value that code reads through a global, a closure or a default.

    `label` reads `global:model`, or `global:data.CACHE` where the name lives in another module than
    the fingerprinted function (a class's attribute: `global:Net.cache`); `closure:state`, or
    `closure:data.make.<locals>.step.state` where another function holds it; `default:seen`, or
    `default:data.load.seen`, for the mutable default of a parameter. `get` returns the present value and raises `LookupError` if the name
    is not bound any more.
    """

    label: str
    get: Callable[[], object]


@dataclass(frozen=True)
class CodeFingerprint:
    """The code of a function or class and of everything of the project's own that it reaches.

    `text` is the source as written; `logic` identifies the function's own computation (nested
    functions included, decorators not), `deep` that of everything reached; both are 64 hex digits.
    `bytecode` is set only where the source is missing, and `logic` is then made from it. `units[0]` is
    the function itself; `edges` are pairs of indices into `units`, from the one that refers to the
    one referred to. `gaps` says what could not be followed, `distributions` which third-party
    distributions are reached, `state` which mutable values are read.
    """

    text: str
    logic: str
    deep: str
    bytecode: str | None
    units: tuple[Unit, ...]
    edges: tuple[tuple[int, int], ...]
    gaps: tuple[str, ...]
    distributions: tuple[str, ...]
    state: tuple[StateRef, ...]
