"""Normalise a source file with libcst: one parse, one pass that encodes every definition.

The encoding is nested tuples of plain values. It leaves out what cannot change what a function
computes (layout, comments, docstrings, annotations, the function's own name, the names of its
locals) and keeps everything else, in the order in which it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import libcst as cst

from ato.code.bindings import (
    Bound,
    attribute_set_by,
    every_statement,
    field_name,
    flat,
    name_mutated_by,
    names_bound_by,
    paired_value,
    statements_of,
)
from ato.code.definitions import Binding, Decorator, Definition, FileDefinitions
from ato.code.digests import logic_digest
from ato.code.expressions import HANDLERS
from ato.code.layout import Layout
from ato.code.references import (
    ImportTarget,
    Scope,
    bind_statements,
    children,
    dotted,
    import_targets,
)

__all__ = ["define"]

Encoding = tuple[Any, ...]


def define(text: str) -> FileDefinitions:
    """Parse a file and describe everything it defines.

    Raises:
        SyntaxError: this Python, or libcst, cannot parse the text.
        RecursionError: an expression is nested too deeply.
    """
    try:
        tree = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise SyntaxError(str(error)) from error
    return FilePass(tree, Layout(text, tree)).describe()


class _Writer:
    """A definition that is being encoded, and the numbers of its locals."""

    def __init__(
        self, definition: Definition, index: int, outer: _Writer | None, method: str | None
    ) -> None:
        self.definition = definition
        self.index = index
        self.outer = outer
        self.method = method
        self.numbers: dict[tuple[Scope, str], int] = {}

    def is_own_name(self, name: str) -> bool:
        """Whether a global name is that of the function or class that is being written."""
        writer: _Writer | None = self
        while writer is not None:
            definition = writer.definition
            if definition.name == name and definition.kind in ("function", "class"):
                return True
            writer = writer.outer
        return False


class FilePass:
    """The pass over one file: definitions and statements; `expressions` has the rest."""

    def __init__(self, tree: cst.Module, layout: Layout) -> None:
        self.tree = tree
        self.layout = layout
        self.walrus = layout.has_walrus
        self.definitions: list[Definition] = []
        self.bindings: dict[str, Binding] = {}
        self.stars: list[list[Any]] = []
        self.value_statements: dict[str, list[Bound]] = {}
        self.mutations: list[tuple[str, Bound]] = []
        self.mutating: set[int] = set()
        self.lambdas: set[int] = set()
        self.scope = Scope("module", None, None)
        self.prefix = ""
        self.in_decorator = False
        self.ato_names: set[str] = set()
        self.writer: _Writer = None  # type: ignore[assignment]  # set by `writing`, always inside one

    def describe(self) -> FileDefinitions:
        bind_statements(self.scope, self.tree.body, self.walrus)
        blocks = self.collect(self.tree.body)
        named = {node.name.value for node in blocks}
        set_outside: dict[str, list[Bound]] = {}
        for name, mutated_by in self.mutations:
            # `TABLE[0] = 1` belongs to the module's own TABLE, `os.environ["A"] = "1"` to no name.
            if name in self.value_statements:
                self.mutating.add(id(mutated_by.statement))
                self.value_statements[name].append(mutated_by)
            elif name in named and (attribute := attribute_set_by(mutated_by.statement)):
                # `Net.rate = 1` belongs to the class or function, as an attribute of its own.
                self.mutating.add(id(mutated_by.statement))
                set_outside.setdefault(attribute, []).append(mutated_by)
        self.ato_names = _names_from_ato(self.bindings, self.value_statements)
        for node in blocks:
            index = self.define_block(node, node.name.value)
            self.binding(node.name.value).definitions.append(index)
        for name, bound_by in self.value_statements.items():
            self.binding(name).value = self.define_value(name, name, bound_by)
        for attribute, bound_by in set_outside.items():
            name = attribute.partition(".")[0]
            index = self.define_value(attribute, name, bound_by)
            self.binding(name).attributes.append(index)
        module = self.define_module()
        rebound = self.layout.global_names()
        return FileDefinitions(self.definitions, self.bindings, self.stars, module, rebound)

    def collect(self, body: Iterable[cst.CSTNode]) -> list[cst.FunctionDef | cst.ClassDef]:
        """Sort the module-level statements, also those inside `if` and `try`, by what they bind."""
        blocks: list[cst.FunctionDef | cst.ClassDef] = []
        for statement in every_statement(body):
            if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
                blocks.append(statement)
            elif isinstance(statement, (cst.Import, cst.ImportFrom)):
                for name, target in import_targets(statement):
                    if name == "*":
                        self.stars.append(list(target[:2]))
                        continue
                    self.binding(name).imports.append(list(target))
                    if not _is_plain_import(name, target):
                        bound = Bound((name,), statement)
                        self.value_statements.setdefault(name, []).append(bound)
            elif names := names_bound_by(statement):
                for name in names:
                    self.binding(name).assigned = True
                    self.value_statements.setdefault(name, []).append(Bound(names, statement))
            elif name := name_mutated_by(statement):
                self.mutations.append((name, Bound((name,), statement)))
        return blocks

    def binding(self, name: str) -> Binding:
        return self.bindings.setdefault(name, Binding())

    # Definitions

    @contextmanager
    def writing(
        self, definition: Definition, scope: Scope, method: str | None = None
    ) -> Iterator[int]:
        index = len(self.definitions)
        self.definitions.append(definition)
        outer, outer_scope = self.writer, self.scope
        self.writer, self.scope = _Writer(definition, index, outer, method), scope
        scope.owner = self.writer
        try:
            yield index
        finally:
            self.writer, self.scope = outer, outer_scope

    def define_block(self, node: cst.FunctionDef | cst.ClassDef, qualified: str) -> int:
        if isinstance(node, cst.ClassDef):
            return self.define_class(node, qualified)
        return self.define_function(node, qualified)

    def define_function(self, node: cst.FunctionDef, qualified: str) -> int:
        definition = Definition("function", qualified)
        self.layout.place(definition, node)
        around = self.scope
        method_of = around.class_name if around.kind == "class" else None
        header = Scope("header", around, None)
        header.bound.update(_type_parameters(node))
        method = None if method_of is None else node.name.value
        with self.writing(definition, header, method) as index:
            definition.decorators = [self.decorator(item.decorator) for item in node.decorators]
            inner = Scope("function", header, self.writer, class_name=None)
            signature = self.signature(node.params, inner)
            if method_of is not None and not _is_static(node):
                inner.receiver = _first_parameter(node.params)
                inner.class_name = method_of
            bind_statements(inner, [node.body], self.walrus)
            with self.inside(inner):
                body = self.suite(node.body, f"{qualified}.<locals>.")
            definition.own = logic_digest(
                ("function", node.asynchronous is not None, signature, body)
            )
        return index

    def define_lambda(self, node: cst.Lambda, qualified: str, holder: int | None) -> int:
        definition = Definition("lambda", qualified, holder=holder)
        self.layout.place(definition, node)
        header = Scope("header", self.scope, None)
        with self.writing(definition, header) as index:
            definition.own = logic_digest(self.lambda_body(node, f"{qualified}.<locals>."))
        return index

    def lambda_body(self, node: cst.Lambda, prefix: str) -> Encoding:
        inner = Scope("function", self.scope, self.writer)
        signature = self.signature(node.params, inner)
        if self.walrus:
            bind_statements(inner, [cst.Expr(node.body)], self.walrus)
        with self.inside(inner, prefix):
            return ("lambda", signature, self.encode(node.body))

    def define_class(self, node: cst.ClassDef, qualified: str) -> int:
        definition = Definition("class", qualified)
        self.layout.place(definition, node)
        header = Scope("header", self.scope, None)
        header.bound.update(_type_parameters(node))
        with self.writing(definition, header) as index:
            definition.decorators = [self.decorator(item.decorator) for item in node.decorators]
            bases = (self.sequence(node.bases), self.sequence(node.keywords))
            inner = Scope("class", header, self.writer, class_name=qualified)
            bind_statements(inner, [node.body], self.walrus)
            with self.inside(inner, f"{qualified}."):
                members, rest = self.class_body(node.body, qualified)
            definition.own = logic_digest(("class", bases, members, rest))
        return index

    def class_body(self, body: cst.BaseSuite, qualified: str) -> tuple[Encoding, Encoding]:
        """The names that a class body binds, and what it does besides."""
        attributes: dict[str, list[Bound]] = {}
        rest: list[cst.CSTNode] = []
        methods: list[str] = []
        for statement in statements_of(body):
            if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
                methods.append(statement.name.value)
                name = f"{qualified}.{statement.name.value}"
                self.placeholder(self.define_block(statement, name))
            elif name := field_name(statement):
                attributes.setdefault(name, []).append(Bound((name,), statement))
            else:
                rest.append(statement)
        for name, bound_by in attributes.items():
            self.placeholder(
                self.define_value(f"{qualified}.{name}", name, bound_by, in_class=True)
            )
        # The order of fields is the order of a dataclass's parameters; that of methods is nothing.
        members = (tuple(attributes), tuple(sorted(methods)))
        return members, self.statements(rest)

    def define_value(
        self, qualified: str, name: str, bound_by: Sequence[Bound], in_class: bool = False
    ) -> int:
        definition = Definition("value", qualified)
        scope = Scope("header", self.scope, None)
        with self.writing(definition, scope) as index:
            encodings: list[Encoding] = []
            for bound in bound_by:
                self.layout.place(definition, bound.statement)
                primary = bound.names[0]
                if primary != name and (pair := paired_value(bound.statement, name)) is not None:
                    encodings.append(("assign", (("global", name),), self.encode(pair)))
                elif primary != name:
                    # One statement that binds several names is charged to the first of them.
                    self.refer(primary, ())
                    encodings.append(("bound with", primary))
                else:
                    encodings.append(self.binding_statement(bound.statement, name, in_class))
            definition.own = logic_digest(tuple(encodings))
        return index

    def binding_statement(self, node: cst.CSTNode, name: str, in_class: bool) -> Encoding:
        match node:
            case cst.For():
                return ("for", self.encode(node.target), self.encode(node.iter))
            case cst.With():
                return ("with", self.sequence(node.items))
            case cst.AnnAssign() if in_class:
                value = None if node.value is None else self.encode(node.value)
                return ("field", name, self.quiet(node.annotation.annotation), value)
            case cst.Import() | cst.ImportFrom():
                targets = import_targets(node)
                return ("import", tuple(target for bound, target in targets if bound == name))
        if (pair := paired_value(node, name)) is not None:
            return ("assign", (("global", name),), self.encode(pair))
        return self.statement(node) or ()

    def define_module(self) -> int:
        definition = Definition("module", "<module>", spans=[[1, self.layout.line_count]], line=1)
        definition.normalised = self.layout.module_text()
        with self.writing(definition, self.scope) as index:
            definition.own = logic_digest(("module", self.module_statements(self.tree.body)))
        return index

    def module_statements(self, body: Iterable[cst.CSTNode]) -> Encoding:
        """Module-level code; a statement that binds names is those names' own, and stands by them."""
        found: list[Encoding] = []
        for statement in flat(body):
            match statement:
                case cst.FunctionDef() | cst.ClassDef():
                    continue
                case cst.If() | cst.While() | cst.Try() | cst.TryStar() | cst.Match():
                    found.append(self.compound(statement, self.module_suite))
                    continue
            names = names_bound_by(statement)
            if id(statement) in self.mutating:
                names = (name_mutated_by(statement),)
            if isinstance(statement, (cst.Import, cst.ImportFrom)):
                targets = [t for t in import_targets(statement) if t[0] != "*"]
                names = tuple(sorted(name for name, t in targets if not _is_plain_import(name, t)))
            if names:
                for name in names:
                    self.refer(name, ())
                found.append(("binds", names))
                if isinstance(statement, (cst.For, cst.With)):
                    found.append(self.module_suite(statement.body))
                    if isinstance(statement, cst.For) and statement.orelse is not None:
                        found.append(self.module_suite(statement.orelse.body))
            elif isinstance(statement, (cst.For, cst.With)):
                found.append(self.compound(statement, self.module_suite))
            elif (encoding := self.statement(statement)) is not None:
                found.append(encoding)
        return tuple(found)

    def module_suite(self, node: Any) -> Encoding:
        return self.module_statements(statements_of(node))

    # Names

    @contextmanager
    def inside(self, scope: Scope, prefix: str | None = None) -> Iterator[None]:
        outer, outer_prefix = self.scope, self.prefix
        self.scope = scope
        if prefix is not None:
            self.prefix = prefix
        try:
            yield
        finally:
            self.scope, self.prefix = outer, outer_prefix

    def name(self, name: str, attributes: tuple[str, ...] = ()) -> Encoding:
        """Encode a name, and note what it and the attributes after it refer to."""
        scope = self.scope.find(name)
        writer = self.writer
        if scope is None:
            self.refer(name, attributes)
            return ("own name",) if writer.is_own_name(name) else ("global", name)
        if scope.kind == "class":
            return ("member", name)
        if name in scope.imports:
            self.note_import(scope.imports[name], attributes)
        if attributes and name == scope.receiver:
            self.member(scope.class_name, attributes[0], through_super=False)
        if scope.owner is writer:
            if name in scope.parameters:
                return ("parameter", name)
            key = (scope, name)
            return ("local", writer.numbers.setdefault(key, len(writer.numbers)))
        return self.captured(scope, name)

    def captured(self, scope: Scope, name: str) -> Encoding:
        """A name of an enclosing function: a parameter by name, a local by order of appearance."""
        writer = self.writer
        names = writer.definition.captured
        if name not in names:
            names.append(name)
        if self.scope.kind == "header":
            writer.definition.defaults_capture = True
        if name in scope.parameters:
            return ("captured parameter", name)
        key = (scope, name)
        return ("captured", writer.numbers.setdefault(key, len(writer.numbers)))

    def refer(self, name: str, attributes: tuple[str, ...]) -> None:
        chain = ".".join((name, *attributes))
        references = self.writer.definition.references
        if chain not in references:
            references.append(chain)

    def note_import(self, target: ImportTarget, attributes: Sequence[str]) -> None:
        """Note that a module is imported here, and which of its attributes is used."""
        entry = [*target, list(attributes)]
        if entry not in self.writer.definition.imports:
            self.writer.definition.imports.append(entry)

    def member(self, class_name: str | None, attribute: str, through_super: bool) -> None:
        entry = [class_name, attribute, through_super]
        if class_name is not None and entry not in self.writer.definition.members:
            self.writer.definition.members.append(entry)

    def placeholder(self, index: int) -> Encoding:
        """What stands for a nested function: which names of this one it takes."""
        nested = self.definitions[index]
        self.writer.definition.nested.append(index)
        taken = []
        for name in nested.captured:
            encoding = self.name(name)
            if encoding[0] in ("local", "captured"):
                taken.append(encoding)
        return ("nested", nested.kind, tuple(taken))

    def gap(self, text: str) -> None:
        gaps = self.writer.definition.gaps
        if text not in gaps:
            gaps.append(text)

    @contextmanager
    def unnoted(self) -> Iterator[None]:
        """Encode without noting references: annotations are read by no one."""
        definition = self.writer.definition
        kept = (list(definition.references), list(definition.imports), list(definition.gaps))
        try:
            yield
        finally:
            definition.references, definition.imports, definition.gaps = kept

    def quiet(self, node: cst.CSTNode) -> Any:
        with self.unnoted():
            return self.encode(node)

    def decorator(self, node: cst.BaseExpression) -> Decorator:
        """Encode a decorator by itself: it is not part of the function's own logic."""
        definition = self.writer.definition
        kept = (definition.references, definition.imports)
        definition.references, definition.imports = [], []
        self.in_decorator = True
        logic = logic_digest(self.encode(node))
        self.in_decorator = False
        callee = dotted(node.func if isinstance(node, cst.Call) else node)
        root = callee.partition(".")[0]
        found = Decorator(
            logic, callee, root in self.ato_names, definition.references, definition.imports
        )
        definition.references, definition.imports = kept
        return found

    # Signatures and statements

    def signature(self, params: cst.Parameters, inner: Scope) -> Encoding:
        groups: list[tuple[str, Sequence[cst.Param]]] = [
            ("positional only", params.posonly_params),
            ("positional", params.params),
            ("rest", [params.star_arg] if isinstance(params.star_arg, cst.Param) else []),
            ("keyword only", params.kwonly_params),
            ("keywords", [params.star_kwarg] if params.star_kwarg is not None else []),
        ]
        encoded = []
        for kind, group in groups:
            for param in group:
                default = None if param.default is None else self.encode(param.default)
                encoded.append((kind, param.name.value, default))
                inner.parameters.add(param.name.value)
        return tuple(encoded)

    def suite(self, node: Any, prefix: str | None = None) -> Encoding:
        if prefix is None:
            return self.statements(statements_of(node))
        with self.inside(self.scope, prefix):
            return self.statements(statements_of(node))

    def statements(self, body: Iterable[cst.CSTNode]) -> Encoding:
        encoded = (self.statement(node) for node in body)
        return tuple(encoding for encoding in encoded if encoding is not None)

    def statement(self, node: Any) -> Encoding | None:
        """Encode a statement; `None` for one that does nothing."""
        match node:
            case cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()):
                value = self.encode(node.value)
                return None if value[0] == "constant" else value
            case cst.Expr():
                return ("evaluate", self.encode(node.value))
            case cst.Pass() | cst.Global() | cst.Nonlocal():
                return None
            case cst.Assign():
                targets = tuple(self.encode(target.target) for target in node.targets)
                return ("assign", targets, self.encode(node.value))
            case cst.AnnAssign():
                if node.value is None:
                    return None
                return ("assign", (self.encode(node.target),), self.encode(node.value))
            case cst.FunctionDef() | cst.ClassDef():
                index = self.define_block(node, self.prefix + node.name.value)
                return ("define", self.name(node.name.value), self.placeholder(index))
            case cst.Import() | cst.ImportFrom():
                return self.import_statement(node)
        return self.compound(node, self.suite)

    def compound(self, node: Any, suite: Callable[[Any], Encoding]) -> Encoding:
        if isinstance(node, cst.If):
            return self.branches(node, suite)
        parts: list[Any] = [type(node).__name__]
        for name, child in children(node):
            if isinstance(child, cst.BaseSuite):
                parts.append((name, suite(child)))
            elif name in ("handlers", "cases"):
                parts.append((name, tuple(self.compound(item, suite) for item in child)))
            elif isinstance(child, (cst.Else, cst.Finally)):
                parts.append((name, suite(child.body)))
            elif name == "orelse":
                parts.append((name, self.compound(child, suite)))
            else:
                parts.append((name, self.part(child)))
        return tuple(parts)

    def branches(self, node: cst.If, suite: Callable[[Any], Encoding]) -> Encoding:
        """An `if` with all its `elif`: flat, however many there are."""
        arms = []
        rest: Any = node
        while isinstance(rest, cst.If):
            arms.append((self.encode(rest.test), suite(rest.body)))
            rest = rest.orelse
        return ("if", tuple(arms), () if rest is None else suite(rest.body))

    def import_statement(self, node: cst.Import | cst.ImportFrom) -> Encoding | None:
        if isinstance(node, cst.ImportFrom) and dotted(node.module) == "__future__":
            return None
        found: list[Encoding] = []
        targets = list(import_targets(node))
        if isinstance(node, cst.ImportFrom):
            targets.sort()
        for name, target in targets:
            found.append((target, ("star",) if name == "*" else self.name(name)))
        if isinstance(node, cst.Import):
            # `import a.b` binds `a` and loads `a.b`.
            found.append(tuple(dotted(alias.name) for alias in node.names))
        return ("import", *found)

    # Expressions

    def sequence(self, nodes: Iterable[cst.CSTNode]) -> Encoding:
        return tuple(self.encode(node) for node in nodes)

    def part(self, value: Any) -> Any:
        if isinstance(value, cst.CSTNode):
            return self.encode(value)
        if isinstance(value, (list, tuple)):
            return tuple(self.part(item) for item in value)
        return value

    def encode(self, node: cst.CSTNode) -> Any:
        handler = HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node)
        return (type(node).__name__, *((n, self.part(child)) for n, child in children(node)))


def _names_from_ato(bindings: dict[str, Binding], statements: dict[str, list[Bound]]) -> set[str]:
    """Names that the file imports from Ato, and those bound to what such a name makes."""
    found = {
        name
        for name, binding in bindings.items()
        if any(level == 0 and _is_ato(module) for level, module, _ in binding.imports)
    }
    for name, bound_by in statements.items():
        for bound in bound_by:
            value = getattr(bound.statement, "value", None)
            if isinstance(value, cst.Call) and dotted(value.func).partition(".")[0] in found:
                found.add(name)
    return found


def _is_plain_import(name: str, target: ImportTarget) -> bool:
    """`import data` says all by its name; `from data import a` and `import data as d` do not."""
    return target == (0, name, None) or target[1] == "__future__"


def _is_ato(module: str) -> bool:
    return module == "ato" or module.startswith("ato.")


def _type_parameters(node: cst.FunctionDef | cst.ClassDef) -> dict[str, None]:
    """The names between the brackets of `def f[T](…)`, which the header and the body see."""
    given = node.type_parameters
    return {} if given is None else {item.param.name.value: None for item in given.params}


def _is_static(node: cst.FunctionDef) -> bool:
    return any(dotted(item.decorator) == "staticmethod" for item in node.decorators)


def _first_parameter(params: cst.Parameters) -> str | None:
    first = [*params.posonly_params, *params.params]
    return first[0].name.value if first else None
