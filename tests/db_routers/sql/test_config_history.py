"""Who set a config value: kept whole with the run, for one scope and for several."""

from __future__ import annotations

import getpass

import pytest
from stores import config_for, finder_for, run_script

from ato import MultiScope, Scope
from ato.adict import ADict
from ato.db_routers.sql.finder import store_location
from ato.db_routers.sql.manager import SQLLogger
from ato.db_routers.sql.snapshot import snapshot
from ato.exceptions import UnknownKeyError
from ato.fingerprints import value_hex

EVERY_ORIGIN = """
import argparse
import os

from ato import Scope, SQLLogger

scope = Scope({"given": 1}, use_external_parser=True)


@scope.observe(default=True)
def defaults(config):
    config.experiment = {"sql": {"db_path": os.environ["DB"]}}
    config.lr = 0.1
    config.batch = 8
    config.warmup = config.batch * config.given


scope.observe("mapped", config={"lr": 0.2})


@scope.observe
def loaded(config):
    config.load("config.yaml")


@scope.observe(lazy=True)
def capped(config):
    config.lr = min(config.lr, 0.5)


@scope
def train(config):
    config.steps = 3
    del config.batch
    with SQLLogger(config) as logger:
        logger.run()


parser = argparse.ArgumentParser()
parser.add_argument("--gpu", type=int, default=0)
parser.add_argument("--seed", type=int, default=1)
parser.parse_args()
train()
"""


@pytest.fixture(autouse=True)
def fresh_registry():
    """Every test begins without scopes."""
    Scope.initialize_registry()
    yield
    Scope.initialize_registry()


@pytest.fixture
def scopes(path):
    """Two scopes with a key of one name, and the store named in the second."""
    model, data = Scope(name="model"), Scope(name="data")

    @data.observe(default=True)
    def of_data(config):
        config.lr = 0.5
        config["odd.name"] = 1
        config.experiment = {"project_name": "digits", "sql": {"db_path": str(path)}}

    @model.observe(default=True)
    def of_model(config):
        config.lr = data.config.lr / 5
        config.api_key = "s3cret"

    return MultiScope(model, data)


def test_every_origin_in_order(path, tmp_path):
    """Views, mappings, files, the command line, lazy views, code, argparse: those that lost as well."""
    (tmp_path / "config.yaml").write_text("# rates\nlr: 0.3\n")
    status, _, errors = run_script(
        tmp_path, EVERY_ORIGIN, "mapped", "loaded", "capped", "lr=0.9", "--seed", "7", DB=str(path)
    )
    assert status == 0, errors
    run = finder_for(path).find_run(1)
    history = run.history("lr")
    assert [(w.value_text, w.replaced_text, w.origin.kind) for w in history] == [
        ("0.1", None, "view"),
        ("0.2", "0.1", "view"),
        ("0.3", "0.2", "file"),
        ("0.9", "0.3", "cli"),
        ("0.5", "0.9", "lazy"),
    ]
    assert [str(write.origin) for write in history] == [
        "view defaults, script.py:13",
        "view mapped, script.py:18",
        "config.yaml:2, loaded by view loaded",
        "command line: lr=0.9 (argument 4)",
        "lazy view capped, script.py:28",
    ]
    assert [run.history(key)[-1].origin.kind for key in ("given", "steps", "gpu", "seed")] == [
        "default",
        "code",
        "default",
        "cli",
    ]
    assert run.history("gpu")[0].origin.text == "argparse default of --gpu"
    assert run.history("warmup")[0].derived_from == ("batch", "given")
    assert run.explain("lr").splitlines()[:3] == [
        "lr = 0.5",
        "  set by lazy view capped, script.py:28; derived from lr"
        if history[-1].derived_from
        else "  set by lazy view capped, script.py:28",
        "  over   0.9  command line: lr=0.9 (argument 4)",
    ]
    assert run.user == getpass.getuser()


@pytest.mark.file
def test_a_key_that_was_deleted(path, tmp_path):
    """It is no value of the run, and who deleted it can be asked all the same."""
    (tmp_path / "config.yaml").write_text("lr: 0.3\n")
    run_script(tmp_path, EVERY_ORIGIN, DB=str(path))
    run = finder_for(path).find_run(1)
    assert "batch" not in run.config
    assert [write.type for write in run.history("batch")] == ["int", "deleted"]
    assert run.explain("batch").startswith("batch = (deleted)\n  deleted by script.py:34, in train")
    assert finder_for(path).compare([1])["config"] == {}


def test_explaining_a_section_or_an_unknown_key(path):
    """A section explains every key below it; an unknown key names the nearest."""
    config = ADict(config_for(path, lr=0.1), model={"depth": 3, "name": "mlp"})
    with SQLLogger(config) as logger:
        logger.run()
    run = finder_for(path).find_run(1)
    unknown = "\n  given to the logger; who set it is not known"
    assert run.explain("model") == f"model.depth = 3{unknown}\nmodel.name = 'mlp'{unknown}"
    with pytest.raises(UnknownKeyError, match=r"no key 'model\.dept'; there is 'model\.depth'"):
        run.explain("model.dept")


@pytest.mark.parametrize("given", ["model", "data", "all", "clone", "beside", "plain"])
def test_the_configs_of_all_scopes_are_kept_under_their_names(scopes, path, given):
    """Whichever of them is handed over, with histories; the same key in two never collides."""
    model, data = scopes.scopes["model"], scopes.scopes["data"]
    scopes.apply(argv=["data.lr=0.7"])
    handed = {
        "model": model.config,
        "data": data.config,
        "all": scopes.config,
        "clone": model.config.clone(),
        "beside": {"note": "x", "data": data.config, **config_for(path)},
        "plain": config_for(path, lr=3),
    }[given]
    content = snapshot(handed).content
    own = {key for key in content if not key.startswith(("model", "data"))}
    assert {key for key in content if key not in own} == {
        "model.lr",
        "model.api_key",
        "data.lr",
        "data['odd.name']",
        "data.experiment.project_name",
        "data.experiment.sql.db_path",
    }
    place = {"experiment.project_name", "experiment.sql.db_path"}
    assert own == {"beside": {"note", *place}, "plain": {"lr", *place}}.get(given, set())
    assert content["data.lr"]["value"] == 0.7
    assert content["data.lr"]["history"][-1]["origin"]["text"] == "data.lr=0.7 (argument 1)"
    assert content["model.lr"]["history"][-1]["derived_from"] == ["data.lr"]
    assert "s3cret" not in str(content)


@pytest.mark.file  # the address of a server has a password in it, which no plain hash covers
def test_hashes_cover_all_scopes(scopes):
    """Another key in any scope is another structure, another value another content."""
    model, data = scopes.scopes["model"], scopes.scopes["data"]
    del model.config.api_key
    before = snapshot(model.config)
    assert before.value_hash == value_hex(ADict(scopes.config))
    data.config.lr = 0.25
    other_value = snapshot(model.config)
    assert other_value.structural_hash == before.structural_hash
    assert other_value.value_hash != before.value_hash
    data.config.extra = 1
    assert snapshot(model.config).structural_hash != before.structural_hash


def test_a_run_of_several_scopes(scopes, path):
    """Stored and found by the config that was handed over; its values read by scope and key."""
    data = scopes.scopes["data"]
    with data.using(data.config.clone()) as trial, SQLLogger(scopes.config) as logger:
        trial.lr = 0.9
        logger.run()
    run = finder_for(path).find_run(1)
    assert run.config.data.lr == 0.9
    assert run.config.model.lr == 0.1
    assert run.config.data["odd.name"] == 1
    assert [write.value_text for write in run.history("data.lr")] == ["0.5", "0.9"]
    assert run.explain("data.lr").startswith("data.lr = 0.9\n  set by ")
    with pytest.raises(UnknownKeyError, match=r"no key 'lr'; there is 'data\.lr', 'model\.lr'"):
        run.history("lr")


def test_where_the_store_is_named(scopes, path):
    """In the config that is handed over; of several by name, in the first that names it."""
    model, data = scopes.scopes["model"], scopes.scopes["data"]
    assert store_location(data.config) == store_location(scopes.config) == ("digits", str(path))
    assert store_location(model.config) == ("default", "sqlite:///experiments.db")
    given = {**scopes.config, "experiment": {"project_name": "own"}}
    assert store_location(given) == ("own", "sqlite:///experiments.db")


@pytest.mark.file
def test_a_scope_that_cannot_be_applied_stops_no_run(scopes):
    """One that nobody uses is left out, with a warning."""
    scope = Scope(name="broken")

    @scope.observe(default=True)
    def broken(config):
        raise ZeroDivisionError

    with pytest.warns(RuntimeWarning, match="the config of scope 'broken'"):
        content = snapshot(scopes.scopes["model"].config).content
    assert "model.lr" in content


def test_one_scope_has_no_name(path):
    """A program with one scope stores its keys as they are."""
    scope = Scope(config_for(path, lr=1))
    assert set(snapshot(scope.config).content) == {
        "lr",
        "experiment.project_name",
        "experiment.sql.db_path",
    }


def test_a_config_inside_a_plain_mapping_stays_where_it_is():
    """Its history is kept with the run, and it is not moved into another config."""
    config = ADict(lr=1)
    content = snapshot({"model": config}).content
    assert set(content) == {"model.lr"}
    assert config.to_flat() == {"lr": 1}
    assert ADict(a=config).a is config
