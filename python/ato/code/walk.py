"""Follow live functions, classes and values through everything of the project's own they reach."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ato.code.bytecode import digest_code, loaded_names, qualified_name
from ato.code.classes import Classes
from ato.code.definitions import Definition
from ato.code.digests import logic_digest, plain_digest
from ato.code.graph import Key, Node, State
from ato.code.held import (
    Content,
    cell_content,
    cell_value,
    default_value,
    defaults_of,
    is_state,
    name_of,
)
from ato.code.kinds import (
    ato_trace_id,
    code_parts,
    is_ato,
    is_builtin,
    is_plain,
    items_of,
    wrapped_by_ato,
)
from ato.code.modules import MISSING, Module, Modules
from ato.code.names import Names
from ato.code.placing import Placing
from ato.code.project import Roots, distributions_of, origin_of, relative_path
from ato.code.seen import Seen
from ato.code.source import Source, find_definition
from ato.code.values import Values

__all__ = ["Walk"]


class Walk:
    """One walk: nodes by module and name, and what is still to be looked into."""

    def __init__(self, roots: Roots, seen: Seen) -> None:
        self.roots = roots
        self.seen = seen
        self.modules = Modules(roots, seen)
        self.names = Names(self)
        self.classes = Classes(self)
        self.values = Values(self)
        self.placing = Placing(self)
        self.nodes: dict[Key, Node] = {}
        self.root_code: object = None
        self.root_class: type | None = None
        self.receiver: type | None = None
        self.todo: list[Callable[[], None]] = []
        self.met: dict[int, tuple[object, Node | None]] = {}
        self.held: set[Key] = set()
        self.stated: dict[tuple[Key, tuple[str, int, int]], tuple[Source, Definition]] = {}

    def finish(self) -> None:
        """Look into everything that was met, until nothing new turns up."""
        while self.todo:
            self.todo.pop()()

    # Live objects

    def reach(self, holder: Node, label: str, value: Any, at_call: bool = True) -> Content:
        """Follow a live object that `holder` refers to, and say what it adds to the holder."""
        if is_plain(value):
            return ("plain", plain_digest(value))
        inner = wrapped_by_ato(value)
        if inner is not None:
            return self._reach_traced(holder, label, value, inner, at_call)
        if is_ato(value):
            return ("ato",)
        if isinstance(value, ModuleType):
            self.names.follow_module(holder, label, value.__name__, [], at_call)
            return ("module", value.__name__)
        if isinstance(value, type):
            return self.classes.reach(holder, label, value, at_call)
        if isinstance(value, functools.partial):
            return self._reach_partial(holder, label, value, at_call)
        if isinstance(value, MethodType):
            content = self.reach(holder, label, value.__func__, at_call)
            of = self.reach(holder, f"{label}.__self__", value.__self__, at_call)
            return ("method", content, of)
        parts = code_parts(value)
        if parts is not None:
            return ("parts", *(self.reach(holder, label, part, at_call) for part in parts))
        if isinstance(value, FunctionType) or "__wrapped__" in getattr(value, "__dict__", {}):
            return self._reach_function(holder, label, value, at_call)
        if is_builtin(value):
            owner = getattr(value, "__module__", None) or _class_of_builtin(value).__module__
            self.external(holder, owner)
            if self.modules.origin(owner) == "project":
                holder.gaps.add(
                    f"{owner}.{value.__qualname__}: it is not written in Python; it counts by its name"
                )
            return ("builtin", owner, value.__qualname__)
        return self.values.search(holder, label, value, at_call)

    def _reach_traced(
        self, holder: Node, label: str, wrapper: Any, inner: Any, at_call: bool
    ) -> Content:
        content = self.reach(holder, label, inner, at_call)
        trace_id = ato_trace_id(wrapper)
        if trace_id is not None and content[0] == "code":
            self.nodes[content[1], content[2]].traced = trace_id
        return content

    def _reach_partial(
        self, holder: Node, label: str, value: functools.partial[Any], at_call: bool
    ) -> Content:
        parts: list[Content] = [self.reach(holder, label, value.func, at_call)]
        for number, argument in enumerate(value.args):
            parts.append(self.reach(holder, f"{label} argument {number}", argument, at_call))
        for name, argument in value.keywords.items():
            content = self.reach(holder, f"{label} argument {name}", argument, at_call)
            parts.append(("keyword", name, content))
        return ("partial", *parts)

    def _reach_function(self, holder: Node, label: str, value: Any, at_call: bool) -> Content:
        """Refer to the innermost function of a stack of wrappers, and through it to the wrappers."""
        node = self.function(holder, value)
        if node is None:
            return ("builtin", str(getattr(value, "__module__", "")), name_of(value))
        holder.link(label, node, at_call)
        return ("code", *node.key)

    def function(self, holder: Node, value: Any) -> Node | None:
        """The node of a function; of a decorated one, that of the function that is wrapped."""
        if id(value) in self.met:
            return self.met[id(value)][1]
        self.met[id(value)] = (value, None)
        self.seen.thing(value)
        own = self._function_itself(holder, value) if isinstance(value, FunctionType) else None
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        inner = wrapped_by_ato(wrapped) if wrapped is not None else None
        node = own
        if wrapped is not None and not is_ato(inner or wrapped):
            below = self.function(holder, inner or wrapped)
            if below is not None:
                if inner is not None:
                    below.traced = ato_trace_id(wrapped) or below.traced
                node = below
        if node is not None and own is not None and own is not node:
            node.link("wrapper", own)
        elif node is not None and own is None and not isinstance(value, FunctionType):
            self._wrapper_instance(node, value)
        self.met[id(value)] = (value, node)
        return node

    def _wrapper_instance(self, node: Node, value: Any) -> None:
        """A decorator that is a class: the wrapper is an instance, its attributes the arguments."""
        content = self.reach(node, "wrapper", type(value))
        if content[0] == "code":
            held = [
                (name, plain_digest(item))
                for name, item in sorted(vars(value).items())
                if is_plain(item) and not name.startswith("__")
            ]
            self.nodes[content[1], content[2]].contents.add(logic_digest(("holds", tuple(held))))

    def _function_itself(self, holder: Node, fn: FunctionType) -> Node | None:
        code = fn.__code__
        file = code.co_filename
        module = self.modules.of_namespace(fn.__globals__, file)
        if code is not self.root_code:
            origin = self._origin_of_function(module, fn)
            if origin != "project":
                if origin == "other":
                    holder.distributions.update(distributions_of(fn.__globals__["__name__"]))
                self._search_foreign_closure(holder, fn)
                return None
        found = find_definition(fn)
        if isinstance(found, str):
            return self._function_by_bytecode(module, fn, found)
        source, definition = found
        if definition.holder is not None and code is not self.root_code:
            return self._holder_of_lambda(module, source, definition)
        node = self.node_of(module, definition.name, "function", source.path)
        self.todo.append(lambda: self._look_into_function(node, module, source, definition, fn))
        return node

    def is_own(self, fn: FunctionType) -> bool:
        """Whether a function is the project's own."""
        module = self.modules.of_namespace(fn.__globals__, fn.__code__.co_filename)
        return self._origin_of_function(module, fn) == "project"

    def _origin_of_function(self, module: Module, fn: FunctionType) -> str:
        name = fn.__globals__.get("__name__")
        file = fn.__code__.co_filename
        if file.startswith("<") or not file.endswith(".py"):
            file = fn.__globals__.get("__file__") or ""
        if not file and name in (None, "__main__"):
            return "project"  # typed at a prompt or in a notebook, or made by `exec`
        return origin_of(str(name), file or None, self.roots)

    def _search_foreign_closure(self, holder: Node, fn: FunctionType) -> None:
        """A wrapper of somebody else's may hold functions of the project's."""
        for cell in fn.__closure__ or ():
            held = cell_value(cell)
            if held is not MISSING and not is_plain(held):
                self._search_code_only(holder, held)

    def _search_code_only(self, holder: Node, held: Any) -> None:
        items = items_of(held)
        values = [held] if items is None else [value for _, value in items]
        for value in values:
            if isinstance(value, FunctionType):
                self.reach(holder, "held by a wrapper", value)

    def _holder_of_lambda(self, module: Module, source: Source, definition: Definition) -> Node:
        """A lambda in a module-level statement is part of the value that the statement binds."""
        assert source.definitions is not None  # the definition was found in it
        assert definition.holder is not None
        holder = source.definitions.definitions[definition.holder]
        if holder.kind == "value" and "." not in holder.name:
            return self.values.named(module, holder.name)
        return self.placing.static(module, source, holder)

    def _function_by_bytecode(self, module: Module, fn: FunctionType, reason: str) -> Node:
        code = fn.__code__
        node = self.node_of(module, qualified_name(code), "function", code.co_filename)
        place = (code.co_filename, code.co_firstlineno, 0)
        if place in node.parts:
            return node
        node.bytecode = digest_code(code)
        node.parts[place] = logic_digest(("bytecode", node.bytecode))
        node.line = node.line or code.co_firstlineno
        node.gaps.add(f"{node.key[0]}.{node.key[1]}: {reason}; fingerprinted by its bytecode")

        def look() -> None:
            chains, imported = loaded_names(code)
            for chain in chains:
                self.names.follow(node, module, chain)
            for name in imported:
                self.names.follow_module(node, name, name, [], at_call=True)
            self._closure(node, fn, list(code.co_freevars))
            self._defaults(node, fn, capture=True)

        self.todo.append(look)
        return node

    def _look_into_function(
        self, node: Node, module: Module, source: Source, definition: Definition, fn: FunctionType
    ) -> None:
        self.placing.place(node, module, source, definition, fn)
        free = [name for name in definition.captured if name in fn.__code__.co_freevars]
        self._closure(node, fn, free)
        self._defaults(node, fn, definition.defaults_capture)

    def _closure(self, node: Node, fn: FunctionType, free: list[str]) -> None:
        """Plain values of a closure count where they are held; mutable ones are state."""
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        held: list[Content] = []
        for number, name in enumerate(free):
            cell = cells[name]
            value = cell_value(cell)
            if value is MISSING:
                held.append(("empty",))
                continue
            content = self.reach(node, f"closure {number}", value)
            if is_state(content):
                node.states.append(
                    State(name, "closure", functools.partial(cell_content, cell, name))
                )
            held.append(content)
        if held:
            node.contents.add(logic_digest(("closure", tuple(held))))

    def _defaults(self, node: Node, fn: FunctionType, capture: bool) -> None:
        """Defaults stand in the source; their values count where an enclosing function gives them."""
        contents = []
        for number, (name, value) in enumerate(defaults_of(fn).items()):
            # A renamed positional parameter is another interface; its default is the same one.
            label = number if number < len(fn.__defaults__ or ()) else name
            content = self.reach(node, f"default {label}", value)
            if is_state(content):
                get = functools.partial(default_value, weakref.ref(fn), name)
                node.states.append(State(name, "default", get))
            contents.append(content)
        if capture and contents:
            node.contents.add(logic_digest(("defaults", tuple(contents))))

    def external(self, node: Node, module: str) -> None:
        """Note the distribution of somebody else's module."""
        if self.modules.origin(module) == "other":
            node.distributions.update(distributions_of(module))

    def node_of(self, module: Module, name: str, kind: Any, path: str) -> Node:
        """The node of a name in a module, new or known."""
        key = (module.name, name)
        node = self.nodes.get(key)
        if node is None:
            node = Node(key, kind, relative_path(path, self.roots), home=module)
            self.nodes[key] = node
        return node


def _class_of_builtin(value: Any) -> type:
    """The class that a built-in function or method belongs to: `dict` for `dict.get`."""
    bound = getattr(value, "__self__", None)
    owner = getattr(value, "__objclass__", None) if bound is None else type(bound)
    return owner if isinstance(owner, type) else type(value)
