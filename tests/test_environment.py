from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module, metadata

import pytest

from ato import environment
from ato.environment import capture, normalised, reached


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_distributions_are_what_the_standard_library_says():
    """Names and versions are those of `importlib.metadata`, found faster."""
    expected = {}
    for distribution in metadata.distributions():
        expected.setdefault(normalised(distribution.metadata["Name"]), distribution.version)
    found = capture()["distributions"]
    assert {name: entry["version"] for name, entry in found.items()} == expected


def test_requirements_leave_out_the_extras_that_nobody_asked_for(monkeypatch, tmp_path):
    """What tests or documentation need is not required; an extra that a distribution names is."""
    _install(tmp_path, "App", "1.0", "lib[fast] >=2; python_version > '3'", "Other_Lib")
    _install(tmp_path, "lib", "2.1", "speed; extra == 'fast'", 'pytest ; extra == "test"')
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert capture()["distributions"] == {
        "app": {"version": "1.0", "requires": ["lib", "other-lib"]},
        "lib": {"version": "2.1", "requires": ["speed"]},
    }


def test_the_first_on_the_path_counts(monkeypatch, tmp_path):
    """Of a distribution that is installed twice the version is the imported one's."""
    _install(tmp_path / "first", "lib", "2.0")
    _install(tmp_path / "second", "lib", "1.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert capture()["distributions"]["lib"]["version"] == "2.0"


def test_reached_follows_requirements():
    """A distribution reaches what it requires, and what that requires; cycles end."""
    found = {
        "a": {"version": "1", "requires": ["b", "absent"]},
        "b": {"version": "1", "requires": ["a", "c"]},
        "c": {"version": "1", "requires": []},
        "formatter": {"version": "1", "requires": ["c"]},
    }
    assert reached(found, ["A"]) == {"a", "b", "c"}
    assert reached(found, ["absent"]) == set()


def test_a_change_is_seen_through_the_cache(monkeypatch, tmp_path, cache_folder):
    """The cache is used while nothing is installed, and not after; a damaged one is made anew."""
    site = tmp_path / "site"
    _install(site, "lib", "1.0")
    monkeypatch.setattr(sys, "path", [str(site)])
    first = capture()["distributions"]
    monkeypatch.setattr(environment, "_read_metadata", lambda folder: pytest.fail("not cached"))
    assert capture()["distributions"] == first
    monkeypatch.undo()
    monkeypatch.setenv("ATO_CACHE_DIR", str(cache_folder))
    monkeypatch.setattr(sys, "path", [str(site)])
    _install(site, "more", "1.0")
    assert set(capture()["distributions"]) == {"lib", "more"}
    for file in cache_folder.iterdir():
        file.write_text("{")
    assert set(capture()["distributions"]) == {"lib", "more"}


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, tmp_path):
    """Without a cache folder the answer is the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATO_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert "pytest" in capture()["distributions"]


def test_the_second_time_reads_no_metadata(monkeypatch):
    """What is installed is read once; as long as it stays the same, the cache has it."""
    first = capture()

    def refuse(folders):
        pytest.fail(f"read again: {folders}")

    monkeypatch.setattr(environment, "_read_all", refuse)
    assert capture() == first


def test_everything_is_json():
    """A capture can be stored as it is, and comes back equal."""
    found = capture()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "distributions",
        "interpreter",
        "hardware",
        "flags",
        "threads",
        "variables",
    }
    assert found["interpreter"]["version"] == ".".join(map(str, sys.version_info[:3]))


def test_only_listed_variables_are_recorded(monkeypatch):
    """Variables that numerics depend on are kept; paths, secrets and the rest are not."""
    kept = {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "0", "PYTHONHASHSEED": "0"}
    left_out = {"TORCH_HOME": "/x", "AWS_TOKEN": "x", "CUDA_API_TOKEN": "x", "USER_NOTE": "x"}
    for name, value in {**kept, **left_out}.items():
        monkeypatch.setenv(name, value)
    found = capture()["variables"]
    assert kept.items() <= found.items()
    assert not left_out.keys() & found.keys()


def test_variables_that_the_projects_code_names_are_recorded(monkeypatch, tmp_path):
    """Those a loaded module of the project reads are kept, but for secrets, paths and who runs it."""
    (tmp_path / "uses_variables.py").write_text(
        "import os\n"
        "A = os.environ.get('MY_SCALE')\nB = os.getenv(\"MY_LEVEL\", '1')\n"
        "C = os.environ['MY_API_KEY']\nD = os.environ['MY_DATA_DIR']\nE = os.getenv('MY_HOST')\n"
    )
    names = ("MY_SCALE", "MY_LEVEL", "MY_API_KEY", "MY_DATA_DIR", "MY_HOST", "MY_OTHER")
    for name in names:
        monkeypatch.setenv(name, "2")
    monkeypatch.syspath_prepend(str(tmp_path))
    import_module("uses_variables")
    found = capture()["variables"]
    assert [name for name in names if name in found] == ["MY_SCALE", "MY_LEVEL"]


def test_nothing_is_imported():
    """A capture imports neither torch nor NumPy, and says nothing of what is not loaded."""
    code = (
        "import sys; from ato.environment import capture; found = capture();"
        "assert not {'torch', 'numpy'} & set(sys.modules); assert found['flags'] == {}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_torchs_flags_are_recorded_where_it_is_loaded():
    """Determinism flags and thread counts of torch are kept, and CUDA is not initialised."""
    import torch

    before = capture()
    torch.use_deterministic_algorithms(True)
    try:
        after = capture()
    finally:
        torch.use_deterministic_algorithms(False)
    name = "torch.use_deterministic_algorithms"
    assert (before["flags"][name], after["flags"][name]) == (False, True)
    assert after["threads"]["torch.num_threads"] == torch.get_num_threads()
    assert not torch.cuda.is_initialized()


def _install(folder, name, version, *requirements):
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requirements)]
    description = "\n\nRequires-Dist: only-described\n"
    (place / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + description)
