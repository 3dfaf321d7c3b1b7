"""Follow names: from a global, an import or an attribute to the unit that it stands for."""

from __future__ import annotations

import builtins
import sys
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from ato.code.definitions import Definition
from ato.code.graph import Node
from ato.code.held import has_source, mangled
from ato.code.kinds import is_ato, is_builtin, wrapped_by_ato
from ato.code.modules import MISSING, Module
from ato.code.source import Source

if TYPE_CHECKING:
    from ato.code.walk import Walk

__all__ = ["Names"]

# What every module has, and what the interpreter binds inside a class.
_OF_MODULES = frozenset(
    {"__file__", "__path__", "__cached__", "__builtins__", "__annotations__", "__class__"}
)


class Names:
    """The part of a walk that resolves what stands in the source, live where it can."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def follow(
        self, node: Node, module: Module, chain: str, at_call: bool = True, label: str = ""
    ) -> None:
        """Follow a global name, with the attributes after it, from inside `module`."""
        name, *attributes = chain.split(".")
        if not label:
            label = "own name" if node.key == (module.name, name) else chain
        value = module.value(name)
        if value is not MISSING and wrapped_by_ato(value) is None and is_ato(value):
            return
        binding = module.binding(name)
        if binding.value is not None and (not binding.definitions or binding.assigned):
            # What a script's own statements bound is their result, and no part of them.
            itself = node.key == (module.name, name)
            held = self.walk.values.named(module, name, hold=node.kind != "module" and not itself)
            if held is not node:
                node.link(f"{label} as bound", held, at_call)
        if isinstance(value, ModuleType):
            self.follow_module(node, label, value.__name__, attributes, at_call)
        elif binding.assigned:
            return  # the value's own node has what it holds
        elif binding.definitions:
            self._follow_definition(node, label, module, binding.definitions, value, at_call)
        elif binding.imports:
            for target in _taken(module, binding.imports, value):
                self.follow_import(node, label, module, target, attributes, at_call)
        elif value is not MISSING:
            self._follow_unstated(node, label, module, name, attributes, value, at_call)
        elif binding.value is None and self._is_unbound(module, name):
            node.gaps.add(f"{node.key[0]}.{node.key[1]}: {name} is bound nowhere in {module.name}")

    def _follow_definition(
        self,
        node: Node,
        label: str,
        module: Module,
        definitions: list[int],
        value: Any,
        at_call: bool,
    ) -> None:
        source = module.source
        if value is not MISSING:
            content = self.walk.reach(node, label, value, at_call)
            if content[0] not in ("state", "plain"):
                return
        if source is not None and source.definitions is not None:
            for index in definitions:
                definition = source.definitions.definitions[index]
                node.link(label, self.walk.placing.static(module, source, definition), at_call)

    def _is_unbound(self, module: Module, name: str) -> bool:
        definitions = module.definitions
        may_come_by_star = definitions is None or bool(definitions.stars)
        # A name that a function declares `global` is bound when that function is called.
        return not (may_come_by_star or hasattr(builtins, name) or module.rebinds(name)) and (
            name not in _OF_MODULES
        )

    def _follow_unstated(
        self,
        node: Node,
        label: str,
        module: Module,
        name: str,
        attributes: list[str],
        value: Any,
        at_call: bool,
    ) -> None:
        """A name that no statement of the file binds: a star import, or set from elsewhere."""
        definitions = module.definitions
        for level, star in definitions.stars if definitions is not None else ():
            target = module.absolute(level, star)
            if self.walk.modules.origin(target) == "project":
                found = self.walk.modules.named(target)
                if found is not None and found is not module and found.knows(name):
                    self.follow(node, found, ".".join([name, *attributes]), at_call, label)
                    return
            elif getattr(sys.modules.get(target), name, MISSING) is value:
                self.walk.external(node, target)
                return
        if name.startswith("__") or getattr(builtins, name, MISSING) is value:
            return
        if isinstance(value, (FunctionType, type, MethodType)) or is_builtin(value):
            self.walk.reach(node, label, value, at_call)
        else:
            node.link(label, self.walk.values.named(module, name), at_call)

    def follow_import(
        self,
        node: Node,
        label: str,
        module: Module,
        target: tuple[int, str, str | None],
        attributes: list[str],
        at_call: bool,
    ) -> None:
        """Follow what an import brings in."""
        level, name, attribute = target
        absolute = module.absolute(level, name)
        after = attributes if attribute is None else [attribute, *attributes]
        self.follow_module(node, label, absolute, after, at_call)

    def follow_module(
        self, node: Node, label: str, name: str, attributes: list[str], at_call: bool
    ) -> None:
        """Follow the attributes of a module; of somebody else's, note the distribution."""
        for at in range(len(attributes) + 1):
            if self.walk.modules.origin(name) != "project":
                self.walk.external(node, name)
                self._follow_patched(node, label, name, attributes[at:], at_call)
                return
            module = self.walk.modules.named(name)
            if at == len(attributes):
                return  # the module itself: it counts by its name
            attribute = attributes[at]
            submodule = f"{name}.{attribute}"
            value = MISSING if module is None else module.value(attribute)
            is_module = isinstance(value, ModuleType) and value.__name__ == submodule
            if module is not None and module.knows(attribute) and not is_module:
                self.follow(node, module, ".".join(attributes[at:]), at_call, label)
                return
            if module is not None and module.definitions is None and module.path:
                node.gaps.add(f"{name}: it has no source to follow")
                return
            if not is_module and self.walk.modules.named(submodule) is None:
                if module is not None and module.knows("__getattr__"):
                    self.follow(node, module, "__getattr__", at_call, label)
                    node.gaps.add(
                        f"{node.key[0]}.{node.key[1]}: what {name}.__getattr__() returns for "
                        f"{attribute!r} cannot be followed"
                    )
                return  # not bound: the name in the caller's own logic is all there is
            name = submodule

    def _follow_patched(
        self, node: Node, label: str, name: str, attributes: list[str], at_call: bool
    ) -> None:
        """A function of the project's may have been put in the place of a library's."""
        value: Any = sys.modules.get(name)
        for attribute in attributes:
            held = getattr(value, "__dict__", {})
            if isinstance(held, dict):
                self.walk.seen.name(held, attribute)
            value = held.get(attribute)
        if isinstance(value, FunctionType) and self.walk.is_own(value):
            self.walk.reach(node, label, value, at_call)

    def follow_member(
        self,
        node: Node,
        module: Module,
        source: Source,
        class_name: str,
        attribute: str,
        through_super: bool,
    ) -> None:
        """Follow `self.name` and `super().name` through the class, as far as that is known."""
        itself = node.key == (module.name, f"{class_name}.{attribute}") and not through_super
        label = "own name" if itself else f"{'super' if through_super else 'self'}.{attribute}"
        klass = module.lookup(class_name)
        if not isinstance(klass, type):
            self._follow_static_member(node, module, source, f"{class_name}.{attribute}", label)
            return
        line = klass.__mro__
        if through_super:
            line = line[1:]
        elif self.walk.receiver is not None and issubclass(self.walk.receiver, klass):
            line = self.walk.receiver.__mro__
        for owner in line:
            value = vars(owner).get(mangled(class_name, attribute), MISSING)
            home = self.walk.classes.module_of(owner)
            if home is None or self.walk.classes.origin_of(home, owner) != "project":
                if value is MISSING:
                    continue
                self.walk.external(node, owner.__module__)
                return
            # A dataclass's field without a default stands in the class body only.
            stated = _member_definition(home, owner, attribute)
            if value is MISSING and stated is None:
                continue
            if stated is not None and stated[1].kind == "value":
                node.link(label, self.walk.classes.attribute(home, *stated, owner, value))
            elif stated is not None or has_source(value):
                self.walk.reach(node, label, value)
            return
        if attribute != "__init__":
            # No class has it, so that it is made for each instance: by the constructor.
            self.follow_member(node, module, source, class_name, "__init__", False)

    def _follow_static_member(
        self, node: Node, module: Module, source: Source, qualified: str, label: str
    ) -> None:
        definitions = source.definitions.definitions if source.definitions is not None else []
        for name in (qualified, f"{qualified.rpartition('.')[0]}.__init__"):
            found = [definition for definition in definitions if definition.name == name]
            for definition in found:
                node.link(label, self.walk.placing.static(module, source, definition))
            if found:
                return


def _taken(
    module: Module, imports: list[list[Any]], value: Any
) -> list[tuple[int, str, str | None]]:
    """Of several imports of one name (`try: … except ImportError: …`), those that bound it."""
    targets = [(level, name, attribute) for level, name, attribute in imports]
    if len(targets) > 1 and value is not MISSING:
        bound = [target for target in targets if _imported(module, *target) is value]
        if bound:
            return bound
    return targets[-1:]


def _imported(module: Module, level: int, name: str, attribute: str | None) -> Any:
    absolute = module.absolute(level, name)
    loaded = sys.modules.get(absolute, MISSING)
    if attribute is None or loaded is MISSING:
        return loaded
    return vars(loaded).get(attribute, MISSING)


def _member_definition(
    module: Module, owner: type, attribute: str
) -> tuple[Source, Definition] | None:
    source = module.source
    if source is None or source.definitions is None:
        return None
    qualified = f"{owner.__qualname__}.{attribute}"
    for definition in source.definitions.definitions:
        if definition.name == qualified:
            return source, definition
    return None
