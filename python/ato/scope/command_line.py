"""The grammar of the command line: views, assignments, `manual` and `print`.

Values are read by `ast.literal_eval` and nothing else; no token is ever executed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ato.exceptions import CommandLineError, ConfigTypeError, UnknownViewError
from ato.provenance import Origin
from ato.scope.suggestions import nearest, shown

__all__ = [
    "HELP",
    "LITERALS",
    "Assignment",
    "CommandLine",
    "Token",
    "ViewRequest",
    "parse",
    "parse_tokens",
    "texts",
    "tokens",
]

_ASSIGNMENT = re.compile(r"(?P<key>[^=\s:][^=\s]*?)(?P<sign>:?=)(?P<value>.*)", re.DOTALL)
# Deeper than any config is, and far above it Python would run out of stack.
_DEEPEST_KEY = 100
HELP = ("--help", "-h")
# Given a scope and a name: the key of that scope which is meant.
FindKey = Callable[[str, str], str | None]
LITERALS = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set)


@dataclass(frozen=True, slots=True)
class Token:
    """One argument, or several that the shell had split: its text and where it stood.

    `position` counts from 1, as `sys.argv` does. A token that a program gave (`scope.assign`) has a
    file and line instead.
    """

    text: str
    position: int | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return shown(self.text) + self.place

    @property
    def place(self) -> str:
        """Where the token stood, as messages say it; an empty text for one that a program gave."""
        return f" (argument {self.position})" if self.position is not None else ""

    @property
    def origin(self) -> Origin:
        """The origin of what this token sets."""
        if self.position is not None:
            return Origin("cli", str(self))
        return Origin("code", f"assign({str(self)!r})", self.file, self.line)


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """`high_lr`: apply that view."""

    name: str
    token: Token


@dataclass(frozen=True, slots=True)
class Assignment:
    """`model.depth=101`: give that key this value."""

    path: tuple[str, ...]
    value: Any
    token: Token

    def __str__(self) -> str:
        return str(self.token)

    @property
    def origin(self) -> Origin:
        """The origin of what this sets."""
        return self.token.origin


@dataclass(slots=True)
class CommandLine:
    """What a command line asks for, scope by scope, and whether it asks to show something."""

    views: dict[str, list[ViewRequest]] = field(default_factory=dict)
    assignments: dict[str, list[Assignment]] = field(default_factory=dict)
    show: Literal["manual", "print", "history"] | None = None
    key: str | None = None


def texts(argv: Iterable[str]) -> list[str]:
    """The arguments that a program gives, as a list.

    Raises:
        ConfigTypeError: it is no list of texts; a single text is none either.
    """
    given: list[Any] = (
        [argv] if isinstance(argv, str) or not isinstance(argv, Iterable) else [*argv]
    )
    if isinstance(argv, str) or not all(isinstance(text, str) for text in given):
        raise ConfigTypeError(f"arguments are a list of texts, as ['lr=0.1'], not {argv!r:.80}")
    return given


def tokens(argv: Sequence[str], positions: Sequence[int | None] | None = None) -> list[Token]:
    """Join what the shell split at blanks: values in brackets or between percent signs.

    Args:
        argv: the arguments.
        positions: where each stood, if not one behind the other.

    Raises:
        CommandLineError: brackets or percent signs that do not close.
    """
    numbers = positions if positions is not None else range(1, len(argv) + 1)
    found: list[Token] = []
    index = 0
    while index < len(argv):
        start = index
        parts = [argv[index]]
        match = _ASSIGNMENT.fullmatch(argv[index])
        if match is not None and match["sign"] == "=":
            value = _Value(match["value"])
            while not value.complete:
                index += 1
                if index == len(argv):
                    what = "percent signs" if match["value"].startswith("%") else "brackets"
                    first = Token(argv[start], numbers[start])
                    text = f"as a text it is written {shown(match['key'])}:={shown(match['value'])}"
                    raise CommandLineError(f"{first}: the {what} do not close; {text}")
                parts.append(argv[index])
                value.add(" " + argv[index])
        found.append(Token(" ".join(parts), numbers[start]))
        index += 1
    return found


def _no_key(scope: str, name: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    """The views of each scope, and what finds the key of a scope that a name means, for messages."""

    views: Mapping[str, Collection[str]]
    find_key: FindKey

    def having(self, name: str) -> list[str]:
        """The scopes that have a view or a key of this name."""
        return [
            scope
            for scope, views in self.views.items()
            if name in views or self.find_key(scope, name) == name
        ]


def parse(
    argv: Sequence[str], views: Mapping[str, Collection[str]], find_key: FindKey = _no_key
) -> CommandLine:
    """Read a command line for the scopes whose views are given by name.

    With several scopes every token begins with its scope's name. `find_key` is asked which key of a
    scope is meant by a name, for messages, and for the word behind `manual`.

    Raises:
        CommandLineError: a token that is neither a view nor an assignment, or an unknown scope.
        UnknownViewError: a view that the scope does not have.
    """
    return parse_tokens(tokens(argv), views, find_key)


def parse_tokens(
    given: Iterable[Token],
    views: Mapping[str, Collection[str]],
    find_key: FindKey = _no_key,
    *,
    shows: bool = True,
) -> CommandLine:
    """Read tokens; see `parse`. Without `shows` the words `manual` and `print` mean nothing."""
    known = _Known(views, find_key)
    found = CommandLine(
        views={name: [] for name in views}, assignments={name: [] for name in views}
    )
    for token in given:
        if found.show == "manual" and found.key is None and _is_key(token.text, known):
            found.show, found.key = "history", token.text
        elif shows and token.text in ("manual", "print", *HELP):
            found.show = "print" if token.text == "print" else "manual"
        elif (match := _ASSIGNMENT.fullmatch(token.text)) is not None:
            scope, key = _scope_of(match["key"], token, known)
            value = _value(match["sign"], match["value"], token)
            found.assignments[scope].append(Assignment(_path(key, token), value, token))
        else:
            _check_name(token)
            scope, name = _scope_of(token.text, token, known)
            if name not in views[scope]:
                raise _unknown_view(name, token, scope, known)
            found.views[scope].append(ViewRequest(name, token))
    return found


def _is_key(text: str, known: _Known) -> bool:
    """Whether a word behind `manual` is a key: anything that is no assignment and names no view.

    What names both is the key, whose history cannot be asked for in another way.
    """
    if "=" in text or text in ("manual", "print"):
        return False
    if len(known.views) > 1:
        scope, _, name = text.partition(".")
    else:
        scope, name = next(iter(known.views)), text
    return name not in known.views.get(scope, ()) or known.find_key(scope, name) == name


def _check_name(token: Token) -> None:
    """Refuse what names nothing, which no list of names would help with."""
    sign = re.match(r":?=", token.text)
    if sign is not None:
        form = "KEY=VALUE, without blanks" if sign[0] == token.text else f"KEY{shown(token.text)}"
        raise CommandLineError(f"{token}: a key is missing; a value is written {form}")
    if "=" in token.text:
        key = shown(token.text.partition("=")[0])
        raise CommandLineError(f"{token}: '{key}' is no key; a key has no blanks")
    if not token.text.strip("-. \t\n"):
        text = token if token.text else f"''{token}"
        raise CommandLineError(
            f"{text}: this names nothing; a view is written by its name, a value KEY=VALUE"
        )


def _scope_of(name: str, token: Token, known: _Known) -> tuple[str, str]:
    if len(known.views) == 1:
        return next(iter(known.views)), name
    first, dot, rest = name.partition(".")
    if first in known.views and rest:
        return first, rest
    scopes = ", ".join(known.views)
    having = known.having(name)
    if first in known.views and not having:
        raise CommandLineError(
            f"{token}: {first} is a scope; a view of it is written {first}.VIEW, "
            f"a value {first}.KEY=VALUE"
        )
    if not first:
        raise CommandLineError(f"{token}: the dot has no scope in front; scopes: {scopes}")
    if dot and not having:
        near = _nearest(first, known.views) or ";"
        raise CommandLineError(
            f"{token}: there is no scope '{shown(first)}'{near} scopes: {scopes}"
        )
    near_keys = {scope: known.find_key(scope, name) for scope in known.views} if not having else {}
    meant = [f"{scope}.{key}" for scope, key in near_keys.items() if key]
    text = f"{token}: which scope is meant? There are {scopes}; "
    if meant:
        raise CommandLineError(f"{text}did you mean {' or '.join(map(repr, meant))}?")
    forms = " or ".join(f"{scope}.{shown(token.text)}" for scope in having or known.views)
    raise CommandLineError(f"{text}write {forms}")


def _path(key: str, token: Token) -> tuple[str, ...]:
    path = tuple(key.split("."))
    if "" in path or key.startswith("-"):
        bare = ".".join(part for part in key.lstrip("-").split(".") if part)
        hint = f"; write {shown(bare + token.text[len(key) :])}" if bare else ""
        raise CommandLineError(f"{token}: '{shown(key)}' is no key{hint}")
    if len(path) > _DEEPEST_KEY:
        raise CommandLineError(f"{token}: a key has no more than {_DEEPEST_KEY} parts")
    return path


def _value(sign: str, text: str, token: Token) -> Any:
    if sign == ":=":
        return text
    if text.startswith("%") and len(text) > 1:
        return text[1:-1]
    if not text.strip():
        key = shown(token.text[: token.text.index("=")])
        raise CommandLineError(f"{token}: a value is missing; an empty text is written {key}:=")
    try:
        with warnings.catch_warnings():
            # Python warns of `0x` or a stray backslash in what may be meant as a plain word.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
            if text.lstrip()[0] in "[({":
                tree = _WordsAsTexts().visit(tree)
            value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        if text.lstrip()[0] in "[({":
            why = f": {error.msg}" if isinstance(error, SyntaxError) else ""
            raise CommandLineError(
                f"{token}: cannot read the value{why}; "
                "texts in it that are no plain words need quotes"
            ) from None
        return text
    return value if isinstance(value, LITERALS) else text


class _WordsAsTexts(ast.NodeTransformer):
    """Inside brackets a bare word is a text, since the shell eats the quotes of `['a', 'b']`."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Constant(node.id), node)


class _Value:
    """A value that arrives in parts: whether its brackets and percent signs have closed by now.

    Every character is looked at once, however many parts there are.
    """

    def __init__(self, text: str) -> None:
        self.percent = text.startswith("%")
        self.complete = text[:1] not in tuple("%[({")
        self._depth = 0
        self._quote = ""
        self._escaped = False
        if self.percent:
            self.complete = len(text) > 1 and text.endswith("%")
        elif not self.complete:
            self.add(text)

    def add(self, part: str) -> None:
        if self.percent:
            self.complete = part.endswith("%")
            return
        for character in part:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif self._quote:
                self._quote = "" if character == self._quote else self._quote
            elif character in "\"'":
                self._quote = character
            else:
                self._depth += (character in "[({") - (character in "])}")
        self.complete = self._depth <= 0


def _unknown_view(name: str, token: Token, scope: str, known: _Known) -> Exception:
    if name.startswith("-"):
        bare = shown(name.lstrip("-"))
        return CommandLineError(
            f"unknown option {token}; a view is written {bare}, a value {bare}=VALUE"
        )
    several = len(known.views) > 1
    before = f"{scope}." if several else ""
    there = ", ".join(known.views[scope]) or "none"
    text = f"there is no view {token}{f' of scope {scope!r}' if several else ''}"
    near = nearest(name, known.views[scope])
    key = known.find_key(scope, name)
    elsewhere = [other for other, views in known.views.items() if name in views]
    if key == name:
        text += f"; {name} is a key"
    elif near is None and elsewhere:
        text += f"; did you mean {f'{elsewhere[0]}.{name}'!r}?"
    elif near is None and key is not None:
        text += f"; did you mean the key {before + key!r}?"
        name = key
    elif near is not None:
        text += f"; did you mean {before + near!r}?"
    mark = "" if text.endswith("?") else ";"
    return UnknownViewError(
        f"{text}{mark} views: {there}; a value is written {before}{shown(name)}=VALUE"
    )


def _nearest(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return "" if near is None else f"; did you mean {near!r}?"
