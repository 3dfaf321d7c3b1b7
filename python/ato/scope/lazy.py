"""`with Scope.lazy():` inside a view: the block runs after the command line, the rest before.

A view that has such a block is compiled anew, from its own source, with the block as a function
that is handed over in its place. Nothing else about it changes: file, line numbers, globals and
closure are the view's own, so that breakpoints and tracebacks point where they should.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from types import CellType, CodeType, FunctionType, TracebackType
from typing import Any

from ato.exceptions import ScopeError

__all__ = ["LazyBlock", "Split", "after_command_line", "lazy", "split_lazy_blocks"]

_DEFER = "__ato_defer__"
# Set while lazy views and blocks run.
after_command_line: ContextVar[bool] = ContextVar("after_command_line", default=False)


class LazyBlock:
    """What `Scope.lazy()` gives; entering it means that the block was not found beforehand.

    After the command line there is nothing to wait for, and the block just runs.
    """

    def __enter__(self) -> None:
        if after_command_line.get():
            return
        raise ScopeError(
            "`with Scope.lazy():` works in the body of a view whose source can be read, with `Scope` "
            "or the scope in front of `.lazy`; anywhere else use @scope.observe(lazy=True)"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Let the block end as it does."""


def lazy(with_compile: bool = False) -> LazyBlock:
    """Defer a block of a view until after the command line; `with_compile` means nothing."""
    return LazyBlock()


class Split:
    """A view whose lazy blocks are handed over instead of run."""

    def __init__(self, run: Callable[[Any], Any], blocks: list[Callable[[], Any]]) -> None:
        self._run = run
        self._blocks = blocks

    def __call__(self, config: Any) -> list[Callable[[], Any]]:
        """Run the view; return its blocks in the order in which they were met."""
        self._blocks.clear()
        self._run(config)
        return list(self._blocks)


def split_lazy_blocks(fn: FunctionType) -> Split | None:
    """Prepare a view that has lazy blocks; `None` for one that has none.

    Raises:
        ScopeError: a block that cannot stand alone (`break` out of it), with file and line.
    """
    if lazy.__name__ not in _names(fn.__code__):
        return None
    try:
        lines, first = inspect.getsourcelines(fn)
    except (OSError, TypeError):
        return None  # entering the block says what is wrong
    source = "".join(lines)
    indented = source[:1].isspace()
    tree = ast.parse(f"if True:\n{source}" if indented else source)
    ast.increment_lineno(tree, first - 1 - indented)
    definition = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    if definition is None:
        return None
    blocks = _Blocks(fn, definition)
    if not blocks.replace():
        return None
    return _compiled(fn, definition)


def _names(code: CodeType) -> set[str]:
    return {*code.co_names, *code.co_freevars}


class _Blocks(ast.NodeTransformer):
    """Turns each lazy block of a view into a function and a call that hands it over."""

    def __init__(self, fn: FunctionType, definition: ast.FunctionDef) -> None:
        self.fn = fn
        self.definition = definition
        self.known = dict(inspect.getclosurevars(fn).nonlocals)
        self.globals = {
            name
            for node in ast.walk(definition)
            if isinstance(node, ast.Global)
            for name in node.names
        }
        self.bound: set[str] = set()
        self.count = 0

    def replace(self) -> bool:
        self.definition.body = [
            result
            for statement in self.definition.body
            for result in _as_list(self.visit(statement))
        ]
        if self.bound:
            # What a block binds is the view's local too, so that a later block can read it.
            targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in sorted(self.bound)]
            never = ast.If(ast.Constant(False), [ast.Assign(targets, ast.Constant(None))], [])
            self.definition.body.insert(0, ast.copy_location(never, self.definition))
        return self.count > 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_With(self, node: ast.With) -> Any:
        others = [item for item in node.items if not self.is_lazy(item.context_expr)]
        if len(others) == len(node.items):
            return self.generic_visit(node)
        body: list[ast.stmt] = node.body
        if others:
            body = [ast.copy_location(ast.With(others, body), node)]
        name = f"lazy_block_{self.count}"
        self.count += 1
        stored = _stored_names(body)
        self.bound |= stored - self.globals
        declared: list[ast.stmt] = []
        if stored - self.globals:
            declared.append(ast.Nonlocal(sorted(stored - self.globals)))
        if stored & self.globals:
            declared.append(ast.Global(sorted(stored & self.globals)))
        arguments = ast.arguments([], [], None, [], [], None, [])
        function = ast.FunctionDef(name, arguments, [*declared, *body], [])
        call = ast.Call(ast.Name(_DEFER, ast.Load()), [ast.Name(name, ast.Load())], [])
        return [ast.copy_location(new, node) for new in (function, ast.Expr(call))]

    def is_lazy(self, expression: ast.expr) -> bool:
        """Whether an expression calls `Scope.lazy`, by whatever name the view knows it."""
        if not isinstance(expression, ast.Call):
            return False
        attributes: list[str] = []
        target = expression.func
        while isinstance(target, ast.Attribute):
            attributes.insert(0, target.attr)
            target = target.value
        if not isinstance(target, ast.Name):
            return False
        found = self.known.get(target.id, self.fn.__globals__.get(target.id))
        for attribute in attributes:
            found = inspect.getattr_static(found, attribute, None)
            found = getattr(found, "__func__", found)
        return found is lazy


def _as_list(result: Any) -> list[ast.stmt]:
    return result if isinstance(result, list) else [result]


def _stored_names(body: list[ast.stmt]) -> set[str]:
    """The names that statements bind, outside of functions and classes of their own."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.add(name)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                found.add(name)
                continue
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in names}
            case (
                ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp()
            ):
                continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


def _compiled(fn: FunctionType, definition: ast.FunctionDef) -> Split:
    code = fn.__code__
    definition.decorator_list = []
    definition.returns = None
    arguments = definition.args
    arguments.defaults = []
    arguments.kw_defaults = [None for _ in arguments.kwonlyargs]
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    # The names that the view takes from around it become parameters of a function around it; only
    # the code object inside is used, with the view's own closure.
    outer = ast.FunctionDef(
        "around",
        ast.arguments(
            [], [ast.arg(name) for name in (_DEFER, *code.co_freevars)], None, [], [], None, []
        ),
        [definition],
        [],
    )
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(outer, definition)], []))
    try:
        compiled = compile(module, code.co_filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise ScopeError(
            f"{code.co_filename}:{error.lineno}: this lazy block cannot run later: {error.msg}"
        ) from None
    inner = _code_in(_code_in(compiled, "around"), definition.name)
    blocks: list[Callable[[], Any]] = []
    cells = dict(zip(code.co_freevars, fn.__closure__ or (), strict=True))
    cells[_DEFER] = CellType(lambda block: blocks.append(_as_met(block)))
    closure = tuple(cells[name] for name in inner.co_freevars)
    run = FunctionType(inner, fn.__globals__, fn.__name__, fn.__defaults__, closure)
    run.__kwdefaults__ = fn.__kwdefaults__
    return Split(run, blocks)


def _code_in(code: CodeType, name: str) -> CodeType:
    return next(
        constant
        for constant in code.co_consts
        if isinstance(constant, CodeType) and constant.co_name == name
    )


def _as_met(block: FunctionType) -> FunctionType:
    """Keep the values that the view's locals have now: a loop's variable goes on changing."""
    cells = tuple(_snapshot(cell) for cell in block.__closure__ or ())
    return FunctionType(block.__code__, block.__globals__, block.__name__, None, cells)


def _snapshot(cell: CellType) -> CellType:
    try:
        return CellType(cell.cell_contents)
    except ValueError:
        return cell  # bound by nobody yet: by an earlier block, perhaps
