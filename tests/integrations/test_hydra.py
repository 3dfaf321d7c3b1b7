"""Real Hydra programs, run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ato.db_routers.sql.engine import open_store
from ato.db_routers.sql.manager import SQLFinder

TRAIN = """
import hydra
from ato.adict import ADict
from ato.db_routers.sql.manager import SQLLogger
from ato.scope import Scope

scope = Scope()

@scope.runtime_trace
def train(config):
    if config.lr > 5:
        raise ValueError("diverged")
    return config.lr * config.model.width * config.steps

@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg):
    config = CONFIG
    logger = SQLLogger(config)
    logger.run(notes="mine", tags=["own"])
    logger.log_metric("loss", train(config), 0)

if __name__ == "__main__":
    main()
"""
FILES = {
    "conf/config.yaml": """
defaults:
  - model: small
  - _self_
lr: 0.1
steps: 2
double: ${oc.decode:'2'}
db: {password: hunter2}
hydra:
  callbacks:
    ato:
      _target_: ato.integrations.hydra.AtoCallback
""",
    "conf/model/small.yaml": "width: 2\n",
    "conf/model/big.yaml": "width: 3\n",
}


@pytest.fixture
def app(tmp_path, monkeypatch):
    write(tmp_path, "ADict.from_omegaconf(cfg)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, config: str) -> None:
    for name, text in {**FILES, "train.py": TRAIN.replace("CONFIG", config)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def python(folder: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "HYDRA_FULL_ERROR": "1"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_a_single_job_is_a_run_with_its_overrides_choices_and_folder(app):
    """The run has the job's overrides as tags and origins, and what else it was in its notes."""
    python(app, "train.py", "lr=0.3", "model=big")
    (run,) = SQLFinder("experiments.db").get_runs_in_project("default")
    assert run.status == "completed"
    assert run.tags == ["own", "lr=0.3", "model=big"]
    mine, job, choices, folder = run.notes.splitlines()
    assert (mine, job, choices) == ("mine", "Hydra job train", "choices: model=big")
    assert Path(folder.removeprefix("folder: ")).is_dir()
    assert last_origin(run, "lr") == ("cli", "lr=0.3")
    assert last_origin(run, "model.width") == ("cli", "model=big")
    assert last_origin(run, "steps") == ("code", "Hydra config config")


def test_a_job_whose_store_cannot_be_opened_has_its_overrides_later(app):
    """The overrides are on the run, with its own tags, when it enters the store after all."""
    (app / "experiments.db").write_bytes(b"these are weights, not rows" * 100)
    python(app, "train.py", "lr=0.3")
    (app / "experiments.db").unlink()
    open_store("experiments.db", must_exist=False).dispose()
    (run,) = SQLFinder("experiments.db").get_runs_in_project("default")
    assert (run.status, run.tags) == ("completed", ["own", "lr=0.3"])
    assert run.notes.startswith("mine\nHydra job train")


def test_why_names_the_override_that_tells_two_jobs_of_a_sweep_apart(app):
    """`ato why` between two jobs of a multirun names the key and both overrides."""
    python(app, "train.py", "--multirun", "lr=0.1,0.2")
    runs = SQLFinder("experiments.db").get_runs_in_project("default")
    assert [run.tags for run in runs] == [["own", "lr=0.1"], ["own", "lr=0.2"]]
    assert [run.status for run in runs] == ["completed", "completed"]
    assert "Hydra job train, number 1" in runs[1].notes
    answer = python(app, "-m", "ato", "why", "1", "2")
    assert "config: lr" in answer
    assert "was set by command line: lr=0.1" in answer
    assert "now set by command line: lr=0.2" in answer


def test_a_job_that_fails_ends_its_run_as_failed(app):
    """The run of a failed job is failed, with the traceback."""
    python(app, "train.py", "lr=9", status=1)
    (run,) = SQLFinder("experiments.db").get_runs_in_project("default")
    assert run.status == "failed"
    assert "ValueError: diverged" in run.error


def test_secrets_in_overrides_are_masked(app):
    """A password in an override, of a section too, stands neither in the tags nor in the config."""
    section, hosts = "+api={token:sesame,port:1}", "+hosts=[{password:sesame}]"
    python(app, "train.py", "db.password=sesame", section, hosts)
    written = list(Path.cwd().glob("experiments.db*"))
    assert written and not any(b"sesame" in file.read_bytes() for file in written)


def test_a_dictconfig_is_a_config_for_a_logger(app):
    """`SQLLogger(cfg)` takes Hydra's own config, resolved and with the overrides as origins."""
    write(app, "cfg")
    python(app, "train.py", "lr=0.3", "+new=???")
    (run,) = SQLFinder("experiments.db").get_runs_in_project("default")
    assert run.config.double == 2
    assert (run.config.model.width, run.config.new) == (2, "???")
    assert last_origin(run, "lr") == ("cli", "lr=0.3")


def last_origin(run, key):
    origin = run.history(key)[-1].origin
    return origin.kind, origin.text
