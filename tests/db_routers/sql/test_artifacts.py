from __future__ import annotations

import os
from pathlib import Path

import blake3
import numpy as np
import pytest

from ato.db_routers.sql.artifacts import artifact_rows
from ato.exceptions import StoreError


def test_a_file_has_size_and_blake3(tmp_path):
    """A file's digest is its plain BLAKE3."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights" * 1000)
    (row,) = artifact_rows(path, "model", {"epoch": 1})
    assert (row["kind"], row["size"]) == ("file", 7000)
    assert row["digest"] == blake3.blake3(b"weights" * 1000).hexdigest()
    assert (row["data_type"], row["metadata"]) == ("model", {"epoch": 1})


def test_a_directory_is_a_tree(tmp_path):
    """A directory lists its files with size and digest; its digest changes with any of them."""
    folder = tmp_path / "checkpoint"
    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "b.bin").write_bytes(b"22")
    (folder / "a.json").write_bytes(b"1")
    (before,) = artifact_rows(folder, None, None)
    assert (before["kind"], before["size"]) == ("directory", 3)
    assert list(before["tree"]) == ["a.json", "shards/b.bin"]
    (folder / "shards" / "b.bin").write_bytes(b"23")
    (after,) = artifact_rows(folder, None, None)
    assert after["digest"] != before["digest"]


def test_a_loop_of_links_ends(tmp_path):
    """A directory that contains a link to itself is listed once; a dangling link is left out."""
    (tmp_path / "a").write_bytes(b"1")
    os.symlink(tmp_path, tmp_path / "loop")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    (row,) = artifact_rows(tmp_path, None, None)
    assert list(row["tree"]) == ["a"]


@pytest.mark.parametrize("name", ["s3://bucket/model.pt", "not-there.bin"])
def test_what_cannot_be_read_is_a_reference(name, tmp_path, monkeypatch):
    """A URL, or a path where nothing is, is kept without digest, and one warning says so."""
    monkeypatch.chdir(tmp_path)
    with pytest.warns(RuntimeWarning, match="without digest") as said:
        (row,) = artifact_rows(name, None, None)
    assert (row["path"], row["kind"], row["size"], row["digest"]) == (name, "reference", None, None)
    assert len(said) == 1


def test_a_pattern_is_every_match(tmp_path):
    """A pattern gives one row for each match, in order; one without a match is an error."""
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    rows = artifact_rows(tmp_path / "*.png", None, None)
    assert [row["path"] for row in rows] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    with pytest.raises(StoreError, match=r"no file matches '.*\*\.jpg'"):
        artifact_rows(tmp_path / "*.jpg", None, None)


def test_a_file_named_like_a_pattern_is_itself(tmp_path):
    """A file whose name holds brackets is that file, not a pattern."""
    path = tmp_path / "loss[1].png"
    path.write_bytes(b"1")
    (row,) = artifact_rows(path, None, None)
    assert (row["path"], row["kind"]) == (str(path), "file")


@pytest.mark.skipif(os.name != "posix", reason="file names are text elsewhere")
def test_odd_file_names_are_written_out(tmp_path):
    """A file name that is no UTF-8 is stored as text that shows its bytes."""
    path = os.fsencode(tmp_path) + b"/odd\xff.bin"
    with open(path, "wb"):
        pass
    (row,) = artifact_rows(os.fsdecode(path), None, None)
    assert row["path"].endswith("/odd\\udcff.bin")


def test_metadata_may_hold_anything(tmp_path):
    """Scalars of NumPy and torch are numbers; what JSON has no form for is a text."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    given = {
        "loss": np.float32(0.5),
        "epoch": np.array(3),
        7: [Path("a")],
        "size": (1, 2),
        "x": None,
    }
    (row,) = artifact_rows(path, None, given)
    assert row["metadata"] == {"loss": 0.5, "epoch": 3, "7": ["a"], "size": [1, 2], "x": None}
