"""Everything recorded that differs between two runs, before any judgement."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ato.code import kind_of_change, renamed_units
from ato.db_routers.sql.calls import Form
from ato.db_routers.sql.reading import Unit, writes
from ato.environment import is_listened_to
from ato.explain.entropy import is_volatile
from ato.explain.explanation import Change
from ato.explain.graph import Key, changed
from ato.explain.load import InputFile, Run
from ato.provenance import Write

__all__ = ["Changes", "find_changes", "flag_origin", "replaced"]

_DIFF_LINES = 12
_TEXT_WIDTH = 60
_WHOLE_FACTORS = ("interpreter", "hardware", "flags", "threads", "variables")


@dataclass
class Changes:
    """The differences of two runs by factor.

    `derived` names the changed keys that a key came from, `unwatched` the changed keys that may
    have been read without a trace, `volatile` the module-level values that are others in every
    process (a time, a pid). `as_config` names the changed keys that a change of code or data, by
    factor and subject, is the origin of; it is told as those. `undigested` are files of which it is
    not known whether they changed. A change of data of kind `opened` is a file that one run read, of
    kind `listing` a folder of which names, sizes and mtimes are known, and no content. `moved` gives
    the first run's key of code that has another name now, or stands in another module. `supposed` are keys of which
    `derived` is a supposition, `named` the variables among `machine` that matter to nothing but code
    that names them, `setters` the changed variables that thread counts among them follow from.
    """

    config: dict[str, Change] = field(default_factory=dict)
    unwatched: set[str] = field(default_factory=set)
    derived: dict[str, list[str]] = field(default_factory=dict)
    code: dict[Key, Change] = field(default_factory=dict)
    cosmetic: dict[Key, Change] = field(default_factory=dict)
    volatile: list[str] = field(default_factory=list)
    distributions: dict[str, Change] = field(default_factory=dict)
    machine: dict[str, Change] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    setters: dict[str, Change] = field(default_factory=dict)
    data: dict[str, Change] = field(default_factory=dict)
    undigested: list[str] = field(default_factory=list)
    random: dict[str, Change] = field(default_factory=dict)
    as_config: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    moved: dict[Key, Key] = field(default_factory=dict)
    supposed: set[str] = field(default_factory=set)

    def only_in_one(self, section: str) -> list[str]:
        """The changed keys below a section that only one of the runs has."""
        return [
            key
            for key, change in self.config.items()
            if key.startswith(f"{section}.") and (change.a is None) != (change.b is None)
        ]

    def source_keys(self, key: str) -> list[str]:
        """The changed keys that a changed key was derived from, at the far end; itself if none."""
        ends: list[str] = []
        stack, seen = [key], {key}
        while stack:
            step = stack.pop()
            parents = [parent for parent in self.derived.get(step, []) if parent not in seen]
            if not parents:
                ends.append(step)
            seen.update(parents)
            stack.extend(parents)
        return ends


def find_changes(a: Run, b: Run) -> Changes:
    """Compare two runs factor by factor."""
    changes = Changes()
    _compare_config(a, b, changes)
    _compare_code(a, b, changes)
    _compare_environment(a.environment, b.environment, changes)
    _compare_data(a.inputs, b.inputs, changes)
    _compare_random(a, b, changes)
    return changes


def _compare_random(a: Run, b: Run, changes: Changes) -> None:
    states_a, states_b = _first_states(a), _first_states(b)
    for name in sorted(states_a.keys() & states_b.keys()):
        if states_a[name] != states_b[name]:
            left, right = (f"state {states[name][:12]}…" for states in (states_a, states_b))
            changes.random[name] = Change("randomness", name, "seed", left, right)


def _first_states(run: Run) -> dict[str, str]:
    """The state of each generator when the run began; of one that was made later (NumPy makes its
    own when it is first needed), the first that was seen."""
    states = dict(run.start)
    # Of each generator the first call that has it is one of the first of their form.
    calls = run.calls
    for form, row in sorted(calls.first_rows.items(), key=lambda each: each[1]):
        if states.keys() >= set(calls.forms[form].draws):
            continue
        for name, draw in calls[row].random.items():
            states.setdefault(name, draw.before or draw.after)
    return states


def _compare_config(a: Run, b: Run, changes: Changes) -> None:
    for key in [*a.config, *(key for key in b.config if key not in a.config)]:
        left, right = a.config.get(key), b.config.get(key)
        if left is None or right is None or left["fingerprint"] != right["fingerprint"]:
            changes.config[key] = _config_change(
                key, left, right, left or a.deleted.get(key), right or b.deleted.get(key)
            )
            changes.config[key] = _with_flags(a, b, changes.config[key])
    # A key that is set in code after the run opened shows only where it is read.
    # So does one of a scope whose config the logger was not given.
    reads_a, reads_b = _reads(a.forms), _reads(b.forms)
    for key in sorted(reads_a.keys() & reads_b.keys()):
        if key not in changes.config and reads_a[key] != reads_b[key]:
            changes.config[key] = Change("config", key, "value")
    for key in changes.config:
        if not (_watched(a, key) and _watched(b, key)):
            changes.unwatched.add(key)
        parents = _common_parents(a.config.get(key), b.config.get(key))
        changes.derived[key] = sorted(parents & changes.config.keys() - {key})


def _watched(run: Run, key: str) -> bool:
    """Whether no read of a key can have been missed: the config is a scope's, handed to a function
    of that scope. A plain mapping tells nothing, and neither do reads before the run opened."""
    entry = run.config.get(key)
    return entry is None or (bool(run.scopes) and bool(entry["history"]))


def _reads(forms: Iterable[Form]) -> dict[str, set[str]]:
    """The values under which each key was read, by fingerprint."""
    found: dict[str, set[str]] = {}
    for form in forms:
        for key, digest, _offset in form.reads:
            found.setdefault(key, set()).add(digest)
    return found


def _config_change(
    key: str,
    left: dict[str, Any] | None,
    right: dict[str, Any] | None,
    set_left: dict[str, Any] | None,
    set_right: dict[str, Any] | None,
) -> Change:
    """The change of a key; `set_left` and `set_right` say who set or deleted it."""
    same_type = left is not None and right is not None and left["type"] == right["type"]
    return Change(
        "config",
        key,
        "value" if same_type else "structure",
        _shown_value(left),
        _shown_value(right),
        None,
        _origin(set_left),
        _origin(set_right),
    )


def _shown_value(entry: dict[str, Any] | None) -> str | None:
    return None if entry is None else _short(repr(entry["value"]))


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else text[: _TEXT_WIDTH - 1] + "…"


def _last_write(entry: dict[str, Any] | None) -> Write | None:
    history = writes(entry or {})
    return history[-1] if history else None


def _origin(entry: dict[str, Any] | None) -> str | None:
    last = _last_write(entry)
    return None if last is None else str(last.origin)


def _with_flags(a: Run, b: Run, change: Change) -> Change:
    """Name the command line as origin where the config knows none, and a flag gave the value."""
    sides = ((a, change.origin_a), (b, change.origin_b))
    given = [origin or flag_origin(run, change.subject) for run, origin in sides]
    return replace(change, origin_a=given[0], origin_b=given[1])


def flag_origin(run: Run, key: str) -> str | None:
    """The flag on a run's command line that gave a key its value, as an origin."""
    entry = run.config.get(key)
    if entry is None or entry["history"]:
        return None
    name = key.rpartition(".")[2]
    flags = {f"--{name}", f"--{name.replace('_', '-')}"}
    command = run.command[1:]
    script = next((n for n, word in enumerate(command) if word.endswith(".py")), 0)
    for number, word in enumerate(command):
        flag, joined, text = word.partition("=")
        if flag not in flags or number <= script:
            continue
        text = text if joined else "".join(command[number + 1 : number + 2])
        if _is_text_of(text, entry["value"]):
            shown = word if joined else f"{word} {text}"
            return f"command line: {shown} (argument {number - script})"
    return None


def _is_text_of(text: str, value: object) -> bool:
    """Whether a value is what a command line's text was made into."""
    if value is True:
        return True  # a flag alone
    if isinstance(value, (int, float)):
        with suppress(ValueError):
            return float(text) == value
    return str(value) == text


def _common_parents(left: dict[str, Any] | None, right: dict[str, Any] | None) -> set[str]:
    """The keys that views derived a key from; none if one run has it from somewhere else."""
    found: set[str] = set()
    for last in (_last_write(left), _last_write(right)):
        if last is not None and last.origin.kind not in ("view", "lazy"):
            return set()
        found.update(() if last is None else last.derived_from)
    return found


def _compare_code(a: Run, b: Run, changes: Changes) -> None:
    derived: list[Key] = []
    moved = _moved(a, b)
    renamed = {key: old for key, old in _renamed(a, b).items() if key not in moved}
    changes.moved = moved | {key: (old.module, old.name) for key, old in renamed.items()}
    names = {old.name: name for (_module, name), old in renamed.items()}
    for key, before in moved.items():
        _compare_moved(a.graph.units[before], b.graph.units[key], key, changes)
    # A unit that only one run reaches is an effect: what refers to it has changed, and counts.
    for key in sorted(a.graph.units.keys() & b.graph.units.keys() - set(moved.values())):
        old, new = a.graph.units[key], b.graph.units[key]
        left, right = _without(old, new) or old[0], _without(new, old) or new[0]
        kind = kind_of_change(left, right, names)
        if right.kind == "module" and _own_statements(a, left) == _own_statements(b, right):
            continue  # what it imports is told by the names
        if not changed(old, new):
            if kind == "cosmetic":
                changes.cosmetic[key] = _code_change(left, right, kind)
        elif kind in ("rename", "cosmetic"):
            changes.cosmetic[key] = _code_change(left, right, kind)
        else:
            changes.code[key] = _code_change(left, right, kind or "logic")
            if left.kind == "value" and left.normalised == right.normalised:
                derived.append(key)
    for key, previous in renamed.items():
        changes.cosmetic[key] = _code_change(previous, b.graph.units[key][0], "rename")
    # A value that the same statement now binds to another one follows from what it reads, or it is
    # another one in every process.
    volatile = {key for key in derived if is_volatile(b.graph.units[key][0].text)}
    causes = changes.code.keys() - set(derived)
    for key in derived:
        reach = b.graph.reach((replace(root, key=key) for root in b.graph.roots), None).keys() - {
            key
        }
        if key in volatile or reach & volatile:
            changes.volatile.append(changes.code.pop(key).subject)
        elif reach & causes:
            del changes.code[key]

    for key, change in changes.code.items():
        if change.diff is None and b.graph.units[key][0].held:
            changes.code[key] = _with_what_it_holds(a, b, changes, change)


def _moved(a: Run, b: Run) -> dict[Key, Key]:
    """Where code that only the second run has stood in the first, under the same name in another
    module: a helper that went to a file of its own, or a module that took another one's place."""
    units_a, units_b = a.graph.units, b.graph.units
    gone: dict[tuple[str, str], list[Key]] = {}
    for key, units in units_a.items():
        if key not in units_b or _is_import(units_b[key][0]):
            gone.setdefault((units[0].kind, key[1]), []).append(key)
    come: dict[tuple[str, str], list[Key]] = {}
    for key, units in units_b.items():
        if key not in units_a or _is_import(units_a[key][0]):
            come.setdefault((units[0].kind, key[1]), []).append(key)
    return {
        keys[0]: gone[name][0]
        for name, keys in come.items()
        if name[0] != "module"
        and len(keys) == 1
        and len(gone.get(name, ())) == 1
        # An import says what a name stands for; it is no code that moves.
        and not (_is_import(units_b[keys[0]][0]) or _is_import(units_a[gone[name][0]][0]))
    }


def _compare_moved(old: list[Unit], new: list[Unit], key: Key, changes: Changes) -> None:
    if changed(old, new):
        kind = kind_of_change(old[0], new[0])
        changes.code[key] = _code_change(old[0], new[0], kind or "logic")
    else:
        changes.cosmetic[key] = _code_change(old[0], new[0], "rename")


def _is_import(unit: Unit) -> bool:
    return unit.kind == "value" and unit.text.startswith(("import ", "from "))


def _own_statements(run: Run, module: Unit) -> list[str] | None:
    """A module's statements without the imports of names that count by themselves where they are
    used; `None` where they cannot be told apart."""
    try:
        body = ast.parse(module.normalised).body
    except (SyntaxError, RecursionError):
        return None
    names = {name for (place, name) in run.graph.units if place == module.module}
    modules = {place for place, _name in run.graph.units}
    found = []
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            bound = {(name.asname or name.name).partition(".")[0] for name in statement.names}
            if bound <= names or {name.name for name in statement.names} <= modules:
                continue
        found.append(ast.dump(statement))
    return found


def _with_what_it_holds(a: Run, b: Run, changes: Changes, change: Change) -> Change:
    """Show what gave a wrapper or a closure another content: text that differs and counts nowhere
    else, such as the arguments of a decorator."""
    for key in sorted(a.graph.units.keys() & b.graph.units.keys()):
        old, new = a.graph.units[key][0], b.graph.units[key][0]
        if key in changes.code or old.kind == "module" or old.normalised == new.normalised:
            continue
        lines, _line_a, line_b = _line_diff(old, new)
        if lines:
            return replace(change, diff="\n".join(lines), origin_b=f"{new.file}:{line_b}")
    return change


def _renamed(a: Run, b: Run) -> dict[Key, Unit]:
    """What each unit that only the second run has was in the first, under another name."""
    units_a, units_b = a.graph.units, b.graph.units
    return renamed_units(
        (units[0] for key, units in units_a.items() if key not in units_b and len(units) == 1),
        (units[0] for key, units in units_b.items() if key not in units_a and len(units) == 1),
    )


def _without(units: list[Unit], others: list[Unit]) -> Unit | None:
    """The first unit whose logic the other run does not have."""
    known = {unit.logic for unit in others}
    return next((unit for unit in units if unit.logic not in known), None)


def _code_change(left: Unit, right: Unit, kind: str) -> Change:
    lines, line_a, line_b = _line_diff(left, right)
    return Change(
        "code",
        f"{right.module}.{right.name}",
        kind,
        left.value,
        right.value,
        "\n".join(lines) or None,
        f"{left.file}:{line_a}",
        f"{right.file}:{line_b}",
    )


def replaced(old: Unit, new: Unit | None) -> Change:
    """The change of what a name stands for, where the code that names it is the same."""
    if new is None:
        subject = f"{old.module}.{old.name}"
        return Change("code", subject, "dependency", subject, None, None, f"{old.file}:{old.line}")
    return replace(_code_change(old, new, "dependency"), subject=f"{new.module}.{new.name}")


def _line_diff(left: Unit, right: Unit) -> tuple[list[str], int, int]:
    """The lines that differ, `-` and `+`, and the line of the first of them in each file."""
    whole = right.kind == "module"
    old = (left.normalised if whole else left.text).splitlines()
    new = (right.normalised if whole else right.text).splitlines()
    matcher = difflib.SequenceMatcher(None, _bare(old), _bare(new), autojunk=False)
    shown: list[str] = []
    first: tuple[int, int] | None = None
    for tag, a0, a1, b0, b1 in matcher.get_opcodes():
        removed = [line for line in old[a0:a1] if not _is_comment(line)]
        added = [line for line in new[b0:b1] if not _is_comment(line)]
        if tag == "equal" or not (removed or added):
            continue
        first = first or (a0, b0)
        shown += [f"- {line}" for line in removed] + [f"+ {line}" for line in added]
    if len(shown) > _DIFF_LINES:
        shown = [*shown[:_DIFF_LINES], f"… {len(shown) - _DIFF_LINES} more lines"]
    at_a, at_b = first or (0, 0)
    if whole:
        return shown, _line_of(old, at_a, left.text), _line_of(new, at_b, right.text)
    return shown, left.line + at_a, right.line + at_b


def _line_of(lines: list[str], at: int, text: str) -> int:
    """Find a line of a script's body, normalised, in the script; 1 where it was written otherwise."""
    wanted = lines[at].strip() if at < len(lines) else ""
    found = (number for number, line in enumerate(text.splitlines(), 1) if line.strip() == wanted)
    return next(found, 1)


def _bare(lines: list[str]) -> list[str]:
    """Lines without trailing comments and spaces, so that a comment is not shown as a change."""
    return [_without_comment(line).rstrip() for line in lines]


def _without_comment(line: str) -> str:
    if "#" not in line:
        return line
    try:
        for token in tokenize.generate_tokens(io.StringIO(line.lstrip()).readline):
            if token.type == tokenize.COMMENT:
                return line[: len(line) - len(line.lstrip()) + token.start[1]]
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return line  # a line in the middle of a longer statement; it is compared as it stands
    return line


def _is_comment(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _compare_environment(a: dict[str, Any], b: dict[str, Any], changes: Changes) -> None:
    versions_a = {name: d["version"] for name, d in (a.get("distributions") or {}).items()}
    versions_b = {name: d["version"] for name, d in (b.get("distributions") or {}).items()}
    for name, left, right in _differing(versions_a, versions_b):
        changes.distributions[name] = Change("environment", name, "version", left, right)
    for group in _WHOLE_FACTORS:
        kind = "version" if group == "interpreter" else "flag"
        for name, left, right in _differing(_flat(a.get(group)), _flat(b.get(group))):
            subject = "python" if group == "interpreter" and name == "version" else name
            changes.machine[subject] = Change("environment", subject, kind, left, right)
            if group == "variables" and not is_listened_to(name):
                changes.named.add(subject)
    _find_setters(changes)


def _find_setters(changes: Changes) -> None:
    """Thread counts that differ as a variable does: libraries take them from it."""
    variables = [c for name, c in changes.machine.items() if name.endswith("_NUM_THREADS")]
    for name, change in changes.machine.items():
        if name.endswith("num_threads"):
            found = (v for v in variables if change.b == v.b or (v.b is None and change.a == v.a))
            setter = next(found, None)
            if setter is not None:
                changes.setters[name] = setter


def _flat(group: dict[str, Any] | None, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in (group or {}).items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = str(value)
    return flat


def _differing(
    a: dict[str, str], b: dict[str, str]
) -> Iterable[tuple[str, str | None, str | None]]:
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)


def _compare_data(a: list[InputFile], b: list[InputFile], changes: Changes) -> None:
    files_a, files_b = {f.path: f for f in a}, {f.path: f for f in b}
    for path, left in files_a.items():
        if path not in files_b:
            continue
        right = files_b[path]
        same = left.is_same(right)
        if same is None:
            changes.undigested.append(path)
        elif not same:
            kind = "listing" if left.mtime is None or right.mtime is None else "content"
            shown = _shown_file(left), _shown_file(right)
            changes.data[path] = Change("data", path, kind, *shown)
    # What changed in a folder is told by its files, where they are known.
    for path in [path for path in changes.data if any(_below(f, path) for f in changes.data)]:
        del changes.data[path]
    only_a = [file for path, file in files_a.items() if path not in files_b]
    only_b = [file for path, file in files_b.items() if path not in files_a]
    # Under another path it is the same data: a project that was moved, another working folder.
    digests = {f.digest for f in only_a if f.digest} & {f.digest for f in only_b if f.digest}
    for file in (*only_a, *only_b):
        if file.digest not in digests:
            known = _shown_file(file)
            shown = (known, None) if file.path in files_a else (None, known)
            changes.data[file.path] = Change("data", file.path, "opened", *shown)


def _below(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def _shown_file(file: InputFile | None) -> str | None:
    if file is None:
        return None
    size = "" if file.size is None else f"{file.size:,} bytes, "
    if file.mtime is None:
        return f"{size}listing {(file.digest or 'unknown')[:12]}"
    return f"{size}BLAKE3 {(file.digest or 'unknown')[:12]}"
