"""ADict: a nested, mutable mapping with attribute access, which knows what was read and who wrote."""

from __future__ import annotations

import copy
import copyreg
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ato import diff as diff_room
from ato import formats, xyz
from ato.adict.copies import copy_of, reduced, restore
from ato.adict.files import fill_composed, merge_composed, merge_file, read_file, write_file
from ato.adict.merge import add_absent, merge, merge_like_mm
from ato.adict.node import (
    Node,
    attached,
    handed_out,
    join,
    pairs,
    report_below,
    reserve,
    unknown_key,
)
from ato.adict.state import (
    DEFROSTABLE,
    FOR_GOOD,
    Branch,
    State,
    get_or,
    set_state,
    state_of,
)
from ato.adict.structure import structure_hash, structure_text
from ato.adict.tree import fill, nodes, place
from ato.compose.reading import as_path
from ato.exceptions import ConfigValueError, FrozenConfigError, UnknownKeyError
from ato.fingerprints import value_hex
from ato.provenance import MISSING, History, Origin, Write, dotted

if TYPE_CHECKING:
    from ato.compose.folders import OnMissing

__all__ = ["ADict"]


class ADict(Node):
    """A mapping whose keys are attributes too, nested by conversion.

    Mappings that are put in, inside lists and tuples as well, become ADicts. A node has one place:
    an ADict that already stands in a config is copied when it is put into another.

    Args:
        mappings: mappings and iterables of pairs; later ones win.
        default: what a missing key gives: a value, or a callable whose result is stored.
        items: more keys.

    Raises:
        ConfigTypeError: for anything else than a mapping or pairs.
    """

    __slots__ = ()

    def __init__(self, *mappings: Any, default: Any = MISSING, **items: Any) -> None:
        state = State("", None)
        state.default = default
        set_state(self, state)
        for mapping in mappings:
            if isinstance(mapping, Node) and state_of(mapping).history is not None:
                join(self, mapping)
            else:
                fill(self, pairs(mapping), state)
        if items:
            fill(self, items.items(), state)

    @classmethod
    def auto(cls, *mappings: Any, **items: Any) -> Self:
        """Make a config whose missing keys become nested configs when they are written through."""
        config = cls(*mappings, **items)
        for node in nodes(config):
            state_of(node).auto = True
        return config

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a config file; see `load`. A `.py` file is executed."""
        return cls().load(path)

    @classmethod
    def compose_hierarchy(
        cls,
        root: str | Path,
        config_filename: str = "config",
        select: Mapping[str, str | Sequence[str] | None] | None = None,
        overrides: Mapping[str, Any] | None = None,
        required: Iterable[str] = (),
        on_missing: OnMissing = "error",
    ) -> Self:
        """Compose a folder of config files, as Hydra does.

        A subfolder is a group, a file in it a choice: `model/resnet50.yaml` is merged deeply at
        the key `model`, or where its header (`# @package _global_`, or a key `"@package"`) says.
        The files' `defaults:` lists are honoured (`ato.compose.defaults` shows what they can say),
        and interpolations (`${model.lr}`, `${.lr}`, `${oc.env:HOME,/root}` and OmegaConf's other
        resolvers) are resolved. Every value has the file and line it comes from, and the entry
        that chose the file.

        Where Hydra differs: a selected group that no defaults list has is merged after them all
        (there `+group=choice`); an override may add a key (there `++key=value`); a `???` that is
        left is reported at once; a date in YAML is a date; groups below `hydra/` and the key
        `hydra` configure Hydra itself and are left out.

        Args:
            root: the folder; no path leads out of it.
            config_filename: the file to begin with, with or without its extension: .json .yaml
                .yml .toml .xyz; a file that stands there in two formats is an error.
            select: group → choice, choices, or None for none; `'group@package'` and, to delete an
                entry, `'~group'` as in Hydra.
            overrides: dotted key → value, merged last; mappings deeply. `'~key'` removes it.
            required: dotted keys that the result must have.
            on_missing: whether missing files, required keys and values are an `'error'`, `'warn'`
                or `'ignore'`.

        Raises:
            MissingFileError: a file that was asked for; the message has the choices there are.
            UnknownKeyError: a required key, or one that an interpolation refers to.
            ConfigFileError: a file cannot be read, or files choose or refer in a circle.
            ConfigValueError: a value is still `???`.
        """
        from ato.compose.folders import compose_folder  # loads for those who have a folder

        return cls.from_composed(
            *compose_folder(
                root, config_filename, select or {}, overrides or {}, required, on_missing
            )
        )

    @classmethod
    def from_omegaconf(cls, config: Any, overrides: Sequence[str] | None = None) -> Self:
        """Take over a `DictConfig`, interpolations resolved; lists become lists.

        What an override of Hydra's set has that override as its origin (`command line: lr=0.1`).

        Args:
            config: the config, or a part of it.
            overrides: the overrides as they were typed (`'lr=0.1'`, `'+db=mysql'`); without them,
                those of the Hydra job that runs, if one does.

        Raises:
            ConfigTypeError: it is no `DictConfig`.
            ConfigValueError: a value is still `???`, or an interpolation cannot be resolved; the
                message has the dotted keys.
        """
        from ato.compose.omegaconf import plain_omegaconf  # loads for those who have such a config

        return cls.from_composed(*plain_omegaconf(config, overrides))

    @classmethod
    def from_object(cls, value: Any) -> Self:
        """Take over the fields of an object, those of objects inside it as well.

        Dataclasses, pydantic models, attrs classes, named tuples, `argparse.Namespace`,
        `SimpleNamespace`, `ml_collections.ConfigDict` and mappings. Values stay what they are
        (enums, paths, arrays); names with an underscore in front are left out. A value that equals
        the default of its field has that default as its origin (`default of TrainArgs.lr`), any
        other the line that called this.

        Raises:
            ConfigTypeError: an object of any other kind.
            ConfigValueError: an object that contains itself; the message has the path.
        """
        from ato.compose.objects import plain_object  # loads for those who have such an object

        return cls.from_composed(*plain_object(value))

    @classmethod
    def from_composed(
        cls,
        values: Mapping[Any, Any],
        origins: Mapping[tuple[str, ...], Origin | Sequence[Write]],
    ) -> Self:
        """Make a config of plain nested values and the origin of each, as `ato.compose` gives them.

        Args:
            values: plain nested values.
            origins: path of keys (as texts) → the origin of what stands there and below, or all
                the writes to that leaf, oldest first.
        """
        config = cls()
        fill_composed(config, values, origins)
        return config

    @classmethod
    def from_mm_config(cls, path: str | Path, safe: bool = False) -> Self:
        """Read an OpenMMLab config with its bases; see `load_mm_config`. `.py` executes code."""
        from ato.compose.openmm import load  # on first use: only OpenMMLab's users need it

        layer = load(path, safe=safe)
        return cls.from_composed(layer.values, layer.writes)

    # ---------------------------------------------------------------- reading

    def get_value_by_name(self, name: str) -> Any:
        """Return the value at a dotted path."""
        value: Any = self
        for key in name.split("."):
            if not isinstance(value, ADict):
                raise UnknownKeyError(f"no key {name!r}: what stands before {key!r} has no keys")
            value = value[key]
        return value

    def raw(self, name: Any, default: Any = None) -> ADict:
        """Return `ADict(key=…, value=…)`, past the config's default and without counting as a read."""
        return ADict(key=name, value=dict.get(self, name, default))

    def __dir__(self) -> list[str]:
        names = [key for key in dict.keys(self) if isinstance(key, str) and key.isidentifier()]
        return sorted({*object.__dir__(self), *names})

    @property
    def accessed_keys(self) -> set[str]:
        """The dotted paths of the leaves that were read."""
        return {
            dotted(state.prefix, key)
            for node in nodes(self)
            if not (state := state_of(node)).listed
            for key in state.reads
            if not isinstance(get_or(node, key), Branch)
        }

    def get_minimal_config(self) -> ADict:
        """Return a config that holds only what was read."""
        return _minimal(self)

    # ---------------------------------------------------------------- writing

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value, or `default` where there is none."""
        if not dict.__contains__(self, key):
            if default:
                return default[0]
            raise unknown_key(self, key)
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the last item."""
        if not self:
            raise UnknownKeyError("the config is empty")
        key = next(dict.__reversed__(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove every key."""
        if dict.__len__(self):
            del self[tuple(dict.keys(self))]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of `key`, after setting it to `default` where there is none."""
        if not dict.__contains__(self, key):
            self[key] = default
        return self[key]

    def update(  # type: ignore[override]
        self, *mappings: Any, recurrent: bool = False, **items: Any
    ) -> Self:
        """Take over items; with `recurrent` mappings merge into the branches that are there."""
        merge(self, [*map(pairs, mappings), items.items()], deep=recurrent)
        return self

    def update_if_absent(self, *mappings: Any, recurrent: bool = False, **items: Any) -> Self:
        """Take over the items whose keys are missing; with `recurrent` inside branches too."""
        add_absent(self, [*map(pairs, mappings), items.items()], deep=recurrent)
        return self

    def mm_like_update(self, **items: Any) -> Self:
        """Merge deeply; a mapping with `_delete_=True` replaces the branch instead."""
        merge_like_mm(self, [items.items()])
        return self

    def filter(self, keep: Callable[[Any, Any], Any]) -> Self:
        """Remove the items for which `keep(key, value)` is false."""
        gone = [key for key, value in dict.items(self) if not keep(key, value)]
        if gone:
            del self[tuple(gone)]
        return self

    def replace_keys(self, sources: Iterable[Any], targets: Iterable[Any]) -> Self:
        """Rename keys, pair by pair."""
        sources = [sources] if isinstance(sources, str) else list(sources)
        targets = [targets] if isinstance(targets, str) else list(targets)
        if len(sources) != len(targets):
            raise ConfigValueError(
                f"{len(sources)} keys cannot be renamed to {len(targets)}; give as many new names"
            )
        if len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
            raise ConfigValueError("a key cannot be renamed twice, nor two keys to one name")
        values = [get_or(self, key) for key in sources]
        if sources:
            del self[tuple(sources)]
        for target, value in zip(targets, values, strict=True):
            self[target] = value
        return self

    def __or__(self, other: Any) -> ADict:
        return _joined(self.clone(), other) if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> ADict:
        return _joined(ADict(other), self) if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> Self:
        return self.update(other)

    # ---------------------------------------------------------------- defaults, freezing

    def set_default(self, default: Any) -> None:
        """Give missing keys this value, or the stored result of this callable."""
        state_of(attached(self)).default = default

    def remove_default(self) -> None:
        """Make missing keys errors again."""
        state_of(self).default = MISSING

    def get_default(self) -> Any:
        """Return what a missing key would give."""
        default = state_of(self).default
        if default is MISSING:
            raise ConfigValueError("this config has no default; set_default(…) gives it one")
        return default() if callable(default) else default

    @property
    def frozen(self) -> bool:
        """Whether a write is an error at present."""
        return bool(state_of(self).frozen)

    def freeze(self) -> Self:
        """Make every write to this config and below an error, until `defrost`.

        Lists stay lists: what is appended to one is no write to the config.
        """
        if state_of(self).frozen != FOR_GOOD:
            _freeze(self, DEFROSTABLE)
        return self

    def defrost(self) -> Self:
        """Allow writes again."""
        if state_of(self).frozen == FOR_GOOD:
            raise FrozenConfigError("this config is immutable for good; change a clone of it")
        _freeze(self, 0)
        return self

    def convert_to_immutable(self) -> Self:
        """Make every write to this config and below an error, for good."""
        _freeze(self, FOR_GOOD)
        return self

    # ---------------------------------------------------------------- identity

    def get_structural_hash(self) -> str:
        """Hash keys and types, not values; the same in every process."""
        return structure_hash(self)

    def get_structural_repr(self) -> str:
        """Show the keys and types that the structural hash is over."""
        return structure_text(self)

    def get_value_hash(self) -> str:
        """Hash everything: the hex text of `ato.fingerprint(config)`."""
        return value_hex(self)

    @staticmethod
    def diff(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> diff_room.Diff:
        """Compare two configs by path; see `ato.diff.diff`."""
        return diff_room.diff(a, b)

    def history(self, key: str) -> list[Write]:
        """Return the recorded writes to the dotted `key`, oldest first."""
        state: State = state_of(self)
        if state.history is None:
            return []
        return state.history.writes(f"{state.prefix}.{key}" if state.prefix else key)

    # ---------------------------------------------------------------- copies, other forms

    def to_flat(self) -> dict[str, Any]:
        """Return dotted path → leaf, without counting as a read."""
        return dict(diff_room.leaves(self))

    def to_dict(self) -> dict[Any, Any]:
        """Return plain nested dicts."""
        return handed_out(self)

    def json(self) -> str:
        """Return the config as JSON text."""
        report_below(self)
        return formats.dump_json(self).rstrip("\n")

    def to_xyz(self) -> str:
        """Return the config as XYZ text."""
        report_below(self)
        return xyz.dumps(self)

    def clone(self) -> Self:
        """Return a deep copy with its own history."""
        return copy.deepcopy(self)

    def copy(self) -> Self:
        """Return a copy: branches are new, leaves are the same objects."""
        copied: Self = copy_of(self, {}, deep=False)
        return copied

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied: Self = copy_of(self, memo, deep=True)
        return copied

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return reduced(self)

    __setstate__ = restore

    def load(self, path: str | Path) -> Self:
        """Merge a file deeply into this config; what the file says wins.

        The format is the extension's: .json .yaml .yml .toml .xyz, and .py, which is executed.

        Raises:
            MissingFileError: no such file.
            ConfigFileError: it cannot be read, with file and line.
        """
        file = as_path(path)
        loaded = read_file(file)
        node = attached(self)
        state = state_of(node)
        if state.history is None:
            place(node, state.prefix, History())
        merge_file(node, loaded, file)
        return self

    def load_mm_config(self, path: str | Path, safe: bool = False) -> Self:
        """Merge an OpenMMLab config, its bases included, deeply into this config.

        A `.py` config executes code, and so does a base that is one. The modules that
        `custom_imports` names are not imported.

        Args:
            path: a .py, .yaml, .yml or .json file. `_base_` (one or many, relative, or
                `package::path`), `_delete_`, `{{ fileDirname }}` and the like, `{{ $ENV:default }}`,
                `{{ _base_.key }}`, `_base_.key` and `read_base()` are understood. What a file of
                the `read_base()` style imports from packages becomes its dotted name, a text.
            safe: execute nothing; a `.py` file is then an error.

        Raises:
            MissingFileError: the file or a base is missing, or the package of a base.
            ConfigFileError: a file cannot be read, with file and line; bases that form a cycle or
                share a key; a mapping over something else; an unset environment variable.
            UnknownKeyError: a reference to a base names no key of it.
            FrozenConfigError: a part that would change is frozen.
        """
        from ato.compose.openmm import load  # on first use: only OpenMMLab's users need it

        layer = load(path, safe=safe)
        node = attached(self)
        state = state_of(node)
        if state.history is None:
            place(node, state.prefix, History())
        merge_composed(node, layer.values, layer.writes)
        return self

    def dump(self, path: str | Path) -> None:
        """Write the config to a file, whole or not at all; missing folders are created."""
        report_below(self)
        write_file(self, as_path(path))


reserve(ADict)


# Found without asking each node for its `__reduce_ex__`, which would be looked for as a key.
copyreg.pickle(ADict, reduced)


def _joined(config: ADict, other: Mapping[Any, Any]) -> ADict:
    if not isinstance(other, Node):
        return config.update(other)
    join(config, other)
    return config


def _freeze(config: ADict, level: int) -> None:
    for node in nodes(config):
        state_of(node).frozen = level


def _minimal(node: Node) -> ADict:
    found = ADict()
    reads = state_of(node).reads
    for key, value in dict.items(node):
        if isinstance(value, Node):
            inner = _minimal(value)
            if inner:
                found[key] = inner
        elif key in reads:
            found[key] = value
    return found
