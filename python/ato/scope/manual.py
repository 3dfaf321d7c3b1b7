"""What `manual`, `manual KEY` and `print` show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ato import xyz
from ato.adict import ADict
from ato.adict.state import state_of
from ato.diff import leaves
from ato.exceptions import CommandLineError, UnknownKeyError
from ato.provenance import MISSING, Origin, Write, dotted, explain, value_text
from ato.scope.suggestions import nearest_key, shown
from ato.scope.views import in_order

if TYPE_CHECKING:
    from ato.scope.single import Scope

__all__ = [
    "config_text",
    "configs_text",
    "documentation",
    "documented_history",
    "history_text",
    "key_text",
    "manual_text",
    "manual_texts",
]

_RULE = "-" * 50
_JSON_LIKE = (type(None), bool, int, float, str)


def manual_text(scopes: Sequence[Scope]) -> str:
    """Show each scope's views in the order in which they would apply, and its documentation."""
    lines: list[str] = []
    for scope in scopes:
        lines += [_RULE, f'[Scope "{scope.name}"]', "(The Applying Order of Views)"]
        lines += [_applying_order(scope), "", "(User Manuals)"]
        documented = documentation(scope.manuals)
        if documented:
            lines.append(xyz.dumps(documented, quote=False))
    return "\n".join([*lines, _RULE])


def config_text(config: ADict, header: str | None = None) -> str:
    """Show a config as XYZ, each value with its origin as a comment."""
    flat = dict(leaves(config))

    def comment(path: tuple[str, ...]) -> str | None:
        name = ""
        for part in path:
            name = dotted(name, part)
        writes = _writes(config, name, flat.get(name, MISSING))
        return str(writes[-1].origin) if writes else None

    text = xyz.dumps(_showable(config), comment=comment) if dict.__len__(config) else ""
    return f"[{header}]\n{text}" if header else text


def history_text(
    config: ADict, key: str, scope: str = "", documented: Mapping[str, str] | None = None
) -> str:
    """Say who set `key` and what lost; for a branch, every key below it.

    With `scope`, the keys are shown with the name of their scope. `documented` is what the manual
    says of each key, which may be what an unknown one means.

    Raises:
        UnknownKeyError: nothing ever set it; the message names the nearest key.
    """

    def full(name: str) -> str:
        return f"{scope}.{name}" if scope else name

    flat = dict(leaves(config))
    below = [name for name in flat if name.startswith((f"{key}.", f"{key}["))]
    # What a section held as a whole, `{}` perhaps, is no longer what it holds.
    found = [key] if key in flat or not below else below
    texts = [
        explain(full(name), writes)
        for name in found
        if (writes := _writes(config, name, flat.get(name, MISSING)))
    ]
    if texts:
        return "\n".join(texts)
    near = nearest_key(key, flat, documented or {})
    hint = f"; did you mean {full(near)!r}?" if near else ""
    raise UnknownKeyError(f"no view, file or argument sets the key '{shown(full(key))}'{hint}")


def _writes(config: ADict, key: str, value: Any) -> list[Write]:
    """The writes to a key, and one more where the value is no longer what the last of them gave.

    Nobody is told of `config.layers.append(3)`: a list is Python's own.
    """
    writes = config.history(key)
    now = value_text(value)
    if not writes or value is MISSING or now == writes[-1].value_text:
        return writes
    history = state_of(config).history
    assert history is not None, "there are writes"
    items = [name for name in history.keys() if name.startswith(f"{key}[")]  # noqa: SIM118
    changed = [name for name in items if config.history(name)[-1].origin != writes[-1].origin]
    who = (
        f"writes to its items: {', '.join(changed)}" if changed else "a change in place, unrecorded"
    )
    origin = Origin("code", who)
    return [*writes, Write(now, type(value).__name__, origin, writes[-1].value_text)]


def documented_history(scope: Scope, key: str, *, several: bool = False) -> str:
    """`history_text` of a scope's key, and what its manual says of the key."""
    documented = manual_texts(scope.manuals)
    text = history_text(scope.config, key, scope.name if several else "", documented)
    entry = documented.get(key)
    return text if entry is None else f"{text}\n  manual: {entry}"


def _applying_order(scope: Scope) -> str:
    views = in_order(scope.views.values())
    eager = [view for view in views if not view.lazy]
    names = [view.name for view in eager if view.default]
    names += [view.name for view in eager if not view.default]
    names.append("(CLI Inputs)")
    names += [view.name for view in views if view.lazy]
    return " → ".join(names)


def configs_text(scopes: dict[str, Scope]) -> str:
    """`config_text` of every scope, below its name where there are several."""
    several = len(scopes) > 1
    return "\n".join(
        config_text(scope.config, name if several else None) for name, scope in scopes.items()
    )


def key_text(scopes: dict[str, Scope], key: str) -> str:
    """`documented_history` of a key, which begins with its scope's name where there are several.

    Raises:
        CommandLineError: there is no such key, or no such scope.
    """
    several = len(scopes) > 1
    name, _, rest = key.partition(".") if several else (next(iter(scopes)), ".", key)
    if name in scopes and not rest:
        raise CommandLineError(f"manual {name}: {name} is a scope; write manual {name}.KEY")
    if name not in scopes:
        near = [(scope.name, scope.nearest_key(key)) for scope in scopes.values()]
        forms = " or ".join(f"manual {scope}.{found}" for scope, found in near if found)
        hint = f"; write {forms}" if forms else f"; scopes: {', '.join(scopes)}"
        raise CommandLineError(f"manual {shown(key)}: the scope's name comes first{hint}")
    try:
        return documented_history(scopes[name], rest, several=several)
    except UnknownKeyError as error:
        raise CommandLineError(str(error)) from None


def documentation(manuals: Sequence[Callable[[Any], Any]]) -> ADict:
    """What a scope's `manual` functions say, key by key."""
    documented = ADict.auto()
    for manual in manuals:
        manual(documented)
    return documented


def manual_texts(manuals: Sequence[Callable[[Any], Any]]) -> dict[str, str]:
    """What the manual says of each dotted key."""
    return {key: str(text) for key, text in documentation(manuals).to_flat().items()}


def _showable(value: Any) -> Any:
    """Put a text in the place of what XYZ has no form for."""
    if isinstance(value, dict):
        return {str(key): _showable(item) for key, item in dict.items(value)}
    if isinstance(value, (list, tuple)):
        return [_showable(item) for item in value]
    return value if type(value) in _JSON_LIKE else value_text(value)
