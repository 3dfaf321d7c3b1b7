"""The defaults lists of a config folder: which files are merged, in which order, at which key.

The rules are Hydra's. An entry of a `defaults:` list names a file of the folder, or a group (a
subfolder) with one or several choices in it:

    defaults:
      - base                            # a file beside this one
      - model: resnet50                 # model/resnet50, merged at the key `model`
      - aug: [flip, crop]               # several choices of one group
      - db@source: mysql                # merged at `source` instead
      - /optim: sgd                     # from the root, not from this file's folder
      - optional machine: ${host}       # may be missing; a choice may name other choices
      - _self_                          # this file's own values; at the end where it is missing
      - override model/norm: group      # changes what a nested list chose
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ato.compose.interpolation import is_interpolation
from ato.compose.keys import did_you_mean
from ato.compose.resolution import MANDATORY, Resolution
from ato.exceptions import ConfigFileError, ConfigTypeError

__all__ = ["Choices", "Entry", "Source", "Step", "Tree", "checked_choice", "read_defaults"]

_GLOBAL, _GROUP, _HERE, _NAME, _SELF = "_global_", "_group_", "_here_", "_name_", "_self_"
# Groups of this name configure Hydra itself.
_HYDRA = "hydra"


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a defaults list; `group` is None where it names a file.

    `base` and `base_package` are the folder and the package of the file whose list it stands in.
    `place` is its file and line, `header` the `@package` that the file it chooses asks for.
    """

    group: str | None
    choice: str | list[str] | None
    package: str | None = None
    optional: bool = False
    override: bool = False
    place: str = ""
    base: str = ""
    base_package: str = ""
    header: str | None = None

    @property
    def is_self(self) -> bool:
        """Whether it stands for the file's own values."""
        return self.group is None and self.choice == _SELF

    @property
    def shown(self) -> str:
        """The entry as it is written."""
        if self.group is None:
            return str(self.choice).lstrip("/")
        package = f"@{self.package}" if self.package else ""
        return (
            f"{self.group.lstrip('/')}{package}: {'null' if self.choice is None else self.choice}"
        )

    @property
    def name(self) -> str | None:
        """The chosen file's name, without its folder."""
        if not isinstance(self.choice, str):
            return None
        return self.choice if self.group is not None else self.choice.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The chosen file's folder below the root."""
        relative = self.group if self.group is not None else str(self.choice).rpartition("/")[0]
        if (self.group or str(self.choice)).startswith("/"):
            return relative.lstrip("/")
        return "/".join(part for part in (self.base, relative) if part)

    @property
    def path(self) -> str:
        """The chosen file below the root, without its extension."""
        return f"{self.folder}/{self.name}" if self.folder else str(self.name)

    def at_package(self, header: bool = True) -> str:
        """The dotted key at which the chosen file is merged; empty for the root."""
        package = self.package
        if package == _HERE:
            package = ""
        elif package is not None and _GROUP in package:
            package = f"{_GLOBAL}.{package.replace(_GROUP, self.folder.replace('/', '.'))}"
        elif package is None and header:
            package = self._absolute_header()
        if package is None:
            relative = self.group if self.group is not None else str(self.choice).rpartition("/")[0]
            package = relative.lstrip("/").replace("/", ".")
        if self.name is not None:
            package = package.replace(_NAME, self.name)
        joined = ".".join(part for part in (self.base_package, package) if part)
        return joined.rpartition(_GLOBAL)[2].lstrip(".")

    def _absolute_header(self) -> str | None:
        if self.header is None or self.header == _GROUP:
            return None
        header = self.header.replace(_GROUP, self.folder.replace("/", "."))
        return header if header.startswith(_GLOBAL) else f"{_GLOBAL}.{header}"

    @property
    def key(self) -> str:
        """The name under which the choice is known and changed: `db`, or `db@source`."""
        default, package = self.folder.replace("/", "."), self.at_package(header=False)
        return self.folder if default == package else f"{self.folder}@{package or _GLOBAL}"


@dataclass(frozen=True, slots=True)
class Step:
    """One file to merge, at the dotted key `package`; `by` is the entry that asked for it."""

    path: str
    package: str
    by: Entry
    primary: bool
    has_defaults: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What a file brings to the composition, apart from its values."""

    defaults: list[Entry]
    header: str | None


class Tree(Protocol):
    """The folder, as the defaults lists see it."""

    def source(self, path: str, place: str) -> Source | None:
        """Return the file's defaults list and header, or None where there is no such file."""

    def options(self, group: str) -> list[str]:
        """Return the names of the files in a group."""

    def groups(self) -> list[str]:
        """Return the names of all groups."""

    def missing(self, message: str) -> None:
        """Report a file that is missing, which may be an error."""


@dataclass
class _Override:
    choice: str | list[str] | None
    place: str
    outside: bool
    used: bool = False


@dataclass
class Choices:
    """Chooses files, beginning with the primary one, group by group.

    Lists are walked from the last entry to the first, so that an `override` further down is known
    before what it changes.
    """

    tree: Tree
    selected: Mapping[str, str | list[str] | None]
    place: str
    deleted: Mapping[str, str | None] = field(default_factory=dict)
    appended: Sequence[str] = ()
    known: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._overrides = {
            key: _Override(choice, self.place, outside=True)
            for key, choice in self.selected.items()
        }
        self._keys_of_group: dict[str, set[str]] = {}
        self._deletions: set[str] = set()
        self._chain: list[str] = []

    def steps(self, primary: str) -> list[Step]:
        """Return the files in the order in which they are merged.

        Raises:
            ConfigFileError: a list is wrong, or its files include each other in a circle.
            MissingFileError: from `tree.missing`.
        """
        entry = Entry(None, primary, place=self.place)
        steps = self._expanded(entry, interpolated=False, primary=True)
        seen: dict[str, Entry] = {}
        for step in steps:
            # As in Hydra: a choice that brings others along may come twice, a plain one may not.
            if step.by.group is not None and not step.has_defaults:
                first = seen.setdefault(step.by.key, step.by)
                if first is not step.by:
                    raise ConfigFileError(
                        f"{step.by.place}: {step.by.key!r} is chosen a second time, first at "
                        f"{first.place}; remove one, or merge it at another key: "
                        f"{step.by.key}@key: {step.by.name}"
                    )
        return steps

    def unused(self) -> list[str]:
        """Return the selected groups that no defaults list has: they are to be appended.

        Raises:
            ConfigFileError: an `override` of a list, a deletion or an ambiguous selection found
                nothing to act on.
        """
        found = []
        for key, override in self._overrides.items():
            if override.used:
                continue
            others = sorted(self._keys_of_group.get(key.partition("@")[0], ()))
            if override.outside and not others:
                found.append(key)
                continue
            hint = did_you_mean(key, self.known)
            if others:
                hint = f"; did you mean {' or '.join(map(repr, others))}?"
            raise ConfigFileError(
                f"{override.place}: cannot override {key!r}: no defaults list has it{hint}"
            )
        for key in self.deleted:
            if key not in self._deletions:
                raise ConfigFileError(
                    f"{self.place}: cannot delete {key!r}: no defaults list has it"
                    f"{did_you_mean(key, self.known)}"
                )
        return found

    def _expanded(self, entry: Entry, *, interpolated: bool, primary: bool = False) -> list[Step]:
        """Return the file of an entry, and what its own defaults list brings along."""
        name = entry.name
        source = None
        if name is not None and name != MANDATORY:
            source = self.tree.source(entry.path, entry.place)
            entry = replace(entry, header=source.header if source else None)
        if entry.group is not None and self._is_deleted(entry):
            return []
        self._note(entry)
        if name is None:
            return []
        if source is None:
            if name == MANDATORY or not entry.optional:
                self._missing(entry, primary)
            if not primary:
                return []
            # Where that is no error, the selected groups are the config.
            source = Source([], None)
        if entry.path in self._chain:
            chain = " → ".join([*self._chain[self._chain.index(entry.path) :], entry.path])
            raise ConfigFileError(f"{entry.place}: defaults lists in a circle: {chain}")
        self._chain.append(entry.path)
        try:
            return self._with_defaults(entry, source, interpolated, primary)
        finally:
            self._chain.pop()

    def _with_defaults(
        self, entry: Entry, source: Source, interpolated: bool, primary: bool
    ) -> list[Step]:
        own = Step(entry.path, entry.at_package(), entry, primary, bool(source.defaults))
        items = list(source.defaults)
        if not any(item.is_self for item in items):
            items.append(Entry(None, _SELF))
        if primary:
            items += [self._selection(key) for key in self.appended]
        items = [
            item if item.is_self else replace(item, base=entry.folder, base_package=own.package)
            for item in items
        ]
        self._take_overrides(items, interpolated)
        found: list[list[Step] | Entry] = []
        for item in reversed(items):
            if item.is_self:
                found.append([own])
            elif not item.override:
                found += self._chosen(self._overridden(item), interpolated)
        # What names other choices waits until all of them are made.
        steps = [
            self._expanded(self._interpolated(part), interpolated=True)
            if isinstance(part, Entry)
            else part
            for part in found
        ]
        return [step for part in reversed(steps) for step in part]

    def _chosen(self, item: Entry, interpolated: bool) -> Iterator[list[Step] | Entry]:
        if isinstance(item.choice, list):
            if self._is_deleted(item):
                return
            for option in reversed(item.choice):
                if is_interpolation(option):
                    raise ConfigFileError(
                        f"{item.place}: {item.shown}: one of several choices cannot be an "
                        "interpolation; name it, or make it an entry of its own"
                    )
                single = replace(item, group=None, choice=f"{item.group}/{option}")
                yield self._expanded(single, interpolated=interpolated)
        elif is_interpolation(item.choice):
            yield item
        else:
            yield self._expanded(item, interpolated=interpolated)

    def _selection(self, key: str) -> Entry:
        group, _, package = key.partition("@")
        return Entry(f"/{group}", self.selected[key], package or None, place=self.place)

    def _take_overrides(self, items: list[Entry], interpolated: bool) -> None:
        """Note what a list overrides; the first to say so wins, which is the outermost."""
        last: Entry | None = None
        for item in items:
            if item.override:
                if interpolated:
                    raise ConfigFileError(
                        f"{item.place}: override {item.shown}: not possible below an entry that "
                        "is an interpolation: all choices are made by then"
                    )
                last = item
                override = _Override(item.choice, item.place, outside=False)
                self._overrides.setdefault(item.key, override)
            elif last is not None and not item.is_self and item.place != self.place:
                raise ConfigFileError(
                    f"{item.place}: {item.shown} stands after override {last.shown}; "
                    "overrides come last in a defaults list"
                )

    def _overridden(self, item: Entry) -> Entry:
        override = self._overrides.get(item.key) if item.group is not None else None
        if override is None:
            return item
        override.used = True
        if override.choice == item.choice:
            return item
        return replace(item, choice=override.choice, place=override.place)

    def _is_deleted(self, entry: Entry) -> bool:
        key = entry.key
        if key not in self.deleted or self.deleted[key] not in (None, entry.choice):
            return False
        self._deletions.add(key)
        return True

    def _note(self, entry: Entry) -> None:
        if entry.group is None:
            return
        key, name = entry.key, entry.name
        if key in self.known and self.known[key] != name:
            raise ConfigFileError(
                f"{entry.place}: {key!r} is chosen twice, as {self.known[key]!r} and as {name!r}; "
                f"to change a choice write override {key}: {name}"
            )
        self.known[key] = name
        self._keys_of_group.setdefault(entry.folder, set()).add(key)

    def _interpolated(self, entry: Entry) -> Entry:
        known: dict[Any, Any] = {**self.known, "": entry.choice}
        choice = Resolution(known, lambda _: entry.place).value(("",))
        if not isinstance(choice, str):
            raise ConfigFileError(f"{entry.place}: {entry.choice!r} gives {choice!r}, no name")
        return replace(entry, choice=choice)

    def _missing(self, entry: Entry, primary: bool) -> None:
        options = self.tree.options(entry.folder)
        there = f"; there is {', '.join(options)}" if options else ""
        if not options:
            hint = did_you_mean(entry.folder, self.tree.groups())
            there = hint.replace("mean ", "mean the group ", 1)
        if entry.name == MANDATORY:
            self.tree.missing(
                f"{entry.place}: {entry.key!r} must be chosen: select={{{entry.key!r}: …}}{there}"
            )
            return
        hint = did_you_mean(entry.name, options)
        what = "primary config" if primary else "config"
        self.tree.missing(f"{entry.place}: no {what} {entry.path!r}{hint}{there}")


def read_defaults(items: object, place: Callable[[int | None], str]) -> list[Entry]:
    """Read a `defaults:` list as it stands in a file.

    Args:
        items: the value of the key.
        place: gives the file and line of an item by its index, or of the list.
    """
    if not isinstance(items, list):
        raise ConfigFileError(f"{place(None)}: defaults is a list, not a {type(items).__name__}")
    entries = [_entry(item, place(index)) for index, item in enumerate(items)]
    entries = [
        entry
        for entry in entries
        # What configures Hydra itself is nothing to a config that Ato composes.
        if not (entry.group or str(entry.choice)).lstrip("/").startswith(f"{_HYDRA}/")
    ]
    if sum(entry.is_self for entry in entries) > 1:
        again = next(entry.place for entry in reversed(entries) if entry.is_self)
        raise ConfigFileError(f"{again}: _self_ stands twice in a defaults list")
    return entries


def _entry(item: object, place: str) -> Entry:
    if isinstance(item, str):
        path, package = split_package(item)
        if path == _SELF and package is not None:
            raise ConfigFileError(f"{place}: _self_ takes no package")
        return Entry(None, path, package, place=place)
    if not isinstance(item, dict) or len(item) != 1:
        raise ConfigFileError(
            f"{place}: an entry of defaults is a name or one `group: choice`, not {item!r:.80}"
        )
    ((key, choice),) = item.items()
    *words, group = re.split(r"\s+", str(key).strip())
    if not set(words) <= {"optional", "override"}:
        raise ConfigFileError(
            f"{place}: before a group stand `optional` and `override` only, not {' '.join(words)!r}"
        )
    group, package = split_package(group)
    return Entry(
        group,
        checked_choice(group, choice, place),
        package,
        optional="optional" in words,
        override="override" in words,
        place=place,
    )


def split_package(text: str) -> tuple[str, str | None]:
    """Split `db@source` into `db` and `source`."""
    name, _, package = text.partition("@")
    return name, package.partition(":")[0] if "@" in text else None


def checked_choice(group: str, choice: object, place: str) -> str | list[str] | None:
    """Return a choice that is a name, a list of names or None; raise for any other."""
    if choice is None or isinstance(choice, str):
        return choice
    if isinstance(choice, (list, tuple)) and all(isinstance(item, str) for item in choice):
        return list(choice)
    raise ConfigTypeError(
        f"{place}: the choice of {group!r} is a name, a list of names or None, not {choice!r:.80}"
    )
