"""How a function receives the configs that its parameters are named after."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from ato.adict import ADict
from ato.exceptions import ScopeError
from ato.trace import register_scope, scope_call

if TYPE_CHECKING:
    from ato.scope.single import Scope

__all__ = ["Arguments", "inject"]

Call = tuple[tuple[Any, ...], dict[str, Any]]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments(NamedTuple):
    """A function's signature as far as injection needs it."""

    signature: inspect.Signature
    # The scopes that a parameter is named after, with its place among the positional ones (or -1).
    named: tuple[tuple[Scope, int], ...]
    # The most positional arguments that callers may give besides the configs; -1 for any number.
    most: int
    # How many parameters have no default, keyword-only ones with them.
    required: int


def inject(fn: Callable[..., Any], scopes: Sequence[Scope], *, first: bool) -> Callable[..., Any]:
    """Wrap `fn` so that calls receive the configs of `scopes`.

    With `first`, a function that has no parameter of a scope's name receives the config as its
    first argument where the caller's arguments do not fill the signature and with it do.
    """
    if isinstance(fn, (staticmethod, classmethod)):
        raise ScopeError(f"put the scope below @{type(fn).__name__}, next to the function itself")
    if isinstance(fn, type) or not callable(fn):
        raise ScopeError(
            f"a scope decorates functions and methods, not {fn!r}; decorate its __init__ or __call__"
        )
    arguments = _arguments(fn, scopes)
    registration = register_scope(fn, next((s.project_roots for s in scopes), None))

    def filled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        if arguments.named:
            return _by_name(arguments, args, kwargs)
        return _as_first(arguments, scopes[0], args, kwargs) if first else (args, kwargs)

    if inspect.iscoroutinefunction(fn):

        @wraps(fn)
        async def call_later(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = filled(args, kwargs)
            with scope_call(registration):
                return await fn(*args, **kwargs)

        wrapper: Any = call_later
    else:

        @wraps(fn)
        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = filled(args, kwargs)
            with scope_call(registration):
                return fn(*args, **kwargs)

        wrapper = call
    names = {scope.name for scope, _ in arguments.named}
    parameters = arguments.signature.parameters
    kept = [parameter for name, parameter in parameters.items() if name not in names]
    wrapper.__signature__ = arguments.signature.replace(parameters=kept)
    wrapper.__ato_kind__ = "scope"
    return wrapper  # type: ignore[no-any-return]


def _arguments(fn: Callable[..., Any], scopes: Sequence[Scope]) -> Arguments:
    signature = inspect.signature(fn)
    parameters = signature.parameters
    positional = [name for name, p in parameters.items() if p.kind in _POSITIONAL]
    named = [
        (scope, positional.index(scope.name) if scope.name in positional else -1)
        for scope in scopes
        if scope.name in parameters
        and parameters[scope.name].kind
        not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    named.sort(key=lambda pair: pair[1])
    injected = sum(index >= 0 for _, index in named)
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    required = sum(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in parameters.values()
    )
    most = -1 if takes_any else len(positional) - injected
    return Arguments(signature, tuple(named), most, required)


def _by_name(arguments: Arguments, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    if 0 <= arguments.most < len(args) and any(isinstance(given, ADict) for given in args):
        return args, kwargs  # the caller passes the config himself, as `evaluate(config, model)`
    given = list(args)
    for scope, index in arguments.named:
        if scope.name in kwargs:
            # Moved to its place, so that the caller's positional arguments keep theirs.
            if 0 <= index < len(given):
                given.insert(index, kwargs.pop(scope.name))
        elif not scope.active:
            continue
        elif 0 <= index <= len(given):
            given.insert(index, scope.config)
        else:
            kwargs[scope.name] = scope.config
    return tuple(given), kwargs


def _as_first(
    arguments: Arguments, scope: Scope, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call:
    if not scope.active:
        return args, kwargs
    config = scope.config
    # The common case, `forward(model, x)`, without the slow binding.
    enough = not kwargs and arguments.required <= len(args)
    if enough and (arguments.most < 0 or len(args) <= arguments.most):
        return args, kwargs
    if not _fills(arguments.signature, args, kwargs):
        # A method's first argument is its object, whoever else wants to be first.
        start = 1 if args and next(iter(arguments.signature.parameters)) in ("self", "cls") else 0
        with_config = (*args[:start], config, *args[start:])
        if _fills(arguments.signature, with_config, kwargs):
            return with_config, kwargs
    return args, kwargs


def _fills(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
