"""Where the definitions of a file stand, and how they read in one fixed layout.

libcst knows positions only through its metadata, which costs several times its parse. The standard
parser has them for nothing: statements and lambdas come in the same order in both trees.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

import libcst as cst

from ato.code.definitions import Definition
from ato.code.references import children

__all__ = ["Layout"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (*_FUNCTIONS, ast.ClassDef, ast.Module)


class Layout:
    """Positions and readable text of the nodes of one file."""

    def __init__(self, text: str, tree: cst.Module) -> None:
        self.line_count = text.count("\n") + 1
        self.has_walrus = ":=" in text
        self._tree = tree
        self._ast = ast.parse(text)
        ours = list(_in_order(tree, "lambda" in text))
        theirs = sorted(_placed(self._ast), key=_position)
        if len(ours) != len(theirs):
            raise SyntaxError(
                f"the two parsers see {len(ours)} and {len(theirs)} statements in one file"
            )
        self._nodes = {id(our): their for our, their in zip(ours, theirs, strict=True)}
        _strip(self._ast)

    def has(self, node: cst.CSTNode) -> bool:
        """Whether the position of `node` is known; a lambda inside an f-string has none."""
        return id(node) in self._nodes

    def place(self, definition: Definition, node: cst.CSTNode) -> None:
        """Give `definition` the place of `node`; a value may have several places."""
        found: Any = self._nodes[id(node)]
        first = found.lineno
        for decorator in getattr(found, "decorator_list", ()):
            first = min(first, decorator.lineno)
        last = found.end_lineno or first
        if isinstance(found, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)):
            last = max(first, found.body[0].lineno - 1)
        definition.spans.append([first, last])
        definition.line = definition.spans[0][0]
        if isinstance(found, ast.Lambda):
            definition.column, definition.end_column = found.col_offset, found.end_col_offset
        text = _readable(found)
        definition.normalised = f"{definition.normalised}\n{text}".lstrip("\n")

    def module_text(self) -> str:
        """The module without its functions and classes."""
        kept = [
            node for node in self._ast.body if not isinstance(node, (*_FUNCTIONS, ast.ClassDef))
        ]
        return _unparse(ast.Module(kept, []))

    def global_names(self) -> list[str]:
        """The names that functions of the module declare `global`."""
        found = (node for node in ast.walk(self._ast) if isinstance(node, ast.Global))
        return sorted({name for node in found for name in node.names})

    def self_documenting(self, node: cst.FormattedStringExpression) -> str:
        """The text that `{x = }` in an f-string prints before the value."""
        parts: list[Any] = [
            node.whitespace_before_expression,
            node.expression,
            node.whitespace_after_expression,
            node.equal,
        ]
        return "".join(self._tree.code_for_node(part) for part in parts)


def _position(node: Any) -> tuple[int, int, bool]:
    return node.lineno, node.col_offset, isinstance(node, ast.Lambda)


def _placed(tree: ast.AST) -> Iterator[ast.AST]:
    """Statements and lambdas; f-strings are left out, where old Pythons have no true positions."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.stmt, ast.Lambda)):
            yield node
        stack.extend(n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.JoinedStr))


def _in_order(tree: cst.Module, has_lambda: bool) -> Iterator[cst.CSTNode]:
    """The same statements and lambdas in libcst's tree, in source order."""
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, _Here):
            yield node.node
        elif isinstance(node, (list, tuple)):
            stack.extend(reversed(node))
        elif isinstance(node, cst.CSTNode) and not isinstance(node, cst.FormattedString):
            if isinstance(node, cst.BaseExpression) and not has_lambda:
                continue
            stack.extend(reversed(_parts(node)))


class _Here(NamedTuple):
    """The place of a statement or lambda among its parts."""

    node: cst.CSTNode


def _parts(node: cst.CSTNode) -> list[Any]:
    order = _SOURCE_ORDER.get(type(node))
    if order is None:
        found = [p for _, p in children(node) if isinstance(p, (cst.CSTNode, list, tuple))]
    else:
        present = dict(children(node))
        found = [present[name] for name in order if name in present]
    if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
        # A decorator stands before the `def`, which is where the standard parser sees the function.
        return [found[0], _Here(node), *found[1:]]
    if isinstance(node, (cst.BaseSmallStatement, cst.BaseCompoundStatement, cst.Lambda)):
        return [_Here(node), *found]
    return found


_SOURCE_ORDER: dict[type[cst.CSTNode], tuple[str, ...]] = {
    cst.FunctionDef: ("decorators", "params", "returns", "body"),
    cst.ClassDef: ("decorators", "bases", "keywords", "body"),
    cst.Parameters: ("posonly_params", "params", "star_arg", "kwonly_params", "star_kwarg"),
    cst.Param: ("annotation", "default"),
    cst.IfExp: ("body", "test", "orelse"),
    cst.ExceptHandler: ("type", "body"),
    cst.ExceptStarHandler: ("type", "body"),
    cst.MatchCase: ("pattern", "guard", "body"),
}


def _strip(tree: ast.AST) -> None:
    """Take out docstrings and the annotations that are no fields."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            _strip_docstring(node)
        if isinstance(node, _FUNCTIONS):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None


def _strip_docstring(node: Any) -> None:
    first = node.body[0] if node.body else None
    match first:
        case ast.Expr(value=ast.Constant(value=str())):
            # An empty body is not unparsed as one that can be read.
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])


def _readable(node: Any) -> str:
    """One fixed layout of a definition; the methods of a class and the body of a loop are left out."""
    match node:
        case ast.ClassDef():
            body = [_headed(item) if isinstance(item, _FUNCTIONS) else item for item in node.body]
            return _unparse(_with_body(node, body))
        case ast.For() | ast.AsyncFor() | ast.With() | ast.AsyncWith():
            return _unparse(_headed(node))
        case ast.If() | ast.While():
            return _unparse(node.test)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.stmt():
            return _unparse(node)
    return ""


def _headed(node: Any) -> Any:
    return _with_body(node, [ast.Expr(ast.Constant(...))])


def _with_body(node: Any, body: list[ast.stmt]) -> Any:
    fields = {name: getattr(node, name) for name in node._fields if hasattr(node, name)}
    fields["body"] = body
    if fields.get("orelse"):
        fields["orelse"] = []
    return type(node)(**fields, lineno=node.lineno)


def _unparse(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        # Older Pythons cannot write every f-string that they can read.
        return ""
