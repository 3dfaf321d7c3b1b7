"""What one file defines, as plain data: the result of parsing it, kept in the cache."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Binding", "Decorator", "Definition", "FileDefinitions"]

DefinitionKind = Literal["function", "class", "lambda", "value", "module"]


@dataclass(slots=True)
class Decorator:
    """One decorator: its encoding's digest, the name it calls, and whether Ato made it."""

    logic: str
    callee: str
    from_ato: bool
    references: list[str] = field(default_factory=list)
    imports: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class Definition:
    """A function, class, lambda, module-level name or module body of a file.

    `own` digests what stands in the definition itself; functions nested in it are in `nested`, by
    index. `references` are global names with the attributes that follow (`data.augment`), `imports`
    those of names imported inside the function as [level, module, name, attributes], `members` those
    of a method's first parameter and of `super()` as [class, attribute, through super]. `captured`
    are the names taken from enclosing functions, in order of appearance. `spans` are the first
    and last lines, the first with decorators; `column` is set for lambdas. `holder` is the
    definition whose own encoding contains this lambda.
    """

    kind: DefinitionKind
    name: str
    own: str = ""
    spans: list[list[int]] = field(default_factory=list)
    column: int | None = None
    end_column: int | None = None
    line: int = 0
    normalised: str = ""
    references: list[str] = field(default_factory=list)
    imports: list[list[Any]] = field(default_factory=list)
    members: list[list[Any]] = field(default_factory=list)
    captured: list[str] = field(default_factory=list)
    defaults_capture: bool = False
    nested: list[int] = field(default_factory=list)
    decorators: list[Decorator] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    holder: int | None = None


@dataclass(slots=True)
class Binding:
    """How a module binds a name: functions and classes, a value definition, imports.

    `value` holds the assignments and the imports that rename; `assigned` says that there are
    assignments among them. `attributes` are value definitions of what is set on a function or class
    from outside of it.
    """

    definitions: list[int] = field(default_factory=list)
    value: int | None = None
    assigned: bool = False
    imports: list[list[Any]] = field(default_factory=list)
    attributes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class FileDefinitions:
    """All definitions of a file, the module-level names, and the modules it imports `*` from.

    `rebound` are the module-level names that some function declares `global`: state, whatever they
    are bound to at present.
    """

    definitions: list[Definition]
    bindings: dict[str, Binding]
    stars: list[list[Any]]
    module: int
    rebound: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the cache."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileDefinitions:
        """Read what `to_json` wrote; raises KeyError or TypeError for anything else."""
        definitions = []
        for item in data["definitions"]:
            item["decorators"] = [Decorator(**decorator) for decorator in item["decorators"]]
            definitions.append(Definition(**item))
        bindings = {name: Binding(**binding) for name, binding in data["bindings"].items()}
        return cls(definitions, bindings, data["stars"], data["module"], data["rebound"])
