"""Follow live functions, classes and values through everything of the project's own they reach."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any

from ato.code.bytecode import digest_code, loaded_names, qualified_name
from ato.code.definitions import Definition
from ato.code.digests import logic_digest, plain_digest
from ato.code.graph import Decoration, Key, Node, State
from ato.code.held import (
    MADE_BY_PYTHON,
    PLAIN_CONTAINERS,
    SEARCHED,
    Content,
    attribute_value,
    bounded,
    cell_content,
    cell_value,
    default_value,
    defaults_of,
    global_value,
    has_source,
    is_data,
    is_state,
    mangled,
    name_of,
)
from ato.code.kinds import (
    ato_trace_id,
    code_parts,
    is_ato,
    is_builtin,
    is_plain,
    items_of,
    no_state,
    wrapped_by_ato,
)
from ato.code.modules import MISSING, Module, Modules
from ato.code.names import Names
from ato.code.project import Roots, distributions_of, origin_of, relative_path
from ato.code.source import Source, find_definition

__all__ = ["Walk"]

_VALUE_WIDTH = 80


class Walk:
    """One walk: nodes by module and name, and what is still to be looked into."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.modules = Modules(roots)
        self.names = Names(self)
        self.nodes: dict[Key, Node] = {}
        self.root_code: object = None
        self.root_class: type | None = None
        self.receiver: type | None = None
        self._todo: list[Callable[[], None]] = []
        self._met: dict[int, tuple[object, Node | None]] = {}
        self._held: set[Key] = set()
        self._valued: set[Key] = set()
        self.stated: dict[tuple[Key, tuple[str, int, int]], tuple[Source, Definition]] = {}

    def finish(self) -> None:
        """Look into everything that was met, until nothing new turns up."""
        while self._todo:
            self._todo.pop()()

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
            return self._reach_class(holder, label, value, at_call)
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
        return self._search(holder, label, value, at_call)

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
        if id(value) in self._met:
            return self._met[id(value)][1]
        self._met[id(value)] = (value, None)
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
        self._met[id(value)] = (value, node)
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
        node = self._node(module, definition.name, "function", source.path)
        self._todo.append(lambda: self._look_into_function(node, module, source, definition, fn))
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
            return self.value(module, holder.name)
        return self.static(module, source, holder)

    def _function_by_bytecode(self, module: Module, fn: FunctionType, reason: str) -> Node:
        code = fn.__code__
        node = self._node(module, qualified_name(code), "function", code.co_filename)
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

        self._todo.append(look)
        return node

    def _look_into_function(
        self, node: Node, module: Module, source: Source, definition: Definition, fn: FunctionType
    ) -> None:
        self._place(node, module, source, definition, fn)
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
                get = functools.partial(default_value, fn, name)
                node.states.append(State(name, "default", get))
            contents.append(content)
        if capture and contents:
            node.contents.add(logic_digest(("defaults", tuple(contents))))

    # Classes

    def _reach_class(self, holder: Node, label: str, klass: type, at_call: bool) -> Content:
        node = self.klass(holder, klass)
        if node is None:
            return ("class", klass.__module__, klass.__qualname__)
        holder.link(label, node, at_call)
        return ("code", *node.key)

    def klass(self, holder: Node, klass: type) -> Node | None:
        """The node of a class of the project's; `None` for any other."""
        module = self.module_of_class(klass)
        if module is None or (
            klass is not self.root_class and self.origin_of_class(module, klass) != "project"
        ):
            self.external(holder, klass.__module__)
            return None
        key = (module.name, klass.__qualname__)
        if id(klass) in self._met:
            return self._met[id(klass)][1]
        node = self._node(module, key[1], "class", module.path or "")
        self._met[id(klass)] = (klass, node)
        self._todo.append(lambda: self._look_into_class(node, module, klass))
        return node

    def module_of_class(self, klass: type) -> Module | None:
        """The module that a class says it is from; `None` if that is not loaded."""
        loaded = sys.modules.get(klass.__module__)
        if loaded is None:
            return None
        return self.modules.of_namespace(vars(loaded), getattr(loaded, "__file__", None) or "")

    def origin_of_class(self, module: Module, klass: type) -> str:
        """Whose a class is."""
        if module.path is None and klass.__module__ == "__main__":
            return "project"
        return origin_of(klass.__module__, module.path or None, self.roots)

    def _look_into_class(self, node: Node, module: Module, klass: type) -> None:
        definition = module.definition_named(klass.__qualname__)
        source = module.source
        members = vars(klass)
        stated: set[str] = set()
        if definition is None or source is None or source.definitions is None:
            # Made at run time (a named tuple, `type(...)`), or typed where no source is kept.
            plain = tuple(
                (name, plain_digest(value))
                for name, value in sorted(members.items())
                if is_plain(value) and name not in MADE_BY_PYTHON
            )
            node.parts["", 0, 0] = logic_digest(("class", plain))
        else:
            self._place(node, module, source, definition, None)
            for index in definition.nested:
                nested = source.definitions.definitions[index]
                name = nested.name.rpartition(".")[2]
                stated.update((name, mangled(klass.__qualname__, name)))
                self._class_member(node, module, source, nested, klass)
        for name, value in members.items():
            if name not in stated and has_source(value):
                self.reach(node, name, value)
        for number, base in enumerate(klass.__bases__):
            if base is not object:
                self.reach(node, f"base {number}", base)
        if type(klass) is not type:
            self.reach(node, "metaclass", type(klass))

    def _class_member(
        self, node: Node, module: Module, source: Source, nested: Definition, klass: type
    ) -> None:
        name = nested.name.rpartition(".")[2]
        value = vars(klass).get(mangled(klass.__qualname__, name), MISSING)
        if nested.kind == "value":
            node.link(name, self.attribute(module, source, nested, klass, value))
        elif value is MISSING:
            node.link(name, self.static(module, source, nested))
        else:
            self.reach(node, name, value)

    def attribute(
        self, module: Module, source: Source, definition: Definition, owner: Any, value: Any
    ) -> Node:
        """The node of an attribute of a class or function, with the value that it has now."""
        node = self.static(module, source, definition)
        if value is not MISSING and not is_ato(value) and (node.key not in self._held):
            self._held.add(node.key)
            if is_state(self._hold(node, value)):
                name = definition.name.rpartition(".")[2]
                get = functools.partial(attribute_value, owner, mangled(name_of(owner), name))
                node.states.append(State(name, "global", get))
        return node

    # Definitions in source

    def static(self, module: Module, source: Source, definition: Definition) -> Node:
        """The node of a definition that is known by its source only."""
        kind = "function" if definition.kind == "lambda" else definition.kind
        node = self._node(module, definition.name, kind, source.path)
        self._todo.append(lambda: self._place(node, module, source, definition, None))
        return node

    def _place(
        self,
        node: Node,
        module: Module,
        source: Source,
        definition: Definition,
        fn: FunctionType | None,
    ) -> None:
        """Add what stands in the source, and follow the names in it."""
        place = (source.path, definition.line, definition.column or 0)
        if (node.key, place) in self.stated:
            return
        self.stated[node.key, place] = (source, definition)
        node.parts[place] = definition.own
        node.text[place] = source.lines(definition)
        node.normalised[place] = definition.normalised
        node.line = min(node.line, definition.line) if node.line else definition.line
        # A class and a function meet what they name when they are called; a value met it once.
        at_call = definition.kind in ("function", "lambda", "class")
        for gap in definition.gaps:
            node.gaps.add(f"{node.key[0]}.{node.key[1]}: {gap}")
        for chain in definition.references:
            self.names.follow(node, module, chain, at_call)
        for level, name, attribute, attributes in definition.imports:
            label = f"import {'.' * level}{name} {attribute or ''}"
            self.names.follow_import(
                node, label, module, (level, name, attribute), attributes, at_call
            )
        for class_name, attribute, through_super in definition.members:
            self.names.follow_member(node, module, source, class_name, attribute, through_super)
        if definition.kind != "class" and source.definitions is not None:
            for number, index in enumerate(definition.nested):
                nested = source.definitions.definitions[index]
                node.link(f"nested {number}", self.static(module, source, nested))
        if definition.kind == "class" and source.definitions is not None and fn is None:
            self._place_members(node, module, source, definition)
        self._decorators(node, module, definition, place)
        if definition.kind in ("function", "class") and source.definitions is not None:
            for index in module.binding(definition.name).attributes:
                attribute = source.definitions.definitions[index]
                owner = module.lookup(definition.name)
                held = getattr(owner, "__dict__", {}).get(attribute.name.partition(".")[2], MISSING)
                node.link(attribute.name, self.attribute(module, source, attribute, owner, held))

    def _place_members(
        self, node: Node, module: Module, source: Source, definition: Definition
    ) -> None:
        """The members of a class that is not loaded, or is made anew by each call of a function."""
        if module.lookup(definition.name) is not MISSING:
            return
        for index in definition.nested:
            nested = source.definitions.definitions[index]  # type: ignore[union-attr]
            node.link(nested.name.rpartition(".")[2], self.static(module, source, nested))

    def _decorators(
        self, node: Node, module: Module, definition: Definition, place: tuple[str, int, int]
    ) -> None:
        for number, decorator in enumerate(definition.decorators):
            root = decorator.callee.partition(".")[0]
            value = module.value(root) if root else MISSING
            if decorator.from_ato or (value is not MISSING and is_ato(value)):
                continue
            label = f"decorator {decorator.callee}"
            if decorator.callee in decorator.references:
                # Its arguments are in the closure of what it returned, or in its own encoding.
                self.names.follow(node, module, decorator.callee, at_call=False, label=label)
            for level, name, attribute, after in decorator.imports:
                target = (level, name, attribute)
                self.names.follow_import(node, label, module, target, after, at_call=False)
            made = [key for at, key in node.edges if at == label]
            node.decorators[*place, number] = Decoration(
                decorator.logic, decorator.callee, made[0] if made else None
            )
        value = module.lookup(definition.name)
        if definition.decorators and isinstance(value, FunctionType) and not is_ato(value):
            # A decorator that does not say what it wraps: what it made stands under the name.
            wrapper = self.function(node, value)
            if wrapper is not None and wrapper is not node:
                node.link("wrapper", wrapper)

    # Values

    def value(self, module: Module, name: str, hold: bool = True) -> Node:
        """The node of a module-level name that is no function and no class.

        With `hold` the present value counts too: itself if it is plain, else the code that it holds.
        """
        key = (module.name, name)
        node = self._node(module, name, "value", module.path or "")
        value = module.value(name)
        binding = module.binding(name)
        if hold and key not in self._held:
            self._held.add(key)
            imported = binding.value is not None and not binding.assigned
            # What an import brings in is followed by whoever names it.
            if module.rebinds(name):
                self._todo.append(lambda: self._hold_state(node, module, name, value))
            elif value is not MISSING and not imported and not is_ato(value):
                self._todo.append(lambda: self._hold_global(node, module, name, value))
        if key in self._valued:
            return node
        self._valued.add(key)
        source = module.source
        if binding.value is None or source is None or source.definitions is None:
            node.parts["", 0, 0] = logic_digest(("unbound in its file", name))
        else:
            definition = source.definitions.definitions[binding.value]
            self._todo.append(lambda: self._place(node, module, source, definition, None))
        return node

    def _hold_global(self, node: Node, module: Module, name: str, value: Any) -> None:
        content = self._hold(node, value)
        if content[0] == "code" and self._tells_all(value):
            # `inner = closed(3)`: the 3 is charged to the function that holds it, and only there.
            node.told_by = logic_digest(("holds", content))
        if is_state(content):
            self._read_state(node, module, name)

    def _hold_state(self, node: Node, module: Module, name: str, value: Any) -> None:
        """A name that functions rebind is state, also where it is unbound or plain at present."""
        if is_ato(value):
            return
        if value is not MISSING:
            self.reach(node, "holds", value)
        self._read_state(node, module, name)

    def _read_state(self, node: Node, module: Module, name: str) -> None:
        if module.namespace is not None:
            get = functools.partial(global_value, module.namespace, name)
            node.states.append(State(name, "global", get))

    def _tells_all(self, value: Any) -> bool:
        """Whether a closure of the project's is seen whole: function, plain values, other code."""
        if not isinstance(value, FunctionType) or not value.__closure__:
            return False
        held = [cell_value(cell) for cell in value.__closure__]
        return self.is_own(value) and all(
            is_plain(item) or isinstance(item, (FunctionType, type)) for item in held
        )

    def _hold(self, node: Node, value: Any) -> Content:
        """A value's node has the plain value itself, and the code that the value holds."""
        content = self.reach(node, "holds", value)
        if content[0] == "plain":
            node.contents.add(content[1])
            text = repr(value)
            node.value = text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 1]}…"
        return content

    def _search(self, holder: Node, label: str, value: Any, at_call: bool) -> Content:
        """Look for functions and classes inside containers and instances."""
        if no_state(value):
            self.reach(holder, f"{label} is", type(value), at_call)
            return ("member", value.name) if isinstance(value, Enum) else ("no state",)
        state = False
        found = 0
        seen: set[int] = set()
        queue: list[tuple[str, Any, bool]] = [(label, value, True)]
        for path, item, mutable in queue:
            if is_plain(item):
                state = state or mutable
                continue
            if id(item) in seen:
                continue
            seen.add(id(item))
            found += 1
            if found > SEARCHED:
                holder.gaps.add(
                    f"{holder.key[0]}.{holder.key[1]}: too large to be searched for code"
                )
                break
            inside = items_of(item)
            if inside is None and not is_data(item):
                state = is_state(self.reach(holder, path, item, at_call)) or state
                continue
            if inside is not None:
                queue.extend(bounded(path, inside, not isinstance(item, (tuple, frozenset))))
                state = state or (not item and not isinstance(item, (tuple, frozenset)))
            if type(item) not in PLAIN_CONTAINERS:
                state = True
                self.reach(holder, f"{path} is", type(item), at_call)
                own = getattr(item, "__dict__", None)
                if isinstance(own, dict):
                    queue.extend(bounded(path, iter(own.items()), False))
        return ("state",) if state else ("holds code",)

    # Small things

    def external(self, node: Node, module: str) -> None:
        """Note the distribution of somebody else's module."""
        if self.modules.origin(module) == "other":
            node.distributions.update(distributions_of(module))

    def _node(self, module: Module, name: str, kind: Any, path: str) -> Node:
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
