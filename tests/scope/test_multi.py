"""Several scopes for one function, and for one command line."""

from __future__ import annotations

import pickle

import pytest

from ato import ADict, MultiScope, Scope
from ato.exceptions import (
    CommandLineError,
    DuplicateScopeError,
    ScopeError,
    UnknownKeyError,
    UnknownViewError,
)
from recorders import recording


@pytest.fixture
def scope():
    model, data = Scope(name="model"), Scope(name="data")

    @model.observe(default=True)
    def of_model(config):
        config.lr = 0.1
        config.name = "resnet"

    @model.observe()
    def deep(config):
        config.name = "deep"

    @data.observe(default=True)
    def of_data(config):
        config.lr = 0.001

    return MultiScope(model, data)


def test_each_parameter_receives_its_scopes_config(scope):
    """Keys of the same name stay apart; other arguments are the caller's."""

    @scope
    def train(x, model, data, y=2):
        return x, model.lr, data.lr, y

    @scope
    def forward(x):
        return x

    @scope
    def partly(data, x):
        return data.lr, x

    assert train(1) == train(1, 2) == train(x=1) == (1, 0.1, 0.001, 2)
    assert forward(3) == 3
    assert partly(4) == (0.001, 4)
    assert train(1, model=scope.scopes["data"].config) == (1, 0.001, 0.001, 2)
    with scope.pause():
        assert (
            train(1, model=scope.scopes["data"].config, data=scope.scopes["data"].config)[1]
            == 0.001
        )
        with pytest.raises(TypeError):
            train(1)


def test_tokens_begin_with_the_scopes_name(scope):
    """A path that begins with a scope's name is that scope's."""
    configs = scope.apply(argv=["model.lr=1", "data.lr=2", "model.deep"])
    assert configs == {"model": {"lr": 1.0, "name": "deep"}, "data": {"lr": 2.0}}
    assert scope.history("model.lr")[-1].origin.text == "model.lr=1 (argument 1)"
    assert scope.explain("data.lr").startswith(
        "data.lr = 2.0\n  set by the command line: data.lr=2 (argument 2)"
    )


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        (
            "lr=1",
            CommandLineError,
            "which scope is meant? There are model, data; write model.lr=1 or data.lr=1",
        ),
        ("deep", CommandLineError, "which scope is meant? There are model, data; write model.deep"),
        (
            "modl.lr=1",
            CommandLineError,
            "there is no scope 'modl'; did you mean 'model'? scopes: model, data",
        ),
        (
            "data.deep",
            UnknownViewError,
            "there is no view data.deep (argument 1) of scope 'data'; did you mean 'model.deep'? views: of_data",
        ),
    ],
)
def test_a_token_without_its_scope_is_an_error(scope, token, error, message):
    """The message says which scopes there are, and how to write it."""
    with pytest.raises(error) as caught:
        scope.apply(argv=[token])
    assert message in str(caught.value)


def test_scopes_share_the_scripts_command_line(script):
    """Every scope takes its own tokens, whoever is applied first, and `print` shows all."""
    run = script("""
        from ato import MultiScope, Scope
        model, data = Scope(name="model"), Scope(name="data")
        scope = MultiScope(model, data)
        model.observe("m", config={"lr": 1.0}, default=True)
        data.observe("d", config={"lr": 2.0}, default=True)

        @scope
        def train(model, data):
            print(model.lr, data.lr)

        train()
    """)
    assert run("model.lr=5", "data.lr=6").stdout == "5.0 6.0\n"
    done = run("print", "data.lr=6")
    assert done.stdout == (
        "[model]\nlr: 1.0  # view m, train.py:5\n"
        "[data]\nlr: 6.0  # command line: data.lr=6 (argument 2)\n"
    )
    assert run("manual", "data.lr").stdout.startswith("data.lr = 2.0\n  set by view d, train.py:6")
    bad = run("lr=3")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "which scope is meant?" in bad.stderr


def test_tracing_works_as_on_a_scope(scope):
    """The decorators are there, in every form."""

    @scope.trace
    @scope
    @scope.runtime_trace(trace_id="m")
    def train(model, x):
        return model.lr, x

    assert train(1) == (0.1, 1)


def test_what_cannot_be_a_multi_scope(scope):
    """Duplicates, nothing at all, and keys without a scope."""
    model = scope.scopes["model"]
    with pytest.raises(DuplicateScopeError, match="two scopes are named 'model'"):
        MultiScope(model, model)
    with pytest.raises(ScopeError, match="MultiScope takes scopes"):
        MultiScope()
    with pytest.raises(ScopeError, match=r"as in model\.lr; scopes: model, data"):
        scope.history("lr")


def test_reads_carry_the_scopes_name(scope):
    """Each read says of which scope it is; so do branches, what is missing, and odd keys."""

    @scope.runtime_trace
    def step(model, data):
        return model.lr, data.lr, data.get("none"), "odd.key" in model, dict(data.aug)

    scope.scopes["data"].config.aug = {"flip": True}
    with recording() as recorder:
        step(scope.config["model"], scope.config["data"])
    assert [read.key for read in recorder.of("step")[0].reads] == [
        "model.lr",
        "data.lr",
        "data.none",
        "model['odd.key']",
        "data.aug.flip",
    ]


def test_reads_of_copies_and_of_used_configs_carry_it_too(scope):
    """A clone, a pickle and what `using` puts in its place belong to the scope."""
    data = scope.scopes["data"]
    clone = data.config.clone()
    pickled = pickle.loads(pickle.dumps(data.config))
    with recording() as recorder:
        for config in (data.config, clone, pickled):
            assert config.lr == 0.001
        with data.using({"lr": 3}):
            assert data.config.lr == 3
            assert scope.config["data"].lr == 3
    reads = recorder.calls[-1].reads
    assert {read.key for read in reads} == {"data.lr"}
    assert len({read.fingerprint for read in reads}) == 2


def test_two_stacked_scopes_are_several_as_well(scope):
    """Keys have names wherever there is more than one scope, and none where there is one."""
    Scope.initialize_registry()
    first = Scope({"lr": 1}, name="first")

    @first
    def lr(first):
        return first.lr

    with recording() as recorder:
        lr()
    second = Scope({"lr": 2}, name="second")

    @second
    @first
    def both(first, second):
        return first.lr, second.lr

    with recording() as later:
        assert both() == (1, 2)
    assert [[read.key for read in call.reads] for call in recorder.of("lr")] == [["lr"]]
    keys = {read.key for call in later.calls for read in call.reads}
    assert keys == {"first.lr", "second.lr"}


def test_what_a_view_reads_of_another_scope(scope):
    """It is what the key was derived from, and no read of the call in which the scope is applied."""
    model, data = scope.scopes["model"], scope.scopes["data"]

    @model.observe(default=True, priority=1)
    def derived(config):
        config.name = f"{config.name} {data.config.lr}"

    with recording() as recorder:
        model.apply()
    assert model.config.name == "resnet 0.001"
    assert [read.key for read in recorder.calls[-1].reads] == []
    assert model.history("name")[-1].derived_from == ("data.lr",)
    assert data.history("lr")[-1].derived_from == ()


def test_explaining_with_names(scope):
    """Keys are shown with their scope's name, in a section and in messages too."""
    scope.scopes["data"].config.aug = {"flip": True, "crop": 3}
    lines = scope.explain("data.aug").splitlines()
    assert [line for line in lines if "=" in line] == ["data.aug.flip = True", "data.aug.crop = 3"]
    with pytest.raises(UnknownKeyError, match=r"'data\.lrr'; did you mean 'data\.lr'\?"):
        scope.explain("data.lrr")
    assert scope.config["model"].lr == 0.1


def test_what_a_view_reads_of_a_config_that_is_no_scopes(scope):
    """It counts for the call in which the scope is applied: nothing else would know of it."""
    model, data = scope.scopes["model"], scope.scopes["data"]
    table = ADict(rate=3)

    @data.observe(default=True, priority=1)
    def looked_up(config):
        config.lr = table.rate

    @model.observe(default=True, priority=1)
    def both(config):
        config.lr = data.config.lr

    @data.runtime_trace
    def start():
        return model.apply().to_flat()["lr"]

    with recording() as recorder:
        assert start() == 3
    assert [read.key for read in recorder.of("start")[0].reads] == ["rate"]
    assert model.history("lr")[-1].derived_from == ("data.lr",)
    with recording() as outside:
        data.apply(argv=[])
    assert [read.key for read in outside.calls[-1].reads] == ["rate"]
