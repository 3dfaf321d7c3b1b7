"""The values of the user's own argparse parser, for the scopes that asked for them.

`Scope(use_external_parser=True)` installs three listeners on argparse: one hears where an argument
is declared, one which arguments were given, and one when a parse ends. All of them hand on what
argparse answers; only the words that the user's parser does not know, and that are no options, do
not reach its error, for they are the scope's. A parser is the user's where its parse is called from
the project's own code. `Scope.initialize_registry()` takes the listeners away.
"""

from __future__ import annotations

import argparse
import functools
import io
import os
import sys
import weakref
from argparse import Action, ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, redirect_stderr, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ato.code import is_project_file
from ato.exceptions import CommandLineError
from ato.provenance import Origin, caller, shown_path
from ato.scope import registry
from ato.scope.command_line import HELP, Token, tokens
from ato.scope.manual import manual_text
from ato.scope.terminal import write

if TYPE_CHECKING:
    from ato.scope.single import Scope

__all__ = ["Flag", "flags", "install", "leftover", "refuse_options", "remove"]

# Where each is looked up, and its name. `_get_values` is no public name of argparse; it is the one
# place through which every given argument goes, in 3.11, 3.12 and 3.13 alike.
_LISTENED: tuple[tuple[type[Any], str], ...] = (
    (argparse._ActionsContainer, "add_argument"),
    (ArgumentParser, "_get_values"),
    (ArgumentParser, "parse_known_args"),
    (ArgumentParser, "parse_known_intermixed_args"),
)
# Those that end in an error where something is left over.
_WHOLE = (ArgumentParser.parse_args.__code__, ArgumentParser.parse_intermixed_args.__code__)


@dataclass(frozen=True, slots=True)
class Flag:
    """What a parser answered for one destination: given on the command line, or its default."""

    path: tuple[str, ...]
    value: Any
    origin: Origin
    given: bool

    def __str__(self) -> str:
        return self.origin.text


class _Declared(NamedTuple):
    """Where an argument was declared, and with which default."""

    file: str | None
    line: int | None
    default: object


@dataclass(slots=True)
class _Parse:
    """A parse that is going on, or the last one of the user's."""

    given_argv: object
    argv: list[str]
    # What stood where, from 1; for what an earlier parse left, where it stood for that one.
    texts: dict[int, str]
    # Each text is an object of its own, so that equal ones are told apart by their identity. Those
    # of one letter are not: Python keeps a single object for each.
    places: dict[int, int]
    namespace: object = None
    rest: object = None
    whole: bool = True
    helped: bool = False
    parsers: list[ArgumentParser] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    consumed: set[int] = field(default_factory=set)
    unknown: list[Token] = field(default_factory=list)
    wrong: CommandLineError | None = None
    flags: list[Flag] = field(default_factory=list)

    def note(self, action: Action, strings: Sequence[str]) -> None:
        """Hear that an action receives these texts."""
        self.helped |= isinstance(action, argparse._HelpAction)
        self.consumed.update(map(id, strings))
        if not action.option_strings and not strings:
            return  # an optional positional that nobody gave
        subcommand = isinstance(action, argparse._SubParsersAction)
        shown = [str(text) for text in (strings[:1] if subcommand else strings)]
        number = self.place(strings[0]) if strings else None
        if action.option_strings:
            number = self._option_before(strings, action)
            if number is None:  # `--lr=0.1`, a flag without a value, or an argument from a file
                number = self._last_spelled(action)
                shown = [] if number is not None else shown
            shown.insert(0, action.option_strings[0] if number is None else self.texts[number])
        self.taken[action.dest] = str(Token(" ".join(shown), number))

    def place(self, text: str) -> int | None:
        """Where a text stood, counted from 1."""
        return self.places.get(id(text))

    def _option_before(self, strings: Sequence[str], action: Action) -> int | None:
        """Where the option stood whose values these are."""
        if not strings:
            return None
        place = self.place(strings[0])
        if len(strings[0]) > 1 or place is None:
            return None if place is None else place - 1
        # The last of several that are equal: its value is the one that stays.
        return self._last_spelled(action, followed_by=strings[0])

    def _last_spelled(self, action: Action, followed_by: str | None = None) -> int | None:
        for number, text in reversed(self.texts.items()):
            follows = followed_by is None or self.texts.get(number + 1) == followed_by
            if follows and any(_spells(text, option) for option in action.option_strings):
                return number
        return None

    def belongs_to(self, earlier: _Parse) -> bool:
        """Whether this parse goes on with what an earlier `parse_known_args` left."""
        if earlier.whole:
            return False
        if self.given_argv is None:
            return earlier.given_argv is None and self.texts == earlier.texts
        return (
            self.given_argv is earlier.rest
            or self.namespace is earlier.namespace
            or any(key in earlier.places for key in self.places)
        )


def _spells(text: str, option: str) -> bool:
    """Whether an argument is this option: whole, abbreviated, or among joined short ones."""
    if len(option) == 2:
        return text[:1] == option[0] and text[1:2] != option[0] and option[1] in text[1:]
    head = text.partition("=")[0]
    return len(head.strip(option[0])) > 0 and option.startswith(head)


_originals: dict[str, Any] = {}
_declared: weakref.WeakKeyDictionary[Action, _Declared] = weakref.WeakKeyDictionary()
_parses: list[_Parse] = []
_now: ContextVar[_Parse | None] = ContextVar("argparse_bridge", default=None)


def install() -> None:
    """Listen to argparse, from now on."""
    if _originals:
        return
    listeners = (_hear_declaration, _hear_values, _hear_parse, _hear_parse)
    for (owner, name), listener in zip(_LISTENED, listeners, strict=True):
        _originals[name] = getattr(owner, name)
        setattr(owner, name, listener(_originals[name]))


def remove() -> None:
    """Leave argparse as it was, and forget what was parsed."""
    for owner, name in _LISTENED:
        # Who put a listener over ours keeps it; with no scope left ours only hands on.
        original = _originals.get(name)
        if original and getattr(getattr(owner, name), "__wrapped__", None) is original:
            setattr(owner, name, original)
    _originals.clear()
    _declared.clear()
    _parses.clear()


def flags(scope: Scope) -> list[Flag]:
    """What the user's parsers answered for a scope that asked, a later one over an earlier.

    A destination that begins with the name of a scope (`--data.lr`) is that scope's.
    """
    if not scope.use_external_parser:
        return []
    found: dict[tuple[tuple[str, ...], bool], Flag] = {}
    for parse in _parses:
        for flag in parse.flags:
            first, *below = flag.path
            own = flag.path
            if below and first in registry.scopes():
                if first != scope.name:
                    continue
                own = tuple(below)
            found[own, flag.given] = Flag(own, flag.value, flag.origin, flag.given)
    return list(found.values())


def leftover() -> list[Token] | None:
    """The words that no parser of the user's knew; `None` where none was called."""
    if not _parses:
        return None
    last = _parses[-1]
    if last.wrong is not None:
        raise last.wrong
    # A word belongs to nobody else only if every parser that saw it left it.
    places = [{token.position for token in parse.unknown} for parse in _parses]
    return [token for token in last.unknown if all(token.position in each for each in places)]


def refuse_options(given: Sequence[Token]) -> None:
    """Refuse options while the parser that would know them was not called."""
    for token in given:
        if token.text.startswith("-") and token.text not in HELP:
            raise CommandLineError(
                f"unknown option {token}: the scope takes a parser's options and parse_args() was "
                "not called yet; call it after Scope(use_external_parser=True) and before the "
                "first function of the scope"
            )


# -------------------------------------------------------------------- listeners


def _hear_declaration(original: Callable[..., Action]) -> Callable[..., Action]:
    @functools.wraps(original)
    def add_argument(self: Any, *args: Any, **kwargs: Any) -> Action:
        action = original(self, *args, **kwargs)
        _declared[action] = _Declared(*caller(), action.default)
        return action

    return add_argument


def _hear_values(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_values(self: ArgumentParser, action: Action, arg_strings: list[str]) -> Any:
        parse = _now.get()
        if parse is not None:
            parse.note(action, arg_strings)
        return original(self, action, arg_strings)

    return get_values


def _hear_parse(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def parse_known(self: ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        outer = _now.get()
        if outer is not None:
            outer.parsers.append(self)  # a subcommand's parser
            return original(self, args, namespace)
        call = _call_of(self)
        scopes = [scope for scope in registry.scopes().values() if scope.use_external_parser]
        if call is None or not scopes or not _is_project(call, scopes):
            return original(self, args, namespace)
        parse = _begun(args)
        parse.whole = call.whole
        parse.parsers.append(self)
        return _run(functools.partial(original, self), parse, namespace, call, scopes)

    return parse_known


class _Call(NamedTuple):
    """The line that called a parser; `whole` where what is left over is an error."""

    file: str
    line: int
    module: str
    whole: bool


def _call_of(parser: ArgumentParser) -> _Call | None:
    """Find who called: the first frame that is neither argparse's nor a method of the parser's."""
    frame = sys._getframe(2)
    whole = False
    while frame.f_globals is vars(argparse) or frame.f_locals.get("self") is parser:
        whole |= frame.f_code in _WHOLE
        if frame.f_back is None:
            return None
        frame = frame.f_back
    module = str(frame.f_globals.get("__name__"))
    return _Call(frame.f_code.co_filename, frame.f_lineno, module, whole)


def _is_project(call: _Call, scopes: Sequence[Scope]) -> bool:
    if call.module == "__main__" and not os.path.exists(call.file):  # noqa: PTH110 (no real path)
        return True  # the prompt, a notebook
    return any(is_project_file(call.file, scope.project_roots) for scope in scopes)


def _begun(given: Any) -> _Parse:
    """Begin a parse with texts of its own; those that an earlier parse left keep their places."""
    known = {key: number for parse in _parses for key, number in parse.places.items()}
    goes_on = given is not None and any(given is parse.rest for parse in _parses)
    begun = _Parse(given, [], {}, {})
    for index, text in enumerate(sys.argv[1:] if given is None else given, 1):
        number = index
        if given is not None and id(text) in known and (goes_on or len(text) > 1):
            number = known[id(text)]
        elif type(text) is str:  # an object of another class reaches the namespace as it is
            text = "".join([text[:1], text[1:]])
        begun.argv.append(text)
        begun.texts.setdefault(number, text)
        begun.places.setdefault(id(text), number)
    return begun


def _run(
    original: Callable[..., Any], parse: _Parse, namespace: Any, call: _Call, scopes: list[Scope]
) -> tuple[Any, list[str]]:
    own = parse.given_argv is not None or registry.program_arguments() is not None
    argv = parse.argv
    # In front, the word is the scope's, whatever positional arguments the parser has.
    asked = _manual_words(argv) if own and argv[:1] == ["manual"] else 0
    # Missing arguments must not stop `manual`: the parser's complaint waits until it is known
    # whether the word was one of its own.
    complaint = io.StringIO()
    waiting = redirect_stderr(complaint) if own and "manual" in argv else nullcontext()
    before = _now.set(parse)
    try:
        with waiting:
            answer, unknown = original(argv[asked:], namespace)
    except BaseException as error:
        refused = bool(complaint.getvalue()) and isinstance(error, SystemExit)
        if refused and any(text == "manual" and id(text) not in parse.consumed for text in argv):
            _show_manual(parse, call, scopes)
        sys.stderr.write(complaint.getvalue())
        if isinstance(error, SystemExit) and not error.code and parse.helped:
            write(manual_text(list(registry.scopes().values())))
        raise
    finally:
        _now.reset(before)
    sys.stderr.write(complaint.getvalue())
    left = list(unknown)
    if own:
        parse.unknown, left = _shared_out([*argv[:asked], *unknown], parse)
    if parse.whole and left:
        return answer, left
    parse.namespace, parse.rest = answer, unknown
    # A namespace of the user's may be anything that has attributes.
    values = answer if isinstance(answer, Mapping) else getattr(answer, "__dict__", {})
    parse.flags = list(_flags(values, parse, call))
    _parses[:] = [earlier for earlier in _parses if parse.belongs_to(earlier)] + [parse]
    for scope in scopes:
        scope.apply_anew()
    return answer, [] if parse.whole else unknown


def _manual_words(argv: Sequence[str]) -> int:
    """How many of the first arguments are `manual` or `manual KEY`."""
    return 1 + any(_is_plain(text) and text not in _views() for text in argv[1:2])


def _is_plain(text: str) -> bool:
    return not text.startswith("-") and "=" not in text


def _views() -> set[str]:
    return {view for scope in registry.scopes().values() for view in scope.views}


def _shared_out(unknown: Sequence[str], parse: _Parse) -> tuple[list[Token], list[str]]:
    """Tell the scope's words from options, which stay the parser's to complain about."""
    try:
        found = tokens(unknown, [parse.place(text) for text in unknown])
    except CommandLineError as error:
        parse.wrong = error  # said when the scope applies, as for a program without a parser
        return [], []
    own: list[Token] = []
    left: list[str] = []
    after_option = False
    for token in found:
        option = token.text.startswith("-") and token.text not in HELP
        # Behind an option that nobody knows yet, a plain word may be its value.
        skipped = option or (not parse.whole and after_option and "=" not in token.text)
        if option:
            left.append(token.text)
        elif not skipped:
            own.append(token)
        after_option = option
    return own, left


def _flags(answer: Mapping[str, Any], parse: _Parse, call: _Call) -> Iterator[Flag]:
    actions = {a.dest: a for parser in reversed(parse.parsers) for a in reversed(parser._actions)}
    for dest, value in answer.items():
        path = tuple(dest.split("."))
        if "" in path or dest.startswith("__"):
            continue  # a class that was given as the namespace has names of its own
        action = actions.get(dest)
        default = value
        if dest in parse.taken:
            yield Flag(path, value, Origin("cli", parse.taken[dest]), given=True)
            if action is None or action.default is argparse.SUPPRESS:
                continue
            default = _default(action)
        name, place = dest, (shown_path(call.file), call.line)
        if action is not None:
            name = max(action.option_strings, key=len, default=dest)
            declared = _declared.get(action)
            # `set_defaults` puts another default in the place of the one that was declared.
            if declared is not None and declared.default is action.default:
                place = (declared.file or place[0], declared.line or place[1])
        origin = Origin("default", f"argparse default of {name}", *place)
        yield Flag(path, default, origin, given=False)


def _default(action: Action) -> Any:
    """The default of an argument that was given; argparse itself converts only one that counts."""
    if isinstance(action.default, str) and isinstance(action.type, type):
        with suppress(Exception):  # any error that the user's class may raise
            return action.type(action.default)
    return action.default


def _show_manual(parse: _Parse, call: _Call, scopes: Sequence[Scope]) -> None:
    """Show `manual` or `manual KEY` where the parser refuses the rest, as if that were not there.

    Of the rest only what is surely a scope's counts, and of the parser only the defaults.
    """
    at = parse.argv.index("manual")
    views = _views()
    parse.unknown = [
        Token(text, index + 1)
        for index, text in enumerate(parse.argv)
        if not text.startswith("-")
        and (index in (at, at + 1) or "=" in text or text.rpartition(".")[2] in views)
    ]
    parse.taken.clear()
    parser = parse.parsers[0]
    defaults = {
        action.dest: _default(action)
        for action in parser._actions
        if argparse.SUPPRESS not in (action.dest, action.default)
    }
    parse.flags = list(_flags(defaults, parse, call))
    _parses[:] = [parse]
    scopes[0].apply_anew()
    scopes[0].apply()
