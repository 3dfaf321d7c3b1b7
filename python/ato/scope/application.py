"""Applying a scope: views, then the command line's assignments, then lazy views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ato import events
from ato.adict import ADict
from ato.adict.node import Node
from ato.adict.state import Branch, State, state_of
from ato.adict.tree import build, fill, place
from ato.exceptions import CommandLineError
from ato.provenance import MISSING, History, Origin, Source, dotted, value_text
from ato.scope import argparse_bridge
from ato.scope.argparse_bridge import Flag
from ato.scope.command_line import LITERALS, Assignment, CommandLine, Token
from ato.scope.lazy import after_command_line
from ato.scope.suggestions import shown
from ato.scope.terminal import say
from ato.scope.views import Plan, View, plan

if TYPE_CHECKING:
    from ato.scope.single import Scope

__all__ = ["Applier"]

# A view, and what of it runs after the command line.
_Later = tuple[View, list[Callable[[], Any]]]

# What other languages write for a value that Python writes with a capital.
_FOREIGN_WORDS = {"true": "True", "false": "False", "null": "None", "none": "None"}
_NUMBERS_AS_WORDS = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}


class Applier:
    """Applies a scope to its config, wholly or not at all."""

    def __init__(self, scope: Scope, config: ADict, given: Origin) -> None:
        self.scope = scope
        self.config = config
        self.running = False
        self.applied: set[str] = set()
        self._defaults: dict[tuple[str, ...], Origin] = {}
        self._given = given
        # What the config held before the first application, to begin anew from.
        self._initial: tuple[Branch, History] | None = None

    def run(self, line: CommandLine) -> None:
        """Apply what `line` asks of this scope; on an error the config is as it was before.

        Raises:
            CommandLineError: an assignment cannot be made.
            ViewChainError: the views' prerequisites cannot be met.
        """
        name = self.scope.name
        order = plan(self.scope.views, [request.name for request in line.views.get(name, [])])
        flags = argparse_bridge.flags(self.scope)
        self._defaults = {flag.path: flag.origin for flag in flags if not flag.given}
        given = [flag for flag in flags if flag.given]
        settings: list[Assignment | Flag] = [*given, *line.assignments.get(name, [])]
        history = self._begin()
        self.running = True
        frame = events.ViewFrame(events.current_frame())
        token = events.push_frame(frame)
        # Another scope's lazy view may be what has this scope applied.
        phase = after_command_line.set(False)
        try:
            later = self._apply_order(order, [f for f in flags if not f.given], settings, history)
        except BaseException:
            self._begin()
            self.applied.clear()
            raise
        finally:
            after_command_line.reset(phase)
            events.pop_frame(token)
            self.running = False
            history.source = None
        if later or given:
            for setting in settings:
                self._say_if_lost(setting, history)

    def _apply_order(
        self,
        order: Plan,
        defaults: Sequence[Flag],
        settings: Sequence[Assignment | Flag],
        history: History,
    ) -> bool:
        """Apply defaults, views, settings and what is lazy; return whether anything was lazy."""
        for default in defaults:
            self._set(default, history)
        later: list[_Later] = []
        for view in order.eager:
            blocks = self._apply_view(view, history)
            if blocks:
                later.append((view, blocks))
        for setting in settings:
            self._set(setting, history)
        self._apply_later(self._with_lazy_views(later, order.lazy), history)
        return bool(later or order.lazy)

    def _begin(self) -> History:
        """Bring the config to what it held at first, with the history it had then."""
        state = state_of(self.config)
        if self._initial is None:
            history = (state.history or History()).copy()
            known = set(history.keys())
            with history.writing(self._given):
                for key, value in self.config.to_flat().items():
                    if key not in known:
                        history.record(key, value, MISSING)
            values = build(dict.items(self.config), "", State("", None, state.auto))
            self._initial = values, history
        else:
            for key in list(dict.keys(self.config)):
                dict.__delitem__(self.config, key)
            fill(self.config, dict.items(self._initial[0]), State(state.prefix, None, state.auto))
        history = self._initial[1].copy()
        history.name = self.scope.name
        history.hint = self.scope.hint
        place(self.config, state.prefix, history)
        self.applied = set()
        return history

    def _apply_view(self, view: View, history: History) -> list[Callable[[], Any]]:
        """Run a view; return the blocks that it leaves for later."""
        self.applied.add(view.name)
        with _blamed(view), history.writing(_source(view, history)):
            if view.split is not None:
                return view.split(self.config)
            self._run(view)
        return []

    def _with_lazy_views(self, blocks: list[_Later], lazy: Sequence[View]) -> list[_Later]:
        """Put lazy blocks and lazy views in order: by priority, but the views as they are planned."""
        keyed = [(entry[0].priority, entry) for entry in blocks]
        # A prerequisite stands before what asks for it, whatever its own priority.
        lowest = [min(view.priority for view in lazy[index:]) for index in range(len(lazy))]
        keyed += [
            (priority, (view, [partial(self._run, view)]))
            for priority, view in zip(lowest, lazy, strict=True)
        ]
        return [entry for _, entry in sorted(keyed, key=lambda pair: pair[0])]

    def _apply_later(self, later: Sequence[_Later], history: History) -> None:
        after_command_line.set(True)
        for view, blocks in later:
            self.applied.add(view.name)
            with _blamed(view), history.writing(_source(view, history, lazy=True)):
                for block in blocks:
                    block()

    def _run(self, view: View) -> None:
        if view.function is not None:
            view.function(self.config)
        else:
            self.config.update(view.mapping, recurrent=True)

    def _set(self, setting: Assignment | Flag, history: History) -> None:
        """Give a key the value that a token or a flag has for it."""
        node: Node = self.config
        *parents, last = setting.path
        known = ""
        for depth, part in enumerate(parents):
            if not dict.__contains__(node, part):
                # One write from here down, so that the missing parents are no writes of their own.
                value = _nested(setting.path[depth + 1 :], setting.value)
                self._write(node, part, value, setting, history)
                return
            known = dotted(known, part)
            below = dict.__getitem__(node, part)
            if not isinstance(below, Node):
                raise _nothing_below(known, below, setting, history)
            node = below
        path = dotted(known, last)
        value = setting.value
        there = dict.__contains__(node, last)
        if there and isinstance(setting, Flag):
            write = history.last(path)
            if not setting.given:
                return  # the config that was given to the scope says otherwise
            if write is not None and write.origin == self._defaults.get(setting.path):
                there = False  # the type of a flag is the parser's business
        if there:
            old = dict.__getitem__(node, last)
            value = _converted(value, old, path, setting, history)
            if old is None:
                _note_foreign_word(setting)
            with history.writing(setting.origin):
                node[last] = value
        else:
            self._write(node, last, value, setting, history)

    def _write(
        self, node: Node, key: str, value: Any, setting: Assignment | Flag, history: History
    ) -> None:
        """Set a key that no view has set."""
        if isinstance(setting, Assignment):
            _refuse_item(node, key, setting, history)
            self._note_unknown(setting)
            _note_foreign_word(setting)
        with history.writing(setting.origin):
            node[key] = value

    def _note_unknown(self, assignment: Assignment) -> None:
        path = ".".join(assignment.path)
        hint = self.scope.hint(path) or self.scope.meant(path) or ""
        text = f"no view sets '{shown(events.full_key(self.scope.name, path))}'" + (
            f"; {hint}" if hint else ""
        )
        if self.scope.strict:
            raise CommandLineError(f"{assignment}: {text}")
        text += " It" if hint.endswith("?") else "; it"
        say("note", f"{text} is set nevertheless: {assignment}")

    def _say_if_lost(self, setting: Assignment | Flag, history: History) -> None:
        own = setting.origin
        # A flag that a token overrides leaves the parser's namespace with another value.
        kept = ("code",) if isinstance(setting, Flag) else ("cli", "code")
        for key in history.keys():  # noqa: SIM118 (a history is no mapping)
            writes = history.writes(key)
            given = next((write for write in reversed(writes) if write.origin == own), None)
            last = writes[-1]
            lost = last.origin.kind not in kept and last is not given
            if given is not None and lost and last.value_text != given.value_text:
                name = events.full_key(self.scope.name, key)
                what = (
                    f"{name} was deleted"
                    if last.type == "deleted"
                    else (f"{name} = {last.value_text} was set")
                )
                say("note", f"{setting} did not last: {what} after it by {last.origin}")


def _source(view: View, history: History, *, lazy: bool = False) -> Source | Origin:
    if view.function is None:
        return view.origin
    source = Source("lazy" if lazy else "view", view.name, history.name)
    frame = events.current_frame()
    if isinstance(frame, events.ViewFrame):
        frame.derived = source.reads
    return source


@contextmanager
def _blamed(view: View) -> Iterator[None]:
    """Say in an error's traceback which view was being applied."""
    try:
        yield
    except Exception as error:
        error.add_note(f"while applying the view {view.name!r}")
        raise


def _note_foreign_word(setting: Assignment | Flag) -> None:
    """Say that `flag=false` sets a text, which counts as true, where no type refuses it."""
    if not isinstance(setting, Assignment) or not isinstance(setting.value, str):
        return
    key, _, typed = setting.token.text.partition("=")
    meant = _FOREIGN_WORDS.get(typed.casefold())
    if meant is not None and not key.endswith(":"):
        say("note", f"{setting} is the text {setting.value!r}; the value is written {key}={meant}")


def _nothing_below(
    path: str, value: Any, setting: Assignment | Flag, history: History
) -> CommandLineError:
    name = events.full_key(history.name, path)
    return CommandLineError(
        f"{setting}: nothing can be set below {name!r}, which holds "
        f"{value_text(value):.60}{_set_by(history, path)}; write it whole: {name}=VALUE"
    )


def _refuse_item(node: Node, key: str, setting: Assignment, history: History) -> None:
    """Refuse `layers[0]=3`: it would make a key of that name beside `layers`."""
    stem, bracket, item = key.partition("[")
    if not bracket or not dict.__contains__(node, stem):
        return
    value = dict.__getitem__(node, stem)
    path = dotted(state_of(node).prefix, stem)
    if not isinstance(value, Node):
        raise _nothing_below(path, value, setting, history)
    name = events.full_key(history.name, path)
    inner = shown(item.rstrip("]").strip("\"'"))
    raise CommandLineError(f"{setting}: a key below {name!r} is written {name}.{inner}=VALUE")


def _nested(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _converted(
    value: Any, old: Any, path: str, setting: Assignment | Flag, history: History
) -> Any:
    """Check that a value is of the type that its key has; an int for a float is widened.

    Raises:
        CommandLineError: it is not, naming the line that set the type.
    """
    if old is None or type(value) is type(old):
        return value
    if type(old) is float:
        if type(value) is int:
            return _as_float(value, setting)
        if isinstance(value, str) and value in _NUMBERS_AS_WORDS:
            return _NUMBERS_AS_WORDS[value]
    if isinstance(old, PurePath) and isinstance(value, str):
        return type(old)(value)  # the command line has no other form for a path
    if isinstance(old, dict) and isinstance(value, Mapping):
        return {
            key: _converted(item, dict.get(old, key), dotted(path, key), setting, history)
            for key, item in value.items()
        }
    name, hint = events.full_key(history.name, path), ""
    if isinstance(setting, Flag):
        hint = "; let add_argument(…, type=…) and the view agree" if value is not None else ""
    elif isinstance(old, str) and path == ".".join(setting.path):
        hint = f"; as a text it is written {name}:={_text(setting)}"
    else:
        hint = _as_it_is_written(value, old)
    kind = "a section" if isinstance(old, Mapping) else _a(type(old))
    given = f"{_short(value)} is {'no value' if value is None else _a(type(value))}"
    raise CommandLineError(
        f"{setting}: {name} is {kind}{_set_by(history, path)}, and {given}{hint}"
    )


def _as_it_is_written(value: Any, old: Any) -> str:
    """How somebody writes a value of the type that `old` has, who wrote `value`."""
    if isinstance(old, bool):
        return "; write True or False"
    if isinstance(old, Mapping):
        return "; its keys are set one by one, with a dot"
    if isinstance(old, (list, tuple)) and isinstance(value, (list, tuple)):
        return f"; write {value_text(type(old)(value))}"
    if type(old) is int and type(value) is float and value.is_integer():
        return f"; write {_short(int(value))}"
    if isinstance(value, str) and not isinstance(old, LITERALS):
        return "; the command line has no form for that: set it in a view"
    return ""


def _as_float(value: int, setting: Assignment | Flag) -> float:
    try:
        return float(value)
    except OverflowError:
        raise CommandLineError(f"{setting}: too large for a float") from None


def _short(value: Any) -> str:
    try:
        return f"{value!r:.60}"
    except ValueError:  # an int of more digits than Python writes
        return f"a number of {value.bit_length()} bits"


def _text(assignment: Assignment) -> str:
    return f"{Token(assignment.token.text.partition('=')[2])}"


def _set_by(history: History, path: str) -> str:
    write = history.last(path)
    if write is None:
        below = [key for key in history.keys() if key.startswith(f"{path}.")]  # noqa: SIM118
        write = history.last(below[0]) if below else None
    return f" (set by {write.origin})" if write is not None else ""


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiou' else 'a'} {kind.__name__}"
