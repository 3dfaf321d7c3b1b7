"""MultiScope: several scopes for one function, each with its own views, arguments and history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ato.adict import ADict
from ato.exceptions import DuplicateScopeError, ScopeError
from ato.provenance import Write
from ato.scope.injection import inject
from ato.scope.manual import history_text
from ato.scope.single import Scope

__all__ = ["MultiScope"]


class MultiScope:
    """Injects the config of each scope as the parameter that is named after it.

    Raises:
        DuplicateScopeError: two scopes have one name.
    """

    def __init__(self, *scopes: Scope) -> None:
        if not scopes or not all(isinstance(scope, Scope) for scope in scopes):
            raise ScopeError("MultiScope takes scopes: MultiScope(model_scope, data_scope)")
        self.scopes: dict[str, Scope] = {}
        for scope in scopes:
            if scope.name in self.scopes:
                raise DuplicateScopeError(
                    f"two scopes are named {scope.name!r}; give one another name: Scope(name=…)"
                )
            self.scopes[scope.name] = scope

    def __repr__(self) -> str:
        return f"MultiScope({', '.join(self.scopes)})"

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function that receives the configs."""
        return inject(fn, list(self.scopes.values()), first=False)

    def trace(self, fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Fingerprint a function's code in every run; see `Scope.trace`."""
        return self._first.trace(fn, **options)

    def runtime_trace(self, fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Record a function's calls; see `Scope.runtime_trace`."""
        return self._first.runtime_trace(fn, **options)

    def apply(self, argv: Sequence[str] | None = None) -> dict[str, ADict]:
        """Apply every scope and return the configs by name; tokens begin with a scope's name."""
        if argv is not None:
            for scope in self.scopes.values():
                scope.take(argv, self.scopes)
        return self.config

    @property
    def config(self) -> dict[str, ADict]:
        """The configs by the names of their scopes, applied; `SQLLogger` takes it as a config."""
        return {name: scope.config for name, scope in self.scopes.items()}

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let decorated functions run with their own arguments only, inside the block."""
        with ExitStack() as stack:
            for scope in self.scopes.values():
                stack.enter_context(scope.pause())
            yield

    def history(self, key: str) -> list[Write]:
        """Return the writes to `scope.key`, oldest first."""
        scope, rest = self._split(key)
        return scope.history(rest)

    def explain(self, key: str) -> str:
        """Say in text who set `scope.key`, and what lost."""
        scope, rest = self._split(key)
        return history_text(scope.config, rest, scope.name)

    @property
    def _first(self) -> Scope:
        return next(iter(self.scopes.values()))

    def _split(self, key: str) -> tuple[Scope, str]:
        name, _, rest = key.partition(".")
        if name not in self.scopes or not rest:
            raise ScopeError(
                f"a key begins with its scope here, as in {next(iter(self.scopes))}.{key}; "
                f"scopes: {', '.join(self.scopes)}"
            )
        return self.scopes[name], rest
