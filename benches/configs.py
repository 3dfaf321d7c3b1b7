"""Configs beside addict, munch, python-box, ml_collections, OmegaConf, mmengine and ato 2.2.1.

Every contestant works on the same nested config in this process, in turns, by processor time; ato
2.2.1 answers from an environment of its own (see `rivals`). Answers are compared before anything is
timed. A rival that has no such operation is not in the row.
"""

from __future__ import annotations

import copy
import pickle
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import addict
import box
import ml_collections
import munch
import omegaconf
import yaml
from mmengine.config import ConfigDict
from omegaconf import OmegaConf

from ato import ADict
from benches.measure import Row, interleaved, timed
from benches.rivals import PINNED, Rival, install

SIZES = (200, 5000)
READS = 200

Contestants = dict[str, Callable[[], Any]]


def rows() -> Iterator[Row]:
    """All rows."""
    for leaves in SIZES:
        plain = config(leaves)
        yield from _operations(plain, leaves)
        yield _yaml(plain, leaves)
        yield from _structure(plain, leaves)
    yield _recorded_write()


def config(leaves: int) -> dict[str, Any]:
    """A config of three levels: groups of ten branches of ten leaves, of every plain type."""
    rng = random.Random(0)
    makers = (rng.random, lambda: rng.randrange(100), lambda: f"text {rng.random()}", lambda: True)
    return {
        f"group_{group}": {
            f"branch_{branch}": {f"key_{key}": makers[key % 4]() for key in range(10)}
            for branch in range(10)
        }
        for group in range(leaves // 100)
    }


def _built(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: build(plain) for name, build in BUILDERS.items()}


BUILDERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ato": ADict,
    "addict": addict.Dict,
    "munch": munch.munchify,
    "python-box": box.Box,
    "ml_collections": ml_collections.ConfigDict,
    "OmegaConf": OmegaConf.create,
    "mmengine": ConfigDict,
}
TO_DICT: dict[str, Callable[[Any], Any]] = {
    "ato": ADict.to_dict,
    "addict": addict.Dict.to_dict,
    "munch": munch.unmunchify,
    "python-box": box.Box.to_dict,
    "ml_collections": ml_collections.ConfigDict.to_dict,
    "OmegaConf": OmegaConf.to_container,
    "mmengine": ConfigDict.to_dict,
}
MERGE: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "ato": lambda made, change: made.update(change, recurrent=True),
    "addict": lambda made, change: made.update(change),
    "python-box": lambda made, change: made.merge_update(change),
    "ml_collections": lambda made, change: made.update(change),
    "OmegaConf": lambda made, change: made.merge_with(change),
}
FREEZE: dict[str, Callable[[Any], Any]] = {
    "ato": ADict.freeze,
    "addict": addict.Dict.freeze,
    "ml_collections": ml_collections.ConfigDict.lock,
    "OmegaConf": lambda made: OmegaConf.set_readonly(made, True),
}


def _operations(plain: dict[str, Any], leaves: int) -> Iterator[Row]:
    made = _built(plain)
    contents = {name: TO_DICT[name](value) for name, value in made.items()}
    assert all(content == plain for content in contents.values())
    assert all(type(content) is dict for content in contents.values())
    group = next(reversed(plain))

    def read(value: Any) -> Callable[[], Any]:
        def reads() -> Any:
            for _ in range(READS):
                found = getattr(value, group).branch_3.key_2
            return found

        return reads

    def write(value: Any) -> Callable[[], Any]:
        branch = getattr(value, group).branch_3

        def writes() -> Any:
            for number in range(READS):
                branch.key_1 = number
            return branch.key_1

        return writes

    def each(call: Callable[[str, Any], Callable[[], Any]], among: Any = made) -> Contestants:
        return {name: call(name, made[name]) for name in among}

    frozen = {name: BUILDERS[name](plain) for name in FREEZE}
    for name, freeze in FREEZE.items():
        freeze(frozen[name])
    # Five leaves for a hundred: some replace others, some are new.
    below = {
        "branch_0": {"key_1": 7, "key_10": "x", "new": {"a": 1}},
        "branch_1": {"b": 1, "key_2": "y"},
    }
    change = dict.fromkeys(plain, below)
    changed = [_merged(plain, change)]
    for name, merge in MERGE.items():
        other = BUILDERS[name](plain)
        merge(other, change)
        changed.append(TO_DICT[name](other))
    assert all(content == changed[0] for content in changed)

    work = [
        ("construct", each(lambda name, _: lambda: BUILDERS[name](plain)), "addict", 1),
        ("three-level read", {n: read(v) for n, v in made.items()}, "addict", READS),
        ("the same, frozen", {n: read(v) for n, v in frozen.items()}, "addict", READS),
        ("write", {n: write(v) for n, v in made.items()}, "addict", READS),
        ("deepcopy", each(lambda _, value: lambda: copy.deepcopy(value)), "munch", 1),
        ("to_dict", each(lambda name, value: lambda: TO_DICT[name](value)), "addict", 1),
        ("pickle and back", each(lambda _, value: lambda: _pickled(value)), "munch", 1),
    ]
    for label, contestants, rival, repeats in work:
        answers = {name: _plain_answer(name, call()) for name, call in contestants.items()}
        first = answers["ato"]
        assert all(answer == first for answer in answers.values()), label
        yield _row(label, leaves, contestants, rival, repeats)
    merges = {name: (lambda name=name: MERGE[name](made[name], change)) for name in MERGE}
    yield _row("5 % merge", leaves, merges, "addict")


def _merged(plain: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(plain)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol=5))


def _plain_answer(name: str, answer: Any) -> Any:
    nested = isinstance(answer, (Mapping, omegaconf.DictConfig, ml_collections.ConfigDict))
    return TO_DICT[name](answer) if nested and type(answer) is not dict else answer


def _row(label: str, leaves: int, contestants: Contestants, rival: str, repeats: int = 1) -> Row:
    """Ours against one rival; the note has everybody's time."""
    taken = {
        name: seconds / repeats
        for name, seconds in interleaved(contestants, turns=11, clock="processor").items()
    }
    unit, factor = ("µs", 1e6) if taken["ato"] < 1e-4 else ("ms", 1e3)
    times = ", ".join(f"{name} {taken[name] * factor:.3g}" for name in sorted(taken, key=taken.get))
    target = 1.0 if leaves == max(SIZES) and label != "write" else None
    return Row(
        f"{label}, {leaves:,} leaves",
        taken["ato"] / taken[rival],
        "×",
        f"the time of {rival}",
        target,
        note=f"{times} {unit}",
    )


def _yaml(plain: dict[str, Any], leaves: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        ADict(plain).dump(path)
        loaded = ADict.from_file(path)
        assert loaded == plain == yaml.load(path.read_text(), yaml.CSafeLoader)
        lines = path.read_text().splitlines()
        write = loaded.history("group_1.branch_3.key_2")[0]
        assert write.origin.line is not None
        assert lines[write.origin.line - 1].startswith("    key_2: text ")
        taken = interleaved(
            {
                "ato": lambda: ADict.from_file(path),
                "CSafeLoader": lambda: yaml.load(path.read_text(), yaml.CSafeLoader),
                "OmegaConf": lambda: OmegaConf.load(path),
                "python-box": lambda: box.Box.from_yaml(filename=path),
            },
            turns=5,
            clock="processor",
        )
    times = ", ".join(f"{name} {taken[name] * 1e3:.3g}" for name in sorted(taken, key=taken.get))
    return Row(
        f"YAML file with lines, {leaves:,} leaves",
        taken["ato"] / taken["CSafeLoader"],
        "×",
        "the time of PyYAML's CSafeLoader alone",
        1.3 if leaves == max(SIZES) else None,
        note=f"{times} ms",
    )


def _structure(plain: dict[str, Any], leaves: int) -> Iterator[Row]:
    interpreter = install()
    work = f"structural hash, {leaves:,} leaves"
    if isinstance(interpreter, str):
        yield Row(work, None, "×", f"the time of {PINNED}", note=f"not installed: {interpreter}")
        return
    made, other = ADict(plain), ADict({**plain, "one": 1})
    assert made.get_structural_hash() == ADict(plain).get_structural_hash()
    assert made.get_structural_hash() != other.get_structural_hash()
    rival = Rival(interpreter)
    mine, theirs = [], []
    try:
        for _ in range(11):
            mine.append(timed(made.get_structural_hash, 20, clock="processor"))
            theirs.append(rival.ask("structure", config=plain, repeats=5))
    finally:
        rival.close()
    own, other_time = statistics.median(mine), statistics.median(theirs)
    yield Row(
        work,
        own / other_time,
        "×",
        f"the time of {PINNED}",
        0.1 if leaves == max(SIZES) else None,
        note=f"{own * 1e3:.3g} ms to {other_time * 1e3:.3g} ms",
    )


def _recorded_write() -> Row:
    """What keeping the origin adds to a write, where plain code writes to a key of a branch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        ADict(model={"lr": 0.5}).dump(path)
        recorded, bare = ADict.from_file(path), ADict(model={"lr": 0.5})

    def writes(branch: Any) -> Callable[[], None]:
        def write() -> None:
            for number in range(READS):
                branch.lr = number

        return write

    writes(recorded.model)()
    assert recorded.history("model.lr")[-1].value_text == str(READS - 1)
    assert recorded.history("model.lr")[-1].origin.text == "write"
    assert bare.history("model.lr") == []
    taken = interleaved(
        {"recorded": writes(recorded.model), "bare": writes(bare.model)},
        turns=31,
        clock="processor",
    )
    extra = (taken["recorded"] - taken["bare"]) / READS * 1e6
    note = f"{taken['recorded'] / READS * 1e6:.2f} µs to {taken['bare'] / READS * 1e6:.2f} µs"
    return Row("recorded write", extra, "µs", "over the plain write", 1, note=note)
