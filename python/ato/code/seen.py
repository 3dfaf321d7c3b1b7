"""What a walk looked at, so that it need not be repeated while all of that is as it was.

Names, functions, classes and containers are compared by identity, which a microsecond does for
dozens of them. A walk that looked at very much is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import is_
from types import FunctionType
from typing import Any

from ato.code.kinds import PLAIN_CONTAINERS, is_plain, items_of, only_scalars
from ato.code.model import CodeFingerprint
from ato.code.project import Roots, project_roots
from ato.events import quiet_reads

__all__ = ["KeptCode", "Seen"]

_MOST = 2_000  # things of all kinds; more would cost as much to compare as a walk does
_ABSENT = object()


class Seen:
    """The names and things of one walk, as they were then. It keeps all of them alive."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[dict[str, Any], str, object]] = {}
        self._things: dict[int, tuple[object, tuple[object, ...]]] = {}
        self._left = _MOST
        # The folders of the project, where a walk asked for them: they depend on the current one.
        self.roots: Roots | None = None

    def name(self, namespace: dict[str, Any], name: str) -> None:
        """Take down what a name is bound to, or that it is not."""
        key = (id(namespace), name)
        if key not in self._names:
            self._names[key] = (namespace, name, namespace.get(name, _ABSENT))
            self._left -= 1

    def thing(self, value: object) -> None:
        """Take down what a function, class, container or instance holds."""
        if self._left > 0 and id(value) not in self._things:
            parts = tuple(_parts(value, self._left))
            self._things[id(value)] = value, parts
            self._left -= len(parts) + 1

    @quiet_reads()
    def is_current(self, roots: Roots | None = None) -> bool:
        """Whether a walk would meet the same again; `roots` are those of now, if they are known."""
        return (
            self._left > 0
            and (self.roots is None or self.roots == (roots or project_roots()))
            and all(
                namespace.get(name, _ABSENT) is value
                for namespace, name, value in self._names.values()
            )
            and all(_is_same(value, parts) for value, parts in self._things.values())
        )


class KeptCode:
    """The code behind something, found out again only where something of it has changed."""

    def __init__(self, find: Callable[[Seen], CodeFingerprint | None]) -> None:
        self._find = find
        self._seen: Seen | None = None
        self._code: CodeFingerprint | None = None

    def get(self, roots: Roots | None = None) -> CodeFingerprint | None:
        """The code as it is now; `roots` are the project's folders, if the caller has just asked."""
        if not self.is_current(roots):
            self.forget()
            seen = Seen()
            self._code, self._seen = self._find(seen), seen
        return self._code

    def is_current(self, roots: Roots | None = None) -> bool:
        """Whether what was found is the code as it is now."""
        return self._seen is not None and self._seen.is_current(roots)

    def forget(self) -> None:
        """Let go of what was found, and of all that was looked at for it."""
        self._seen = self._code = None


def _is_same(value: object, parts: tuple[object, ...]) -> bool:
    now = tuple(_parts(value, len(parts) + 1))
    return len(now) == len(parts) and all(map(is_, now, parts))


def _parts(value: Any, most: int) -> Iterator[object]:
    """What a walk reads of a thing; of the plain data in a container no more than that there is some."""
    if isinstance(value, FunctionType):
        yield from (value.__code__, value.__defaults__)
        yield from (value.__kwdefaults__ or {}).values()
        yield from map(_content, value.__closure__ or ())
        yield from value.__dict__.values()
        return
    if isinstance(value, type):
        yield from value.__bases__
        yield from vars(value).values()
        return
    yield type(value)
    if type(value) in PLAIN_CONTAINERS and only_scalars(value):
        yield bool(value)  # data, and there may be much of it
        return
    items = items_of(value)
    own = [item for _, item in items] if items is not None else []
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict) and "__wrapped__" in attributes:
        yield from attributes.values()  # a decorator that is an instance: they are its arguments
    elif isinstance(attributes, dict):
        own += attributes.values()
    plain = False
    for item in own:
        if most <= 0:
            return
        if is_plain(item):
            plain = True
        else:
            most -= 1
            yield item
    yield plain


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _ABSENT
