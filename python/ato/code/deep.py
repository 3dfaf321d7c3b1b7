"""Put a code fingerprint together: walk, digest, and describe the units that were reached."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ato.code.definitions import Definition
from ato.code.digests import deep_digest, logic_digest
from ato.code.graph import Key, Node, deep_digests, reachable
from ato.code.kinds import ato_trace_id, code_parts, wrapped_by_ato
from ato.code.model import CodeFingerprint, StateRef, Unit
from ato.code.modules import MISSING
from ato.code.project import Roots, origin_of, project_roots
from ato.code.seen import Seen
from ato.code.source import Source, source_of_file
from ato.code.walk import Walk
from ato.events import quiet_reads
from ato.exceptions import UnsupportedValueError

__all__ = ["fingerprint_code", "is_project_object", "module_body"]


@quiet_reads()  # of the configs that the code holds
def fingerprint_code(
    obj: Any, *, roots: Sequence[str | Path] | None = None, seen: Seen | None = None
) -> CodeFingerprint:
    """Fingerprint a function, method, class, partial or decorated function as it is now.

    `roots` are the folders whose code counts as the project's own; by default the entry script's,
    the current one and those of editable installs. `obj` itself is followed wherever it lives. What
    was looked at joins `seen`.

    Raises:
        UnsupportedValueError: `obj` is not callable.
    """
    if not callable(obj) and code_parts(obj) is None:
        raise UnsupportedValueError(
            f"{type(obj).__qualname__} objects have no code to fingerprint; "
            "pass a function, a method, a class or a functools.partial"
        )
    walk = _walk(roots, seen)
    innermost = _innermost(obj)
    if isinstance(innermost, type):
        walk.root_class = innermost
    else:
        walk.root_code = getattr(innermost, "__code__", None)
    if isinstance(obj, MethodType):
        walk.receiver = obj.__self__ if isinstance(obj.__self__, type) else type(obj.__self__)
    holder = Node(("", ""), "function")
    content = walk.reach(holder, "root", innermost)
    if content[0] != "code":
        return _of_builtin(obj, content)
    root = walk.nodes[content[1], content[2]]
    if innermost is not obj:
        around = walk.reach(root, "decorated", obj)
        root.edges.pop(("decorated", root.key), None)
        if isinstance(obj, functools.partial):
            root.contents.add(logic_digest(("partial", _without_names(around))))
    root.distributions |= holder.distributions
    walk.finish()
    return _describe(walk, root.key)


@quiet_reads()
def module_body(module: ModuleType, *, seen: Seen | None = None) -> CodeFingerprint | None:
    """Fingerprint the statements of a script outside its functions and classes.

    The unit is named `<module>`. Returns `None` where there is no source, as at a prompt.
    What was looked at joins `seen`.
    """
    path = getattr(module, "__file__", None)
    source = None if path is None else source_of_file(path, vars(module))
    if path is None or source is None or source.definitions is None:
        return None
    walk = _walk(None, seen)
    home = walk.modules.of_namespace(vars(module), path)
    definitions = source.definitions
    root = walk.placing.static(home, source, definitions.definitions[definitions.module])
    walk.finish()
    return _describe(walk, root.key)


def is_project_object(obj: object, roots: Sequence[str | Path] | None = None) -> bool:
    """Whether a function or class is the project's own code."""
    target = _innermost(obj)
    if isinstance(target, FunctionType):
        file: str | None = target.__code__.co_filename
        namespace = target.__globals__
        if file is not None and file.startswith("<"):
            file = namespace.get("__file__")
        return origin_of(str(namespace.get("__name__")), file, _roots(roots)) == "project"
    if isinstance(target, type):
        module = sys.modules.get(target.__module__)
        file = getattr(module, "__file__", None)
        return origin_of(target.__module__, file, _roots(roots)) == "project"
    return False


def _roots(roots: Sequence[str | Path] | None) -> Roots:
    if roots is None:
        return project_roots()
    return tuple(str(Path(root).resolve()) for root in roots)


def _walk(roots: Sequence[str | Path] | None, seen: Seen | None) -> Walk:
    found = _roots(roots)
    seen = Seen() if seen is None else seen
    if roots is None:
        seen.roots = found
    return Walk(found, seen)


def _innermost(obj: Any) -> Any:
    """The function under all decorators, partials and descriptors."""
    seen: set[int] = set()
    while id(obj) not in seen:
        seen.add(id(obj))
        parts = code_parts(obj)
        if parts:
            obj = parts[0]
        elif isinstance(obj, functools.partial):
            obj = obj.func
        elif isinstance(obj, MethodType):
            obj = obj.__func__
        elif not isinstance(obj, type) and "__wrapped__" in getattr(obj, "__dict__", {}):
            obj = obj.__wrapped__
        elif (
            not isinstance(obj, type)
            and not hasattr(obj, "__code__")
            and hasattr(type(obj).__call__, "__code__")
        ):
            obj = type(obj)  # an instance that is called: its class is its code
    return obj


def _without_names(content: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a partial without the name of its function, which does not count."""
    return tuple(
        ("code",) if isinstance(part, tuple) and part and part[0] == "code" else part
        for part in content
    )


def _of_builtin(obj: Any, content: tuple[Any, ...]) -> CodeFingerprint:
    """A function written in C has no more than its name."""
    logic = logic_digest(content)
    name = getattr(obj, "__qualname__", type(obj).__qualname__)
    module = str(getattr(obj, "__module__", None) or "builtins")
    deep = deep_digest((logic,))
    unit = Unit(module, name, "function", "", 0, "", "", logic, deep)
    gap = f"{unit.subject}: it is not written in Python; it counts by its name"
    return CodeFingerprint("", logic, deep, None, (unit,), (), (gap,), (), ())


def _describe(walk: Walk, root: Key) -> CodeFingerprint:
    """Turn the graph into units, root first."""
    order = reachable(walk.nodes, root)
    nodes = {key: walk.nodes[key] for key in order}
    logic = {key: node.logic() for key, node in nodes.items()}
    deep = deep_digests(nodes, logic)
    at = {key: number for number, key in enumerate(order)}
    first = nodes[root]
    units = tuple(_unit(node, logic[node.key], deep[node.key]) for node in nodes.values())
    edges = sorted(
        {(at[key], at[target]) for key, node in nodes.items() for _, target in node.edges}
    )
    gaps = sorted(set().union(*(node.gaps for node in nodes.values())))
    distributions = sorted(set().union(*(node.distributions for node in nodes.values())))
    return CodeFingerprint(
        text=units[0].text,
        logic=_whole_logic(walk, first),
        deep=deep[root],
        bytecode=first.bytecode,
        units=units,
        edges=tuple(edges),
        gaps=tuple(gaps),
        distributions=tuple(distributions),
        state=_state(nodes, reachable(nodes, root, at_call=True), root),
    )


def _unit(node: Node, logic: str, deep: str) -> Unit:
    module, name = node.key
    return Unit(
        module=module,
        name=name,
        kind=node.kind,
        file=node.file,
        line=node.line,
        text="\n".join(node.text[place] for place in sorted(node.text)),
        normalised="\n".join(node.normalised[place] for place in sorted(node.normalised)),
        logic=logic,
        deep=deep,
        value=node.value,
        traced=node.traced or _trace_id(node),
        held=tuple(sorted(node.contents)),
    )


def _trace_id(node: Node) -> str | None:
    """The trace id under which a function's module knows it, if it was traced where it stands."""
    if node.kind != "function" or node.home is None:
        return None
    value: Any = node.home.lookup(node.key[1])
    parts = code_parts(value)
    value = parts[0] if parts else value
    for _ in range(100):
        if value is MISSING:
            return None
        inner = wrapped_by_ato(value)
        if inner is not None and (trace_id := ato_trace_id(value)) is not None:
            return trace_id
        value = inner or getattr(value, "__dict__", {}).get("__wrapped__", MISSING)
    return None


def _whole_logic(walk: Walk, node: Node) -> str:
    """A function's logic with that of the functions inside it, without its decorators."""
    owns = []
    for place, own in sorted(node.parts.items()):
        stated = walk.stated.get((node.key, place))
        owns.append(own if stated is None else _whole_definition(*stated))
    return owns[0] if len(owns) == 1 else logic_digest(("places", tuple(owns)))


def _whole_definition(source: Source, definition: Definition) -> str:
    definitions = source.definitions.definitions if source.definitions is not None else []
    if not definition.nested:
        return definition.own
    inside = []
    for number in definition.nested:
        nested = definitions[number]
        decorators = tuple(d.logic for d in nested.decorators if not d.from_ato)
        name = nested.name if definition.kind == "class" else ""
        inside.append((name, decorators, _whole_definition(source, nested)))
    if definition.kind == "class":
        inside.sort()
    return logic_digest(("whole", definition.own, tuple(inside)))


def _state(nodes: dict[Key, Node], called: list[Key], root: Key) -> tuple[StateRef, ...]:
    """The mutable values that a call reads, each with a label of its own."""
    found: dict[str, StateRef] = {}
    for key in called:
        module, name = key
        for state in nodes[key].states:
            if state.kind != "global":
                own = state.name if key == root else f"{module}.{name}.{state.name}"
                label = f"{state.kind}:{own}"
            else:
                label = f"global:{name if module == root[0] else f'{module}.{name}'}"
            plain, number = label, 2
            while label in found:
                label, number = f"{plain}#{number}", number + 1
            found[label] = StateRef(label, state.get)
    return tuple(found[label] for label in sorted(found))
