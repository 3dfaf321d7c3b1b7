"""Normalise a source file with libcst: one parse, one pass that encodes every definition.

The encoding is nested tuples of plain values. It leaves out what cannot change what a function
computes (layout, comments, docstrings, annotations, the function's own name, the names of its
locals) and keeps everything else, in the order in which it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import libcst as cst

from ato.code.bindings import (
    Bound,
    attribute_set_by,
    every_statement,
    field_name,
    name_mutated_by,
    names_bound_by,
    paired_value,
    statements_of,
)
from ato.code.definitions import Binding, Definition, FileDefinitions
from ato.code.digests import logic_digest
from ato.code.expressions import HANDLERS
from ato.code.layout import Layout
from ato.code.naming import Encoding
from ato.code.references import Scope, bind_statements, children, dotted, import_targets
from ato.code.statements import Statements, is_plain_import

__all__ = ["define"]


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


class FilePass(Statements):
    """The pass over one file: what it defines; `statements` and `expressions` have the rest."""

    def __init__(self, tree: cst.Module, layout: Layout) -> None:
        super().__init__()
        self.tree = tree
        self.layout = layout
        self.walrus = layout.has_walrus
        self.bindings: dict[str, Binding] = {}
        self.stars: list[list[Any]] = []
        self.value_statements: dict[str, list[Bound]] = {}
        self.mutations: list[tuple[str, Bound]] = []
        self.lambdas: set[int] = set()

    def encode(self, node: cst.CSTNode) -> Any:
        """Encode an expression, or any other node by its fields."""
        handler = HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node)
        return (type(node).__name__, *((n, self.part(child)) for n, child in children(node)))

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
                    if not is_plain_import(name, target):
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
