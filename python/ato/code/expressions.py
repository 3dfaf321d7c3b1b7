"""Encode expressions: one handler for each kind of node that is more than its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import libcst as cst

from ato.code.literals import formatted_text, number, string_value
from ato.code.references import Scope, bind_statements, dotted, imported_by_call, text_of

if TYPE_CHECKING:
    from ato.code.normalise import FilePass

__all__ = ["HANDLERS"]

Encoding = tuple[Any, ...]


def _encode_name(file: FilePass, node: cst.Name) -> Encoding:
    return file.name(node.value)


def _encode_attribute(file: FilePass, node: cst.Attribute) -> Encoding:
    attributes = [node.attr.value]
    value = node.value
    while isinstance(value, cst.Attribute):
        attributes.append(value.attr.value)
        value = value.value
    attributes.reverse()
    if isinstance(value, cst.Name):
        encoding = file.name(value.value, tuple(attributes))
        scope = file.scope.find(value.value)
        receiver = scope is not None and value.value == scope.receiver
        if receiver and attributes[0] == file.writer.method:
            # A method that calls itself names itself.
            encoding = ("own method", encoding)
            attributes = attributes[1:]
    else:
        if _is_super(value):
            _note_super(file, attributes[0])
        imported = imported_by_call(value)
        if imported is not None:
            file.note_import(imported, attributes)
        encoding = file.encode(value)
    for attribute in attributes:
        encoding = ("attribute", encoding, attribute)
    return encoding


def _is_super(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Call) and dotted(node.func) == "super"


def _note_super(file: FilePass, attribute: str) -> None:
    scope: Scope | None = file.scope
    while scope is not None and scope.receiver is None:
        scope = scope.parent
    if scope is not None:
        file.member(scope.class_name, attribute, through_super=True)


def _encode_call(file: FilePass, node: cst.Call) -> Encoding:
    name = dotted(node.func)
    if name in _COMPUTED or name.endswith("import_module"):
        _note_computed(file, name, node)
    elif name in _PROGRAMS:
        file.gap(f"{name}() runs a program whose code is not followed")
    return ("call", file.encode(node.func), tuple(file.encode(arg) for arg in node.args))


_COMPUTED = frozenset(
    {"getattr", "eval", "exec", "compile", "globals", "__import__", "import_module"}
)
_PROGRAMS = frozenset(
    {
        "os.system",
        "os.popen",
        "runpy.run_module",
        "runpy.run_path",
        "subprocess.call",
        "subprocess.check_call",
        "subprocess.check_output",
        "subprocess.Popen",
        "subprocess.run",
    }
)


def _note_computed(file: FilePass, name: str, node: cst.Call) -> None:
    """Follow names that are given as literals; say of the others that they can't be followed."""
    args = node.args
    if name in ("eval", "exec", "compile"):
        file.gap(f"{name}() runs code that cannot be followed")
    elif name == "globals":
        file.gap("globals() may reach names that cannot be followed")
    elif name == "getattr":
        literal = text_of(args[1].value) if len(args) > 1 else None
        chain = dotted(args[0].value) if args else ""
        if literal is None:
            file.gap("getattr() with a computed name")
        elif chain:
            first, *rest = chain.split(".")
            file.name(first, (*rest, literal))
    else:
        imported = imported_by_call(node)
        if imported is None:
            file.gap(f"{name}() with a computed name")
        else:
            file.note_import(imported, [])


def _encode_arg(file: FilePass, node: cst.Arg) -> Encoding:
    keyword = None if node.keyword is None else node.keyword.value
    return (node.star, keyword, file.encode(node.value))


def _encode_number(file: FilePass, node: Any) -> Encoding:
    return ("constant", number(node))


def _encode_string(file: FilePass, node: Any) -> Encoding:
    pieces = _joined(list(_string_pieces(file, node)))
    if len(pieces) == 1 and not isinstance(pieces[0], tuple):
        return ("constant", pieces[0])
    return ("formatted", pieces)


def _string_pieces(file: FilePass, node: Any) -> Iterator[Any]:
    if isinstance(node, cst.ConcatenatedString):
        yield from _string_pieces(file, node.left)
        yield from _string_pieces(file, node.right)
    elif isinstance(node, cst.SimpleString):
        yield string_value(node)
    else:
        yield from _formatted_pieces(file, node.parts, node.start)


def _formatted_pieces(file: FilePass, parts: Sequence[Any], start: str) -> Iterator[Any]:
    yield ""
    for part in parts:
        if isinstance(part, cst.FormattedStringText):
            yield formatted_text(part.value, start)
            continue
        conversion = part.conversion
        if part.equal is not None:
            # `f"{x=}"` prints the expression as it is written: here the spelling counts.
            yield file.layout.self_documenting(part)
            if conversion is None and part.format_spec is None:
                conversion = "r"
        spec = () if part.format_spec is None else part.format_spec
        yield (
            "value",
            file.encode(part.expression),
            conversion,
            _joined(list(_formatted_pieces(file, spec, start))),
        )


def _joined(pieces: list[Any]) -> Encoding:
    """Merge neighbouring texts: adjacent literals are one."""
    merged: list[Any] = []
    for piece in pieces:
        if merged and not isinstance(piece, tuple) and not isinstance(merged[-1], tuple):
            merged[-1] = merged[-1] + piece
        else:
            merged.append(piece)
    return tuple(piece for piece in merged if piece != "" or len(merged) == 1)


def _encode_subscript(file: FilePass, node: cst.Subscript) -> Encoding:
    elements = tuple(file.encode(element.slice) for element in node.slice)
    trailing = isinstance(node.slice[-1].comma, cst.Comma)
    index = ("Tuple", elements) if len(elements) > 1 or trailing else elements[0]
    return ("subscript", file.encode(node.value), index)


def _encode_index(file: FilePass, node: cst.Index) -> Any:
    value = file.encode(node.value)
    return ("star", value) if node.star else value


def _encode_elements(file: FilePass, node: Any) -> Encoding:
    return (type(node).__name__, tuple(file.encode(element) for element in node.elements))


def _encode_element(file: FilePass, node: cst.Element) -> Any:
    return file.encode(node.value)


def _encode_binary(file: FilePass, node: Any) -> Encoding:
    """A chain of operators that lean left, flat: `a + b + c` may go on for hundreds of terms."""
    links = []
    while isinstance(node, (cst.BinaryOperation, cst.BooleanOperation)):
        links.append((type(node.operator).__name__, node.right))
        node = node.left
    first = file.encode(node)
    return ("operators", first, *((name, file.encode(right)) for name, right in reversed(links)))


def _encode_lambda(file: FilePass, node: cst.Lambda) -> Encoding:
    known = file.layout.has(node)
    if known and _runs_in_function(file.scope):
        index = file.define_lambda(node, f"{file.prefix}<lambda>", None)
        return file.placeholder(index)
    if known and id(node) not in file.lambdas:
        file.lambdas.add(id(node))
        # A decorator is no part of the function's own logic: a lambda in it stands for itself.
        holder = None if file.in_decorator else file.writer.index
        file.define_lambda(node, f"{file.prefix}<lambda>", holder)
    return file.lambda_body(node, f"{file.prefix}<lambda>.<locals>.")


def _runs_in_function(scope: Scope) -> bool:
    around: Scope | None = scope
    while around is not None and around.kind == "comprehension":
        around = around.parent
    return around is not None and around.kind == "function"


def _encode_comprehension(file: FilePass, node: Any) -> Encoding:
    clause: cst.CompFor | None = node.for_in
    first = file.encode(node.for_in.iter)
    inner = Scope("comprehension", file.scope, file.writer)
    while clause is not None:
        bind_statements(inner, [cst.Del(clause.target)], False)
        clause = clause.inner_for_in
    with file.inside(inner):
        clauses = []
        clause = node.for_in
        while clause is not None:
            source = first if clause is node.for_in else file.encode(clause.iter)
            target = file.encode(clause.target)
            tests = tuple(file.encode(test.test) for test in clause.ifs)
            clauses.append((clause.asynchronous is not None, target, source, tests))
            clause = clause.inner_for_in
        if isinstance(node, cst.DictComp):
            result: Encoding = (file.encode(node.key), file.encode(node.value))
        else:
            result = (file.encode(node.elt),)
    return (type(node).__name__, tuple(clauses), result)


def _encode_keyword_pattern(file: FilePass, node: cst.MatchKeywordElement) -> Encoding:
    return ("keyword", node.key.value, file.encode(node.pattern))


def _encode_asname(file: FilePass, node: cst.AsName) -> Any:
    return file.encode(node.name)


def _encode_annotation(file: FilePass, node: cst.Annotation) -> None:
    return None


HANDLERS: dict[type[cst.CSTNode], Callable[[FilePass, Any], Any]] = {
    cst.Name: _encode_name,
    cst.Attribute: _encode_attribute,
    cst.Call: _encode_call,
    cst.Arg: _encode_arg,
    cst.Integer: _encode_number,
    cst.Float: _encode_number,
    cst.Imaginary: _encode_number,
    cst.SimpleString: _encode_string,
    cst.ConcatenatedString: _encode_string,
    cst.FormattedString: _encode_string,
    cst.Subscript: _encode_subscript,
    cst.Index: _encode_index,
    cst.Tuple: _encode_elements,
    cst.List: _encode_elements,
    cst.Set: _encode_elements,
    cst.Element: _encode_element,
    cst.BinaryOperation: _encode_binary,
    cst.BooleanOperation: _encode_binary,
    cst.Lambda: _encode_lambda,
    cst.ListComp: _encode_comprehension,
    cst.SetComp: _encode_comprehension,
    cst.DictComp: _encode_comprehension,
    cst.GeneratorExp: _encode_comprehension,
    cst.MatchKeywordElement: _encode_keyword_pattern,
    cst.AsName: _encode_asname,
    cst.Annotation: _encode_annotation,
}
