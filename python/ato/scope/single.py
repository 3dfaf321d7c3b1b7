"""Scope: one config, the views that make it, and the functions that receive it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

from ato import events
from ato import trace as tracing
from ato.adict import ADict
from ato.adict.state import state_of
from ato.adict.tree import place
from ato.exceptions import (
    CommandLineError,
    ConfigTypeError,
    DuplicateScopeError,
    ScopeError,
    UnknownViewError,
    ViewChainError,
)
from ato.provenance import MISSING, History, Origin, Write, caller
from ato.scope import argparse_bridge, registry
from ato.scope.application import Applier
from ato.scope.command_line import CommandLine, Token, parse_tokens, texts, tokens
from ato.scope.injection import inject
from ato.scope.lazy import lazy, split_lazy_blocks
from ato.scope.manual import configs_text, history_text, key_text, manual_text, manual_texts
from ato.scope.suggestions import documented_as, nearest, nearest_key
from ato.scope.terminal import say, write
from ato.scope.views import View, keys_set_by, plan

__all__ = ["Scope"]

_WORDS = ("manual", "print")
_VIEW_NAME = re.compile(r"[^\s=-][^\s=]*")


class Scope:
    """A config put together from default views, named views, the command line and lazy views.

    Args:
        config: the very object that views change and functions receive; an empty one if not given.
        name: the name of the parameter that receives the config. Where a program has several
            scopes, it stands before the keys: on the command line, in reads, histories and runs.
        use_external_parser: take the values of the project's own argparse parser, its defaults
            below the views and what was given above them.
        enable_override: replace a scope of the same name instead of raising.
        strict: a key on the command line that no view set is an error, not a note.
        project_roots: folders whose code is the project's own, for `trace` and `runtime_trace`.

    Raises:
        DuplicateScopeError: there is a scope of this name.
    """

    lazy = staticmethod(lazy)

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        name: str = "config",
        use_external_parser: bool = False,
        enable_override: bool = False,
        strict: bool = False,
        project_roots: Sequence[str | Path] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ScopeError(f"a scope is named like a parameter, not {name!r}")
        if config is not None and not isinstance(config, Mapping):
            raise ConfigTypeError(f"Scope(config=…) takes a mapping, not {config!r:.80}")
        self.name = name
        self.use_external_parser = use_external_parser
        self.strict = strict
        self.project_roots = project_roots
        self.active = True
        self.views: dict[str, View] = {}
        self.manuals: list[Callable[[Any], Any]] = []
        own = config if isinstance(config, ADict) else ADict(config or {})
        self._applier = Applier(
            self, own, Origin("default", "the config given to the scope", *caller())
        )
        self._assigned: list[Token] = []
        # Arguments that a program gave, and the scopes that share them.
        self._argv: list[str] | None = None
        self._sharing: dict[str, Scope] = {}
        self._lock = threading.RLock()
        # The config that `using` puts in the place of the scope's own, in one context.
        self._used: ContextVar[ADict | None] = ContextVar(f"ato_config_{name}", default=None)
        self._applied = False
        # What the manual says of each key, once it was asked for.
        self._documented: dict[str, str] | None = None
        registry.add(self, override=enable_override)
        if use_external_parser:
            argparse_bridge.install()

    def __repr__(self) -> str:
        return f"Scope({self.name!r}, views={list(self.views)})"

    # ---------------------------------------------------------------- registering

    def observe(
        self,
        field: Any = None,
        config: Mapping[Any, Any] | None = None,
        priority: float = 0,
        lazy: bool = False,
        default: bool = False,
        chain_with: str | Sequence[str] | None = None,
    ) -> Any:
        """Register a view: a decorator for a function of the config, or with `config=` a mapping.

        Args:
            field: the view's name; a function's own if not given.
            config: a mapping to merge in; `field` is then required.
            priority: views with a larger one apply later.
            lazy: apply after the command line.
            default: apply without being named.
            chain_with: names of views that apply before this one.

        Raises:
            DuplicateScopeError: the scope has a view of this name.
        """
        asked = chain_with if isinstance(chain_with, (list, tuple)) else [chain_with]
        chain: tuple[Any, ...] = () if chain_with is None else tuple(asked)

        def register(fn: Callable[[Any], Any] | None, name: str) -> None:
            split = split_lazy_blocks(fn) if isinstance(fn, FunctionType) else None
            origin = Origin("lazy" if lazy else "view", name, *caller())
            self._add_view(
                View(
                    name, fn, config, split, priority, lazy, default, chain, len(self.views), origin
                )
            )

        def decorate(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
            if not callable(fn):
                raise ScopeError(f"a view is a function of the config, not {fn!r:.80}")
            name = field or getattr(fn, "__name__", None)
            if name is None:
                raise ScopeError(f"{fn!r:.80} has no name; give the view one: observe('name')")
            register(fn, name)
            return _marked(fn, "view")

        if callable(field):
            fn, field = field, None
            return decorate(fn)
        if config is None:
            return decorate
        if not isinstance(config, Mapping):
            raise ConfigTypeError(f"observe(config=…) takes a mapping, not {config!r:.80}")
        if not field:
            raise ScopeError("observe(config=…) needs the view's name: observe('name', config=…)")
        register(None, field)

        def refuse(fn: object) -> NoReturn:
            raise ScopeError(
                f"view {field} is a mapping (config=…), and no decorator for {fn!r:.80}: "
                "write the call on a line of its own"
            )

        return refuse

    def manual(self, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Register documentation: a function that sets each key to a text about it."""
        if not callable(fn):
            raise ScopeError(f"documentation is a function that sets each key, not {fn!r:.80}")
        self.manuals.append(fn)
        self._documented = None
        return _marked(fn, "manual")

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function that receives the config."""
        return inject(fn, [self], first=True)

    def trace(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        trace_id: str | None = None,
        roots: Sequence[str | Path] | None = None,
    ) -> Any:
        """Fingerprint a function's code in every run; see `ato.trace.trace`."""
        return _decorator(tracing.trace, fn, trace_id=trace_id, roots=roots or self.project_roots)

    def runtime_trace(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        trace_id: str | None = None,
        init_fn: Callable[[], object] | None = None,
        inspect_fn: Callable[[Any], object] | None = None,
        every: int | None = None,
        inputs: bool = True,
        roots: Sequence[str | Path] | None = None,
    ) -> Any:
        """Record a function's calls; see `ato.trace.runtime_trace`."""
        return _decorator(
            tracing.runtime_trace,
            fn,
            trace_id=trace_id,
            init_fn=init_fn,
            inspect_fn=inspect_fn,
            every=every,
            inputs=inputs,
            roots=roots or self.project_roots,
        )

    # ---------------------------------------------------------------- applying

    @property
    def config(self) -> ADict:
        """The config, applied; inside a view, as it is by then; inside `using`, that one."""
        used = self._used.get()
        if used is not None:
            return used
        return self._applier.config if self._applied else self.apply()

    def using(self, config: Mapping[str, Any]) -> AbstractContextManager[ADict]:
        """Let another config stand in the place of this scope's, inside the block.

        Decorated functions receive it and `scope.config` is it, in this thread or task (and in
        those that inherit its context); all others go on with the scope's own. Views and command
        line are not applied to it. Blocks nest.

        Args:
            config: an ADict is used itself, and gets a history if it has none; another mapping, or
                a branch of a config, is copied into one.

        Raises:
            ConfigTypeError: it is no mapping.
        """
        if not isinstance(config, Mapping):
            raise ConfigTypeError(f"scope.using(…) takes a mapping, not {config!r:.80}")
        whole = isinstance(config, ADict) and not state_of(config).prefix
        used = config if isinstance(config, ADict) and whole else ADict(config)
        _own(used, self.name)
        return self._using(used)

    @contextmanager
    def _using(self, config: ADict) -> Iterator[ADict]:
        token = self._used.set(config)
        try:
            yield config
        finally:
            self._used.reset(token)

    def apply(self, argv: Sequence[str] | None = None) -> ADict:
        """Apply views and command line, once, and return the config.

        With `argv` (without the program's name) these are the arguments, and the config is made
        anew from them. Without, they are the script's own.

        Raises:
            CommandLineError: a token of `argv` cannot be applied. Tokens of the script's own
                command line end the program with status 2 instead.
            UnknownViewError: likewise.
            ViewChainError: `chain_with` has a cycle or asks for an unknown view.
        """
        if argv is not None:
            self.take(self._without_own_name(argv), {self.name: self})
        with self._lock:
            if not self._applied and not self._applier.running:
                self._apply_now()
            return self._applier.config

    def _without_own_name(self, argv: Sequence[str]) -> list[str]:
        """Take the scope's name away, which must stand in front where several share a command line."""
        own = f"{self.name}." if len(registry.scopes()) > 1 else ""
        return [text.removeprefix(own) for text in texts(argv)]

    def take(self, argv: Sequence[str], sharing: dict[str, Scope]) -> None:
        """Take arguments, which are for all scopes of `sharing`, in the place of the script's."""
        self._argv = texts(argv)
        self._sharing = sharing
        self._applied = False

    def _apply_now(self) -> None:
        try:
            sharing = self._sharing if self._argv is not None else self._registered()
            line = self._command_line(sharing)
            if line.show == "manual":
                _show(manual_text(list(sharing.values())))
            # What views call receives the config that they make, whoever has it applied.
            token = self._used.set(None)
            try:
                self._applier.run(line)
            finally:
                self._used.reset(token)
            self._applied = True
            if line.show == "print":
                _show(configs_text(sharing))
            if line.show == "history":
                assert line.key is not None, "`manual KEY` comes with its key"
                _show(key_text(sharing, line.key))
        except (CommandLineError, UnknownViewError, ViewChainError) as error:
            if self._argv is not None or registry.program_arguments() is None:
                raise
            say("error", str(error))
            raise SystemExit(2) from None

    def _registered(self) -> dict[str, Scope]:
        return {**registry.scopes(), self.name: self}

    def _command_line(self, sharing: dict[str, Scope]) -> CommandLine:
        views = {name: scope.views for name, scope in sharing.items()}
        given = argparse_bridge.leftover() if self._argv is None else None
        if given is None:
            argv = self._argv if self._argv is not None else registry.program_arguments()
            given = tokens(argv or [])
            if self._argv is None and any(scope.use_external_parser for scope in sharing.values()):
                argparse_bridge.refuse_options(given)

        def find_key(name: str, key: str) -> str | None:
            return sharing[name].nearest_key(key)

        line = parse_tokens(given, views, find_key)
        assigned = parse_tokens(self._assigned, {self.name: self.views}, find_key, shows=False)
        line.views.setdefault(self.name, []).extend(assigned.views[self.name])
        line.assignments.setdefault(self.name, []).extend(assigned.assignments[self.name])
        return line

    def assign(self, given: str | Sequence[str]) -> None:
        """Add tokens behind the command line's: a view's name, `key=value`, or a list of them.

        A scope that was applied is applied anew at its next use.
        """
        place = caller()
        added = self._without_own_name([given] if isinstance(given, str) else given)
        self._assigned += [Token(text, None, *place) for text in added]
        self._applied = False

    def apply_anew(self) -> None:
        """Apply again at the next use."""
        self._applied = False

    def reset_user_inputs(self) -> None:
        """Forget what `assign` and `apply(argv=…)` gave."""
        self._assigned = []
        self._argv = None
        self._applied = False

    def get_assigned_views(self) -> dict[str, list[str]]:
        """Return, for each scope, the views in the order in which they apply, then the tokens."""
        return {name: scope._assigned_names() for name, scope in registry.scopes().items()}

    def _assigned_names(self) -> list[str]:
        line = self._command_line(self._sharing if self._argv is not None else self._registered())
        order = plan(self.views, [request.name for request in line.views[self.name]])
        names = [view.name for view in (*order.eager, *order.lazy)]
        return names + [given.token.text for given in line.assignments[self.name]]

    # ---------------------------------------------------------------- switching

    def activate(self) -> None:
        """Inject the config again."""
        self.active = True

    def deactivate(self) -> None:
        """Let decorated functions run with their own arguments only."""
        self.active = False

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Let decorated functions run with their own arguments only, inside the block."""
        before = self.active
        self.active = False
        try:
            yield
        finally:
            self.active = before

    @staticmethod
    def initialize_registry() -> None:
        """Forget all scopes, and leave argparse as it was."""
        registry.forget_all()
        argparse_bridge.remove()

    @staticmethod
    def override(scope: Scope) -> None:
        """Register a scope in the place of the one with its name."""
        registry.add(scope, override=True)
        if scope.use_external_parser:
            argparse_bridge.install()

    # ---------------------------------------------------------------- provenance

    def history(self, key: str) -> list[Write]:
        """Return the writes to a dotted key, oldest first."""
        return self.config.history(key)

    def explain(self, key: str) -> str:
        """Say in text who set a dotted key, and what lost."""
        return history_text(self.config, key)

    # ---------------------------------------------------------------- inside

    def _add_view(self, view: View) -> None:
        if not isinstance(view.name, str) or not _VIEW_NAME.fullmatch(view.name):
            raise ScopeError(f"a view is named on the command line; {view.name!r} is no word there")
        if view.name in _WORDS:
            raise ScopeError(f"{view.name!r} means something else on the command line; rename it")
        if not isinstance(view.priority, (int, float)) or view.priority != view.priority:
            raise ScopeError(
                f"the priority of view {view.name!r} is a number, not {view.priority!r}"
            )
        for name in view.chain:
            if not isinstance(name, str):
                raise ScopeError(f"chain_with takes the names of views, not {name!r:.80}")
        if view.name in self.views and not registry.interactive():
            raise DuplicateScopeError(
                f"scope {self.name!r} has a view named {view.name!r} already; "
                "give one of them another name: observe('name', …)"
            )
        self.views[view.name] = view
        self._applied = False

    def hint(self, key: str) -> str | None:
        """Say which view would set a missing key, if it had been applied, or which key is meant."""
        applied = self._applier.applied
        for view in self.views.values():
            if view.name not in applied and key in keys_set_by(view):
                return (
                    f"view {view.name} sets it and was not applied: add {view.name} to the "
                    "command line"
                )
        documented = documented_as(key, self._documentation())
        if documented is None or documented == key or documented.startswith(f"{key}."):
            return None
        return f"did you mean {documented!r}?"

    def meant(self, key: str) -> str | None:
        """Ask whether something else was meant by a key that no view sets."""
        if key in self.views:
            return f"{key} is a view; did you mean the view?"
        if key.startswith(f"{self.name}."):
            return (
                f"did you mean {events.full_key(self.name, key.removeprefix(f'{self.name}.'))!r}?"
            )
        documented = self._documentation()
        keys = {*self._applier.config.to_flat(), *documented} - {key}
        near = nearest_key(
            key, keys, {name: documented[name] for name in documented if name != key}
        )
        if near is not None:
            return f"did you mean {events.full_key(self.name, near)!r}?"
        view = nearest(key, self.views)
        return None if view is None else f"did you mean the view {view!r}?"

    def nearest_key(self, key: str) -> str | None:
        """Return the key that is meant: itself, as the manual calls it, or the nearest in name."""
        documented = self._documentation()
        keys = {*self._applier.config.to_flat(), *documented}
        keys.update(*map(keys_set_by, self.views.values()))
        keys.update(".".join(flag.path) for flag in argparse_bridge.flags(self))
        return nearest_key(key, keys, documented)

    def _documentation(self) -> dict[str, str]:
        if self._documented is None:
            self._documented = manual_texts(self.manuals)
        return self._documented


def _own(config: ADict, name: str) -> None:
    """Let what is read of a config count as read of the scope `name`, with whoever gave it as origin."""
    state = state_of(config)
    if state.history is None:
        given = Origin("default", "the config given to scope.using", *caller())
        history = History()
        with history.writing(given):
            for key, value in config.to_flat().items():
                history.record(key, value, MISSING)
        place(config, state.prefix, history)
    assert state.history is not None, "it was placed"
    state.history.name = name


def _marked(fn: Callable[[Any], Any], kind: str) -> Callable[[Any], Any]:
    with suppress(AttributeError):  # a bound method takes no attributes, and is a view all the same
        fn.__ato_kind__ = kind  # type: ignore[attr-defined]
    return fn


def _decorator(decorate: Callable[..., Any], fn: Any, **options: Any) -> Any:
    if fn is None:
        return lambda fn: decorate(fn, **options)
    if not callable(fn):
        raise ScopeError(f"write @scope.{decorate.__name__}(trace_id={fn!r}): options have names")
    return decorate(fn, **options)


def _show(text: str) -> None:
    write(text)
    raise SystemExit(0)
