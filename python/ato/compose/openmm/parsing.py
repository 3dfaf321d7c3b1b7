"""Config files written in Python, parsed: which style, which bases, templates replaced.

In the older style a file has `_base_ = …` and sees the merged bases under that name. In the newer
one it imports names out of its bases under `with read_base():`; what it imports from elsewhere is
not imported at all, and stands in the config as its dotted name.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

from ato.compose.openmm.templates import Templates
from ato.exceptions import ConfigFileError

__all__ = ["INTERPOLATE", "PythonFile", "base_imports", "parse"]

# The function that code calls, after parsing, where a template with a value of the base stood.
INTERPOLATE = "__ato_interpolate__"
_READ_BASE = "read_base"


class PythonFile:
    """A parsed config: `base` is the value of its `_base_`, with the line, or None.

    `lazy` is one of the newer style.
    """

    def __init__(self, file: Path, name: str, module: ast.Module, templates: Templates) -> None:
        self.file = file
        self.name = name
        self.module = module
        self.templates = templates
        self.base: tuple[Any, int] | None = None
        self.lazy = False


def parse(source: str, file: Path, name: str) -> PythonFile:
    """Parse a config and take its `_base_` statement out.

    Raises:
        ConfigFileError: no Python, or bases that are not given at the top level as literals.
    """
    templates = Templates(source, file, name)
    module = _parsed(templates.text, name)
    found = PythonFile(file, name, module, templates)
    reads_base = any(map(_is_read_base, ast.walk(module)))
    if not any(map(_is_base_statement, ast.walk(module))):
        found.lazy = reads_base or _imports_packages(module)
    elif reads_base:
        raise ConfigFileError(f"{name}: has both _base_ and read_base(); keep one of them")
    if found.lazy:
        # The newer style has no templates; the file is read as it stands.
        found.module = _parsed(source, name)
        return found
    found.module = _WithValues(templates).visit(module)
    _take_base(found)
    ast.fix_missing_locations(found.module)
    return found


def base_imports(config: PythonFile) -> list[ast.ImportFrom]:
    """Take the imports under `with read_base():` out of a config, and return them.

    Raises:
        ConfigFileError: something else stands there, or the block is not at the top level.
    """
    taken: list[ast.ImportFrom] = []
    kept: list[ast.stmt] = []
    for statement in config.module.body:
        if not _is_read_base(statement):
            kept.append(statement)
            continue
        for inner in statement.body:  # type: ignore[attr-defined]
            if not isinstance(inner, ast.ImportFrom) or not inner.module:
                raise ConfigFileError(
                    f"{config.name}:{inner.lineno}: only `from file import name` stands under "
                    "`with read_base():`; move it out"
                )
            taken.append(inner)
    config.module.body = kept
    for part in ast.walk(config.module):
        if _is_read_base(part):
            raise ConfigFileError(
                f"{config.name}:{part.lineno}: `with read_base():` stands inside another "  # type: ignore[attr-defined]
                "statement; move it to the top level"
            )
    return taken


def _parsed(source: str, name: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = name if line is None else f"{name}:{line}"
        raise ConfigFileError(f"{where}: not Python: {getattr(error, 'msg', error)}") from None
    except RecursionError:
        raise ConfigFileError(f"{name}: nested too deeply") from None


class _WithValues(ast.NodeTransformer):
    """Puts values in the place of the templates' words.

    A value of the base is asked for when the statement runs, since the config may have changed it.
    """

    def __init__(self, templates: Templates) -> None:
        self.templates = templates

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.templates:
            return node
        if self.templates.needs_base(node.id):
            return self._asked(node, node.id)
        value = self.templates.bare_value(node.id)
        if isinstance(node.ctx, ast.Load):
            return ast.copy_location(_expression(value), node)
        return ast.copy_location(ast.Name(str(value), node.ctx), node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str) or node.value not in self.templates:
            return node
        if self.templates.needs_base(node.value):
            return self._asked(node, node.value)
        return ast.copy_location(ast.Constant(str(self.templates.value(node.value, None))), node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        self.generic_visit(node)
        node.values = [
            ast.FormattedValue(part, -1) if isinstance(part, ast.Call) else part
            for part in node.values
        ]
        return node

    def _asked(self, node: ast.expr, text: str) -> ast.expr:
        call = ast.Call(ast.Name(INTERPOLATE, ast.Load()), [ast.Constant(text)], [])
        return ast.copy_location(call, node)


def _expression(value: Any) -> ast.expr:
    """Return the expression of a literal's value."""
    return ast.parse(repr(value), mode="eval").body


def _is_base_statement(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "_base_" and isinstance(node.ctx, ast.Store)


def _is_read_base(node: ast.AST) -> bool:
    if not isinstance(node, ast.With):
        return False
    called = node.items[0].context_expr
    if not isinstance(called, ast.Call):
        return False
    function = called.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name == _READ_BASE


def _imports_packages(module: ast.Module) -> bool:
    return any(
        top not in sys.stdlib_module_names
        for node in ast.walk(module)
        for top in _imported_modules(node)
    )


def _imported_modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return []


def _take_base(config: PythonFile) -> None:
    """Take `_base_ = …` out of the module and read its value, which must be a literal."""
    kept: list[ast.stmt] = []
    for statement in config.module.body:
        target, value = _assigned(statement)
        if target is None or not _is_base_statement(target):
            kept.append(statement)
            continue
        place = f"{config.name}:{statement.lineno}"
        if config.base is not None:
            raise ConfigFileError(f"{place}: _base_ stands twice; write all bases into one list")
        assert value is not None, "a statement with a target has a value"
        try:
            config.base = (_literal(value), statement.lineno)
        except ValueError:
            raise ConfigFileError(
                f"{place}: _base_ is read before the file is executed; write it as a text or a "
                "list of texts, without names"
            ) from None
    config.module.body = kept
    for part in ast.walk(config.module):
        if _is_base_statement(part):
            raise ConfigFileError(
                f"{config.name}:{part.lineno}: _base_ is set inside another statement; "  # type: ignore[attr-defined]
                "move it to the top level"
            )


def _assigned(statement: ast.stmt) -> tuple[ast.expr | None, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0], statement.value
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return statement.target, statement.value
    return None, None


def _literal(node: ast.expr) -> Any:
    """Evaluate a literal, also one with `+` or an f-string without names."""
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _literal(left), _literal(right)
            if type(first) is type(second) and isinstance(first, (str, list, tuple)):
                return first + second
        case ast.JoinedStr(values=parts):
            return "".join(str(_literal(part)) for part in parts)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item) for item in items]
        case ast.Constant(value=value):
            return value
    raise ValueError(ast.dump(node))
