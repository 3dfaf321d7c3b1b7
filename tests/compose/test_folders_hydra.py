"""What Hydra composes of a folder, Ato composes of it too."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ato.exceptions import AtoError, ConfigTypeError, ConfigValueError
from hydra_cases import CASES, OLD_CASES, WRONG, Case
from hydra_trees import by_ato, by_hydra, write_tree


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("ATO_TEST_HOME", "/home/ada")
    monkeypatch.setenv("ATO_TEST_NUMBER", "12")
    monkeypatch.delenv("ATO_TEST_NONE", raising=False)


@pytest.mark.parametrize("name", CASES)
def test_a_folder_gives_the_values_that_hydra_gives(tmp_path, name):
    """The values of every folder in the table equal Hydra's, types included."""
    same(tmp_path, CASES[name], "1.3")


@pytest.mark.parametrize("name", OLD_CASES)
def test_old_keywords_mean_what_they_meant_to_hydra(tmp_path, name):
    """`_name_`, and `_group_` in a header, mean what they mean to Hydra 1.1."""
    same(tmp_path, OLD_CASES[name], "1.1")


def same(tmp_path: Path, case: Case, version: str) -> None:
    files, overrides, arguments = case
    root = write_tree(tmp_path / "conf", files)
    expected = by_hydra(root, overrides, version_base=version)
    assert repr_sorted(by_ato(root, **arguments)) == repr_sorted(expected)


@pytest.mark.parametrize("name", WRONG)
def test_what_hydra_refuses_is_refused(tmp_path, name):
    """A folder that Hydra cannot compose is an error of Ato's, which names a place."""
    files, overrides, arguments = WRONG[name]
    root = write_tree(tmp_path / "conf", files)
    with pytest.raises(Exception):
        by_hydra(root, overrides)
    with pytest.raises(AtoError, match=r"\.(yaml|py):\d+"):
        by_ato(root, **arguments)


@given(st.randoms(use_true_random=False))
def test_random_folders_are_composed_alike(source):
    """Folders of three groups with random lists, packages, headers and references agree."""
    files, select, overrides, hydra_overrides = random_folder(random.Random(source.getrandbits(64)))
    with tempfile.TemporaryDirectory() as folder:
        root = write_tree(Path(folder) / "conf", files)
        expected = outcome(by_hydra, root, hydra_overrides)
        if isinstance(expected, Exception) and "No match in the defaults list" in str(expected):
            # What Ato's `select` does with a group that no list has is `+group=` in Hydra.
            hydra_overrides = [
                f"+{given}" if given.partition("=")[0] in select else given
                for given in hydra_overrides
            ]
            expected = outcome(by_hydra, root, hydra_overrides)
        found = outcome(by_ato, root, select=select, overrides=overrides)
        if isinstance(found, ConfigValueError) and "was not given" in str(found):
            found = outcome(by_ato, root, select=select, overrides=overrides, on_missing="ignore")
    if isinstance(found, ConfigTypeError) and "cannot write below" in str(found):
        return  # `++a.b=1` over `a: 1` replaces a scalar in Hydra
    if isinstance(expected, Exception):
        assert isinstance(found, AtoError), (files, expected)
    else:
        assert repr_sorted(found) == repr_sorted(expected), (files, select, overrides)


def outcome(compose: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return compose(*arguments, **named)
    except Exception as error:
        return error


def repr_sorted(value: Any) -> str:
    """A text that tells types apart, and not the order of keys."""
    if isinstance(value, dict):
        items = sorted((repr(key), repr_sorted(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}: {item}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(repr_sorted, value)) + "]"
    return repr(value)


GROUPS = ("a", "b", "a/n")
CHOICES = ("x", "y")
PACKAGES = ("p", "_global_", "_here_", "q.r", "_group_.z", "a")
REFERENCES = ("k", "l", "a.k", "b.k", "a.n.k", ".k", "..k", "m.l")


def random_folder(r: random.Random) -> tuple[dict[str, str], dict[str, Any], dict[str, Any], Any]:
    """Files, a selection, overrides, and the two as Hydra's overrides."""
    files = {"config": random_file(r, ""), "base": random_file(r, "", leaf=0.7)}
    for group in GROUPS:
        for choice in CHOICES:
            files[f"{group}/{choice}"] = random_file(r, group, leaf=0.7)
    select: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    texts = []
    if r.random() < 0.3:
        key = r.choice(["k", "a.k", "m.l"])
        overrides[key], text = r.choice([(5, "5"), ({"k": 3}, "{k:3}"), ("s", "s")])
        texts.append(f"++{key}={text}")
    if r.random() < 0.3 and not any("override" in text for text in files.values()):
        group = r.choice(GROUPS)
        select[group] = r.choice(CHOICES)
        texts.append(f"{group}={select[group]}")
    return files, select, overrides, texts


def random_file(r: random.Random, group: str, leaf: float = 0.0) -> str:
    content = random_values(r)
    if r.random() >= leaf:
        content = {"defaults": random_defaults(r, group), **content}
    header = ""
    if group and r.random() < 0.15:
        header = f"# @package {r.choice(['_global_', 'p', 'a.k', 'q'])}\n"
    return header + (yaml.safe_dump(content, sort_keys=False) if content else "")


def random_values(r: random.Random, depth: int = 0) -> dict[str, Any]:
    return {
        key: random_value(r, depth) for key in r.sample(["k", "l", "m", "a", "n"], r.randint(0, 3))
    }


def random_value(r: random.Random, depth: int) -> Any:
    kind = r.random()
    if kind < 0.25 and depth < 2:
        return random_values(r, depth + 1)
    if kind < 0.30:
        return f"${{{r.choice(REFERENCES)}}}"
    if kind < 0.33:
        return f"t_${{{r.choice(REFERENCES)}}}"
    if kind < 0.38:
        return None
    if kind < 0.41:
        return "???"
    return [r.randint(0, 9), {"k": 1}] if kind < 0.44 else r.randint(0, 99)


def random_defaults(r: random.Random, group: str) -> list[Any]:
    # Mostly what is there, seen from this folder; now and then what is not.
    here = {"": ["a", "b", "a/n"], "a": ["n", "/b"], "b": ["/a", "/a/n"], "a/n": ["/b"]}[group]
    items: list[Any] = []
    for name in r.sample(here, r.randint(0, len(here))):
        package = f"@{r.choice(PACKAGES)}" if r.random() < 0.15 else ""
        choice = r.choice([*CHOICES * 8, None, "z", "???"])
        kind = r.random()
        if kind < 0.15:
            items.append({name + package: r.sample(CHOICES, r.randint(1, 2))})
        elif kind < 0.3:
            items.append({f"optional {name}{package}": choice})
        elif kind < 0.36:
            items.append({name + package: r.choice(["${a}", "${b}"])})
        else:
            items.append({name + package: choice})
    if r.random() < 0.15:
        items.append(r.choice(["/base", "/base@p", "/b/y@_global_"]))
    if r.random() < 0.5:
        items.insert(r.randint(0, len(items)), "_self_")
    if r.random() < 0.15:
        name = r.choice([*here, "/a", "/b", "/a/n", "/b@p"])
        items.append({f"override {name}": r.choice(CHOICES)})
    return items
