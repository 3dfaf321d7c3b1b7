"""`ato code`: the code behind a trace id as a run had it, and what it reaches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from rich.syntax import Syntax
from rich.text import Text

from ato.cli.output import console, one_line
from ato.db_routers.sql.reading import Code, RunRecords, nearest
from ato.exceptions import UnknownRunError
from ato.provenance import printable

__all__ = ["code_details", "print_code"]


def code_details(records: RunRecords, trace_id: str) -> dict[str, Any]:
    """The code of a traced function: fingerprints, source as written and normalised, what it reaches.

    Raises:
        UnknownRunError: the run has no such trace; the message names the nearest.
    """
    code = _find(records, trace_id)
    root = code.units[0] if code.units else None
    return {
        "run": records.id,
        "trace_id": code.trace_id,
        "role": code.role,
        "scheme": code.scheme,
        "logic": code.logic,
        "deep": code.deep,
        "file": None if root is None else root.file,
        "line": None if root is None else root.line,
        "source": code.text if root is None else root.text,
        "normalised": None if root is None else root.normalised,
        "reaches": [
            {
                "depth": depth,
                "subject": code.units[index].subject,
                "kind": code.units[index].kind,
                "file": code.units[index].file,
                "line": code.units[index].line,
                "logic": code.units[index].logic,
                "value": code.units[index].value,
                "traced": code.units[index].traced,
            }
            for index, depth in _reached(code)
        ],
        "distributions": sorted(code.distributions),
        "gaps": list(code.gaps),
    }


def _find(records: RunRecords, trace_id: str) -> Code:
    named = [code for code in records.codes if code.trace_id == trace_id]
    # The last part of a trace id will do where it is one function's.
    ending = [code for code in records.codes if code.trace_id.rpartition(".")[2] == trace_id]
    names = {code.trace_id for code in ending}
    found = named or (ending if len(names) == 1 else [])
    if not found:
        known = list(dict.fromkeys(code.trace_id for code in records.codes))
        raise UnknownRunError(
            f"run {records.id} has no trace {trace_id!r}; {nearest(trace_id, known)}"
        )
    return found[-1]


def _reached(code: Code) -> Iterator[tuple[int, int]]:
    """Every unit but the root, with the number of references to it from the root; nearest first."""
    below: dict[int, list[int]] = {}
    for source, target in code.edges:
        below.setdefault(source, []).append(target)
    seen, queue = {0}, deque([(0, 0)])
    while queue:
        index, depth = queue.popleft()
        if index:
            yield index, depth
        for target in below.get(index, []):
            if target not in seen:
                seen.add(target)
                queue.append((target, depth + 1))


def print_code(details: dict[str, Any]) -> None:
    """Print what `code_details` found."""
    out = console()
    title = Text(one_line(details["trace_id"]), style="bold")
    if details["file"] is not None:
        title.append(f"  {one_line(details['file'])}:{details['line']}", style="cyan")
    title.append(f"  run {details['run']}", style="dim")
    out.print(title)
    out.print(f"logic {details['logic']}", soft_wrap=True)
    out.print(f"deep  {details['deep']}", soft_wrap=True)
    for name, key in (("as written", "source"), ("normalised", "normalised")):
        out.print(Text(f"\n{name}", style="bold"))
        if details[key]:
            _print_source(out, details[key])
        else:
            out.print("  no source: its bytecode was fingerprinted")
    if details["reaches"]:
        out.print(Text("\nreaches", style="bold"))
        for unit in details["reaches"]:
            line = Text("  " * unit["depth"] + one_line(unit["subject"]))
            line.append(f"  {unit['kind']}", style="dim")
            if unit["value"] is not None:
                line.append(f" = {one_line(unit['value'])}", style="dim")
            line.append(f"  {one_line(unit['file'])}:{unit['line']}", style="cyan")
            if unit["traced"]:
                line.append("  traced", style="magenta")
            out.print(line, soft_wrap=True)
    if details["distributions"]:
        out.print(Text("\nuses  ", style="bold") + Text(", ".join(details["distributions"])))
    if details["gaps"]:
        out.print(Text("\nnot followed", style="bold"))
        for gap in details["gaps"]:
            out.print(f"  {one_line(gap)}", soft_wrap=True)


def _print_source(out: Any, source: str) -> None:
    text = printable(source).rstrip("\n")
    if out.is_terminal and out.color_system:
        # The terminal's own colours: those of a theme may be unreadable on its background.
        out.print(Syntax(text, "python", theme="ansi_dark", background_color="default"))
    else:
        for line in text.splitlines():
            out.print(Text(f"  {line}"), soft_wrap=True)
