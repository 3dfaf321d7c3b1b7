"""Views, and the order in which they apply."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ato.exceptions import ViewChainError
from ato.provenance import Origin
from ato.scope.lazy import Split
from ato.scope.suggestions import nearest

__all__ = ["Plan", "View", "in_order", "keys_set_by", "plan"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A named change of a config: a function, or a mapping that is merged in.

    `number` counts the views of a scope in the order of registration; `origin` is where a mapping
    was registered.
    """

    name: str
    function: Callable[[Any], Any] | None
    mapping: Mapping[Any, Any] | None
    split: Split | None
    priority: float
    lazy: bool
    default: bool
    chain: tuple[str, ...]
    number: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Plan:
    """The views that apply, before and after the command line's assignments."""

    eager: list[View]
    lazy: list[View]


def in_order(views: Iterable[View]) -> list[View]:
    """Sort views by priority, then by registration."""
    return sorted(views, key=lambda view: (view.priority, view.number))


def plan(views: Mapping[str, View], named: Sequence[str]) -> Plan:
    """Decide which views apply, and in which order.

    Default views come before named ones, each by priority; prerequisites come before what asks for
    them, each once. A lazy view stays lazy, also as a prerequisite.

    Args:
        views: all views of the scope.
        named: names from the command line, in its order; equal priorities keep it.

    Raises:
        ViewChainError: a prerequisite that does not exist, or a cycle; the chain is printed.
    """
    asked = [views[name] for name in dict.fromkeys(named) if not views[name].default]
    defaults = in_order(view for view in views.values() if view.default)
    roots = [*defaults, *sorted(asked, key=lambda view: view.priority)]
    order: list[View] = []
    for root in roots:
        _add(root, views, order, ())
    eager = [view for view in order if not view.lazy]
    # Only prerequisites of lazy views may stand behind a lazy view here, and they still apply
    # before the command line.
    return Plan(eager, _lazy_order([view for view in order if view.lazy], views))


def _add(view: View, views: Mapping[str, View], order: list[View], above: tuple[str, ...]) -> None:
    chain = (*above, view.name)
    if view.name in above:
        raise ViewChainError(
            f"chain_with goes in a circle: {' → '.join(chain)} ({view.origin.place})"
        )
    if view in order:
        return
    for name in view.chain:
        if name not in views:
            near = nearest(name, views)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ViewChainError(
                f"chain_with asks for a view that is not there: {' → '.join((*chain, name))} "
                f"({view.origin.place}){hint}"
            )
        _add(views[name], views, order, chain)
    order.append(view)


def _lazy_order(lazy: list[View], views: Mapping[str, View]) -> list[View]:
    """Sort lazy views by priority again: a prerequisite of an early view is early for it only."""
    order: list[View] = []
    for view in sorted(lazy, key=lambda view: view.priority):
        _add(view, views, order, ())
    return [view for view in order if view.lazy]


def keys_set_by(view: View) -> set[str]:
    """The dotted keys that a view sets, as far as its code says so without being run."""
    if view.mapping is not None:
        return {str(key) for key in view.mapping}
    code = getattr(view.function, "__code__", None)
    if code is None or not code.co_varnames:
        return set()
    found: set[str] = set()
    path: list[str] | None = None
    for instruction in dis.get_instructions(code):
        name, value = instruction.opname, instruction.argval
        if name.startswith("LOAD_FAST") or name == "LOAD_DEREF":
            last = value[-1] if isinstance(value, tuple) else value
            path = [] if last == code.co_varnames[0] else None
        elif path is None:
            continue
        elif name == "STORE_ATTR":
            found.add(".".join([*path, value]))
            path = None
        elif name == "LOAD_ATTR" or (name == "LOAD_CONST" and isinstance(value, str)):
            path.append(value)
        elif name == "STORE_SUBSCR":
            found.add(".".join(path))
            path = None
        elif name not in ("BINARY_SUBSCR", "BINARY_OP", "CACHE"):
            path = None
    return found
