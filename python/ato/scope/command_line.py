"""The grammar of the command line: views, assignments, `manual` and `print`.

Values are read by `ast.literal_eval` and nothing else; no token is ever executed.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ato.exceptions import CommandLineError, UnknownViewError
from ato.provenance import Origin

__all__ = [
    "Assignment",
    "CommandLine",
    "Token",
    "ViewRequest",
    "nearest",
    "parse",
    "parse_tokens",
    "tokens",
]

_ASSIGNMENT = re.compile(r"(?P<key>[^=\s:][^=\s]*?)(?P<sign>:?=)(?P<value>.*)", re.DOTALL)
_LONGEST_TOKEN = 80
_HELP = ("--help", "-h")
_LITERALS = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set)


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
        text = self.text
        if len(text) > _LONGEST_TOKEN:
            text = text[: _LONGEST_TOKEN - 1] + "…"
        return f"{text} (argument {self.position})" if self.position is not None else text

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


@dataclass(slots=True)
class CommandLine:
    """What a command line asks for, scope by scope, and whether it asks to show something."""

    views: dict[str, list[ViewRequest]] = field(default_factory=dict)
    assignments: dict[str, list[Assignment]] = field(default_factory=dict)
    show: Literal["manual", "print", "history"] | None = None
    key: str | None = None


def tokens(argv: Sequence[str]) -> list[Token]:
    """Join what the shell split at blanks: values in brackets or between percent signs.

    Raises:
        CommandLineError: brackets or percent signs that do not close.
    """
    found: list[Token] = []
    index = 0
    while index < len(argv):
        start = index
        text = argv[index]
        match = _ASSIGNMENT.fullmatch(text)
        if match is not None and match["sign"] == "=":
            while not _complete(text[match.start("value") :]):
                index += 1
                if index == len(argv):
                    what = "percent signs" if match["value"].startswith("%") else "brackets"
                    raise CommandLineError(
                        f"the {what} of {argv[start]!r} (argument {start + 1}) do not close"
                    )
                text += " " + argv[index]
        found.append(Token(text, start + 1))
        index += 1
    return found


def parse(argv: Sequence[str], views: Mapping[str, Collection[str]]) -> CommandLine:
    """Read a command line for the scopes whose views are given by name.

    With several scopes every token begins with its scope's name.

    Raises:
        CommandLineError: a token that is neither a view nor an assignment, or an unknown scope.
        UnknownViewError: a view that the scope does not have.
    """
    return parse_tokens(tokens(argv), views)


def parse_tokens(
    given: Iterable[Token], views: Mapping[str, Collection[str]], *, shows: bool = True
) -> CommandLine:
    """Read tokens; see `parse`. Without `shows` the words `manual` and `print` mean nothing."""
    found = CommandLine(
        views={name: [] for name in views}, assignments={name: [] for name in views}
    )
    for token in given:
        if found.show == "manual" and found.key is None and _is_key(token.text, views):
            found.show, found.key = "history", token.text
        elif shows and token.text in ("manual", "print", *_HELP):
            found.show = "print" if token.text == "print" else "manual"
        elif (match := _ASSIGNMENT.fullmatch(token.text)) is not None:
            scope, key = _scope_of(match["key"], token, views)
            value = _value(match["sign"], match["value"], token)
            found.assignments[scope].append(Assignment(_path(key, token), value, token))
        else:
            _check_name(token)
            scope, name = _scope_of(token.text, token, views)
            if name not in views[scope]:
                raise _unknown_view(name, token, scope, views)
            found.views[scope].append(ViewRequest(name, token))
    return found


def _is_key(text: str, views: Mapping[str, Collection[str]]) -> bool:
    """Whether a word behind `manual` is a key: anything that is no view and no assignment."""
    known = any(text in names for names in views.values())
    return not known and "=" not in text and text not in ("manual", "print")


def _check_name(token: Token) -> None:
    """Refuse what names nothing, which no list of names would help with."""
    sign = re.match(r":?=", token.text)
    if sign is not None:
        raise CommandLineError(
            f"{token}: a key is missing; a value is written KEY{token.text[:_LONGEST_TOKEN]}"
        )
    if not token.text.strip("-. \t\n"):
        shown = token if token.text else f"{token.text!r}{token}"
        raise CommandLineError(
            f"{shown}: this names nothing; a view is written by its name, a value KEY=VALUE"
        )


def _scope_of(name: str, token: Token, views: Mapping[str, Collection[str]]) -> tuple[str, str]:
    if len(views) == 1:
        return next(iter(views)), name
    first, dot, rest = name.partition(".")
    if first in views and dot:
        return first, rest
    known = ", ".join(views)
    if dot:
        near = _nearest(first, views) or ";"
        raise CommandLineError(f"{token}: there is no scope {first!r}{near} scopes: {known}")
    having = [scope for scope, names in views.items() if name in names] or list(views)
    forms = " or ".join(f"{scope}.{token.text}" for scope in having)
    raise CommandLineError(f"{token}: which scope is meant? There are {known}; write {forms}")


def _path(key: str, token: Token) -> tuple[str, ...]:
    path = tuple(key.split("."))
    if "" in path or key.startswith("-"):
        bare = ".".join(part for part in key.lstrip("-").split(".") if part)
        hint = f"; write {bare}{token.text[len(key) :]}" if bare else ""
        raise CommandLineError(f"{token}: {key!r} is no key{hint}")
    return path


def _value(sign: str, text: str, token: Token) -> Any:
    if sign == ":=":
        return text
    if text.startswith("%") and len(text) > 1:
        return text[1:-1]
    if not text.strip():
        key = token.text[: token.text.index("=")]
        raise CommandLineError(f"{token}: a value is missing; an empty text is written {key}:=")
    try:
        with warnings.catch_warnings():
            # Python warns of `0x` or a stray backslash in what may be meant as a plain word.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
            if text.lstrip()[0] in "[({":
                tree = _WordsAsTexts().visit(tree)
            value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if text.lstrip()[0] in "[({":
            raise CommandLineError(
                f"{token}: cannot read the value; texts in it that are no plain words need quotes"
            ) from None
        return text
    return value if isinstance(value, _LITERALS) else text


class _WordsAsTexts(ast.NodeTransformer):
    """Inside brackets a bare word is a text, since the shell eats the quotes of `['a', 'b']`."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Constant(node.id), node)


def _complete(value: str) -> bool:
    """Whether a value needs no further arguments: its brackets and percent signs close."""
    if value.startswith("%"):
        return len(value) > 1 and value.endswith("%")
    if value[:1] not in tuple("[({"):
        return True
    depth = 0
    quote = ""
    escaped = False
    for character in value:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[({") - (character in "])}")
    return depth <= 0


def _unknown_view(
    name: str, token: Token, scope: str, views: Mapping[str, Collection[str]]
) -> Exception:
    if name.startswith("-"):
        bare = name.lstrip("-")
        return CommandLineError(
            f"unknown option {token}; a view is written {bare}, a value {bare}=VALUE"
        )
    near = _nearest(name, views[scope]) or ";"
    there = ", ".join(views[scope]) or "none"
    where = f" of scope {scope!r}" if len(views) > 1 else ""
    key = f"{scope}.{name}" if len(views) > 1 else name
    return UnknownViewError(
        f"there is no view {token}{where}{near} views: {there}; a value is written {key}=VALUE"
    )


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is nearest to another one, capitals aside."""
    by_folded: dict[str, str] = {}
    for each in names:
        by_folded.setdefault(each.casefold(), each)
    near = difflib.get_close_matches(name.casefold(), by_folded, 1)
    return by_folded[near[0]] if near else None


def _nearest(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return "" if near is None else f"; did you mean {near!r}?"
