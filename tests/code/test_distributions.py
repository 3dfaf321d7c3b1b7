"""Which distribution a module comes from is read once for what is installed, and kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ato.code import cache, project


def test_a_file_beside_the_script_does_not_make_all_metadata_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run writes its store into the script's folder; what is installed there counts, and no more."""
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))
    script = tmp_path / "script"
    script.mkdir()
    monkeypatch.setattr(sys, "path", [str(script), *sys.path])

    def kept() -> int:
        project._provided.cache_clear()
        assert project.distributions_of("pytest") == ("pytest",)
        return len(list(cache.folder().rglob("*.json")))

    assert kept() == 1
    (script / "experiments.db").write_bytes(b"")
    assert kept() == 1
    installed = script / "extra-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (installed / "top_level.txt").write_text("extra\n")
    assert kept() == 2
    assert project.distributions_of("extra") == ("extra",)
    project._provided.cache_clear()
