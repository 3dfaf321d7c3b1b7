"""The re-runs that would separate several possible causes, as commands where there can be one.

Of n causes that meet, n − 1 are tried alone: what is left over is the last one's. A cause that a command
line can set is tried before one that needs other code or other files.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ato.db_routers.sql.reading import writes
from ato.explain.explanation import Finding, Test
from ato.explain.load import Run

__all__ = ["separating_runs"]


def separating_runs(a: Run, b: Run, findings: list[Finding]) -> Iterator[Test]:
    """Plan one run for each cause but the last.

    Where only what a command line sets differs, the first run is made again with one cause as in the
    second. Otherwise the code as it stands is most likely the second run's, and that one is made again
    with one cause as in the first.
    """
    if len(findings) < 2:
        return
    forward = all(_Rerun(a, b, finding).options is not None for finding in findings)
    base, other = (a, b) if forward else (b, a)
    plans = [_Rerun(base, other, finding) for finding in findings]
    plans.sort(key=lambda plan: plan.options is None)  # stable: the nearest cause first
    for plan in plans[:-1]:
        others = tuple(_named(f) for f in findings if f is not plan.finding)
        yield Test(others, (_named(plan.finding),), plan.text)


def _named(finding: Finding) -> str:
    return f"{finding.change.factor} {finding.change.subject}"


@dataclass(frozen=True)
class _Rerun:
    """One run made again, with one cause as in the other run."""

    base: Run
    other: Run
    finding: Finding

    @property
    def options(self) -> tuple[list[str], list[str]] | None:
        """Assignments before the command and tokens behind it; `None` where words must do."""
        change = self.finding.change
        if change.factor == "config":
            token = self._token(change.subject)
            return None if token is None else ([], token)
        variables = self.other.environment.get("variables") or {}
        if change.factor == "environment" and change.subject in variables:
            return [f"{change.subject}={shlex.quote(str(variables[change.subject]))}"], []
        return None

    @property
    def text(self) -> str:
        """The run in words, with its command if there is one."""
        label, change = self.other.label, self.finding.change
        words = f"run {self.base.label.id} with {_named(self.finding)} as in run {label.id}"
        if self.options is not None:
            before, after = self.options
            return f"{words}: {' '.join([*before, *self._command(after)])}"
        where = change.origin_a if self.other.label.id < self.base.label.id else change.origin_b
        match change.factor:
            case "code":
                words += f" ({where}; the lines stand above)" if where else ""
            case "environment" if change.kind == "version":
                version = (self.other.environment.get("distributions") or {}).get(change.subject)
                words += f" (pip install {change.subject}=={version['version']})" if version else ""
            case "data":
                words += f" (the file as run {label.id} read it)"
            case _:
                pass
        return words

    def _token(self, key: str) -> list[str] | None:
        """What sets a key to the other run's value on the command line."""
        entry = self.other.config.get(key)
        if entry is None or any(write.origin.is_search for write in writes(entry)):
            return None
        flag = _flag(self.base.command, key) or _flag(self.other.command, key)
        texts = [write.origin.text for write in writes(entry)]
        flag = flag or next(filter(None, map(_argparse_flag, texts)), None)
        if flag is not None:
            return [flag, _typed(entry)]
        return [f"{key}={_typed(entry)}"] if self.base.scopes and entry["history"] else None

    def _command(self, tokens: list[str]) -> list[str]:
        """The base run's command line with tokens in place of those for the same key."""
        words = list(self.base.command)
        if words:
            words[0] = Path(words[0]).name  # `/usr/bin/python3` is what `python3` finds
        if len(tokens) == 2:  # a flag and its value
            words = _without_flag(words, tokens[0])
        elif tokens:
            key = tokens[0].partition("=")[0]
            words = [word for word in words if word.partition("=")[0].rstrip(":") != key]
        return [shlex.quote(word) for word in [*words, *tokens]]


def _typed(entry: dict[str, Any]) -> str:
    value = entry["value"]
    return value if isinstance(value, str) else repr(value)


def _flag(command: list[str], key: str) -> str | None:
    """The flag that gave a key on a command line, if one did."""
    wanted = {f"--{key}", f"--{key.replace('_', '-')}"}
    return next((flag for word in command if (flag := word.partition("=")[0]) in wanted), None)


def _argparse_flag(text: str) -> str | None:
    """The flag in the text of an origin, `--lr 0.1` or `argparse default of --lr`."""
    word = text.removeprefix("argparse default of ").partition(" ")[0].partition("=")[0]
    return word if word.startswith("--") else None


def _without_flag(words: list[str], flag: str) -> list[str]:
    found: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == flag:
            skip = True
        elif not word.startswith(f"{flag}="):
            found.append(word)
    return found
