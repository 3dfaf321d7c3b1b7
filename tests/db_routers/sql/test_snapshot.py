from __future__ import annotations

import enum
import json
import math
import subprocess
from fractions import Fraction
from pathlib import PurePosixPath

import numpy as np
import pytest

from ato.adict import ADict
from ato.db_routers.sql.reading import config_values
from ato.db_routers.sql.snapshot import git_state, snapshot
from ato.fingerprints import value_hex
from ato.provenance import Write


class Activation(str, enum.Enum):
    RELU = "relu"


def test_every_leaf_is_kept_with_type_and_fingerprint():
    """Values are stored by dotted key, as they are where JSON has a form for them."""
    content = snapshot({"lr": 0.1, "model": {"dims": (1, 2), "name": "mlp"}, "x": None}).content
    assert {key: (entry["value"], entry["type"]) for key, entry in content.items()} == {
        "lr": (0.1, "float"),
        "model.dims": ([1, 2], "tuple"),
        "model.name": ("mlp", "str"),
        "x": (None, "NoneType"),
    }
    assert content["lr"]["fingerprint"] == value_hex(0.1)


def test_values_come_back_nested():
    """The stored content gives back the config that it was made from, tuples included."""
    config = {"lr": 0.1, "model": {"dims": (1, 2), "layers": [{"n": 3}]}, "on": True, "x": None}
    content = json.loads(json.dumps(snapshot(config).content))
    assert config_values(content) == config


def test_a_flat_key_beside_a_branch_of_its_name_is_kept():
    """A plain mapping may hold both `a` and `a.b`; neither is lost."""
    content = snapshot({"a": 1, "a.b": 2}).content
    assert config_values(content) == {"a": 1, "a.b": 2}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (PurePosixPath("data/train.csv"), "data/train.csv"),
        (math.sqrt, "math.sqrt"),
        (Fraction, "fractions.Fraction"),
        ({1, 2}, "{1, 2}"),
        (Activation.RELU, "relu"),
        (np.float64(0.5), 0.5),
        (np.int64(3), "np.int64(3)" if np.__version__ >= "2" else "3"),
        ({"a": {1: 2}}, None),
    ],
)
def test_what_json_has_no_form_for_is_a_text(value, kept):
    """Any Python value is kept: as a text if JSON has no form for it, never with an address."""
    content = snapshot({"value": [value] if kept is None else value}).content
    found = content["value"]["value"]
    assert found == ("[{'a': {1: 2}}]" if kept is None else kept)


def test_objects_are_rendered_without_their_address():
    """A value's text is the same in every process, also for an object with the plain repr."""
    found = snapshot({"act": object()}).content["act"]["value"]
    assert found == "<object object>"


def test_a_value_without_fingerprint_is_a_gap():
    """What cannot be fingerprinted is kept as a text with the reason; the run has no value hash."""
    found = snapshot({"rows": (n for n in range(3)), "lr": 0.1})
    assert found.content["rows"]["fingerprint"] is None
    assert "generator" in found.content["rows"]["gap"]
    assert found.value_hash is None
    assert found.structural_hash is not None


def test_lists_that_contain_themselves_are_kept():
    """A cyclic value is no endless text."""
    loop = [1]
    loop.append(loop)
    assert snapshot({"loop": loop}).content["loop"]["value"] == "[1, [...]]"


def test_provenance_comes_with_the_values(tmp_path):
    """An ADict's history of a key is stored with it and can be read back."""
    (tmp_path / "config.json").write_text('{"lr": 0.1}')
    config = ADict.from_file(tmp_path / "config.json")
    config.lr = 0.5
    writes = [Write.from_json(write) for write in snapshot(config).content["lr"]["history"]]
    assert [write.value_text for write in writes] == ["0.1", "0.5"]
    assert writes == config.history("lr")


def test_equal_structure_has_an_equal_hash():
    """The structural hash is that of keys and types, the value hash that of the values too."""
    a, b, c = (snapshot(config) for config in ({"lr": 0.1}, {"lr": 0.2}, {"lr": 1}))
    assert a.structural_hash == b.structural_hash != c.structural_hash
    assert a.value_hash != b.value_hash


def test_seeds_are_found_by_name():
    """Integers under a key with the word seed are the run's seeds."""
    found = snapshot({"seed": 1, "data": {"random_seed": 2}, "seeded": 3, "seed_name": "x"})
    assert found.seeds == {"seed": 1, "data.random_seed": 2}


def test_a_secret_is_not_in_the_snapshot(tmp_path):
    """A secret is stored as a keyed digest; neither value, history nor hash can tell it."""
    written = {"hf_token": "hunter2", "max_tokens": 5, "db": {"password": "hunter2"}}
    (tmp_path / "config.json").write_text(json.dumps(written))
    config = ADict.from_file(tmp_path / "config.json")
    config.hf_token = "correct horse"
    found = snapshot(config)
    everything = json.dumps(found.content)
    assert "hunter2" not in everything
    assert "correct horse" not in everything
    assert found.secret_keys == {"hf_token", "db.password"}
    assert found.content["max_tokens"]["value"] == 5
    assert found.content["hf_token"]["fingerprint"] != value_hex("correct horse")
    assert found.content["hf_token"]["history"][0]["origin"]["kind"] == "file"
    config.hf_token = None
    assert "hunter2" not in json.dumps(snapshot(config).content)


def test_a_changed_secret_changes_the_value_hash():
    """The value hash is over the keyed digests of secrets, so that it says that one changed."""
    first, again, other = (
        snapshot(ADict(token=token, lr=0.1)).value_hash for token in ("a", "a", "b")
    )
    assert first == again != other


def test_a_secret_says_whether_it_changed():
    """Equal secrets have equal digests, also under another key; others have others."""
    first, again, other = (
        snapshot({"api_key": value}).content["api_key"]["fingerprint"]
        for value in ("hunter2", "hunter2", "hunter3")
    )
    assert first == again != other


def test_git_says_commit_and_dirtiness(tmp_path):
    """The commit is that of the folder's repository; a changed tracked file makes it dirty."""
    assert git_state(tmp_path) == (None, None)

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)

    git("init", "-q")
    assert git_state(tmp_path) == (None, False)
    (tmp_path / "train.py").write_text("a")
    git("add", "train.py")
    git("commit", "-qm", "first")
    head = git("rev-parse", "HEAD").stdout.strip()
    assert git_state(tmp_path) == (head, False)
    (tmp_path / "notes.txt").write_text("untracked")
    assert git_state(tmp_path) == (head, False)
    (tmp_path / "train.py").write_text("b")
    assert git_state(tmp_path) == (head, True)


def test_keys_that_are_no_plain_texts_come_back():
    """A config's keys with dots, brackets and quotes, and those that are no texts, nest as before."""
    config = {"a.b": 1, "m": {"x]": {"it's": 2}, 3: 4, "n": 5}, "[": 6}
    content = json.loads(json.dumps(snapshot(ADict(config)).content))
    assert config_values(content) == config
